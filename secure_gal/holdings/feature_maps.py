"""The feature maps of an encrypted assistor: one for all rounds, or with `fresh_features` one a round.

One head cannot serve rounds of different maps, so with fresh ones the learning stage ends with Enc(c_t r^t) for every
round that was run instead of their sum (c_t = 0 for rounds that are not kept, which the ciphertext hides), and a part
is the sum of T.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from secure_gal.errors import StateError
from secure_gal.features.encoded import RidgeFeatures
from secure_gal.features.fresh import draw
from secure_gal.gal.split import derive_seed, study_order
from secure_gal.holdings.party import PartyHolding
from secure_gal.learners import ridge_features, storage
from secure_gal.learners.base import EncodedRows, as_table
from secure_gal.learners.kinds.linear import ridge_strength

Mapped = tuple[RidgeFeatures, npt.NDArray[np.float64]]
"""A map, and U float64 (N, width) of all rows by it, training rows first."""
Heads = list[tuple[RidgeFeatures, bytes]]
"""Encrypted heads whose parts are added up, each with its map."""


class Maps(Protocol):
    """The maps of one assistor."""

    fresh: bool
    """Whether every round has one of its own."""
    seconds: float
    """That this process took to fit a map or to train an encoder."""

    def begin(self, x: EncodedRows, train: npt.NDArray[np.bool_], widest: int) -> Mapped:
        """The map of the first round, from encoded rows x (N, q) or arrays, and their training mask (N,).

        Args:
            widest: columns of U, at most.
        """
        ...

    def of_round(self, round_: int, widest: int) -> Mapped | None:
        """The map of a round, always the same; None where it is the one of the last call."""
        ...

    def saved(self, padded: int, heads: Heads) -> bytes:
        """Heads for this party's own disk."""
        ...

    def loaded(self, raw: bytes, features: RidgeFeatures, trusted: tuple[str, ...]) -> tuple[int, Heads]:
        """What was saved, after the columns of U that the keys serve; features: as saved with the encoder."""
        ...


class OneMap:
    """The map that `[learner] features` names, fitted once."""

    fresh = False

    def __init__(self, data: PartyHolding) -> None:
        self._data, self.seconds = data, 0.0

    def begin(self, x: EncodedRows, train: npt.NDArray[np.bool_], widest: int) -> Mapped:
        """As `Maps.begin`."""
        data = self._data
        seed = derive_seed("features", data.study.seed, data.party.party)
        began = time.perf_counter()
        features = ridge_features(data.party.learner, x[train], data.folder, seed)
        self.seconds = time.perf_counter() - began
        return features, features.transform(x[study_order(train)])

    def of_round(self, round_: int, widest: int) -> None:
        """It is always the same."""

    def saved(self, padded: int, heads: Heads) -> bytes:
        """The head itself: its map lies beside the encoder."""
        ((_, head),) = heads
        return head

    def loaded(self, raw: bytes, features: RidgeFeatures, trusted: tuple[str, ...]) -> tuple[int, Heads]:
        """As `Maps.loaded`."""
        return features.width, [(features, raw)]


class FreshMaps:
    """A map drawn anew in every round; all rounds use keys of the first map's padded width."""

    fresh, seconds = True, 0.0

    def __init__(self, data: PartyHolding) -> None:
        self._data = data
        self._x: npt.NDArray[np.float64] = np.zeros((0, 0))
        self._train, self._round = 0, 0

    def begin(self, x: EncodedRows, train: npt.NDArray[np.bool_], widest: int) -> Mapped:
        """As `Maps.begin`; the party is told what it fits."""
        self._x, self._train, self._round = as_table(x)[study_order(train)], int(train.sum()), 0
        first = self.of_round(1, widest)
        if first is None:
            raise StateError("the map of round 1 was drawn before")
        self._data.warn(f"features: {first[0].description}; drawn anew every round")
        return first

    def of_round(self, round_: int, widest: int) -> Mapped | None:
        """As `Maps.of_round`; a map that is wider than the keys is cut to them."""
        if round_ == self._round:
            return None
        data, learner, x_train = self._data, self._data.party.learner, self._x[: self._train]
        seed = derive_seed("fit", data.study.seed, data.party.party, round_)
        drawn = draw(learner.maps, x_train, data.fresh_secret(), seed)
        features = RidgeFeatures.on(drawn, ridge_strength(learner), x_train)
        factor = features.basis.factor[:, : widest - 1]
        features = RidgeFeatures(drawn, replace(features.basis, factor=factor))
        self._round = round_
        return features, features.transform(self._x)

    def saved(self, padded: int, heads: Heads) -> bytes:
        """Map and head of every round."""
        return storage.dump((padded, heads))

    def loaded(self, raw: bytes, features: RidgeFeatures, trusted: tuple[str, ...]) -> tuple[int, Heads]:
        """As `Maps.loaded`."""
        found: tuple[int, Heads] = storage.load(raw, trusted)
        return found
