"""Ends of a ledger's lines and files, what stays of a file that no journal knows, and what is on the disk when."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from crypto import merkle
from parties.audit.ledger import head_path, read_head, verify_ledger
from secure_gal.errors import EnvironmentFailure, SettingsError
from tests.support.ledger_study import LedgerStudy, MemoryJournal, whole_study
from transport.ledger import Row, _set_aside, _write_all
from transport.ledger_entries import LedgerError, SignedHead, read_lines

BEGINNING = b'{"entry":"opening",'


def lines(path: Path, content: bytes) -> list[bytes]:
    path.write_bytes(content)
    return list(read_lines(path))


def test_a_line_has_at_most_256_kib_with_its_end(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    longest = BEGINNING + b"x" * (262_144 - len(BEGINNING) - 1)
    assert lines(path, longest + b"\n" + b"second\n") == [longest, b"second"]
    with pytest.raises(LedgerError, match="line 1: is longer than 262144 bytes"):
        lines(path, longest + b"x\n")
    with pytest.raises(LedgerError, match="line 2: is longer than 262144 bytes"):
        lines(path, BEGINNING + b"\n" + b"x" * 262_144 + b"\n")
    with pytest.raises(LedgerError, match="line 2: is cut off"):
        lines(path, BEGINNING + b"\nsecond")


@pytest.mark.parametrize("content", [b"", BEGINNING[:-1], b"x" + BEGINNING])
def test_what_begins_otherwise_is_no_ledger(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(SettingsError, match="is not a ledger of secure-gal"):
        lines(tmp_path / "ledger.jsonl", content)


def test_an_error_says_where() -> None:
    known, unknown = LedgerError("ledger", 7, "rule\x1b"), LedgerError("ledger", 0, "rule")
    assert (str(known), known.where, known.line, known.exit_code) == ("ledger, line 7: rule\\x1b", "ledger", 7, 1)
    assert (known.rule, str(unknown)) == ("rule\\x1b", "ledger: rule")


def test_a_head_file_has_at_most_1024_bytes(tmp_path: Path) -> None:
    made = whole_study(tmp_path, rounds=1)
    path = made.path("lab")
    file = head_path(path)
    head = msgspec.json.decode(file.read_bytes(), type=SignedHead)
    spare = 1024 - len(file.read_bytes())
    for more, fits in ((spare, True), (spare + 1, False)):
        longer = msgspec.structs.replace(head, owner=head.owner + "x" * more)
        file.write_bytes(msgspec.json.encode(longer) + b"\n")
        if fits:
            assert read_head(path) == longer
        else:
            with pytest.raises(LedgerError, match=r"is too long, or not written canonically|is not the signed head"):
                read_head(path)


def test_each_orphan_is_kept_under_the_next_free_name(tmp_path: Path) -> None:
    made = LedgerStudy(tmp_path)
    folder = made.folders["lab"]
    before = [(folder / name).read_bytes() for name in ("ledger.jsonl", "ledger.head")]
    for number in (1, 2):
        made.journals["lab"] = MemoryJournal()
        made.open("lab").close()
        assert (folder / f"ledger.{number}.jsonl").exists() and (folder / f"ledger.{number}.head").exists()
    assert [(folder / name).read_bytes() for name in ("ledger.1.jsonl", "ledger.1.head")] == before
    assert sorted(p.name for p in folder.iterdir()) == sorted(
        ["ledger.jsonl", "ledger.head", *(f"ledger.{n}.{end}" for n in (1, 2) for end in ("jsonl", "head"))]
    )
    _set_aside(tmp_path / "none.jsonl")
    assert verify_ledger(folder / "ledger.1.jsonl").entries == 1


def test_what_is_written_in_part_is_written_on(tmp_path: Path) -> None:
    class Slow:
        """A file that takes three bytes at a time."""

        def __init__(self) -> None:
            self.taken = b""

        def write(self, data: memoryview) -> int:
            self.taken += bytes(data[:3])
            return min(3, len(data))

    slow = Slow()
    _write_all(slow, b"eleven byte")  # type: ignore[arg-type]
    assert slow.taken == b"eleven byte"


def test_opening_and_sync_bring_both_files_to_the_disk_and_leave_none_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = LedgerStudy(tmp_path)
    made.ledgers["lab"].close()
    synced: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda number: synced.append(Path(os.readlink(f"/proc/self/fd/{number}")).name))
    before = len(os.listdir("/proc/self/fd"))
    ledger = made.open("lab")
    assert sorted(synced) == ["ledger.head", "ledger.jsonl"]
    ledger.sync()
    assert len(synced) == 4
    ledger.close()
    assert len(os.listdir("/proc/self/fd")) == before

    def full(number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(EnvironmentFailure, match="could not be written: No space left on device"):
        made.open("lab")


def test_numbers_roots_and_salts_grow_with_the_lines(tmp_path: Path) -> None:
    made = LedgerStudy(tmp_path)
    ledger, journal = made.ledgers["lab"], made.journals["lab"]
    assert ledger.head.seq == 1 and journal.rows == [Row(1, journal.rows[0].line)]
    first = ledger.consent()
    second = ledger.beyond("tau", 65536, 70000)
    assert (first.seq, second.seq, ledger.head.seq, first.salts) == (2, 3, 3, b"")
    leaves = [merkle.leaf_hash(line) for line in (journal.rows[0].line, first.line, second.line)]
    peaks: merkle.Peaks = ()
    for leaf in leaves:
        peaks = merkle.append(peaks, leaf)
    assert ledger.head.root == merkle.root(peaks).hex()
    assert b'"prev":"%s"' % leaves[1].hex().encode() in second.line and b'"usual":65536.0' in second.line
