"""Sum-only predictions over an in-memory link: the clear study's answer under the same weights, after any accident.

The cipher here is a stand-in whose "ciphertexts" are the values themselves, laid out and padded as the real ones: these
tests are about the order of steps, what is relayed sealed, and what is kept on disk. Real ones: test_sum_study.py.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from crypto.ckks.fits import DIFFERENCE_BYTES, ROWS, SUM, TRAINING, Layout
from crypto.ckks.products import PRODUCT_BYTES, pairs
from crypto.errors import Malformed
from crypto.sealed_box import OVERHEAD_BYTES
from parties.run.budget import DataBudget
from parties.run.node import Node
from secure_gal import messages
from secure_gal.effects import Compute, Send
from secure_gal.errors import ConsentError, PeerViolation, SettingsError
from secure_gal.gal.rows import study_order, to_unit
from secure_gal.holdings.local import LocalParty
from secure_gal.learners import make_learner
from secure_gal.messages import Batch
from secure_gal.protection.sums.sponsor import SumRecords
from secure_gal.protection.sums.weights import W_MIN, commit_in_the_clear
from secure_gal.protocol import roles
from secure_gal.protocol.assistor import Assistor
from secure_gal.protocol.prediction import Prediction
from secure_gal.settings.limits import Beyond
from secure_gal.settings.party import LearnerSettings
from secure_gal.settings.study import Protect, Study
from secure_gal.state import State
from tests.protocol.test_encrypted_protocol import pack, unpack
from tests.support.simulation import MemoryStore, Network, Party
from tests.support.study_in_memory import ANY_SUMS, NAMES, ROUNDS, Arrays, context, final_f, make_node, spent, study

CLEAR = Protect(ids="clear", predictions="sum")
CKKS = Protect(ids="clear", residuals="ckks", predictions="sum")
TRAIN = 96


put, get = pack, unpack
"""(N, K) values of one block as uint8 (K, length), and back."""


def fit_bytes(train: np.ndarray, others: np.ndarray) -> np.ndarray:
    parts = [put(train, TRAINING.reply_bytes).tobytes() if len(train) else b""]
    parts.append(put(others, ROWS.reply_bytes).tobytes() if len(others) else b"")
    return np.frombuffer(b"".join(parts), dtype=np.uint8)


class StandIn:
    """The sponsor's side; hides nothing."""

    def public_keys(self, padded: int) -> bytes:
        return b"keys"

    def public_key(self) -> bytes:
        return b"keys"

    def product_keys(self) -> bytes:
        return b"product keys"

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
        if raw != b"product keys":
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
    keyed = False

    def check_keys(self, raw: bytes, peer: str) -> None:
        if raw != b"keys":
            raise PeerViolation(peer, "other keys")

    @property
    def trains(self) -> int:
        """Number of training rows."""
        return int(self.train.sum())

    def use_keys(self, raw: bytes, peer: str) -> None:
        assert raw == b"keys"
        self.keyed = True

    def fit_round(self, round_: int, residual: np.ndarray) -> tuple[bytes, np.ndarray]:
        assert self.keyed
        saved, fitted = super().fit_round(round_, residual)
        values = fitted.astype(np.float64)[study_order(self.train)] / to_unit(residual)[1]
        return saved, fit_bytes(values[: self.trains], values[self.trains :])

    def predict(self, ids, encoder, models, coefficients, k):  # type: ignore[no-untyped-def]
        assert self.keyed
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

    def fit_encrypted(self, requests: np.ndarray, outputs: int, peer: str) -> np.ndarray:
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
    round = 0

    def begin_round(self, round_: int) -> None:
        self.round = round_

    def fit_encrypted(self, requests: np.ndarray, outputs: int, peer: str) -> np.ndarray:
        return self.fit_round(self.round, get(requests, self.trains).astype(np.float32))[1]

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
) -> Party:
    fixed, encrypted = context(name, the_study, beyond, budget), the_study.protect.encrypted

    def make(store: MemoryStore) -> Node:
        state, nonce = State(store.values), bytes([NAMES.index(name) + 1]) * 16
        if name == "hospital":
            arrays = Arrays(name)
            arrays.fits = fits
            return make_node(roles.sponsor(fixed, arrays, state, nonce, StandIn()), store, fixed)
        model = (kind or (Head if encrypted else Model))(name, 5)
        return make_node(roles.assistor(fixed, model, state, nonce, Adder), store, fixed)  # type: ignore[arg-type]

    return Party(name, make)


def make(protect: Protect = CKKS, seed: int = 0, loss: float = 0.0, fits: bool = True, **more: object) -> Network:
    settings = study(protect=protect, loss="l2", **more)
    return Network(
        make_party("hospital", settings, fits=fits), [make_party(n, settings) for n in NAMES[1:]], seed, loss
    )


def expected(fits: bool = True, uniform: bool = False) -> np.ndarray:
    """Clear GAL under the same constraint, in this process."""
    models = {name: Arrays(name, 0 if name == "hospital" else 5) for name in NAMES}
    network = make(fits=fits)
    while network.sponsor.store.values.get("train") is None:
        assert network.step()
    train = network.sponsor.store.values["train"].astype(bool)
    for model in models.values():
        model.prepare(np.arange(120), train)
    parties = NAMES if fits else NAMES[1:]
    ensemble = models["hospital"].ensemble(parties)
    while not ensemble.finished:
        residual = ensemble.residual()
        fitted = {p: models[p].fit_round(1, residual)[1] for p in parties}
        commit_in_the_clear(ensemble, fitted, train, NAMES[1:], uniform=uniform)
    return ensemble.F


@pytest.fixture(scope="module", params=[CKKS, CLEAR], ids=["ckks", "clear"])
def undisturbed(request: pytest.FixtureRequest) -> tuple[Protect, np.ndarray, int]:
    network, steps = make(request.param), 0
    while network.step():
        steps += 1
    return request.param, final_f(network), steps


def test_gives_what_the_clear_study_gives_under_the_same_weights(undisturbed: tuple[Protect, np.ndarray, int]) -> None:
    assert np.allclose(undisturbed[1], expected(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("protect", [CKKS, CLEAR])
def test_uniform_weights_and_a_sponsor_without_features(protect: Protect) -> None:
    network = make(protect, weights="uniform", fits=False)
    network.run()
    assert np.allclose(final_f(network), expected(fits=False, uniform=True), rtol=0, atol=1e-5)
    kinds = {frames[0].split(b'"kind":"')[1].split(b'"')[0] for _, _, frames in network.sent}
    assert not kinds & {b"inner-products", b"own-difference"}
    fitted = make(protect, fits=False)
    fitted.run()
    assert np.allclose(final_f(fitted), expected(fits=False), rtol=0, atol=1e-5)


def test_weights_go_out_once_a_round_whoever_restarts() -> None:
    """Uniform ones are known without a computation, and so were easily sent again; the aggregator takes one list."""
    network = make(CLEAR, weights="uniform")

    def lists() -> int:
        return len({bytes(frames[0]) for _, _, frames in network.sent if b'"kind":"weights"' in frames[0]})

    for round_ in range(1, ROUNDS + 1):
        while lists() < round_:
            assert network.step()
        network.crash("hospital")
    network.run()
    assert lists() == ROUNDS and np.allclose(final_f(network), expected(uniform=True), rtol=0, atol=1e-5)


@pytest.mark.parametrize("first", [0, pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow)])
def test_kill_at_every_step(first: int, undisturbed: tuple[Protect, np.ndarray, int]) -> None:
    """Every third step by default, the others among the slow tests; who dies changes from one to the next."""
    protect, wanted, steps = undisturbed
    for at in range(first, steps, 3):
        network = make(protect)
        for _ in range(at):
            network.step()
        network.crash(NAMES[at // 3 % 3])
        network.run()
        assert np.array_equal(final_f(network), wanted), f"killed {NAMES[at // 3 % 3]} at step {at}"


def fresh_network(protect: Protect) -> Network:
    settings, kind = study(protect=protect, loss="l2"), FreshHead if protect.encrypted else Fresh
    return Network(make_party("hospital", settings), [make_party(n, settings, kind=kind) for n in NAMES[1:]])


@pytest.mark.parametrize("protect", [CKKS, CLEAR], ids=["ckks", "clear"])
def test_fresh_features_give_the_same_answer_after_a_kill(protect: Protect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("secure_gal.features.fourier.WIDTH", 16)  # for speed
    network, steps = fresh_network(protect), 0
    while network.step():
        steps += 1
    assert np.abs(final_f(network) - expected()).max() > 1e-3
    for at in range(0, steps, 12):
        other = fresh_network(protect)
        for _ in range(at):
            other.step()
        other.crash(NAMES[at // 12 % 3])
        other.run()
        assert np.array_equal(final_f(other), final_f(network)), f"killed {NAMES[at // 12 % 3]} at step {at}"


def test_an_encrypted_study_of_fresh_features_ends_with_a_term_for_every_round_that_was_run() -> None:
    """Also for rounds that are not kept, which nobody but the sponsor can tell: Enc(0) looks like any other."""
    network = fresh_network(CKKS)
    network.run()
    ensemble = network.sponsor.node.role.ensemble
    ends = [frames for _, to, frames in network.sent if b'"encrypted-finish"' in frames[0] and to == "insurer"]
    rounds, kept = len(ensemble.history), ensemble.kept
    ciphertexts = np.frombuffer(b"".join(ends[0][3:])[: rounds * SUM.request_bytes], np.uint8)
    terms = [get(row[None], TRAIN) for row in ciphertexts.reshape(rounds, SUM.request_bytes)]
    residuals = [network.sponsor.store.values[f"residual/{t:04d}"] for t in range(1, rounds + 1)]
    scale = network.sponsor.store.values["scale/insurer"][0]
    coefficients = [*ensemble.coefficients("insurer"), *[0.0] * (rounds - kept)]
    for term, c, r in zip(terms, coefficients, residuals, strict=True):
        assert np.allclose(term * scale, c * r, atol=1e-12)
    _, total, _ = predict(network, ("r3", "r7"), CKKS)
    parts = [
        network.parties[p].node.role._model.expected(("r3", "r7"), residuals, ensemble.coefficients(p))
        for p in NAMES[1:]
    ]
    assert np.allclose(total, sum(parts), atol=1e-5) and total.any()
    for party in network.others:
        assert spent(party, "replies") == 2 * rounds + rounds**2, "T heads add noise like T^2 replies"


@pytest.mark.parametrize("seed", range(4))
def test_no_sum_and_no_sealed_fit_is_ever_made_twice(seed: int, undisturbed: tuple[Protect, np.ndarray, int]) -> None:
    network = make(undisturbed[0], seed, loss=0.05)
    for turn in range(100_000):
        if not network.step():
            break
        if network.random.random() < 0.02 and turn < 400:
            network.crash(network.random.choice(NAMES))
    assert np.array_equal(final_f(network), undisturbed[1]), f"seed {seed}"
    seen: dict[tuple[str, str, bytes], list[bytes]] = {}
    for sender, recipient, frames in network.sent:
        seq = frames[0].split(b'"seq":')[1].split(b",")[0]
        assert seen.setdefault((sender, recipient, seq), frames) == frames, "a round was answered twice"


def test_the_sponsor_receives_nothing_of_one_assistor_that_is_not_sealed(
    undisturbed: tuple[Protect, np.ndarray, int],
) -> None:
    network = make(undisturbed[0])
    network.run()
    from_insurer = {
        msgspec.json.decode(frames[0])["kind"]: frames
        for s, r, frames in network.sent
        if (s, r) == ("insurer", "hospital")
    }
    assert "sealed-fitted" in from_insurer and not from_insurer.keys() & {"fitted", "encrypted-fitted", "predict-reply"}
    body = b"".join(from_insurer["sealed-fitted"][3:])
    assert len(body) == OVERHEAD_BYTES + Layout(TRAIN, 24, 1).fit_bytes
    assert len(set(body[32:2000])) > 200, "the stand-in's ones would show if it were not sealed"


def party_in(phase: bytes, network: Network, name: str) -> Assistor:
    while network.parties[name].store.values.get("phase") != phase:
        assert network.step()
    return network.parties[name].node.role


def round_open(name: str = "lab", **more: object) -> tuple[Network, Assistor]:
    """The aggregator with everyone's fit and the products sent, before the weights."""
    network = make(CLEAR, **more)
    role = party_in(b"learning", network, name)
    while "sum/products" not in role.state:
        assert network.step()
    return network, role


@pytest.mark.parametrize(
    ("weights", "rule"),
    [
        ([0.5, 0.0], "at least two assistors"),
        ([1.0, 0.0], "at least two assistors"),
        ([0.5, 0.03125], "at least two assistors"),
        ([0.75, 0.5], "more than 1"),
        ([0.5, -0.25], "at least 0"),
        ([0.5, 0.1], "multiples"),
        ([0.25, float("nan")], "multiples"),
        ([0.5, 0.25, 0.25], "one weight for each"),
    ],
)
def test_weights_that_would_single_out_an_assistor_are_refused(weights: list[float], rule: str) -> None:
    _, lab = round_open()
    lab.state.drop("sum/weights")
    with pytest.raises(PeerViolation, match=rule):
        lab.receive("hospital", messages.Weights(np.array(weights), lab._fits.aggregator.round))


def test_a_round_has_one_sum() -> None:
    _, lab = round_open()
    lab.state.drop("sum/weights")
    good = messages.Weights(np.array([0.5, 0.25]), lab._fits.aggregator.round)
    (job,) = lab.receive("hospital", good)
    with pytest.raises(PeerViolation, match="twice"):
        lab.receive("hospital", good)
    assert isinstance(job, Compute)
    job.then(job.job())
    with pytest.raises(PeerViolation, match="in round"):
        lab.receive("hospital", good)


def test_the_next_round_waits_for_this_ones_sum() -> None:
    """Else the aggregator would add fits of two different rounds."""
    _, lab = round_open()
    following = messages.Residual(np.zeros((TRAIN, 1), np.float32), lab._fits.aggregator.round + 1)
    with pytest.raises(PeerViolation, match="before the sum"):
        lab.receive("hospital", following)


def test_weights_before_products_and_products_in_a_uniform_study_are_refused() -> None:
    network = make(CLEAR)
    lab = party_in(b"learning", network, "lab")
    with pytest.raises(PeerViolation, match="before the inner products"):
        lab.receive("hospital", messages.Weights(np.array([0.5, 0.25]), 1))
    uniform = party_in(b"learning", make(CLEAR, weights="uniform"), "lab")
    with pytest.raises(PeerViolation, match="needs none"):
        uniform.receive("hospital", messages.OwnDifference(np.zeros((1, DIFFERENCE_BYTES), np.uint8), 1))


def test_only_the_aggregator_takes_sealed_fits_and_each_once_from_its_author() -> None:
    network = make(CLEAR)
    insurer = party_in(b"learning", network, "insurer")
    sealed = np.zeros(OVERHEAD_BYTES, np.uint8)
    with pytest.raises(PeerViolation, match="not legal"):
        insurer.receive("hospital", messages.RelayedFitted(messages.Author("lab"), sealed, 1))
    lab = party_in(b"learning", network, "lab")
    for author in ("hospital", "lab", "nobody"):
        with pytest.raises(PeerViolation, match="no other assistor"):
            lab.receive("hospital", messages.RelayedFitted(messages.Author(author), sealed, 1))
    lab.state.drop("sum/fit/insurer")
    with pytest.raises(PeerViolation, match="cannot be unsealed"):
        lab.receive("hospital", messages.RelayedFitted(messages.Author("insurer"), sealed, 1))


def test_a_fit_about_other_rows_cannot_be_unsealed() -> None:
    network = make(CLEAR)
    insurer, lab = party_in(b"declaring", network, "insurer"), network.parties["lab"].node.role
    while "sum/rows" not in insurer.state:
        assert network.step()
    insurer.state.put("sum/rows", b"0" * 64)
    with pytest.raises(PeerViolation, match="about these rows cannot be unsealed"):
        network.run()
    assert lab._fits.aggregator.round == 1


@pytest.mark.parametrize(
    ("field", "value"), [("width", 999), ("sealing_key", "00" * 32), ("signature", "zz"), ("fresh", True)]
)
def test_a_sponsor_cannot_change_what_an_assistor_declared(field: str, value: object) -> None:
    network = make(CLEAR)
    insurer = party_in(b"declaring", network, "insurer")
    hospital = network.sponsor.node.role
    while hospital.phase == "declaring" or hospital.phase == "aligning" or "declared/lab" not in hospital.state:
        assert network.step()
    found = {p: SumRecords(hospital.state).declared[p] for p in NAMES[1:]}
    found["lab"] = msgspec.structs.replace(found["lab"], **{field: value})
    insurer.state.drop("sum/widths")
    with pytest.raises(PeerViolation):
        insurer.receive("hospital", messages.Declarations(found))


@pytest.mark.parametrize(
    ("beyond", "flags"),
    [
        ({}, "--beyond sums=0.5 --beyond own-sums=1"),
        ({"sums": 0.5}, "--beyond own-sums=1"),
        ({"own-sums": 1.0}, "--beyond sums=0.5"),
        ({"sums": 0.49, "own-sums": 0.99}, "--beyond sums=0.5 --beyond own-sums=1"),
    ],
)
def test_sums_beyond_a_limit_need_that_limits_name_and_a_number(beyond: Beyond, flags: str) -> None:
    """Three rounds of two times three features: half a sum for each of all, one for each of one's own."""
    settings = study(protect=CLEAR, loss="l2")
    enough = {"sums": 0.5, "own-sums": 1.0}
    others = [make_party(n, settings, beyond=enough if n == "lab" else beyond) for n in NAMES[1:]]
    with pytest.raises(ConsentError, match=f"insurer takes no part: .*{flags}"):
        Network(make_party("hospital", settings), others).run()
    network = Network(make_party("hospital", settings), [make_party(n, settings, beyond=enough) for n in NAMES[1:]])
    network.run()
    assert network.sponsor.store.values["phase"] == b"finished"


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


@pytest.mark.parametrize("protect", [CKKS, CLEAR], ids=["ckks", "clear"])
def test_a_prediction_is_the_sum_of_all_assistors_or_nothing(protect: Protect) -> None:
    network = make(protect)
    network.run()
    for party in network.others:
        party.boot()  # the keys have to come back from the disk
        for job in [party.jobs.popleft() for _ in range(len(party.jobs))]:
            party.node.computed(job, job.job())
        party.node.role._model.prepare(np.arange(120), network.sponsor.store.values["train"].astype(bool))
    network.parties["insurer"].node.role._model.ids = tuple(f"r{i}" for i in range(124))  # it lost r124
    _, total, missing = predict(network, ("r3", "r124", "r7", "nobody"), protect)
    assert missing == ["", "lab;insurer", "", "lab;insurer"] and not total[[1, 3]].any()
    ensemble = network.sponsor.node.role.ensemble
    assert ensemble.kept
    values = network.sponsor.store.values["ensemble/F"][[3, 7]] - ensemble.F0
    own = Arrays("hospital")
    own.prepare(np.arange(120), network.sponsor.store.values["train"].astype(bool))
    models = [network.sponsor.store.values[f"model/{t:04d}"] for t in range(1, ensemble.kept + 1)]
    _, part = own.predict(("r3", "r7"), b"", models, ensemble.coefficients("hospital"), 1)
    if ensemble.kept == len(ensemble.history):
        assert np.allclose(total[[0, 2]] + part, values, atol=1e-5)


def test_no_batch_is_summed_without_every_assistor_or_twice() -> None:
    network = make(CLEAR)
    network.run()
    lab = network.parties["lab"].node.role
    job, key = lab.receive("hospital", messages.PredictRequest(Batch(1), ("r1",)))
    assert isinstance(key, Send) and isinstance(key.message, messages.PartKey)
    effects = job.then(job.job())
    assert not any(isinstance(e, Compute | Send) for e in effects), "a sum of one"
    network.sponsor.store.values["batches"] = b"1"  # given up
    _, total, _ = predict(network, ("r1",), CLEAR)
    assert total.any()
    with pytest.raises(PeerViolation, match="answered already"):
        late = messages.RelayedPart(Batch(2), messages.Author("insurer"), np.zeros(200, np.uint8))
        lab.receive("hospital", late)
    with pytest.raises(PeerViolation, match="batch 2 after batch 2"):
        lab.receive("hospital", messages.PredictRequest(Batch(2), ("r2",)))


@pytest.mark.parametrize("name", ["lab", "insurer"])
def test_a_batch_with_an_id_that_a_party_does_not_hold_gets_no_part_of_it(name: str) -> None:
    """A sum over fewer than all would show one assistor's part."""
    network = make(CLEAR)
    network.run()
    lab, role = network.parties["lab"].node.role, network.parties[name].node.role
    ids = ("r1", "nobody")
    _, key = lab.receive("hospital", messages.PredictRequest(Batch(1), ids))
    if role is not lab:
        assert role.receive("hospital", key.message) == []
        role.receive("hospital", messages.PredictRequest(Batch(1), ids))
    (sent,) = role.stage.leave_part(1, np.array([1, 0], np.uint8), np.ones(8, np.uint8))
    assert isinstance(sent.message, messages.SealedPart) and len(sent.message.sealed) == 0
    assert "does not know every id" in sent.message.batch.refused


def test_a_batch_without_rows_is_not_summed() -> None:
    network = make(CLEAR)
    network.run()
    for name in NAMES[1:]:
        role = network.parties[name].node.role
        with pytest.raises(PeerViolation, match="has no rows to sum"):
            role._fits.check_batch(role.stage, 1, 0)


def test_parts_about_different_rows_are_not_added() -> None:
    network = make(CLEAR)
    network.run()
    lab, insurer = (network.parties[n].node.role for n in ("lab", "insurer"))
    for role, ids in ((lab, ("r1",)), (insurer, ("r2",))):
        job, *more = role.receive("hospital", messages.PredictRequest(Batch(1), ids))
        effects = job.then(job.job())
        if role is lab:
            assert insurer.receive("hospital", more[0].message) == []
    (sealed,) = [e.message for e in effects if isinstance(e, Send)]
    with pytest.raises(PeerViolation, match="about these rows cannot be unsealed"):
        lab.receive("hospital", messages.RelayedPart(Batch(1), messages.Author("insurer"), sealed.sealed))


def test_studies_that_cannot_be_summed_are_refused(tmp_path) -> None:  # type: ignore[no-untyped-def]
    from secure_gal.settings.load import load_study

    def text(assistors: str, more: str) -> str:
        return (
            f'name = "s"\ntask = "regression"\nsponsor = "a"\naddress = "tcp://h:1"\nassistors = {assistors}\n{more}\n'
            '[protect]\npredictions = "sum"\n'
        )

    for assistors, more, rule in (
        ('["b"]', "", "a sum of one is the value itself"),
        ('["b", "c"]', 'rows = "sponsor"', "fewer than two assistors"),
        ('["b", "c"]', 'aggregator = "a"', "aggregator"),
    ):
        (tmp_path / "study.toml").write_text(text(assistors, more))
        with pytest.raises(SettingsError, match=rule):
            load_study(tmp_path / "study.toml")
    (tmp_path / "study.toml").write_text(text('["b", "c"]', 'aggregator = "c"'))
    assert load_study(tmp_path / "study.toml").adder == "c" and W_MIN == 0.05
