"""`audit show`: what a verified ledger says left this house and came in, as tables."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from rich.box import SIMPLE_HEAD
from rich.table import Table

from parties.audit.ledger import Verdict, verify_ledger
from parties.audit.policy import Policy, protection_name, read_opening
from secure_gal.settings.study import Study
from transport.ledger_entries import BeyondEntry, ConsentEntry, Entry, MessageEntry, Opening


@dataclass(frozen=True, slots=True)
class Filter:
    """Which messages to show; None means any."""

    round: int | None = None
    peer: str | None = None
    kind: str | None = None

    def keeps(self, entry: MessageEntry) -> bool:
        """Whether a message passes."""
        wanted = (self.round, self.peer, self.kind)
        found = (entry.header.round, entry.peer, entry.header.kind)
        return all(w is None or w == f for w, f in zip(wanted, found, strict=True))


@dataclass(slots=True)
class Contents:
    """A verified ledger, read for showing; `kept` are the messages that the filter keeps."""

    filter: Filter
    study: Study = field(init=False)
    kept: list[MessageEntry] = field(default_factory=list)
    totals: dict[tuple[str, str, str, str, str], tuple[int, int]] = field(default_factory=dict)
    """(direction, peer, kind, field, protection) -> (messages, bytes)."""
    agreed: list[ConsentEntry | BeyondEntry] = field(default_factory=list)
    """What the owner consented to, and the limits that it went beyond, whatever the filter."""

    def visit(self, line: bytes, entry: Entry) -> None:
        """Take one line that passed verification."""
        if isinstance(entry, Opening):
            self.study, _ = read_opening(entry, entry.owner)
        if isinstance(entry, ConsentEntry | BeyondEntry):
            self.agreed.append(entry)
        if not isinstance(entry, MessageEntry) or not self.filter.keeps(entry):
            return
        self.kept.append(entry)
        for info in entry.header.fields:
            key = (entry.direction, entry.peer, entry.header.kind, info.name, info.protection)
            count, size = self.totals.get(key, (0, 0))
            self.totals[key] = (count + 1, size + info.nbytes)


def read_contents(path: Path, chosen: Filter) -> tuple[Verdict, Contents]:
    """Verify a ledger and read it; what does not verify is not shown.

    Raises:
        LedgerError, SettingsError: as `verify_ledger`.
    """
    contents = Contents(chosen)
    return verify_ledger(path, visit=contents.visit), contents


def totals_table(contents: Contents, direction: str) -> Table:
    """What left this house ("sent") or came in ("received"): a line for every field of every kind and peer."""
    title, peer = ("What left this house", "to") if direction == "sent" else ("What came in", "from")
    table = Table(title=title, show_footer=True, title_justify="left", box=SIMPLE_HEAD)
    rows = [(key[1:], value) for key, value in sorted(contents.totals.items()) if key[0] == direction]
    total = f"{sum(size for _, (_, size) in rows):,}"
    for name in (peer, "message", "field", "class"):
        table.add_column(name, overflow="fold", no_wrap=name in ("message", "field"))
    table.add_column("messages", justify="right", no_wrap=True)
    table.add_column("bytes", footer=total, justify="right", no_wrap=True)
    for (name, kind, field_name, protection), (count, size) in rows:
        how = protection_name(contents.study, protection)
        table.add_row(name, kind, field_name, how, f"{count:,}", f"{size:,}")
    return table


def agreements(contents: Contents) -> list[str]:
    """One line for each consent of the owner, and for each limit that it went beyond."""
    lines = []
    for entry in contents.agreed:
        what = "consented to the study"
        if isinstance(entry, BeyondEntry):
            what = f"went beyond the limit {entry.limit} of {entry.usual:g}, up to {entry.stated:g}"
        lines.append(f"line {entry.seq}, {entry.time:%Y-%m-%d %H:%M:%S} UTC: {what}")
    return lines


def inferences(contents: Contents, direction: str) -> list[str]:
    """What receivers can infer from the messages of one direction, as the manifest says it, one line a kind."""
    kinds = sorted({key[2] for key in contents.totals if key[0] == direction})
    return [f"{kind}: the receiver can infer {text}" for kind in kinds if (text := _inference(contents, kind))]


def _inference(contents: Contents, kind: str) -> str:
    """Of the whole message: a field that says nothing of a person, such as a width, may say something of the party."""
    return "; ".join(item.inference for item in Policy(contents.study).disclosures.get(kind, []))


def as_json(contents: Contents) -> dict[str, object]:
    """The same for scripts: `totals`, and with a filter `messages`."""
    names = ("direction", "peer", "kind", "field", "class")
    totals = [
        dict(zip(names, key, strict=True)) | {"messages": count, "bytes": size, "infers": _inference(contents, key[2])}
        for key, (count, size) in sorted(contents.totals.items())
    ]
    agreed = [msgspec.to_builtins(entry) for entry in contents.agreed]
    if contents.filter == Filter():
        return {"agreed": agreed, "totals": totals}
    messages = [
        {
            "line": entry.seq,
            "time": entry.time,
            "direction": entry.direction,
            "peer": entry.peer,
            "round": entry.header.round,
            "kind": entry.header.kind,
            "fields": msgspec.to_builtins(entry.header.fields),
        }
        for entry in contents.kept
    ]
    return {"agreed": agreed, "totals": totals, "messages": messages}


def entries_table(contents: Contents) -> Table:
    """One line a message that the filter keeps."""
    table = Table(title="Messages", title_justify="left", box=SIMPLE_HEAD)
    for name in ("line", "time (UTC)", "direction", "peer", "round", "message", "fields: class, shape, bytes"):
        right, whole = name in ("line", "round"), name in ("line", "message")
        table.add_column(name, justify="right" if right else "left", overflow="fold", no_wrap=whole)
    for entry in contents.kept:
        fields = "; ".join(
            f"{info.name}: {protection_name(contents.study, info.protection)}, "
            f"{'x'.join(map(str, info.shape)) or info.dtype}, {info.nbytes:,}"
            for info in entry.header.fields
        )
        when = entry.time.strftime("%Y-%m-%d %H:%M:%S")
        table.add_row(
            str(entry.seq), when, entry.direction, entry.peer, str(entry.header.round), entry.header.kind, fields
        )
    return table
