"""One attempt of a private alignment: its steps in order, what is left of it when given up, and what is shown of it."""

from __future__ import annotations

import numpy as np
import pytest

from secure_gal import events, messages
from secure_gal.effects import Send
from secure_gal.errors import PeerViolation
from secure_gal.state import State
from tests.support.hostile_studies import play
from tests.support.study_in_memory import FEW


def test_jobs_of_an_attempt_that_was_given_up_end_in_nothing() -> None:
    """An assistor that restarts masks anew; tags of its first attempt, compared with it, would find no common id."""
    made = play("private ids")
    masked_ids, hospital = made.until("hospital", "masked-ids"), made.roles["hospital"]
    name = made.sender
    _, mask = hospital.receive(name, masked_ids)
    masked = mask.job()
    _, tag = mask.then(masked)
    tags = tag.job()
    lab = made.build(name, State(dict(made.disk[name])))
    (realign,) = [effect.message for effect in lab.start() if isinstance(effect, Send)]
    (asked,) = hospital.receive(name, realign)
    _, again = lab.receive("hospital", asked.message)
    (sent,) = again.then(again.job())
    _, mask_again = hospital.receive(name, sent.message)
    assert mask.then(masked) == [] and tag.then(tags) == []
    query, tag_again = mask_again.then(mask_again.job())
    *_, answer = lab.receive("hospital", query.message)
    _, answered = answer.then(answer.job())
    assert hospital.receive(name, answered.message) == [] and name in hospital.waiting_for()
    found = tag_again.then(tag_again.job())[0]
    assert found == events.PairAligned(name, FEW, FEW + 5) and name not in hospital.waiting_for()


def test_tags_come_once_and_not_before_they_were_asked_for() -> None:
    made = play("private ids")
    masked_ids, hospital = made.until("hospital", "masked-ids"), made.roles["hospital"]
    name, step = made.sender, masked_ids.step
    _, mask = hospital.receive(name, masked_ids)
    with pytest.raises(PeerViolation, match="before they were asked for"):
        hospital.receive(name, messages.Tags(np.zeros((1, 1), np.uint8), step))
    query, tag = mask.then(mask.job())
    *_, answer = made.roles[name].receive("hospital", query.message)
    _, answered = answer.then(answer.job())
    assert hospital.receive(name, answered.message) == []
    with pytest.raises(PeerViolation, match="or twice"):
        hospital.receive(name, answered.message)
    assert tag.then(tag.job())[0] == events.PairAligned(name, FEW, FEW + 5)


def test_no_id_and_no_order_in_what_is_shown_of_an_alignment() -> None:
    """Representations end up in tracebacks and logs; the secret order says who is which row."""
    made = play("private ids")
    masked_ids, hospital = made.until("hospital", "masked-ids"), made.roles["hospital"]
    _, mask = hospital.receive(made.sender, masked_ids)
    masked = mask.job()
    mask.then(masked)
    pair, attempt = hospital._alignment._pairs[made.sender], made.roles[made.sender]._alignment._attempt
    assert pair.order is not None and "r20" in attempt.ids
    for shown in map(repr, (masked, pair, attempt)):
        assert "array" not in shown and "r20" not in shown and "function" not in shown
