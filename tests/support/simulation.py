"""Parties over an in-memory link with seeded loss, duplication and crashes; time is the number of steps taken."""

from __future__ import annotations

import random
import shutil
import tempfile
import weakref
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from parties.run.exchange import Outcome, Transmit
from parties.run.node import Node
from parties.run.store import LinkRecord
from secure_gal.effects import Compute
from secure_gal.events import Event
from secure_gal.state import Value
from transport.ledger import Row

SHM = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""Where simulated disks lie."""


def folder_of(owner: object) -> Path:
    """A folder on a simulated disk, which is gone with its owner."""
    folder = Path(tempfile.mkdtemp(dir=SHM))
    weakref.finalize(owner, shutil.rmtree, folder, ignore_errors=True)
    return folder


class MemoryStore:
    """A store whose commits survive the simulated crash of their party, like a disk."""

    def __init__(self, name: str) -> None:
        self.id = (name.encode().hex() + "0" * 32)[:32]
        self.values: dict[str, Value] = {}
        self.link: dict[str, LinkRecord] = {}
        self.out: dict[tuple[str, int], list[bytes]] = {}
        self.commits = 0
        self.rows: list[Row] = []
        self.folder = folder_of(self)

    def links(self) -> dict[str, LinkRecord]:
        return {peer: LinkRecord(r.store, r.sent, r.received) for peer, r in self.link.items()}

    def outbox(self, peer: str, after: int) -> list[tuple[int, list[bytes]]]:
        return sorted((seq, frames) for (p, seq), frames in self.out.items() if p == peer and seq > after)

    def pending(self, peer: str) -> int:
        return len(self.outbox(peer, 0))

    def commit(
        self,
        changes: Mapping[str, Value | None],
        links: Mapping[str, LinkRecord],
        outgoing: Sequence[tuple[str, int, Sequence[Any]]],
        ledger: Sequence[Row] = (),
    ) -> None:
        self.commits += 1
        self.rows += ledger
        for key, value in changes.items():
            if value is None:
                self.values.pop(key, None)
            else:
                self.values[key] = value
        for peer, r in links.items():
            self.link[peer] = LinkRecord(r.store, r.sent, r.received)
        for peer, seq, frames in outgoing:
            assert (peer, seq) not in self.out, "a sequence number was used twice"
            self.out[peer, seq] = [bytes(f) for f in frames]

    def ledger_lines(self) -> list[bytes]:
        return [row.line for row in self.rows]

    def commit_ledger(self, rows: Sequence[Row]) -> None:
        self.rows += rows

    def acknowledge(self, peer: str, seq: int) -> None:
        for key in [k for k in self.out if k[0] == peer and k[1] <= seq]:
            del self.out[key]

    def forget(self, peer: str, ledger: Sequence[Row]) -> None:
        self.rows += ledger
        self.out = {k: v for k, v in self.out.items() if k[0] != peer}
        self.link.pop(peer, None)


class Party:
    def __init__(self, name: str, make: Callable[[MemoryStore], Node], store: MemoryStore | None = None) -> None:
        self.name, self.make, self.store = name, make, store or MemoryStore(name)
        self.jobs: deque[Compute] = deque()
        self.boot()

    def boot(self) -> None:
        """Start, or start again after `kill -9`: only the store is left."""
        self.jobs.clear()
        self.node = self.make(self.store)
        self.first = self.node.start()
        while self.first.compute and self.first.compute[0].first:
            job = self.first.compute.pop(0)
            self.jobs.extend(self.first.compute)
            self.first = self.node.computed(job, job.job())
        self.jobs.extend(self.first.compute)


class Network:
    """A star: every party but the sponsor talks to the sponsor only."""

    def __init__(self, sponsor: Party, others: list[Party], seed: int = 0, loss: float = 0.0) -> None:
        self.sponsor, self.others = sponsor, others
        self.parties = {p.name: p for p in (sponsor, *others)}
        self.random, self.loss = random.Random(seed), loss
        self.wires: dict[tuple[str, str], deque[Transmit]] = {}
        self.sent: list[tuple[str, str, list[bytes]]] = []
        self.events: list[tuple[Party, Event]] = []
        for other in others:
            self.connect(other)

    def connect(self, other: Party) -> None:
        """A new connection: whatever was on the old one is gone."""
        pair = (self.sponsor, other)
        for a, b in (pair, pair[::-1]):
            self.wires[a.name, b.name] = deque()
        for a, b in (pair, pair[::-1]):
            a.node.lost(b.name)
            self.carry(a, a.node.attached(b.name))

    def crash(self, name: str, late: bool = False) -> None:
        """`kill -9` and a new start; `late`: what it had sent still arrives, before the others find it gone."""
        party = self.parties[name]
        for (a, b), wire in self.wires.items():
            while late and a == name and wire:
                self.deliver(a, b, wire.popleft())
        party.boot()
        for other in self.others if party is self.sponsor else [party]:
            self.connect(other)

    def carry(self, party: Party, outcome: Outcome) -> None:
        party.jobs.extend(outcome.compute)
        for event in outcome.events:
            msgspec.convert(msgspec.to_builtins(event), type(event), strict=True)  # types are what they say
            self.events.append((party, event))
        for item in outcome.transmit:
            wire = self.wires[party.name, item.peer]
            if item.kind == "message":
                self.sent.append((party.name, item.peer, [bytes(f) for f in item.frames]))
            if item.kind == "message" and self.random.random() < self.loss:
                wire.append(item)  # duplicated
            wire.append(item)

    def step(self) -> bool:
        """Deliver one item or run one job, chosen at random; False when nothing is left."""
        ready: list[tuple[str, str]] = [pair for pair, wire in self.wires.items() if wire]
        busy = [p for p in self.parties.values() if p.jobs]
        if not ready and not busy:
            return False
        if busy and (not ready or self.random.random() < 0.3):
            party = self.random.choice(busy)
            job = party.jobs.popleft()
            self.carry(party, party.node.computed(job, job.job()))
            return True
        if self.random.random() < self.loss:  # the connection breaks and comes back
            self.connect(self.random.choice(self.others))
            return True
        a, b = self.random.choice(ready)
        self.deliver(a, b, self.wires[a, b].popleft())
        return True

    def deliver(self, a: str, b: str, item: Transmit) -> None:
        receiver = self.parties[b]
        match item.kind:
            case "sync":
                self.carry(receiver, receiver.node.sync(a, item.frames[0]))
            case "message":
                self.carry(receiver, receiver.node.message(a, [bytes(f) for f in item.frames]))
            case "ack":
                receiver.node.ack(a, item.seq)

    def run(self, limit: int = 100_000) -> None:
        for _ in range(limit):
            if not self.step():
                return
        raise AssertionError("the parties are still talking")
