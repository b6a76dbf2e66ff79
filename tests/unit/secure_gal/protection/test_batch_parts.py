"""Parts of a prediction batch that are seen one by one, and fits: who is waited for, and what does not fit."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from crypto.ckks.sets import PARAMETER_SETS
from secure_gal import events, messages
from secure_gal.effects import Compute, Done, Send
from secure_gal.errors import PeerViolation
from secure_gal.messages import Batch
from secure_gal.protection.ckks.parts import DecryptedParts
from secure_gal.protection.clear.parts import SeenParts
from secure_gal.protection.clear.sponsor import SeenFits
from tests.support.batches import IDS, Pairs, batched
from tests.support.study_in_memory import study

STUDY = study()
STANDARD = PARAMETER_SETS["standard"]


def reply(values: Any = (1.0, 2.0, 3.0), known: Any = (1, 1, 1), refused: str = "") -> messages.PredictReply:
    part = np.array(values, np.float32).reshape(len(values), -1)
    return messages.PredictReply(Batch(4, refused), np.array(known, np.uint8), part)


# in the clear


def test_everyone_is_asked_for_all_ids_and_the_last_answer_ends_the_batch() -> None:
    batch, parts = batched(STUDY), SeenParts()
    ask = messages.PredictRequest(Batch(4), IDS)
    assert parts.begin(batch) == [Send("lab", ask), Send("insurer", ask)] and parts.aligned(batch) == []
    assert parts.waiting_for(batch) == ["lab", "insurer"]
    assert parts.receive(batch, "insurer", reply((0.0, 2.0, 3.0), (0, 1, 1))) == []
    assert parts.waiting_for(batch) == ["lab"]
    (warned, done) = parts.receive(batch, "lab", reply(refused="no " * 100))
    assert done == Done() and warned == events.Warned(f"lab refuses this batch: {('no ' * 100)[:200]}; its part is 0")
    assert parts.waiting_for(batch) == [] and not parts.parts(batch)["lab"].values.any()
    assert parts.parts(batch)["insurer"].values.tolist() == [[0.0], [2.0], [3.0]]
    with pytest.raises(PeerViolation, match="not asked for, or a second one"):
        parts.receive(batch, "lab", reply())
    again = batched(STUDY, state=batch.state.take_changes())  # type: ignore[arg-type]
    assert parts.resume(again) == [] and again.parts.keys() == {"lab", "insurer"}
    assert {peer: rows.tolist() for peer, rows in again.asked.items()} == {"lab": [0, 1, 2], "insurer": [0, 1, 2]}


@pytest.mark.parametrize(
    ("message", "rule"),
    [
        (messages.KnownReply(Batch(4), np.ones(3, np.uint8)), "known-reply is not legal during prediction"),
        (
            messages.NoisedPredictReply(Batch(4), np.ones(3, np.uint8), np.ones((3, 1), np.float32)),
            "is not legal during prediction",
        ),
        (reply(known=(1, 1)), "`known` must hold 0 or 1 for each of 3 ids"),
        (reply((1.0, 2.0)), "must hold 3 finite rows of 1 outputs"),
        (reply(((1.0, 1.0), (2.0, 2.0), (3.0, 3.0))), "must hold 3 finite rows of 1 outputs"),
        (reply((1.0, np.nan, 3.0)), "must hold 3 finite rows of 1 outputs"),
        (reply((1.0, 2.0, 3.0), (1, 0, 1)), "must be 0 for unknown ids"),
    ],
)
def test_a_reply_that_does_not_fit_what_was_asked(message: Any, rule: str) -> None:
    batch, parts = batched(STUDY), SeenParts()
    parts.begin(batch)
    with pytest.raises(PeerViolation, match=rule) as found:
        parts.receive(batch, "lab", message)
    assert found.value.peer == "lab" and not batch.parts and parts.waiting_for(batch) == ["lab", "insurer"]


def test_rows_are_named_to_each_as_soon_as_its_are_known_and_once() -> None:
    pairs, parts = Pairs("lab", "insurer"), SeenParts()
    batch = batched(STUDY, pairs=pairs)
    assert parts.aligned(batch) == []
    with pytest.raises(PeerViolation, match="not asked for, or a second one"):
        parts.receive(batch, "lab", reply((1.0, 2.0), (1, 1)))
    pairs.still = ["insurer"]
    ((sent),) = parts.aligned(batch)
    assert isinstance(sent, Send) and sent.peer == "lab" and isinstance(sent.message, messages.PredictRows)
    assert sent.message.positions.tolist() == [7, 5] and sent.message.positions.dtype == np.uint32
    assert sent.message.step == messages.Step(4, 1)
    assert parts.aligned(batch) == [], "once"
    assert parts.receive(batch, "lab", reply((1.0, 2.0), (1, 1))) == []
    assert batch.parts["lab"].values.tolist() == [[1.0], [0.0], [2.0]] and batch.parts["lab"].known.tolist() == [
        1,
        0,
        1,
    ]
    again = batched(STUDY, pairs=pairs, state=batch.state.take_changes())
    parts.resume(again)
    assert {peer: rows.tolist() for peer, rows in again.asked.items()} == {"lab": [0, 2]}


# encrypted


class Opened:
    """Finds 2 everywhere."""

    def decrypt(self, ciphertexts: Any, rows: int, outputs: int, peer: str) -> Any:
        assert (outputs, peer) == (1, "lab")
        return np.full((rows, outputs), 2.0)


def encrypted(count: int = 1, known: Any = (1, 0, 1), refused: str = "") -> messages.EncryptedPredictReply:
    return messages.EncryptedPredictReply(
        Batch(4, refused), np.array(known, np.uint8), np.ones((count, STANDARD.reply_bytes), np.uint8)
    )


def test_an_encrypted_part_is_decrypted_once_and_is_0_where_a_row_is_not_known() -> None:
    parts, batch = DecryptedParts(Opened(), STANDARD), batched(STUDY)  # type: ignore[arg-type]
    ask = messages.PredictRequest(Batch(4), IDS)
    assert parts.begin(batch) == [Send("lab", ask), Send("insurer", ask)] and parts.aligned(batch) == []
    for message, rule in (
        (reply(), "not legal during an encrypted prediction"),
        (encrypted(2), r"replies of shape \(2, "),
        (encrypted(known=(1, 1)), "`known` must hold"),
    ):
        with pytest.raises(PeerViolation, match=rule):
            parts.receive(batch, "lab", message)
    (job,) = parts.receive(batch, "lab", encrypted())
    assert isinstance(job, Compute) and job.work == "decrypt" and parts.waiting_for(batch) == ["lab", "insurer"]
    with pytest.raises(PeerViolation, match="came twice"):
        parts.receive(batch, "lab", encrypted())
    assert job.then(job.job()) == [] and parts.waiting_for(batch) == ["insurer"]
    assert parts.parts(batch)["lab"].values.tolist() == [[6.0], [0.0], [6.0]]
    with pytest.raises(PeerViolation, match="a second one"):
        parts.receive(batch, "lab", encrypted())
    assert parts.receive(batch, "insurer", encrypted(refused="why"))[-1] == Done()


# a fit in the clear


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        (np.full((3, 1), 1e6), ""),
        (np.full((3, 1), -1e6), ""),
        (np.full((3, 1), 1_000_000.1), "must be finite and at most 1e\\+06 in size"),
        (np.array([[0.0], [0.0], [-1_000_001.0]]), "must be finite and at most"),
        (np.array([[0.0], [np.inf], [0.0]]), "must be finite"),
        (np.array([[0.0], [np.nan], [0.0]]), "must be finite"),
        (np.zeros((2, 1)), r"must have shape \(3, 1\)"),
        (np.zeros((3, 2)), r"must have shape \(3, 1\)"),
    ],
)
def test_a_fit_is_finite_and_of_the_size_of_a_residual(values: Any, rule: str) -> None:
    taken: list[Any] = []
    stage: Any = SimpleNamespace(
        check_round=lambda peer, message: None,
        coverage={"lab": np.arange(3)},
        ensemble=SimpleNamespace(F=np.zeros((9, 1))),
        over_all_rows=lambda peer, values: values,
        take_fit=lambda peer, values: taken.append((peer, values)) or [Done()],
    )
    message = messages.Fitted(values.astype(np.float32), 1)
    if rule:
        with pytest.raises(PeerViolation, match=rule):
            SeenFits().receive(stage, "lab", message)
    else:
        assert SeenFits().receive(stage, "lab", message) == [Done()] and taken[0][0] == "lab"
    with pytest.raises(PeerViolation, match="fitted where the study agreed on noised-fitted"):
        SeenFits(messages.NoisedFitted).receive(stage, "lab", message)
