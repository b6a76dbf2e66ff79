"""Whether the parties' states of a file hold what predictions read: somebody may have renamed or left out entries."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from secure_gal.estimator.fitted import Fitted, PartyFitted

SERVES = b"serving"
"""The phase of an assistor that has learnt."""


def missing_of(fitted: Fitted) -> str:
    """The first entry that is missing or of another kind, with whose it is; empty where all are there."""
    sponsor, assistors = fitted.sponsor, fitted.parties[1:]
    for part, entries in ((sponsor, _of_sponsor(fitted)), *((one, _of_assistor(fitted, one)) for one in assistors)):
        for entry, kind in entries:
            if not isinstance(part.state.get(entry), kind):
                return f"{part.name}, {entry}"
    waiting = next((one.name for one in assistors if one.state["phase"] != SERVES), "")
    return f"{waiting}, phase {SERVES.decode()!r}" if waiting else ""


Needed = Iterator[tuple[str, type]]


def _of_sponsor(fitted: Fitted) -> Needed:
    part, protect = fitted.sponsor, fitted.study.protect
    yield "encoder", bytes
    for name in ("ensemble/F0", "ensemble/history", "own-coefficients", "rows", "train"):
        yield name, np.ndarray
    yield from _models(part, "own-coefficients")
    if len(fitted.parties) == 1:
        return
    yield "run", bytes
    if protect.keyed:
        for name in fitted.study.assistors:
            yield f"scale/{name}", np.ndarray


def _of_assistor(fitted: Fitted, part: PartyFitted) -> Needed:
    protect = fitted.study.protect
    for name in ("phase", "encoder"):
        yield name, bytes
    if protect.keyed:
        yield "keys", bytes
    if protect.encrypted:
        yield "head", bytes
    else:
        yield "coefficients", np.ndarray
        yield from _models(part, "coefficients")


def _models(part: PartyFitted, coefficients: str) -> Needed:
    """One a kept round, of a party that learns."""
    if part.learner.kind == "none":
        return
    for number in range(1, len(np.atleast_1d(part.state[coefficients])) + 1):
        yield f"model/{number:04d}", bytes
