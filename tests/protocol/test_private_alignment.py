"""Private alignment in whole studies over an in-memory link: the right rows, after any accident, and nothing more."""

from __future__ import annotations

import numpy as np
import pytest

from secure_gal import events, messages
from secure_gal.effects import Compute, Send
from secure_gal.errors import PeerViolation
from secure_gal.protocol import agreement, roles
from secure_gal.protocol.assistor import Assistor
from secure_gal.protocol.prediction import Prediction
from secure_gal.settings.study import Protect
from secure_gal.state import State
from tests.support.accidents import run_with_crashes
from tests.support.overlapping_in_memory import PRIVATE, Overlapping, make_party, network_of
from tests.support.simulation import Network
from tests.support.study_in_memory import FEW, NAMES, context, make_network, spent, study
from transport import wire


def outputs_by_id(network: Network) -> dict[str, float]:
    values = network.sponsor.store.values
    assert values["phase"] == b"finished"
    ids = Overlapping("hospital").ids
    return {ids[row]: float(f) for row, f in zip(values["rows"], values["ensemble/F"][:, 0], strict=True)}


@pytest.fixture(scope="module")
def finished() -> Network:
    network = network_of()
    network.run()
    return network


def test_the_rows_are_the_intersection_and_the_answer_is_the_clear_one(finished: Network) -> None:
    clear = network_of(study(protect=Protect(ids="clear"), validation=0.0))
    clear.run()
    expected, found = outputs_by_id(clear), outputs_by_id(finished)
    assert set(found) == set(expected) == {f"r{i}" for i in range(10, FEW - 10)}
    assert all(abs(found[entity] - expected[entity]) < 1e-4 for entity in expected)


def test_no_id_travels(finished: Network) -> None:
    everything = b"".join(b"".join(frames) for _, _, frames in finished.sent)
    kinds = {wire._header("x", frames)[0].kind for _, _, frames in finished.sent}
    assert {"realign", "masked-ids", "masked-query", "tags"} <= kinds and "ids" not in kinds
    assert b"r20" not in everything and b"lab-45" not in everything
    clear = network_of(study(protect=Protect(ids="clear"), validation=0.0))
    clear.run()
    assert b"lab-45" in b"".join(b"".join(frames) for _, _, frames in clear.sent), "the test can fail"


def test_rows_are_numbered_in_a_secret_order(finished: Network) -> None:
    rows = finished.sponsor.store.values["rows"]
    assert sorted(rows) == list(range(10, FEW - 10)) and list(rows) != sorted(rows)


def test_the_sponsors_rows_with_parts_missing() -> None:
    settings = study(protect=Protect(ids="psi"), validation=0.0, rows="sponsor")
    network = network_of(settings)
    network.run()
    values = network.sponsor.store.values
    assert len(values["rows"]) == FEW
    assert len(values["coverage/lab"]) == len(values["coverage/insurer"]) == FEW - 10
    assert len(network.parties["lab"].store.values["positions"]) == FEW - 10
    clear = network_of(study(protect=Protect(ids="clear"), validation=0.0, rows="sponsor"))
    clear.run()
    expected, found = outputs_by_id(clear), outputs_by_id(network)
    assert all(abs(found[entity] - expected[entity]) < 1e-4 for entity in expected)


def test_kill_at_every_step() -> None:
    settings = study(protect=PRIVATE.protect, validation=0.0, rounds=2)
    network, steps = network_of(settings), 0
    while network.step():
        steps += 1
    expected = outputs_by_id(network)
    for at in range(0, steps, 2):
        network = network_of(settings)
        for _ in range(at):
            network.step()
        network.crash(NAMES[(at // 2) % 3])
        network.run()
        found = outputs_by_id(network)
        assert set(found) == set(expected), f"step {at}"
        assert all(abs(found[entity] - expected[entity]) < 1e-4 for entity in expected), f"step {at}"


@pytest.mark.parametrize("seed", range(4))
def test_broken_connections_duplicates_and_crashes(seed: int, finished: Network) -> None:
    network = network_of(seed=seed, loss=0.05)
    run_with_crashes(network)
    assert set(outputs_by_id(network)) == set(outputs_by_id(finished))


def test_a_restart_draws_a_new_scalar_and_masks_anew() -> None:
    network = network_of()
    while not any(wire._header("x", frames)[0].kind == "masked-ids" for _, _, frames in network.sent):
        network.step()
    sender = next(s for s, _, frames in network.sent if wire._header("x", frames)[0].kind == "masked-ids")
    network.crash(sender)
    network.run()
    sent = [
        frames for s, _, frames in network.sent if s == sender and wire._header("x", frames)[0].kind == "masked-ids"
    ]
    points = {bytes(frames[3]) for frames in sent}
    assert len(points) >= 2
    first, second = (set(np.frombuffer(p, dtype="S32")) for p in list(points)[:2])
    assert not first & second


def predict(finished: Network, ids: tuple[str, ...]) -> Prediction:
    """One batch, message by message, with the real roles of both assistors."""
    fixed = context("hospital", PRIVATE)
    state = State(finished.sponsor.store.values)

    def domain(peer: str, batch: int, attempt: int) -> bytes:
        return agreement.psi_domain(fixed.digest, state.text("run"), "hospital", peer, batch, attempt)

    sponsor = roles.prediction(context("hospital", PRIVATE), state, ids, 1, domain=domain)
    queue = [("hospital", effect) for effect in sponsor.start()]
    finished.sponsor.store.values["batches"] = state.raw("batches")  # no number is used twice
    while queue:
        party, effect = queue.pop(0)
        if isinstance(effect, Send):
            to = sponsor if effect.peer == "hospital" else finished.parties[effect.peer].node.role
            queue += [(effect.peer, e) for e in to.receive(party, effect.message)]
        elif hasattr(effect, "job"):
            queue += [(party, e) for e in effect.then(effect.job())]
    finished.sponsor.store.values["batches"] = state.raw("batches")
    return sponsor


def test_prediction_is_aligned_privately_too(finished: Network) -> None:
    batch = predict(finished, ("r20", "r3", "r35", "nobody"))
    total, missing = batch.combine(np.zeros(1), np.zeros((4, 1), np.float32))
    assert missing == ["", "lab", "insurer", "lab;insurer"] and total[3, 0] == 0.0 and total[0, 0] != 0.0
    whole = finished.sponsor.node.role.ensemble
    lab = finished.parties["lab"].store.values
    models = [lab[f"model/{t:04d}"] for t in range(1, whole.kept + 1)]
    _, part = Overlapping("lab").predict(("r20",), b"", models, whole.coefficients("lab"), 1)
    assert abs(batch.batch.parts["lab"].values[0, 0] - part[0, 0]) < 1e-6


def test_nobody_known_is_an_answer(finished: Network) -> None:
    batch = predict(finished, ("x", "y"))
    assert batch.combine(np.zeros(1), np.zeros((2, 1), np.float32))[1] == ["lab;insurer"] * 2


@pytest.mark.parametrize(("cap", "message"), [("max_ids", "allows 1 to 30"), ("max_queries", "allows 30 in all")])
def test_caps(cap: str, message: str) -> None:
    with pytest.raises(PeerViolation, match=message):
        network_of(study(protect=Protect(ids="psi"), validation=0.0, **{cap: 30})).run()


def test_queries_are_counted_over_restarts_and_batches() -> None:
    network = network_of()
    network.run()
    lab = network.parties["lab"]
    assert spent(lab, "queries") == FEW
    lab.boot()
    predict(network, ("r20", "r21"))
    assert spent(lab, "queries") == FEW + 2


def answering(finished: Network) -> tuple[Assistor, messages.Step]:
    role = make_party("lab", PRIVATE).make(finished.parties["lab"].store).role
    _, job = role.receive("hospital", messages.Realign(messages.Step(7, 0)))
    (sent,) = job.then(job.job())
    return role, sent.message.step


@pytest.mark.parametrize("bad", ["identity", "high bit", "repeat", "count"])
def test_points_that_cannot_be_right_are_refused(bad: str, finished: Network) -> None:
    role, step = answering(finished)
    points = np.random.default_rng(0).integers(0, 255, (3, 32), dtype=np.uint8)
    points[:, 31] &= 0x3F
    if bad == "identity":
        points[1] = 0
    elif bad == "high bit":
        points[1, 31] |= 0x80
    elif bad == "repeat":
        points[1] = points[0]
    else:
        points = points[:0]
    with pytest.raises(PeerViolation):
        for effect in role.receive("hospital", messages.MaskedQuery(points, step)):
            effect.job()


def test_an_earlier_batchs_query_is_ignored_and_unaligned_rows_are_refused(finished: Network) -> None:
    role, step = answering(finished)
    points = np.ones((1, 32), dtype=np.uint8)
    stale = messages.MaskedQuery(points, messages.Step(7, step.attempt - 1))
    assert role.receive("hospital", stale) == [events.Stale("hospital")]
    with pytest.raises(PeerViolation, match="not aligned"):
        role.receive("hospital", messages.PredictRows(np.zeros(1, np.uint32), messages.Step(7, step.attempt)))
    with pytest.raises(PeerViolation, match="not legal"):
        role.receive("hospital", messages.PredictRequest(messages.Batch(7), ("r1",)))


def test_clear_ids_in_a_private_study_are_refused() -> None:
    network = network_of()
    while network.sponsor.store.values.get("phase") != b"aligning":
        network.step()
    with pytest.raises(PeerViolation, match="not legal"):
        network.sponsor.node.role.receive("lab", messages.Ids(("r1",)))
    make_network()


def test_masked_ids_of_an_attempt_come_once() -> None:
    network = Network(make_party("hospital", PRIVATE), [make_party(name, PRIVATE) for name in NAMES[1:]])
    hospital = network.sponsor.node.role
    while hospital.phase != "aligning":
        assert network.step()
    points = np.random.default_rng(0).integers(0, 255, (3, 32), dtype=np.uint8)
    points[:, 31] &= 0x3F
    first = messages.MaskedIds(points, messages.Step(0, 2))
    assert any(isinstance(effect, Compute) for effect in hospital.receive("lab", first))
    for attempt in (1, 2):
        with pytest.raises(PeerViolation, match="an attempt that is over"):
            hospital.receive("lab", messages.MaskedIds(points, messages.Step(0, attempt)))


def test_rows_of_a_private_study_come_in_an_order_of_their_own(finished: Network) -> None:
    """In the sponsor's own order an assistor would learn where its rows stand in the sponsor's table."""
    private, clear = finished.sponsor.store.values["rows"], make_network()
    clear.run()
    assert len(private) >= 20 and np.any(np.diff(private) < 0), "sorted by chance once in 20!"
    assert np.all(np.diff(clear.sponsor.store.values["rows"]) > 0), "in the clear everyone sees the ids anyway"
