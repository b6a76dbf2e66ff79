"""A hostile peer at every step: one table for each role, of what is refused, by which rule and in whose name.

A row says where the honest run stands (before which message to whom), how that message is changed, and which rule
refuses it. Every refusal leaves the state as it was, and the honest message is taken after it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest

from crypto.ckks.fits import SUM
from secure_gal import events, messages
from secure_gal.effects import Compute, Send
from secure_gal.errors import PeerViolation, SettingsError
from secure_gal.messages import Batch, Message
from secure_gal.protection.sums.exposure import statement
from secure_gal.protocol import agreement
from tests.conftest import identity
from tests.support.hostile import Change, cut, earlier, inner, later, nan, put, repeat
from tests.support.hostile_studies import ROUNDS, play, settings
from tests.support.study_in_memory import context, study

Row = tuple[str, str, str, Change, str]
"""Mode, recipient, kind that it waits for, what comes instead, the rule."""


def signed_by(name: str, run: str = "ef" * 32, digest: str = "") -> Change:
    """Run signatures in which one party's is over something else."""

    def change(message: Any) -> Message:
        about = agreement.statement(digest or context(name, study()).digest, run)
        found = message.signatures.signatures | {name: identity(name).sign(about).hex()}
        return dataclasses.replace(message, signatures=messages.Signatures(found))  # type: ignore[no-any-return]

    return change


def signatures(of: Callable[[dict[str, str]], dict[str, str]]) -> Change:
    return inner("signatures", signatures=of)


def nonces(of: Callable[[dict[str, str]], dict[str, str]]) -> Change:
    return inner("nonces", nonces=of)


ASSISTOR: list[Row] = [
    ("clear", "lab", "run-offer", nonces(lambda n: n | {"lab": "ab" * 16}), "this party's nonce"),
    ("clear", "lab", "run-offer", nonces(lambda n: n | {"hospital": "AB" * 16}), "32 lower-case hex"),
    ("clear", "lab", "run-offer", nonces(lambda n: n | {"hospital": "ab" * 15}), "32 lower-case hex"),
    ("clear", "lab", "run-offer", nonces(lambda n: n | {"nobody": "ab" * 16}), "one nonce a party"),
    ("clear", "lab", "run-offer", nonces(lambda n: {"lab": n["lab"]}), "one nonce a party"),
    ("clear", "lab", "run-agreement", signed_by("insurer"), "signature of insurer does not verify"),
    ("clear", "lab", "run-agreement", signed_by("hospital"), "signature of hospital does not verify"),
    ("clear", "lab", "run-agreement", signed_by("lab"), "signature of lab does not verify"),
    ("clear", "lab", "run-agreement", signatures(lambda s: s | {"insurer": "zz"}), "is not hex"),
    ("clear", "lab", "run-agreement", signatures(lambda s: s | {"nobody": "00"}), "one signature a party"),
    ("clear", "lab", "run-agreement", signatures(lambda s: {"lab": s["lab"]}), "one signature a party"),
    ("clear", "lab", "rows", put(positions=repeat), "repeat"),
    ("clear", "lab", "rows", put(positions=lambda p: p + np.uint32(6)), "outside the id list"),
    ("clear", "lab", "rows", put(positions=cut), "outside the id list"),
    ("clear", "lab", "rows", put(positions=lambda p: p[:0], train=lambda t: t[:0]), "no rows"),
    ("clear", "lab", "rows", put(train=np.zeros_like), "not 0/1"),
    ("clear", "lab", "rows", put(train=lambda t: t * np.uint8(2)), "not 0/1"),
    ("clear", "lab", "rows", inner("shape", outputs=0), "0 outputs; the study has 1"),
    ("clear", "lab", "residual", put(round=later), "after round 0"),
    ("clear", "lab", "residual", put(round=0), "after round 0"),
    ("clear", "lab", "residual", put(values=nan), "finite"),
    ("clear", "lab", "residual", put(values=cut), "shape"),
    ("clear", "lab", "finish", put(coefficients=np.ones(ROUNDS + 1)), "no more"),
    ("clear", "lab", "finish", put(coefficients=nan), "finite"),
    (
        "privatised",
        "lab",
        "privatised-residual",
        lambda m: messages.Residual(m.values, m.round),
        "legal: finish, privatised-residual",
    ),
    ("clear", "lab", "residual", lambda m: messages.PrivatisedResidual(m.values, m.round), "legal: finish, residual"),
    ("private ids", "lab", "rows", put(positions=repeat), "repeat"),
    ("private ids", "lab", "rows", inner("step", attempt=lambda a: a + 1), "not aligned"),
    ("private ids", "lab", "rows", inner("step", batch=1), "not aligned"),
    ("private ids", "lab", "realign", inner("step", batch=1), "while aligning"),
    ("private ids", "lab", "realign", inner("step", attempt=1), "while aligning"),
    ("private ids", "lab", "masked-query", put(points=lambda p: p[:0]), "asks about 0 ids"),
    ("private ids", "lab", "masked-query", put(points=lambda p: p | np.uint8(128)), "canonical"),
    ("ckks", "lab", "encrypted-residual", put(round=later), "after round 0"),
    ("sums", "lab", "declarations", put(declarations={}), "every assistor"),
    ("sums", "lab", "evaluation-keys", lambda m: messages.ProductKeys(m.keys), "after its evaluation keys"),
    ("sums", "insurer", "evaluation-keys", lambda m: messages.ProductKeys(m.keys), "product-keys is not legal"),
]

SPONSOR: list[Row] = [
    ("clear", "hospital", "hello", inner("greeting", nonce="ab" * 15), "32 lower-case hex"),
    ("clear", "hospital", "hello", inner("greeting", nonce="zz" * 16), "32 lower-case hex"),
    ("clear", "hospital", "run-signature", signed_by("lab"), "does not verify"),
    ("clear", "hospital", "run-signature", signatures(lambda s: s | {"insurer": "00"}), "only that"),
    ("clear", "hospital", "run-signature", signatures(lambda s: {"insurer": s["lab"]}), "only that"),
    ("clear", "hospital", "run-signature", signatures(lambda s: {"lab": "zz"}), "is not hex"),
    ("clear", "hospital", "ids", put(ids=()), "distinct, non-empty"),
    ("clear", "hospital", "ids", put(ids=("a", "a")), "distinct, non-empty"),
    ("clear", "hospital", "ids", put(ids=("a", "")), "distinct, non-empty"),
    ("private ids", "hospital", "masked-ids", put(points=lambda p: p[:0]), "brings 0 ids"),
    ("private ids", "hospital", "masked-ids", put(points=repeat), "more than once"),
    ("private ids", "hospital", "masked-ids", inner("step", attempt=0), "attempt that is over"),
    ("private ids", "hospital", "tags", put(tags=repeat), "more than once"),
    ("private ids", "hospital", "tags", put(tags=cut), "there must be"),
    ("clear", "hospital", "fitted", put(round=later), "not asked for"),
    ("clear", "hospital", "fitted", put(round=earlier), "not asked for"),
    ("clear", "hospital", "fitted", put(values=nan), "finite"),
    ("clear", "hospital", "fitted", put(values=cut), "must have shape"),
    ("clear", "hospital", "fitted", lambda m: messages.NoisedFitted(m.values, m.round), "legal: fitted"),
    ("noised", "hospital", "noised-fitted", lambda m: messages.Fitted(m.values, m.round), "legal: noised-fitted"),
    ("ckks", "hospital", "features", inner("width", padded=3), "power of two"),
    ("ckks", "hospital", "features", inner("width", padded=8192), "power of two"),
    ("ckks", "hospital", "encrypted-fitted", put(round=later), "not asked for"),
    ("ckks", "hospital", "encrypted-fitted", put(round=earlier), "not asked for"),
    ("sums", "hospital", "declared", inner("declaration", width=9), "not signed"),
    ("sums", "hospital", "declared", inner("declaration", width=0), "impossible width"),
    ("sums", "hospital", "declared", inner("declaration", padded=-1), "impossible width"),
    ("sums", "hospital", "declared", inner("declaration", signature="zz"), "not hex"),
    ("sums", "hospital", "sealed-fitted", put(round=later), "not asked for"),
    ("sums", "hospital", "inner-products", put(round=later), "not asked for"),
    ("sums", "hospital", "weighted-sum", put(round=later), "not asked for"),
]

AGGREGATOR: list[Row] = [
    ("sums", "lab", "relayed-fitted", put(round=later), "in round 1"),
    ("sums", "lab", "relayed-fitted", inner("author", name="lab"), "no other assistor"),
    ("sums", "lab", "relayed-fitted", inner("author", name="hospital"), "no other assistor"),
    ("sums", "lab", "relayed-fitted", inner("author", name="x" * 100), "no other assistor"),
    ("sums", "lab", "relayed-fitted", put(sealed=cut), "cannot be unsealed"),
    ("sums", "lab", "relayed-fitted", put(sealed=lambda s: s[:100]), "too short"),
    ("sums", "lab", "own-difference", put(round=later), "in round 1"),
    ("sums", "lab", "own-difference", put(ciphertexts=lambda c: np.repeat(c, 2, axis=0)), "must have the shape"),
    ("sums", "lab", "weights", put(round=later), "in round 1"),
    ("sums", "lab", "weights", put(weights=cut), "one weight for each"),
    ("sums", "lab", "weights", put(weights=nan), "multiples"),
    ("sums", "lab", "weights", put(weights=np.array([1.0, 0.0])), "at least two assistors"),
    ("sums", "lab", "residual", put(round=later), "after round 0"),
]
TABLES = {"assistor": ASSISTOR, "sponsor": SPONSOR, "aggregator": AGGREGATOR}
ROWS = [(role, *row) for role, rows in TABLES.items() for row in rows]


@pytest.mark.parametrize(
    ("role", "mode", "name", "kind", "change", "rule"), ROWS, ids=[f"{r[0]}: {r[1]} {r[3]} {r[5]}" for r in ROWS]
)
def test_a_changed_message_is_refused(role: str, mode: str, name: str, kind: str, change: Change, rule: str) -> None:
    made = play(mode)
    honest = made.until(name, kind)
    sender = made.sender
    victim = made.roles[name]
    with pytest.raises(PeerViolation, match=rule) as found:
        victim.receive(sender, change(honest))
    assert found.value.peer == sender and role
    assert victim.state.take_changes() == {}
    made.step()
    assert made.sent[-1][2] is honest


# --- steps that come twice, and the ends of budgets -------------------------------------------------------------------


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
        ("sums", "lab", "product-keys"),
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
        for module in ("crypto.ckks.sets", "secure_gal.protection.reply_counts"):
            monkeypatch.setattr(f"{module}.named", lambda _, less=less: less)
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
