"""Steps out of turn, each of which once ended in an error that was not the peer's, or in none."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any

import numpy as np
import pytest

from secure_gal import messages
from secure_gal.messages import Message
from tests.support.hostile_studies import play
from tests.support.refusals import refused
from tests.support.study_in_memory import FEW


def at(mode: str, name: str, kind: str) -> Any:
    made = play(mode)
    made.until(name, kind)
    return made.roles[name]


@pytest.mark.parametrize(
    ("mode", "message"),
    [
        ("clear", messages.Fitted(np.zeros((FEW, 1), np.float32), 1)),
        ("noised", messages.NoisedFitted(np.zeros((FEW, 1), np.float32), 1)),
        ("clear", messages.Fitted(np.zeros((FEW, 1), np.float32), 0)),
    ],
)
def test_fitted_values_before_the_first_residual(mode: str, message: Message) -> None:
    """Alignment is over, and the sponsor still prepares its own data."""
    made = play(mode)
    while made.disk["hospital"].get("phase") != b"learning":
        made.step()
    refused(lambda: made.roles["hospital"].receive("lab", message), "was not asked for", "lab")


def test_fitted_values_after_the_last_round() -> None:
    made = play("clear")
    made.until_job("hospital", "alone")
    role = made.roles["hospital"]
    assert role.phase == "learning" and role.stage.round == 3
    more = messages.Fitted(np.zeros((FEW, 1), np.float32), 3)
    refused(lambda: role.receive("lab", more), "was not asked for", "lab")


@pytest.mark.parametrize("mode", ["ckks", "ckks sums"])
def test_an_assistor_that_has_finished_before_it_was_told_the_end(mode: str) -> None:
    made = play(mode)
    while made.disk["hospital"].get("phase") != b"finishing":
        made.step()
    ended = messages.Finished(messages.Ending("finished"))
    refused(lambda: made.roles["hospital"].receive("lab", ended), "before it was told", "lab")


@pytest.mark.parametrize(("mode", "end"), [("clear", "finish"), ("sums", "finish"), ("ckks", "encrypted-finish")])
def test_an_end_inside_a_round(mode: str, end: str) -> None:
    made = play(mode)
    while not any(end == message.KIND for _, _, message in made.sent):
        made.step()
    ending = next(message for _, to, message in made.sent if end == message.KIND and to == "lab")
    role = at(mode, "lab", "encrypted-residual" if mode == "ckks" else "residual")
    inside = play(mode)
    inside.until("lab", "encrypted-residual" if mode == "ckks" else "residual")
    inside.step()
    refused(lambda: inside.roles["lab"].receive("hospital", ending), "cannot end inside a round", "hospital")
    if mode == "ckks":
        refused(lambda: role.receive("hospital", ending), "all are run", "hospital")
    if mode == "sums":
        inside = play(mode)
        inside.until("hospital", "inner-products")
        refused(lambda: inside.roles["lab"].receive("hospital", ending), "before the sum", "hospital")


def test_a_batch_is_asked_for_once_and_batches_go_up() -> None:
    for mode in ("clear", "sums"):
        made = play(mode)
        made.run()
        lab = made.roles["lab"]
        lab.receive("hospital", messages.PredictRequest(messages.Batch(2), ("r1",)))
        for number in (2, 1, 0, -1):
            ask = messages.PredictRequest(messages.Batch(number), ("r2",))
            refused(partial(lab.receive, "hospital", ask), f"batch {number} after batch 2", "hospital")


def test_a_part_of_a_batch_that_was_not_asked_for() -> None:
    made = play("sums")
    made.run()
    part = messages.RelayedPart(messages.Batch(3), messages.Author("insurer"), np.zeros(200, np.uint8))
    refused(lambda: made.roles["lab"].receive("hospital", part), "not asked for", "hospital")


def test_rows_beyond_every_bound_are_the_sponsors_fault() -> None:
    for mode in ("clear", "ckks", "sums"):
        made = play(mode)
        rows: Any = made.until("lab", "rows")
        for outputs in (0, -1, 1025, 10**400):
            bad = dataclasses.replace(rows, shape=messages.Shape(outputs))
            refused(
                lambda bad=bad, made=made: made.roles["lab"].receive("hospital", bad),
                "outputs; the study has 1",
                "hospital",
            )


def test_masked_ids_are_checked_before_they_are_counted() -> None:
    made = play("private ids")
    query: Any = made.until("lab", "masked-query")
    lab = made.roles["lab"]
    lab.state.take_changes()
    repeat, order = query.points.copy(), query.points.copy()
    repeat[0] = repeat[1]
    order[0] = 0
    for points, rule in ((repeat, "more than once"), (order, "small order")):
        refused(partial(lab.receive, "hospital", dataclasses.replace(query, points=points)), rule, "hospital")
        assert lab.state.take_changes() == {}
    masked: Any = play("private ids").until("hospital", "masked-ids")
    made = play("private ids")
    made.until("hospital", "masked-ids")
    points = masked.points.copy()
    points[0] = points[1]
    refused(
        lambda: made.roles["hospital"].receive("lab", dataclasses.replace(masked, points=points)),
        "more than once",
        "lab",
    )
