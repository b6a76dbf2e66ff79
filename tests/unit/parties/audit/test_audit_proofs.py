"""Each rule of a proof, broken alone: what a forger of the file could write, and what a signature does not cover."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from crypto.identity import Card, Identity
from parties.audit.proof import Proof, prove, read_payloads, read_proof, verify_proof
from secure_gal.errors import SettingsError
from secure_gal.messages.certificate import LogHead, certificate_statement
from tests.conftest import identity
from tests.support.ledger_forger import FITTED, line_of
from tests.support.ledger_study import LedgerStudy, whole_study
from transport.ledger_entries import CertificateEntry, LedgerError, MessageEntry, SignedHead, decode
from transport.wire import SIGN_LABEL

LAB, HOSPITAL = identity("lab").card, identity("hospital").card


@pytest.fixture
def made(tmp_path: Path) -> LedgerStudy:
    return whole_study(tmp_path)


@pytest.fixture
def proof(made: LedgerStudy) -> Proof:
    """Of a fit that the lab sent, up to the first certificate behind it."""
    seq = line_of(made, "lab", *FITTED) + 1
    return msgspec.json.decode(prove(made.path("lab"), seq, False), type=Proof)


def verified(tmp_path: Path, proof: Proof, cards: list[Card], payloads: dict[str, bytes] | None = None) -> Any:
    file = tmp_path / "proof.json"
    file.write_bytes(msgspec.json.encode(proof) + b"\n")
    return verify_proof(file, cards, payloads or {})


HEAD = SignedHead(2, "lab", "ab" * 32, LogHead(1, "cd" * 32), "ef" * 64)


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"format": 2}, "is too large, not canonical, or not of proof format 1"),
        ({"head": HEAD}, "it needs a certificate or a signed head"),
        ({"certificate": None}, "it needs a certificate or a signed head"),
        ({"path": ("ab" * 31,)}, "a hash or salt has the wrong form"),
        ({"path": ("AB" * 32,)}, "a hash or salt has the wrong form"),
        ({"salts": ("ab" * 15,)}, "a hash or salt has the wrong form"),
        ({"salts": ("zz" * 16,)}, "a hash or salt has the wrong form"),
    ],
)
def test_a_file_that_is_no_proof(proof: Proof, tmp_path: Path, changes: dict[str, Any], rule: str) -> None:
    with pytest.raises(SettingsError, match=rule):
        verified(tmp_path, msgspec.structs.replace(proof, **changes), [LAB])


@pytest.mark.parametrize(
    "change", [lambda raw: raw[:-1], lambda raw: raw + b"\n", lambda raw: raw.replace(b":", b": ", 1)]
)
def test_a_proof_is_written_in_one_way(proof: Proof, tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    file = tmp_path / "proof.json"
    file.write_bytes(change(msgspec.json.encode(proof) + b"\n"))
    with pytest.raises(SettingsError, match="not canonical"):
        read_proof(file)
    for content in (b"", b"[" * 100_000, b"\xff"):
        file.write_bytes(content)
        with pytest.raises(SettingsError, match="is not a proof of secure-gal"):
            read_proof(file)
    with pytest.raises(SettingsError, match="cannot be read: No such file"):
        read_proof(tmp_path / "none")


def test_what_is_proven_is_said(proof: Proof, tmp_path: Path) -> None:
    found = verified(tmp_path, proof, [LAB, HOSPITAL])
    entry = decode(bytes(proof.line), "", None)
    assert isinstance(entry, MessageEntry) and proof.certificate is not None
    assert (found.owner, found.sender, found.recipient, found.kind) == ("lab", "lab", "hospital", "fitted")
    assert (found.direction, found.round, found.seq) == ("sent", 1, entry.seq)
    assert found.of == proof.certificate.heads["lab"].seq >= found.seq and found.time == entry.time.isoformat()
    assert found.certified_by == ("hospital", "lab") and found.payloads == ()


def resigned(proof: Proof, header: dict[str, Any], entry: dict[str, Any]) -> Proof:
    """The line changed and signed by its sender again; the path then leads elsewhere, which is looked at last."""
    old = decode(bytes(proof.line), "", None)
    assert isinstance(old, MessageEntry)
    changed = msgspec.structs.replace(old.header, **header)
    signature = identity("lab").sign(SIGN_LABEL + msgspec.json.encode(changed)).hex()
    new = msgspec.structs.replace(old, **({"header": changed, "signature": signature} | entry))
    return msgspec.structs.replace(proof, line=msgspec.Raw(msgspec.json.encode(new)))


@pytest.mark.parametrize(
    ("header", "entry", "rule"),
    [
        ({}, {"peer": "insurer"}, "the line names another peer than its message"),
        ({}, {"key": "0000"}, "another key than the card has"),
        ({"recipient": "HOSPITAL"}, {"peer": "HOSPITAL"}, "the line names another peer than its message"),
        ({"kind": "fitting"}, {}, "the message has an unknown kind, or no study or run"),
        ({"study": "ab" * 31}, {}, "the message has an unknown kind, or no study or run"),
        ({"run": "ab" * 31}, {}, "the message has an unknown kind, or no study or run"),
        ({}, {"signature": "ab" * 64}, "the signature of lab on the message does not verify"),
        ({"study": "ab" * 32}, {}, "the certificate is of another party, study or run"),
        ({"run": "ab" * 32}, {}, "the certificate is of another party, study or run"),
        ({"round": 2}, {}, "the line is not line .* of the ledger that lab signed"),
        ({"run": ""}, {}, "the line is not line .* of the ledger that lab signed"),
        ({}, {"seq": 1}, "the line is not line 1 of the ledger that lab signed"),
        ({}, {"seq": 10_000}, "the line is not line 10000 of the ledger that lab signed"),
    ],
)
def test_a_line_that_its_sender_signed_is_held_against_the_rest(
    proof: Proof, tmp_path: Path, header: dict[str, Any], entry: dict[str, Any], rule: str
) -> None:
    with pytest.raises(LedgerError, match=rule) as found:
        verified(tmp_path, resigned(proof, header, entry), [LAB, HOSPITAL])
    assert found.value.line in (0, entry.get("seq")), "the proof's own line has no other number"


def test_a_line_that_is_no_entry_is_told_of_without_a_number(proof: Proof, tmp_path: Path) -> None:
    """Where it stands in its ledger is not known."""
    for line, rule in (
        (b"{}", "is not an entry of a ledger"),
        (bytes(proof.line)[:-1] + b" }", "is not written canon"),
    ):
        with pytest.raises(LedgerError, match=rule) as found:
            verified(tmp_path, msgspec.structs.replace(proof, line=msgspec.Raw(line)), [LAB])
        assert found.value.line == 0


def test_a_line_that_is_no_message_proves_none(proof: Proof, made: LedgerStudy, tmp_path: Path) -> None:
    (line, *_) = [row.line for row in made.journals["lab"].rows if b'"entry":"certificate"' in row.line]
    with pytest.raises(LedgerError, match="does not prove a message"):
        verified(tmp_path, msgspec.structs.replace(proof, line=msgspec.Raw(line)), [LAB])


@pytest.mark.parametrize(
    ("cards", "needed"), [([], "'lab', whose ledger this is"), ([HOSPITAL], "'lab', whose ledger this is")]
)
def test_the_cards_that_are_needed_are_named(proof: Proof, tmp_path: Path, cards: list[Card], needed: str) -> None:
    with pytest.raises(SettingsError, match=f"--card: the card of {needed}, is needed as well"):
        verified(tmp_path, proof, cards)


def test_of_a_message_that_was_received_the_senders_card_is_needed_too(made: LedgerStudy, tmp_path: Path) -> None:
    seq = line_of(made, "hospital", b'"received"', b'"kind":"fitted"') + 1
    got = msgspec.json.decode(prove(made.path("hospital"), seq, False), type=Proof)
    assert verified(tmp_path, got, [LAB, HOSPITAL]).direction == "received"
    for cards, needed in (([LAB], "'hospital', whose ledger this is"), ([HOSPITAL], "'lab', who sent the message")):
        with pytest.raises(SettingsError, match=f"the card of {needed}"):
            verified(tmp_path, got, cards)
    with pytest.raises(LedgerError, match="another key than the card has"):
        verified(tmp_path, got, [HOSPITAL, Identity.generate("lab").card])


def test_a_certificate_of_other_heads_or_without_a_signature_is_none(proof: Proof, tmp_path: Path) -> None:
    certificate = proof.certificate
    assert certificate is not None
    without = {name: text for name, text in certificate.signatures.items() if name != "hospital"}
    for changes, rule in (
        ({"signatures": without}, "signature of hospital"),
        (
            {"heads": {name: head for name, head in certificate.heads.items() if name != "lab"}},
            "of another party, study",
        ),
        ({"round": 9}, "signature of hospital"),
    ):
        bad = msgspec.structs.replace(proof, certificate=msgspec.structs.replace(certificate, **changes))
        with pytest.raises(LedgerError, match=rule):
            verified(tmp_path, bad, [LAB, HOSPITAL])
    heads = certificate.heads | {"lab": LogHead(certificate.heads["lab"].seq, "ab" * 32)}
    text = certificate_statement(certificate.study, certificate.run, certificate.round, heads)
    signatures = {name: identity(name).sign(text).hex() for name in heads}
    other = msgspec.structs.replace(certificate, heads=heads, signatures=signatures)
    with pytest.raises(LedgerError, match="the line is not line"):
        verified(tmp_path, msgspec.structs.replace(proof, certificate=other), [LAB, HOSPITAL])


def test_a_payload_is_shown_with_all_salts_and_in_its_length(proof: Proof, tmp_path: Path) -> None:
    salted = msgspec.structs.replace(proof, salts=("ab" * 16,))
    with pytest.raises(LedgerError, match="the payload of values is not the one that lab signed"):
        verified(tmp_path, salted, [LAB], {"values": bytes(8)})
    for salts in ((), ("ab" * 16, "ab" * 16)):
        with pytest.raises(SettingsError, match="this proof carries no salts"):
            verified(tmp_path, msgspec.structs.replace(proof, salts=salts), [LAB], {"values": bytes(8)})
        assert verified(tmp_path, msgspec.structs.replace(proof, salts=salts), [LAB]).payloads == ()
    (tmp_path / "a=b.bin").write_bytes(b"payload")
    assert read_payloads([f"values={tmp_path / 'a=b.bin'}"]) == {"values": b"payload"}
    for bad in ("values", f"values={tmp_path / 'none'}"):
        with pytest.raises(SettingsError, match="accepted: FIELD=FILE"):
            read_payloads([bad])


@pytest.mark.parametrize("first", [True, False])
def test_the_first_certificate_behind_a_line_vouches_for_it(made: LedgerStudy, first: bool) -> None:
    """Also for the last line that it covers."""
    entries = [decode(row.line, "", None) for row in made.journals["lab"].rows]
    certificates = [entry.certificate for entry in entries if isinstance(entry, CertificateEntry)]
    last = certificates[0].heads["lab"].seq
    seq = next(e.seq for e in entries if isinstance(e, MessageEntry) and (e.seq > last) is not first)
    found = msgspec.json.decode(prove(made.path("lab"), seq, False), type=Proof)
    assert found.certificate == certificates[0 if first else 1] and found.head is None
    covered = [e.seq for e in entries if isinstance(e, MessageEntry) and e.seq <= last]
    edge = msgspec.json.decode(prove(made.path("lab"), covered[-1], False), type=Proof)
    assert edge.certificate == certificates[0]
