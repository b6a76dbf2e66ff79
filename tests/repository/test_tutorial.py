"""The tutorial's code runs from its first cell to its last, and shows what its text says."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

from docs import notebook_page


def run(cell: str, names: dict[str, Any]) -> Any:
    """What a notebook shows under the cell: the value of its last line, if that is an expression."""
    tree = ast.parse(cell)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), names)  # noqa: S102, the project's own tutorial
    return eval(compile(ast.Expression(last.value), "cell", "eval"), names) if isinstance(last, ast.Expr) else None  # noqa: S307


def test_the_tutorial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    names: dict[str, Any] = {}
    shown = [run(cell, names) for cell in notebook_page.code()]
    assert names["gal"].verdict_ in capsys.readouterr().out
    assert names["hidden"].score([names["hospital"], names["laboratory"]], names["labels"]) > 0.9
    assert min(names["scores"]) > 0.95 and shown[-1]


def test_the_page_has_every_cell_once() -> None:
    page = notebook_page.page()
    assert page.startswith("# Tutorial") and page.count("```python") == len(notebook_page.code())
    assert all(text in page for _, text in notebook_page.cells())
