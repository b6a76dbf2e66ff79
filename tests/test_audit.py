"""Tampering by class, policy, bad input, reconciling, proofs and the command line.

`forge` re-chains and re-signs what was altered, as an owner could, so that only the rule under test can object.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner

from crypto import merkle
from crypto.certificate import LogHead, head_statement
from crypto.identity import Identity
from parties.audit import verify_ledger
from parties.audit_proof import prove, verify_proof
from parties.audit_reconcile import reconcile
from parties.audit_views import Filter, read_contents
from parties.cli_audit import audit_app
from secure_gal import messages
from secure_gal.errors import SecureGalError, SettingsError
from tests.conftest import identity
from tests.ledger_study import NAMES, LedgerStudy, study, whole_study
from transport.ledger_entries import FORMAT, LedgerError, MessageEntry, SignedHead, decode
from transport.wire import SIGN_LABEL


@pytest.fixture
def made(tmp_path: Path) -> LedgerStudy:
    return whole_study(tmp_path)


def forge(
    made: LedgerStudy, name: str, change: Callable[[list[bytes]], list[bytes]], by: Identity | None = None
) -> Path:
    """Alter the lines of a ledger, then number and chain them again and sign the head, as its owner (or `by`) could."""
    path, lines, prev = made.path(name), [], ""
    for number, line in enumerate(change(path.read_bytes().splitlines()), 1):
        line = re.sub(rb'"seq":\d+,"prev":"[0-9a-f]*"', f'"seq":{number},"prev":"{prev}"'.encode(), line, count=1)
        lines.append(line)
        prev = merkle.leaf_hash(line).hex()
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    peaks: merkle.Peaks = ()
    for line in lines:
        peaks = merkle.append(peaks, merkle.leaf_hash(line))
    head = LogHead(len(lines), merkle.root(peaks).hex())
    signature = (by or made.identities[name]).sign(head_statement(made.digest, name, head)).hex()
    signed = SignedHead(FORMAT, name, made.digest, head, signature)
    path.with_suffix(".head").write_bytes(msgspec.json.encode(signed) + b"\n")
    return path


def resigned(line: bytes, old: bytes, new: bytes) -> bytes:
    """A message line whose sender itself signed another header."""
    assert line.count(old) >= 1
    at = line.index(b'"header":')
    entry = decode(line[:at] + line[at:].replace(old, new, 1), "", None)
    assert isinstance(entry, MessageEntry)
    signature = identity(entry.header.sender).sign(SIGN_LABEL + msgspec.json.encode(entry.header))
    return msgspec.json.encode(msgspec.structs.replace(entry, signature=signature.hex()))


def line_of(made: LedgerStudy, name: str, *needles: bytes) -> int:
    """The index (from 0) of the first line that has all of these."""
    lines = made.path(name).read_bytes().splitlines()
    return next(i for i, line in enumerate(lines) if all(needle in line for needle in needles))


def test_the_forger_alone_is_not_what_is_detected(made: LedgerStudy) -> None:
    verify_ledger(forge(made, "lab", lambda lines: lines))


def flip_and_verify(path: Path, file: Path, at: int, bit: int) -> None:
    """One flipped bit is found, in its own line or, where only the chain can know, in the next."""
    whole = file.read_bytes()
    flipped = bytearray(whole)
    flipped[at] ^= 1 << bit
    file.write_bytes(flipped)
    with pytest.raises(SecureGalError) as caught:
        verify_ledger(path)
    file.write_bytes(whole)
    if file == path and isinstance(caught.value, LedgerError):
        line = whole[:at].count(b"\n") + 1
        assert caught.value.line in (line, line + 1), caught.value


def test_flipped_bits_all_over_both_files(tmp_path: Path) -> None:
    path = whole_study(tmp_path, rounds=1).path("lab")
    for file, step in ((path, 19), (path.with_suffix(".head"), 5)):
        for at in range(0, file.stat().st_size, step):
            flip_and_verify(path, file, at, at % 8)
    verify_ledger(path)


@pytest.mark.slow
def test_every_bit_of_both_files(tmp_path: Path) -> None:
    path = whole_study(tmp_path, rounds=1).path("lab")
    for file in (path, path.with_suffix(".head")):
        for at in range(file.stat().st_size):
            for bit in range(8):
                flip_and_verify(path, file, at, bit)


def edits(lines: list[bytes]) -> dict[str, tuple[list[bytes], int]]:
    """Altered lists of lines, and the line where it shows."""
    return {
        "delete": ([*lines[:4], *lines[5:]], 5),
        "insert": ([*lines[:5], lines[4], *lines[5:]], 6),
        "swap": ([*lines[:4], lines[5], lines[4], *lines[6:]], 5),
        "truncate": (lines[:-1], len(lines) - 1),
        "truncate behind a certificate": (lines[:6], 6),
        "append": ([*lines, lines[-1]], len(lines) + 1),
        "without its opening": (lines[1:], 0),
    }


@pytest.mark.parametrize("what", sorted(edits([b""] * 9)))
def test_lines_deleted_inserted_swapped_or_cut_off(made: LedgerStudy, what: str) -> None:
    path = made.path("lab")
    lines, where = edits(path.read_bytes().splitlines(keepends=True))[what]
    path.write_bytes(b"".join(lines))
    if not where:
        with pytest.raises(SettingsError, match="not a ledger"):
            verify_ledger(path)
        return
    with pytest.raises(LedgerError, match=f"line {where}: "):
        verify_ledger(path)


def altered(old: bytes, new: bytes, *needles: bytes, sign: bool = True) -> Callable[[list[bytes]], list[bytes]]:
    """Change the first line that has all needles; its sender signs again."""

    def change(lines: list[bytes]) -> list[bytes]:
        at = next(i for i, line in enumerate(lines) if all(needle in line for needle in needles))
        line = resigned(lines[at], old, new) if sign else lines[at].replace(old, new, 1)
        assert line != lines[at]
        return [*lines[:at], line, *lines[at + 1 :]]

    return change


FITTED = (b'"sent"', b'"kind":"fitted"')
GREETING = (b'"sent"', b'"kind":"hello"')


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (altered(b'"round":1', b'"round":2', *FITTED, sign=False), "signature of lab on fitted does not verify"),
        (altered(b'"direction":"sent"', b'"direction":"received"', *FITTED, sign=False), "but the message is from lab"),
        (altered(b'"peer":"hospital"', b'"peer":"insurer"', *FITTED, sign=False), "but the message is from lab"),
        (altered(b'"key":"', b'"key":"0000-', *FITTED, sign=False), "no such key"),
        (altered(b'"recipient":"hospital"', b'"recipient":"insurer"', *FITTED), "but the message is from lab"),
        (altered(b'"protection":"clear"', b'"protection":"public"', *FITTED), "must be clear, not 'public'"),
        (altered(b'"kind":"fitted"', b'"kind":"fitting"', *FITTED), "unknown message kind"),
        (altered(b'"kind":"fitted"', b'"kind":"residual"', *FITTED), "the other way round"),
        (altered(b'"kind":"fitted"', b'"kind":"encrypted-residual"', *FITTED), "has the fields ciphertexts"),
        (altered(b'"name":"values"', b'"name":"value"', *FITTED), "has the fields values"),
        (altered(b'"shape":[2,1]', b'"shape":[2,2]', *FITTED), "fitting bytes"),
        (altered(b'"shape":[2,1]', b'"shape":[2]', *FITTED), "with 2 dimensions"),
        (altered(b'"seq":4', b'"seq":5', *FITTED), "message 5 to hospital where 4 was due"),
        (altered(b'"run":"cd', b'"run":"ce', *FITTED), "another run"),
        (altered(b'"run":"cd', b'"run":"CD', *FITTED), "a run where it must not, or none"),
        (altered(b'"version":1', b'"version":2', *FITTED), "protocol version 2"),
        (altered(b'"run":""', b'"run":"' + b"cd" * 32 + b'"', *GREETING), "carries a run where it must not"),
        (lambda lines: [*lines[:5], *lines[6:]], "where 3 was due"),
        (lambda lines: [*lines[:6], lines[5], *lines[6:]], "message 3 to hospital where 4 was due"),
        (lambda lines: [*lines, lines[0]], "opened once"),
        (lambda lines: [*lines, lines[-1]], "a certificate of round 2 after one of round 2"),
        (lambda lines: [*lines[:8], *lines[9:]], "certifies other first|was due"),
    ],
)
def test_an_owner_that_signs_its_forgery_again(made: LedgerStudy, change: Callable, rule: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(LedgerError, match=rule):
        verify_ledger(forge(made, "lab", change))


def test_a_history_rewritten_behind_its_certificate(made: LedgerStudy) -> None:
    """The time of an old entry is nobody's signature but the owner's: only the certificate holds it."""
    change = altered(b'"time":"20', b'"time":"19', *GREETING, sign=False)
    with pytest.raises(LedgerError, match="certifies other first 8 lines"):
        verify_ledger(forge(made, "lab", change))


def test_a_rewritten_history_without_its_certificates_shows_against_another_ledger(made: LedgerStudy) -> None:
    def change(lines: list[bytes]) -> list[bytes]:
        kept = [line for line in lines if b'"entry":"certificate"' not in line]
        return altered(b'"time":"20', b'"time":"19', *GREETING, sign=False)(kept)

    for _ in range(2):  # so that it is not shorter than what was certified
        made.send("lab", "hospital", messages.Finished(messages.Ending("finished")))
    forge(made, "lab", change)
    verify_ledger(made.path("lab"))  # alone it looks sound
    with pytest.raises(LedgerError, match=r"lab.*line 8: up to here these are not the lines that lab signed"):
        reconcile([made.path("lab"), made.path("insurer")])


def test_a_replayed_entry_of_another_study(made: LedgerStudy, tmp_path: Path) -> None:
    other = whole_study(tmp_path / "other", seed=7)
    foreign = other.path("lab").read_bytes().splitlines()[7]
    with pytest.raises(LedgerError, match="line 8: belongs to another study"):
        verify_ledger(forge(made, "lab", lambda lines: [*lines[:7], foreign, *lines[8:]]))


def test_another_keys_signatures(made: LedgerStudy, tmp_path: Path) -> None:
    thief = Identity.generate("lab")
    with pytest.raises(LedgerError, match="signature of lab on the head"):
        verify_ledger(forge(made, "lab", lambda lines: lines, by=thief))

    def resign(lines: list[bytes]) -> list[bytes]:
        at = next(i for i, line in enumerate(lines) if all(n in line for n in FITTED))
        entry = decode(lines[at], "", None)
        assert isinstance(entry, MessageEntry)
        signature = thief.sign(SIGN_LABEL + msgspec.json.encode(entry.header)).hex()
        lines[at] = msgspec.json.encode(msgspec.structs.replace(entry, signature=signature))
        return lines

    with pytest.raises(LedgerError, match="signature of lab on fitted"):
        verify_ledger(forge(made, "lab", resign))


def test_foreign_cards_make_another_study(made: LedgerStudy) -> None:
    lines = made.path("lab").read_bytes().splitlines()
    card = identity("lab").card.to_bytes().rstrip()
    foreign = Identity.generate("lab").card.to_bytes().rstrip()
    assert card in lines[0]
    with pytest.raises(LedgerError, match="line 1: the study names other keys"):
        verify_ledger(forge(made, "lab", lambda lines: [lines[0].replace(card, foreign), *lines[1:]]))
    made.path("lab").write_bytes(b"\n".join(lines) + b"\n")
    with pytest.raises(LedgerError, match="digest does not cover"):
        verify_ledger(forge(made, "lab", lambda lines: [lines[0].replace(b'"rounds":10', b'"rounds":11'), *lines[1:]]))
    with pytest.raises(LedgerError, match="is of the study"):
        verify_ledger(made.path("insurer"), digest="00" * 32)


def test_a_clear_residual_in_an_encrypted_study(tmp_path: Path) -> None:
    made = LedgerStudy(tmp_path, study(residuals="ckks"))
    made.agree()
    ciphertexts = np.zeros((1, 8), dtype=np.uint8)
    made.send("hospital", "lab", messages.EncryptedResidual(ciphertexts, 1))
    made.send("lab", "hospital", messages.EncryptedFitted(ciphertexts, 1))
    verify_ledger(made.path("lab"))
    made.send("hospital", "lab", messages.Residual(np.zeros((2, 1), np.float32), 2))
    with pytest.raises(LedgerError, match="line 9: a study with this manifest has no residual"):
        verify_ledger(made.path("lab"))
    with pytest.raises(LedgerError, match="no residual"):
        verify_ledger(made.path("hospital"))


def test_a_peer_may_begin_anew_only_before_the_run_is_agreed(tmp_path: Path) -> None:
    made = LedgerStudy(tmp_path)
    hello = messages.Hello(messages.Greeting("0" * 32, "{}"))
    made.send("lab", "hospital", hello)
    made.log("hospital", made.ledgers["hospital"].peer_restart("lab"))
    made.links.clear()
    made.open("lab").close()
    (tmp_path / "lab" / "ledger.jsonl").unlink()
    made.journals["lab"].rows.clear()
    made.open("lab")
    made.agree()
    made.round(1)
    assert verify_ledger(made.path("hospital")).received == 9
    assert reconcile(made.paths()).matched == 14
    made.log("hospital", made.ledgers["hospital"].peer_restart("lab"))
    with pytest.raises(LedgerError, match="cannot have begun anew"):
        verify_ledger(made.path("hospital"))


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (b"", "is empty"),
        (b"\x00\xff" * 100_000, "not a ledger"),
        (b"{}\n", "not a ledger"),
        (b'{"entry":"opening",', "cut off"),
        (b'{"entry":"opening",' + b" " * (1 << 20), "longer than"),
        (b'{"entry":"opening","seq":1}\n', "not an entry"),
        (b'{"entry":"opening","\xff\n', "not an entry"),
        (b'{"entry":"opening","study":' + b"[" * 200_000 + b"\n", "not an entry"),
        (b'{"entry":"opening","\\u001b[31m":1}\n', r"\\x1b"),
    ],
)
def test_what_is_no_ledger(tmp_path: Path, content: bytes, rule: str) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(content)
    with pytest.raises(SecureGalError, match=rule):
        verify_ledger(path)


def test_missing_and_damaged_heads(made: LedgerStudy, tmp_path: Path) -> None:
    head = made.path("lab").with_suffix(".head")
    whole = head.read_bytes()
    for content in (b"", whole[:-1], whole + b"\n", b"x" * 5000, b"\xff\xfe"):
        head.write_bytes(content)
        with pytest.raises(LedgerError, match=r"ledger\.head"):
            verify_ledger(made.path("lab"))
    head.write_bytes((made.folders["insurer"] / "ledger.head").read_bytes())
    with pytest.raises(LedgerError, match="head"):
        verify_ledger(made.path("lab"))
    head.unlink()
    with pytest.raises(LedgerError, match="copy it together"):
        verify_ledger(made.path("lab"))
    with pytest.raises(SettingsError, match="cannot be read"):
        verify_ledger(tmp_path)
    with pytest.raises(SettingsError, match="cannot be read"):
        verify_ledger(tmp_path / "nowhere.jsonl")


def test_reconcile_agrees_and_lists_the_tail(made: LedgerStudy) -> None:
    agreement = reconcile(made.paths())
    assert (agreement.matched, agreement.certificates, agreement.tail, agreement.absent) == (18, 2, (), ())
    made.send("lab", "hospital", messages.Finished(messages.Ending("finished")), arrives=False)
    certificate = made.certificate(3)
    made.log("lab", made.ledgers["lab"].certificate(certificate))
    agreement = reconcile([made.path("lab"), made.path("hospital")])
    assert agreement.absent == ("insurer",)
    assert agreement.matched == 9
    assert [line.split(": ", 1)[1] for line in agreement.tail] == [
        "message 6 from lab has not reached hospital",
        "certificate 3 has not reached hospital",
    ]


def test_reconcile_finds_what_one_ledger_hides(made: LedgerStudy, tmp_path: Path) -> None:
    at = line_of(made, "lab", b'"round":2', b'"sent"')
    forge(made, "lab", lambda lines: lines[:at])  # the owner cuts its end off and signs again: alone that is sound
    verify_ledger(made.path("lab"))
    with pytest.raises(LedgerError, match=r"hospital.*has message 5 from lab, signed by lab; .*has not"):
        reconcile([made.path("lab"), made.path("hospital")])
    with pytest.raises(LedgerError, match="line 10: ends here, but lab signed 11"):
        reconcile([made.path("insurer"), made.path("lab")])
    other = whole_study(tmp_path / "other", seed=7)
    for paths, rule in [
        ([made.path("insurer")], "two or more"),
        ([made.path("insurer")] * 2, "second ledger"),
        ([made.path("insurer"), other.path("hospital")], "another study"),
    ]:
        with pytest.raises(SettingsError, match=rule):
            reconcile(paths)


def test_reconcile_finds_a_message_signed_twice(made: LedgerStudy) -> None:
    def rewrite(lines: list[bytes]) -> list[bytes]:
        at = next(i for i, line in enumerate(lines) if all(n in line for n in FITTED))
        old = re.search(rb'"digest":"([0-9a-f]{64})"', lines[at])
        assert old
        fresh = resigned(lines[at], old[1], b"ab" * 32)
        return [line for line in [*lines[:at], fresh, *lines[at + 1 :]] if b'"entry":"certificate"' not in line]

    forge(made, "lab", rewrite)
    verify_ledger(made.path("lab"))
    with pytest.raises(LedgerError, match="although lab signed both"):
        reconcile([made.path("lab"), made.path("hospital")])


def keep_salts(made: LedgerStudy, name: str) -> None:
    """The journal's table as run.db has it."""
    with sqlite3.connect(made.folders[name] / "run.db") as database:
        database.execute("CREATE TABLE ledger (seq INTEGER PRIMARY KEY, line BLOB NOT NULL, salts BLOB NOT NULL)")
        database.executemany("INSERT INTO ledger VALUES (?, ?, ?)", made.journals[name].rows)


def test_proofs(made: LedgerStudy, tmp_path: Path) -> None:
    lab, hospital = identity("lab").card, identity("hospital").card
    proof = tmp_path / "p"
    sent = line_of(made, "lab", *FITTED) + 1
    proof.write_bytes(prove(made.path("lab"), sent, False))
    shown = verify_proof(proof, [lab], {})
    assert (shown.owner, shown.sender, shown.kind, shown.round, shown.seq) == ("lab", "lab", "fitted", 1, sent)
    assert verify_proof(proof, [lab, hospital], {}).certified_by == ("hospital", "lab")
    with pytest.raises(LedgerError, match="certificate's signature of insurer"):
        verify_proof(proof, [lab, Identity.generate("insurer").card], {})
    whole, everyone = proof.read_bytes(), list(made.cards.values())
    for at in range(0, len(whole), 3):
        flipped = bytearray(whole)
        flipped[at] ^= 1 << (at % 8)
        proof.write_bytes(flipped)
        with pytest.raises(SecureGalError):
            verify_proof(proof, everyone, {})
    for card, rule in ((hospital, "card of 'lab'"), (Identity.generate("lab").card, "does not verify")):
        proof.write_bytes(whole)
        with pytest.raises(SecureGalError, match=rule):
            verify_proof(proof, [card], {})

    made.send("lab", "hospital", messages.Finished(messages.Ending("finished")))  # behind the last certificate
    proof.write_bytes(prove(made.path("lab"), 13, False))
    assert verify_proof(proof, [lab, hospital], {}).certified_by == ()
    with pytest.raises(LedgerError, match="on the head"):
        proof.write_bytes(proof.read_bytes().replace(b'"seq":13,"root"', b'"seq":14,"root"'))
        verify_proof(proof, [lab], {})

    got = line_of(made, "hospital", b'"received"', b'"kind":"fitted"') + 1
    proof.write_bytes(prove(made.path("hospital"), got, False))
    assert verify_proof(proof, [lab, hospital], {}).owner == "hospital"
    with pytest.raises(SettingsError, match="card of 'lab', who sent"):
        verify_proof(proof, [hospital], {})
    for seq in (0, 1, 10_000):
        with pytest.raises(SettingsError, match="no message"):
            prove(made.path("lab"), seq, False)


def test_proofs_of_payloads(made: LedgerStudy, tmp_path: Path) -> None:
    proof, seq = tmp_path / "p", line_of(made, "lab", *FITTED) + 1
    with pytest.raises(SettingsError, match="run directory"):
        prove(made.path("lab"), seq, True)
    keep_salts(made, "lab")
    payload = np.full((2, 1), 1, dtype="<f4").tobytes()
    proof.write_bytes(prove(made.path("lab"), seq, True))
    card = identity("lab").card
    assert verify_proof(proof, [card], {"values": payload}).payloads == ("values",)
    with pytest.raises(LedgerError, match="not the one that lab signed"):
        verify_proof(proof, [card], {"values": payload[:-1] + b"\x01"})
    with pytest.raises(SettingsError, match="the fields are values"):
        verify_proof(proof, [card], {"other": payload})
    proof.write_bytes(prove(made.path("lab"), seq, False))
    with pytest.raises(SettingsError, match="no salts"):
        verify_proof(proof, [card], {"values": payload})


def test_filters(made: LedgerStudy) -> None:
    path = made.path("hospital")
    assert len(read_contents(path, Filter())[1].kept) == 18
    assert len(read_contents(path, Filter(round=2, peer="lab"))[1].kept) == 2
    kept = read_contents(path, Filter(kind="residual"))[1]
    assert len(kept.kept) == 4
    assert kept.totals["sent", "lab", "residual", "values", "clear"] == (2, 16)


def call(*args: object) -> tuple[int, str]:
    result = CliRunner().invoke(audit_app, [str(arg) for arg in args], env={"COLUMNS": "200"})
    if isinstance(result.exception, SecureGalError):  # what parties.cli.main makes of it
        return result.exception.exit_code, str(result.exception)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def test_the_command_line(made: LedgerStudy, tmp_path: Path) -> None:
    path, proof, card = made.path("lab"), tmp_path / "p", tmp_path / "lab.card"
    card.write_bytes(identity("lab").card.to_bytes())
    seq = line_of(made, "lab", *FITTED) + 1
    assert call("verify", path)[0] == 0
    code, text = call("verify", path, "--json", "--digest", made.digest)
    assert code == 0
    assert json.loads(text)["ok"] is True
    code, text = call("show", path)
    assert code == 0
    assert "What left this house" in text
    assert "the assistor's features" in text
    assert "Messages" in call("show", path, "--round", "2")[1]
    assert "18 messages sent and received" in call("reconcile", *made.paths())[1]
    assert call("prove", path, "--seq", seq, "--out", proof)[0] == 0
    assert "verified: lab signed fitted" in call("verify-proof", proof, "--card", card)[1]
    assert call("verify-proof", tmp_path / "nowhere", "--card", card)[0] == 2
    assert call("verify", tmp_path / "nowhere")[0] == 2
    assert all(name in call("--help")[1] for name in ("verify", "show", "reconcile", "prove", "verify-proof"))
    forge(made, "lab", lambda lines: lines[:-2])
    assert call("verify", path)[0] == 0
    assert json.loads(call("reconcile", *made.paths(), "--json")[1])["ok"] is False
    assert call("reconcile", *made.paths())[0] == 1
    path.write_bytes(path.read_bytes().replace(b'"round":1', b'"round":7', 1))
    code, text = call("verify", path, "--json")
    assert code == 1
    assert json.loads(text)["line"] == line_of(made, "lab", b'"round":7') + 1
    assert NAMES[0] in json.loads(text)["rule"]
