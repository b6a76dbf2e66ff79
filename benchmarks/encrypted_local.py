"""An assistor whose fits go through real ciphertexts, both sides of the key in one process."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from crypto.ckks.keys import PublicKeys
from crypto.ckks.params import ParameterSet
from crypto.ckks.ring import padded
from secure_gal.errors import blamed
from secure_gal.gal.split import derive_seed, study_order, to_unit
from secure_gal.holdings.rings import ReplyRidge, answer
from secure_gal.learners import ridge_features
from secure_gal.settings.party import LearnerSettings


class Cipher(Protocol):
    """What is used of a sponsor's `SecretContext`."""

    @property
    def params(self) -> ParameterSet: ...
    def public_keys(self, padded: int) -> bytes: ...
    def encrypt(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]: ...
    def decrypt(
        self, replies: npt.NDArray[np.uint8], rows: int, outputs: int, source: str
    ) -> npt.NDArray[np.float64]: ...


class EncryptedLocal:
    """One assistor and the sponsor's dealings with it: rows x float64 (N, q), training mask, learner settings.

    `leave_one_out` as for `ReplyRidge`, of one output.
    """

    def __init__(
        self,
        name: str,
        x: npt.NDArray[np.float64],
        train: npt.NDArray[np.bool_],
        learner: LearnerSettings,
        seed: int,
        cipher: Cipher,
        *,
        leave_one_out: bool,
    ) -> None:
        self._name, self._train, self._cipher = name, train, cipher
        self.features = ridge_features(learner, x[train], Path.cwd(), derive_seed("features", seed, name))
        self._padded = padded(cipher.params, self.features.width)
        self._keys = cipher.public_keys(self._padded)
        u, rows = self.features.transform(x[study_order(train)]), int(train.sum())
        params, keys, width, loo = cipher.params, self._keys, self._padded, leave_one_out
        self._ridge = ReplyRidge(params, keys, width, u, rows, name, leave_one_out=loo, outputs=1)

    def __repr__(self) -> str:
        return f"EncryptedLocal({self._name})"

    def fit_round(self, residual: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Fitted values float32 (N, K) from r^t float32 (N_train, K), by way of ciphertexts."""
        unit, scale = to_unit(residual)
        replies = self._ridge.fit(self._cipher.encrypt(unit), residual.shape[1], self._name)
        with blamed(self._name):
            values = self._cipher.decrypt(replies, len(self._train), residual.shape[1], self._name)
        fitted = np.empty(values.shape, dtype=np.float32)
        fitted[study_order(self._train)] = values * scale
        return fitted

    def part(self, combination: npt.NDArray[np.float64], x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Its part of a prediction (n, K) of rows x (n, q), from R_m (N_train, K)."""
        unit, scale = to_unit(combination)
        outputs = combination.shape[1]
        head = self._ridge.head(self._cipher.encrypt(unit), outputs, self._name)
        with blamed(self._name):
            keys = PublicKeys.from_bytes(self._cipher.params, self._padded, self._keys)
            replies = answer(self.features, keys, head, outputs, x, np.ones(len(x), dtype=np.uint8))
            return self._cipher.decrypt(replies, len(x), outputs, self._name) * scale

    def close(self) -> None:
        """End the worker processes."""
        self._ridge.close()
