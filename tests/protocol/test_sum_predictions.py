"""Predictions as sums over an in-memory link: of all assistors, about the same rows, once, or nothing."""

from __future__ import annotations

import numpy as np
import pytest

from secure_gal import messages
from secure_gal.effects import Compute, Send
from secure_gal.errors import PeerViolation
from secure_gal.messages import Batch
from secure_gal.settings.study import Protect
from tests.support.study_in_memory import NAMES, Arrays
from tests.support.sums_in_memory import CKKS, CLEAR, make, predict


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
