"""Sum-only studies over an in-memory link with real ciphertexts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from crypto.ckks.fits import SUM
from crypto.ckks.keys import PublicKeys
from crypto.ckks.secret import SecretContext
from crypto.ckks.secret_sum import SumContext
from crypto.ckks.sets import PARAMETER_SETS
from crypto.ckks.sum_keys import EncryptionKey, evaluation_part
from parties.run.node import Node
from secure_gal.gal.split import study_order, to_unit
from secure_gal.holdings.rings import ReplyRidge
from secure_gal.holdings.sums import SumRidge
from secure_gal.learners import ridge_features
from secure_gal.protocol import roles
from secure_gal.settings.party import LearnerSettings
from secure_gal.settings.study import Protect
from secure_gal.state import State
from tests.support.simulation import MemoryStore, Network, Party
from tests.support.study_in_memory import ANY_SUMS, NAMES, Arrays, context, make_node, study

LINEAR = LearnerSettings(features=("standardized",))
N, TRAIN_SHARE = 1500, 0.8
CLEAR, CKKS = Protect(ids="clear", predictions="sum"), Protect(ids="clear", residuals="ckks", predictions="sum")

SEALING: dict[tuple[Protect, str], bytes] = {}
"""The aggregator's key for fits, by protection and weights: it erases it when learning has ended."""


class Rows(Arrays):
    """A party over N rows; the label depends on the assistors' columns."""

    def __init__(self, name: str) -> None:
        self.name, self.x = name, np.random.default_rng(NAMES.index(name)).standard_normal((N, 4))
        self.ids = tuple(f"r{i}" for i in range(N))
        others = [np.random.default_rng(i).standard_normal((N, 4)) for i in (1, 2)]
        self.y = (others[0] @ [1.0, 0.5, 0, 0] + others[1] @ [0.3, 0, 1.0, 0])[:, None]
        self.y += 0.3 * np.random.default_rng(7).standard_normal((N, 1))

    def prepare(self, rows: np.ndarray, train: np.ndarray) -> bytes:
        self.features = ridge_features(LINEAR, self.x[rows][train], Path.cwd(), 0)
        self.u = self.features.transform(self.x[rows][study_order(train)])
        return super().prepare(rows, train)

    def own(self, raw: bytes) -> bytes:
        """What this party fits or encrypts with: the lab is the aggregator."""
        return evaluation_part(raw, fits=isinstance(self, Head)) if self.name == "lab" else raw


class Head(Rows):
    """The encrypted head of a sum-only study."""

    padded, width, fresh = 8, 4, False

    def check_keys(self, raw: bytes, peer: str) -> None:
        PublicKeys.from_bytes(SUM, 8, self.own(raw))

    def use_keys(self, raw: bytes, peer: str) -> None:
        left_out = self.cross_fitted
        self.ridge = SumRidge(self.own(raw), 8, self.u, int(self.train.sum()), peer, leave_one_out=left_out, outputs=1)

    def fit(self, round_: int, requests: np.ndarray, outputs: int, peer: str) -> np.ndarray:
        return self.ridge.fit(requests, outputs, peer)

    def head(self, requests: np.ndarray, outputs: int, peer: str) -> bytes:
        return self.ridge.head(requests, outputs, peer)


class Public(Rows):
    """Fits in the clear, encrypted under the public key."""

    padded, width, fresh = 0, 4, False

    def check_keys(self, raw: bytes, peer: str) -> None:
        EncryptionKey(self.own(raw))

    def use_keys(self, raw: bytes, peer: str) -> None:
        self.key = EncryptionKey(self.own(raw))

    def fit_round(self, round_: int, residual: np.ndarray, withheld: float = 1.0) -> tuple[bytes, np.ndarray]:
        saved, fitted = super().fit_round(round_, residual, withheld)
        values = fitted.astype(np.float64)[study_order(self.train)] / to_unit(residual)[1]
        cut = int(self.train.sum())
        return saved, np.frombuffer(self.key.encrypt(values[:cut], values[cut:], 8.0), np.uint8)


class Individual(Rows):
    """The encrypted head of a study with `predictions = "none"`."""

    padded = 8

    def check_keys(self, raw: bytes, peer: str) -> None:
        PublicKeys.from_bytes(PARAMETER_SETS["standard"], 8, raw)

    def use_keys(self, raw: bytes, peer: str) -> None:
        rows = int(self.train.sum())
        params = PARAMETER_SETS["standard"]
        self.party = ReplyRidge(params, raw, 8, self.u, rows, peer, leave_one_out=False, outputs=1, cores=1)

    def fit(self, round_: int, requests: np.ndarray, outputs: int, peer: str) -> np.ndarray:
        return self.party.fit(requests, outputs, peer)

    def head(self, requests: np.ndarray, outputs: int, peer: str) -> bytes:
        return self.party.head(requests, outputs, peer)


def run(protect: Protect, rounds: int = 3, weights: str = "paper") -> tuple[Network, Any]:
    """A finished study, and the sponsor's key."""
    settings = study(protect=protect, loss="l2", rounds=rounds, weights=weights)
    summed = protect.summed
    cipher = SumContext.generate(SUM) if summed else SecretContext.generate(PARAMETER_SETS["standard"])

    def party(name: str) -> Party:
        fixed = context(name, settings, ANY_SUMS)

        def make(store: MemoryStore) -> Node:
            state, nonce, own = State(store.values), bytes(16), Rows(name)
            own.rounds, own.cross_fitted = rounds, settings.cross_fitted
            if name == "hospital" and not summed:
                return make_node(roles.sponsor(fixed, own, state, nonce, cipher), store, fixed)
            if name == "hospital":
                return make_node(roles.sponsor(fixed, own, state, nonce, cipher), store, fixed)
            if not summed:
                return make_node(roles.assistor(fixed, Individual(name), state, nonce), store, fixed)  # type: ignore[arg-type]
            model = (Head if protect.encrypted else Public)(name)
            model.cross_fitted = settings.cross_fitted
            role = roles.assistor(fixed, model, state, nonce)  # type: ignore[arg-type]
            return make_node(role, store, fixed)

        return Party(name, make)

    network = Network(party("hospital"), [party(n) for n in NAMES[1:]])
    while network.step():  # the aggregator that keeps everything keeps this too
        if "secret/fitted" in network.parties["lab"].store.values:
            SEALING[protect, weights] = network.parties["lab"].store.values["secret/fitted"]
    return network, cipher


@pytest.fixture(scope="module")
def left_out() -> tuple[Network, Any]:
    return run(CKKS, weights="fitted")


def payloads(
    network: Network, recipient: str, kind: str, round_: int = 1, sender: str = ""
) -> list[dict[str, np.ndarray]]:
    """Fields of the messages of one kind that this party got in a round."""
    found = []
    for who, to, frames in network.sent:
        header = msgspec.json.decode(frames[0])
        if to != recipient or header["kind"] != kind or header["round"] != round_ or (sender and who != sender):
            continue
        fields, rest = {}, frames[3:]
        for field in header["fields"]:
            raw = b"".join(rest[: -(-field["nbytes"] // (8 << 20))])
            rest = rest[-(-field["nbytes"] // (8 << 20)) :]
            if field["dtype"] != "json":
                fields[field["name"]] = np.frombuffer(raw, field["dtype"]).reshape(field["shape"])
        found.append(fields)
    return found
