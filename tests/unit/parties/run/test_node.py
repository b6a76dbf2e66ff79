"""A party's end of its links, step by step: what a sync is answered with, and what becomes of a message and a job."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from parties.run.exchange import Sync, Transmit
from parties.run.node import REFUSED_STORE, Node
from parties.run.store import LinkRecord
from secure_gal import events
from secure_gal.effects import Compute, Done, Send
from secure_gal.errors import EnvironmentFailure, PeerViolation, WrongName
from secure_gal.messages import Ending, Finished, HeadRequest
from secure_gal.state import State
from tests.support.simulation import MemoryStore

THEIRS, OTHER, RUN, STUDY = "b" * 32, "c" * 32, "cd" * 32, "ab" * 32


class Bench:
    """The sponsor's node over one link, on which it has sent 5 messages and received 3."""

    def __init__(self, pending: int = 0, store: str = THEIRS, phase: str = "learning") -> None:
        self.store = MemoryStore("hospital")
        self.store.link["lab"] = LinkRecord(store, 5, 3)
        self.store.out = {("lab", 5 - i): [b"%d" % (5 - i)] for i in range(pending)}
        self.header = SimpleNamespace(seq=4, study=STUDY, run=RUN, kind="finished")
        self.misnamed, self.forgets = False, True
        self.done: list[Any] = []
        self.effects: list[Any] = []
        state = State({})
        self.role: Any = SimpleNamespace(
            phase=phase, run=RUN, state=state, forget=self._forget, start=list, receive=self._receive
        )
        codec: Any = SimpleNamespace(
            digest=STUDY,
            cards={"lab": "lab's card"},
            decode=self._decode,
            announced=self._announced,
            encode=self._encode,
        )
        ledger: Any = SimpleNamespace(
            message=lambda direction, card, frames: self._row(direction),
            peer_restart=lambda peer: self._row(f"{peer} restarts"),
            certificate=lambda certificate: self._row(certificate),
            flush=lambda: self.done.append("flush"),
            sync=lambda: self.done.append("sync"),
            close=lambda: self.done.append("close"),
        )
        self.completed: list[Any] = []
        certifier: Any = SimpleNamespace(
            after=lambda effects: [], take_completed=lambda: self.completed, receive=self._certified
        )
        count: Any = lambda *given: self.done.append(("bytes", *given))  # noqa: E731
        self.node = Node(self.role, self.store, codec, count, ledger, certifier)

    def _row(self, what: str) -> Any:
        return SimpleNamespace(line=what, seq=1)

    def _forget(self, peer: str) -> bool:
        self.done.append(("forget", peer))
        return self.forgets

    def _receive(self, peer: str, message: Any) -> list[Any]:
        self.done.append(("received", peer, message))
        self.role.state.put("at", b"1")
        return self.effects

    def _certified(self, peer: str, message: Any) -> list[Any]:
        self.done.append(("certifier", peer, message))
        return []

    def _decode(self, peer: str, frames: Any) -> Any:
        if self.misnamed:
            raise WrongName("lab", "it is called labs")
        return SimpleNamespace(header=self.header, message="a message")

    def _announced(self, peer: str, head: Any, rest: int) -> Any:
        return self._decode(peer, head).header

    def _encode(self, message: Any, run: str, peer: str, seq: int) -> list[bytes]:
        return [f"{message.KIND} {run[:2]} {seq}".encode()]

    def sync(self, **changes: Any) -> Any:
        """What a sync is answered with; as it is, neither side lacks anything."""
        fine = Sync(THEIRS, self.store.id, 5, 3, 3)
        return self.node.sync("lab", msgspec.json.encode(msgspec.structs.replace(fine, **changes)))

    def own_sync(self, received: int = 3, sent: int = 5, acknowledged: int = 5, store: str = THEIRS) -> Transmit:
        body = Sync(self.store.id, store, received, sent, acknowledged)
        return Transmit("lab", "sync", [msgspec.json.encode(body)])


def stored(*numbers: int) -> list[Transmit]:
    return [Transmit("lab", "message", [b"%d" % number], number) for number in numbers]


def test_a_sync_of_a_peer_that_lacks_nothing_or_the_last_messages() -> None:
    bench = Bench()
    assert bench.sync() == bench.node.run([]) and bench.done == [], "nothing to say, nothing to write"
    bench = Bench(pending=2)
    found = bench.sync(received=3)
    assert found.transmit == stored(4, 5) and bench.store.out.keys() == {("lab", 4), ("lab", 5)}
    assert bench.sync(received=4).transmit == stored(5) and bench.store.out.keys() == {("lab", 5)}


def test_a_peer_that_knows_no_directory_of_ours_is_told_and_sent_all() -> None:
    bench = Bench(pending=1)
    found = bench.sync(peer_store="", received=4)
    assert found.transmit == [bench.own_sync(acknowledged=4), *stored(5)] and not found.events
    bench = Bench(pending=1)
    assert bench.sync(peer_store=OTHER, received=4).transmit == [bench.own_sync(acknowledged=4)], "it decides"
    assert bench.node.run([Send("lab", FINISHED)]).transmit == [], "and nothing goes out before"


@pytest.mark.parametrize("changes", [{"received": 6}, {"acknowledged": 4}])
def test_a_peer_that_has_more_of_us_than_we_know_stops_us(changes: dict[str, int]) -> None:
    with pytest.raises(EnvironmentFailure, match="this run directory is older than what lab has seen of this run"):
        Bench().sync(**changes)


@pytest.mark.parametrize(("changes", "pending"), [({"received": 4}, 0), ({"received": 3}, 1), ({"sent": 2}, 0)])
def test_a_peer_that_is_older_than_we_know_is_told_of_and_sent_nothing(changes: dict[str, int], pending: int) -> None:
    bench = Bench(pending)
    found = bench.sync(**changes)
    assert found.events == [events.RolledBack("lab")] and found.transmit == []
    assert len(bench.store.out) == pending, "nothing is taken for acknowledged"


def test_what_was_made_since_the_start_has_not_left_before_a_sync() -> None:
    bench = Bench()
    assert bench.node.run([Send("lab", FINISHED)]).transmit == []
    with pytest.raises(EnvironmentFailure):
        bench.sync(received=6)
    found = bench.sync()
    assert [item.seq for item in found.transmit] == [6] and bench.sync(received=6).transmit == []
    (sent,) = bench.node.run([Send("lab", FINISHED)]).transmit
    assert (sent.seq, sent.frames) == (7, [b"finished cd 7"])
    assert bench.sync(received=7).transmit == []
    bench.node.lost("lab")
    assert bench.node.run([Send("lab", FINISHED)]).transmit == []
    assert bench.node.attached("lab").transmit == [bench.own_sync(sent=7, acknowledged=7)]


def test_another_directory_of_a_peer_is_refused_or_begun_with_anew() -> None:
    bench = Bench(pending=2)
    bench.forgets = False
    found = bench.sync(store=OTHER)
    assert found.transmit == [Transmit("lab", "refuse", [REFUSED_STORE.encode()])]
    assert found.events == [events.RefusedPeer("lab", "its run directory is not the one that this run began with")]
    assert len(bench.store.out) == 2 and bench.store.link["lab"].store == THEIRS
    bench.forgets, bench.role.start = True, lambda: [Send("lab", FINISHED)]
    found = bench.sync(store=OTHER, peer_store="", received=0, sent=0, acknowledged=0)
    assert [row.line for row in bench.store.rows] == ["lab restarts"] and "flush" in bench.done
    assert found.transmit == [bench.own_sync(0, 0, 0, OTHER)] and bench.store.out == {}
    bench = Bench(phase="new")
    bench.role.start = lambda: [Send("lab", FINISHED)]
    found = bench.sync(store=OTHER, peer_store="", received=0, sent=0, acknowledged=0)
    assert [item.kind for item in found.transmit] == ["sync", "message"] and found.transmit[1].seq == 1
    assert bench.store.link["lab"].store == OTHER
    bench = Bench(store="")
    assert bench.sync(peer_store="").transmit == [bench.own_sync()] and ("forget", "lab") not in bench.done
    assert bench.store.link["lab"].store == THEIRS and bench.store.commits == 1


FINISHED = Finished(Ending("finished"))


def test_a_message_is_taken_once_and_in_order() -> None:
    bench = Bench()
    bench.sync()
    bench.effects = [Done(), events.Connected("x"), Compute("fit", lambda: 1, lambda _: [])]
    found = bench.node.message("lab", [b"12", b"3"])
    assert found.transmit == [Transmit("lab", "ack", seq=4)] and found.done and len(found.compute) == 1
    assert found.events == [events.Connected("x")] and bench.store.link["lab"].received == 4
    assert bench.store.values == {"at": b"1"} and [row.line for row in bench.store.rows] == ["received"]
    assert bench.done == [("bytes", "received", "lab", "finished", 3), ("received", "lab", "a message"), "flush"]
    again = bench.node.message("lab", [b"12", b"3"])
    assert again.transmit == [Transmit("lab", "ack", seq=4)] and not again.done and len(bench.done) == 3
    assert bench.node.begun("lab", [b"h"], 9).transmit == [Transmit("lab", "ack", seq=4)]
    bench.header.seq = 6
    assert bench.node.message("lab", [b"x"]).transmit == [bench.own_sync(received=4)], "something was lost"
    assert bench.node.message("lab", [b"x"]).transmit == [] == bench.node.begun("lab", [b"h"], 9).transmit, "asked once"
    assert bench.store.link["lab"].received == 4 and len(bench.done) == 3


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"study": "ef" * 32}, "a message of another study"),
        ({"run": "ef" * 32}, "a message of another run"),
        ({"run": ""}, "a message of another run"),
        ({"kind": "hello"}, "a message of another run"),
    ],
)
def test_a_message_belongs_to_its_study_and_run(changes: dict[str, str], rule: str) -> None:
    bench = Bench()
    vars(bench.header).update(changes)
    with pytest.raises(PeerViolation, match=rule):
        bench.node.message("lab", [b"x"])
    assert bench.done == [] and bench.store.link["lab"].received == 3
    bench.role.run = ""
    vars(bench.header).update(study=STUDY, run="", kind="finished")
    with pytest.raises(PeerViolation, match="a message of another run"):
        bench.node.message("lab", [b"x"])
    vars(bench.header).update(study="ef" * 32, kind="hello")
    assert bench.node.message("lab", [b"x"]).transmit == [Transmit("lab", "ack", seq=4)], "what another study says"


def test_a_wrong_name_is_told_of_once_and_a_certificates_message_is_not_the_roles() -> None:
    bench = Bench()
    bench.misnamed = True
    assert bench.node.begun("lab", [b"h"], 9).transmit == []
    told = [bench.node.message("lab", [b"x"]).events for _ in range(2)]
    assert told == [[events.RefusedPeer("lab", "it is called labs")], []] and bench.done == []
    bench.misnamed, bench.header.kind = False, HeadRequest.KIND
    bench.node.message("lab", [b"x"])
    assert ("certifier", "lab", "a message") in bench.done and ("received", "lab", "a message") not in bench.done


def test_what_is_acknowledged_was_sent() -> None:
    bench = Bench(pending=2)
    assert not bench.node.idle("lab")
    with pytest.raises(PeerViolation, match="acknowledges messages that were never sent"):
        bench.node.ack("lab", 6)
    bench.node.ack("lab", 5)
    assert bench.node.idle("lab") and not bench.store.out
    bench.node.close()
    assert bench.done == ["sync", "close"]


def test_a_job_and_a_certificate_are_written_down() -> None:
    bench = Bench()
    job: Compute[int] = Compute("fit", lambda: 1, lambda result: [events.Certified(result)])
    assert bench.node.computed(job, 7).events == [events.Certified(7)]
    assert bench.done == ["sync"] and bench.store.commits == 0, "nothing changed"
    bench.completed = ["a certificate"]
    bench.node.run([events.Learned(2, 1)])
    assert bench.done == ["sync", "flush"] and [row.line for row in bench.store.rows] == ["a certificate"]


@pytest.mark.parametrize(
    ("payload", "rule"),
    [
        (b" " * 1025, "a sync frame above 1024 bytes"),
        (b" " * 1024, "an unreadable sync frame"),
        (b"\xff", "an unreadable sync frame"),
    ],
)
def test_a_sync_that_is_none(payload: bytes, rule: str) -> None:
    with pytest.raises(PeerViolation, match=rule):
        Bench().node.sync("lab", payload)
