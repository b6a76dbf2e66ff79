"""`Any` stands only where a library, or what a person hands over, leaves no other type."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PRODUCT = ("secure_gal", "crypto", "transport", "parties")

ALLOWED: dict[str, tuple[int, str]] = {
    "crypto/pool.py": (1, "pickle: what was packed comes back"),
    "secure_gal/data/arrays.py": (2, "NumPy: an open .npz, and the dtype that it passes to __array__"),
    "secure_gal/data/postgresql.py": (1, "nanoarrow: a schema, which has no types"),
    "secure_gal/effects.py": (1, "Python: no type says that a job's result is what its own continuation takes"),
    "secure_gal/estimator/after_fit.py": (2, "matplotlib: its types do not say whose figure axes have"),
    "secure_gal/estimator/frames.py": (1, "narwhals: a series of whichever library"),
    "secure_gal/estimator/params.py": (1, "what a user hands over as a learner"),
    "secure_gal/factories.py": (1, "what a user's own factory makes"),
    "secure_gal/features/encoder_file.py": (1, "NumPy: savez takes arrays by name beside words of its own"),
    "secure_gal/learners/storage.py": (7, "JSON, and the values of a user's model that become it and come back"),
    "secure_gal/learners/storage_classes.py": (1, "an object of a user's class, whatever it is"),
}
"""Uses by file, and why; NDArray[Any], NumPy's word for any dtype, and imports are no uses. Numbers may only shrink."""


def uses(text: str) -> int:
    """How often a module says `Any`, under whichever name it was imported."""
    tree = ast.parse(text)
    of_arrays = {
        id(node.slice)
        for node in ast.walk(tree)
        if isinstance(node, ast.Subscript) and ast.unparse(node.value).rpartition(".")[2] == "NDArray"
    }
    imported = [alias for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names]
    names = {alias.asname or alias.name for alias in imported if alias.name == "Any"}
    found = [node for node in ast.walk(tree) if id(node) not in of_arrays]
    return sum(
        node.id in names if isinstance(node, ast.Name) else isinstance(node, ast.Attribute) and node.attr == "Any"
        for node in found
    )


def counted(root: Path) -> dict[str, int]:
    """By file, where there are any."""
    files = [path for top in PRODUCT for path in sorted((root / top).rglob("*.py"))]
    found = {str(path.relative_to(root)): uses(path.read_text()) for path in files}
    return {path: count for path, count in found.items() if count}


def wrong(found: dict[str, int], allowed: dict[str, int]) -> list[str]:
    """What does not fit the table: more uses than it has, or fewer, by which it is to shrink."""
    return [
        f"{path}: {found.get(path, 0)} uses of Any, {allowed.get(path, 0)} in the table"
        for path in sorted(found.keys() | allowed.keys())
        if found.get(path, 0) != allowed.get(path, 0)
    ]


def test_any_stands_only_where_the_table_says_why() -> None:
    allowed = {path: count for path, (count, _) in ALLOWED.items()}
    assert not wrong(counted(ROOT), allowed), "give it a type, or the table a reason; a number may only shrink"


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("from typing import Any\ndef f(x: Any) -> dict[str, Any]: ...", 2),
        ("import typing as t\nx: t.Any = 1", 1),
        ("from typing import Any as Whatever\nx: list[Whatever] = []", 1),
        ("from typing import Any\nx: np.ndarray[tuple[Any, ...], np.dtype[Any]]", 2),
        ("from typing import Any\nx: npt.NDArray[Any]\ny: NDArray[Any]", 0),
        ('"""Any other error."""\nx: object = "Any"', 0),
    ],
)
def test_what_counts_as_a_use(text: str, count: int) -> None:
    assert uses(text) == count


def test_another_module_one_more_and_one_less_are_told(tmp_path: Path) -> None:
    for name, text in (("new.py", "x: Any"), ("more.py", "x: Any\ny: Any"), ("same.py", "x: Any"), ("gone.py", "")):
        file = tmp_path / "crypto" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"from typing import Any\n{text}\n")
    allowed = {f"crypto/{name}.py": 1 for name in ("more", "same", "gone")}
    assert wrong(counted(tmp_path), allowed) == [
        "crypto/gone.py: 0 uses of Any, 1 in the table",
        "crypto/more.py: 2 uses of Any, 1 in the table",
        "crypto/new.py: 1 uses of Any, 0 in the table",
    ]
