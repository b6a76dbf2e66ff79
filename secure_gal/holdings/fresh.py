"""`fresh_features` where residuals are ciphertexts too: a feature map and an encrypted head for every round.

One head cannot serve rounds of different maps, so the learning stage ends with Enc(c_t r^t) for every round that was
run instead of their sum (c_t = 0 for rounds that are not kept, which the ciphertext hides), and a part is the sum of T.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from crypto.ckks.add import added
from crypto.ckks.fits import ROWS, SUM
from crypto.ckks.ring import padded
from secure_gal.errors import blamed
from secure_gal.features.encoded import RidgeFeatures
from secure_gal.features.fresh import draw
from secure_gal.gal.rows import study_order
from secure_gal.gal.split import derive_seed
from secure_gal.holdings.encrypted_party import answer
from secure_gal.holdings.in_memory import InMemory
from secure_gal.holdings.sums import SumEncryptedData
from secure_gal.learners import storage
from secure_gal.learners.kinds.linear import ridge_strength
from secure_gal.settings.party import PartySettings
from secure_gal.settings.study import Study

Bytes = npt.NDArray[np.uint8]


class SumFreshData(SumEncryptedData):
    """`SumEncryptedData` whose map is drawn anew in every round; all rounds use keys of the first map's padded
    width."""

    fresh = True

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
        self._x: Any = np.zeros((0, 0))
        self._padded, self._round = 0, 0
        self._sponsors: tuple[bytes, str] | None = None

    def prepare(self, positions: npt.NDArray[np.int64], train: npt.NDArray[np.bool_]) -> bytes:
        """Fit the encoder on the training rows and draw the first map; returns what must be saved to predict later."""
        encoder, x = self.encoded_to_learn(positions, train)
        self._x, self._train, self._columns = x[study_order(train)], int(train.sum()), int(np.prod(x.shape[1:]))
        self._padded, self._round = SUM.max_features, 0
        self.begin_round(1)
        self._padded = padded(SUM, self._prepared().width)
        self._warn(f"features: {self._prepared().description}; drawn anew every round")
        return storage.dump((encoder, None))

    @property
    def padded(self) -> int:
        """P of every round; only after `prepare`."""
        return self._padded

    def use_keys(self, raw: bytes, peer: str) -> None:
        """Check the sponsor's evaluation keys and use them from now on; PeerViolation."""
        super().use_keys(raw, peer)
        self._sponsors = raw, peer

    def begin_round(self, round_: int) -> None:
        """Draw the map of a round, always the same one, and fit with it from now on."""
        if round_ == self._round:
            return
        x_train, learner = self._x[: self._train], self._party.learner
        seed = derive_seed("fit", self._study.seed, self._party.party, round_)
        drawn = draw(learner.maps, x_train, self._fresh_secret(), seed)
        features = RidgeFeatures.on(drawn, ridge_strength(learner), x_train)
        factor = features.basis.factor[:, : self._padded - 1]  # a later map may be wider than the keys
        self._features = RidgeFeatures(drawn, replace(features.basis, factor=factor))
        self._u, self._round = self._features.transform(self._x), round_
        if self._sponsors is not None:
            super().use_keys(*self._sponsors)

    def head(self, ciphertexts: Bytes, outputs: int, peer: str) -> bytes:
        """Map and encrypted head of each round, for this party's own disk, from Enc(c_t r^t) one after the other.

        Raises:
            PeerViolation: as `EncryptedRidge.head`.
        """
        each = -(-self._train // SUM.n) * outputs
        heads = []
        for i in range(len(ciphertexts) // each):
            self.begin_round(i + 1)
            heads.append((self._prepared(), self._sum_ridge().head(ciphertexts[i * each :][:each], outputs, peer)))
        self._sum_ridge().close()
        return storage.dump((self._padded, heads))

    def answer(
        self, ids: tuple[str, ...], encoder: bytes, keys: bytes, head: bytes, outputs: int, peer: str
    ) -> tuple[Bytes, Bytes]:
        """(known (n,), Enc(sum of all rounds' parts) uint8 (fit_bytes,)), from the data as it is on disk now."""
        known, _, x = self._new_rows(ids, encoder)
        width, heads = storage.load(head, self.trusted)
        public = self._read_keys(ROWS, width, keys, peer)
        parts = [answer(features, public, g, outputs, x, known) for features, g in heads]
        with blamed(peer):
            return known, added(ROWS, parts).reshape(-1)
