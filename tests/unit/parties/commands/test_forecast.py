"""What `forecast` says before a study begins, and how it is held against what the study took."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import msgspec
import pytest

from parties.commands import forecast as command
from parties.commands.forecast import Known, forecast
from parties.report import foretold
from parties.run.calibrated import FILE
from parties.run.session import open_session
from secure_gal.errors import SettingsError
from secure_gal.forecast.calibration import Measured
from secure_gal.forecast.reckoning import Costs, Forecast
from tests.support.forecasts import ROWS, kept, parties


def test_both_ends_foretell_the_same_bytes_and_each_its_own_seconds(tmp_path: Path) -> None:
    sponsor, lab = parties(tmp_path, parquet=True)
    text, other = forecast(sponsor), forecast(lab)
    assert f"{ROWS // 2:,} to {ROWS:,} rows in common" in text and "from the last greeting to the results" in text
    assert "CPU seconds of p1" in other and "from the last greeting" not in other
    assert "budgets of this data" in other and "budgets of this data" not in text
    here, there = kept(sponsor), kept(lab)
    assert here.sent["p1"] == there.received["p0"] and here.received["p1"] == there.sent["p0"]
    assert set(here.seconds) == {"start", "imports", "prepare", "fits", "rounds", "results"}
    assert all(seconds >= 0 for seconds in (*here.seconds.values(), *there.seconds.values()))
    assert here.elapsed is not None and 0 < here.elapsed < 60


def test_a_forecast_writes_nothing_but_itself_the_schema_and_what_it_measured(tmp_path: Path) -> None:
    sponsor, _ = parties(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    forecast(sponsor)
    after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert {path.name for path in after.keys() - before.keys()} == {"p0.forecast.json", "p0.schema.toml", FILE}
    assert all(after[path] == raw for path, raw in before.items())
    assert (sponsor.parent / "p0.forecast.json").stat().st_mode & 0o777 == 0o600


def test_a_forecast_that_cannot_be_kept_is_told_all_the_same(tmp_path: Path) -> None:
    """Settings may lie where the party's user writes nothing, in /etc say."""
    sponsor, _ = parties(tmp_path)
    (sponsor.parent / "p0.forecast.json").mkdir()
    text = forecast(sponsor)
    assert "rows in common" in text and "the report will not show this forecast: " in text
    assert "p0.forecast.json cannot be written" in text


def test_what_is_known_of_the_others_narrows_it(tmp_path: Path) -> None:
    sponsor, _ = parties(tmp_path)
    assert "100 rows in common\n" in forecast(sponsor, Known(rows=100))
    assert kept(sponsor).rows == 100
    with pytest.raises(SettingsError, match=r"--rows.*301.*2 to 300"):
        forecast(sponsor, Known(rows=ROWS + 1))


@pytest.mark.parametrize("residuals", ["none", "ckks"])
def test_sums_have_seconds_of_the_fits_the_products_and_the_sums(tmp_path: Path, residuals: str) -> None:
    sponsor, lab = parties(tmp_path, f'predictions = "sum"\nresiduals = "{residuals}"')
    text, other = forecast(sponsor), forecast(lab)
    here, there = kept(sponsor), kept(lab)
    assert "from the last greeting to the results" in text and "sums " in other  # p1 is the aggregator
    assert {"keys", "encryption", "decryption"} <= set(here.seconds) and {"ciphertexts", "sums"} <= set(there.seconds)
    assert all(here.seconds[name] > 0 for name in ("keys", "encryption", "decryption"))
    assert there.seconds["ciphertexts"] > 0 and there.seconds["sums"] > here.seconds["decryption"]
    assert here.elapsed is not None and here.elapsed > there.seconds["ciphertexts"] / 2
    assert here.a_round.cpu is not None and 0 < here.a_round.cpu < sum(here.seconds.values()) / 10


def test_a_network_has_seconds_for_all_its_epochs(tmp_path: Path) -> None:
    files = parties(tmp_path, learner='kind = "mlp"\ndevice = "cpu"\n[learner.options]\nepochs = 30')
    for file in files:
        assert "takes its 30 epochs here; one that stops early takes less" in forecast(file)
        found = kept(file)
        assert found.epochs == 30 and found.seconds["fits"] > 0 and not found.untold
        assert found.a_round.cpu is not None and found.a_round.cpu > found.seconds["fits"] / 20, "nine of ten rounds"
    assert "takes its 30 epochs" in forecast(files[0]), "as it is kept"


def test_an_encoder_has_seconds_for_all_its_epochs_and_is_trained_for_no_study(tmp_path: Path) -> None:
    encoder = 'kind = "linear"\nfeatures = "encoder"\n[learner.options]\nencoder_file = "kept.npz"'
    for file in parties(tmp_path, learner=encoder):
        assert not forecast(file).count("not foretold")
        hundred = kept(file).seconds["fits"]
        file.write_text(file.read_text().replace("[learner.options]", "[learner.options]\nencoder_epochs = 1"))
        forecast(file)
        assert kept(file).seconds["fits"] < hundred / 3, "few rows are trained on for 100 epochs"
        assert not (file.parent / "kept.npz").exists()


def test_what_the_data_refuses_has_bytes_and_no_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> Measured:
        raise SettingsError("[learner]", "this sample will not do")

    monkeypatch.setattr(command, "_measure", refused)
    sponsor, _ = parties(tmp_path)
    assert "seconds are not foretold: [learner]: this sample will not do" in forecast(sponsor)
    found = kept(sponsor)
    assert not found.seconds and found.elapsed is None and found.costs.cpu is None and found.costs.bytes > 0


def test_the_forecast_of_another_study_or_none_or_a_damaged_one_is_not_shown(tmp_path: Path) -> None:
    sponsor, _ = parties(tmp_path)
    session, file = open_session(sponsor), sponsor.parent / "p0.forecast.json"
    assert foretold.kept(session) is None and foretold.shown(foretold.against(session, {})) == []
    file.write_bytes(msgspec.json.encode(Forecast(session.digest, "p0", 300, 0, 10, {}, {})))
    assert foretold.kept(session) is not None
    assert foretold.kept(dataclasses.replace(session, digest="0" * 64)) is None
    file.write_text("{")
    assert foretold.kept(session) is None


def test_a_study_that_ends_early_is_held_against_as_many_rounds(tmp_path: Path) -> None:
    sponsor, _ = parties(tmp_path)
    session = open_session(sponsor)
    told = Forecast(
        session.digest,
        "p0",
        ROWS,
        0,
        10,
        {"p1": 1000},
        {"p1": 1000},
        {"start": 1.0, "rounds": 2.0},
        4.0,
        a_round=Costs(150, 0.2, 0.3),
    )
    (sponsor.parent / "p0.forecast.json").write_bytes(msgspec.json.encode(told))
    summary = {
        "rows": {"aligned": 290},
        "rounds": 4,
        "bytes": {"sent": {"p1": {"a": 400}}, "received": {"p1": {"b": 600}}},
        "seconds": {"cpu": 1.5, "from_ready": None},
    }
    found = foretold.against(session, summary)
    assert found == {
        "rows": {"foretold": ROWS, "actual": 290},
        "rounds": {"foretold": 10, "actual": 4},
        "bytes": {"foretold": 1100, "actual": 1000},
        "cpu": {"foretold": 1.8, "actual": 1.5},
        "from_ready": {"foretold": 2.2, "actual": None},
    }
    assert foretold.shown(found)[2:] == [
        ("bytes sent and received", "1,100", "1,000", "+10%"),
        ("CPU seconds of the sponsor", "1.80", "1.50", "+20%"),
        ("seconds from the last party's greeting", "2.20", "not known", ""),
    ]
