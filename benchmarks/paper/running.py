"""Where a run lies that can go on after it was killed: a folder of its own under that of the results.

It is called by the case, the seed and a digest of all that the run hangs on, so that a changed case or another release
begins anew. It is removed once its line of results is written.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from pathlib import Path

from benchmarks.paper import results
from benchmarks.paper.case import Case

FOLDER = "running"
DONE = ".done"
"""Of a run whose line is written: what is left of it goes."""
NOTE_SECONDS = 5.0
"""How often what was spent is noted: of one that is killed so much is not counted."""
DIGITS = 12
"""Of the digest."""


def goes_on(case: Case, quick: bool) -> bool:
    """Whether a run may take hours, and so is played by a process a party: through ciphertexts, with feature maps.
    Others, and those of `--quick`, take seconds to a minute, to which processes would add half a minute of CPU."""
    return case.mode in ("ckks", "sum") and case.learner in ("heads", "auto") and not quick


def place(out: Path, case: Case, seed: int, quick: bool) -> Path:
    """The folder of a run, there or not."""
    covered = results.key(case, seed, quick) + results.versions()["secure-gal"]
    digest = hashlib.sha256(covered.encode()).hexdigest()[:DIGITS]
    return out / FOLDER / f"{case.name.replace('/', '+')}+{seed}+{digest}"


def remove(path: Path) -> None:
    """A run whose line is written is over, also where this process dies on the way."""
    if path.exists():
        path.rename(path.with_name(path.name + DONE))
    sweep(path.parents[1])


def sweep(out: Path) -> None:
    """What removals that were killed have left of runs; and the folder of all of them, once it is empty."""
    folder = out / FOLDER
    for done in folder.glob(f"*{DONE}"):
        shutil.rmtree(done)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


class Running:
    """A run under way.

    Attributes:
        path: its folder; `begun`: there since an earlier start.
        spent: what it took, with earlier starts.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.begun = path, path.is_dir()
        self._file, self._noted = path / "spent.json", time.monotonic()
        before = json.loads(self._file.read_text()) if self._file.exists() else {}
        self.spent = results.Spent(before.get("wall", 0.0), before.get("cpu", 0.0))
        self._first = before.get("commit", results.commit())

    def note(self, *, now: bool = False) -> None:
        """Keep what was spent, so that it counts after a kill; call often."""
        if not now and time.monotonic() - self._noted < NOTE_SECONDS:
            return
        self._noted = time.monotonic()
        self.spent.stop()
        known = {"wall": self.spent.wall, "cpu": self.spent.cpu, "commit": self._first}
        part = self._file.with_suffix(".part")
        part.write_text(json.dumps(known))
        os.replace(part, self._file)

    @property
    def commit(self) -> str:
        """Of the code that runs; `A..B` where it began with A."""
        last = results.commit()
        return last if self._first == last else f"{self._first}..{last}"
