"""Encrypted studies with real ciphertexts: the clear answer, and nothing of labels, weights or rates at an assistor."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from crypto.ckks import leave_one_out
from crypto.ckks.keys import PublicKeys
from crypto.ckks.ring import padded
from crypto.ckks.secret import SecretContext
from crypto.ckks.sets import PARAMETER_SETS
from crypto.errors import Malformed
from parties.run.node import Node
from secure_gal import GAL
from secure_gal.errors import StateError
from secure_gal.gal.split import study_order
from secure_gal.holdings.rings import ReplyRidge, answer
from secure_gal.learners import make_learner, ridge, ridge_features
from secure_gal.protection import assistor_data
from secure_gal.protocol import roles
from secure_gal.settings.party import DataSettings, LearnerSettings, PartySettings
from secure_gal.settings.study import Protect
from secure_gal.state import State
from tests.support.paper import learn
from tests.support.simulation import MemoryStore, Network, Party
from tests.support.study_in_memory import NAMES, Arrays, context, final_f, make_node, study

STANDARD = study(protect=Protect(ids="clear", residuals="ckks", parameters="standard"), weights="fitted")
LINEAR = LearnerSettings(features=("standardized",))


class Sponsor(Arrays):
    """The sponsor over an array, in cross-fitted rounds."""

    cross_fitted = fixed_share = True


class Encrypted(Arrays):
    """An assistor over an array, with the real encrypted head."""

    def prepare(self, rows: np.ndarray, train: np.ndarray) -> bytes:
        x = self.x[rows]
        features = ridge_features(LINEAR, x[train], Path.cwd(), 0)
        self.u, self.training = features.transform(x[study_order(train)]), int(train.sum())
        self.padded = padded(PARAMETER_SETS["standard"], features.width)
        return b"encoder"

    def check_keys(self, raw: bytes, peer: str) -> None:
        PublicKeys.from_bytes(PARAMETER_SETS["standard"], self.padded, raw)

    def use_keys(self, raw: bytes, peer: str) -> None:
        self.party = ridge_of(self.u, self.training, raw, leave_one_out=True)

    def fit(self, round_: int, requests: np.ndarray, outputs: int, peer: str) -> np.ndarray:
        return self.party.fit(requests, outputs, peer)

    def head(self, requests: np.ndarray, outputs: int, peer: str) -> bytes:
        return self.party.head(requests, outputs, peer)


def ridge_of(u: np.ndarray, train: int, raw: bytes, *, leave_one_out: bool = False) -> ReplyRidge:
    params = PARAMETER_SETS["standard"]
    width = padded(params, u.shape[1])
    return ReplyRidge(params, raw, width, u, train, "hospital", leave_one_out=leave_one_out, outputs=1, cores=1)


@pytest.fixture(scope="module")
def finished() -> Network:
    cipher = SecretContext.generate(PARAMETER_SETS["standard"])

    def party(name: str) -> Party:
        fixed = context(name, STANDARD)

        def make(store: MemoryStore) -> Node:
            state, nonce = State(store.values), bytes(16)
            if name == "hospital":
                role: object = roles.sponsor(fixed, Sponsor(name), state, nonce, cipher)
            else:
                role = roles.assistor(fixed, Encrypted(name, 5), state, nonce)  # type: ignore[arg-type]
            return make_node(role, store, fixed)

        return Party(name, make)

    network = Network(party("hospital"), [party(name) for name in NAMES[1:]])
    network.run()
    return network


def test_f_is_that_of_the_clear_run_within_the_parameter_sets_error(finished: Network) -> None:
    blocks = {n: Arrays(n, 0 if n == "hospital" else 5).x[:120] for n in NAMES}
    learners = {n: make_learner(LINEAR, Path()) for n in NAMES}
    clear = learn(STANDARD, blocks, Arrays("hospital").y[:120, 0].tolist(), learners).ensemble.F
    distance = np.abs(final_f(finished) - clear).max()
    assert distance <= 10 * PARAMETER_SETS["standard"].error * np.abs(clear).max()


def test_clear_and_encrypted_values_are_shrunk_above_the_same_leverage() -> None:
    assert leave_one_out.MAX_LEVERAGE == ridge.MAX_LEVERAGE


def received(network: Network, name: str) -> bytes:
    return b"".join(b"".join(frames) for _, recipient, frames in network.sent if recipient == name)


def test_no_weight_rate_or_residual_in_anything_an_assistor_received(finished: Network) -> None:
    ensemble, everything = finished.sponsor.node.role.ensemble, received(finished, "lab")
    secrets = [v for record in ensemble.history for v in (record.eta, *record.weights.values()) if v not in (0.0, 1.0)]
    secrets += [record.eta * record.weights["lab"] for record in ensemble.history if record.eta * record.weights["lab"]]
    for value in secrets:  # eight bytes each: the chance that random ciphertexts hold one is below 1e-9
        for form in (struct.pack("<d", value), struct.pack(">d", value), repr(value)[:10].encode()):
            assert form not in everything
    residual = finished.sponsor.store.values["residual/0001"].ravel()
    for start in range(len(residual) - 1):
        pair = residual[start : start + 2]
        assert pair.tobytes() not in everything and pair.astype(">f4").tobytes() not in everything
    state = finished.parties["lab"].store.values
    assert not any(key.startswith(("model/", "coefficients")) for key in state)
    assert str(ensemble.kept).encode() not in state.get("kept", b"")


def test_the_search_above_can_find_something(finished: Network) -> None:
    from tests.support.study_in_memory import make_network

    clear = make_network()
    clear.run()
    ensemble, everything = clear.sponsor.node.role.ensemble, received(clear, "lab")
    coefficients = [r.eta * r.weights["lab"] for r in ensemble.history[: ensemble.kept]]
    assert any(struct.pack("<d", value) in everything for value in coefficients if value)
    assert clear.sponsor.store.values["residual/0001"].ravel()[:2].tobytes() in everything


def test_ciphertexts_under_another_key_are_refused() -> None:
    params = PARAMETER_SETS["standard"]
    ours, foreign = SecretContext.generate(params), SecretContext.generate(params)
    x = np.random.default_rng(0).standard_normal((50, 2))
    u = ridge_features(LINEAR, x, Path.cwd(), 0).transform(x)
    party = ridge_of(u, 50, ours.public_keys(padded(params, u.shape[1])))
    reply = party.fit(foreign.encrypt(np.ones((50, 1))), 1, "hospital")
    with pytest.raises(Malformed, match="within 32"):
        ours.decrypt(reply, 50, 1, "lab")
    party.close()


def test_a_batch_of_which_nobody_is_known_is_answered() -> None:
    params = PARAMETER_SETS["standard"]
    cipher, x = SecretContext.generate(params), np.random.default_rng(0).standard_normal((50, 2))
    features = ridge_features(LINEAR, x, Path.cwd(), 0)
    width = padded(params, features.width)
    party = ridge_of(features.transform(x), 50, keys := cipher.public_keys(width))
    head = party.head(cipher.encrypt(np.ones((50, 1))), 1, "hospital")
    party.close()
    public = PublicKeys.from_bytes(params, width, keys)
    reply = answer(features, public, head, 1, np.zeros((0, 2)), np.zeros(0, dtype=np.uint8))
    assert cipher.decrypt(reply, 0, 1, "lab").shape == (0, 1)


def test_after_its_head_an_assistor_fits_no_more_and_answers_zeros_for_ids_that_it_has_not(tmp_path: Path) -> None:
    """The worker processes end with the head; no encoder is asked for no rows, which scikit-learn would refuse."""
    rows, cipher = 40, SecretContext.generate(PARAMETER_SETS["standard"])
    x = np.random.default_rng(0).standard_normal(rows)
    pl.DataFrame({"id": [str(i) for i in range(rows)], "x": x}).write_csv(tmp_path / "lab.csv")
    data = DataSettings(tmp_path / "lab.csv", "id")
    settings = PartySettings(tmp_path / "study.toml", "lab", tmp_path, tmp_path, data, learner=LINEAR)
    lab = assistor_data(settings, STANDARD, tmp_path, lambda text: None)
    encoder = lab.prepare(np.arange(rows), np.ones(rows, dtype=bool))
    fits = lab.encrypted
    lab.keyed.use_keys(keys := cipher.public_keys(lab.keyed.padded), "hospital")
    requests = cipher.encrypt(np.ones((rows, 1)))
    head = fits.head(requests, 1, "hospital")
    with pytest.raises(StateError, match="before the evaluation keys came"):
        fits.fit(1, requests, 1, "hospital")
    known, replies = fits.answer(("nobody", "stranger"), encoder, keys, head, 1, "hospital")
    assert known.tolist() == [0, 0] and np.abs(cipher.decrypt(replies, 2, 1, "lab")).max() < 1e-2


@pytest.mark.parametrize("weights", ["fitted", "paper"])
def test_the_reference_runs_encrypted_too(weights: str) -> None:
    rng = np.random.default_rng(1)
    blocks = [rng.standard_normal((150, 3)) for _ in range(2)]
    y = blocks[0][:, 0] + 2 * blocks[1][:, 1] + 0.1 * rng.standard_normal(150)
    settings = {"rounds": 3, "weights": weights, "learners": LINEAR, "parties": ("a", "b")}
    encrypted = GAL("regression", **settings, residuals="ckks").fit(blocks, y)  # type: ignore[arg-type]
    if weights == "paper":
        made = GAL("regression", **settings).fit(blocks, y)  # type: ignore[arg-type]
        assert np.allclose(encrypted.predict(blocks), made.predict(blocks), atol=1e-2)
        clear = made.F_
    else:  # cross-fitted rounds in the clear leave out the share that the sponsor tells
        learners = {name: make_learner(LINEAR, Path()) for name in "ab"}
        clear = learn(encrypted.fitted_.study, dict(zip("ab", blocks, strict=True)), list(y), learners).ensemble.F
    assert np.abs(encrypted.F_ - clear).max() < 1e-3 * np.abs(clear).max()
