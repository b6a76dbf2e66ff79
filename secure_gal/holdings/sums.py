"""An assistor's data where its fits go to the aggregator: made on ciphertexts, or made in the clear and then
encrypted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from crypto.ckks.encrypted_ridge import EncryptedRidge, FittedRows
from crypto.ckks.fits import MAX_PART, MAX_VALUE, ROWS, SUM, TRAINING
from crypto.ckks.keys import PublicKeys
from crypto.ckks.params import ParameterSet
from crypto.ckks.ring import padded
from crypto.ckks.sum_keys import EncryptionKey, evaluation_part
from secure_gal.errors import DataError, StateError, blamed, setting
from secure_gal.features.encoded import RidgeFeatures
from secure_gal.gal.rows import study_order, to_unit
from secure_gal.holdings.encrypted import EncryptedAssistorData
from secure_gal.holdings.encrypted_party import answer, values_made
from secure_gal.holdings.in_memory import InMemory
from secure_gal.holdings.party import AssistorData
from secure_gal.learners import storage
from secure_gal.settings.party import PartySettings
from secure_gal.settings.study import Study

Bytes = npt.NDArray[np.uint8]


class SumRidge:
    """The encrypted fit of one assistor, training rows and validation rows in blocks of their own.

    Args:
        raw: the sponsor's evaluation keys, for the width of the features.
        u: float64 (N, width), training rows first.
        train: number of training rows.
        leave_one_out: training rows get leave-one-out values.
    """

    def __init__(
        self, raw: bytes, width: int, u: npt.NDArray[np.float64], train: int, peer: str, *, leave_one_out: bool
    ) -> None:
        with blamed(peer):
            keys = PublicKeys.from_bytes(TRAINING, width, raw)
        with setting("features", DataError):
            self._ridge = EncryptedRidge(keys, u[:train], u[:train], leave_one_out=leave_one_out)
            rows = PublicKeys(ROWS, width, raw)
            self._rows = FittedRows(rows, u[train:]) if len(u) > train else None

    def __repr__(self) -> str:
        return f"SumRidge({self._ridge!r})"

    def fit(self, requests: Bytes, outputs: int, peer: str) -> bytes:
        """`Layout.fit_bytes` for the aggregator; raises as `EncryptedRidge.fit`."""
        head = self.head(requests, outputs, peer)
        fit = self._ridge.fitted(head, requests, outputs).tobytes()
        return fit + (self._rows.fitted(head, outputs).tobytes() if self._rows is not None else b"")

    def head(self, requests: Bytes, outputs: int, peer: str) -> bytes:
        """G = U' R, for this party's own disk."""
        with blamed(peer):
            return self._ridge.head(requests, outputs)

    def close(self) -> None:
        """As `EncryptedRidge.close`."""
        self._ridge.close()
        if self._rows is not None:
            self._rows.close()


def _own_part(party: PartySettings, study: Study, raw: bytes, peer: str) -> bytes:
    """What this party fits or encrypts with, of the sponsor's keys, as the aggregator has more; PeerViolation."""
    with blamed(peer):
        return evaluation_part(raw, fits=study.protect.encrypted) if party.party == study.adder else raw


class SumEncryptedData(EncryptedAssistorData):
    """`EncryptedAssistorData` for sums: the same fits, in the ring `sum`, laid out for the aggregator."""

    def __init__(
        self,
        party: PartySettings,
        study: Study,
        folder: Path,
        warn: Callable[[str], None],
        *,
        memory: InMemory | None = None,
    ) -> None:
        super().__init__(party, study, folder, warn, memory=memory)
        self._u = np.zeros((0, 0))
        self._train, self._columns = 0, 0
        self._ridge: SumRidge | None = None

    def prepare(self, positions: npt.NDArray[np.int64], train: npt.NDArray[np.bool_]) -> bytes:
        """Fit encoder, features and basis on the training rows; returns what must be saved to predict later."""
        encoder, self._features, x = self._fit_features(positions, train)
        self._u, self._train = self._features.transform(x[study_order(train)]), int(train.sum())
        self._columns = int(np.prod(x.shape[1:]))
        return storage.dump((encoder, self._features))

    @property
    def _values_made(self) -> str:
        if not self._train:
            return ""
        u = self._u[: self._train]
        return values_made(TRAINING, u, self._train, leave_one_out=self._study.cross_fitted)

    @property
    def width(self) -> int:
        """Features without the intercept, or encoded columns where these are fewer: many features of few columns hide
        the columns no better (decision 0010). Only after `prepare`."""
        return max(1, min(self._prepared().width - 1, self._columns))

    @property
    def padded(self) -> int:
        """P, the width of U padded to a power of two; only after `prepare`."""
        return padded(SUM, self._prepared().width)

    def _read_keys(self, params: ParameterSet, width: int, raw: bytes, peer: str) -> PublicKeys:
        return super()._read_keys(params, width, _own_part(self._party, self._study, raw, peer), peer)

    def use_keys(self, raw: bytes, peer: str) -> None:
        """Check the sponsor's evaluation keys and use them from now on; PeerViolation."""
        if self._ridge is not None:
            self._ridge.close()
        raw = _own_part(self._party, self._study, raw, peer)
        self._ridge = SumRidge(raw, self.padded, self._u, self._train, peer, leave_one_out=self._study.cross_fitted)

    def fit_encrypted(self, ciphertexts: Bytes, outputs: int, peer: str) -> Bytes:
        """Enc(f) of all rows for the aggregator, uint8 (fit_bytes,). PeerViolation."""
        return np.frombuffer(self._sum_ridge().fit(ciphertexts, outputs, peer), dtype=np.uint8)

    def head(self, ciphertexts: Bytes, outputs: int, peer: str) -> bytes:
        """The encrypted head, for this party's own disk; the rows of training are not needed after it."""
        head = self._sum_ridge().head(ciphertexts, outputs, peer)
        self._sum_ridge().close()
        return head

    def close(self) -> None:
        """As `PartyModel.close`."""
        if self._ridge is not None:
            self._ridge.close()

    def answer(
        self, ids: tuple[str, ...], encoder: bytes, keys: bytes, head: bytes, outputs: int, peer: str
    ) -> tuple[Bytes, Bytes]:
        """(known (n,), Enc(part) uint8 (fit_bytes,)) for new ids, from the data as it is on disk now."""
        known, features, x = self._new_rows(ids, encoder)
        public = self._read_keys(ROWS, padded(SUM, features.width), keys, peer)
        return known, answer(features, public, head, outputs, x, known).reshape(-1)

    def _prepared(self) -> RidgeFeatures:
        if self._features is None:
            raise StateError("an encrypted fit was asked for before the data was prepared")
        return self._features

    def _sum_ridge(self) -> SumRidge:
        if self._ridge is None:
            raise StateError("an encrypted fit was asked for before the evaluation keys came")
        return self._ridge


class SumClearData(AssistorData):
    """`AssistorData` whose fitted values and parts leave as ciphertexts under the sponsor's public key."""

    padded, fresh = 0, False  # a learner that is fresh in the clear needs nothing of the others

    def __init__(
        self,
        party: PartySettings,
        study: Study,
        folder: Path,
        warn: Callable[[str], None],
        *,
        memory: InMemory | None = None,
    ) -> None:
        super().__init__(party, study, folder, warn, memory=memory)
        self._key: EncryptionKey | None = None
        self._order: npt.NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        self._train = 0
        self._width = 0

    def prepare(self, positions: npt.NDArray[np.int64], train: npt.NDArray[np.bool_]) -> bytes:
        """Fit the encoder on the training rows; returns what must be saved to predict later."""
        encoder = super().prepare(positions, train)
        self._order, self._train = study_order(train), int(train.sum())
        self._width = min(max(1, self.local.columns), SUM.max_features)
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
        with blamed(peer):
            self._key = EncryptionKey(_own_part(self._party, self._study, raw, peer))

    def use_keys(self, raw: bytes, peer: str) -> None:
        """Check the sponsor's public key and use it from now on; PeerViolation."""
        with blamed(peer):
            self._key = EncryptionKey(_own_part(self._party, self._study, raw, peer))

    def fit_round(
        self, round_: int, residual: npt.NDArray[np.float32], withheld: float = 1.0
    ) -> tuple[bytes, npt.NDArray[np.float32]]:
        """(saved model, Enc(f / max|r|) uint8 (fit_bytes,))."""
        saved, fitted = super().fit_round(round_, residual, withheld)
        _, scale = to_unit(residual)
        values = self._within(fitted.astype(np.float64)[self._order] / scale, round_)
        with setting("[learner]: this fit has diverged", DataError):
            fit = self._encryptor().encrypt(values[: self._train], values[self._train :], MAX_VALUE)
        return saved, np.frombuffer(fit, dtype=np.uint8)

    def _within(self, values: npt.NDArray[np.float64], round_: int) -> npt.NDArray[np.float64]:
        """Values of a cross-fitted round that a ciphertext can hold: far from its fold's others a row may be beyond."""
        beyond = int((np.abs(values) > MAX_VALUE).any(axis=1).sum())
        if not (beyond and self._study.cross_fitted and np.isfinite(values).all()):
            return values
        self._warn(f"round {round_}: {beyond} rows are more than {MAX_VALUE:g} times the largest residual; cut there")
        return np.clip(values, -MAX_VALUE, MAX_VALUE)

    def predict(
        self, ids: tuple[str, ...], encoder: bytes, models: list[bytes], coefficients: npt.NDArray[np.float64], k: int
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
        """(known, Enc(part) uint8 (fit_bytes,)) from `[data] path` as it is on disk now."""
        known, part = super().predict(ids, encoder, models, coefficients, k)
        largest = MAX_PART / len(self._study.assistors)
        beyond = int((np.abs(part) > largest).any(axis=1).sum())
        if beyond:
            self._warn(f"{beyond} rows extrapolate to {MAX_PART:g} times all that was fitted in training; cut there")
        clipped = np.clip(part.astype(np.float64), -largest, largest)
        with setting("[learner]: this part has diverged", DataError):
            encrypted = self._encryptor().encrypt(np.zeros((0, k)), clipped, largest)
        return known, np.frombuffer(encrypted, dtype=np.uint8)

    def _encryptor(self) -> EncryptionKey:
        if self._key is None:
            raise StateError("a fit was to be encrypted before the public key came")
        return self._key
