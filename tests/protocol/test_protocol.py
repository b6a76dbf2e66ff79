"""The whole protocol over an in-memory link: the right answer, and the same one after any accident."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from secure_gal import events, messages
from secure_gal.errors import PeerViolation, SettingsError
from secure_gal.gal.ensemble import Ensemble
from secure_gal.learners.linear import LinearLearner
from secure_gal.protocol.sponsor import Sponsor
from secure_gal.settings.study import Study
from tests.conftest import identity
from tests.support.accidents import check_kills, check_resent_alike, run_with_crashes
from tests.support.paper import learn
from tests.support.simulation import Network
from tests.support.study_in_memory import NAMES, Arrays, final_f, make_network, make_party, study
from transport import wire


@pytest.fixture(scope="module")
def undisturbed() -> np.ndarray:
    network = make_network()
    network.run()
    return final_f(network)


def by_the_paper(settings: Study, names: Sequence[str] = NAMES) -> Ensemble:
    """The same arrays through Algorithm 1 without any message."""
    blocks = {n: Arrays(n, 0 if n == "hospital" else 5).x[:120] for n in names}
    learners = {n: LinearLearner() for n in names}
    return learn(settings, blocks, Arrays("hospital").y[:, 0].tolist(), learners).ensemble


def test_agrees_with_the_paper_bit_for_bit(undisturbed: np.ndarray) -> None:
    assert np.array_equal(by_the_paper(study()).F, undisturbed)


def test_cross_fitted_rounds_agree_with_the_paper_bit_for_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Arrays, "cross_fitted", True)
    settings = study(weights="fitted")
    network = Network(make_party("hospital", settings), [make_party(name, settings) for name in NAMES[1:]])
    network.run()
    expected = by_the_paper(settings)
    assert expected.cross_fitted and expected.kept > 0
    assert np.array_equal(expected.F, final_f(network))


def test_kill_at_every_step() -> None:
    check_kills(lambda: make_network(rounds=2))


@pytest.mark.parametrize("seed", range(12))
def test_broken_connections_duplicates_and_crashes(seed: int, undisturbed: np.ndarray) -> None:
    network = make_network(seed, loss=0.05)
    run_with_crashes(network)
    assert np.array_equal(final_f(network), undisturbed), f"seed {seed}"


def test_a_sequence_number_always_carries_the_same_bytes() -> None:
    network = make_network(3, loss=0.1)
    for turn in range(100_000):
        if not network.step():
            break
        if turn % 17 == 0 and turn < 300:
            network.crash(NAMES[turn % 3])
    check_resent_alike(network, "another message under the same number")


def test_a_study_that_differs_is_named() -> None:
    other = make_party("lab", study(rounds=7))
    network = Network(make_party("hospital"), [other, make_party("insurer")])
    with pytest.raises(SettingsError, match="`rounds` is 7 here and 3 there"):
        network.run()


def test_every_illegal_message_changes_nothing() -> None:
    empty = np.zeros((0, 1), np.float32)
    samples = {
        "residual": messages.Residual(empty, 1),
        "finish": messages.Finish(np.zeros(0), messages.Ending("finished")),
        "rows": messages.Rows(np.zeros(1, np.uint32), np.ones(1, np.uint8), messages.Shape(1)),
        "predict-request": messages.PredictRequest(messages.Batch(1), ("r1",)),
        "run-agreement": messages.RunAgreement(messages.Signatures({})),
        "fitted": messages.Fitted(empty, 1),
    }
    for kind in samples:
        party = make_party("lab")  # greeted: only a run offer is legal
        before = dict(party.store.values)
        with pytest.raises(PeerViolation):
            party.node.role.receive("hospital", samples[kind])
        assert party.node.role.state.take_changes() == {}
        assert party.store.values == before


def test_a_forged_run_signature_is_refused() -> None:
    network = make_network()
    lab = network.parties["lab"]
    while lab.store.values["phase"] != b"signed":
        network.step()
    bad = messages.Signatures({name: "00" * 64 for name in NAMES})
    with pytest.raises(PeerViolation, match="does not verify"):
        lab.node.role.receive("hospital", messages.RunAgreement(bad))


def test_a_certificate_before_the_agreement_is_refused_and_not_answered() -> None:
    network = make_network()
    lab = network.parties["lab"]
    for phase, run in ((b"greeted", ""), (b"signed", None)):
        while lab.store.values.get("phase") != phase:
            network.step()
        agreed = lab.node.role.run if run is None else run
        link = lab.node._link("hospital").received
        early = wire.encode(
            messages.HeadRequest(1),
            study=lab.node._codec.digest,
            run=agreed,
            sender="hospital",
            recipient="lab",
            seq=link + 1,
            identity=identity("hospital"),
        )
        before = lab.node._ledger.head
        with pytest.raises(PeerViolation, match=r"another run|before the run was agreed on"):
            lab.node.message("hospital", early)
        assert lab.node._ledger.head == before, "a refused message leaves no line in the ledger"


def test_a_wiped_run_directory_is_refused_once_the_run_has_begun() -> None:
    network = make_network()
    lab = network.parties["lab"]
    while lab.store.values["phase"] != b"learning":
        network.step()
    fresh = make_party("lab")
    fresh.store.id = "f" * 32
    network.sponsor.node.lost("lab")
    hospital = network.sponsor.node
    sync = fresh.node.attached("hospital").transmit[0]
    assert [t.kind for t in hospital.sync("lab", sync.frames[0]).transmit] == ["refuse"]


def test_a_right_key_under_a_wrong_name_is_refused_and_the_study_goes_on() -> None:
    network = make_network()
    lab = network.parties["lab"]
    as_insurer = wire.encode(
        messages.Finished(messages.Ending("finished")),
        study="ab" * 32,
        run="",
        sender="insurer",
        recipient="hospital",
        seq=1,
        identity=identity("lab"),
    )
    first = network.sponsor.node.message("lab", as_insurer)
    assert [type(event) for event in first.events] == [events.RefusedPeer] and first.transmit == []
    assert network.sponsor.node.message("lab", as_insurer).events == [], "logged once"
    network.run()
    assert lab.store.values["phase"] == b"serving" and final_f(network).shape == (120, 1)


def test_a_sponsor_without_features() -> None:
    network = Network(make_party("hospital", fits=False), [make_party(name) for name in NAMES[1:]])
    network.run()
    assert np.array_equal(by_the_paper(study(), NAMES[1:]).F, final_f(network))


def test_a_message_in_pieces_is_judged_by_its_head() -> None:
    network = make_network()
    while not any(sender == "lab" for sender, _, _ in network.sent):
        network.step()
    frames = next(frames for sender, _, frames in network.sent if sender == "lab")
    sponsor = network.sponsor.node
    head, rest = frames[:3], sum(map(len, frames[3:]))
    assert sponsor.begun("lab", head, rest).transmit == []
    with pytest.raises(PeerViolation, match="bytes follow a header"):
        sponsor.begun("lab", head, rest + 1)
    network.run()
    (ack,) = sponsor.begun("lab", head, rest).transmit  # it is on the disk: the rest need not come again
    assert (ack.kind, ack.seq) == ("ack", sponsor._links["lab"].received)


@pytest.mark.parametrize(("past", "acknowledged"), [(1, True), (0, True), (-1, False)])
def test_a_message_that_is_on_the_disk_need_not_come_again(past: int, acknowledged: bool) -> None:
    """By its header alone: the last one received as well as earlier ones, but not the next."""
    network = make_network()
    network.run()
    lab = network.parties["lab"].node
    sent = [frames for a, b, frames in network.sent if (a, b) == ("hospital", "lab")]
    lab._links["hospital"].received += min(past, 0)
    head = sent[-1 - max(past, 0)]
    assert bool(lab.begun("hospital", head[:3], sum(map(len, head[3:]))).transmit) == acknowledged


def test_the_sponsors_best_own_model_is_fitted_while_assistors_have_their_first_round(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[int, list[str]]] = []

    def fit(model: Arrays) -> None:
        role = network.sponsor.node.role
        assert isinstance(role, Sponsor) and role.ensemble is not None
        told = [to for who, to, frames in network.sent if who == "hospital" and b'"kind":"residual"' in frames[0]]
        asked.append((len(role.ensemble.history), told))

    monkeypatch.setattr(Arrays, "by_itself", fit)
    network = make_network()
    network.run()
    assert asked == [(0, ["lab", "insurer"])]


def test_a_sponsor_that_is_taken_up_again_does_not_fit_it_before_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Arrays] = []
    monkeypatch.setattr(Arrays, "by_itself", lambda model: asked.append(model))
    network = make_network()
    while not any(isinstance(event, events.Committed) for _, event in network.events):
        assert network.step()
    network.crash("hospital")
    network.run()
    assert len(asked) == 1
