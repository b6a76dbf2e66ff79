"""Exactly-once delivery around a protocol object: decode, deduplicate, commit, then send and acknowledge.

A node does no I/O but its store's: sockets (or the in-memory link of the tests) hand it frames and carry out
what it returns. Order matters: a step is on disk before anything of it is sent or acknowledged, and what was once
sent is only ever resent as the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, assert_never

import msgspec

from parties.run.archive import Archive
from parties.run.certifier import KINDS as CERTIFIER_KINDS
from parties.run.certifier import Certifier
from parties.run.codec import BEFORE_RUN, Codec
from parties.run.exchange import Outcome, Role, Store, Sync, Transmit
from parties.run.store import LinkRecord
from secure_gal import events
from secure_gal.effects import Done, Effect, Job, Send
from secure_gal.errors import EnvironmentFailure, PeerViolation, WrongName
from secure_gal.events import Event, Fact
from transport import wire
from transport.events import Frame
from transport.ledger import Ledger, Row

REFUSED_STORE = (
    "this run has begun with another run directory of yours; restore that one, or start anew with an empty "
    "run_dir on every side"
)
ROLLED_BACK = (
    "this run directory is older than what {peer} has seen of this run: it was restored from a backup, or another "
    "copy of it is in use. Nothing was sent. Restore the newest copy there is and start the same command again; if "
    "there is none, start anew with an empty run_dir on every side"
)
MAX_SYNC_BYTES = 1024
"""Bytes of a sync frame; a real one has about 160."""


class Node:
    """One party's end of all its links."""

    def __init__(
        self,
        role: Role,
        store: Store,
        codec: Codec,
        on_bytes: Callable[[str, str, str, int], None],
        ledger: Ledger,
        certifier: Certifier,
        archive: Archive | None = None,
    ) -> None:
        self.role = role
        self._store = store
        self._codec = codec
        self._ledger, self._certifier, self._archive = ledger, certifier, archive
        self._links = store.links()
        self._left = {peer: link.sent for peer, link in self._links.items()}
        """By peer, the last message that can have left this house: what was made since the start waits for a sync."""
        self._synced: set[str] = set()
        self._misnamed: set[str] = set()
        self._on_bytes = on_bytes

    def start(self) -> Outcome:
        """Take up the protocol from its saved state."""
        return self._apply(self.role.start(), None)

    def run(self, effects: list[Effect]) -> Outcome:
        """Commit and carry out effects that did not come from a message or a job."""
        return self._apply(effects, None)

    def attached(self, peer: str) -> Outcome:
        """A channel to `peer` came up: say what we have of it."""
        self._synced.discard(peer)
        return Outcome(transmit=[self._sync(peer)])

    def lost(self, peer: str) -> None:
        """The channel to `peer` is gone; its messages wait in the outbox."""
        self._synced.discard(peer)

    def sync(self, peer: str, payload: bytes) -> Outcome:
        """The peer's sync arrived: resend what it lacks, or refuse when its memory and ours do not fit.

        Raises:
            EnvironmentFailure: our run directory is older than what the peer has seen of it.
        """
        theirs = self._read_sync(peer, payload)
        link, outcome = self._link(peer), Outcome()
        forgotten = link.store not in ("", theirs.store)
        if forgotten:
            if not self.role.forget(peer):
                why = "its run directory is not the one that this run began with"
                refused = events.RefusedPeer(peer, why)
                return Outcome([Transmit(peer, "refuse", [REFUSED_STORE.encode()])], events=[refused])
            self._store.forget(peer, [self._ledger.peer_restart(peer)])
            self._ledger.flush()
            self._links[peer] = link = LinkRecord()
            self._left[peer] = 0
        if link.store != theirs.store:
            link.store = theirs.store
            self._store.commit(self.role.state.take_changes(), {peer: link}, [])
        if forgotten and self.role.phase == "new":
            outcome = self._apply(self.role.start(), None)
        if theirs.peer_store not in ("", self._store.id):
            outcome.transmit.append(self._sync(peer))  # it knew an earlier run directory of ours; it decides
            return outcome
        if theirs.received > self._left.get(peer, 0) or theirs.acknowledged > link.received:
            raise EnvironmentFailure(ROLLED_BACK.format(peer=peer))
        if theirs.received < self._acknowledged(peer) or theirs.sent < link.received:
            return Outcome(events=[events.RolledBack(peer)])  # it finds out from our sync
        self._store.acknowledge(peer, theirs.received)
        self._synced.add(peer)
        self._left[peer] = link.sent
        if forgotten or theirs.peer_store != self._store.id:
            outcome.transmit.append(self._sync(peer))
        stored = self._store.outbox(peer, theirs.received)
        outcome.transmit += [Transmit(peer, "message", frames, seq) for seq, frames in stored]
        return outcome

    def begun(self, peer: str, head: Sequence[Frame], rest: int) -> Outcome:
        """A message in pieces has begun: what is on the disk already need not come again.

        Raises:
            PeerViolation: it could not be legal whatever `rest` bytes followed; they are not waited for.
        """
        try:
            header = self._codec.announced(peer, head, rest)
        except WrongName:  # noted once it is whole
            return Outcome()
        received = self._link(peer).received
        return Outcome(transmit=[Transmit(peer, "ack", seq=received)] if header.seq <= received else [])

    def message(self, peer: str, frames: Sequence[Frame]) -> Outcome:
        """A message arrived: process it once, whatever happens; acknowledge it when it is on disk.

        Raises:
            PeerViolation: it is not what it must be; nothing was changed.
        """
        try:
            received = self._codec.decode(peer, frames)
        except WrongName as error:
            refused: list[Event] = [] if peer in self._misnamed else [events.RefusedPeer(peer, error.rule)]
            self._misnamed.add(peer)  # logged once
            return Outcome(events=refused)
        link, header = self._link(peer), received.header
        if header.seq <= link.received:
            return Outcome(transmit=[Transmit(peer, "ack", seq=link.received)])
        if header.seq != link.received + 1:  # something between was lost: ask once for all of it again
            asked = peer not in self._synced
            self._synced.discard(peer)
            return Outcome() if asked else Outcome(transmit=[self._sync(peer)])
        if header.study != self._codec.digest and header.kind not in BEFORE_RUN:
            raise PeerViolation(peer, "a message of another study")
        early = header.kind in BEFORE_RUN
        if header.run != ("" if early else self.role.run) or (not early and not header.run):
            raise PeerViolation(peer, "a message of another run")
        self._on_bytes("received", peer, header.kind, wire.size(frames))
        if header.kind in CERTIFIER_KINDS:
            effects = self._certifier.receive(peer, received.message)
        else:
            effects = self.role.receive(peer, received.message)
        link.received = header.seq
        return self._apply(effects, peer, [self._logged("received", peer, frames)])

    def close(self) -> None:
        """Wait until the ledger is on the disk, and close it."""
        self._ledger.sync()
        self._ledger.close()

    def ack(self, peer: str, seq: int) -> None:
        """The peer has everything up to `seq` on its disk."""
        if seq > self._link(peer).sent:
            raise PeerViolation(peer, "it acknowledges messages that were never sent")
        self._store.acknowledge(peer, seq)

    def computed(self, job: Job, result: object) -> Outcome:
        """A job is done."""
        return self._apply(job.then(result), None)

    def idle(self, peer: str) -> bool:
        """Whether `peer` has acknowledged everything."""
        return self._store.pending(peer) == 0

    def _apply(self, effects: list[Effect], from_: str | None, lines: Sequence[Row] = ()) -> Outcome:
        outcome, outgoing, rows = Outcome(), [], list(lines)
        effects = [*effects, *self._certifier.after(effects)]
        touched = {from_} if from_ else set()
        for effect in effects:
            match effect:
                case Send(peer, message):
                    link = self._link(peer)
                    link.sent += 1
                    touched.add(peer)
                    run = "" if message.KIND in BEFORE_RUN else self.role.run
                    frames = self._codec.encode(message, run, peer, link.sent)
                    outgoing.append((peer, link.sent, frames))
                    rows.append(self._logged("sent", peer, frames))
                    self._on_bytes("sent", peer, message.KIND, wire.size(frames))
                    if peer in self._synced:
                        self._left[peer] = link.sent
                        outcome.transmit.append(Transmit(peer, "message", frames, link.sent))
                case Job():
                    outcome.compute.append(effect)
                case Done():
                    outcome.done = True
                case Fact():
                    outcome.events.append(effect)
                case _:
                    assert_never(effect)
        rows += [self._ledger.certificate(certificate) for certificate in self._certifier.take_completed()]
        changes = self.role.state.take_changes()
        if changes or touched or outgoing or rows:
            self._store.commit(changes, {peer: self._links[peer] for peer in touched}, outgoing, rows)
            self._ledger.flush()  # before anything is transmitted or acknowledged
        if any(map(_settles, outcome.events)):
            self._ledger.sync()
        if from_:
            outcome.transmit.insert(0, Transmit(from_, "ack", seq=self._links[from_].received))
        return outcome

    def _logged(self, direction: Literal["sent", "received"], peer: str, frames: Sequence[Frame]) -> Row:
        row = self._ledger.message(direction, self._codec.cards[peer], frames)
        if self._archive is not None:
            self._archive.write(row.seq, frames)
        return row

    def _link(self, peer: str) -> LinkRecord:
        return self._links.setdefault(peer, LinkRecord())

    def _acknowledged(self, peer: str) -> int:
        return self._link(peer).sent - self._store.pending(peer)

    def _sync(self, peer: str) -> Transmit:
        link = self._link(peer)
        body = Sync(self._store.id, link.store, link.received, self._left.get(peer, 0), self._acknowledged(peer))
        return Transmit(peer, "sync", [msgspec.json.encode(body)])

    def _read_sync(self, peer: str, payload: bytes) -> Sync:
        try:
            if len(payload) > MAX_SYNC_BYTES:
                raise PeerViolation(peer, f"a sync frame above {MAX_SYNC_BYTES} bytes")
            theirs = msgspec.json.decode(payload, type=Sync)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise PeerViolation(peer, "an unreadable sync frame") from error
        if min(theirs.received, theirs.sent, theirs.acknowledged) < 0 or len(theirs.store) != 32:
            raise PeerViolation(peer, "a sync frame with impossible values")
        return theirs


def _settles(event: Event) -> bool:
    """Whether the ledger must be on the disk, and not only in the database, once this has happened."""
    if not isinstance(event, events.Milestone):
        return False
    match event:
        case events.Certified():
            return True
        case events.RunAgreed() | events.RoundBegun() | events.Committed() | events.Learned():
            return False
        case _:
            assert_never(event)
