"""The payload archive: what was sent comes back, checked against the ledger; anything altered is refused."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from typer.testing import CliRunner

from parties.cli import app
from parties.run import archive, session
from parties.run.archive import Archive, extract
from secure_gal import messages
from secure_gal.errors import SettingsError
from tests.conftest import identity
from tests.support.ledger_study import LedgerStudy, archived, to_the_lab


@pytest.fixture
def kept(tmp_path: Path) -> tuple[LedgerStudy, Archive, bytes]:
    """A ledger with one residual, and its archive."""
    study = LedgerStudy(tmp_path)
    archive, row = archived(study, messages.Residual(np.arange(6, dtype=np.float32).reshape(3, 2), 1))
    study.log("hospital", row)
    return study, archive, row.line


def test_a_payload_comes_back_and_is_private_at_rest(kept: tuple[LedgerStudy, Archive, bytes], tmp_path: Path) -> None:
    _, archive, line = kept
    path, told = extract(archive, line, tmp_path / "new" / "out")
    path.chmod(0o666)
    assert extract(archive, line, tmp_path / "new" / "out") == [path, told], "and again, over the first"
    assert path.stat().st_mode & 0o077 == 0, "what was decrypted is its owner's alone"
    assert np.array_equal(np.load(path), np.arange(6, dtype=np.float32).reshape(3, 2))
    (sealed,) = (tmp_path / "hospital" / "archive").glob("*.sealed")
    assert np.arange(6, dtype=np.float32).tobytes() not in sealed.read_bytes()
    assert sealed.stat().st_mode & 0o777 == 0o600


def test_altered_renamed_or_foreign_files_are_refused(kept: tuple[LedgerStudy, Archive, bytes], tmp_path: Path) -> None:
    _, archive, line = kept
    (sealed,) = (tmp_path / "hospital" / "archive").glob("*.sealed")
    with pytest.raises(SettingsError, match="another key"):
        extract(Archive(tmp_path / "hospital", identity("lab")), line, tmp_path / "out")
    raw = sealed.read_bytes()
    sealed.with_name("00000001.sealed").write_bytes(raw)
    with pytest.raises(SettingsError, match="altered, renamed"):
        archive.read(1)
    for at in (0, 20, len(raw) - 1):
        sealed.write_bytes(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :])
        with pytest.raises(SettingsError, match="altered"):
            extract(archive, line, tmp_path / "out")


def test_a_payload_that_is_not_the_ledgers_is_refused(kept: tuple[LedgerStudy, Archive, bytes], tmp_path: Path) -> None:
    study, archive, line = kept
    seq = int(line.split(b'"seq":')[1].split(b",")[0])
    archive.write(seq, to_the_lab(study, messages.Residual(np.zeros((3, 2), np.float32), 1)))
    with pytest.raises(SettingsError, match="not the payload"):
        extract(archive, line, tmp_path / "out")


def test_a_payload_that_is_not_there_is_named(kept: tuple[LedgerStudy, Archive, bytes]) -> None:
    with pytest.raises(SettingsError, match=r"00000099\.sealed: cannot be read: .*; was \[audit\] archive on\?"):
        kept[1].read(99)


def test_a_payload_is_asked_for_by_the_number_of_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ledger.jsonl").write_bytes(b'{"entry":"opening",}\ntwo\n')
    party = SimpleNamespace(run_dir=tmp_path)
    monkeypatch.setattr(session, "open_session", lambda file: SimpleNamespace(party=party, identity=None))
    monkeypatch.setattr(archive, "Archive", lambda folder, identity: None)
    monkeypatch.setattr(archive, "extract", lambda archive, line, out: [out / line.strip().decode()])
    shown = CliRunner().invoke(
        app, ["audit", "payload", "lab.toml", "--seq", "2", "--out", "there"], catch_exceptions=False
    )
    assert shown.output == f"wrote {Path('there') / 'two'}\n"
    with pytest.raises(SettingsError, match="3: the ledger has no such entry"):
        CliRunner().invoke(app, ["audit", "payload", "lab.toml", "--seq", "3"], catch_exceptions=False)
