"""The leakage meter: a party scores what it gave away against its own truth, before anyone else does.

Attacks that need another party's data run in `benchmarks.privacy`; here the attacker has only the messages and, where
stated, a tenth of the truth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from secure_gal.attacks import columns as column_inference
from secure_gal.attacks import labels as label_inference
from secure_gal.attacks.finding import Array, Finding
from secure_gal.errors import DataError, SettingsError

FEWEST_ROWS = 20
"""Rows below which intervals would say nothing."""


@dataclass(frozen=True)
class Leakage:
    """All findings, and the verdict of a gate.

    Attributes:
        findings: one an attack and target.
        threshold: the largest leak that is acceptable, 0 to 1; None without a gate.
    """

    findings: tuple[Finding, ...]
    threshold: float | None = None

    @property
    def exceeded(self) -> tuple[Finding, ...]:
        """Findings whose leak is not shown to be at most the threshold: the upper end of its interval lies above it."""
        if self.threshold is None:
            return ()
        return tuple(f for f in self.findings if not f.leak.high <= self.threshold)

    @property
    def ok(self) -> bool:
        """Whether the gate is open."""
        return not self.exceeded

    def rows(self) -> list[dict[str, str | float | bool | None]]:
        """One flat mapping a finding, worst leak first, for a table and for JSON; `exceeds` is None without a gate."""
        worst = sorted(self.findings, key=lambda f: -f.leak.value)
        gate = None if self.threshold is None else set(self.exceeded)
        return [f.row() | {"exceeds": None if gate is None else f in gate} for f in worst]


def label_leakage(
    labels: npt.NDArray[Any],
    sent: npt.NDArray[Any],
    *,
    threshold: float | None = None,
    seed: int = 0,
    repeats: int = label_inference.REPEATS,
) -> Leakage:
    """What a sponsor gave away of its labels.

    Args:
        labels: true labels of the rows that train: class codes int (N,), or float (N,) for regression.
        sent: residuals by round as an assistor could read them, (T, N, K). Of encrypted residuals that is
            `ciphertexts.row_features` by round: their numbers are searched like residuals by `byte_leakage`.
        threshold: largest acceptable leak, 0 to 1.

    Raises:
        DataError, SettingsError: arrays that do not fit together; a threshold that is none.
    """
    _check(labels, sent, threshold)
    findings = label_inference.label_attacks(_codes(labels), sent, None, seed=seed, repeats=repeats)
    return Leakage(tuple(findings), threshold)


def byte_leakage(
    labels: npt.NDArray[Any],
    sent: npt.NDArray[Any],
    *,
    threshold: float | None = None,
    seed: int = 0,
    repeats: int = label_inference.REPEATS,
) -> Leakage:
    """What a sponsor gave away of its labels in messages without a readable sign, such as ciphertexts.

    Args:
        sent: numbers by round and row, (T, N, d); the rest as for `label_leakage`.
    """
    _check(labels, sent, threshold)
    codes, received = _codes(labels), column_inference.stacked(sent)
    findings = [label_inference.with_known_labels(codes, received, None, seed=seed, repeats=repeats)]
    if label_inference.is_classes(codes):
        findings.append(label_inference.clustering(codes, received, None, rounds="all", seed=seed))
    return Leakage(tuple(findings), threshold)


def column_leakage(
    columns: Array,
    sent: npt.NDArray[Any],
    names: Sequence[str],
    *,
    threshold: float | None = None,
    seed: int = 0,
    repeats: int = label_inference.REPEATS,
) -> Leakage:
    """What an assistor gave away of its columns.

    Args:
        columns: its encoded rows, (N, p), one name a column; constant columns are left out.
        sent: fitted values by round, (T, N, K), as the sponsor reads them: after decryption.
        threshold, errors: as for `label_leakage`.
    """
    _check(columns, sent, threshold)
    if columns.ndim != 2 or columns.shape[1] != len(names):
        raise DataError("leakage", f"columns of shape {columns.shape} with {len(names)} names")
    told = np.flatnonzero(columns.std(axis=0) > 0)
    chosen = [names[int(j)] for j in told]
    findings = column_inference.column_attacks(columns[:, told], sent, None, chosen, seed=seed, repeats=repeats)
    return Leakage(tuple(findings), threshold)


def _codes(labels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return labels.astype(np.float64).ravel() if not label_inference.is_classes(labels) else labels.astype(np.int64)


def _check(truth: npt.NDArray[Any], sent: npt.NDArray[Any], threshold: float | None) -> None:
    if sent.ndim != 3 or not len(sent) or sent.shape[1] != len(truth):
        raise DataError(
            "leakage", f"messages of shape {sent.shape} over {len(truth)} rows; due is (rounds, rows, values)"
        )
    if len(truth) < FEWEST_ROWS:
        raise DataError("leakage", f"{len(truth)} rows; fewer than {FEWEST_ROWS} say nothing")
    if not (np.isfinite(truth).all() and np.isfinite(sent).all()):
        raise DataError("leakage", "a value is not finite")
    if threshold is not None and not 0.0 <= threshold <= 1.0:
        raise SettingsError("leakage", f"threshold {threshold}; accepted: 0 to 1")
