"""Imports go one way, so that a reader knows where a thing can happen."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OURS = {"secure_gal", "crypto", "transport", "parties"}
ALLOWED = {
    "crypto": {"crypto"},
    "transport": {"secure_gal.errors", "secure_gal.messages", "crypto", "transport"},
    "secure_gal": {"secure_gal", "crypto"},
    "parties": OURS,
}

OF_THE_PRODUCT = re.compile(
    r"\b(sponsors?|assistors?|aggregators?|stud(y|ies)|peers?|part(y|ies)|run_dir|manifests?|settings|tomls?|secure_gal)\b"
    r"|\[(protect|learner|audit)\]|\[data\] |secure-gal (keygen|trust|check|train|assist)|--[a-z]+",
    re.IGNORECASE,
)
"""Roles, settings and commands that no primitive knows; labels such as `secure-gal/1 card` are bytes on the wire."""


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inside = (ROOT / node.module.replace(".", "/")).is_dir()
            found |= {f"{node.module}.{alias.name}" if inside else node.module for alias in node.names}
    return {name for name in found if name.split(".")[0] in OURS}


LAYERS: tuple[tuple[str, ...], ...] = (
    ("errors", "shadowed"),
    ("options", "registry", "factories"),
    ("settings",),
    ("measures",),
    ("messages",),
    ("events", "effects", "state", "phases"),
    ("gal",),
    ("data",),
    ("labels", "features", "learners"),
    ("holdings",),
    ("protection",),
    ("protocol",),
    ("manifest", "attacks", "volume"),
    ("forecast",),
    ("estimator",),
)
"""Folders and files of secure_gal: each imports its own layer and those above it in this list, for types as well."""


def test_layers_of_secure_gal_name_every_folder_and_file() -> None:
    there = {p.stem for p in (ROOT / "secure_gal").iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()}
    assert there - {"__init__"} == {name for layer in LAYERS for name in layer}


@pytest.mark.parametrize("layer", [name for layer in LAYERS for name in layer])
def test_layers_of_secure_gal_go_one_way(layer: str) -> None:
    level = {name: number for number, names in enumerate(LAYERS) for name in names}
    place = ROOT / "secure_gal" / layer
    for path in place.rglob("*.py") if place.is_dir() else [place.with_suffix(".py")]:
        for name in imports(path):
            package, _, rest = name.partition(".")
            other = rest.partition(".")[0]
            if package == "secure_gal" and other in level:
                assert level[other] <= level[layer], f"{path.relative_to(ROOT)} imports {name}"


@pytest.mark.parametrize("package", sorted(OURS))
def test_imports_go_one_way(package: str) -> None:
    for path in (ROOT / package).rglob("*.py"):
        for name in imports(path):
            allowed = any(name == rule or name.startswith(f"{rule}.") for rule in ALLOWED[package])
            assert allowed, f"{path.relative_to(ROOT)} imports {name}"


@pytest.mark.parametrize("package", ["secure_gal", "parties"])
def test_scipy_and_scikit_learn_are_imported_where_they_are_used(package: str) -> None:
    """Together they take as long to import as all of `check` may: a module that does so would be felt there."""
    for path in (ROOT / package).rglob("*.py"):
        if path.parent.name == "estimator":  # it is one of scikit-learn's classes, and no command imports it
            continue
        found = re.search(r"^(?:from|import) (scipy|sklearn)\b", path.read_text(), re.MULTILINE)
        assert not found, f"{path.relative_to(ROOT)} imports {found[1] if found else ''} for all of the module"


def test_primitives_know_no_party_no_field_and_no_command() -> None:
    """What a primitive finds is neutral; whose fault it is, and which field it comes from, its caller says."""
    for path in (ROOT / "crypto").rglob("*.py"):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            found = OF_THE_PRODUCT.search(line)
            assert not found, f"{path.relative_to(ROOT)}, line {number} speaks of {found.group() if found else ''}"


def test_no_file_is_longer_than_300_lines() -> None:
    long = [path for path in ROOT.glob("[!.]*/**/*.py") if len(path.read_text().splitlines()) > 300]
    assert not long, "split them by concept"


def test_no_line_is_kept_from_the_formatter() -> None:
    said = re.compile(r"#\s*fmt:\s*(skip|off)\b")
    kept = [path for path in ROOT.glob("[!.]*/**/*.py") if said.search(path.read_text())]
    assert not kept, "let it have its way"
    assert said.search("x = {\n}  # " + "fmt: skip\n")


LONGEST = 50
"""Lines of a function, with its signature and docstring, and with what is defined inside it."""


def long_functions(text: str) -> list[str]:
    """Names of the functions and methods of a file that are longer than that."""
    found = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return [node.name for node in found if (node.end_lineno or 0) - node.lineno >= LONGEST]


def test_no_function_is_longer_than_50_lines() -> None:
    long = {str(path.relative_to(ROOT)): long_functions(path.read_text()) for path in ROOT.glob("[!.]*/**/*.py")}
    assert not {path: names for path, names in long.items() if names}, "split them by concept"
    assert not long_functions("def f():\n" + "    x = 1\n" * 49)
    assert long_functions("class A:\n  async def f(self):\n" + "    x = 1\n" * 50) == ["f"]


def imported_tests(path: Path) -> set[str]:
    """Dotted names of the files of tests that a file imports, whole or in part."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if re.fullmatch(r"tests\.(\w+\.)*test_\w+", name)}


def test_no_test_imports_another_one(tmp_path: Path) -> None:
    """What tests share lies in tests/support: a file of tests can be run, moved or split alone."""
    for path in (ROOT / "tests").rglob("*.py"):
        assert not imported_tests(path), f"{path.relative_to(ROOT)} imports another file of tests"
    control = tmp_path / "control.py"
    control.write_text("from tests.protocol import test_wire\nfrom tests.test_psi import N\nimport tests.test_all\n")
    assert imported_tests(control) == {"tests.protocol.test_wire", "tests.test_psi", "tests.test_all"}


@pytest.mark.parametrize("top", ["secure_gal", "parties", "crypto"])
def test_unit_tests_lie_as_what_they_test_does(top: str) -> None:
    """A file beside the folders is about a file beside them, or about several folders at once."""
    folders = {folder.name for folder in (ROOT / "tests" / "unit" / top).iterdir() if any(folder.glob("test_*.py"))}
    assert folders and folders <= {
        folder.name for folder in (ROOT / top).iterdir() if (folder / "__init__.py").exists()
    }


def test_mypy_reads_every_package() -> None:
    """Whoever renames something is told of what benchmarks and examples make of it."""
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]["packages"]
    assert sorted(packages) == sorted(path.parent.name for path in ROOT.glob("*/__init__.py"))
