"""How much of a row's own residual a leave-one-out value must leave out, once earlier rounds have fitted the row too.

A value of row i that is honest does not depend on y_i. In round 1 the fit's own share of it is h_i r_i, h the leverage,
and all of that comes off. Later it is less: when y_i rises, so do the earlier fits of its neighbours, and their
residuals, from which the row is fitted now, fall by v eta w h (v the curvature of the loss). With A the sum of a
party's eta w so far, its fit's share of r_i is about (1 - v A) h_i. Taking off all of h_i would push the row away from
its own label, round after round (decision 19).

Where residuals are encrypted nobody but the sponsor may know A, and a loss of kinks (l1, quantile) has no v. There
every party leaves out a share that stays the same in all rounds and follows from its own leverages alone (`fixed`).
"""

from __future__ import annotations

import numpy as np

from secure_gal.gal.losses import Array, Weights

LEAST, MOST_NEEDED = 0.2, 0.5
"""Ends of what a party leaves out at least (`least`)."""
ROWS_A_COEFFICIENT = 9.0
"""Rows a coefficient, of all outputs, below which a fixed share leaves out everything; measured (decision 19)."""


def withheld(curvature: Array, weights: Weights, taken: float) -> float:
    """Which share of h r comes off by this derivation, LEAST to 1.

    Args:
        curvature: second derivative of the loss of the training rows in each output, (n, K).
        weights: of the rows, (n,), as they multiply residuals.
        taken: A, the sum of eta w over the party's rounds.
    """
    v = curvature if weights is None else weights[:, None] * curvature
    return float(np.clip(1.0 - v.mean() * taken, LEAST, 1.0))


def least(outputs: int, own: Array | float) -> float:
    """What a party leaves out whatever it is told: K times its mean leverage, between LEAST and MOST_NEEDED.

    v differs between rows and directions. With its mean alone a share that falls to 0 lets rows explain themselves
    where a party has about as many coefficients, in all outputs, as there are rows (measured in decision 19).

    Args:
        outputs: K.
        own: h / (1 - h) of the training rows, (n,), as in `CrossFit`.
    """
    return float(np.clip(outputs * np.mean(own / (1.0 + own)), LEAST, MOST_NEEDED))


def fixed(outputs: int, leverage: Array) -> Array:
    """Which share of h r comes off in every round, (N,): sqrt(9 K h), h no less than its mean, between LEAST and 1.

    A fit of p coefficients an output explains about K p / N of what is noise in N rows, and the mean h is p / N. Where
    that is next to nothing, rows that keep part of their own residual deceive nobody, and learning goes on as far as
    fitted values would let it; where it is not, values are plain leave-one-out ones. A row far out counts by itself.

    Args:
        outputs: K.
        leverage: h of the training rows, (N,).
    """
    counted = np.maximum(leverage, leverage.mean())
    return np.asarray(np.sqrt(ROWS_A_COEFFICIENT * outputs * counted).clip(LEAST, 1.0))
