"""What sums take, with this machine's clock beside them: fits for the aggregator, inner products, weighted sums."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
import numpy as np

from secure_gal.forecast.ciphertexts import Ciphers, fitted, timed
from secure_gal.forecast.timings import Seconds
from secure_gal.gal.split import split_rows
from secure_gal.settings.study import Study

if TYPE_CHECKING:
    from crypto.ckks.secret_sum import SumContext

FEW = 3
"""Fits that the aggregator's work is timed with, at most; more take as many times as long as they make products."""


class Sums(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """CPU seconds of one core.

    Attributes:
        fits: of an encrypted fit, whose `keys`, `encrypt` and `decrypt` are those of sums; None where fits are made in
            the clear.
        count: fits that the aggregator's work was timed with.
        own: whether the sponsor has fits of its own.
        keys, load: making the aggregator's keys, and reading them.
        seal, difference, decrypt: of a ciphertext: a fit made in the clear, the sponsor's own difference, a sum.
        products: of a ciphertext of all these fits; release, open: of one inner product.
        add: of a ciphertext of one fit.
    """

    fits: Ciphers | None
    count: Annotated[int, msgspec.Meta(ge=1, le=FEW)]
    own: bool
    keys: Seconds
    load: Seconds
    seal: Seconds
    difference: Seconds
    decrypt: Seconds
    products: Seconds
    release: Seconds
    open: Seconds
    add: Seconds

    def sponsor(self, study: Study, rows: int) -> dict[str, float]:
        """By phase."""
        training, every = _ciphertexts(study, rows)
        weighed = self._weighed(study)
        seconds = {"keys": self.keys + (self.fits.keys if self.fits else 0.0)}
        encryption = study.rounds * training * self.difference * bool(weighed and self.own)
        if self.fits:
            encryption += (study.rounds + len(study.assistors)) * _blocks(study, rows) * study.k * self.fits.encrypt
        decryption = study.rounds * (weighed * self.open + every * self.decrypt)
        return seconds | {"encryption": encryption, "decryption": decryption}

    def assistor(self, study: Study, rows: int) -> float:
        """What becomes of its fits: on ciphertexts they are made as well."""
        _, every = _ciphertexts(study, rows)
        if self.fits is None:
            return study.rounds * every * self.seal
        blocks = -(-rows // self.fits.params.n)
        return self.fits.load + self.fits.fits(study.rounds, blocks, study.k)

    def aggregator(self, study: Study, rows: int) -> float:
        """All rounds' inner products and sums."""
        training, every = _ciphertexts(study, rows)
        weighed, added = self._weighed(study), every * len(study.assistors) * self.add
        more = weighed / self._pairs(self.count)
        return self.load + study.rounds * (training * self.products * more + weighed * self.release + added)

    def _weighed(self, study: Study) -> int:
        """Inner products that the weights of a round follow from."""
        return 0 if study.weights == "uniform" else self._pairs(len(study.assistors))

    def _pairs(self, fits: int) -> int:
        return fits * (fits + 1) // 2 + (fits if self.own else 0)


def _ciphertexts(study: Study, rows: int) -> tuple[int, int]:
    """Of the training rows, and of all, of one fit."""
    from crypto.ckks.fits import Layout

    train = int(split_rows(rows, study.validation, study.seed).sum())
    layout = Layout(train, rows - train, study.k)
    return layout.training.ciphertexts, layout.ciphertexts


def _blocks(study: Study, rows: int) -> int:
    from crypto.ckks.fits import TRAINING

    return -(-int(split_rows(rows, study.validation, study.seed).sum()) // TRAINING.n)


def measure(study: Study, padded: int, *, own: bool) -> Sums:
    """One round of one and of two ciphertexts, under a key that is made for it and forgotten.

    Args:
        padded: P of encrypted fits; 0 where fits are made in the clear.
        own: whether the sponsor has fits of its own.
    """
    from crypto.ckks.fits import MAX_VALUE, SUM, TRAINING, WEIGHT_BITS, Layout
    from crypto.ckks.products import Products, pairs
    from crypto.ckks.secret_sum import SumContext
    from crypto.ckks.sum_calculator import SumCalculator
    from crypto.ckks.sum_keys import EncryptionKey, ProductKeys

    secret, count, n = SumContext.generate(SUM), min(FEW, len(study.assistors)), TRAINING.n
    raw, keys = timed(lambda: secret.public_keys(0, combines=True))
    calculator, load = timed(lambda: SumCalculator(ProductKeys(raw)))
    values = np.random.default_rng(0).uniform(-1, 1, (2 * n, 1))
    key, none = EncryptionKey(raw[: SUM.public_key_bytes]), np.zeros((0, 1))
    fit, seal = timed(lambda: key.encrypt(values, none, MAX_VALUE))
    apart, difference = timed(lambda: secret.encrypt_difference(values))
    apart = apart if own else apart[:0]
    residual = secret.encrypt(values) if study.protect.encrypted else 0.5 * values
    taken = []
    for rows in (n, 2 * n):
        table = Layout(rows, 0, 1).training
        rows_of_fit = Layout(2 * n, 0, 1).split(fit)[0][: table.ciphertexts]
        given = residual[: table.requests] if study.protect.encrypted else residual[:rows]
        work = (rows_of_fit,) * count, given, apart[: table.ciphertexts], table
        found, seconds = timed(lambda work=work: calculator.products(*work))  # type: ignore[misc]
        taken.append(seconds)
    each, listed = max(0.0, taken[1] - taken[0]), pairs(count, own)
    scaling = Products.of(table, study.protect.encrypted)
    _, opened = timed(lambda: secret.decrypt_products(found, len(listed), scaling))
    layout = Layout(2 * n, 0, 1)
    total, added = timed(lambda: calculator.weighted_sum([layout.split(fit)] * count, [1 << WEIGHT_BITS - 2] * count))
    _, decrypt = timed(lambda: secret.decrypt_sum(total, layout, "rehearsal"))
    return Sums(
        _encrypted(secret, study, padded) if study.protect.encrypted else None,
        count,
        own,
        keys,
        load,
        seal / 2,
        difference / 2,
        decrypt / 2,
        products=each,
        release=max(0.0, taken[0] - each) / len(listed),
        open=opened / len(listed),
        add=added / 2 / count,
    )


def _encrypted(secret: SumContext, study: Study, padded: int) -> Ciphers:
    from crypto.ckks.fits import TRAINING
    from crypto.pool import processes

    raw, keys = timed(lambda: secret.public_keys(padded))
    residual = np.random.default_rng(0).uniform(-1, 1, (TRAINING.n, 1))
    requests, encrypt = timed(lambda: secret.encrypt(residual))
    found = fitted(TRAINING, padded, raw, requests, leave_one_out=study.cross_fitted)
    return Ciphers(TRAINING.name, padded, keys, found.load, encrypt, 0.0, found.first, found.later, processes())
