"""Sum-only predictions over an in-memory link: the clear study's answer under the same weights, after any accident.

The cipher is a stand-in. What real ciphertexts do is tested in test_sum_study.py.
"""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from crypto.ckks.fits import SUM, Layout
from crypto.sealed_box import OVERHEAD_BYTES
from secure_gal.protection.sums.weights import commit_in_the_clear
from secure_gal.settings.study import Protect
from tests.support.accidents import check_kills, check_resent_alike, run_with_crashes
from tests.support.simulation import Network
from tests.support.study_in_memory import NAMES, ROUNDS, Arrays, final_f, spent, study
from tests.support.sums_in_memory import CKKS, CLEAR, TRAIN, Fresh, FreshHead, get, make, make_party, predict


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
def undisturbed(request: pytest.FixtureRequest) -> tuple[Protect, np.ndarray]:
    network = make(request.param)
    network.run()
    return request.param, final_f(network)


def test_gives_what_the_clear_study_gives_under_the_same_weights(undisturbed: tuple[Protect, np.ndarray]) -> None:
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
@pytest.mark.parametrize("protect", [CKKS, CLEAR], ids=["ckks", "clear"])
def test_kill_at_every_step(first: int, protect: Protect) -> None:
    """Every third step by default, the others among the slow tests; who dies changes from one to the next."""
    check_kills(lambda: make(protect, rounds=2), first, 3)


def fresh_network(protect: Protect) -> Network:
    settings, kind = study(protect=protect, loss="l2"), FreshHead if protect.encrypted else Fresh
    return Network(make_party("hospital", settings), [make_party(n, settings, kind=kind) for n in NAMES[1:]])


@pytest.mark.parametrize("protect", [CKKS, CLEAR], ids=["ckks", "clear"])
def test_fresh_features_give_the_same_answer_after_a_kill(protect: Protect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("secure_gal.features.fourier.WIDTH", 16)  # for speed
    network = check_kills(lambda: fresh_network(protect), stride=12)
    assert np.abs(final_f(network) - expected()).max() > 1e-3


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
def test_no_sum_and_no_sealed_fit_is_ever_made_twice(seed: int, undisturbed: tuple[Protect, np.ndarray]) -> None:
    network = make(undisturbed[0], seed, loss=0.05)
    run_with_crashes(network)
    assert np.array_equal(final_f(network), undisturbed[1]), f"seed {seed}"
    check_resent_alike(network, "a round was answered twice")


def test_the_sponsor_receives_nothing_of_one_assistor_that_is_not_sealed(
    undisturbed: tuple[Protect, np.ndarray],
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
