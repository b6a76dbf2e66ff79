"""What a party keeps: how much at most, in which modes, and on the disk before it is relied on."""

from __future__ import annotations

import json
import math
import os
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest

from parties.run import ending
from parties.run.archive import Archive, extract
from parties.run.json_lines import _plain, json_line
from parties.run.kept_keys import FOLDER, KeysAtHome
from parties.run.keys import Pins, load_identity, make_identity, read_card
from parties.run.predicted import written
from secure_gal import events, messages
from secure_gal.errors import EnvironmentFailure, SettingsError
from tests.conftest import identity
from tests.support.ledger_study import LedgerStudy, archived


def with_four_fields(tmp_path: Path) -> tuple[Archive, bytes]:
    """A message of four fields in an archive, and its line."""
    study = LedgerStudy(tmp_path)
    ints, flags = np.array([3, 1], np.uint32), np.array([1, 0], np.uint8)
    archive, row = archived(study, messages.Rows(ints, flags, messages.Shape(1)))
    return archive, row.line


def test_every_field_of_a_message_comes_out_of_the_archive_as_it_was(tmp_path: Path) -> None:
    archive, line = with_four_fields(tmp_path)
    before = os.umask(0)
    try:
        out = extract(archive, line, tmp_path / "a" / "out")
    finally:
        os.umask(before)
    assert [path.name.partition("-")[2] for path in out] == ["positions.npy", "train.npy", "shape.json", "step.json"]
    assert np.load(out[0]).tolist() == [3, 1] and np.load(out[1]).tolist() == [1, 0]
    assert json.loads(out[2].read_bytes()) == {"outputs": 1}
    assert {path.stat().st_mode & 0o7777 for path in out} == {0o600}
    assert out[0].parent.stat().st_mode & 0o7777 == 0o700


def test_an_archived_message_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[tuple[str, int]] = []
    swap = os.replace
    monkeypatch.setattr(os, "fsync", lambda number: done.append(("fsync", os.fstat(number).st_size)))
    monkeypatch.setattr(os, "replace", lambda old, new: (done.append(("replace", 0)), swap(old, new)))
    archive = Archive(tmp_path, identity("lab"))
    archive.write(7, [b"one", b"two"])
    (file,) = (tmp_path / "archive").iterdir()
    assert done == [("fsync", file.stat().st_size), ("replace", 0)]
    assert file.name == "00000007.sealed" and file.stat().st_mode & 0o7777 == 0o600
    assert file.parent.stat().st_mode & 0o7777 == 0o700
    assert archive.read(7) == [b"one", b"two"]
    assert file.stat().st_size == 12 + 16 + 1 + 2 * 5, "nonce, tag, and two frames in MessagePack"
    archive.write(8, [b"one", b"two"])
    assert file.with_name("00000008.sealed").read_bytes()[:12] != file.read_bytes()[:12], "a fresh nonce each"


def test_an_archive_that_cannot_be_written_ends_the_step(tmp_path: Path) -> None:
    (tmp_path / "archive").write_text("a file")
    with pytest.raises(EnvironmentFailure, match=r"the archive could not be written: .*nothing of this step was sent"):
        Archive(tmp_path, identity("lab")).write(1, [b"x"])


@pytest.mark.parametrize(("studies", "kept"), [(8, 8), (9, 8)])
def test_the_keys_of_eight_studies_are_kept(tmp_path: Path, studies: int, kept: int) -> None:
    for number in range(studies):
        KeysAtHome(tmp_path, f"{number:064x}", lambda text: None).put(b"keys")
    assert len(list((tmp_path / FOLDER).glob("*.keys"))) == kept


def test_a_key_file_of_64_mib_is_read_and_a_longer_one_is_not(tmp_path: Path) -> None:
    said: list[str] = []
    keys = KeysAtHome(tmp_path, "ab" * 32, said.append)
    keys.put(b"")
    os.truncate(keys._path, 64 << 20)
    assert len(keys.get()) == 64 << 20 and not said
    os.truncate(keys._path, (64 << 20) + 1)
    assert keys.get() == b"" and "larger than 67,108,864 bytes" in said[0]


@pytest.mark.parametrize(("size", "stays"), [(1 << 20, True), ((1 << 20) + 1, False)])
def test_a_log_of_more_than_a_mebibyte_begins_anew(tmp_path: Path, size: int, stays: bool) -> None:
    log = tmp_path / ending.ERROR_LOG
    log.write_bytes(b"x" * size)
    assert ending.write_log(ValueError(), tmp_path) == log
    text = log.read_text()
    assert text.startswith("x") is stays and "ValueError" in text
    (tmp_path / "elsewhere").write_text("kept")
    log.unlink()
    log.symlink_to(tmp_path / "elsewhere")
    assert ending.write_log(ValueError(), tmp_path) is None and (tmp_path / "elsewhere").read_text() == "kept"


def test_pins_are_files_of_their_owners_folder(tmp_path: Path) -> None:
    pins, lab = Pins(tmp_path / "home"), make_identity("lab", tmp_path / "lab")
    assert pins.all() == {}
    with pytest.raises(SettingsError, match="no card of lab is pinned"):
        pins.get("lab")
    before = os.umask(0)
    try:
        pins.add(lab.card)
    finally:
        os.umask(before)
    assert (tmp_path / "home" / "pins").stat().st_mode & 0o7777 == 0o700
    pins.add(lab.card)
    assert pins.all() == {"lab": lab.card} and len(list((tmp_path / "home" / "pins").iterdir())) == 1
    other = make_identity("lab", tmp_path / "other")
    with pytest.raises(SettingsError, match="another card of lab is pinned"):
        pins.add(other.card)
    pins.add(other.card, replace=True)
    assert pins.get("lab") == other.card
    (tmp_path / "home" / "pins" / "labs.card").write_bytes(lab.card.to_bytes())
    with pytest.raises(SettingsError, match="is the card of lab, not of labs"):
        pins.all()
    pins.remove("lab")
    for _ in range(2):
        with pytest.raises(SettingsError, match="no card of lab is pinned"):
            pins.remove("lab")
    (tmp_path / "home" / "pins" / "lab.card").mkdir()
    with pytest.raises(SettingsError, match="the pinned card of lab cannot be read: Is a directory"):
        pins.get("lab")


def test_what_is_no_key_or_card_names_its_file_and_the_fix(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"lab.key: no such key; make it with: secure-gal keygen lab --home"):
        load_identity(tmp_path, "lab")
    made = make_identity("lab", tmp_path)
    assert load_identity(tmp_path, "lab").card == made.card == read_card(tmp_path / "lab.card")
    with pytest.raises(SettingsError, match=r"lab.key: is already there and is never overwritten"):
        make_identity("lab", tmp_path)
    with pytest.raises(SettingsError, match=r"none\.card: cannot be read: No such file"):
        read_card(tmp_path / "none.card")
    (tmp_path / "large.card").write_bytes(made.card.to_bytes() + b" " * 4096)
    with pytest.raises(SettingsError, match="is larger than 4096 bytes"):
        read_card(tmp_path / "large.card")
    (tmp_path / "pins").mkdir()
    (tmp_path / "large.card").rename(tmp_path / "pins" / "lab.card")
    with pytest.raises(SettingsError, match="is larger than 4096 bytes"):
        Pins(tmp_path).get("lab")


def test_an_event_is_one_line_of_ascii_in_utc() -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, 678_900, tzinfo=timezone(timedelta(hours=2)))
    line = json_line(events.PredictionsWritten(3, "é\x1b[1m\ud800", 1, True, 0), at)
    assert line.isascii() and "\n" not in line
    found = json.loads(line)
    assert found["time"] == "2026-01-02T01:04:05.678Z"
    assert "\x1b" not in found["path"] and found["path"].startswith("é") and found["rows"] == 3
    assert _plain({"a": {"b": math.nan, "c": math.inf, "d": 1.5}}) == {"a": {"b": None, "c": None, "d": 1.5}}
    assert _plain("two\nlines") == "two\nlines"
    assert json_line(events.PredictionsWritten(1, "p", 0, False, 0), datetime.now(UTC)).count('"time"') == 1


@pytest.mark.parametrize(
    ("lacking", "unusual", "summed", "says", "says_not"),
    [
        (0, 0, False, ["5 predictions written to p.csv"], ["missing", "unusual"]),
        (2, 0, False, ["2 of them without some assistor's part", "`missing`"], ["with sums", "`unusual`"]),
        (2, 0, True, ["with sums a row has it only if every assistor knows the row"], ["`unusual`"]),
        (0, 1, True, ["1 of them with an assistor's part far outside", "`unusual`"], ["missing", "with sums"]),
    ],
)
def test_what_is_said_of_a_predictions_file(
    lacking: int, unusual: int, summed: bool, says: list[str], says_not: list[str]
) -> None:
    text = written(events.PredictionsWritten(5, "p.csv", lacking, summed, unusual))
    assert all(words in text for words in says) and not any(words in text for words in says_not)
