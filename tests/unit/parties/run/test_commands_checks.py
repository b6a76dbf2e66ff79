"""What the other commands look at first: consent, paths of predictions, the machine and the run directory."""

from __future__ import annotations

import io
import os
import socket
from pathlib import Path

import numpy as np
import pytest
import typer

from crypto.ckks import faster
from parties.commands import consent, doctor, predict, setup
from parties.report.rounds import write_atomically
from parties.run.progress import text_of
from parties.run.session import open_session, open_store
from secure_gal.data.table import read_table
from secure_gal.errors import ConsentError, DataError, EnvironmentFailure, SettingsError
from secure_gal.settings.party import DataSettings, PartySettings
from secure_gal.settings.study import Study
from tests.support.party_files import STUDY, offline, party

__all__ = ["offline"]  # the fixture that keeps these tests off the network


# --- consent and trust ------------------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    """Where a person presses ctrl-D or ctrl-C instead of answering."""

    def __init__(self, key: type[BaseException]) -> None:
        super().__init__()
        self._key = key

    def readline(self, size: int | None = -1, /) -> str:
        raise self._key


@pytest.mark.parametrize("key", [EOFError, KeyboardInterrupt])
def test_no_answer_is_no_consent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: type[BaseException]) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(key))
    with pytest.raises(typer.Abort):
        typer.confirm("the question")  # what consent must not let through
    session = open_session(party(tmp_path, "lab", label=None))
    store = open_store(session)
    with pytest.raises(ConsentError) as refused:
        consent.require_consent(session, store, None, consent.confirmed)
    store.close()
    assert refused.value.exit_code == 3 and "nothing was sent" in str(refused.value)
    with pytest.raises(SettingsError, match="not confirmed, not pinned; --yes"):
        setup.trust_card(tmp_path / "other" / "hospital.card", tmp_path / "fresh", False, consent.confirmed)


# --- predict ----------------------------------------------------------------------------------------------------------


def test_predict_looks_at_its_paths_first(tmp_path: Path) -> None:
    file, ids = party(tmp_path), tmp_path / "new.csv"
    with pytest.raises(SettingsError, match=r"--ids: .*no such file; it is looked up from the current folder"):
        predict.predict(file, ids, tmp_path / "p.csv")
    ids.write_text("id\nP001\n")
    for out, message in (
        (tmp_path / "nodir" / "p.csv", "--out: .*nodir is no folder"),
        (tmp_path, "is a folder; name a"),
    ):
        with pytest.raises(SettingsError, match=message):
            predict.predict(file, ids, out)
    with pytest.raises(SettingsError, match="no finished learning stage"):
        predict.predict(file, ids, tmp_path / "p.csv")


def test_the_label_of_rows_to_predict_is_ignored(tmp_path: Path) -> None:
    new = tmp_path / "new.csv"
    new.write_text("id,c0,label\nP1,1.5,\nP2,2.5,7\n")
    rows = read_table(DataSettings(new, "id", "label"), labelled=False)
    assert rows.frame.columns == ["c0"] and rows.labels is None
    np.savez(tmp_path / "new.npz", x=np.zeros((2, 2, 3)), id=np.array(["a", "b"]), label=np.array([np.nan, 1]))
    assert read_table(DataSettings(tmp_path / "new.npz", "id", "label"), labelled=False).labels is None
    for path in (new, tmp_path / "new.npz"):
        with pytest.raises(DataError, match=r"row . has no label"):
            read_table(DataSettings(path, "id", "label"))


def test_predictions_without_a_part_are_counted() -> None:
    def said(missing: list[str], summed: bool) -> str:
        return text_of(predict._written(Path("p.csv"), {"missing": missing, "unusual": [""] * len(missing)}, summed))

    assert said(["", ""], True) == "2 predictions written to p.csv"
    assert said(["", "lab", "lab;insurer"], False).startswith("3 predictions written to p.csv; 2 of them without")
    assert "only if every assistor knows the row" in said(["lab;insurer"], True)


def test_a_file_that_cannot_be_written_leaves_no_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    write_atomically(tmp_path / "rounds.csv", "old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(EnvironmentFailure, match=r"rounds.csv cannot be written: No space left"):
        write_atomically(tmp_path / "rounds.csv", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["rounds.csv"]
    assert (tmp_path / "rounds.csv").read_text() == "old"


# --- the machine and the run directory --------------------------------------------------------------------------------


def test_doctor_looks_no_further_than_settings_that_cannot_be_read(tmp_path: Path) -> None:
    (line,), healthy = doctor.examine(tmp_path / "none.toml")
    assert not healthy and line.startswith("FIX   settings: ") and "no such file" in line


@pytest.mark.parametrize("taken", [True, False])
def test_doctor_tries_the_sponsors_port_and_dials_for_an_assistor(
    taken: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{other.getsockname()[1]}"
        if taken:
            other.listen()
        else:
            other.close()
        study = Study("s", "regression", "hospital", address, ("lab",))
        data = DataSettings(tmp_path / "t.csv", "id")
        sponsor, lab = (
            PartySettings(tmp_path / "study.toml", name, tmp_path, tmp_path / "run", data, bind=bind)
            for name, bind in (("hospital", address), ("lab", None))
        )
        found = {}
        for party in (sponsor, lab):
            monkeypatch.setattr(doctor, "load_party", lambda file, party=party: (party, study))
            try:
                found[party.party] = doctor._network(tmp_path)
            except OSError as error:
                found[party.party] = str(error)
    assert ("stop what uses the port" if taken else "is free") in found["hospital"]
    assert ("answers" if taken else "is the sponsor running") in found["lab"]


def test_doctor_names_a_run_dir_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "will be made" in doctor._run_dir(tmp_path / "a" / "b")
    with pytest.raises(OSError, match="is a file; name a folder"):
        doctor._run_dir(tmp_path / "file")
    for path in (tmp_path / "file" / "run", Path("/proc/nowhere/run")):
        with pytest.raises(OSError, match=r"cannot be made or written.*change `run_dir`"):
            doctor._run_dir(path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"], "a probe leaves nothing behind"


@pytest.mark.parametrize("why", ["", "it holds SEAL 4.4, not 4.3"])
def test_doctor_says_which_seal_computes_and_why(why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faster, "_chosen", faster.Choice(False, why))
    monkeypatch.setattr(doctor, "_network", lambda _: "free")
    lines, _ = doctor.examine(party(tmp_path))
    said = "SEAL of TenSEAL's wheel" + (f"; secure_gal_hexl is not used: {why}" if why else "")
    assert f"ok    ciphertexts: {said}" in lines


def test_a_study_that_was_changed_can_be_restored(tmp_path: Path) -> None:
    store = open_store(open_session(party(tmp_path)))
    store.commit({"agreement": b"{}"}, {}, [])
    store.close()
    (tmp_path / "study.toml").write_text(STUDY.format(task="regression") + "rounds=4\n")
    with pytest.raises(SettingsError, match=r"restore study\.toml and the cards"):
        open_store(open_session(tmp_path / "hospital.toml"))
