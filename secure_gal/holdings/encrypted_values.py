"""Fits that are made in the clear, and leave as ciphertexts under the sponsor's public key."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from crypto.ckks.fits import MAX_PART, MAX_VALUE, SUM
from crypto.ckks.sum_keys import EncryptionKey
from secure_gal.errors import DataError, StateError, blamed, setting
from secure_gal.gal.split import study_order, to_unit
from secure_gal.holdings.assistor import AssistorData
from secure_gal.holdings.sums import own_part


class EncryptedValues:
    """Local models whose fitted values and parts go to the aggregator of a sum.

    Args:
        data: whose local models they are.
    """

    padded, fresh = 0, False  # a learner that is fresh in the clear needs nothing of the others

    def __init__(self, data: AssistorData) -> None:
        self._data = data
        self._key: EncryptionKey | None = None
        self._order: npt.NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        self._train = 0
        self._width = 0

    def prepare(self, positions: npt.NDArray[np.int64], train: npt.NDArray[np.bool_]) -> bytes:
        """Fit the encoder on the training rows; returns what must be saved to predict later."""
        encoder = self._data.prepare_local(positions, train)
        self._order, self._train = study_order(train), int(train.sum())
        self._width = min(max(1, self._data.local.columns), SUM.max_features)
        return encoder

    @property
    def width(self) -> int:
        """Encoded columns; only after `prepare`. A model that is not linear in the residual gives no equations of that
        form away, so this counts on the safe side."""
        if not self._width:
            raise StateError("the width was asked for before the data was prepared")
        return self._width

    def check_keys(self, raw: bytes, peer: str) -> None:
        """Refuse a public key that nothing could be encrypted under; PeerViolation."""
        own = own_part(raw, peer, adds=self._data.party.party == self._data.study.adder, fits=False)
        with blamed(peer):
            self._key = EncryptionKey(own)

    use_keys = check_keys  # a key that was read is all there is to use

    def fit_round(
        self, round_: int, residual: npt.NDArray[np.float32], withheld: float = 1.0
    ) -> tuple[bytes, npt.NDArray[np.uint8]]:
        """(saved model, Enc(f / max|r|) uint8 (fit_bytes,))."""
        saved, fitted = self._data.fit_round(round_, residual, withheld)
        _, scale = to_unit(residual)
        values = self._within(fitted.astype(np.float64)[self._order] / scale, round_)
        with setting("[learner]: this fit has diverged", DataError):
            fit = self._encryptor().encrypt(values[: self._train], values[self._train :], MAX_VALUE)
        return saved, np.frombuffer(fit, dtype=np.uint8)

    def _within(self, values: npt.NDArray[np.float64], round_: int) -> npt.NDArray[np.float64]:
        """Values of a cross-fitted round that a ciphertext can hold: far from its fold's others a row may be beyond."""
        beyond = int((np.abs(values) > MAX_VALUE).any(axis=1).sum())
        if not (beyond and self._data.study.cross_fitted and np.isfinite(values).all()):
            return values
        self._data.warn(
            f"round {round_}: {beyond} rows are more than {MAX_VALUE:g} times the largest residual; cut there"
        )
        return np.clip(values, -MAX_VALUE, MAX_VALUE)

    def predict(
        self, ids: tuple[str, ...], encoder: bytes, models: list[bytes], coefficients: npt.NDArray[np.float64], k: int
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        """(known, Enc(part) uint8 (fit_bytes,)) from `[data] path` as it is on disk now."""
        known, part = self._data.predict(ids, encoder, models, coefficients, k)
        largest = MAX_PART / len(self._data.study.assistors)
        beyond = int((np.abs(part) > largest).any(axis=1).sum())
        if beyond:
            self._data.warn(
                f"{beyond} rows extrapolate to {MAX_PART:g} times all that was fitted in training; cut there"
            )
        clipped = np.clip(part.astype(np.float64), -largest, largest)
        with setting("[learner]: this part has diverged", DataError):
            encrypted = self._encryptor().encrypt(np.zeros((0, k)), clipped, largest)
        return known, np.frombuffer(encrypted, dtype=np.uint8)

    def _encryptor(self) -> EncryptionKey:
        if self._key is None:
            raise StateError("a fit was to be encrypted before the public key came")
        return self._key
