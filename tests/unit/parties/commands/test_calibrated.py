"""A forecast measures this machine once, and says since when it knows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import msgspec
import polars as pl
import pytest
from typer.testing import CliRunner

from parties import cli
from parties.commands import forecast as command
from parties.commands.forecast import Known, forecast
from parties.run import calibrated
from parties.run.calibrated import FILE, MAX_BYTES, keep, read, this_machine
from secure_gal.errors import DataError
from secure_gal.forecast.calibration import MAX_ENTRIES, Calibration, Measured
from secure_gal.forecast.timings import Sample, Timings
from tests.support.forecasts import kept, parties

TIMES = Measured(Timings((Sample(300, first=0.5, later=0.25),), 300, 0.125))
WORK = "a" * 64


@pytest.fixture
def sponsor(tmp_path: Path) -> Path:
    return parties(tmp_path)[0]


def home(sponsor: Path) -> Path:
    return command.at_hand(sponsor).session.party.home


def data(sponsor: Path) -> Path:
    return sponsor.parent / "data.csv"


def no_measuring(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> Measured:
        raise AssertionError("measured although it was known")

    monkeypatch.setattr(command, "_measure", refuse)


def test_the_second_forecast_measures_nothing_and_says_the_same(sponsor: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, before = forecast(sponsor), kept(sponsor)
    assert f"measured on this machine now; kept in {home(sponsor) / FILE}" in first
    assert (home(sponsor) / FILE).stat().st_mode & 0o777 == 0o600
    no_measuring(monkeypatch)
    second, after = forecast(sponsor), kept(sponsor)
    when = msgspec.json.decode((home(sponsor) / FILE).read_bytes(), type=Calibration).entries[0].when
    assert f"measured on this machine {when}; `secure-gal forecast --measure` does it anew" in second
    assert {**after.seconds, "start": 0} == {**before.seconds, "start": 0}  # the start is this process's own


def test_check_knows_what_forecast_measured_and_imports_nothing_that_measures(sponsor: Path) -> None:
    runner = CliRunner()
    first = runner.invoke(cli.app, ["check", str(sponsor)])
    assert first.exit_code == 0 and "measured on this machine now" in first.output
    code = (
        "import sys; from parties.cli import app; app(['check', sys.argv[1]], standalone_mode=False); "
        "print(sorted({'torch', 'tenseal', 'sklearn', 'scipy', 'joblib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(sponsor)], capture_output=True, text=True, check=True)
    assert "measured on this machine 2" in done.stdout and done.stdout.endswith("[]\n")


@pytest.mark.parametrize(
    "change",
    [
        lambda file: file.write_text(file.read_text().replace('kind = "linear"', 'kind = "linear"\nfolds = 3')),
        lambda file: pl.read_csv(file.parent / "data.csv").head(100).write_csv(file.parent / "data.csv"),
    ],
    ids=["another learner", "a third of the rows"],
)
def test_other_work_is_measured(sponsor: Path, change: object) -> None:
    forecast(sponsor)
    change(sponsor)  # type: ignore[operator]
    assert "measured on this machine now" in forecast(sponsor)
    assert len(read(home(sponsor), this_machine())[0].entries) == 2


def test_measure_measures_anew_in_place_of_the_last(sponsor: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forecast(sponsor)
    monkeypatch.setattr(command, "_measure", lambda *_: TIMES)
    runner = CliRunner()
    assert "measured on this machine now" in runner.invoke(cli.app, ["forecast", str(sponsor), "--measure"]).output
    entries = read(home(sponsor), this_machine())[0].entries
    assert len(entries) == 1 and entries[0].measured == TIMES


@pytest.mark.parametrize("field", ["release", "cpu", "cores", "python", "packages"])
def test_another_machine_or_version_is_measured_and_said(
    sponsor: Path, field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "_measure", lambda *_: TIMES)
    forecast(sponsor)
    here = this_machine()
    other = {"cores": here.cores + 1, "packages": {"numpy": "0"}}.get(field, "another")
    monkeypatch.setattr(calibrated, "this_machine", lambda: msgspec.structs.replace(here, **{field: other}))
    assert f"measured on this machine now; {home(sponsor) / FILE} holds what another machine" in forecast(sponsor)


def damaged(raw: bytes) -> dict[str, bytes]:
    whole = msgspec.json.decode(raw)
    entry = whole["entries"][0]
    sample = entry["measured"]["timings"]["samples"][0]

    def changed(**fields: object) -> bytes:
        times = entry["measured"]["timings"] | fields
        return msgspec.json.encode(whole | {"entries": [entry | {"measured": entry["measured"] | {"timings": times}}]})

    return {
        "nothing": b"",
        "cut": raw[: len(raw) // 2],
        "no UTF-8": b"\xff\xfe",
        "a list": b"[]",
        "deep": b"[" * 100_000,
        "too large": raw + b" " * MAX_BYTES,
        "another version": msgspec.json.encode(whole | {"version": 2}),
        "a field more": msgspec.json.encode(whole | {"more": 1}),
        "no samples": changed(samples=[]),
        "too many samples": changed(samples=[sample] * 3),
        "below 0": changed(prepare=-1),
        "endless": changed(prepare=1e300),
        "a text": changed(large="300"),
        "no digest": msgspec.json.encode(whole | {"entries": [entry | {"work": "A" * 64}]}),
        "any date": msgspec.json.encode(whole | {"entries": [entry | {"when": "\x1b[2J"}]}),
        "too many entries": msgspec.json.encode(whole | {"entries": [entry] * (MAX_ENTRIES + 1)}),
    }


def test_a_damaged_file_is_measured_anew_with_a_word(tmp_path: Path) -> None:
    machine = this_machine()
    assert keep(tmp_path, Calibration(1, machine), WORK, TIMES) == ""
    raw = (tmp_path / FILE).read_bytes()
    found, why = read(tmp_path, machine)
    assert why == "" and found.find(WORK) is not None
    for name, bytes_ in damaged(raw).items():
        (tmp_path / FILE).write_bytes(bytes_)
        assert read(tmp_path, machine) == (Calibration(1, machine), f"{tmp_path / FILE} is damaged"), name


def test_a_damaged_file_is_written_anew(sponsor: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "_measure", lambda *_: TIMES)
    (home(sponsor) / FILE).write_text("{")
    assert f"measured on this machine now; {home(sponsor) / FILE} is damaged; kept in" in forecast(sponsor)
    assert "measured on this machine 2" in forecast(sponsor)


def test_what_does_not_hold_what_is_asked_for_is_measured(sponsor: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a file that somebody wrote: times are missing under the right digest."""
    monkeypatch.setattr(command, "_measure", lambda *_: Measured())
    forecast(sponsor)
    monkeypatch.setattr(command, "_measure", lambda *_: TIMES)
    assert "measured on this machine now" in forecast(sponsor)


def test_the_oldest_measurement_gives_way(tmp_path: Path) -> None:
    machine = this_machine()
    known = Calibration(1, machine)
    for number in range(MAX_ENTRIES + 2):
        assert keep(tmp_path, known, f"{number:064x}", TIMES) == ""
        known, _ = read(tmp_path, machine)
    assert [int(entry.work, 16) for entry in known.entries] == list(range(2, MAX_ENTRIES + 2))
    assert len((tmp_path / FILE).read_bytes()) < MAX_BYTES


def test_a_home_that_cannot_be_written_is_said_and_no_error(sponsor: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "_measure", lambda *_: TIMES)
    (home(sponsor) / f"{FILE}.part").mkdir()
    assert f"now; {home(sponsor) / FILE} could not be written (Is a directory)" in forecast(sponsor)
    assert kept(sponsor).seconds


def test_what_the_data_refuses_is_not_kept(sponsor: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> Measured:
        raise DataError("p0.csv", "row 7 has 'Mr Smith'")

    monkeypatch.setattr(command, "_measure", refused)
    assert "seconds are not foretold: p0.csv: row 7 has 'Mr Smith'" in forecast(sponsor)
    assert not (home(sponsor) / FILE).exists()


def test_a_width_that_is_told_has_ciphertexts_of_its_own(tmp_path: Path) -> None:
    sponsor, _ = parties(tmp_path, 'residuals = "ckks"')
    assert "measured on this machine now" in forecast(sponsor)
    assert "measured on this machine 2" in forecast(sponsor, Known(width=3))  # the same padded width
    assert "measured on this machine now" in forecast(sponsor, Known(width=30))
    assert kept(sponsor).padded == 32


def test_a_machine_is_known_by_its_processors_name(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "processor\t: 0\nmodel name\t: One CPU @ 2 GHz\nflags\t: fpu\nmodel name\t: Another\n"
    monkeypatch.setattr(calibrated, "Path", lambda name: SimpleNamespace(read_text=lambda encoding: text))
    monkeypatch.setattr(calibrated, "version", lambda name: "1" * 300)
    found = this_machine()
    assert found.cpu == "One CPU @ 2 GHz" and set(found.packages.values()) == {"1" * 200}
