"""`secure-gal leakage` on finished runs: clear residuals give every label, encrypted ones none, and the gate works."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from parties.cli import app
from parties.commands import demo, importance, leakage
from secure_gal.errors import SettingsError
from secure_gal.state import State
from tests.support.commands import assist, cli, ended, without_lab_b, without_own_model

pytestmark = pytest.mark.processes


@pytest.fixture(autouse=True)
def few_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    """For speed: the forest is one of several models of one attack, whose strength tests of attacks measure."""
    monkeypatch.setattr("secure_gal.attacks.known_rows.TREES", 4)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clear and an encrypted study of the demo."""
    folder = tmp_path_factory.mktemp("leakage")
    for name, residuals in (("clear", "none"), ("encrypted", "ckks")):
        home = folder / name
        demo._write_tables(home)
        demo._write_settings(home, demo._free_port(), residuals, "clear", "standard")
        without_own_model(home / "hospital" / "hospital.toml")
        without_lab_b(home)
        if name == "clear":  # heads on one saved map, which the meter must find again
            settings = home / "lab-a" / "lab-a.toml"
            settings.write_text(settings.read_text() + 'features = "polynomial"\n')  # its [learner] stands last
        lab = assist(home / "lab-a", "--once")
        ended(cli(home / "hospital", "train", "hospital.toml"))
        ended(lab)
    return folder


def test_clear_residuals_give_every_label(runs: Path) -> None:
    found = leakage.measure(runs / "clear/hospital/hospital.toml")
    signs = [f for f in found.findings if f.attack == "sign of the residual"]
    assert signs and all(f.leak.low == 1.0 for f in signs)
    assert "sign of the residual" in (runs / "clear/hospital/run/report.html").read_text()


def test_ciphertexts_give_nothing_beyond_the_baseline(runs: Path) -> None:
    found = leakage.measure(runs / "encrypted/hospital/hospital.toml")
    # Over fresh encryptions the gain of clustering, the noisier of the two, has mean 0 and deviation 0.035: the bound
    # is five deviations away, one false alarm in a million.
    assert len(found.findings) >= 2 and all(f.gain.value <= 0.18 for f in found.findings)


def test_importance_is_shown_where_a_party_can_read_its_part(runs: Path) -> None:
    for party in ("hospital", "lab-a"):
        file = runs / "clear" / party / f"{party}.toml"
        found = importance.measure(file)
        assert max(found.values()) > 0.01 and list(found.values()) == sorted(found.values(), reverse=True)
        result = CliRunner().invoke(app, ["importance", str(file), "--json"])
        assert result.exit_code == 0 and json.loads(result.stdout) == found
        assert next(iter(found)) in importance.as_text(found)
    with pytest.raises(SettingsError, match="is a ciphertext"):
        importance.measure(runs / "encrypted/lab-a/lab-a.toml")


def test_importance_is_of_the_table_that_was_learnt_from(runs: Path, tmp_path: Path) -> None:
    home = Path(shutil.copytree(runs / "clear/lab-a", tmp_path / "lab-a"))
    (table,) = home.glob("*.csv")
    head, _, *rest = table.read_text().splitlines(keepends=True)
    table.write_text("".join([head, *rest]))
    with pytest.raises(SettingsError, match=r"is not what was learnt from: .* restore it"):
        importance.measure(home / "lab-a.toml")


@pytest.mark.parametrize("name", ["clear", "encrypted"])
def test_fitted_values_give_columns_away_in_both_modes(name: str, runs: Path) -> None:
    found = leakage.measure(runs / name / "lab-a" / "lab-a.toml")
    assert max(f.leak.value for f in found.findings) > 0.3


def test_the_threshold_is_a_gate_with_an_exit_code(runs: Path, tmp_path: Path) -> None:
    home = tmp_path / "hospital"
    shutil.copytree(runs / "clear/hospital", home)
    study = home / "study.toml"
    study.write_text("leakage_threshold = 0.1\n" + study.read_text())
    shutil.rmtree(home / "run")
    shutil.copytree(runs / "clear/hospital/run", home / "run")
    from parties.run.store import RunStore

    store = RunStore(home / "run")  # the same run under the digest of the study with a gate
    from parties.run.session import open_session

    store.set_meta("digest", open_session(home / "hospital.toml").digest)
    store.close()
    (home / "run/summary.json").unlink()
    result = CliRunner().invoke(app, ["leakage", str(home / "hospital.toml")])
    assert result.exit_code == 1 and "EXCEEDED" in result.output


def test_columns_are_scored_once_rows_are_aligned() -> None:
    session = SimpleNamespace(party=SimpleNamespace(run_dir="run"))
    with pytest.raises(SettingsError, match="holds no aligned rows; run `secure-gal assist` first"):
        leakage._columns(session, State())
