"""Imports go one way, so that a reader knows where a thing can happen."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OURS = {"secure_gal", "crypto", "transport", "parties"}
ALLOWED = {
    "crypto": {"secure_gal.errors", "crypto"},
    "transport": {"secure_gal.errors", "secure_gal.messages", "crypto", "transport"},
    "secure_gal": {"secure_gal", "crypto"},
    "parties": OURS,
}


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inside = (ROOT / node.module.replace(".", "/")).is_dir()
            found |= {f"{node.module}.{alias.name}" if inside else node.module for alias in node.names}
    return {name for name in found if name.split(".")[0] in OURS}


@pytest.mark.parametrize("package", sorted(OURS))
def test_imports_go_one_way(package: str) -> None:
    for path in (ROOT / package).rglob("*.py"):
        for name in imports(path):
            allowed = any(name == rule or name.startswith(f"{rule}.") for rule in ALLOWED[package])
            assert allowed, f"{path.relative_to(ROOT)} imports {name}"
