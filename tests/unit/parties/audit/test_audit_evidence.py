"""Reconciling, proofs, showing and the command line, on ledgers of a whole small study."""

from __future__ import annotations

import io
import json
import re
import sqlite3
from pathlib import Path

import msgspec
import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from crypto.identity import Identity
from parties.audit.ledger import verify_ledger
from parties.audit.proof import MAX_PROOF_BYTES, Proof, prove, read_proof, verify_proof
from parties.audit.reconcile import reconcile
from parties.audit.views import Contents, Filter, entries_table, inferences, read_contents, totals_table
from parties.commands.audit import audit_app
from secure_gal import messages
from secure_gal.errors import SecureGalError, SettingsError
from secure_gal.messages.certificate import LogHead, certificate_statement
from tests.conftest import identity
from tests.support.ledger_forger import FITTED, GREETING, altered, forge, line_of, resigned
from tests.support.ledger_study import NAMES, LedgerStudy, study, whole_study
from transport.ledger_entries import MAX_LINE_BYTES, CertificateEntry, LedgerError, SignedHead, decode


@pytest.fixture
def made(tmp_path: Path) -> LedgerStudy:
    return whole_study(tmp_path)


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


def test_certificates_of_one_round_that_differ_are_two_histories(made: LedgerStudy) -> None:
    """Each ledger is sound alone: every party signed both."""

    def other(line: bytes) -> bytes:
        entry = decode(line, "", None)
        if not isinstance(entry, CertificateEntry) or entry.certificate.round == 1:
            return line
        found = entry.certificate
        heads = found.heads | {"insurer": LogHead(found.heads["insurer"].seq, "ab" * 32)}
        statement = certificate_statement(found.study, found.run, found.round, heads)
        signatures = {name: who.sign(statement).hex() for name, who in made.identities.items()}
        changed = msgspec.structs.replace(found, heads=heads, signatures=signatures)
        return msgspec.json.encode(msgspec.structs.replace(entry, certificate=changed))

    verify_ledger(forge(made, "hospital", lambda lines: [other(line) for line in lines]))
    with pytest.raises(LedgerError, match=r"certificate 2 is another one than in .*: the parties signed two histories"):
        reconcile([made.path("lab"), made.path("hospital")])


def keep_salts(made: LedgerStudy, name: str) -> None:
    """The journal's table as run.db has it."""
    with sqlite3.connect(made.folders[name] / "run.db") as database:
        database.execute("CREATE TABLE ledger (seq INTEGER PRIMARY KEY, line BLOB NOT NULL, salts BLOB NOT NULL)")
        database.executemany("INSERT INTO ledger VALUES (?, ?, ?)", made.journals[name].rows)


def test_a_proof_may_be_of_the_longest_line_and_the_longest_path_and_of_no_more(tmp_path: Path) -> None:
    head = SignedHead(2, "lab", "ab" * 32, LogHead(2**63 - 1, "cd" * 32), "ef" * 64)
    file = tmp_path / "proof.json"

    def written(line: int) -> int:
        raw = msgspec.Raw(b'"' + b"x" * (line - 2) + b'"')
        proof = Proof(1, raw, ("01" * 32,) * 64, None, head, ("02" * 16,) * 64)
        return file.write_bytes(msgspec.json.encode(proof) + b"\n")

    longest = written(MAX_LINE_BYTES)
    assert len(bytes(read_proof(file).line)) == MAX_LINE_BYTES
    written(MAX_LINE_BYTES + MAX_PROOF_BYTES - longest)
    read_proof(file)
    written(MAX_LINE_BYTES + MAX_PROOF_BYTES - longest + 1)
    with pytest.raises(SettingsError, match="too large"):
        read_proof(file)


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


def test_a_table_keeps_kinds_and_fields_whole_at_80_columns(made: LedgerStudy) -> None:
    _, contents = read_contents(made.path("lab"), Filter())
    shown = io.StringIO()
    Console(width=80, file=shown).print(totals_table(contents, "received"))
    kinds = {key[2:4] for key in contents.totals if key[0] == "received"}
    assert all(any(kind in line and name in line for line in shown.getvalue().splitlines()) for kind, name in kinds)


def test_line_numbers_and_kinds_of_messages_stay_whole_at_80_columns(made: LedgerStudy) -> None:
    """They are what `audit prove --seq` and `audit show --kind` are given."""
    _, contents = read_contents(made.path("lab"), Filter(kind="run-agreement"))
    shown = io.StringIO()
    Console(width=80, file=shown).print(entries_table(contents))
    (entry,) = contents.kept
    assert any(
        line.split()[0] == str(entry.seq) and "run-agreement" in line for line in shown.getvalue().splitlines()[3:]
    )


def test_what_a_message_of_public_fields_reveals_is_shown() -> None:
    contents = Contents(Filter())
    contents.study = study("ckks")
    contents.totals = {("sent", "hospital", "features", "width", "public"): (1, 13)}
    (line,) = inferences(contents, "sent")
    assert line.startswith("features: the receiver can infer the size class of the assistor's model")
    assert inferences(contents, "received") == []


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
    assert f"lab's ledger of study s ({made.digest}), verified" in text
    assert "What left this house" in text
    assert "the assistor's features" in text
    assert "Messages" in call("show", path, "--round", "2")[1]
    code, text = call("show", path, "--round", "2", "--kind", "fitted", "--json")
    found = json.loads(text)
    assert code == 0 and found["ok"] is True
    assert [(m["round"], m["kind"]) for m in found["messages"]] == [(2, "fitted")]
    assert found["totals"][0]["class"] == "clear" and "the assistor's features" in found["totals"][0]["infers"]
    assert "messages" not in json.loads(call("show", path, "--json")[1])
    assert "18 messages sent and received" in call("reconcile", *made.paths())[1]
    for _ in range(2):
        assert call("prove", path, "--seq", seq, "--out", proof)[0] == 0
    kept = path.read_bytes()
    assert call("prove", path, "--seq", seq, "--out", path)[0] == 2 and path.read_bytes() == kept
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
