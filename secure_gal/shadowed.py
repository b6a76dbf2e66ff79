"""A file that is imported in place of one of this project's packages, found before it is a riddle."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

BESIDE = ("crypto", "transport", "parties")
"""Packages that are installed beside this one; their names are generic."""


def refuse_shadows() -> None:
    """Refuse to start where another module stands before one of them on the search path, such as a notebook's own.

    Raises:
        ImportError: names the file that is in the way.
    """
    home = Path(__file__).resolve().parents[1]
    for name in BESIDE:
        spec = find_spec(name)
        found = None if spec is None or spec.origin is None else Path(spec.origin).resolve()
        due = home / name / "__init__.py"
        if found != due:
            stands = f"{found} stands in the way" if found else "it is not installed"
            raise ImportError(
                f"secure-gal needs its own package {name!r} ({due}), and {stands}: rename that file or folder, or "
                "start Python in another folder",
                name=name,
            )
