"""Cross-entropy on labels that went through randomised response, corrected for the known chance of a change.

Forward correction (Patrini et al., CVPR 2017, theorem 2): with s = softmax(F) and T the release probabilities, fit
m = T s to the released labels. Its minimiser over all F is that of the true labels, so outputs and probabilities keep
their meaning. By Fisher's identity the pseudo-residual is (posterior of the true class given release and F) - s. It is
bounded by 1, and so is the loss from below, unlike the unbiased loss (Natarajan et al., NeurIPS 2013; decision 7).
It is not convex in F, so Theorem 1 of GAL does not cover it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from secure_gal.gal.links import logistic, softmax
from secure_gal.gal.losses import Array, Loss, Weights

SMALLEST_SHARE = 0.01
"""F^0 gives no class a prior below this share of 1/K: its log must be finite, its gradient not vanish."""


@dataclass(frozen=True, slots=True)
class CorrectedCrossEntropy(Loss):
    """`Loss` for released class codes int64 (N,).

    Args:
        flip: chance of each class other than the true one, above 0 (`crypto.label_privacy.RandomizedResponse.flip`).
    """

    flip: float

    @property
    def classes(self) -> int:
        """Number of classes: two share one output."""
        return max(2, self.n_outputs)

    @property
    def retention(self) -> float:
        """T = retention * identity + flip."""
        return 1.0 - self.classes * self.flip

    def initial(self, y: npt.NDArray[Any], weights: Weights = None) -> Array:
        """F^0 (K,): logs of the class shares that make the releases most likely."""
        counts = np.bincount(y, weights, minlength=self.classes)
        released = counts / counts.sum()
        shares = _likeliest_shares(released, self.flip / self.retention)
        shares = np.maximum(shares, SMALLEST_SHARE / self.classes)
        logs: Array = np.log(shares / shares.sum())
        return logs[1:] - logs[:1] if self.n_outputs == 1 else logs

    def of_rows(self, y: npt.NDArray[Any], f: Array) -> Array:
        """-log m_y of each row, (N,)."""
        m = self.flip + self.retention * self._shares(f)
        return np.asarray(-np.log(m[np.arange(len(y)), y]))

    def residual(self, y: npt.NDArray[Any], f: Array) -> Array:
        """r = posterior - s, shape (N, K); posterior_j = s_j T_jy / m_y."""
        s, rows = self._shares(f), np.arange(len(y))
        m = self.flip + self.retention * s[rows, y]
        r = s * (self.flip / m - 1.0)[:, None]
        r[rows, y] += s[rows, y] * self.retention / m
        return np.asarray(r[:, 1:] if self.n_outputs == 1 else r)

    def curvature(self, y: npt.NDArray[Any], f: Array) -> Array:
        """None is claimed, 0 (N, K): the loss is not convex."""
        return np.zeros_like(f)

    def _shares(self, f: Array) -> Array:
        return np.hstack([logistic(-f), logistic(f)]) if self.n_outputs == 1 else softmax(f)


def _likeliest_shares(released: Array, odds: float) -> Array:
    """argmax_s sum_j released_j log(odds + s_j) over the simplex: s_j = max(0, released_j / mu - odds).

    `odds` is flip / retention. The support holds the most frequent releases, so it is found by dropping the others.
    """
    kept = released > 0
    while True:
        level = (1 + kept.sum() * odds) / released[kept].sum()
        shares = np.where(kept, level * released - odds, 0.0)
        if (shares >= 0).all():
            return shares
        kept &= shares > 0
