"""Steps that a hostile peer takes twice or too early, and the ends of budgets."""

from __future__ import annotations

import dataclasses
from typing import Any

import msgspec
import numpy as np
import pytest

from crypto.ckks.fits import SUM
from secure_gal import events, messages
from secure_gal.effects import Compute, Send
from secure_gal.errors import PeerViolation, SettingsError
from secure_gal.messages import Batch
from secure_gal.protection.sums.exposure import statement
from tests.conftest import identity
from tests.support.hostile_studies import ROUNDS, play, settings
from tests.support.study_in_memory import context


@pytest.mark.parametrize(
    ("mode", "name", "kind"),
    [
        ("clear", "hospital", "hello"),
        ("clear", "hospital", "run-signature"),
        ("clear", "hospital", "ids"),
        ("clear", "hospital", "fitted"),
        ("clear", "hospital", "finished"),
        ("clear", "lab", "run-offer"),
        ("clear", "lab", "run-agreement"),
        ("clear", "lab", "rows"),
        ("clear", "lab", "residual"),
        ("clear", "lab", "finish"),
        ("ckks", "hospital", "features"),
        ("ckks", "hospital", "encrypted-fitted"),
        ("ckks", "lab", "evaluation-keys"),
        ("ckks", "lab", "encrypted-residual"),
        ("ckks", "lab", "encrypted-finish"),
        ("sums", "hospital", "declared"),
        ("sums", "hospital", "sealed-fitted"),
        ("sums", "hospital", "inner-products"),
        ("sums", "hospital", "weighted-sum"),
        ("sums", "lab", "declarations"),
        ("sums", "lab", "evaluation-keys"),
        ("sums", "lab", "relayed-fitted"),
        ("sums", "lab", "own-difference"),
        ("sums", "lab", "weights"),
    ],
)
def test_a_step_that_comes_twice(mode: str, name: str, kind: str) -> None:
    made = play(mode)
    message, sender = made.until(name, kind), made.sender
    made.step()
    made.roles[name].state.take_changes()
    with pytest.raises(PeerViolation):
        made.roles[name].receive(sender, message)
    assert made.roles[name].state.take_changes() == {}


@pytest.mark.parametrize(
    ("mode", "kind"), [("clear", "residual"), ("ckks", "encrypted-residual"), ("sums", "residual")]
)
def test_a_residual_beyond_the_agreed_rounds(mode: str, kind: str) -> None:
    """What a sponsor could learn grows with the rounds; a person consented to so many."""
    made = play(mode)
    made.run()
    last = next(m for _, to, m in reversed(made.sent) if kind == m.KIND and to == "lab")
    made = play(mode)
    made.until("lab", "encrypted-finish" if mode == "ckks" else "finish")
    lab = made.roles["lab"]
    assert lab.rounds == ROUNDS and lab.phase == "learning"
    with pytest.raises(PeerViolation, match=f"beyond the study's {ROUNDS} rounds"):
        lab.receive("hospital", dataclasses.replace(last, round=ROUNDS + 1))


def test_rows_are_counted_against_an_assistors_own_cap_over_restarts() -> None:
    made = play("clear", max_rows=3)
    made.run()
    lab = made.roles["lab"]
    (job,) = lab.receive("hospital", messages.PredictRequest(Batch(1), ("r1", "r2")))
    assert isinstance(job, Compute)
    made._take("lab", job.then(job.job()))
    lab = made.copy("lab", prepared=False)
    refusal, reply = lab.receive("hospital", messages.PredictRequest(Batch(2), ("r3", "r4")))
    assert isinstance(refusal, events.Refused)
    assert "budget of rows to predict" in reply.message.batch.refused and not len(reply.message.part)
    (job,) = lab.receive("hospital", messages.PredictRequest(Batch(3), ("r3",)))
    assert isinstance(job, Compute), "one row is left"


def test_evaluation_keys_before_the_width_that_they_are_for() -> None:
    """They would be checked against a width that is not known yet."""
    made = play("ckks")
    job, lab = made.until_job("lab", "prepare"), made.roles["lab"]
    assert lab.phase == "declaring"
    with pytest.raises(PeerViolation, match="came before this party declared its width") as found:
        lab.receive("hospital", messages.EvaluationKeys(np.zeros(8, np.uint8)))
    assert found.value.peer == "hospital" and lab.state.take_changes() == {}
    assert any(isinstance(effect, Send) for effect in job.then(job.job())), "the honest run goes on"


@pytest.mark.parametrize("limit", [{"PRODUCT_KAPPA": 60}, {"MAX_PRODUCT_CIPHERTEXTS": 0}])
def test_a_study_beyond_the_budget_of_inner_products(limit: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """The aggregator refuses it when it learns how many rows there are, before anything is fitted."""
    for name, value in limit.items():
        monkeypatch.setattr(f"crypto.ckks.products.{name}", value)
    made = play("sums")
    rows = made.until("lab", "rows")
    with pytest.raises(SettingsError, match="inner products"):
        made.roles["lab"].receive("hospital", rows)
    assert made.roles["lab"].state.take_changes() == {}


def test_a_study_beyond_the_budget_of_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("lab", "insurer"):
        made = play("sums")
        rows = made.until(name, "rows")
        less = dataclasses.replace(SUM, tau=ROUNDS - 1)
        monkeypatch.setattr("secure_gal.protection.sums.assistor.SUM", less)
        with pytest.raises(SettingsError, match="use fewer rounds or rows"):
            made.roles[name].receive("hospital", rows)
        monkeypatch.undo()


def test_masked_ids_of_the_sponsor_before_this_partys_own() -> None:
    """The scalar is drawn by the job that masks; until then there is none to answer with."""
    made = play("private ids")
    query: Any = made.until("lab", "masked-query")
    made = play("private ids")
    made.until_job("lab", "mask")
    lab = made.roles["lab"]
    with pytest.raises(PeerViolation, match="before this party's were sent"):
        lab.receive("hospital", query)
    assert lab.state.take_changes() == {} and query.step == messages.Step(0, 1)


@pytest.mark.parametrize("given", [{"sealing_key": "ab" * 32}, {"sealing_signature": "ab" * 64}])
def test_a_sealing_key_is_the_aggregators_alone(given: dict[str, str]) -> None:
    """Nobody else's key, and no half of one, is passed on among the declarations."""
    made = play("sums")
    made.until("hospital", "declared")
    assert (made.sender, settings("sums").adder) == ("lab", "lab") and made.step()
    honest: Any = made.until("hospital", "declared")
    changed = messages.Declared(msgspec.structs.replace(honest.declaration, **given))
    with pytest.raises(PeerViolation, match="insurer is not the aggregator and has a sealing key") as found:
        made.roles["hospital"].receive("insurer", changed)
    assert found.value.peer == "insurer" and made.roles["hospital"].state.take_changes() == {}


@pytest.mark.parametrize(
    ("mode", "changed", "rule"),
    [
        ("sums", {"padded": 4}, "a padded width is"),
        ("sums", {"fresh": True}, "fresh features are declared"),
        ("ckks sums", {"padded": 0}, "a padded width is"),
        ("ckks sums", {"padded": 3}, "a padded width is"),
        ("ckks sums", {"padded": 8192}, "impossible width"),
        ("ckks sums", {"width": 4097}, "impossible width"),
        ("ckks sums", {"fresh": True}, ""),
        ("ckks sums", {"padded": 4096, "width": 4096}, ""),
    ],
)
def test_a_declaration_that_its_author_signed(mode: str, changed: dict[str, Any], rule: str) -> None:
    """What cannot be is refused, whoever signed it; the last two are at the ends of what can."""
    made = play(mode)
    honest: Any = made.until("hospital", "declared")
    hospital, name = made.roles["hospital"], made.sender
    item = msgspec.structs.replace(honest.declaration, **changed)
    about = statement(context(name, settings(mode)).digest, hospital.run, name, item.padded, item.width, item.fresh)
    signed = messages.Declared(msgspec.structs.replace(item, signature=identity(name).sign(about).hex()))
    if not rule:
        assert hospital.receive(name, signed)
        return
    with pytest.raises(PeerViolation, match=rule) as found:
        hospital.receive(name, signed)
    assert found.value.peer == name and hospital.state.take_changes() == {}
