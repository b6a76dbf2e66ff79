"""Small studies with `predictions = "sum"` in one process, whose sums are real ones, and the sponsor's attacks on them.

Fits are encrypted under the sponsor's public key, added by the aggregator's code, flooded and decrypted, so a sum has
the error that the sponsor of a networked study sees. Weights follow from the fits in the clear.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crypto.ckks.fits import MAX_VALUE, SUM, WEIGHT_BITS, Layout
from crypto.ckks.secret_sum import SumContext
from crypto.ckks.sum_calculator import SumCalculator
from crypto.ckks.sum_keys import EncryptionKey, ProductKeys
from secure_gal.attacks.columns import column_space, stacked, with_known_rows
from secure_gal.attacks.finding import r2, squared_correlation
from secure_gal.attacks.sums import recover_spaces
from secure_gal.gal.ensemble import Ensemble
from secure_gal.gal.losses import get_loss
from secure_gal.gal.split import to_unit
from secure_gal.holdings.local import LocalParty
from secure_gal.learners import make_learner
from secure_gal.protection.sums.weights import constrained_weights
from secure_gal.settings.party import LearnerSettings

ROWS, OWN = 1200, 2
MINOR = 0.1
"""How much the others' part of the label weighs where one assistor dominates."""
FLOOR = 1e-3
"""Directions of decrypted sums weaker than this are noise."""
COLUMNS = LearnerSettings()
FOURIER = LearnerSettings(features="fourier")
FRESH = LearnerSettings(features="fourier", fresh_features=True)


@dataclass(frozen=True)
class Transcript:
    """What a study was about and what its sponsor has.

    Attributes:
        columns: (N, p_m) by assistor; own: the sponsor's, (N, OWN).
        fits: the truth behind the sums, (T, A, N, 1).
        sums, residuals: (T, N, 1); weights: the assistors', (T, A).
    """

    columns: list[np.ndarray]
    own: np.ndarray
    fits: np.ndarray
    sums: np.ndarray
    residuals: np.ndarray
    weights: np.ndarray

    def attack(self, rounds: int, seed: int, draws: int = 2) -> list[float]:
        """By column of all assistors, what regression on the first `rounds` sums gains, knowing a tenth of the rows."""
        space = column_space(stacked(self.sums[:rounds]), floor=FLOOR)
        columns = np.hstack(self.columns)
        names = [str(j) for j in range(columns.shape[1])]
        found = with_known_rows(columns, space, self.own, names, seed=seed, repeats=draws)
        return [f.gain.value for f in found]

    def single_fits(self, rounds: int, width: int, seed: int) -> tuple[float, float]:
        """R2 of the assistors' fits of round `rounds`, by solving for spaces of this width, and by the sum alone."""
        spaces = recover_spaces(
            self.sums[:rounds],
            self.residuals[:rounds],
            self.weights[:rounds],
            [width] * len(self.columns),
            seed=seed,
            floor=FLOOR,
        )
        truth, residual = self.fits[rounds - 1, :, :, 0], self.residuals[rounds - 1, :, 0]
        solved = [r2(fit, u @ (u.T @ residual)) for fit, u in zip(truth, spaces, strict=True)]
        correlated = [abs(squared_correlation(fit, self.sums[rounds - 1, :, 0])) for fit in truth]
        return float(np.mean(solved)), float(np.mean(correlated))


class Ring:
    """All parties' sides of real sums, in one process."""

    def __init__(self) -> None:
        self._cipher = SumContext.generate(SUM)
        self._key = EncryptionKey(self._cipher.public_keys(0))
        self._adder = SumCalculator(ProductKeys(self._cipher.public_keys(0, combines=True)))

    def weighted_sum(self, fits: Sequence[np.ndarray], weights: np.ndarray, scale: float) -> np.ndarray:
        """sum_m w_m f_m (N, 1) as the sponsor decrypts it; fits are encrypted in units of `scale`."""
        rows, outputs = fits[0].shape
        layout, none = Layout(rows, 0, outputs), np.zeros((0, outputs))
        sealed = [layout.split(self._key.encrypt(fit / scale, none, MAX_VALUE)) for fit in fits]
        replies = self._adder.weighted_sum(sealed, np.round(weights * 2**WEIGHT_BITS).astype(int).tolist())
        return self._cipher.decrypt_sum(replies, layout, "aggregator") * scale


def record(
    ring: Ring,
    widths: Sequence[int],
    dominant: bool,
    learner: LearnerSettings,
    rounds: int,
    seed: int,
    rows: int = ROWS,
) -> Transcript:
    """A study of so many rounds; assistors' columns have exponential distributions, the label two classes.

    Args:
        widths: columns of each assistor.
        dominant: whether the first assistor is what the label depends on, the others MINOR as much.
        learner: of every assistor; the sponsor's is linear on its columns.
        seed: of data, label and maps.
    """
    rng = np.random.default_rng(seed)
    columns = [standard(rng.exponential(size=(rows, p))) for p in widths]
    own = rng.standard_normal((rows, OWN))
    score = 0.5 * own @ rng.standard_normal(OWN) + 0.5 * rng.standard_normal(rows)
    for m, x in enumerate(columns):
        score += (MINOR if dominant and m else 1.0) * standard(x @ rng.standard_normal(x.shape[1]))
    names = tuple(f"p{m}" for m in range(len(widths) + 1))
    everyone = np.ones(rows, dtype=bool)
    y = (score > np.median(score)).astype(np.int64)
    ensemble = Ensemble(
        get_loss("cross_entropy", 1), y, everyone, "classification", names, "fitted", "search", rounds, rounds, "l2"
    )
    parties = [
        LocalParty(
            name,
            x,
            everyone,
            make_learner(LearnerSettings() if m == 0 else learner, Path.cwd(), seed=100 * seed + m),
            seed,
        )
        for m, (name, x) in enumerate(zip(names, [own, *columns], strict=True))
    ]
    seen: list[tuple[np.ndarray, ...]] = []
    for t in range(1, rounds + 1):
        residual = ensemble.residual()
        fits = [party.fit_round(t, residual)[1].astype(np.float64) for party in parties]
        differences = np.stack([(fit - residual).ravel() for fit in fits], axis=1)
        w = constrained_weights(differences.T @ differences, list(range(1, len(fits))))
        total = ring.weighted_sum(fits[1:], w[1:], to_unit(residual)[1])
        ensemble.advance(w, {"sum": w[0] * fits[0] + total})
        seen.append((np.stack(fits[1:]), total, residual, w[1:]))
    return Transcript(columns, own, *(np.stack(part) for part in zip(*seen, strict=True)))


def standard(x: np.ndarray) -> np.ndarray:
    """Mean 0 and deviation 1 a column."""
    return np.asarray((x - x.mean(axis=0)) / x.std(axis=0))
