"""Labels from small numbers: inner products, weights and learning rates, as an aggregator or an assistor sees them.

Weights and learning rates are functions of the labels (GAL, steps e and f). One number a round says little about many
people and may say everything about one: the second attack plays against a single unknown label.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from secure_gal.attacks.finding import Array, Finding, resampled
from secure_gal.attacks.labels import commonest


def labels_from_products(
    labels: npt.NDArray[np.int64], vectors: Array, products: Array, *, seed: int, knows: str = "the vectors"
) -> Finding:
    """Guess every label from inner products with the residual of one round.

    The residual of least length that meets all products is the guess; its sign or largest entry is the label. With J
    independent vectors that is the projection of the residual on their span, so all labels once J reaches N.

    Args:
        labels: class codes (N,).
        vectors: what the products were taken with, (J, N).
        products: v_j'r / N, (J, K).
    """
    residual = np.linalg.lstsq(vectors, products * vectors.shape[1], rcond=1e-9)[0]
    guess = (residual[:, 0] > 0).astype(np.int64) if residual.shape[1] == 1 else residual.argmax(axis=1)
    return _found(
        labels, guess, seed, attack="least residual from inner products", target="labels", rounds="1", knows=knows
    )


def labels_by_simulation(
    labels: npt.NDArray[np.int64],
    observed: Array,
    simulated: Array,
    *,
    seed: int,
    attack: str = "simulation of weights and rates",
) -> Finding:
    """Guess one unknown label at a time from numbers observed, by simulating the study with every possible value.

    The attacker knows all data but this one label, the adversary of differential privacy, and takes the value whose
    numbers come nearest; each number is measured in units of what the label moves it by. Ties and numbers that never
    move say nothing: the first class is taken.

    Args:
        labels: the S unknown labels, class codes (S,), one study each.
        observed: J numbers in each of these studies, (S, J); nan where a study ended sooner.
        simulated: the same numbers with the label at each of C values, (S, C, J).
    """
    observed, simulated = np.nan_to_num(observed), np.nan_to_num(simulated)
    spread = np.mean(np.ptp(simulated, axis=1), axis=0)
    moved = spread > 0
    distance = np.abs(simulated[:, :, moved] - observed[:, None, moved]) / spread[moved]
    guess = distance.sum(axis=2).argmin(axis=1)
    return _found(labels, guess, seed, attack=attack, target="one label", rounds="all", knows="all data but the label")


def _found(labels: npt.NDArray[np.int64], guess: npt.NDArray[np.int64], seed: int, **about: str) -> Finding:
    same = np.full_like(labels, commonest(labels))
    return resampled("balanced accuracy", labels, guess, same, seed=seed, **about)
