"""A lab's table and party file, and its schema as the command shows it."""

from __future__ import annotations

from pathlib import Path

from parties.commands.schema import schema_of

N = 60
ROWS = [(f"p{i}", f"{20 + i}", ["north", "south"][i % 2], ["NULL", "1", "2", "3"][i % 4]) for i in range(N)]


def write(folder: Path, rows: list[tuple[str, ...]] = ROWS, header: str = "id,age,ward,score") -> None:
    """The table `lab.csv`."""
    text = "".join(",".join(row) + "\n" for row in rows)
    (folder / "lab.csv").write_text(f"{header}\n{text}")


def show(file: Path, renew: bool = False, export: Path | None = None, take: Path | None = None) -> str:
    """What `secure-gal schema` says of a table that has no problem."""
    text, refused = schema_of(file, renew=renew, export=export, descriptor=take)
    assert not refused, refused
    return text
