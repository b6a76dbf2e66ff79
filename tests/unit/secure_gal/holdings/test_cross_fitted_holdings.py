"""Cross-fitted rounds where parties hold tables: settings, what is reported of them, sums and released labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from crypto.ckks.fits import MAX_VALUE
from secure_gal.errors import SettingsError
from secure_gal.holdings.assistor import AssistorData
from secure_gal.holdings.encrypted_values import EncryptedValues
from secure_gal.holdings.sponsor import SponsorData
from secure_gal.learners.cross_fit import LEAVE_ONE_OUT, FoldModels
from secure_gal.learners.shared import linked
from secure_gal.protection import sponsor_data
from secure_gal.settings.load import load_party
from secure_gal.settings.party import DataSettings, LearnerSettings, PartySettings
from secure_gal.settings.study import Protect, Study
from tests.support.study_in_memory import study

N = 40


def party(folder: Path, name: str, learner: LearnerSettings) -> PartySettings:
    rng = np.random.default_rng(len(name))
    label = {"y": [("no", "yes")[i % 2] for i in range(N)]} if name == "hospital" else {}
    columns = {f"c{j}": rng.standard_normal(N) for j in range(3)}
    pl.DataFrame({"id": [f"r{i:04d}" for i in range(N)]} | columns | label).write_csv(folder / f"{name}.csv")
    (folder / "run").mkdir(exist_ok=True)
    data = DataSettings(folder / f"{name}.csv", "id", "y" if label else None)
    return PartySettings(folder / "study.toml", name, folder, folder / "run", data, learner=learner)


def settings(**changes: Any) -> Study:
    return study(**({"task": "classification", "weights": "fitted", "validation": 0.0} | changes))


ALL = np.ones(N, dtype=np.bool_)


@pytest.mark.parametrize(
    ("weights", "how"), [("fitted", LEAVE_ONE_OUT), ("uniform", LEAVE_ONE_OUT), ("paper", "fitted values")]
)
def test_the_study_decides_and_the_party_says_how(weights: str, how: str, tmp_path: Path) -> None:
    learner = LearnerSettings(features="fourier")
    model = SponsorData(party(tmp_path, "hospital", learner), settings(weights=weights), tmp_path, print)
    model.prepare(np.arange(N), ALL)
    assert "values" not in model.computed_with
    alone = model.alone()
    assert alone.cross_fitted == (weights != "paper")
    assert model.computed_with["values"] == how
    assert (alone.judged is None) == (weights == "paper")


def test_the_saved_model_of_a_round_is_all_fold_models_and_new_rows_get_their_mean(tmp_path: Path) -> None:
    learner = LearnerSettings(kind="gb", folds=3, options={"min_samples_leaf": 2})
    model = AssistorData(party(tmp_path, "lab", learner), settings(), tmp_path, print)
    encoder = model.prepare(np.arange(N), ALL)
    residual = np.random.default_rng(0).standard_normal((N, 1)).astype(np.float32)
    saved, values = model.fit_round(1, residual)
    (loaded,) = linked([saved])
    assert isinstance(loaded, FoldModels) and len(loaded.models) == 3
    assert model.computed_with["values"] == "out-of-fold values, 3 folds"
    _, part = model.predict(("r3", "nobody"), encoder, [saved], np.array([2.0]), 1)
    assert part[1, 0] == 0 and part[0, 0] != pytest.approx(2 * values[3, 0]), (
        "a row that was trained on is a new row too"
    )


@pytest.mark.parametrize(
    ("folds", "kind", "changes", "why"),
    [
        (1, "gb", {}, r"learner\.folds` is 1; accepted: 2 to 20"),
        (21, "gb", {}, r"learner\.folds` is 21; accepted: 2 to 20"),
        (3, "none", {}, r"learner\.folds` is 3; accepted: nothing"),
        (3, "gb", {"weights": '"paper"'}, r"not with weights = \"paper\""),
        (3, "linear", {"protect": '{ residuals = "ckks" }'}, r'residuals = "ckks"'),
    ],
)
def test_folds_that_mean_nothing_are_refused(
    folds: int, kind: str, changes: dict[str, str], why: str, tmp_path: Path
) -> None:
    write_files(tmp_path, folds, kind, changes)
    with pytest.raises(SettingsError, match=why):
        load_party(tmp_path / ("lab.toml" if "protect" in changes else "hospital.toml"))


def test_beside_encrypted_assistors_the_sponsor_may_say_its_folds(tmp_path: Path) -> None:
    write_files(tmp_path, 3, "gb", {"protect": '{ residuals = "ckks" }'})
    assert load_party(tmp_path / "hospital.toml")[0].learner.folds == 3


def write_files(tmp_path: Path, folds: int, kind: str, changes: dict[str, str]) -> None:
    """A study, and both parties with the same learner."""
    more = "".join(f"{key} = {value}\n" for key, value in changes.items())
    (tmp_path / "study.toml").write_text(
        'name="s"\ntask="classification"\nsponsor="hospital"\naddress="tcp://x:1"\nassistors=["lab"]\n' + more
    )
    (tmp_path / "hospital.toml").write_text(
        'study="study.toml"\nparty="hospital"\nhome="keys"\nrun_dir="run"\nbind="tcp://*:1"\n'
        f'[data]\npath="a.csv"\nid="id"\nlabel="y"\n[learner]\nkind="{kind}"\nfolds={folds}\n'
    )
    (tmp_path / "lab.toml").write_text(
        'study="study.toml"\nparty="lab"\nhome="keys"\nrun_dir="run"\n[data]\npath="a.csv"\nid="id"\n'
        f'[learner]\nkind="{kind}"\nfolds={folds}\n'
    )


def test_a_value_beyond_what_a_ciphertext_holds_is_cut_and_said(tmp_path: Path) -> None:
    warned: list[str] = []
    lab = AssistorData(party(tmp_path, "lab", LearnerSettings()), settings(), tmp_path, warned.append)
    model = EncryptedValues(lab)
    values = np.array([[0.5], [2 * MAX_VALUE], [-3 * MAX_VALUE]])
    assert model._within(values, 4).tolist() == [[0.5], [MAX_VALUE], [-MAX_VALUE]]
    assert warned == ["round 4: 2 rows are more than 8 times the largest residual; cut there"]
    assert model._within(values[:1], 5) is values[:1] or len(warned) == 1
    diverged = np.array([[np.nan], [1e9]])
    assert model._within(diverged, 6) is diverged, "left to the error that names the learner"


@pytest.mark.parametrize(("weights", "measured"), [("fitted", True), ("paper", False)])
def test_released_labels_are_compared_with_true_ones_on_out_of_fold_rows(
    weights: str, measured: bool, tmp_path: Path
) -> None:
    protect = Protect(ids="clear", residuals="dp", epsilon=3.0, classes=("no", "yes"))
    given = settings(weights=weights, protect=protect)
    model = sponsor_data(party(tmp_path, "hospital", LearnerSettings()), given, tmp_path, lambda _: None)
    model.prepare(np.arange(N), ALL)
    assert model.ensemble(("hospital",)).cross_fitted == measured
    truth = (np.arange(N) % 2 * 2.0 - 1.0)[:, None]
    assert model.true_metric(truth) == (1.0 if measured else None)
    assert model.class_names() == ("no", "yes")
