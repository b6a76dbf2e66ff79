"""What a party learnt from against another table: known shifts, chance, and what is kept."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from parties.cli import app
from parties.commands.drift import drift
from secure_gal.data import distributions
from secure_gal.data.distributions import Drift, distributions_of, drift_of
from secure_gal.data.schema import Schema
from secure_gal.errors import DataError, SettingsError
from secure_gal.holdings.assistor import AssistorData
from secure_gal.settings.load import load_party
from tests.support.party_files import party

N = 400
SCHEMA = Schema(1, (), (), ())


def between(then: Any, now: Any) -> Drift:
    learnt = distributions_of(pl.DataFrame({"x": then}, strict=False), SCHEMA)
    return drift_of(learnt, pl.DataFrame({"x": now}, strict=False))[0]


def test_the_index_of_levels_is_the_sum_that_its_definition_says() -> None:
    found = between(["a"] * 600 + ["b"] * 400, ["a"] * 300 + ["b"] * 700)
    assert found.psi == pytest.approx((0.3 - 0.6) * np.log(0.3 / 0.6) + (0.7 - 0.4) * np.log(0.7 / 0.4), abs=0.01)
    assert (found.word, found.unseen, found.missing_now) == ("large shift", 0, 0)


def test_the_index_of_numbers_is_over_training_deciles() -> None:
    rng = np.random.default_rng(0)
    found = between(rng.standard_normal(20_000), 0.5 + rng.standard_normal(20_000))
    assert found.psi == pytest.approx(0.25, abs=0.02), (
        "KL both ways of N(0, 1) and N(0.5, 1) is 0.25; bins lose a little"
    )


def test_without_a_shift_the_index_stays_below_its_limit_of_chance() -> None:
    """Of 300 tables 95%: fewer than 273 have a chance of 0.1%."""
    rng, below = np.random.default_rng(1), 0
    for _ in range(300):
        found = between(rng.standard_normal(500), rng.standard_normal(200))
        assert found.psi is not None
        below += found.psi <= found.chance
    assert below >= 273


def test_few_rows_are_not_called_a_shift_that_chance_would_make() -> None:
    rng = np.random.default_rng(2)
    found = between(rng.standard_normal(500), rng.standard_normal(30))
    assert found.psi is not None and found.psi > 0.1 and found.word == "within chance"


@pytest.mark.parametrize("now", [[5.0] * N, [3.0] * N])
def test_a_column_that_never_varied_and_moves_is_a_large_shift(now: list[float]) -> None:
    found = between([4.0] * N, now)
    assert (found.word, found.unseen) == ("large shift", 1)
    assert between([4.0] * N, [4.0] * N).word == "stable"


def test_unseen_levels_and_missing_values_are_shares() -> None:
    found = between(["a", None, "b", "b"] * 100, ["a", "c", None, None] * 100)
    assert found.unseen == 0.5 and (found.missing_then, found.missing_now) == (0.25, 0.5)


def test_a_column_without_values_has_no_index_and_stands_last() -> None:
    learnt = distributions_of(
        pl.DataFrame({"e": [None] * 9, "x": [1.0] * 9}, schema={"e": pl.Float64, "x": pl.Float64}), SCHEMA
    )
    found = drift_of(learnt, pl.DataFrame({"e": [1.0] * 9, "x": [2.0] * 9}))
    assert [d.column for d in found] == ["x", "e"] and found[1].word == "no values"
    assert between([1.0] * 9, [None] * 9).psi is None


# --- the command -----------------------------------------------------------------------------------------------------


def learnt(folder: Path) -> Path:
    file = party(folder, "lab", c0=list(np.linspace(0, 1, 60)), label=None, kind=["x", "y", "z"] * 20)
    (folder / "run").mkdir(mode=0o700)
    settings, study = load_party(file)
    model = AssistorData(settings, study, folder, lambda text: None)
    model.prepare(np.arange(60), np.arange(60) % 3 != 0)
    return file


def test_what_is_kept_is_of_the_training_rows_and_for_its_owner_alone(tmp_path: Path) -> None:
    learnt(tmp_path)
    path = tmp_path / "run" / distributions.FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    kept = distributions.read(tmp_path / "run")
    assert kept.rows == 40 and kept.columns[1].levels == {"y": 20, "z": 20}
    assert sum(kept.columns[0].counts) == 40


def test_the_command_shows_the_most_changed_column_first(tmp_path: Path) -> None:
    file = learnt(tmp_path)
    held = drift(file, None)
    assert (held.rows, held.training_rows, held.columns[0].column) == (60, 40, "kind"), "x is in no training row"
    other = tmp_path / "next.csv"
    pl.DataFrame({"id": [f"N{i}" for i in range(50)], "c0": np.linspace(4, 5, 50), "kind": ["y", "z"] * 25}).write_csv(
        other
    )
    result = CliRunner().invoke(app, ["drift", str(file), str(other)])
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert "50 rows, against 40 training rows" in lines[0] and lines[2].startswith("c0") and "large shift" in lines[2]
    assert "below 0.1 " in lines[-3] and "from 0.25 " in lines[-3]
    found = json.loads(CliRunner().invoke(app, ["drift", str(file), str(other), "--json"]).stdout)
    assert [(c["column"], c["word"]) for c in found["columns"]] == [("c0", "large shift"), ("kind", "stable")]


def test_a_party_that_has_not_learnt_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="holds no distributions"):
        drift(party(tmp_path, "lab", label=None), None)


def test_a_table_without_a_column_that_was_learnt_from_is_refused_by_name(tmp_path: Path) -> None:
    file = learnt(tmp_path)
    other = tmp_path / "next.csv"
    pl.DataFrame({"id": ["a", "b"], "c0": [1.0, 2.0]}).write_csv(other)
    with pytest.raises(DataError, match="kind"):
        drift(file, other)


@pytest.mark.parametrize("text", ["{", '{"format": 2, "schema": "", "rows": 1, "columns": []}', "[]"])
def test_a_file_that_is_none_of_ours_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / distributions.FILE).write_text(text)
    with pytest.raises(SettingsError, match=distributions.FILE):
        distributions.read(tmp_path)
