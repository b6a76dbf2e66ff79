"""What the pictures of these pages share: texts and lines in SVG, and a file that is written or only compared."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from html import escape
from pathlib import Path

TIP = 'marker-end="url(#tip)"'
"""An arrow's head at a line's end."""


def text(x: float, y: float, said: str, size: int, more: str = "") -> str:
    """Text around x, with its baseline at y."""
    return f'<text x="{x:g}" y="{y:g}" font-size="{size}" text-anchor="middle"{more}>{escape(said)}</text>'


def line(points: str, ends: str) -> str:
    """A line by way of "x,y x,y ..."."""
    return f'<polyline points="{points}" fill="none" stroke="black" stroke-width="1.6" {ends}/>'


def picture(width: int, height: int, label: str, body: list[str]) -> str:
    """The whole file, white below what is drawn; `label` is for who cannot see it."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
        f'role="img" aria-label="{escape(label)}">\n'
        '<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" '
        'orient="auto-start-reverse"><path d="M0 0 10 5 0 10z"/></marker></defs>\n'
        f'<rect width="{width}" height="{height}" fill="white"/>\n' + "\n".join(body) + "\n</svg>\n"
    )


def main(file: Path, drawn: Callable[[], str], module: str) -> int:
    """Write the picture, or with `--check` only compare; 1 where it is stale."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}")
    parser.add_argument("--check", action="store_true", help="change nothing; fail where the picture is stale")
    check = parser.parse_args().check
    if file.exists() and file.read_text() == drawn():
        return 0
    print(f"{file}: {f'stale; run python -m {module}' if check else 'written'}")
    if not check:
        file.write_text(drawn())
    return 1 if check else 0
