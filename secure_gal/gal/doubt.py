"""Fits that no honest party gives, as far as the sponsor can tell: they get no weight in their round, and it is said.

A value of a training row that its fit "has not seen" is its sender's own word. What a sender cannot know is the
residual of a held-out row, which is never sent; so where rows are held out, what a fit says of them is what its word is
worth (decision 23, which also says what this cannot find). With encrypted residuals some training rows are kept back
from assistors as well (`told_rows`): a ciphertext does not show that a residual is 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from secure_gal.gal.split import derive_seed

Doubt = Literal["too-large", "copied", "only-where-told"]
LASTING: tuple[Doubt, ...] = ("copied", "only-where-told")
"""After which a party gets no weight in later rounds either: once F has taken in a lie, the next one shows less."""
LARGEST = 100.0
"""|f| of a training row, in units of the largest residual, beyond which a fit has diverged: a ridge stays below 1, a
leave-one-out value is divided by 0.05 at least."""
COPY = 0.9999
"""Cosine of fit and residual over the training rows from which the one is taken for the other."""
FEWEST = 30
"""Rows below which neither a cosine nor a difference says anything."""
DEVIATIONS = 5.0
"""Standard errors by which a fit must say less of held-out rows than of training rows: chance does so in 3 of 10^7."""
LEAST_SHARE = 0.5
"""Of what a fit says of training rows, which it must say of held-out rows at least: what a longer fit or the
second-order optimism of out-of-fold values changes is far from this, however many rows make it significant."""


FAR = 6.0
"""Standard deviations from the mean beyond which a part of a new row is unusual, where no row that was learnt from has
one as far out."""
ABSURD = 3.0
"""Times as far, beyond which a part says nothing that was learnt."""
UNUSUAL = "an assistor's part far outside those of all rows that were learnt from"
LIKELY = (
    "people unlike any before, columns that have changed there since, or a party that answers wrongly. Such a part "
    f"counts as the furthest of those rows, and one {ABSURD:g} times as far as the party's mean part"
)
"""What a person is told of a row that has one."""


KEPT_BACK, LEAST_KEPT_BACK, MOST_KEPT_BACK = 0.05, 60, 500
"""Share of the training rows that is kept back from assistors, and bounds of their number."""
FEW_ROWS = 400
"""Training rows below which none is kept back: every one is needed to learn."""


def told_rows(train: npt.NDArray[np.bool_], seed: int) -> npt.NDArray[np.bool_]:
    """Training rows, mask (N,), without those whose residual is kept back from all assistors in all rounds.

    Which these are is no secret: what an assistor says of them it can only have from its own columns.

    Args:
        train: mask (N,); seed: the study's.
    """
    rows, mask = np.flatnonzero(train), train.copy()
    if len(rows) >= FEW_ROWS:
        count = round(np.clip(KEPT_BACK * len(rows), LEAST_KEPT_BACK, MOST_KEPT_BACK))
        rng = np.random.default_rng(derive_seed("kept back", seed))
        mask[rng.choice(rows, count, replace=False)] = False
    return mask


class Rows(NamedTuple):
    """Residuals of told rows (n, K), as they were sent, and of all others (n', K), which never are."""

    sent: npt.NDArray[np.float32]
    kept_back: npt.NDArray[np.float32]


def doubts(
    rows: Rows, fits: Mapping[str, npt.NDArray[np.float32]], told: npt.NDArray[np.bool_], out_of_fold: bool
) -> dict[str, Doubt]:
    """By party why its fit (N, K) of this round is set aside; none of those that may be honest.

    Args:
        told: mask (N,) of the rows sent.
        out_of_fold: whether values of training rows are said to come from fits that have not seen them, so that they
            may not explain these rows alone.
    """
    found = {party: _doubt(rows, fit[told], fit[~told], out_of_fold) for party, fit in fits.items()}
    return {party: why for party, why in found.items() if why is not None}


def _doubt(
    rows: Rows, told: npt.NDArray[np.float32], untold: npt.NDArray[np.float32], out_of_fold: bool
) -> Doubt | None:
    if np.abs(told).max(initial=0.0) > LARGEST * np.abs(rows.sent).max(initial=0.0):
        return "too-large"
    if not out_of_fold or len(told) < FEWEST:
        return None
    here = _explained(rows.sent, told)
    lengths = float(np.linalg.norm(rows.sent.astype(np.float64)) * np.linalg.norm(told.astype(np.float64)))
    if here.sum() > COPY * lengths:
        return "copied"
    there = _explained(rows.kept_back, untold)
    if len(there) < FEWEST or here.mean() <= 0 or there.mean() >= LEAST_SHARE * here.mean():
        return None
    error = float(np.sqrt(here.var() / len(here) + there.var() / len(there)))
    return "only-where-told" if here.mean() - there.mean() > DEVIATIONS * error else None


def beyond(learnt: npt.NDArray[np.float32], parts: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Which new rows (n,) have a part (n, K) of a party that is unlike its parts (N, K) of the rows learnt from."""
    centre, furthest = _range(learnt)
    return np.asarray((np.abs(parts - centre) > furthest).any(axis=1))


def credible(learnt: npt.NDArray[np.float32], parts: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The parts (n, K) that count: no further out than those of the rows learnt from, and at the mean of these where
    one is ABSURD times as far: a prediction without that party. Each row by itself, whoever else is in its batch."""
    centre, furthest = _range(learnt)
    counted = np.clip(parts, centre - furthest, centre + furthest)
    absurd = (np.abs(parts - centre) > ABSURD * furthest).any(axis=1, keepdims=True)
    return np.where(absurd, centre, counted)


def _range(learnt: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Mean of a party's parts (N, K), (K,), and how far from it one is like them."""
    centre, spread = learnt.mean(axis=0, dtype=np.float64), learnt.std(axis=0, dtype=np.float64)
    return centre, np.maximum(np.abs(learnt - centre).max(axis=0), FAR * spread)


def _explained(residual: npt.NDArray[np.float32], fit: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """sum_k r_ik f_ik of each row (n,): what a small step along the fit takes off its loss."""
    return np.asarray((residual.astype(np.float64) * fit).sum(axis=1))
