"""How the ciphertexts of a study's fits are laid out, and the fits themselves: here, as replies to the sponsor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from crypto.ckks.encrypted_ridge import Basis, EncryptedRidge, predict
from crypto.ckks.keys import PublicKeys
from crypto.ckks.leave_one_out import longest_row, shrunk
from crypto.ckks.params import ParameterSet
from crypto.ckks.ring import padded
from crypto.ckks.slots import Packing
from secure_gal.errors import DataError, blamed, setting
from secure_gal.features.encoded import RidgeFeatures
from secure_gal.gal.withheld import fixed
from secure_gal.learners.base import EncodedRows
from secure_gal.learners.ridge import leverage_of

Bytes = npt.NDArray[np.uint8]


class Ridge(Protocol):
    """The ridge fits of one assistor under the sponsor's keys; what the peer sent wrong is a PeerViolation."""

    def fit(self, requests: Bytes, outputs: int, peer: str) -> Bytes:
        """Enc(f) of all rows, training rows first, from Enc(r) of the training rows; sanitised."""
        ...

    def head(self, requests: Bytes, outputs: int, peer: str) -> bytes:
        """The encrypted head G = U' R, for this party's own disk."""
        ...

    def close(self) -> None:
        """End the worker processes."""
        ...


class Ring(Protocol):
    """The layout of one study. `width` is P below, a power of two; keys that are none are a PeerViolation."""

    @property
    def widest(self) -> int:
        """Columns of U, at most."""
        ...

    def padded(self, columns: int) -> int:
        """P, columns of U padded to a power of two."""
        ...

    def blocks(self, rows: int) -> int:
        """Ciphertexts of one output of so many training rows."""
        ...

    def training_keys(self, width: int, raw: bytes, peer: str) -> PublicKeys:
        """Of what the sponsor sent, the keys to fit with."""
        ...

    def answer_keys(self, width: int, raw: bytes, peer: str) -> PublicKeys:
        """The keys to answer new rows with."""
        ...

    def encoded(self, width: int, u: npt.NDArray[np.float64], train: int) -> Basis:
        """What fits of u float64 (N, p), whose first `train` rows train, need besides keys."""
        ...

    def ridge(
        self, width: int, raw: bytes, u: npt.NDArray[np.float64], train: int, peer: str, basis: Basis | None
    ) -> Ridge:
        """Fits of u, with what was encoded of it, if anything was."""
        ...

    def joined(self, parts: list[Bytes], peer: str) -> Bytes:
        """The sum of the parts of several heads, as it leaves."""
        ...

    def values_made(self, u: npt.NDArray[np.float64], train: int) -> str:
        """How values of the training rows are made, in words."""
        ...


def basis_of(
    params: ParameterSet,
    width: int,
    u: npt.NDArray[np.float64],
    train: int,
    *,
    leave_one_out: bool,
    outputs: int,
    cores: int | None = None,
) -> Basis:
    """Of u (N, p), whose first `train` rows leave out the share that follows from K and their leverages; DataError."""
    share = fixed(outputs, leverage_of(u[:train]))
    with setting("features", DataError):
        return Basis(params, width, u[:train], u, leave_one_out=leave_one_out, share=share, cores=cores)


class ReplyRidge:
    """Fits whose values the sponsor decrypts: all rows side by side, in reply ciphertexts.

    Args:
        raw: the sponsor's evaluation keys, for the width of the features.
        u: float64 (N, p), training rows first; train: their number.
        leave_one_out: training rows get leave-one-out values instead of fitted ones.
        outputs: K, by which a row leaves out more or less of its own residual (`secure_gal.gal.withheld`).
        cores: of worker processes; None: as many as there are.
        basis: `basis_of` these rows; None: it is made now.

    Raises:
        PeerViolation: they are not keys of this parameter set and width.
    """

    def __init__(
        self,
        params: ParameterSet,
        raw: bytes,
        width: int,
        u: npt.NDArray[np.float64],
        train: int,
        peer: str,
        *,
        leave_one_out: bool,
        outputs: int,
        cores: int | None = None,
        basis: Basis | None = None,
    ) -> None:
        with blamed(peer):
            keys = PublicKeys.from_bytes(params, width, raw)
        if basis is None:
            basis = basis_of(params, width, u, train, leave_one_out=leave_one_out, outputs=outputs, cores=cores)
        self._ridge = EncryptedRidge(keys, basis)

    def __repr__(self) -> str:
        return f"ReplyRidge({self._ridge!r})"

    def fit(self, requests: Bytes, outputs: int, peer: str) -> Bytes:
        """As `Ridge.fit`."""
        with blamed(peer):
            return self._ridge.fit(requests, outputs)

    def head(self, requests: Bytes, outputs: int, peer: str) -> bytes:
        """As `Ridge.head`."""
        with blamed(peer):
            return self._ridge.head(requests, outputs)

    def close(self) -> None:
        """As `Ridge.close`."""
        self._ridge.close()


@dataclass(frozen=True, slots=True)
class ReplyRing:
    """Fits go to the sponsor, who decrypts each."""

    params: ParameterSet
    leave_one_out: bool
    outputs: int

    @property
    def widest(self) -> int:
        """As `Ring.widest`."""
        return self.params.max_features

    def padded(self, columns: int) -> int:
        """As `Ring.padded`."""
        return padded(self.params, columns)

    def blocks(self, rows: int) -> int:
        """As `Ring.blocks`."""
        return Packing(self.params, rows, self.outputs).blocks

    def training_keys(self, width: int, raw: bytes, peer: str) -> PublicKeys:
        """As `Ring.training_keys`."""
        with blamed(peer):
            return PublicKeys.from_bytes(self.params, width, raw)

    def answer_keys(self, width: int, raw: bytes, peer: str) -> PublicKeys:
        """The same."""
        return self.training_keys(width, raw, peer)

    def encoded(self, width: int, u: npt.NDArray[np.float64], train: int) -> Basis:
        """As `Ring.encoded`."""
        left_out, k = self.leave_one_out, self.outputs
        basis = basis_of(self.params, width, u, train, leave_one_out=left_out, outputs=k)
        basis.encode(k)
        return basis

    def ridge(
        self, width: int, raw: bytes, u: npt.NDArray[np.float64], train: int, peer: str, basis: Basis | None
    ) -> Ridge:
        """As `Ring.ridge`."""
        left_out, k = self.leave_one_out, self.outputs
        return ReplyRidge(self.params, raw, width, u, train, peer, leave_one_out=left_out, outputs=k, basis=basis)

    def joined(self, parts: list[Bytes], peer: str) -> Bytes:
        """The only part: one head serves all rounds."""
        (part,) = parts
        return part

    def values_made(self, u: npt.NDArray[np.float64], train: int) -> str:
        """As `Ring.values_made`."""
        return values_made(self.params, u[:train], len(u), leave_one_out=self.leave_one_out)


def values_made(params: ParameterSet, u_train: npt.NDArray[np.float64], rows: int, *, leave_one_out: bool) -> str:
    """How the values of training rows u_train (N_train, width), of so many that are fitted, are made, in words."""
    if not leave_one_out:
        return "fitted values"
    count = shrunk(u_train, longest_row(params, len(u_train), rows))
    drawn = f"; {count} rows of much leverage are drawn towards 0" if count else ""
    return f"leave-one-out values of one fit{drawn}"


def answer(
    features: RidgeFeatures,
    keys: PublicKeys,
    head: bytes,
    outputs: int,
    x: EncodedRows,
    known: npt.NDArray[np.uint8],
) -> Bytes:
    """Enc(part) of n ids from the encrypted head, 0 where unknown; x float64 (known.sum(), q)."""
    if not len(known):  # none of the batch's ids is this party's
        return np.zeros((0, keys.params.reply_bytes), dtype=np.uint8)
    u = np.zeros((len(known), features.width))
    if len(x):
        u[known == 1] = features.transform(x)
    with setting("features", DataError):
        return predict(keys, head, outputs, u)
