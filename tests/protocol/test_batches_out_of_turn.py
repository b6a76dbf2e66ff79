"""Parts and sums of a batch that come twice, too early, after a restart or of another table."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from secure_gal import events, messages
from secure_gal.effects import Compute, Send
from secure_gal.errors import PeerViolation
from secure_gal.messages import Batch
from secure_gal.state import State
from tests.support.hostile import inner
from tests.support.hostile_studies import play, prediction
from tests.support.study_in_memory import FEW, Arrays, N


def test_a_second_part_of_one_author() -> None:
    """At the aggregator, whose own part is not ready yet, and at the sponsor, which relays."""
    made = play("sums")
    made.run()
    asked = prediction("sums", State(dict(made.disk["hospital"])))
    made.add("hospital", asked)
    relayed: Any = made.until("lab", "relayed-part")
    with pytest.raises(PeerViolation, match="a second one"):
        asked.receive("insurer", messages.SealedPart(relayed.batch, relayed.sealed))
    with pytest.raises(PeerViolation, match="seals no part"):
        asked.receive("lab", messages.SealedPart(relayed.batch, relayed.sealed))
    made = play("sums")
    made.run()
    lab, insurer = made.roles["lab"], made.roles["insurer"]
    request = messages.PredictRequest(Batch(1), ("r1",))
    own, key = lab.receive("hospital", request)
    assert insurer.receive("hospital", key.message) == []
    (job,) = insurer.receive("hospital", request)
    (sealed,) = (e.message for e in job.then(job.job()) if isinstance(e, Send))
    part = messages.RelayedPart(sealed.batch, messages.Author("insurer"), sealed.sealed)
    assert lab.receive("hospital", part) == []
    lab.state.take_changes()
    with pytest.raises(PeerViolation, match="a second one"):
        lab.receive("hospital", part)
    assert lab.state.take_changes() == {} and isinstance(own, Compute)


def test_a_part_key_twice_and_a_batch_before_its_key() -> None:
    made = play("sums")
    made.run()
    made.add("hospital", prediction("sums", State(dict(made.disk["hospital"]))))
    key: Any = made.until("insurer", "part-key")
    insurer = made.roles["insurer"]
    request = messages.PredictRequest(key.batch, ("r1",))
    with pytest.raises(PeerViolation, match="before the key"):
        insurer.receive("hospital", request)
    for change, rule in (
        (inner("announcement", key="00" * 31), "did not sign"),
        (inner("announcement", key="zz"), "not hex"),
        (inner("announcement", signature="00" * 64), "did not sign"),
        (inner("batch", number=2), "did not sign"),
    ):
        with pytest.raises(PeerViolation, match=rule):
            insurer.receive("hospital", change(key))
    made.step()
    with pytest.raises(PeerViolation, match="a second key"):
        insurer.receive("hospital", key)


def test_a_sum_is_of_every_id_that_all_assistors_hold_the_first_of_their_orders_too() -> None:
    """Under private alignment ids are known by their place in each assistor's secret order, which begins at 0."""
    made, ids = play("ckks sums"), Arrays("lab", FEW - N + 5).ids
    made.run()
    made.add("hospital", prediction("ckks sums", State(dict(made.disk["hospital"])), (*ids, "nobody")))
    asked: Any = made.until("insurer", "predict-rows")
    assert sorted(asked.positions) == list(range(len(ids)))
    made.run()
    _, missing = made.roles["hospital"].combine(np.zeros(1), np.zeros((len(ids) + 1, 1)))
    assert missing == [""] * len(ids) + ["lab;insurer"]


@pytest.mark.parametrize("name", ["lab", "insurer"])
def test_an_assistor_that_restarted_after_learning_has_the_key_that_its_part_is_encrypted_under(name: str) -> None:
    made = play("sums")
    made.run()
    made.roles[name] = made.copy(name, prepared=True)
    made.add("hospital", prediction("sums", State(dict(made.disk["hospital"]))))
    made.run()
    assert not made.roles["hospital"].waiting_for()


def test_a_table_that_changes_during_a_private_batch_is_a_refusal_and_no_guess_at_its_rows() -> None:
    """Rows are numbered in the order of ids that were masked; of another list of ids they would be other persons."""
    made = play("private ids")
    made.run()
    made.add("hospital", prediction("private ids", State(dict(made.disk["hospital"]))))
    rows, lab = made.until("lab", "predict-rows"), made.roles["lab"]
    lab._model.ids = lab._model.ids[:-1]
    (reply,) = lab.receive("hospital", rows)
    assert "table changed during the batch; ask again" in reply.message.batch.refused
    (told,) = [e for e in made.roles["hospital"].receive("lab", reply.message) if isinstance(e, events.Warned)]
    assert "lab refuses" in told.text and "ask again" in told.text
