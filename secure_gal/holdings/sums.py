"""Fits to ciphertexts that go to the aggregator of a sum: in the ring `sum`, laid out so that they can be added up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crypto.ckks.add import added
from crypto.ckks.encrypted_ridge import Basis, EncryptedRidge, FittedRows
from crypto.ckks.fits import ROWS, SUM, TRAINING
from crypto.ckks.keys import PublicKeys
from crypto.ckks.ring import padded
from crypto.ckks.slots import Packing
from crypto.ckks.sum_keys import evaluation_part
from secure_gal.errors import DataError, blamed, setting
from secure_gal.holdings.rings import Ridge, basis_of, values_made

Bytes = npt.NDArray[np.uint8]


class SumRidge:
    """The encrypted fit of one assistor, training rows and validation rows in blocks of their own.

    Args:
        raw: the sponsor's evaluation keys, for the width of the features.
        u: float64 (N, width), training rows first.
        train: number of training rows.
        leave_one_out: training rows get leave-one-out values.
        outputs: K, as for `ReplyRidge`.
        basis: `basis_of` the training rows; None: it is made now.
    """

    def __init__(
        self,
        raw: bytes,
        width: int,
        u: npt.NDArray[np.float64],
        train: int,
        peer: str,
        *,
        leave_one_out: bool,
        outputs: int,
        basis: Basis | None = None,
    ) -> None:
        with blamed(peer):
            keys = PublicKeys.from_bytes(TRAINING, width, raw)
        if basis is None:
            basis = basis_of(TRAINING, width, u[:train], train, leave_one_out=leave_one_out, outputs=outputs)
        self._ridge = EncryptedRidge(keys, basis)
        with setting("features", DataError):
            rows = PublicKeys(ROWS, width, raw)
            self._rows = FittedRows(rows, u[train:]) if len(u) > train else None

    def __repr__(self) -> str:
        return f"SumRidge({self._ridge!r})"

    def fit(self, requests: Bytes, outputs: int, peer: str) -> Bytes:
        """uint8 (`Layout.fit_bytes`,) for the aggregator; raises as `EncryptedRidge.fit`."""
        head = self.head(requests, outputs, peer)
        fit = self._ridge.fitted(head, requests, outputs).reshape(-1)
        return fit if self._rows is None else np.concatenate([fit, self._rows.fitted(head, outputs).reshape(-1)])

    def head(self, requests: Bytes, outputs: int, peer: str) -> bytes:
        """As `Ridge.head`."""
        with blamed(peer):
            return self._ridge.head(requests, outputs)

    def close(self) -> None:
        """As `Ridge.close`."""
        self._ridge.close()
        if self._rows is not None:
            self._rows.close()


def own_part(raw: bytes, peer: str, *, adds: bool, fits: bool) -> bytes:
    """What a party fits or encrypts with, of the sponsor's keys; PeerViolation.

    Args:
        adds: this party is the aggregator, which is sent more; fits: residuals are ciphertexts.
    """
    with blamed(peer):
        return evaluation_part(raw, fits=fits) if adds else raw


@dataclass(frozen=True, slots=True)
class SumRing:
    """Fits go to the aggregator; `adds`: this party is that, and is sent more keys than it fits with."""

    adds: bool
    leave_one_out: bool
    outputs: int

    @property
    def widest(self) -> int:
        """As `Ring.widest`."""
        return SUM.max_features

    def padded(self, columns: int) -> int:
        """As `Ring.padded`."""
        return padded(SUM, columns)

    def blocks(self, rows: int) -> int:
        """As `Ring.blocks`."""
        return Packing(SUM, rows, self.outputs).blocks

    def training_keys(self, width: int, raw: bytes, peer: str) -> PublicKeys:
        """As `Ring.training_keys`."""
        own = self._own(raw, peer)
        with blamed(peer):
            return PublicKeys.from_bytes(SUM, width, own)

    def answer_keys(self, width: int, raw: bytes, peer: str) -> PublicKeys:
        """As `Ring.answer_keys`: of other rows than those that train."""
        own = self._own(raw, peer)
        with blamed(peer):
            return PublicKeys.from_bytes(ROWS, width, own)

    def encoded(self, width: int, u: npt.NDArray[np.float64], train: int) -> Basis:
        """As `Ring.encoded`: of the training rows, which are most."""
        left_out, k = self.leave_one_out, self.outputs
        basis = basis_of(TRAINING, width, u[:train], train, leave_one_out=left_out, outputs=k)
        basis.encode(k)
        return basis

    def ridge(
        self, width: int, raw: bytes, u: npt.NDArray[np.float64], train: int, peer: str, basis: Basis | None
    ) -> Ridge:
        """As `Ring.ridge`."""
        own, left_out, k = self._own(raw, peer), self.leave_one_out, self.outputs
        return SumRidge(own, width, u, train, peer, leave_one_out=left_out, outputs=k, basis=basis)

    def joined(self, parts: list[Bytes], peer: str) -> Bytes:
        """As `Ring.joined`, uint8 (`Layout.fit_bytes`,)."""
        with blamed(peer):
            return (parts[0] if len(parts) == 1 else added(ROWS, parts)).reshape(-1)

    def values_made(self, u: npt.NDArray[np.float64], train: int) -> str:
        """As `Ring.values_made`: other rows than those that train have ciphertexts of their own."""
        return values_made(TRAINING, u[:train], train, leave_one_out=self.leave_one_out)

    def _own(self, raw: bytes, peer: str) -> bytes:
        return own_part(raw, peer, adds=self.adds, fits=True)
