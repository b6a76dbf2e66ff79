"""One run, one story: nothing of another run passes, nobody comes back with an empty memory, all is written before it
is sent."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from parties.run.store import LinkRecord
from secure_gal import messages
from secure_gal.errors import PeerViolation, StateError
from secure_gal.protocol import agreement
from secure_gal.state import State
from tests.conftest import identity
from tests.support.hostile_studies import play, prediction
from tests.support.simulation import MemoryStore
from tests.support.study_in_memory import NAMES, context, make_network, study
from transport import wire
from transport.ledger_entries import PeerRestart, decode


def test_a_run_is_named_by_everyones_nonce() -> None:
    digest, some = "ab" * 32, {name: f"{i:032x}" for i, name in enumerate(NAMES)}
    runs = {agreement.run_id(digest, some)}
    for name in NAMES:
        runs.add(agreement.run_id(digest, some | {name: "f" * 32}))
    runs.add(agreement.run_id("cd" * 32, some))
    runs.add(agreement.run_id(digest, dict(zip(NAMES, reversed(some.values()), strict=True))))
    assert len(runs) == len(NAMES) + 3
    first, second = play("clear"), play("clear", first_nonce=7)
    for made in (first, second):
        made.run()
    assert first.roles["lab"].run != second.roles["lab"].run


def test_nothing_of_another_run_is_a_signature_of_this_one() -> None:
    """The same parties and study, run twice: the sponsor shows the assistor signatures of the first run."""
    before = play("clear", first_nonce=7)
    before.run()
    old = {to: m for _, to, m in before.sent if m.KIND == "run-agreement"}
    made = play("clear")
    new: Any = made.until("lab", "run-agreement")
    with pytest.raises(PeerViolation, match="does not verify"):
        made.roles["lab"].receive("hospital", old["lab"])
    for name in NAMES:
        mixed = new.signatures.signatures | {name: old["lab"].signatures.signatures[name]}  # type: ignore[union-attr]
        with pytest.raises(PeerViolation, match=f"signature of {name} does not verify"):
            made.roles["lab"].receive("hospital", messages.RunAgreement(messages.Signatures(mixed)))
    signature = next(m for who, _, m in before.sent if m.KIND == "run-signature" and who == "lab")
    made = play("clear")
    made.until("hospital", "run-signature")
    with pytest.raises(PeerViolation, match="does not verify"):
        made.roles["hospital"].receive("lab", signature)


def test_only_a_peer_that_has_joined_nothing_may_come_back_with_an_empty_directory() -> None:
    made, phases = play("ckks"), dict[str, set[bool]]()
    while made.step():
        for name in NAMES:
            role = made.copy(name, prepared=False)
            phase = role.phase
            forgot = role.forget("lab" if name == "hospital" else "hospital")
            phases.setdefault(f"{name} {phase}".replace("insurer", "lab"), set()).add(forgot)
            if not forgot:
                assert role.state.take_changes() == {} and role.phase == phase
    assert {key for key, found in phases.items() if found == {True}} == {
        "hospital greeting",
        "lab greeted",
        "lab signed",
    }
    assert all(len(found) == 1 for found in phases.values()) and len(phases) >= 10
    asked = prediction("clear", State({"phase": b"finished"}))
    assert not asked.forget("lab")


def test_a_peer_that_came_back_with_nothing_is_begun_with_anew() -> None:
    """What was sent to its first run directory is not counted on, and the ledger says so."""
    network = make_network()
    while not network.sponsor.store.links().get("lab", LinkRecord()).store:
        network.step()
    sponsor, lab = network.sponsor.store, network.parties["lab"]
    for number in (1, 2):
        lab.store = MemoryStore(f"lab-{number}")
        network.crash("lab")
        while sponsor.links().get("lab", LinkRecord()).store != lab.store.id:
            assert network.step()
    found = [decode(line, "", None) for line in sponsor.ledger_lines()]
    assert [entry.peer for entry in found if isinstance(entry, PeerRestart)] == ["lab"] * 2
    assert (sponsor.folder / "ledger.jsonl").read_bytes().count(b"\n") == len(found)
    network.run()
    assert lab.store.values["phase"] == b"serving" and not sponsor.out


def test_a_line_is_on_the_disk_before_anything_is_transmitted() -> None:
    """After every step of every party its ledger's file has every line that its store committed."""
    network = make_network()

    def written(name: str) -> tuple[int, int]:
        store = network.parties[name].store
        return (store.folder / "ledger.jsonl").read_bytes().count(b"\n"), len(store.rows)

    while network.step():
        for name in NAMES:
            on_disk, committed = written(name)
            assert on_disk == committed
    assert written("lab")[0] > 20


def test_what_is_not_there_yet_is_our_own_error_in_words() -> None:
    made = play("clear")
    made.until("hospital", "ids")
    with pytest.raises(StateError, match="used before it is prepared"):
        _ = made.roles["hospital"].stage.ensemble


def test_control_frames_that_cannot_be_right() -> None:
    network = make_network()
    while network.parties["lab"].store.values.get("phase") != b"learning":
        network.step()
    lab = network.parties["lab"].node
    with pytest.raises(PeerViolation, match="never sent"):
        lab.ack("hospital", 1000)
    with pytest.raises(PeerViolation, match="unreadable"):
        lab.sync("hospital", b"{}")
    with pytest.raises(PeerViolation, match="above"):
        lab.sync("hospital", b" " * 2000)
    good = {"store": "a" * 32, "peer_store": "", "received": 0, "sent": 0, "acknowledged": 0}
    for field, value in (("received", -1), ("sent", -1), ("acknowledged", -1), ("store", "a" * 31)):
        with pytest.raises(PeerViolation, match="impossible"):
            lab.sync("hospital", msgspec.json.encode(good | {field: value}))


def test_a_message_of_another_study_or_run_is_refused() -> None:
    """Signed by its author for this channel, with the next number, and right in everything else."""
    network = make_network()
    while network.parties["lab"].store.values.get("phase") != b"aligning":
        network.step()
    lab = network.parties["lab"]
    role, before = lab.node.role, lab.store.commits
    rows = messages.Rows(np.arange(5, dtype=np.uint32), np.ones(5, np.uint8), messages.Shape(1))
    digest, seq = context("lab", study()).digest, lab.store.links()["hospital"].received + 1

    def frames(about: str, run: str, number: int = seq) -> list[Any]:
        return wire.encode(
            rows, study=about, run=run, sender="hospital", recipient="lab", seq=number, identity=identity("hospital")
        )

    for about, run, rule in (
        ("ab" * 32, role.run, "another study"),
        (digest, "ab" * 32, "another run"),
        (digest, "", "another run"),
    ):
        with pytest.raises(PeerViolation, match=rule):
            lab.node.message("hospital", frames(about, run))
    assert lab.store.commits == before and role.phase == "aligning"
    assert [t.kind for t in lab.node.message("hospital", frames(digest, role.run, seq + 1)).transmit] in ([], ["sync"])
    assert role.phase == "aligning", "a gap is asked for, not jumped over"
    assert [t.kind for t in lab.node.message("hospital", frames(digest, role.run)).transmit] == ["ack"]
    assert role.phase == "learning"
    again = lab.node.message("hospital", frames(digest, role.run))
    assert [t.kind for t in again.transmit] == ["ack"] and not again.compute
