"""A sponsor that names more rows than it asked about, or asks twice: refused by name, with nothing changed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from crypto.psi import PsiSide
from secure_gal import events, messages
from secure_gal.effects import Compute, Send
from secure_gal.errors import PeerViolation
from secure_gal.messages import Shape, Step
from secure_gal.protocol import roles
from secure_gal.protocol.assistor import Assistor
from secure_gal.state import State, Value
from tests.support import encrypted_in_memory, sums_in_memory
from tests.support.overlapping_in_memory import PRIVATE, Overlapping
from tests.support.simulation import Network
from tests.support.study_in_memory import N, context, make_network

HELD = len(Overlapping("lab").ids)
RUN = "ab" * 32


def assistor(phase: str, **state: Value) -> Assistor:
    values: dict[str, Value] = {"phase": phase.encode(), "run": RUN.encode(), "agreement": b"{}"}
    model: Any = Overlapping("lab")
    return roles.assistor(context("lab", PRIVATE), model, State(values | state), bytes(16))


def serving() -> Assistor:
    return assistor("serving", encoder=b"", coefficients=np.zeros(0))


def masked(role: Assistor, batch: int) -> Step:
    """The assistor has masked its ids for this batch."""
    _, job = role.receive("hospital", messages.Realign(Step(batch, 0)))
    assert isinstance(job, Compute)
    (sent,) = job.then(job.job())
    assert isinstance(sent, Send) and isinstance(sent.message, messages.MaskedIds)
    return sent.message.step


def query(count: int) -> np.ndarray:
    return np.concatenate(list(PsiSide(bytes(32)).mask([f"x{i}" for i in range(count)])[1]))


def ask(role: Assistor, step: Step, count: int) -> None:
    """The sponsor asks about so many ids, and gets its tags."""
    (job,) = role.receive("hospital", messages.MaskedQuery(query(count), step))
    assert isinstance(job, Compute)
    job.then(job.job())


def rows(positions: Any, step: Step, outputs: int = 1) -> messages.Rows:
    named = np.asarray(positions, dtype=np.uint32)
    return messages.Rows(named, np.ones(len(named), np.uint8), Shape(outputs), step)


def refused(role: Any, message: messages.Message, rule: str) -> None:
    role.state.take_changes()
    before = dict(role.state.rows)
    with pytest.raises(PeerViolation, match=rule) as error:
        role.receive("hospital", message)
    assert error.value.peer == "hospital"
    assert role.state.take_changes() == {} and role.state.rows == before


@pytest.mark.parametrize("asked", [1, 7])
def test_the_learning_stage_names_no_more_rows_than_ids_were_asked_about(asked: int) -> None:
    role = assistor("aligning")
    step = masked(role, 0)
    ask(role, step, asked)
    for named in (asked + 1, HELD):
        refused(role, rows(range(named), step), f"names {named} rows after asking about {asked} ids")
    role.receive("hospital", rows(range(asked), step))
    assert role.phase == "learning"


def test_no_prediction_batch_names_more_rows_than_ids_were_asked_about() -> None:
    role = serving()
    for batch, asked in ((1, 2), (2, 5), (3, 1)):
        step = masked(role, batch)
        ask(role, step, asked)
        refused(
            role,
            messages.PredictRows(np.arange(asked + 1, dtype=np.uint32), step),
            f"names {asked + 1} rows after asking about {asked} ids",
        )
        role.receive("hospital", messages.PredictRows(np.arange(asked, dtype=np.uint32), step))
    assert [role._context.budget.spent(kind) for kind in ("rows", "queries")] == [8, 8]


def test_ids_of_another_attempt_do_not_count() -> None:
    role = serving()
    for _ in range(3):
        ask(role, masked(role, 1), 10)
    step = masked(role, 1)
    ask(role, step, 1)
    refused(role, messages.PredictRows(np.arange(2, dtype=np.uint32), step), "names 2 rows after asking about 1 ids")


def test_a_second_query_in_one_attempt_is_refused() -> None:
    """It would be tagged with a scalar that the first answer erases, and make room for more rows."""
    role = serving()
    step = masked(role, 1)
    again = messages.MaskedQuery(query(3), step)
    (job,) = role.receive("hospital", again)
    refused(role, again, "a second query in one attempt")
    job.then(job.job())
    assert role.receive("hospital", again) == [events.Stale("hospital")]


@pytest.mark.parametrize(
    ("positions", "rule"),
    [([0, 1, 0], "repeat"), ([0, HELD], "outside"), ([2**32 - 1], "outside"), ([], "no rows")],
)
def test_positions_that_cannot_be_are_refused(positions: list[int], rule: str) -> None:
    role = assistor("aligning")
    step = masked(role, 0)
    ask(role, step, HELD)
    refused(role, rows(positions, step), rule)
    role = serving()
    step = masked(role, 1)
    ask(role, step, HELD)
    if positions:
        refused(role, messages.PredictRows(np.array(positions, np.uint32), step), "repeat or lie outside")


def networks() -> dict[str, Network]:
    return {
        "clear": make_network(),
        "ckks": encrypted_in_memory.make_encrypted(),
        "sum, ckks": sums_in_memory.make(sums_in_memory.CKKS),
        "sum, clear": sums_in_memory.make(sums_in_memory.CLEAR),
    }


MODES = tuple(networks())


@pytest.mark.parametrize("mode", MODES)
def test_rows_of_clear_ids_lie_in_the_list_that_was_sent(mode: str) -> None:
    network = networks()[mode]
    lab = network.parties["lab"]
    while lab.store.values.get("phase") != b"aligning":
        assert network.step()
    role, here = lab.node.role, messages.IN_THE_CLEAR
    for positions, rule in (([0, 0], "repeat"), ([N + 5], "outside"), (range(N + 6), "outside"), ([], "no rows")):
        refused(role, rows(positions, here), rule)
    short, other = rows(range(5), here), rows(range(5), here)
    refused(role, messages.Rows(short.positions, short.train[:4], Shape(1)), "outside the id list|mask")
    refused(role, messages.Rows(other.positions, other.train * 2, Shape(1)), "not 0/1")
    refused(role, messages.Rows(other.positions, other.train * 0, Shape(1)), "not 0/1")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["lab", "insurer"])
def test_a_batch_is_asked_for_once(mode: str, name: str) -> None:
    """A second one under the same number left the first without its ids, and a sealed part without its key."""
    network = networks()[mode]
    network.run()
    role = network.parties[name].node.role
    if mode.startswith("sum") and role._fits.aggregator is None:
        role.receive("hospital", network.parties["lab"].node.role._fits.aggregator.announce_parts(3, "", 2))
    role.receive("hospital", messages.PredictRequest(messages.Batch(3), ("r1", "r2")))
    for number in (3, 2, 0, -1):
        refused(role, messages.PredictRequest(messages.Batch(number), ("r3",)), f"batch {number} after batch 3")
