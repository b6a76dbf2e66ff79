"""`audit verify`: tampering by class, policy and bad input.

`forge` re-chains and re-signs what was altered, as an owner could, so that only the rule under test can object.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from crypto.identity import Identity
from parties.audit.ledger import verify_ledger
from parties.audit.reconcile import reconcile
from secure_gal import messages
from secure_gal.errors import SecureGalError, SettingsError
from secure_gal.messages.certificate import head_statement
from tests.conftest import identity
from tests.support.ledger_forger import FITTED, GREETING, altered, forge, turned
from tests.support.ledger_study import LedgerStudy, study, whole_study
from transport.ledger_entries import FORMAT, LedgerError, MessageEntry, SignedHead, decode
from transport.wire import SIGN_LABEL


@pytest.fixture
def made(tmp_path: Path) -> LedgerStudy:
    return whole_study(tmp_path)


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
        (turned, "the other way round"),
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


def head_of(made: LedgerStudy, owner: str, study: str) -> bytes:
    """The lab's present head, as it would sign it of another ledger."""
    head = msgspec.json.decode(made.path("lab").with_suffix(".head").read_bytes(), type=SignedHead).head
    signature = made.identities["lab"].sign(head_statement(study, owner, head)).hex()
    return msgspec.json.encode(SignedHead(FORMAT, owner, study, head, signature)) + b"\n"


def test_a_head_is_of_this_owners_ledger_of_this_study(made: LedgerStudy) -> None:
    path = made.path("lab")
    head = path.with_suffix(".head")
    assert head.read_bytes() == head_of(made, "lab", made.digest), "the forger alone is not what is detected"
    for owner, digest, rule in (
        ("insurer", made.digest, "is the head of insurer's ledger, not of lab's"),
        ("lab", "ab" * 32, "is the head of another study's ledger"),
    ):
        head.write_bytes(head_of(made, owner, digest))
        with pytest.raises(LedgerError, match=rule):
            verify_ledger(path)


def test_a_history_rewritten_behind_its_certificate(made: LedgerStudy) -> None:
    """The time of an old entry is nobody's signature but the owner's: only the certificate holds it."""
    change = altered(b'"time":"20', b'"time":"19', *GREETING, sign=False)
    with pytest.raises(LedgerError, match="certifies other first 8 lines"):
        verify_ledger(forge(made, "lab", change))


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
    with pytest.raises(LedgerError, match="the signature of lab on the head does not verify") as error:
        verify_ledger(made.path("lab"))
    assert error.value.line == 0, "no one line is at fault"
    head.unlink()
    with pytest.raises(LedgerError, match="copy it together"):
        verify_ledger(made.path("lab"))
    with pytest.raises(SettingsError, match="cannot be read"):
        verify_ledger(tmp_path)
    with pytest.raises(SettingsError, match="cannot be read"):
        verify_ledger(tmp_path / "nowhere.jsonl")


def test_limits_of_sums_are_none_of_another_study(made: LedgerStudy) -> None:
    made.log("lab", made.ledgers["lab"].beyond("sums", 0.1, 2.5))
    with pytest.raises(LedgerError, match="which lab has not in this study"):
        verify_ledger(made.path("lab"))
