"""Ridge fits to residuals that arrive as ciphertexts: encoder, features and encrypted heads behind the ports."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from crypto.ckks.encrypted_ridge import Basis
from crypto.ckks.keys import PublicKeys
from crypto.work_folder import sweep
from secure_gal.errors import SettingsError, StateError
from secure_gal.features.encoded import RidgeFeatures
from secure_gal.holdings.feature_maps import Maps
from secure_gal.holdings.party import PartyHolding, look_up
from secure_gal.holdings.rings import Ridge, Ring, answer
from secure_gal.learners import ONE_MAP, encryptable, storage
from secure_gal.settings.party import PartySettings
from secure_gal.settings.study import Study

Bytes = npt.NDArray[np.uint8]


class EncryptedRidgeFits:
    """An assistor's fits to ciphertexts.

    Args:
        data: whose rows they are.
        ring: how the study's ciphertexts are laid out, and for whom.
        maps: one feature map for all rounds, or one a round.
    """

    def __init__(self, data: PartyHolding, ring: Ring, maps: Maps) -> None:
        sweep()
        self._data, self._ring, self._maps = data, ring, maps
        self.features: RidgeFeatures | None = None
        self._u = np.zeros((0, 0))
        self._train, self._columns, self._padded = 0, 0, 0
        self._keys: PublicKeys | None = None
        self._sponsors: tuple[bytes, str] | None = None
        self._basis: Basis | None = None
        self._ridge: Ridge | None = None

    def prepare(self, positions: npt.NDArray[np.int64], train: npt.NDArray[np.bool_]) -> bytes:
        """Fit encoder, features and basis to the training rows; returns what must be saved to predict later."""
        encoder, x = self._data.encoded_to_learn(positions, train)
        self._train, self._columns = int(train.sum()), int(np.prod(x.shape[1:]))
        self.features, self._u = self._maps.begin(x, train, self._ring.widest)
        self._padded = self._ring.padded(self.features.width)
        return storage.dump((encoder, None if self.fresh else self.features))

    @property
    def fresh(self) -> bool:
        """Whether every round has a map, and so an encrypted head, of its own."""
        return self._maps.fresh

    @property
    def padded(self) -> int:
        """P, the width of U padded to a power of two, of every round; only after `prepare`."""
        self._prepared()
        return self._padded

    @property
    def width(self) -> int:
        """Features without the intercept, or encoded columns where these are fewer: many features of few columns hide
        the columns no better (decision 0010). Only after `prepare`."""
        return max(1, min(self._prepared().width - 1, self._columns))

    @property
    def values_made(self) -> str:
        """How values of the training rows are made, in words; empty before there are any."""
        return self._ring.values_made(self._u, self._train) if self._train else ""

    @property
    def seconds_for_features(self) -> float:
        """As `PartyHolding.seconds_for_features`."""
        return self._maps.seconds

    def encode(self) -> None:
        """As `EncryptedFits.encode`."""
        self._basis = self._ring.encoded(self.padded, self._u, self._train)

    def check_keys(self, raw: bytes, peer: str) -> None:
        """Refuse evaluation keys that nothing could be computed with; PeerViolation.

        They are held from now on, so that this process reads them once.
        """
        self._keys = self._ring.training_keys(self.padded, raw, peer)

    def use_keys(self, raw: bytes, peer: str) -> None:
        """Check the sponsor's evaluation keys and use them from now on; PeerViolation."""
        self._prepared()
        if self._ridge is not None:
            self._ridge.close()
            self._ridge = None
        self._ridge = self._ring.ridge(self._padded, raw, self._u, self._train, peer, self._basis)
        self._sponsors, self._basis = (raw, peer), None

    def fit(self, round_: int, ciphertexts: Bytes, outputs: int, peer: str) -> Bytes:
        """Enc(f) of all rows, training rows first, from Enc(r) of the training rows; sanitised. PeerViolation."""
        self._begin(round_)
        return self._ready().fit(ciphertexts, outputs, peer)

    def head(self, ciphertexts: Bytes, outputs: int, peer: str) -> bytes:
        """The encrypted head, for this party's own disk; the rows of training are not needed after it.

        Args:
            ciphertexts: Enc(R_m), or where maps are fresh Enc(c_t r^t) of one round after the other.

        Raises:
            PeerViolation: as `EncryptedRidge.head`.
        """
        each = self._ring.blocks(self._train) * outputs
        heads = []
        for t in range(len(ciphertexts) // each):
            self._begin(t + 1)
            made = self._ready().head(ciphertexts[t * each :][:each], outputs, peer)
            heads.append((self._prepared(), made))
        self.close()
        return self._maps.saved(self._padded, heads)

    def close(self) -> None:
        """End the worker processes; nothing more is fitted."""
        for open_ in (self._ridge, self._basis):
            if open_ is not None:
                open_.close()
        self._ridge = self._basis = None

    def answer(
        self, ids: tuple[str, ...], encoder: bytes, keys: bytes, head: bytes, outputs: int, peer: str
    ) -> tuple[Bytes, Bytes]:
        """(known (n,), Enc(part)) for new ids, from the data as it is on disk now; sanitised."""
        data = self._data
        table = data.read()
        known, rows = look_up(table, ids)
        encode, features = storage.load(encoder, data.trusted)
        x = data.encode_new(encode, table, rows) if rows else np.zeros((0, 0))
        width, heads = self._maps.loaded(head, features, data.trusted)
        public = self._keys = self._ring.answer_keys(self._ring.padded(width), keys, peer)
        parts = [answer(mapped, public, g, outputs, x, known) for mapped, g in heads]
        return known, self._ring.joined(parts, peer)

    def _begin(self, round_: int) -> None:
        """Fit by the map of this round from now on, where it is another one."""
        found = self._maps.of_round(round_, self._padded)
        if found is None:
            return
        self.features, self._u = found
        if self._sponsors is not None:
            self.use_keys(*self._sponsors)

    def _prepared(self) -> RidgeFeatures:
        if self.features is None:
            raise StateError("an encrypted fit was asked for before the data was prepared")
        return self.features

    def _ready(self) -> Ridge:
        if self._ridge is None:
            raise StateError("an encrypted fit was asked for before the evaluation keys came")
        return self._ridge


def refuse_unencryptable(party: PartySettings, study: Study) -> None:
    """SettingsError, naming the alternatives, for a learner that cannot be fitted on ciphertexts."""
    why = encryptable(party.learner)
    if why:
        raise SettingsError("[learner]", why)
    if party.learner.fresh_features and not study.protect.summed:
        raise SettingsError("[learner] fresh_features", ONE_MAP)
