"""Limits of what a party gives away that a person may go beyond: by the limit's name, with the number accepted instead.

Consent to a study never goes beyond one of them. Whoever does states it (`--beyond NAME=NUMBER`), and it stands in that
party's ledger.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from secure_gal.errors import SettingsError
from secure_gal.settings.study import Study

SUMS, OWN_SUMS, TAU, QUERIES, LABELS = "sums", "own-sums", "tau", "queries", "labels"
LIMIT = 0.1
"""T*K / sum p_m above which nothing is fitted unless a person goes beyond this limit by name. In no measured study at
or below both limits did the attacker gain more than half of the best column's variance, on average; at 0.15 it did."""
OWN_LIMIT = 0.2
"""The same of T*K / p_m of this assistor."""
LARGEST = 1e9
"""The largest number that a person may accept."""
Beyond = Mapping[str, float]
"""The name of a limit to the number that a person accepted instead; nothing is beyond a limit that is not in it."""


class Limit(NamedTuple):
    """The number that holds without a word, and what it is about."""

    usual: float
    meaning: str
    whole: bool = False
    """Whether only whole numbers make sense."""


def limits_of(study: Study, name: str) -> dict[str, Limit]:
    """The limits that party `name` of a study may go beyond."""
    limits: dict[str, Limit] = {}
    if name == study.sponsor:
        if study.protect.privatised:
            limits[LABELS] = Limit(1.0, "labels of one person that were ever released", True)
        return limits
    limits[QUERIES] = Limit(study.max_queries, "ids that were asked about in all runs on this data", True)
    if study.protect.summed:
        limits[SUMS] = Limit(LIMIT, "released sums (T*K of all runs) for each feature of all assistors")
        limits[OWN_SUMS] = Limit(OWN_LIMIT, "released sums (T*K of all runs) for each feature of this assistor")
    if study.protect.summed or study.protect.encrypted:
        from crypto.ckks.sets import named

        limits[TAU] = Limit(named(study.protect.parameter_set).tau, "reply ciphertexts of all runs on this data", True)
    return limits


def read_beyond(given: Sequence[str], limits: Mapping[str, Limit]) -> dict[str, float]:
    """Parse what stands behind each `--beyond`.

    Raises:
        SettingsError: no such limit here, or a number that does not go beyond it.
    """
    found: dict[str, float] = {}
    for text in given:
        name, _, number = text.partition("=")
        if name not in limits:
            known = ", ".join(limits) or "none, for this study and party have no such limit"
            raise SettingsError("--beyond", f"{text[:80]!r}; accepted: NAME=NUMBER, NAME one of {known}")
        try:
            found[name] = float(number)
        except ValueError:
            raise SettingsError("--beyond", f"{text[:80]!r} states no number; accepted: {name}=NUMBER") from None
        problem = beyond_problem(limits[name], found[name])
        if problem:
            raise SettingsError("--beyond", f"{text[:80]!r}: {problem}")
    return found


def beyond_problem(limit: Limit, stated: float) -> str:
    """Why a number does not go beyond a limit, or empty."""
    if limit.usual < stated <= LARGEST:
        return f"{stated:g} is no whole number" if limit.whole and stated != math.floor(stated) else ""
    return f"{stated:g} is not beyond the limit of {limit.usual:g}, or above {LARGEST:g}"
