"""The encrypted protocol over an in-memory link: the clear study's answer, and the same one after any accident.

The cipher is a stand-in. What real ciphertexts do is tested in test_encrypted_study.py.
"""

from __future__ import annotations

import json

import numpy as np
import pytest

from crypto.ckks.sets import PARAMETER_SETS
from parties.run.node import Node
from secure_gal import messages
from secure_gal.effects import Send
from secure_gal.errors import PeerViolation, SettingsError
from secure_gal.gal.ensemble import Ensemble
from secure_gal.holdings.budget import Charge
from secure_gal.protocol import roles
from secure_gal.settings.study import Protect
from secure_gal.state import State
from tests.support.accidents import check_kills, check_resent_alike, run_with_crashes
from tests.support.encrypted_in_memory import STANDARD, STUDY, StandIn, make_encrypted, make_party
from tests.support.simulation import MemoryStore, Network, Party
from tests.support.study_in_memory import (
    NAMES,
    ROUNDS,
    Arrays,
    context,
    final_f,
    make_network,
    make_node,
    party_in,
    spent,
    study,
)


@pytest.fixture(scope="module")
def undisturbed() -> np.ndarray:
    network = make_encrypted()
    network.run()
    return final_f(network)


def test_gives_what_the_clear_study_gives(undisturbed: np.ndarray) -> None:
    clear = make_network()
    clear.run()
    assert np.allclose(undisturbed, final_f(clear), rtol=0, atol=1e-5)


def test_heads_are_asked_for_once_the_next_round_is_on_its_way() -> None:
    """So that assistors fit meanwhile."""
    network = make_encrypted()
    network.run()
    told = [json.loads(frames[0])["kind"] for who, to, frames in network.sent if (who, to) == ("hospital", "lab")]
    asked = [at for at, kind in enumerate(told) if kind == "head-request"]
    assert [told[:at].count("encrypted-residual") for at in asked] == [*range(2, ROUNDS + 1), ROUNDS]


def test_kill_at_every_step() -> None:
    check_kills(lambda: make_encrypted(rounds=2))


@pytest.mark.parametrize("seed", range(6))
def test_broken_connections_duplicates_and_crashes(seed: int, undisturbed: np.ndarray) -> None:
    network = make_encrypted(seed, loss=0.05)
    run_with_crashes(network)
    assert np.array_equal(final_f(network), undisturbed), f"seed {seed}"
    check_resent_alike(network, "a round was encrypted twice")


def test_a_prediction_by_one_encrypted_sum() -> None:
    network = make_encrypted()
    network.run()
    values = network.sponsor.store.values
    ids = ("r3", "r7", "nobody")
    one = study(assistors=("lab",), protect=Protect(ids="clear", residuals="ckks"))
    role = roles.prediction(context("hospital", one), State(values), ids, 1, StandIn())
    (ask,) = [e.message for e in role.start() if isinstance(e, Send)]
    lab = network.parties["lab"].node.role
    (job,) = lab.receive("hospital", ask)
    (reply,) = [e.message for e in job.then(job.job()) if isinstance(e, Send)]
    (opening,) = role.receive("lab", reply)
    opening.then(opening.job())
    total, missing = role.combine(np.zeros(1), np.zeros((3, 1), np.float32))
    assert missing == ["", "", "lab"] and total[2, 0] == 0.0
    ensemble = network.sponsor.node.role.ensemble
    clear = make_network()
    clear.run()
    coefficients = clear.sponsor.node.role.ensemble.coefficients("lab")
    models = [clear.parties["lab"].store.values[f"model/{t:04d}"] for t in range(1, len(coefficients) + 1)]
    _, part = Arrays("lab", 5).predict(("r3", "r7"), b"", models, coefficients, 1)
    assert ensemble.kept == len(coefficients) and np.allclose(total[:2], part, atol=1e-5)


def test_a_clear_residual_ends_an_encrypted_study() -> None:
    lab = party_in(b"learning", make_encrypted(), "lab")
    for weaker in (
        messages.Residual(np.zeros((96, 1), np.float32), 1),
        messages.Finish(np.zeros(1), messages.Ending("finished")),
    ):
        with pytest.raises(PeerViolation, match="not legal while learning"):
            lab.receive("hospital", weaker)
    sponsor = party_in(b"learning", make_encrypted(), "hospital")
    with pytest.raises(PeerViolation, match="not legal while learning"):
        sponsor.receive("lab", messages.Fitted(np.zeros((120, 1), np.float32), 1))


@pytest.mark.parametrize(
    "bad",
    [
        messages.EncryptedResidual(np.zeros((2, STANDARD.request_bytes), np.uint8), 1),
        messages.EncryptedResidual(np.zeros((1, STANDARD.request_bytes - 1), np.uint8), 1),
        messages.EncryptedResidual(np.zeros((0, STANDARD.request_bytes), np.uint8), 1),
        messages.EncryptedResidual(np.zeros((1, STANDARD.request_bytes), np.uint8), 2),
    ],
)
def test_wrong_counts_lengths_and_rounds_are_refused(bad: messages.EncryptedResidual) -> None:
    lab = party_in(b"learning", make_encrypted(), "lab")
    lab.state.drop("residual")
    with pytest.raises(PeerViolation):
        lab.receive("hospital", bad)


@pytest.mark.parametrize("padded", [0, 3, 8192, -4])
def test_an_impossible_width_is_refused(padded: int) -> None:
    network = make_encrypted()
    sponsor = party_in(b"declaring", network, "hospital")
    while not any(party.store.values.get("phase") == b"declaring" for party in network.others):
        assert network.step()
    with pytest.raises(PeerViolation, match="power of two"):
        sponsor.receive("lab", messages.PaddedWidth(messages.Width(padded)))


@pytest.mark.parametrize(("weights", "stretch"), [("paper", 20.0), ("fitted", 300.0)])
def test_fits_longer_than_the_residual_allows_are_refused(weights: str, stretch: float) -> None:
    with pytest.raises(PeerViolation, match="longer than the residual"):
        make_encrypted(stretch=stretch, weights=weights).run()


def test_leave_one_out_values_may_be_longer_than_the_residual() -> None:
    make_encrypted(stretch=20.0, weights="fitted").run()


def test_the_reply_budget_holds_over_restarts() -> None:
    network = make_encrypted()
    network.run()
    lab = network.parties["lab"]
    assert spent(lab, "replies") == len(network.sponsor.node.role.ensemble.history)
    lab.node.role._context.budget.spend("other", [Charge("replies", STANDARD.tau - ROUNDS, None)])
    lab.boot()
    ask = messages.PredictRequest(messages.Batch(1), ("r1",))
    (refusal,) = [e.message for e in lab.node.role.receive("hospital", ask) if isinstance(e, Send)]
    assert "budget" in refusal.batch.refused and len(refusal.ciphertexts) == 0


def test_a_study_beyond_the_budget_ends_before_its_first_round(monkeypatch: pytest.MonkeyPatch) -> None:
    import dataclasses

    tight = dataclasses.replace(STANDARD, tau=2)
    monkeypatch.setitem(PARAMETER_SETS, "standard", tight)
    with pytest.raises(SettingsError, match="use fewer rounds or rows"):
        make_encrypted().run()


def ending_early(after: int) -> Network:
    """An encrypted study whose sponsor has learnt enough after so many rounds; killed in the middle of the others."""

    class Stuck(Arrays):
        def ensemble(self, parties: tuple[str, ...]) -> Ensemble:
            made = super().ensemble(parties)
            made._rounds = after
            return made

    def hospital(store: MemoryStore) -> Node:
        fixed = context("hospital", STUDY)
        role = roles.sponsor(fixed, Stuck("hospital"), State(store.values), bytes(16), StandIn())
        return make_node(role, store, fixed)

    network = Network(Party("hospital", hospital), [make_party(name) for name in NAMES[1:]])
    for _ in range(60):
        network.step()
    network.crash("hospital")
    network.run()
    return network


def test_how_many_rounds_were_kept_does_not_show() -> None:
    """Every agreed round is run, and those after the end of learning change nothing."""
    short, full = ending_early(1), ending_early(ROUNDS)
    ensemble = short.sponsor.node.role.ensemble
    assert [record.eta == 0.0 for record in ensemble.history] == [False, True, True]
    assert [record.eta == 0.0 for record in full.sponsor.node.role.ensemble.history] == [False] * ROUNDS
    assert np.allclose(ensemble.F, full_f_after_one_round(), atol=1e-5)
    for name in NAMES[1:]:
        counts = [
            [e for e in network.sent if e[1] == name and b"encrypted-residual" in e[2][0]] for network in (short, full)
        ]
        assert len(counts[0]) == len(counts[1]) >= ROUNDS


def full_f_after_one_round() -> np.ndarray:
    clear = make_network()
    clear.run()
    made = clear.sponsor.node.role.ensemble
    first, hospital = made.history[0], Arrays("hospital")
    hospital.prepare(np.arange(120), made._train)
    start = hospital.ensemble(NAMES)
    fits = []
    for name in NAMES:
        party = Arrays(name, 0 if name == "hospital" else 5)
        party.prepare(np.arange(120), made._train)
        fits.append(first.weights[name] * party.fit_round(1, start.residual())[1].astype(np.float64))
    return np.asarray(start.F + first.eta * sum(fits))
