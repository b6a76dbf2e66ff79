"""The campaign of kills can fail: what it compares, and what it counts as wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit

from benchmarks.campaign import MODES, Tally, error_of, show
from benchmarks.killed_study import ROWS, predictions_differ, write
from secure_gal.settings.load import load_party


@pytest.mark.parametrize("ids", ["clear", "psi"])
@pytest.mark.parametrize("mode", list(MODES))
def test_its_studies_are_of_the_modes_that_it_names(mode: str, ids: str, tmp_path: Path) -> None:
    write(tmp_path, MODES[mode], ids)
    for party in ("hospital", "lab-a", "lab-b"):
        _, study = load_party(tmp_path / party / f"{party}.toml")
        assert study.protect.ids == ids and study.rounds > 1
        assert study.cross_fitted == (study.validation == 0.25) == (ids == "clear")
        assert study.protect.encrypted == mode.startswith("ckks") and study.protect.summed == mode.endswith("sum")
        assert study.protect.privatised == (mode == "dp") and (study.protect.predictions == "noise") == (
            mode == "noise"
        )


def test_f_is_the_same_bits_where_nothing_reorders_or_encrypts() -> None:
    assert {(mode, ids) for mode in MODES for ids in ("clear", "psi") if error_of(MODES[mode], ids) == 0.0} == {
        ("clear", "clear"),
        ("dp", "clear"),
    }


def test_predictions_are_compared_with_f(tmp_path: Path) -> None:
    f = np.linspace(-2, 2, ROWS)[:, None]
    f[::6] = np.nan  # learnt from
    (tmp_path / "hospital").mkdir()

    def differ(rows: list[int], shift: float) -> float:
        lines = [f"{i:04d},1,{0.5 if np.isnan(f[i, 0]) else expit(f[i, 0]) + shift}" for i in rows]
        (tmp_path / "hospital" / "out.csv").write_text("\n".join(["patient,prediction,p_1", *lines]) + "\n")
        return predictions_differ(tmp_path, f)

    asked = list(range(0, ROWS, 3))
    assert differ(asked, 0.0) < 1e-12
    assert differ(asked, 0.01) == pytest.approx(0.01)
    assert differ(asked[:-1], 0.0) == float("inf")


@pytest.mark.parametrize("harm", [{"lost": 1}, {"hung": 1}, {"equal": 1}, {"predicted": 1}])
def test_one_study_gone_wrong_is_a_campaign_gone_wrong(
    harm: dict[str, int], capsys: pytest.CaptureFixture[str]
) -> None:
    good = {"trials": 9, "studies": 2, "compared": 2, "equal": 2, "asked": 2, "predicted": 2}
    assert show({"clear, psi": Tally(**good)})
    assert not show({"clear, psi": Tally(**good), "ckks, psi": Tally(**(good | harm), said=["hung: at once"])})
    assert "ckks, psi: hung: at once" in capsys.readouterr().out
