"""Sum-only predictions over an in-memory link, with a stand-in cipher whose "ciphertexts" are the values themselves.

They are laid out and padded as the real ones: what is tested is the order of steps, what is relayed sealed, and what is
kept on disk.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from crypto.ckks.fits import DIFFERENCE_BYTES, ROWS, SUM, TRAINING, Layout
from crypto.ckks.keys import keys_digest
from crypto.ckks.products import PRODUCT_BYTES, pairs
from crypto.errors import Malformed
from parties.run.budget import DataBudget
from parties.run.node import Node
from secure_gal.effects import Compute, Send
from secure_gal.errors import PeerViolation
from secure_gal.gal.split import study_order, to_unit
from secure_gal.holdings.local import LocalParty
from secure_gal.learners import make_learner
from secure_gal.protocol import roles
from secure_gal.protocol.prediction import Prediction
from secure_gal.settings.limits import Beyond
from secure_gal.settings.party import LearnerSettings
from secure_gal.settings.study import Protect, Study
from secure_gal.state import State
from tests.support.encrypted_in_memory import pack, unpack
from tests.support.simulation import MemoryStore, Network, Party
from tests.support.study_in_memory import ANY_SUMS, NAMES, Arrays, N, context, make_node, study

CLEAR = Protect(ids="clear", predictions="sum")
CKKS = Protect(ids="clear", residuals="ckks", predictions="sum")
TRAIN = 96

KEYS, COMBINERS = b"keys", b"keys, and those of the aggregator"
put, get = pack, unpack
"""(N, K) values of one block as uint8 (K, length), and back."""


def fit_bytes(train: np.ndarray, others: np.ndarray) -> np.ndarray:
    """A fit of training rows (N, K) and of other rows as it is sealed: uint8, one dimension."""
    parts = [put(train, TRAINING.reply_bytes).tobytes() if len(train) else b""]
    parts.append(put(others, ROWS.reply_bytes).tobytes() if len(others) else b"")
    return np.frombuffer(b"".join(parts), dtype=np.uint8)


class StandIn:
    """The sponsor's side; hides nothing."""

    def issue(self, padded: int, held: str, *, combines: bool = False) -> bytes:
        raw = COMBINERS if combines else KEYS
        return b"" if held == keys_digest(SUM, padded, raw) else raw

    def encrypt(self, values: np.ndarray) -> np.ndarray:
        assert np.abs(values).max() <= 1.0
        return put(values, SUM.request_bytes)

    def encrypt_difference(self, values: np.ndarray) -> np.ndarray:
        return put(values, DIFFERENCE_BYTES)

    def decrypt(self, replies: np.ndarray, rows: int, outputs: int, source: str) -> np.ndarray:
        raise AssertionError("nothing but sums is ever decrypted")

    def decrypt_products(self, products: np.ndarray, count: int, scaling: object) -> np.ndarray:
        if products.shape != (count, PRODUCT_BYTES):
            raise Malformed("wrong count")
        return get(products, 1)[0]

    def refuse(self, source: str, rule: str) -> Malformed:
        return Malformed(rule)

    def decrypt_sum(self, replies: np.ndarray, layout: Layout, source: str) -> np.ndarray:
        if replies.shape != (layout.ciphertexts, SUM.reply_bytes):
            raise Malformed("wrong count")
        rows = [n for n in (layout.train, layout.others) if n]
        return np.concatenate([get(replies[i : i + 1], n) for i, n in enumerate(rows)])


class Adder:
    """The aggregator's side of the stand-in."""

    def __init__(self, raw: bytes, peer: str) -> None:
        if raw != COMBINERS:
            raise PeerViolation(peer, "other keys")

    def products(self, fits, residual, difference, table):  # type: ignore[no-untyped-def]
        r = get(residual, table.rows) if residual.dtype == np.uint8 else residual
        own = [get(difference, table.rows)] if len(difference) else []
        d = [*(get(fit, table.rows) - r for fit in fits), *own]
        listed = pairs(len(fits), bool(own))
        return np.concatenate([put(np.array([[np.sum(d[i] * d[j])]]), PRODUCT_BYTES) for i, j in listed])

    def weighted_sum(self, fits, weights):  # type: ignore[no-untyped-def]
        out = []
        for part in (0, 1):
            if len(fits[0][part]):
                values = sum(w / 2**20 * get(fit[part], 128) for fit, w in zip(fits, weights, strict=True))
                out.append(put(values, SUM.reply_bytes))
        return np.concatenate(out)


class Model(Arrays):
    """An assistor over an array whose fits leave as stand-in ciphertexts, in the clear protocol."""

    padded, width, fresh = 0, 3, False
    holds_keys = False

    def check_keys(self, raw: bytes, peer: str) -> None:
        if raw not in (KEYS, COMBINERS):
            raise PeerViolation(peer, "other keys")

    @property
    def trains(self) -> int:
        """Number of training rows."""
        return int(self.train.sum())

    def use_keys(self, raw: bytes, peer: str) -> None:
        assert raw in (KEYS, COMBINERS)
        self.holds_keys = True

    def fit_round(self, round_: int, residual: np.ndarray, withheld: float = 1.0) -> tuple[bytes, np.ndarray]:
        assert self.holds_keys
        saved, fitted = super().fit_round(round_, residual, withheld)
        values = fitted.astype(np.float64)[study_order(self.train)] / to_unit(residual)[1]
        return saved, fit_bytes(values[: self.trains], values[self.trains :])

    def predict(self, ids, encoder, models, coefficients, k):  # type: ignore[no-untyped-def]
        assert self.holds_keys
        known, part = super().predict(ids, encoder, models, coefficients, k)
        return known, fit_bytes(np.zeros((0, k)), part.astype(np.float64))


class Fresh(Model):
    """The same with a new random map every round."""

    def prepare(self, rows: np.ndarray, train: np.ndarray) -> bytes:
        encoder = super().prepare(rows, train)
        settings = LearnerSettings(features="fourier", fresh_features=True)
        learner = make_learner(settings, Path("."), secret=lambda: self.name.encode())
        self.local = LocalParty(self.name, self.x[rows], train, learner, 0)
        return encoder

    def expected(self, ids: tuple[str, ...], residuals: list[np.ndarray], coefficients: np.ndarray) -> np.ndarray:
        """Its part of a prediction, sum_t c_t f_t."""
        x = self.x[[self.ids.index(i) for i in ids]]
        models = [self.local.fit_round(t, r)[0] for t, r in enumerate(residuals, start=1)]
        return sum(c * model.predict(x) for c, model in zip(coefficients, models, strict=False))


class Head(Model):
    """The same under encrypted residuals."""

    padded = 4

    def fit(self, round_: int, requests: np.ndarray, outputs: int, peer: str) -> np.ndarray:
        return self.fit_round(1, get(requests, self.trains).astype(np.float32))[1]

    def head(self, requests: np.ndarray, outputs: int, peer: str) -> bytes:
        return get(requests, self.trains).astype(np.float64).tobytes()

    def answer(self, ids, encoder, keys, head, outputs, peer):  # type: ignore[no-untyped-def]
        self.reload(encoder)
        model = self.local._learner.fit(self.local._x_train, np.frombuffer(head).reshape(-1, outputs).astype("f4"), 0)
        known = np.array([i in self.ids for i in ids], dtype=np.uint8)
        rows = [self.ids.index(i) if i in self.ids else 0 for i in ids]
        return known, fit_bytes(np.zeros((0, outputs)), model.predict(self.x[rows]))


class FreshHead(Head, Fresh):
    """The same with a new random map every round; a head is every round's terms."""

    fresh = True

    def fit(self, round_: int, requests: np.ndarray, outputs: int, peer: str) -> np.ndarray:
        return self.fit_round(round_, get(requests, self.trains).astype(np.float32))[1]

    def head(self, requests: np.ndarray, outputs: int, peer: str) -> bytes:
        return np.stack([get(request[None], self.trains) for request in requests]).tobytes()

    def answer(self, ids, encoder, keys, head, outputs, peer):  # type: ignore[no-untyped-def]
        self.reload(encoder)
        terms = np.frombuffer(head).reshape(-1, self.trains, outputs).astype(np.float32)
        part = self.expected(ids, list(terms), np.ones(len(terms)))
        return np.ones(len(ids), dtype=np.uint8), fit_bytes(np.zeros((0, outputs)), part)


def make_party(
    name: str,
    the_study: Study,
    *,
    fits: bool = True,
    beyond: Beyond = ANY_SUMS,
    budget: DataBudget | None = None,
    kind: type[Model] | None = None,
    rows: int = N,
) -> Party:
    """A party of a sum-only study.

    Args:
        fits: whether the sponsor has columns of its own.
        kind: an assistor's model, if not the plain one of the study's protection.
        rows: of the sponsor's table, N at most.
    """
    fixed, encrypted = context(name, the_study, beyond, budget), the_study.protect.encrypted

    def make(store: MemoryStore) -> Node:
        state, nonce = State(store.values), bytes([NAMES.index(name) + 1]) * 16
        if name == "hospital":
            arrays = Arrays(name, rows - N, the_study.rounds)
            arrays.fits = fits
            return make_node(roles.sponsor(fixed, arrays, state, nonce, StandIn()), store, fixed)
        model = (kind or (Head if encrypted else Model))(name, rows - N + 5)
        return make_node(roles.assistor(fixed, model, state, nonce, Adder), store, fixed)  # type: ignore[arg-type]

    return Party(name, make)


def make(protect: Protect = CKKS, seed: int = 0, loss: float = 0.0, fits: bool = True, **more: object) -> Network:
    """All three parties of a sum-only study."""
    settings = study(protect=protect, loss="l2", **more)
    return Network(
        make_party("hospital", settings, fits=fits), [make_party(n, settings) for n in NAMES[1:]], seed, loss
    )


def predict(network: Network, ids: tuple[str, ...], protect: Protect) -> tuple[Prediction, np.ndarray, list[str]]:
    """One batch through the finished network's assistors."""
    settings = study(protect=protect, loss="l2")
    fixed = context("hospital", settings)
    state = State(network.sponsor.store.values)
    role = roles.prediction(fixed, state, ids, 1, StandIn())
    queue = [("hospital", effect) for effect in role.start()]
    while queue:
        at, effect = queue.pop(0)
        if isinstance(effect, Compute):
            queue += [(at, e) for e in effect.then(effect.job())]
        elif isinstance(effect, Send):
            to = role if effect.peer == "hospital" else network.parties[effect.peer].node.role
            queue += [(effect.peer, e) for e in to.receive(at, effect.message)]
    network.sponsor.store.values["batches"] = str(role.batch.number).encode()
    return role, *role.combine(np.zeros(1), np.zeros((len(ids), 1), np.float32))
