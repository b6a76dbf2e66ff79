"""The writer: chain, signed head, what a crash leaves behind, and what is refused; Merkle trees and certificates."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from crypto import merkle
from parties.audit.ledger import verify_ledger
from secure_gal import messages
from secure_gal.errors import EnvironmentFailure, PeerViolation, SettingsError
from secure_gal.messages.certificate import Certificate, LogHead, certificate_statement, check_certificate, check_heads
from tests.conftest import identity
from tests.support.ledger_study import NAMES, RUN, LedgerStudy, MemoryJournal, study, whole_study
from transport import wire
from transport.ledger import Ledger
from transport.ledger_entries import ConsentEntry, LedgerError, TornTail, decode, read_lines

CT_INPUTS = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
CT_ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
"""Inputs and roots of the reference tests of google/certificate-transparency (RFC 6962)."""


def tree(leaves: list[bytes]) -> merkle.Peaks:
    peaks: merkle.Peaks = ()
    for leaf in leaves:
        peaks = merkle.append(peaks, leaf)
    return peaks


def test_roots_are_those_of_certificate_transparency() -> None:
    leaves = [merkle.leaf_hash(bytes.fromhex(text)) for text in CT_INPUTS]
    assert [merkle.root(tree(leaves[:n])).hex() for n in range(1, 9)] == CT_ROOTS
    assert merkle.root(()).hex().startswith("e3b0c44298fc1c14")


def test_a_tree_is_kept_as_the_perfect_subtrees_of_its_size_in_binary() -> None:
    peaks: merkle.Peaks = ()
    for size in range(1, 20):
        peaks = merkle.append(peaks, merkle.leaf_hash(bytes([size])))
        assert [leaves for leaves, _ in peaks] == [1 << bit for bit in reversed(range(5)) if size >> bit & 1]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 13])
def test_paths_prove_their_leaf_and_nothing_else(size: int) -> None:
    leaves = [merkle.leaf_hash(bytes([i])) for i in range(size)]
    root = merkle.root(tree(leaves))
    for index, leaf in enumerate(leaves):
        path = merkle.path(leaves, index)
        assert merkle.root_from_path(leaf, index, size, path) == root
        assert merkle.root_from_path(merkle.leaf_hash(b"x"), index, size, path) != root
        assert merkle.root_from_path(leaf, index, size, [*path, leaf]) is None
        assert not path or merkle.root_from_path(leaf, index, size, path[:-1]) is None
        for other in set(range(size)) - {index}:
            assert merkle.root_from_path(leaf, other, size, path) != root
    assert merkle.root_from_path(leaves[0], size, size, []) is None
    longest = [leaves[0]] * merkle.MAX_PATH
    assert merkle.root_from_path(leaves[0], 0, 2**merkle.MAX_PATH, longest) is not None
    assert merkle.root_from_path(leaves[0], 0, 2 ** (merkle.MAX_PATH + 1), [*longest, leaves[0]]) is None


def test_a_whole_study_verifies(tmp_path: Path) -> None:
    made = whole_study(tmp_path)
    verdicts = [verify_ledger(path, made.digest) for path in made.paths()]
    assert [(v.owner, v.sent, v.received, v.certificates) for v in verdicts] == [
        ("hospital", 8, 10, 2),
        ("lab", 5, 4, 2),
        ("insurer", 5, 4, 2),
    ]
    assert all(v.run == RUN and v.repairs == 0 and v.certified_entries == v.entries - 1 for v in verdicts)
    assert made.path("lab").stat().st_mode & 0o777 == 0o600


def test_salts_are_in_no_file_of_the_ledger(tmp_path: Path) -> None:
    made = whole_study(tmp_path)
    for name in NAMES:
        text = made.path(name).read_bytes() + (made.folders[name] / "ledger.head").read_bytes()
        salts = [row.salts for row in made.journals[name].rows if row.salts]
        assert len(salts) == text.count(b'"entry":"message"')
        assert not any(salt[:16].hex().encode() in text or salt[:16] in text for salt in salts)


def test_the_journal_completes_the_file_wherever_it_was_cut(tmp_path: Path) -> None:
    made = whole_study(tmp_path, rounds=1)
    path = made.path("lab")
    whole = path.read_bytes()
    rows = list(made.journals["lab"].rows)
    starts = {0} | {i + 1 for i, byte in enumerate(whole) if byte == 10}
    for cut in [*range(0, len(whole), 61), *starts, *(s - 1 for s in starts if s)]:
        path.write_bytes(whole[:cut])
        made.journals["lab"].rows = list(rows)
        if cut and cut < len(whole):
            with pytest.raises((LedgerError, SettingsError)):
                verify_ledger(path)
        made.open("lab").close()
        assert path.read_bytes().startswith(whole)
        assert verify_ledger(path).repairs == (cut not in starts)
        if cut not in starts:
            note = decode(made.journals["lab"].rows[-1].line, "", None)
            assert isinstance(note, TornTail)
            assert (note.line, note.nbytes) == (whole[:cut].count(b"\n") + 1, cut - whole.rfind(b"\n", 0, cut) - 1)
        os.unlink(path)


def test_zeros_behind_a_lost_tail_count_as_torn(tmp_path: Path) -> None:
    made = whole_study(tmp_path, rounds=1)
    path = made.path("lab")
    whole = path.read_bytes()
    path.write_bytes(whole[:-300] + bytes(300))
    made.open("lab").close()
    assert verify_ledger(path).repairs == 1


def test_a_file_changed_from_outside_is_not_healed_in_silence(tmp_path: Path) -> None:
    made = whole_study(tmp_path, rounds=1)
    path = made.path("lab")
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    for changed, line in [
        (whole.replace(b'"direction":"sent"', b'"direction":"gent"', 1), 2),
        (b"".join([*lines[:3], *lines[4:]]), 4),
        (whole + lines[-1], len(lines) + 1),
    ]:
        path.write_bytes(changed)
        with pytest.raises(EnvironmentFailure, match=f"line {line}: is not what this run wrote"):
            made.open("lab")
        assert path.read_bytes() == changed
    os.rename(path, tmp_path / "evidence")  # what the message advises
    made.open("lab").close()
    assert path.read_bytes() == whole


def test_a_head_that_lags_after_a_crash_is_signed_again(tmp_path: Path) -> None:
    made = whole_study(tmp_path, rounds=1)
    before = (made.folders["lab"] / "ledger.head").read_bytes()
    made.round(2)
    (made.folders["lab"] / "ledger.head").write_bytes(before)
    with pytest.raises(LedgerError, match="line 10: the owner signed 9 lines, here are 12"):
        verify_ledger(made.path("lab"))
    made.open("lab").close()
    assert verify_ledger(made.path("lab")).entries == 12


def test_an_entry_that_was_not_committed_is_not_written(tmp_path: Path) -> None:
    made = whole_study(tmp_path, rounds=1)
    before = made.path("lab").read_bytes()
    made.ledgers["lab"].peer_restart("hospital")  # built; then the commit failed
    made.ledgers["lab"].close()
    made.open("lab").close()
    assert made.path("lab").read_bytes() == before


def test_a_full_disk_is_an_error_before_anything_is_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = whole_study(tmp_path, rounds=1)
    row = made.ledgers["lab"].message("sent", made.cards["hospital"], frames_of(made, 5))
    made.journals["lab"].commit_ledger([row])

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("transport.ledger._write_all", full)
    with pytest.raises(EnvironmentFailure, match="No space left"):
        made.ledgers["lab"].flush()
    monkeypatch.undo()
    assert not made.path("lab").read_bytes().endswith(row.line + b"\n")
    made.open("lab").close()
    assert made.path("lab").read_bytes().endswith(row.line + b"\n")


def frames_of(made: LedgerStudy, seq: int) -> list[object]:
    message = messages.Finished(messages.Ending("finished"))
    return wire.encode(
        message, study=made.digest, run=made.run, sender="lab", recipient="hospital", seq=seq, identity=identity("lab")
    )


def test_a_journal_of_another_study_is_refused_and_an_orphan_is_kept(tmp_path: Path) -> None:
    made = whole_study(tmp_path, rounds=1)
    other = LedgerStudy(tmp_path / "other", study(seed=1))
    with pytest.raises(SettingsError, match="another study or party"):
        Ledger.open(
            made.folders["lab"],
            identity("lab"),
            other.canonical,
            other.digest,
            other.cards.values(),
            made.journals["lab"],
        )
    old = made.path("lab").read_bytes()
    made.journals["lab"] = MemoryJournal()  # the store began anew before a run was agreed
    made.open("lab").close()
    assert (made.folders["lab"] / "ledger.1.jsonl").read_bytes() == old
    assert verify_ledger(made.folders["lab"] / "ledger.1.jsonl").entries == 9
    assert verify_ledger(made.path("lab")).entries == 1


def test_the_clock_is_injected_and_must_be_utc(tmp_path: Path) -> None:
    made = LedgerStudy(tmp_path)
    folder = tmp_path / "clock"
    folder.mkdir()
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    Ledger.open(folder, identity("lab"), made.canonical, made.digest, made.cards.values(), MemoryJournal(), lambda: at)
    line = next(read_lines(folder / "ledger.jsonl"))
    assert b'"time":"2026-01-02T03:04:05Z"' in line
    for time in (b"2026-01-02T03:04:05+01:00", b"2026-01-02T03:04:05"):
        with pytest.raises(LedgerError, match="UTC"):
            decode(line.replace(b"2026-01-02T03:04:05Z", time), "x", 1)


def test_certificates(tmp_path: Path) -> None:
    cards = {name: identity(name).card for name in NAMES}
    heads = {name: LogHead(3, "ab" * 32) for name in NAMES}
    text = certificate_statement("aa" * 32, RUN, 1, heads)
    signatures = {name: identity(name).sign(text).hex() for name in NAMES}
    check_certificate("hospital", cards, Certificate("aa" * 32, RUN, 1, heads, signatures))
    check_heads("hospital", cards, "lab", heads["lab"], heads)
    for bad in (
        Certificate("aa" * 32, RUN, 2, heads, signatures),
        Certificate("ab" * 32, RUN, 1, heads, signatures),
        Certificate("aa" * 32, RUN, 1, heads | {"lab": LogHead(4, "ab" * 32)}, signatures),
        Certificate("aa" * 32, RUN, 1, heads, signatures | {"lab": signatures["insurer"]}),
        Certificate("aa" * 32, RUN, 1, heads, signatures | {"lab": signatures["lab"].upper()}),
        Certificate("aa" * 32, RUN, 1, heads, signatures | {"lab": "zz"}),
        Certificate("aa" * 32, RUN, 1, heads, {n: s for n, s in signatures.items() if n != "lab"}),
        Certificate("aa" * 32, RUN, 1, heads, signatures | {"extra": signatures["lab"]}),
    ):
        with pytest.raises(PeerViolation):
            check_certificate("hospital", cards, bad)
    for wrong in (
        heads | {"lab": LogHead(2, "ab" * 32)},
        heads | {"insurer": LogHead(0, "ab" * 32)},
        heads | {"insurer": LogHead(1, "AB" * 32)},
        heads | {"extra": LogHead(1, "ab" * 32)},
        {"lab": heads["lab"]},
    ):
        with pytest.raises(PeerViolation):
            check_heads("hospital", cards, "lab", heads["lab"], wrong)


def test_a_line_that_is_not_canonical_is_refused(tmp_path: Path) -> None:
    """Another spelling of the same entry has another hash: a ledger has one."""
    now = datetime(2026, 11, 28, 8, 0, tzinfo=UTC)
    line = msgspec.json.encode(ConsentEntry(3, "0" * 64, now, "ab" * 32))
    assert decode(line, "ledger", 3) == decode(line, "ledger", None)
    for other in (line.replace(b'"seq":3', b'"seq": 3'), line.replace(b"Z", b"+00:00", 1), line + b" "):
        assert other != line
        with pytest.raises(LedgerError, match="is not written canonically"):
            decode(other, "ledger", 3)
