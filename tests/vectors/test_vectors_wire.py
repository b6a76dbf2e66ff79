"""Vectors of what travels and of what the ledger says about it: messages, frames, lines, proofs."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import numpy as np
import pytest

from crypto import merkle
from crypto.identity import verify
from parties.audit.proof import Proof, read_proof
from parties.run.exchange import Sync
from secure_gal.messages import MESSAGES, FieldSpec
from secure_gal.messages.certificate import Certificate, LogHead, head_statement
from tests.support.frozen import RUN, STUDY, Vector, card, identity
from tests.support.ledger_study import MemoryJournal
from transport import events, ledger_entries, pieces, wire
from transport.ledger import Ledger, Row

NOON = datetime(2026, 1, 2, 12, 0, 0, 250000, tzinfo=UTC)
BELOW = (Certificate, LogHead)
"""Fields of these are the layers `certificate` and `ledger head`."""


def described(kind: Any) -> Any:
    """A type as it lies in JSON: a structure's fields in order with their defaults, an alternative's values."""
    if kind in BELOW:
        return kind.__name__
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        hints = typing.get_type_hints(kind)
        return [[f.encode_name, described(hints[f.name]), default(f)] for f in msgspec.structs.fields(kind)]
    if isinstance(kind, type) and not isinstance(kind, types.GenericAlias):
        return kind.__name__
    parts = [part if isinstance(part, str) else described(part) for part in typing.get_args(kind) if part is not ...]
    return {typing.get_origin(kind).__name__ if isinstance(kind, types.GenericAlias) else "one of": parts}


def default(field: msgspec.structs.FieldInfo) -> Any:
    return "required" if field.required else field.default


def test_every_kind_of_message_has_a_vector() -> None:
    assert sorted(MESSAGES) == sorted(Vector("messages").frozen)


@pytest.mark.parametrize("name", sorted(Vector("messages").frozen))
def test_message(name: str) -> None:
    """Wire string, step round, and every payload field in wire order: a sender and a receiver of two releases agree."""
    frozen, kind = Vector("messages").frozen[name], MESSAGES.get(name)
    assert kind is not None, f"layer 'messages, {name}': there is no such message any more"
    fields = [
        {
            "name": spec.name,
            "protection": spec.protection,
            "dtype": spec.dtype,
            "dimensions": spec.ndim,
            "bounds": list(spec.bounds) if spec.ndim else [],
            "many_ids": spec.many_ids,
            "json": described(spec.json_type) if spec.dtype == "json" else None,
        }
        for spec in kind.FIELDS
    ]
    rounds = next(f for f in dataclasses.fields(kind) if f.name == "round")
    found = {"fields": fields, "round": "required" if rounds.default is dataclasses.MISSING else rounds.default}
    assert json.loads(json.dumps(found)) == frozen, (
        f"layer 'messages, {name}': its fields are not those of messages.json"
    )


@dataclass(frozen=True)
class Sample:
    """A message of every dtype, known to these tests alone."""

    KIND: ClassVar[str] = "vector"
    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (
        FieldSpec("values", "clear", "<f4", 2),
        FieldSpec("numbers", "public", "<i8", 1),
        FieldSpec("names", "clear", "json", json_type=tuple[str, ...]),
        FieldSpec("nothing", "ckks", "|u1", 2),
    )
    values: Any
    numbers: Any
    names: tuple[str, ...]
    nothing: Any
    round: int


SAMPLE = Sample(
    np.array([[1.5, -2.0], [0.25, 3.0]], dtype=np.float32),
    np.array([1, -1], dtype=np.int64),
    ("a", "é"),
    np.zeros((0, 4), dtype=np.uint8),
    4,
)


def test_message_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    """Salts are drawn: frames that are written down are read, and fresh ones are the same but for salts and digests."""
    vector = Vector("message-frames")
    monkeypatch.setitem(MESSAGES, "vector", Sample)
    stored = [bytes.fromhex(frame) for frame in vector.given["frames"]]
    header, signature, salts, *payload = stored
    fresh = wire.encode(
        SAMPLE,  # type: ignore[arg-type]
        study=STUDY,
        run=RUN,
        sender="lab",
        recipient="hospital",
        seq=7,
        identity=identity("lab"),
    )
    text = fresh[0].decode()
    for info, other in zip(json.loads(text)["fields"], json.loads(header)["fields"], strict=True):
        text = text.replace(info["digest"], other["digest"])
    digests = [wire.payload_digest(salts[16 * i : 16 * i + 16], [p]) for i, p in enumerate([*payload, b""])]
    vector.same(
        header=text,
        signature=identity("lab").sign(wire.SIGN_LABEL + header).hex(),
        digests=digests,
        payload=[bytes(frame).hex() for frame in fresh[3:]],
        lengths=[len(frame) for frame in fresh],
    )
    assert (header.decode(), signature.hex()) == (vector.frozen["header"], vector.frozen["signature"])
    with vector.read():
        read = wire.decode(stored, sender=card("lab"), recipient="hospital", limits=wire.Limits())
        assert (read.message.names, read.message.round, read.header.seq) == (SAMPLE.names, 4, 7)  # type: ignore[union-attr]
        assert (read.message.values == SAMPLE.values).all()  # type: ignore[union-attr]
        wire.decode(fresh, sender=card("lab"), recipient="hospital", limits=wire.Limits())


def test_control_frames() -> None:
    names = ("PIECE", "HELD", "ATTACH", "WELCOME", "REATTACH", "PING", "PONG", "ACK", "REFUSE", "SYNC")
    Vector("control-frames").same(
        version=events.VERSION.hex(), **{name: getattr(events, name).decode() for name in names}
    )


def test_sync() -> None:
    vector = Vector("sync")
    made = Sync("ab" * 16, "cd" * 16, 3, 5, 4)
    vector.same(text=msgspec.json.encode(made).decode())
    with vector.read():
        assert msgspec.json.decode(vector.frozen["text"], type=Sync) == made


def test_pieces() -> None:
    vector, sent, incoming = Vector("pieces"), list[tuple[bytes, bytes]](), pieces.Incoming()
    outgoing = pieces.Outgoing(lambda prefix, piece: sent.append((prefix, piece)), lambda: 0.0)
    frames = [b"header", b"signature", b"", b"x" * pieces.LEAST_PIECE]
    outgoing.push(258, frames)
    (prefix, piece) = sent[0]
    with vector.read():
        arrived = incoming.take(prefix, memoryview(piece))
        assert arrived is not None and outgoing.answered(arrived.answer)
    vector.same(
        prefixes=[first.hex() for first, _ in sent],
        start=piece[:60].hex(),
        answer=arrived.answer.hex(),
        rest=arrived.rest,
    )
    with vector.read():
        whole = incoming.take(bytes.fromhex(vector.frozen["prefixes"][1]), memoryview(sent[1][1]))
        assert whole is not None and [bytes(frame) for frame in whole.frames] == frames


def header() -> wire.Header:
    infos = (wire.FieldInfo("values", "clear", "<f4", (2, 1), 8, "12" * 32),)
    return wire.Header(1, "residual", STUDY, RUN, 1, "hospital", "lab", 6, infos)


def certificate() -> Certificate:
    return Certificate(
        study=STUDY, run=RUN, round=1, heads={"lab": LogHead(seq=4, root="34" * 32)}, signatures={"lab": "56" * 64}
    )


def lines() -> dict[str, ledger_entries.Entry]:
    """One entry of each kind, numbered 2 but for the first."""
    begins: Any = (2, "78" * 32, NOON)
    study, cards = msgspec.Raw(b'{"name":"heart"}'), tuple(msgspec.Raw(card(n).to_bytes()[:-1]) for n in ("lab", "b"))
    return {
        "opening": ledger_entries.Opening(1, "", NOON, ledger_entries.FORMAT, "lab", STUDY, study, cards),
        "message": ledger_entries.MessageEntry(*begins, "received", "hospital", "aa-bb", header(), "90" * 64),
        "torn-tail": ledger_entries.TornTail(*begins, 5, 17),
        "peer-restart": ledger_entries.PeerRestart(*begins, "lab"),
        "consent": ledger_entries.ConsentEntry(*begins, STUDY),
        "beyond-limit": ledger_entries.BeyondEntry(*begins, "sums", 0.1, 2.0),
        "certificate": ledger_entries.CertificateEntry(*begins, certificate()),
    }


def below(text: str, back: bool = False) -> str:
    """What belongs to another layer stands in a line as <header>, <certificate> or <head>; `back` puts it in."""
    parts = {"<header>": header(), "<certificate>": certificate(), "<head>": LogHead(seq=3, root="34" * 32)}
    for word, part in parts.items():
        pair = (msgspec.json.encode(part).decode(), word)
        text = text.replace(*(pair[::-1] if back else pair))
    return text


def test_every_kind_of_line_has_a_vector() -> None:
    kinds = {kind.__struct_config__.tag for kind in typing.get_args(ledger_entries.Entry)}
    assert kinds == set(lines()) == set(Vector("ledger-lines").frozen)


@pytest.mark.parametrize("kind", sorted(Vector("ledger-lines").frozen))
def test_ledger_line(kind: str) -> None:
    vector = Vector("ledger-lines")
    made = below(msgspec.json.encode(lines()[kind]).decode())
    assert made == vector.frozen[kind], f"layer 'ledger line, {kind}': not what ledger-lines.json has"
    with vector.read():
        entry = lines()[kind]
        assert ledger_entries.decode(below(vector.frozen[kind], back=True).encode(), "ledger", entry.seq) == entry


def test_ledger_file_and_chain(tmp_path: Path) -> None:
    """How the writer puts entries, chain, salts and newlines together."""
    owner, journal = identity("lab"), MemoryJournal()
    owner.card = card("lab")
    canonical, cards = b'{"name":"heart"}', [card("hospital"), card("lab")]
    ledger = Ledger.open(tmp_path, owner, canonical, STUDY, cards, journal, lambda: NOON)
    salts = b"s" * 16
    frames = [msgspec.json.encode(header()), b"\x90" * 64, salts]
    rows = [ledger.message("received", card("hospital"), frames), ledger.consent(), ledger.beyond("sums", 0.1, 2)]
    journal.commit_ledger(rows)
    ledger.flush()
    kept: list[Row] = journal.rows
    assert (tmp_path / "ledger.jsonl").read_bytes() == b"".join(row.line + b"\n" for row in kept)
    begins: list[Any] = [(n + 1, merkle.leaf_hash(row.line).hex(), NOON) for n, row in enumerate(kept, 1)]
    raw = tuple(msgspec.Raw(item.to_bytes()[:-1]) for item in cards)
    due = [
        ledger_entries.Opening(1, "", NOON, ledger_entries.FORMAT, "lab", STUDY, msgspec.Raw(canonical), raw),
        ledger_entries.MessageEntry(*begins[0], "received", "hospital", "fingerprint-of-hospital", header(), "90" * 64),
        ledger_entries.ConsentEntry(*begins[1], STUDY),
        ledger_entries.BeyondEntry(*begins[2], "sums", 0.1, 2.0),
    ]
    assert [row.line for row in kept] == [msgspec.json.encode(entry) for entry in due], "layer 'ledger file and chain'"
    Vector("ledger-file").same(format=ledger_entries.FORMAT, salts=[row.salts.hex() for row in kept])


def test_ledger_head_file(tmp_path: Path) -> None:
    owner, vector = identity("lab"), Vector("ledger-head-file")
    owner.card = card("lab")
    ledger = Ledger.open(tmp_path, owner, b"{}", STUDY, [], MemoryJournal(), lambda: NOON)
    text = (tmp_path / "ledger.head").read_text()
    signed = text[text.index('"signature"') :].split('"')[3]
    text = text.replace(msgspec.json.encode(ledger.head).decode(), "<head>").replace(signed, "<signature>")
    verify(card("lab"), head_statement(STUDY, "lab", ledger.head), bytes.fromhex(signed))
    vector.same(text=text, log_head=msgspec.json.encode(LogHead(seq=3, root="34" * 32)).decode())
    with vector.read():
        stored = below(vector.frozen["text"], back=True).replace("<signature>", "56" * 64)
        read = msgspec.json.decode(stored, type=ledger_entries.SignedHead)
        assert (read.owner, read.study, read.head, read.signature) == (
            "lab",
            STUDY,
            LogHead(seq=3, root="34" * 32),
            "56" * 64,
        )


def test_merkle_tree() -> None:
    vector, leaves = Vector("merkle"), [merkle.leaf_hash(text.encode()) for text in "abcde"]
    peaks: merkle.Peaks = ()
    for leaf in leaves:
        peaks = merkle.append(peaks, leaf)
    path = merkle.path(leaves, 2)
    vector.same(leaf=leaves[0].hex(), root=merkle.root(peaks).hex(), path=[value.hex() for value in path])
    stored = [bytes.fromhex(text) for text in vector.frozen["path"]]
    assert merkle.root_from_path(leaves[2], 2, 5, stored) == vector.bytes("root")


def test_proof_of_inclusion(tmp_path: Path) -> None:
    vector, line = Vector("proof"), msgspec.Raw(b'{"entry":"message"}')
    path, salts = ("01" * 32, "02" * 32), ("03" * 16,)
    signed = ledger_entries.SignedHead(2, "lab", STUDY, LogHead(seq=3, root="34" * 32), "56" * 64)
    made = {
        "certified": Proof(1, line, path, certificate(), None, salts),
        "by the owner's head": Proof(1, line, path, None, signed),
    }
    head = msgspec.json.encode(signed).decode()
    texts = {name: msgspec.json.encode(proof).decode() for name, proof in made.items()}
    vector.same(**{name: below(text.replace(head, "<signed head>")) + "\n" for name, text in texts.items()})
    with vector.read():
        for name, proof in made.items():
            file = tmp_path / "proof.json"
            file.write_text(below(vector.frozen[name], back=True).replace("<signed head>", head))
            assert read_proof(file) == proof
