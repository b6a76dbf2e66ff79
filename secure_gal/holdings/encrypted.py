"""An assistor's table or arrays, encoder, features and encrypted head behind the encrypted protocol."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from crypto.ckks.keys import PublicKeys
from crypto.ckks.params import ParameterSet
from crypto.ckks.ring import padded
from crypto.ckks.sets import named
from crypto.work_folder import sweep
from secure_gal.errors import SettingsError, StateError, blamed
from secure_gal.features.encoded import RidgeFeatures
from secure_gal.gal.split import derive_seed
from secure_gal.holdings.encrypted_party import EncryptedParty, answer
from secure_gal.holdings.in_memory import InMemory
from secure_gal.holdings.party import PartyModel, RowEncoder, look_up
from secure_gal.learners import ONE_MAP, encryptable, ridge_features, storage
from secure_gal.settings.party import PartySettings
from secure_gal.settings.study import Study

Bytes = npt.NDArray[np.uint8]


class EncryptedAssistorData(PartyModel):
    """An assistor's side where residuals arrive as ciphertexts.

    Raises:
        SettingsError: the party's learner cannot be fitted on ciphertexts; names the alternatives.
    """

    fresh = False
    """Whether every round has a map, and so an encrypted head, of its own (`SumFreshData`)."""

    def __init__(
        self,
        party: PartySettings,
        study: Study,
        folder: Path,
        warn: Callable[[str], None],
        *,
        memory: InMemory | None = None,
    ) -> None:
        refuse_unencryptable(party, study)
        sweep()
        super().__init__(party, study, folder, warn, memory=memory)
        self._params = named(study.protect.parameter_set)
        self._encrypted: EncryptedParty | None = None
        self._keys: PublicKeys | None = None
        self._features: RidgeFeatures | None = None
        self._seconds_for_features = 0.0

    def prepare(self, positions: npt.NDArray[np.int64], train: npt.NDArray[np.bool_]) -> bytes:
        """Fit encoder, features and basis on the training rows; returns what must be saved to predict later."""
        encoder, features, x = self._fit_features(positions, train)
        self._encrypted = EncryptedParty(features, x, train, self._params, leave_one_out=self._study.cross_fitted)
        return storage.dump((encoder, features))

    def _fit_features(
        self, positions: npt.NDArray[np.int64], train: npt.NDArray[np.bool_]
    ) -> tuple[RowEncoder, RidgeFeatures, Any]:
        """RowEncoder and features fitted to the training rows, and all of the study's rows encoded."""
        encoder, x = self.encoded_to_learn(positions, train)
        seed = derive_seed("features", self._study.seed, self._party.party)
        began = time.perf_counter()
        self._features = features = ridge_features(self._party.learner, x[train], self._folder, seed)
        self._seconds_for_features = time.perf_counter() - began
        return encoder, features, x

    @property
    def _computes(self) -> object:
        return self._features or self._learner

    @property
    def _values_made(self) -> str:
        return self._encrypted.values_made if self._encrypted is not None else ""

    @property
    def seconds_for_features(self) -> float:
        """As `PartyModel`'s."""
        return self._seconds_for_features

    @property
    def padded(self) -> int:
        """The padded width P; only after `prepare`."""
        return self._ready().padded

    def check_keys(self, raw: bytes, peer: str) -> None:
        """Refuse evaluation keys that nothing could be computed with; PeerViolation."""
        self._read_keys(self._params, self.padded, raw, peer)

    def _read_keys(self, params: ParameterSet, width: int, raw: bytes, peer: str) -> PublicKeys:
        """Evaluation keys, held from now on, so that this process reads them once; PeerViolation."""
        with blamed(peer):
            self._keys = PublicKeys.from_bytes(params, width, raw)
        return self._keys

    def use_keys(self, raw: bytes, peer: str) -> None:
        """Check the sponsor's evaluation keys and use them from now on; PeerViolation."""
        self._ready().use_keys(raw, peer)

    def fit_encrypted(self, ciphertexts: Bytes, outputs: int, peer: str) -> Bytes:
        """Enc(f) of all rows, training rows first, from Enc(r) of the training rows; sanitised. PeerViolation."""
        return self._ready().fit(ciphertexts, outputs, peer)

    def head(self, ciphertexts: Bytes, outputs: int, peer: str) -> bytes:
        """The encrypted head, for this party's own disk; the rows of training are not needed after it."""
        head = self._ready().head(ciphertexts, outputs, peer)
        self._ready().close()
        return head

    def close(self) -> None:
        """As `PartyModel.close`."""
        if self._encrypted is not None:
            self._encrypted.close()

    def answer(
        self, ids: tuple[str, ...], encoder: bytes, keys: bytes, head: bytes, outputs: int, peer: str
    ) -> tuple[Bytes, Bytes]:
        """(known (n,), Enc(part)) for new ids, from the data as it is on disk now; sanitised."""
        known, features, x = self._new_rows(ids, encoder)
        public = self._read_keys(self._params, padded(self._params, features.width), keys, peer)
        return known, answer(features, public, head, outputs, x, known)

    def _new_rows(self, ids: tuple[str, ...], encoder: bytes) -> tuple[Bytes, RidgeFeatures, Any]:
        """Which ids are known (n,), the features of training, and the known ids' rows encoded."""
        table = self._read()
        known, rows = look_up(table, ids)
        encode, features = storage.load(encoder, self.trusted)
        return known, features, self._encode_new(encode, table, rows) if rows else np.zeros((0, 0))

    def _ready(self) -> EncryptedParty:
        if self._encrypted is None:
            raise StateError("an encrypted fit was asked for before the data was prepared")
        return self._encrypted


def refuse_unencryptable(party: PartySettings, study: Study) -> None:
    """SettingsError, naming the alternatives, for a learner that cannot be fitted on ciphertexts."""
    why = encryptable(party.learner)
    if why:
        raise SettingsError("[learner]", why)
    if party.learner.fresh_features and not study.protect.summed:
        raise SettingsError("[learner] fresh_features", ONE_MAP)
