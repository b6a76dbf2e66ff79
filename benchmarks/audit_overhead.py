"""What the ledger costs: verifying a long one, and writing it, against the wall time of whole studies.

    python -m benchmarks.audit_overhead --out results.json

*Verify*: one core, every signature checked, entries of two signers in turn. *Write*: one entry, committed to SQLite in
the transaction that a protocol step needs anyway, with and without the ledger, in turns, then appended with its head
signed. *Share*: that price times the entries of the busiest party (the sponsor), over the wall time of the study by
real
processes: breast cancer in the clear, the worst case, for it moves the most messages a second.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks import harness
from crypto.identity import Identity
from parties.audit.ledger import verify_ledger
from parties.run.certifier import KINDS as CERTIFIER_KINDS
from secure_gal import messages
from secure_gal.settings.study import Study
from transport import wire
from transport.ledger import LEDGER, Ledger, Row
from transport.ledger_entries import Entry, MessageEntry

STUDY = Study("bench", "regression", "a", "tcp://x:1", ("b",))
RUN = "cd" * 32
BATCH = 1000
"""Lines written at once while the long ledger is made; only the verifier's time counts there."""


class Journal:
    """The ledger's table in a database that is set up as a run directory's; one step may bring other rows."""

    def __init__(self, folder: Path) -> None:
        self.database = sqlite3.connect(folder / "run.db", isolation_level=None)
        self.database.execute("PRAGMA journal_mode=WAL")
        self.database.execute("PRAGMA synchronous=FULL")
        self.database.execute("CREATE TABLE ledger (seq INTEGER PRIMARY KEY, line BLOB NOT NULL, salts BLOB NOT NULL)")
        self.database.execute("CREATE TABLE outbox (seq INTEGER PRIMARY KEY, frames BLOB NOT NULL)")

    def ledger_lines(self) -> Iterator[bytes]:
        """Every line, in order."""
        return (row[0] for row in self.database.execute("SELECT line FROM ledger ORDER BY seq"))

    def commit_ledger(self, rows: Sequence[Row]) -> None:
        """Lines alone."""
        self.step(rows, None)

    def step(self, rows: Sequence[Row], frames: bytes | None) -> None:
        """One protocol step: a stored message, and its lines."""
        self.database.execute("BEGIN IMMEDIATE")
        self.database.executemany("INSERT INTO ledger VALUES (?, ?, ?)", rows)
        if frames is not None:
            self.database.execute("INSERT INTO outbox (frames) VALUES (?)", (frames,))
        self.database.execute("COMMIT")


class Writer:
    """One party's ledger in `folder`, and messages to log."""

    def __init__(self, folder: Path) -> None:
        self.identities = {name: Identity.generate(name) for name in STUDY.parties}
        self.cards = {name: identity.card for name, identity in self.identities.items()}
        prints = {name: card.fingerprint for name, card in self.cards.items()}
        self.digest, self.journal, self.path = STUDY.digest(prints), Journal(folder), folder / LEDGER
        self.ledger = Ledger.open(
            folder, self.identities["a"], STUDY.canonical(prints), self.digest, self.cards.values(), self.journal
        )

    def frames(self, sender: str, recipient: str, seq: int, rows: int = 2) -> list[Any]:
        """A signed message of a round."""
        values = np.zeros((rows, 1), dtype=np.float32)
        message = messages.Residual(values, seq) if sender == "a" else messages.Fitted(values, seq)
        return wire.encode(
            message,
            study=self.digest,
            run=RUN,
            sender=sender,
            recipient=recipient,
            seq=seq,
            identity=self.identities[sender],
        )


def verify_speed(entries: int) -> dict[str, float]:
    """Seconds to verify a ledger of `entries` messages on one core."""
    with tempfile.TemporaryDirectory() as folder:
        writer = Writer(Path(folder))
        for start in range(0, entries, BATCH):
            rows = []
            for number in range(start, min(start + BATCH, entries)):
                own = number % 2 == 0
                frames = writer.frames(*(("a", "b") if own else ("b", "a")), number // 2 + 1)
                rows.append(writer.ledger.message("sent" if own else "received", writer.cards["b"], frames))
            writer.journal.commit_ledger(rows)
            writer.ledger.flush()
        began, cpu = time.perf_counter(), time.process_time()
        verdict = verify_ledger(writer.path)
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        assert verdict.sent + verdict.received == entries
        size = writer.path.stat().st_size
        writer.journal.database.close()
    return {"entries": entries, "seconds": seconds, "cpu_seconds": cpu, "bytes_an_entry": size / entries}


def write_cost(steps: int) -> dict[str, float]:
    """Milliseconds of one step with the ledger and without, in turns; medians, which a busy machine moves least."""
    with tempfile.TemporaryDirectory() as folder:
        writer = Writer(Path(folder))
        spent: dict[str, list[float]] = {"without": [], "with": [], "cpu": []}
        with closing(writer.journal.database):
            for seq in range(1, steps + 1):
                frames = writer.frames("a", "b", seq, rows=455)  # breast's training rows
                stored = b"".join(bytes(frame) for frame in frames)
                began = time.perf_counter()
                writer.journal.step([], stored)
                spent["without"].append(time.perf_counter() - began)
                began, cpu = time.perf_counter(), time.thread_time()
                row = writer.ledger.message("sent", writer.cards["b"], frames)
                cpu_row = time.thread_time() - cpu
                writer.journal.step([row], stored)
                cpu = time.thread_time()
                writer.ledger.flush()
                spent["cpu"].append(cpu_row + time.thread_time() - cpu)
                spent["with"].append(time.perf_counter() - began)
    medians = {name: 1000 * statistics.median(values) for name, values in spent.items()}
    difference = [1000 * (a - b) for a, b in zip(spent["with"], spent["without"], strict=True)]
    return {"step_ms": medians["without"], "extra_ms": statistics.median(difference), "cpu_ms": medians["cpu"]}


def share_of_a_study(parties: int, write: dict[str, float]) -> dict[str, Any]:
    """The ledger's share of a study's wall time, from its price and the sponsor's entries; certificates apart.

    A certificate's messages are steps of their own, so each that the sponsor receives costs a whole commit.
    """
    with tempfile.TemporaryDirectory() as folder:
        case = harness.breast(Path(folder), parties, 0)
        harness.write_settings(Path(folder), case, study='[protect]\nresiduals = "none"')
        result = harness.run(Path(folder), case)
        received: list[str] = []

        def visit(line: bytes, entry: Entry) -> None:
            if isinstance(entry, MessageEntry) and entry.direction == "received":
                received.append(entry.header.kind)

        verdict = verify_ledger(Path(folder) / case.names[0] / "run" / LEDGER, visit=visit)
    seconds = result["seconds"]["from_ready"]
    steps = sum(kind in CERTIFIER_KINDS for kind in received)
    return {
        "parties": parties,
        "rounds": result["rounds"],
        "entries": verdict.entries,
        "certificate_steps": steps,
        "study_seconds": seconds,
        "share": verdict.entries * write["extra_ms"] / 1000 / seconds,
        "certificates_share": steps * write["step_ms"] / 1000 / seconds,
    }


def main() -> None:
    """Measure, print a table, write JSON where `--out` says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=100_000, help="length of the ledger to verify")
    parser.add_argument("--steps", type=int, default=2000, help="steps to time for the price of writing")
    parser.add_argument("--parties", type=int, default=8, help="parties of the study; 0 leaves the study out")
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    results: dict[str, Any] = {"machine": harness.machine(), "write": write_cost(chosen.steps)}
    if chosen.parties:
        results["study"] = share_of_a_study(chosen.parties, results["write"])
    results["verify"] = verify_speed(chosen.entries)
    show(results)
    if chosen.out:
        chosen.out.write_text(json.dumps(results, indent=2) + "\n")


def show(results: dict[str, Any]) -> None:
    """One line a figure, with what it must reach."""
    verify, write, study = results["verify"], results["write"], results.get("study")
    table = Table(title="the ledger's price")
    for column in ("what", "measured", "must be"):
        table.add_column(column)
    table.add_row(
        f"verify {verify['entries']:,} entries, one core",
        f"{verify['seconds']:.1f} s ({verify['cpu_seconds']:.1f} s of processor time)",
        "under 20 s",
    )
    table.add_row("size of an entry", f"{verify['bytes_an_entry']:.0f} bytes", "")
    table.add_row("one step's commit without the ledger", f"{write['step_ms']:.2f} ms", "")
    table.add_row("more with it", f"{write['extra_ms']:.2f} ms (processor {write['cpu_ms']:.2f} ms)", "")
    if study:
        name = f"breast, {study['parties']} parties in the clear, {study['study_seconds']:.1f} s"
        table.add_row(f"{name}: {study['entries']} entries", f"{100 * study['share']:.2f} %", "under 3 %")
        steps = f"{study['certificate_steps']} steps of its certificates"
        table.add_row(steps, f"{100 * study['certificates_share']:.2f} %", "")
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
