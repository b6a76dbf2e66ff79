"""A type that holds rows, values, frames or ids of persons does not show them: a log or a traceback may print it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from secure_gal.effects import Compute, Send
from secure_gal.messages import Ids

ROOT = Path(__file__).parents[2]
HOLDS_DATA = re.compile(r"NDArray|\b(Array|Rows|Positions|Codes|memoryview)\b|Sequence\[Any\]")
MAY_BE_SHOWN = {
    "Draw.known": "an attack's own random draw of row numbers",
    "Draw.unknown": "an attack's own random draw of row numbers",
    "Result.scores": "the demo's, on a public table",
    "Labels.classes": "the names of the classes, which the estimator shows anyway",
}


def shown(path: Path) -> Iterator[str]:
    """Fields of data classes that hold data and are printed with them."""
    for kind in ast.walk(ast.parse(path.read_text())):
        if not isinstance(kind, ast.ClassDef):
            continue
        made = " ".join(map(ast.unparse, kind.decorator_list))
        own = any(isinstance(part, ast.FunctionDef) and part.name == "__repr__" for part in kind.body)
        if "dataclass" not in made or "repr=False" in made or own:
            continue
        for part in kind.body:
            if not isinstance(part, ast.AnnAssign) or "ClassVar" in ast.unparse(part.annotation):
                continue
            held, value = ast.unparse(part.annotation), ast.unparse(part.value) if part.value else ""
            if HOLDS_DATA.search(held) and not held.startswith("Callable[") and "repr=False" not in value:
                yield f"{kind.name}.{ast.unparse(part.target)}"


def test_no_type_shows_the_data_that_it_holds() -> None:
    code = [path for name in ("secure_gal", "crypto", "transport", "parties") for path in (ROOT / name).rglob("*.py")]
    found = {f"{path.relative_to(ROOT)}: {name}" for path in code for name in shown(path)}
    assert {name for name in found if name.partition(": ")[2] not in MAY_BE_SHOWN} == set()


@pytest.mark.parametrize("value", ["", " = field(repr=True)", " = field(default=(), repr=False)"])
def test_the_rule_finds_what_breaks_it(value: str, tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text(f"@dataclass\nclass Held:\n    rows: npt.NDArray[np.int64]{value}\n")
    assert list(shown(tmp_path / "code.py")) == ([] if "False" in value else ["Held.rows"])


def test_effects_do_not_show_what_they_carry() -> None:
    job = Compute("fit", lambda: 1, lambda _: [], 3)
    assert repr(job) == "Compute(work='fit', round=3, first=False, aside=False)"
    assert "007" not in repr(Send("lab", Ids(("007",))))
