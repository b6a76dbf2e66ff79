"""A hostile peer at every step: one table for each role, of what is refused, by which rule and in whose name.

A row says where the honest run stands (before which message to whom), how that message is changed, and which rule
refuses it. Every refusal leaves the state as it was, and the honest message is taken after it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from secure_gal import messages
from secure_gal.errors import PeerViolation
from secure_gal.messages import Message
from secure_gal.protocol import agreement
from tests.conftest import identity
from tests.support.hostile import Change, cut, earlier, inner, later, nan, put, repeat
from tests.support.hostile_studies import ROUNDS, play
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
    ("clear", "lab", "residual", put(withheld=0.1), "0.2 to 1 is legal"),
    ("clear", "lab", "residual", put(withheld=1.5), "0.2 to 1 is legal"),
    ("clear", "lab", "residual", put(withheld=0.7), "a share of 0.7 to leave out"),
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
