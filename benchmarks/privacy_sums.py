"""A study with encrypted residuals and sum-only predictions by real ciphertexts, without sockets and sealing.

Every number that the sponsor or the aggregator reads went through the product's own code: fits by `SumRidge`, inner
products and weighted sums by `SumCalculator`, weights by `constrained_weights`. The first assistor is the aggregator.
Held-out rows are predicted in the clear from the same heads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.privacy_data import Array, People
from benchmarks.privacy_transcripts import LEARNER, ROUNDS, combination, held_out, local, names, new_ensemble
from crypto.ckks.fits import SUM, TRAINING, WEIGHT_BITS, Layout
from crypto.ckks.products import Products, pairs
from crypto.ckks.ring import padded
from crypto.ckks.seal_files import SEED_BYTES, unpack
from crypto.ckks.secret_sum import SumContext
from crypto.ckks.slots import Packing
from crypto.ckks.sum_calculator import SumCalculator
from crypto.ckks.sum_keys import ProductKeys
from secure_gal.attacks.requests import readable
from secure_gal.features.encoded import RidgeFeatures
from secure_gal.gal.rows import study_order, to_unit
from secure_gal.gal.split import derive_seed
from secure_gal.holdings.sums import SumRidge
from secure_gal.learners import ridge_features
from secure_gal.protection.sums.weights import constrained_weights

SPONSOR = "party-0"


@dataclass(frozen=True)
class SumTranscript:
    """What travelled.

    Attributes:
        people: who took part.
        sums: as the sponsor decrypted them, without its own part, (T, N, K).
        residuals: what it had asked for, (T, N_train, K).
        weights: of the assistors by round, (T, M - 1); the aggregator gets them too.
        widths: features of each assistor, the intercept included.
        aggregator: by round every number that its ciphertexts have at a person's place, (T, N_train, d): requests,
            the other's fit (after unsealing) and the sponsor's own difference.
        held_out: as in `Transcript`.
    """

    people: People
    sums: Array
    residuals: Array
    weights: Array
    widths: list[int]
    aggregator: Array
    held_out: dict[str, float]


class _Assistor:
    def __init__(self, people: People, m: int, cipher: SumContext) -> None:
        name, x, train = names(people)[m], people.blocks[m], people.train
        self.features: RidgeFeatures = ridge_features(
            LEARNER, x[train], Path.cwd(), derive_seed("features", people.seed, name)
        )
        self.u, self.train = self.features.transform(x[study_order(train)]), int(train.sum())
        width = padded(SUM, self.features.width)
        self.ridge = SumRidge(cipher.public_keys(width), width, self.u, self.train, SPONSOR, leave_one_out=False)

    def part(self, residual: Array, x: Array) -> Array:
        """U_new (U' R_m) in the clear, (n, K)."""
        return self.features.transform(x) @ (self.u[: self.train].T @ residual)


class _Parties:
    """The sponsor's key, the aggregator's calculator, and the assistors' data."""

    def __init__(self, people: People) -> None:
        self._cipher, self._mask = SumContext.generate(SUM), people.train
        self._calculator = SumCalculator(ProductKeys(self._cipher.public_keys(0, combines=True)))
        self.assistors = [_Assistor(people, m, self._cipher) for m in range(1, len(people.blocks))]

    def round(self, residual: Array, own: Array) -> tuple[Array, Array, Callable[[], Array]]:
        """(weights of all parties, sum of the assistors' weighted fits (N, K), what the aggregator can read of it).

        Args:
            residual: r^t of the training rows (N_train, K).
            own: the sponsor's own fitted values (N, K).
        """
        (unit, scale), (train, outputs) = to_unit(residual), residual.shape
        layout, cipher = Layout(train, len(self._mask) - train, outputs), self._cipher
        requests, apart = cipher.encrypt(unit), own[self._mask] / scale - unit
        fits = [layout.split(a.ridge.fit(requests, outputs, SPONSOR)) for a in self.assistors]
        training, difference = [fit[0] for fit in fits], cipher.encrypt_difference(apart)
        products = self._calculator.products(training, requests, difference, layout.training)
        w = constrained_weights(_gram(cipher, products, apart, layout), list(range(1, len(fits) + 1)))
        steps = np.round(w[1:] * 2.0**WEIGHT_BITS).astype(np.int64).tolist()
        values = cipher.decrypt_sum(self._calculator.weighted_sum(fits, steps), layout, SPONSOR)
        total = np.empty(values.shape)
        total[study_order(self._mask)] = values * scale
        return w, total, lambda: _heard(layout.training, requests, training[1:], difference)

    def close(self) -> None:
        """End the worker processes."""
        for assistor in self.assistors:
            assistor.ridge.close()


def record_sums(people: People, *, rounds: int = ROUNDS, listen: bool = True) -> SumTranscript:
    """Run the study; `listen` False leaves `aggregator` empty."""
    training, parties, own = people.training(), _Parties(people), local(people, 0)
    ensemble = new_ensemble(people, training, rounds)
    residuals, sums, weights, heard = [], [], [], []
    while len(ensemble.history) < rounds:  # all of them, as under encryption
        residuals.append(ensemble.residual())
        mine = own.fit_round(len(residuals), residuals[-1]).astype(np.float64)
        w, total, overheard = parties.round(residuals[-1], mine)
        ensemble.advance(w, {"sum": total + w[0] * mine})
        sums.append(total)
        weights.append(w[1:])
        heard.append(overheard() if listen else np.zeros((len(residuals[-1]), 0)))
    outputs = np.tile(ensemble.F0, (len(people.y_new), 1))
    if ensemble.kept:
        outputs = outputs + own.part(ensemble.coefficients(SPONSOR), people.new[0])
        for name, assistor, x in zip(names(people)[1:], parties.assistors, people.new[1:], strict=True):
            outputs = outputs + assistor.part(combination(ensemble, name, residuals), x)
    parties.close()
    return SumTranscript(
        people,
        np.stack(sums),
        np.stack(residuals),
        np.stack(weights),
        [assistor.features.width for assistor in parties.assistors],
        np.stack(heard),
        held_out(people, training, outputs),
    )


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


def _heard(table: Packing, requests: Array, fits: list[Array], difference: Array) -> Array:
    """Numbers (N_train, d) at each person's place in what the aggregator holds; `table` says where that is."""
    asked = readable(requests, SUM, len(requests) * SUM.n, 1).reshape(len(requests), SUM.n, -1)
    found = [_alone(table, asked[:, :, reading]) for reading in range(asked.shape[2])]
    own = difference[:, :-SEED_BYTES]  # by ciphertext the residues of one polynomial, n a prime
    readings = [np.stack([unpack(row) for row in own]).reshape(len(own), -1, SUM.n) / 2.0**60]
    readings += [np.stack([_upper(row) for row in fit]) for fit in fits]
    for body in readings:
        found += [table.values(_complex(body[:, reading])) for reading in range(body.shape[1])]
    return np.hstack(found)


def _upper(reply: Array) -> Array:
    """The upper eight bytes of the coefficients of a fit's two polynomials, (2, n), as parts of the modulus."""
    cut = TRAINING.reply_kept[0] * SUM.n
    parts = [part.reshape(SUM.n, -1)[:, -8:] for part in (reply[:cut], reply[cut:])]
    return np.stack([np.ascontiguousarray(part).view("<u8")[:, 0] / 2.0**64 for part in parts])


def _alone(table: Packing, numbers: Array) -> Array:
    """As `Packing.values`, of requests (blocks * K, n), which carry one output each."""
    out, slots = np.empty((table.rows, table.outputs)), _complex(numbers)
    for k in range(table.outputs):
        wanted = [[r for r in table.sharing(index) if r % table.outputs == k] for index in range(table.ciphertexts)]
        out[:, k] = table.values(slots[r[0]] if r else np.zeros_like(slots[0]) for r in wanted)[:, k]
    return out


def _complex(numbers: Array) -> Array:
    """(C, n) to (C, n / 2): the first half real parts, the second imaginary."""
    return numbers[:, : SUM.slots] + 1j * numbers[:, SUM.slots :]
