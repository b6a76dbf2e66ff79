"""Encrypted residuals and sum-only predictions by real ciphertexts, all parties in one process, without sockets and
sealing.

Every number that the sponsor or the aggregator reads went through the product's own code: fits by `SumRidge`, inner
products and weighted sums by `SumCalculator`, weights by `constrained_weights`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from crypto.ckks.fits import ROWS, SUM, WEIGHT_BITS, Layout
from crypto.ckks.keys import PublicKeys
from crypto.ckks.products import Products, pairs
from crypto.ckks.ring import padded
from crypto.ckks.secret_sum import SumContext
from crypto.ckks.slots import Packing
from crypto.ckks.sum_calculator import SumCalculator
from crypto.ckks.sum_keys import ProductKeys
from secure_gal.features.encoded import RidgeFeatures
from secure_gal.gal.split import derive_seed, study_order, to_unit
from secure_gal.holdings.rings import answer
from secure_gal.holdings.sums import SumRidge
from secure_gal.learners import ridge_features
from secure_gal.protection.sums.weights import constrained_weights, uniform_weights
from secure_gal.settings.party import LearnerSettings

Array = np.ndarray[Any, np.dtype[Any]]
SPONSOR = "party-0"


class SumRound(NamedTuple):
    """What a round gives, and what travelled in it.

    Attributes:
        weights: of all parties, the sponsor's first.
        total: the sum of the assistors' weighted fits as the sponsor decrypted it, (N, K).
        table: where training rows lie; requests: Enc(r); fits: of training rows, by assistor; difference: the sponsor's
            own.
    """

    weights: Array
    total: Array
    table: Packing
    requests: Array
    fits: list[Array]
    difference: Array


class _Assistor:
    def __init__(
        self,
        name: str,
        x: Array,
        train: Array,
        seed: int,
        learner: LearnerSettings,
        cipher: SumContext,
        leave_one_out: bool,
        outputs: int,
    ) -> None:
        self.features: RidgeFeatures = ridge_features(
            learner, x[train], Path.cwd(), derive_seed("features", seed, name)
        )
        self.u, self.train = self.features.transform(x[study_order(train)]), int(train.sum())
        width = padded(SUM, self.features.width)
        self._raw = cipher.public_keys(width)
        raw, left_out = self._raw, leave_one_out
        self.ridge = SumRidge(raw, width, self.u, self.train, SPONSOR, leave_one_out=left_out, outputs=outputs)
        self._keys = PublicKeys(ROWS, width, self._raw)

    def part(self, residual: Array, x: Array) -> Array:
        """U_new (U' R_m) in the clear, (n, K)."""
        return self.features.transform(x) @ (self.u[: self.train].T @ residual)

    def encrypted_part(self, requests: Array, x: Array, outputs: int) -> Array:
        """Enc(U_new (U' R_m)), in reply ciphertexts, for the aggregator."""
        head = self.ridge.head(requests, outputs, SPONSOR)
        return answer(self.features, self._keys, head, outputs, x, np.ones(len(x), dtype=np.uint8))


class SumParties:
    """The sponsor's key, the aggregator's calculator, and the assistors' data.

    Args:
        names: of all parties; blocks: (N, p_m) each; the sponsor's first. learners: of all parties.
        train: mask (N,). seed: the study's.
        leave_one_out: as in cross-fitted rounds, of so many outputs.
    """

    def __init__(
        self,
        names: Sequence[str],
        blocks: Sequence[Array],
        train: Array,
        seed: int,
        learners: Sequence[LearnerSettings],
        *,
        leave_one_out: bool = False,
        outputs: int = 1,
    ) -> None:
        self._cipher, self._mask = SumContext.generate(SUM), train
        self._calculator = SumCalculator(ProductKeys(self._cipher.public_keys(0, combines=True)))
        parties = list(zip(names, blocks, learners, strict=True))[1:]
        self.assistors = [
            _Assistor(name, x, train, seed, learner, self._cipher, leave_one_out, outputs)
            for name, x, learner in parties
        ]

    def round(self, residual: Array, own: Array, uniform: bool = False) -> SumRound:
        """One round of r^t of the training rows (N_train, K) and the sponsor's own fitted values (N, K)."""
        (unit, scale), (train, outputs) = to_unit(residual), residual.shape
        layout, cipher = Layout(train, len(self._mask) - train, outputs), self._cipher
        requests, apart = cipher.encrypt(unit), own[self._mask] / scale - unit
        fits = [layout.split(a.ridge.fit(requests, outputs, SPONSOR).tobytes()) for a in self.assistors]
        training, difference = [fit[0] for fit in fits], cipher.encrypt_difference(apart)
        if uniform:
            w = uniform_weights(len(fits) + 1)
        else:
            products = self._calculator.products(training, requests, difference, layout.training)
            w = constrained_weights(_gram(cipher, products, apart, layout), list(range(1, len(fits) + 1)))
        total = np.empty((len(self._mask), outputs))
        total[study_order(self._mask)] = self._sum(fits, w[1:], layout) * scale
        return SumRound(w, total, layout.training, requests, training, difference)

    def parts(self, combinations: Sequence[Array], blocks: Sequence[Array]) -> Array:
        """Sum of the assistors' parts of new rows (n, K), by way of ciphertexts.

        Args:
            combinations: R_m (N_train, K) by assistor; blocks: its new rows (n, p_m).
        """
        rows, outputs = len(blocks[0]), combinations[0].shape[1]
        scale = max(float(np.abs(r).max()) for r in combinations) or 1.0
        layout, none = Layout(0, rows, outputs), np.zeros((0, 0), dtype=np.uint8)
        answers = [
            (none, assistor.encrypted_part(self._cipher.encrypt(r / scale), x, outputs))
            for assistor, r, x in zip(self.assistors, combinations, blocks, strict=True)
        ]
        return self._sum(answers, np.ones(len(answers)), layout) * scale

    def _sum(self, fits: Sequence[Any], weights: Array, layout: Layout) -> Array:
        steps = np.round(weights * 2.0**WEIGHT_BITS).astype(np.int64).tolist()
        return self._cipher.decrypt_sum(self._calculator.weighted_sum(fits, steps), layout, SPONSOR)

    def close(self) -> None:
        """End the worker processes."""
        for assistor in self.assistors:
            assistor.ridge.close()


def _gram(cipher: SumContext, products: Array, own: Array, layout: Layout) -> Array:
    """Gram matrix of all parties' differences from the residual, the sponsor first, as `SumSponsor` puts it
    together."""
    assistors = next(m for m in range(1, len(products) + 1) if len(pairs(m, True)) == len(products))
    listed, gram = pairs(assistors, True), np.zeros((assistors + 1, assistors + 1))
    values = cipher.decrypt_products(products, len(listed), Products.of(layout.training, True))
    for (i, j), value in zip(listed, values, strict=True):
        a, b = (0 if i == assistors else i + 1), j + 1
        gram[a, b] = gram[b, a] = value
    gram[0, 0] = float(np.sum(own * own))
    return gram
