"""One party's encrypted fits: its features over the study's rows behind `crypto.ckks.encrypted_ridge`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from crypto.ckks.encrypted_ridge import EncryptedRidge, predict
from crypto.ckks.keys import PublicKeys
from crypto.ckks.leave_one_out import longest_row, shrunk
from crypto.ckks.params import ParameterSet
from crypto.ckks.ring import padded
from secure_gal.errors import DataError, StateError, blamed, setting
from secure_gal.features.encoded import RidgeFeatures
from secure_gal.gal.rows import study_order

Bytes = npt.NDArray[np.uint8]


class EncryptedParty:
    """Rows x float64 (N, q) in study order, their training mask, and the features that were fitted to them.

    `leave_one_out`: training rows get leave-one-out values instead of fitted ones.
    """

    def __init__(
        self,
        features: RidgeFeatures,
        x: npt.NDArray[np.float64],
        train: npt.NDArray[np.bool_],
        params: ParameterSet,
        *,
        leave_one_out: bool,
        cores: int | None = None,
    ) -> None:
        self._features, self._params, self._cores, self._leave_one_out = features, params, cores, leave_one_out
        self._u = features.transform(x[study_order(train)])
        self._train_rows = int(train.sum())
        self._ridge: EncryptedRidge | None = None
        self._keys: PublicKeys | None = None

    def __repr__(self) -> str:
        return f"EncryptedParty({self._u.shape[0]} x {self._u.shape[1]})"

    @property
    def values_made(self) -> str:
        """How values of the training rows are made, in words."""
        train = self._u[: self._train_rows]
        return values_made(self._params, train, len(self._u), leave_one_out=self._leave_one_out)

    @property
    def padded(self) -> int:
        """P, the width of U padded to a power of two."""
        return padded(self._params, self._features.width)

    def use_keys(self, raw: bytes, peer: str) -> None:
        """Check the sponsor's evaluation keys and use them from now on.

        Raises:
            PeerViolation: they are not keys of this parameter set and width.
        """
        self.close()
        with blamed(peer):
            self._keys = PublicKeys.from_bytes(self._params, self.padded, raw)
        with setting("features", DataError):
            train, loo = self._u[: self._train_rows], self._leave_one_out
            self._ridge = EncryptedRidge(self._keys, train, self._u, leave_one_out=loo, cores=self._cores)

    def fit(self, requests: Bytes, outputs: int, peer: str) -> Bytes:
        """Enc(f) of all rows, training rows first, from Enc(r) of the training rows; sanitised."""
        with blamed(peer):
            return self._ready().fit(requests, outputs)

    def head(self, requests: Bytes, outputs: int, peer: str) -> bytes:
        """The encrypted head G = U' R, for this party's own disk."""
        with blamed(peer):
            return self._ready().head(requests, outputs)

    def close(self) -> None:
        """End the worker processes."""
        if self._ridge is not None:
            self._ridge.close()
            self._ridge = None

    def _ready(self) -> EncryptedRidge:
        if self._ridge is None:
            raise StateError("an encrypted fit was asked for before the evaluation keys came")
        return self._ridge


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
    x: npt.NDArray[np.float64],
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
