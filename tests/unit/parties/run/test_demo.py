"""The demo without its processes: whose columns and rows lie where, what its settings say, and what it prints."""

from __future__ import annotations

import csv
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer

from parties.commands import demo
from parties.report.summary import Foretold
from parties.run.keys import Pins
from parties.run.session import open_session
from secure_gal.errors import EnvironmentFailure, SettingsError
from secure_gal.settings.load import load_party

ROWS, HELD = 569, 114


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_columns_are_divided_and_the_sponsor_lacks_the_rows_that_it_will_ask_about(tmp_path: Path) -> None:
    data = demo._write_tables(tmp_path)
    x, y = load_breast_cancer(return_X_y=True)
    tables = {party: rows(tmp_path / party / f"{party}.csv") for party in demo.PARTIES}
    columns = {
        party: [name for name in table[0] if name not in ("patient", "benign")] for party, table in tables.items()
    }
    assert {party: len(names) for party, names in columns.items()} == {"hospital": 4, "lab-a": 13, "lab-b": 13}
    assert len({name for names in columns.values() for name in names}) == 30, "no column is held twice"
    assert {party: len(table) for party, table in tables.items()} == {
        "hospital": ROWS - HELD,
        "lab-a": ROWS,
        "lab-b": ROWS,
    }
    new = rows(tmp_path / "hospital" / "new.csv")
    known = {row["patient"] for row in tables["hospital"]}
    assert len(new) == HELD and not known & {row["patient"] for row in new} and "benign" not in new[0]
    assert all("benign" in row for row in tables["hospital"]) and "benign" not in tables["lab-a"][0]
    first = 0
    for party in demo.PARTIES:
        names = columns[party]
        for row in (tables[party][0], tables[party][-1]):
            number = int(row["patient"])
            assert row["patient"] == f"{number:04d}"
            assert [float(row[name]) for name in names] == x[number, first : first + len(names)].tolist()
        first += len(names)
    assert all(int(row["benign"]) == y[int(row["patient"])] for row in tables["hospital"])
    assert sorted(data["new"]) == data["new"].tolist() == sorted(int(row["patient"]) for row in new)
    assert data["train"].sum() == ROWS - HELD and not data["train"][data["new"]].any()


def test_settings_are_those_of_three_parties_that_know_each_other(tmp_path: Path) -> None:
    demo._write_tables(tmp_path)
    demo._write_settings(tmp_path, 20_123, "ckks", "psi")
    digests = set()
    for party in demo.PARTIES:
        settings, study = load_party(tmp_path / party / f"{party}.toml")
        sponsor = party == "hospital"
        assert settings.bind == ("tcp://127.0.0.1:20123" if sponsor else None)
        assert settings.data.label == ("benign" if sponsor else None)
        assert (study.sponsor, study.assistors, study.address) == (
            "hospital",
            ("lab-a", "lab-b"),
            "tcp://127.0.0.1:20123",
        )
        assert (study.protect.residuals, study.protect.ids, study.protect.parameters) == ("ckks", "psi", "standard")
        assert sorted(Pins(settings.home).all()) == sorted(set(demo.PARTIES) - {party})
        digests.add(open_session(tmp_path / party / f"{party}.toml").digest)
        assert demo._consent(tmp_path / party) == ("--consent", sorted(digests)[0][:16])
    assert len(digests) == 1, "all consent to the same"


@pytest.mark.parametrize("there", [True, False])
def test_a_folder_that_holds_something_is_left_alone(
    there: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "_write_tables", lambda folder: {})
    monkeypatch.setattr(demo, "_study", lambda *_: None)
    monkeypatch.setattr(demo, "_print_results", lambda *_: None)
    if there:
        (tmp_path / "file").write_text("kept")
        with pytest.raises(SettingsError, match="is not empty"):
            demo.run(tmp_path)
    else:
        assert demo.run(tmp_path) == demo.run(tmp_path / "new") == 0


def test_a_port_lies_where_the_kernel_gives_none_away() -> None:
    assert all(20_000 <= demo._free_port() < 32_000 for _ in range(20))


class Ended:
    """A process that is over after some waits."""

    def __init__(self, code: int | None, waits: int = 0) -> None:
        self.code, self.waits, self.killed = code, waits, False

    def wait(self, timeout: float) -> int | None:
        self.waits -= 1
        if self.waits >= 0:
            raise subprocess.TimeoutExpired("train", timeout)
        return self.code

    def poll(self) -> int | None:
        return self.code

    def kill(self) -> None:
        self.killed = True


def finish(process: Ended, others: list[Ended], seconds: float = 300.0) -> None:
    demo._finish(process, "train", others, seconds)  # type: ignore[arg-type]


def test_a_command_is_waited_for_but_not_longer_than_its_counterparts_live() -> None:
    finish(Ended(0, waits=3), [Ended(None)])
    finish(Ended(0), [Ended(1)])
    with pytest.raises(EnvironmentFailure, match=r"train ended with exit code 3; see train\.log"):
        finish(Ended(3), [])
    for others, seconds, why in (
        ([Ended(None), Ended(1)], 300.0, "an assistor ended"),
        ([], -1.0, "not finished in -1 s"),
    ):
        process = Ended(0, waits=3)
        with pytest.raises(EnvironmentFailure, match=f"train: {why}"):
            finish(process, others, seconds)
        assert process.killed


def test_the_table_says_what_each_study_gave_and_cost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Four patients, ranked rightly but for one pair, and one at 0.5: three of four are right."""
    scores = np.array([0.1, 0.5, 0.4, 0.9])
    data: dict[str, Any] = {"y": np.array([0, 0, 1, 1, 0]), "new": np.array([0, 1, 2, 3])}
    references = {(0, 4): scores, (0, 30): 1 - scores}
    monkeypatch.setattr(demo, "_reference", lambda data, columns: references[columns.start, columns.stop])
    monkeypatch.setattr(demo, "_consent", lambda folder: ("--consent", "ab" * 8))
    monkeypatch.setenv("COLUMNS", "160")
    told: Foretold = {
        "rows": {"foretold": 455, "actual": 455},
        "bytes": {"foretold": 1_200_000, "actual": 1_234_567},
        "from_ready": {"foretold": 6.0, "actual": 5.5},
    }
    results = [demo.Result("ckks", scores[::-1], 1_234_567, 12.34, told), demo.Result("none", scores, 89, 5.0, None)]
    demo._print_results(tmp_path, data, results)
    shown = capsys.readouterr().out
    lines = [[part.strip() for part in line.split("│")[1:-1]] for line in shown.splitlines() if line.startswith("│")]
    assert "4 held-out patients" in shown
    assert lines == [
        ["sponsor alone", "not sent", "0.750", "0.7500", "0", ""],
        ["GAL, residuals encrypted", "hidden (CKKS standard)", "0.250", "0.2500", "1,234,567", "12.3"],
        ["GAL, residuals in the clear", "readable", "0.750", "0.7500", "89", "5.0"],
        ["all data pooled (Joint)", "everyone's", "0.500", "0.2500", "", ""],
    ]
    assert [line for line in shown.splitlines() if line.startswith("foretold")] == [
        "foretold of the encrypted study: bytes sent and received 1,200,000; actual 1,234,567",
        "foretold of the encrypted study: seconds from the last party's greeting 6.00; actual 5.50",
    ]
    assert f"The files are in {tmp_path}." in shown.replace("\n", "")


def test_references_are_fitted_on_the_rows_that_were_learnt_from_alone() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 3))
    y = (x[:, 0] + 0.1 * rng.normal(size=120) > 0).astype(int)
    train = np.arange(120) < 90
    data = {"x": x, "y": y, "train": train, "new": np.arange(90, 120)}
    telling, useless = demo._reference(data, slice(0, 1)), demo._reference(data, slice(2, 3))
    assert telling.shape == useless.shape == (30,)
    assert demo._auc(y[90:], telling) > 0.95 > demo._auc(y[90:], useless)
    wild = x.copy()
    wild[90:] = np.nan
    wild[90:, 0] = x[90:, 0]
    assert np.array_equal(demo._reference(data | {"x": wild}, slice(0, 1)), telling), "means are those of known rows"


@pytest.mark.parametrize("clear", [False, True])
def test_studies_lie_in_folders_of_their_own(
    clear: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    done: list[Any] = []
    monkeypatch.setattr(demo, "_write_tables", lambda folder: done.append(("tables", folder)) or {"of": folder})
    monkeypatch.setattr(demo, "_study", lambda *given: done.append(given) or given[1])
    monkeypatch.setattr(demo, "_print_results", lambda *given: done.append(given))
    folder, beside, data = tmp_path / "d", tmp_path / "d" / "in-the-clear", {"of": tmp_path / "d"}
    assert demo.run(folder, clear) == 0
    said = capsys.readouterr().out.splitlines()
    if clear:
        assert done == [("tables", folder), (folder, "none", data, "clear"), (folder, data, ["none"])]
        assert said == ["three processes, residuals in the clear"]
        return
    assert done == [
        ("tables", folder),
        (folder, "ckks", data, "psi"),
        ("tables", beside),
        (beside, "none", data, "clear"),
        (folder, data, ["ckks", "none"]),
    ]
    assert said == [
        "residuals encrypted (CKKS): three processes on this machine, connected by CURVE on loopback",
        "the same in the clear, for comparison",
    ]
