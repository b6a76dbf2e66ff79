"""Certificates among hostile parties: heads that were not given, signatures over something else, steps out of turn."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from secure_gal import events, messages
from secure_gal.effects import Send
from secure_gal.errors import PeerViolation
from secure_gal.events import RoundRecord
from secure_gal.messages import Message
from secure_gal.messages.certificate import Certificate, LogHead
from tests.support.certifiers import Bench
from tests.support.hostile import Change, put
from tests.support.study_in_memory import NAMES


def certificate(**changes: Any) -> Change:
    return lambda m: dataclasses.replace(m, certificate=msgspec.structs.replace(m.certificate, **changes))


OTHER = LogHead(9, "ab" * 32)
CERTIFIER: list[tuple[str, str, Callable[[Any, Bench], Message], str]] = [
    ("lab", "ledger-heads", lambda m, b: put(heads=b.heads | {"lab": OTHER})(m), "another head than it sent"),
    ("lab", "ledger-heads", lambda m, b: put(heads={"lab": b.heads["lab"]})(m), "every party and of nobody else"),
    ("lab", "ledger-heads", lambda m, b: put(heads=b.heads | {"nobody": OTHER})(m), "every party and of nobody else"),
    ("lab", "ledger-heads", lambda m, b: put(heads=b.heads | {"insurer": LogHead(0, "ab" * 32)})(m), "impossible"),
    ("lab", "ledger-heads", lambda m, b: put(round=2)(m), "out of turn"),
    (
        "lab",
        "ledger-certificate",
        lambda m, b: certificate(heads=b.heads | {"insurer": OTHER})(m),
        "not over the heads",
    ),
    ("lab", "ledger-certificate", lambda m, b: certificate(round=2)(m), "not over the heads"),
    ("lab", "ledger-certificate", lambda m, b: certificate(run="ef" * 32)(m), "not over the heads"),
    ("lab", "ledger-certificate", lambda m, b: certificate(study="ef" * 32)(m), "not over the heads"),
    (
        "lab",
        "ledger-certificate",
        lambda m, b: certificate(signatures=m.certificate.signatures | {"insurer": b.signed("insurer", run="ef" * 32)})(
            m
        ),
        "does not verify",
    ),
    (
        "lab",
        "ledger-certificate",
        lambda m, b: certificate(signatures=m.certificate.signatures | {"hospital": b.signed("lab")})(m),
        "does not verify",
    ),
    (
        "lab",
        "ledger-certificate",
        lambda m, b: certificate(signatures={"lab": m.certificate.signatures["lab"]})(m),
        "every party and by nobody else",
    ),
    ("lab", "ledger-certificate", lambda m, b: put(round=2)(m), "out of turn"),
    ("lab", "head-request", lambda m, b: messages.LedgerHead(OTHER, 1), "not legal while idle"),
    ("lab", "head-request", lambda m, b: messages.HeadsSignature("00", 1), "not legal while idle; legal: head-request"),
    ("lab", "head-request", lambda m, b: put(round=0)(m), "out of turn"),
    ("lab", "head-request", lambda m, b: messages.LedgerHeads(b.heads, 1), "not legal while idle"),
    ("hospital", "ledger-head", lambda m, b: put(round=2)(m), "out of turn"),
    ("hospital", "ledger-head", lambda m, b: put(head=LogHead(1, "AB" * 32))(m), "impossible"),
    ("hospital", "ledger-head", lambda m, b: put(head=LogHead(1, "ab" * 31))(m), "impossible"),
    ("hospital", "ledger-head", lambda m, b: messages.HeadRequest(1), "not legal while asking"),
    ("hospital", "ledger-head", lambda m, b: messages.HeadsSignature("00", 1), "not legal while asking"),
    ("hospital", "heads-signature", lambda m, b: put(round=2)(m), "out of turn"),
    ("hospital", "heads-signature", lambda m, b: put(signature="zz")(m), "does not verify"),
    ("hospital", "heads-signature", lambda m, b: put(signature=m.signature.upper())(m), "does not verify"),
    ("hospital", "heads-signature", lambda m, b: put(signature=b.signed("hospital"))(m), "does not verify"),
    ("hospital", "heads-signature", lambda m, b: put(signature=b.signed("lab", run="ef" * 32))(m), "does not verify"),
    ("hospital", "heads-signature", lambda m, b: put(signature=b.signed("lab", round_=2))(m), "does not verify"),
    (
        "hospital",
        "heads-signature",
        lambda m, b: put(signature=b.signed("lab", heads=b.heads | {"insurer": OTHER}))(m),
        "does not verify",
    ),
]


@pytest.mark.parametrize(
    ("name", "kind", "change", "rule"), CERTIFIER, ids=[f"{c[0]}: {c[1]} {c[3]}" for c in CERTIFIER]
)
def test_a_changed_step_of_a_certificate(
    name: str, kind: str, change: Callable[[Any, Bench], Message], rule: str
) -> None:
    bench = Bench()
    sender, honest = bench.until(name, kind)
    bench.states[name].take_changes()
    with pytest.raises(PeerViolation, match=rule) as found:
        bench.certifiers[name].receive(sender, change(honest, bench))
    assert found.value.peer == sender and bench.states[name].take_changes() == {}
    while bench.sent:
        bench.deliver()
    assert all(certifier.certified == 1 and not certifier.pending for certifier in bench.certifiers.values())


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("lab", "head-request"),
        ("lab", "ledger-certificate"),
        ("hospital", "ledger-head"),
        ("hospital", "heads-signature"),
    ],
)
def test_a_step_of_a_certificate_that_comes_twice(name: str, kind: str) -> None:
    """Above all a second request of a head: a party gives one for each round."""
    bench = Bench()
    sender, message = bench.until(name, kind)
    bench.deliver()
    bench.heads["lab"] = OTHER
    bench.states[name].take_changes()
    with pytest.raises(PeerViolation, match=r"not legal while|twice"):
        bench.certifiers[name].receive(sender, message)
    assert bench.states[name].take_changes() == {}


def test_a_certificate_is_the_same_for_all_and_each_round_has_its_own() -> None:
    bench = Bench()
    while bench.sent:
        bench.deliver()
    found = {name: bench.certifiers[name].take_completed() for name in NAMES}
    assert len({msgspec.json.encode(item) for item in found.values()}) == 1
    (made,) = found["lab"]
    assert isinstance(made, Certificate) and made.heads == bench.heads
    lab = bench.certifiers["lab"]
    with pytest.raises(PeerViolation, match="round 1 out of turn"):
        lab.receive("hospital", messages.HeadRequest(1))
    (again,) = lab.receive("hospital", messages.HeadRequest(2))
    assert isinstance(again, Send)


def test_who_is_waited_for_and_in_which_turn() -> None:
    """A round that commits meanwhile has its certificate after this one."""
    bench = Bench()
    hospital, lab = bench.certifiers["hospital"], bench.certifiers["lab"]

    def came(kind: str, name: str) -> None:
        """The sponsor gets this of this party, and once more."""
        (at,) = [i for i, (who, _, m) in enumerate(bench.sent) if (who, m.KIND) == (name, kind)]
        who, to, message = bench.sent.pop(at)
        bench.post(to, bench.certifiers[to].receive(who, message))
        with pytest.raises(PeerViolation, match=r"came twice|not legal while|out of turn"):
            hospital.receive(who, message)

    def to_assistors() -> None:
        for _ in range(2):
            bench.deliver()

    assert hospital.pending and hospital.waiting_for() == ["lab", "insurer"] and lab.waiting_for() == []
    record = RoundRecord(2, 0.5, None, None, 1.0, True, {})
    assert hospital.after([events.Committed(record)]) == [] == hospital.after([events.RoundBegun(3)])
    to_assistors()
    came("ledger-head", "insurer")
    assert hospital.waiting_for() == ["lab"]
    came("ledger-head", "lab")
    assert hospital.waiting_for() == ["lab", "insurer"]
    to_assistors()
    came("heads-signature", "lab")
    assert hospital.waiting_for() == ["insurer"] and hospital.certified == 0
    came("heads-signature", "insurer")
    assert (hospital.certified, lab.certified, hospital.pending) == (1, 0, True), "round 2 is due"
    assert hospital.waiting_for() == ["lab", "insurer"]
    assert [(m.KIND, m.round) for _, _, m in bench.sent] == [("ledger-certificate", 1)] * 2 + [("head-request", 2)] * 2
    while bench.sent:
        bench.deliver()
    assert (hospital.certified, lab.certified, hospital.pending) == (2, 2, False) and hospital.waiting_for() == []
    assert [c.round for c in hospital.take_completed()] == [1, 2] and hospital.take_completed() == []
    assert bench.states["lab"].keys("certify/") == ["certify/done"]
