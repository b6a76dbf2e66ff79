"""Arguments and options that several commands take, and how they are read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

PartyFile = Annotated[Path, typer.Argument(metavar="PARTY.toml", help="This party's own settings file.")]
Home = Annotated[Path, typer.Option("--home", help="Folder with this party's key and pinned cards.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object a line, for scripts.")]

Beyond = Annotated[
    list[str] | None,
    typer.Option(
        "--beyond",
        metavar="NAME=NUMBER",
        help="Go beyond the limit of this name, up to this number; written into the ledger. Repeatable.",
    ),
]


def bare_consent(arguments: list[str]) -> list[str]:
    """`--consent` without a digest becomes `--consent=`: Typer has no options whose value may be left out."""
    pairs = zip(arguments, [*arguments[1:], "--"], strict=False)
    return [f"{word}=" if word == "--consent" and after.startswith("-") else word for word, after in pairs]
