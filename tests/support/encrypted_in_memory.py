"""Encrypted residuals over an in-memory link, with a stand-in cipher whose "ciphertexts" are the values themselves.

They are padded to the real length, so that what is tested is the order of steps and what is kept on disk.
"""

from __future__ import annotations

import numpy as np

from crypto.ckks.keys import keys_digest
from crypto.ckks.sets import PARAMETER_SETS
from crypto.errors import Malformed
from parties.run.budget import DataBudget
from parties.run.node import Node
from secure_gal.errors import PeerViolation
from secure_gal.gal.split import study_order
from secure_gal.protocol import roles
from secure_gal.settings.limits import Beyond
from secure_gal.settings.study import Protect, Study
from secure_gal.state import State
from tests.support.simulation import MemoryStore, Network, Party
from tests.support.study_in_memory import NAMES, ROUNDS, Arrays, context, make_node, study

STANDARD = PARAMETER_SETS["standard"]
STUDY = study(protect=Protect(ids="clear", residuals="ckks"), loss="l2")
KEYS = b"keys for a padded width of 4"


def pack(values: np.ndarray, length: int) -> np.ndarray:
    """(N, K) values as (K, length) bytes: one block, in the clear, but of a form that a ciphertext may have.

    Four bits a byte, so that every number is below its modulus; ones behind, so that the second polynomial is not zero.
    """
    raw = np.ones((values.shape[1], length), dtype=np.uint8)
    body = np.ascontiguousarray(values.T, dtype=np.float64).view(np.uint8)
    raw[:, : 2 * body.shape[1]] = np.stack([body >> 4, body & 15], axis=-1).reshape(len(body), -1)
    return raw


def unpack(raw: np.ndarray, rows: int) -> np.ndarray:
    """The values float64 (rows, K) back from (K, length) bytes."""
    digits = raw[:, : 16 * rows].reshape(len(raw), -1, 2)
    return np.ascontiguousarray(digits[..., 0] << 4 | digits[..., 1]).view(np.float64).T


class StandIn:
    """A cipher that hides nothing."""

    def issue(self, padded: int, held: str, *, combines: bool = False) -> bytes:
        assert padded == 4 and not combines
        return b"" if held == keys_digest(STANDARD, padded, KEYS) else KEYS

    def encrypt(self, values: np.ndarray) -> np.ndarray:
        assert np.abs(values).max() <= 1.0
        return pack(values, STANDARD.request_bytes)

    def refuse(self, source: str, rule: str) -> Malformed:
        return Malformed(rule)

    def decrypt(self, replies: np.ndarray, rows: int, outputs: int, source: str) -> np.ndarray:
        if replies.shape != (outputs, STANDARD.reply_bytes):
            raise Malformed("wrong count")
        return unpack(replies, rows)


class Head(Arrays):
    """The assistor's side of the stand-in: a linear fit on what it unpacks."""

    padded = 4
    stretch = 1.0

    def check_keys(self, raw: bytes, peer: str) -> None:
        if raw != KEYS:
            raise PeerViolation(peer, "other keys")

    def use_keys(self, raw: bytes, peer: str) -> None:
        assert raw == KEYS

    def fit(self, round_: int, requests: np.ndarray, outputs: int, peer: str) -> np.ndarray:
        residual = unpack(requests, int(self.train.sum())).astype(np.float32)
        fitted = self.fit_round(1, residual)[1][study_order(self.train)]
        return pack(fitted * self.stretch, STANDARD.reply_bytes)

    def head(self, requests: np.ndarray, outputs: int, peer: str) -> bytes:
        return unpack(requests, int(self.train.sum())).astype(np.float64).tobytes()

    def answer(self, ids, encoder, keys, head, outputs, peer):  # type: ignore[no-untyped-def]
        self.reload(encoder)
        combined = np.frombuffer(head).reshape(-1, outputs).astype(np.float32)
        model = self.local._learner.fit(self.local._x_train, combined, 0)
        known = np.array([i in self.ids for i in ids], dtype=np.uint8)
        rows = [self.ids.index(i) if i in self.ids else 0 for i in ids]
        return known, pack(model.predict(self.x[rows]), STANDARD.reply_bytes)


def make_party(
    name: str,
    the_study: Study = STUDY,
    stretch: float = 1.0,
    beyond: Beyond | None = None,
    budget: DataBudget | None = None,
) -> Party:
    """A party of an encrypted study.

    Args:
        stretch: factor of an assistor's answers, 1 where it is honest.
    """
    fixed = context(name, the_study, beyond, budget)

    def make(store: MemoryStore) -> Node:
        state, nonce = State(store.values), bytes([NAMES.index(name) + 1]) * 16
        if name == "hospital":
            role: object = roles.sponsor(fixed, Arrays(name, rounds=the_study.rounds), state, nonce, StandIn())
        else:
            head = Head(name, 5)
            head.stretch = stretch
            role = roles.assistor(fixed, head, state, nonce)  # type: ignore[arg-type]
        return make_node(role, store, fixed)

    return Party(name, make)


def make_encrypted(
    seed: int = 0, loss: float = 0.0, stretch: float = 1.0, weights: str = "paper", rounds: int = ROUNDS
) -> Network:
    """All three parties of an encrypted study."""
    settings = study(protect=STUDY.protect, loss=STUDY.loss, weights=weights, rounds=rounds)
    others = [make_party(name, settings, stretch) for name in NAMES[1:]]
    return Network(make_party("hospital", settings), others, seed, loss)
