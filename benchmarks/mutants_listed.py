"""The mutants to judge: protections removed by name, edits drawn at random, and which of them nothing can tell."""

from __future__ import annotations

import hashlib
import json
import tomllib
from dataclasses import dataclass
from pathlib import Path

from benchmarks.mutants_drawn import draw

ROOT = Path(__file__).resolve().parent.parent
KEPT = Path(__file__).with_name("removed_protections.toml")
EQUIVALENT = Path(__file__).with_name("equivalent_mutants.toml")


@dataclass(frozen=True)
class Mutant:
    """One edit: `old`, which begins at offset `at` of the file, becomes `new`."""

    name: str
    file: str
    at: int
    old: str
    new: str
    first: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """Of the edit in its file as it is: another text of the file is another mutant."""
        body = json.dumps([hashlib.sha256((ROOT / self.file).read_bytes()).hexdigest(), self.at, self.old, self.new])
        return hashlib.sha256(body.encode()).hexdigest()[:16]

    def lines(self) -> tuple[int, int]:
        """The first and the last line that the edit touches."""
        first = (ROOT / self.file).read_text()[: self.at].count("\n") + 1
        return first, first + self.old.count("\n")

    def apply(self, folder: Path) -> str:
        """Edit the file in a copy of the tree; returns the text as it was."""
        path = folder / self.file
        text = path.read_text()
        assert text[self.at : self.at + len(self.old)] == self.old
        path.write_text(text[: self.at] + self.new + text[self.at + len(self.old) :])
        return text


def kept() -> list[Mutant]:
    """The removed protections.

    Raises:
        SystemExit: a snippet does not stand in its file exactly once: the list must follow the code.
    """
    found, wrong = [], []
    for entry in tomllib.loads(KEPT.read_text())["protection"]:
        text = (ROOT / entry["file"]).read_text()
        if text.count(entry["old"]) != 1 or entry["old"] == entry["new"]:
            wrong.append(f"{entry['name']}: its snippet stands {text.count(entry['old'])} times in {entry['file']}")
            continue
        at = text.index(entry["old"])
        compile(text[:at] + entry["new"] + text[at + len(entry["old"]) :], entry["file"], "exec")
        found.append(
            Mutant(entry["name"], entry["file"], at, entry["old"], entry["new"], tuple(entry.get("first", ())))
        )
    if wrong:
        raise SystemExit("removed_protections.toml no longer fits the code:\n" + "\n".join(wrong))
    return found


def drawn(count: int, seed: int) -> list[Mutant]:
    """Random mutants, the same for the same code and seed."""
    edits = draw(ROOT, count, seed)
    return [Mutant(edit.what, edit.file, edit.at, edit.old, edit.new) for edit in edits]


Place = tuple[str, str, str, str, str]
"""File, the line before, the same line up to the edit, old, new."""


def equivalents() -> dict[Place, str]:
    """Reasons by place."""
    if not EQUIVALENT.exists():
        return {}
    entries = tomllib.loads(EQUIVALENT.read_text()).get("mutant", [])
    return {(e["file"], e["after"], e["left"], e["old"], e["new"]): e["why"] for e in entries}


def place(mutant: Mutant) -> Place:
    """What an equivalent mutant is known by."""
    *_, before, left = ["", *(ROOT / mutant.file).read_text()[: mutant.at].split("\n")]
    return mutant.file, before.strip(), left.strip(), mutant.old, mutant.new
