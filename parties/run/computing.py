"""What a party computed with and for how long: for its own eyes, kept in its own run directory, never sent."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from parties.report.rounds import write_atomically
from parties.run.progress import Progress
from parties.run.store import RunStore
from secure_gal import events
from secure_gal.effects import Job

if TYPE_CHECKING:
    from secure_gal.holdings.party import PartyHolding

FILE = "computing.json"
"""At every party as rounds go by; in the sponsor's summary.json it stands under `computing`."""


class Computing:
    """Follows the jobs of a party's compute thread; seconds add up over restarts, and a repeated job's are added.

    Args:
        store: of the run directory.
        model: whose learner is described.
        progress: is told the learner, its device and precision once they are known.
    """

    def __init__(self, store: RunStore, model: PartyHolding, progress: Progress) -> None:
        self._store, self._model, self._progress = store, model, progress
        self._seconds = _seconds(store)
        self._said: events.LearnerUsed | None = None
        if self._seconds:  # a process that died may have noted more than it wrote down
            write_atomically(store.path / FILE, as_text(store))

    def add(self, job: Job, seconds: float) -> None:
        """Take in a finished job: fits are kept by round, everything else by what it is about."""
        key = f"fit/{job.round}" if job.work == "fit" else job.work
        self._seconds[key] = self._seconds.get(key, 0.0) + seconds
        if self._model.seconds_for_features:
            self._seconds["features"] = self._model.seconds_for_features
        self._store.note({"computing": json.dumps(self._seconds)})

    def tell(self, job: Job) -> None:
        """Once what a job led to is on its way: say what it was computed with, and write it down for people."""
        if job.work in ("prepare", "fit"):
            self._say()
            write_atomically(self._store.path / FILE, as_text(self._store))

    def _say(self) -> None:
        known = self._model.computed_with
        if self._model.study.protect.keyed:
            from crypto.ckks import faster  # no study in the clear loads it

            known = known | {"ciphertexts": faster.said()}
        self._store.note({"computed-with": json.dumps(known)})
        learner = events.LearnerUsed(known["kind"], *map(known.get, ("features", "device", "precision", "values")))
        if learner != self._said:
            self._said = learner
            self._progress.show(learner)


def _seconds(store: RunStore) -> dict[str, float]:
    saved: dict[str, float] = json.loads(store.meta("computing") or "{}")
    return saved


def phases(store: RunStore) -> dict[str, float]:
    """Seconds by phase: prepare, fit (of all rounds), alone and whatever else ran. `features` is not among them: it
    is a part of `prepare` in an encrypted study, of the first fit otherwise."""
    sums: dict[str, float] = {}
    for key, seconds in _seconds(store).items():
        if key != "features":
            phase = key.partition("/")[0]
            sums[phase] = round(sums.get(phase, 0.0) + seconds, 3)
    return sums


def record(store: RunStore) -> dict[str, object]:
    """Learner, device, precision, features and SEAL in words; seconds of encoding rows, of features, of each fit."""
    seconds, known = _seconds(store), json.loads(store.meta("computed-with") or "{}")
    fits = {int(key.partition("/")[2]): round(s, 3) for key, s in seconds.items() if key.startswith("fit/")}
    parts = {name: round(seconds[name], 3) for name in ("prepare", "features", "alone") if name in seconds}
    return {**known, "seconds": parts | {"fit": [fits[t] for t in sorted(fits)]}}


def as_text(store: RunStore) -> str:
    """computing.json."""
    return json.dumps(record(store), indent=2) + "\n"
