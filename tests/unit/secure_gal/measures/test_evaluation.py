"""What a sponsor is told of its study: on rows that judge, beside what it can do alone, among groups, at its cut."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest
import sklearn.metrics as reference

from secure_gal.data.encode import LabelCodec
from secure_gal.errors import DataError, SettingsError
from secure_gal.holdings.check import check_data
from secure_gal.holdings.groups import MISSING, levels_of
from secure_gal.holdings.sponsor import SponsorData
from secure_gal.measures.evaluation import Evaluation
from secure_gal.measures.groups import MOST_GROUPS, OTHERS, of_groups
from secure_gal.settings.load import load_party
from secure_gal.settings.report import ReportSettings
from secure_gal.settings.study import Protect
from tests.support.judged_study import RNG, SEX, SICK, N, X, by_name, evaluated, hospital, of_classes
from tests.support.study_in_memory import study


def test_metrics_with_intervals_beside_alone_and_the_best_own_model(tmp_path: Path) -> None:
    found = evaluated(tmp_path, ReportSettings(groups=("sex",)), of_classes(validation=0.3))
    assert found is not None and (found.of, found.rows, found.rule) == ("test", 60, "") and found.positive == "yes"
    auc = by_name(found)["roc_auc"]
    assert auc.alone.value < 0.65 < 0.8 < auc.own.value, "trees find what a linear model does not"
    assert auc.gal.low < auc.gal.value < auc.gal.high and auc.difference.low > 0
    assert auc.difference.value == pytest.approx(auc.gal.value - auc.alone.value)
    assert sum(b.rows for b in found.bins) == sum((found.confusion or {}).values()) == 60
    assert [(g.level, g.rows) for g in found.groups if g.rows >= 20] and {g.column for g in found.groups} == {"sex"}
    assert "chose nothing" in found.worth
    assert msgspec.json.decode(msgspec.json.encode(found), type=Evaluation) == found


@pytest.mark.parametrize(("threshold", "said"), [("f1", "f1"), ("cost:FN=20,FP=1", "cost:FN=20,FP=1")])
def test_a_threshold_is_chosen_on_training_rows_and_told(tmp_path: Path, threshold: str, said: str) -> None:
    found = evaluated(tmp_path, ReportSettings(threshold=threshold, own_model=False), of_classes())
    assert found is not None and found.of == "out-of-fold" and found.rule == said and found.threshold is not None
    assert "and the threshold" in found.worth and by_name(found)["f1"].own is None
    half = evaluated(tmp_path, ReportSettings(own_model=False), of_classes())
    assert half is not None and half.threshold == 0.5 and half.confusion and found.confusion
    if threshold == "f1":
        assert by_name(found)["f1"].gal.value >= by_name(half)["f1"].gal.value
    else:
        assert found.threshold < 0.5 and found.confusion["FN"] <= half.confusion["FN"]


def test_the_papers_held_out_rows_are_said_to_have_chosen_and_fitted_rows_judge_nothing(tmp_path: Path) -> None:
    found = evaluated(tmp_path, ReportSettings(own_model=False), of_classes(weights="paper", validation=0.3))
    assert found is not None and found.of == "chose-rounds" and "chose how many rounds" in found.worth
    assert evaluated(tmp_path, ReportSettings(own_model=False), of_classes(weights="paper")) is None


def test_a_regression_is_measured_in_the_labels_own_unit(tmp_path: Path) -> None:
    y = 1000 + 50 * (X[:, 0] ** 2 + 0.1 * RNG.standard_normal(N))
    found = evaluated(tmp_path, ReportSettings(), study(weights="fitted", validation=0.0), y=y)
    assert found is not None and found.threshold is None and not found.bins and not found.roc
    error, r2 = by_name(found)["mean_absolute_error"], by_name(found)["r2"]
    assert 5 < error.own.value < error.alone.value < 100 and r2.own.value > 0.5


def test_released_labels_are_learnt_from_and_true_ones_measured(tmp_path: Path) -> None:
    """At epsilon 0.01 releases are coins: of true labels the lab's hints are worth much, of releases nothing."""
    protect = Protect(ids="clear", residuals="dp", epsilon=0.01, classes=("no", "yes"))
    report = ReportSettings(metrics=("roc_auc",), own_model=True)
    found = evaluated(tmp_path, report, of_classes(protect=protect))
    assert found is not None and by_name(found)["roc_auc"].own.value > 0.8


# --- groups ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [None, ("c0", "c1", "c2")], ids=["learnt from", "left out"])
def test_groups_are_of_any_column_of_the_sponsors_table(tmp_path: Path, columns: tuple[str, ...] | None) -> None:
    report = ReportSettings(groups=("sex", "c0"), own_model=False)
    found = evaluated(tmp_path, report, of_classes(), columns=columns)
    assert found is not None
    sexes = {g.level: g for g in found.groups if g.column == "sex"}
    assert {level: g.rows for level, g in sexes.items()} == {"f": 120, "m": 80}
    assert [g.rows for g in found.groups if g.column == "c0"] == [50] * 4, "numbers by quarters"
    both = (found.confusion or {})["TP"] + (found.confusion or {})["FP"]
    assert sum(g.selected.value * g.rows for g in sexes.values()) == pytest.approx(both)  # type: ignore[union-attr,misc]


def test_measures_of_a_group_are_those_of_its_rows_alone() -> None:
    p = np.clip(SICK * 0.3 + RNG.random(N) * 0.6, 0, 1)
    found = {g.level: g for g in of_groups("sex", SEX.tolist(), SICK, p, 0.4, 0)}["m"]
    there = SEX == "m"
    assert found.selected and found.found and found.auc and found.gap
    assert found.selected.value == pytest.approx((p[there] > 0.4).mean())
    assert found.found.value == pytest.approx(reference.recall_score(SICK[there], p[there] > 0.4))
    assert found.auc.value == pytest.approx(reference.roc_auc_score(SICK[there], p[there]))
    assert found.gap.value == pytest.approx(p[there].mean() - SICK[there].mean())
    assert found.gap.low < found.gap.value < found.gap.high  # type: ignore[operator]


def test_small_groups_are_named_and_not_computed_and_many_are_put_together() -> None:
    levels = ["large"] * 100 + [f"ward {i % 25}" for i in range(100)]
    found = of_groups("ward", levels, SICK, RNG.random(N), 0.5, 0)
    assert len(found) == MOST_GROUPS and found[0].level == "large" and found[-1].level == OTHERS
    assert sum(g.rows for g in found) == N
    assert all((g.selected is None) == (g.rows < 20) for g in found)


def test_levels_of_a_column() -> None:
    assert levels_of(pl.Series(["a", None, "b"])) == ["a", MISSING, "b"]
    assert levels_of(pl.Series([1.0, 2.0, None])) == ["1", "2", MISSING]
    quarters = levels_of(pl.Series(np.arange(40.0)))
    assert quarters[0] == "0 to 9" and quarters[10] == "above 9 to 19" and quarters[-1] == "above 29 to 39"
    assert len(set(levels_of(pl.Series([0.0] * 90 + list(np.arange(1.0, 12)))))) == 2, (
        "a value that fills quarters is one"
    )


@pytest.mark.parametrize("name", ["nope", "y", "id"])
def test_a_group_that_is_no_column_is_refused_before_anything_is_sent(tmp_path: Path, name: str) -> None:
    party = hospital(tmp_path, ReportSettings(groups=(name,)))
    model = SponsorData(party, of_classes(), tmp_path, print)
    with pytest.raises(DataError, match=rf"\[report\] groups.*{name}.*accepted: c0, c1, c2, sex"):
        check_data(model.table, party, of_classes())


def test_a_left_out_group_that_cannot_be_read_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    party = hospital(tmp_path, ReportSettings(groups=("sex",)), columns=("c0", "c1", "c2"))
    model = SponsorData(party, of_classes(), tmp_path, print)
    check_data(model.table, party, of_classes())
    frame = pl.read_csv(tmp_path / "hospital.csv")
    frame.drop("sex").write_csv(tmp_path / "hospital.csv")
    with pytest.raises(DataError, match="sex"):
        check_data(model.table, party, of_classes())


# --- settings -------------------------------------------------------------------------------------------------------

TWO = 'name="s"\ntask="classification"\nsponsor="a"\naddress="tcp://h:1"\nassistors=["b"]\n'
NUMBER = TWO.replace("classification", "regression")
WRONG = [
    (TWO, 'threshold="F1"', r'report.threshold` is .F1.; accepted: "f1", "cost:FN=5,FP=1"'),
    (TWO, "threshold=1.5", "report.threshold"),
    (TWO, 'metrics=["r2"]', "for this study's task: roc_auc"),
    (TWO, 'metrics=["auc"]', "report.metrics"),
    (TWO + "outputs=3\n", 'threshold="f1"', "two classes, which alone has a threshold"),
    (TWO + "outputs=3\n", 'metrics=["f1"]', "accuracy, balanced_accuracy, log_loss"),
    (TWO + 'weights="paper"\n', 'threshold="f1"', "no out-of-fold values"),
    (NUMBER, 'groups=["sex"]', "two classes, which alone has a selection rate"),
    (NUMBER, 'metrics=["accuracy"]', "mean_absolute_error"),
    (TWO, "group=[]", "unknown field `group`"),
]


def files(folder: Path, study_text: str, report: str, party: str = "a") -> Path:
    (folder / "study.toml").write_text(study_text)
    own = 'label="y"\n' if party == "a" else ""
    bind = 'bind="tcp://*:1"\n' if party == "a" else ""
    path = folder / f"{party}.toml"
    path.write_text(
        f'study="study.toml"\nparty="{party}"\nhome="k"\nrun_dir="r"\n{bind}[data]\npath="d.csv"\nid="id"\n{own}'
        f"[report]\n{report}\n"
    )
    return path


@pytest.mark.parametrize(("study_text", "report", "message"), WRONG)
def test_report_settings_that_do_not_fit_are_refused_with_the_reason(
    tmp_path: Path, study_text: str, report: str, message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        load_party(files(tmp_path, study_text, report))


def test_only_a_sponsor_has_a_report(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="only a sponsor has results"):
        load_party(files(tmp_path, TWO, 'threshold="f1"', "b"))


def test_report_settings_that_fit(tmp_path: Path) -> None:
    party, _ = load_party(files(tmp_path, TWO, 'threshold="cost:FN=5,FP=1"\nmetrics=["f1"]\ngroups=["sex"]'))
    assert party.report == ReportSettings(("f1",), "cost:FN=5,FP=1", ("sex",))


def test_predictions_follow_the_threshold() -> None:
    codec, f = LabelCodec("classification", ("no", "yes")), np.array([[-1.0], [0.0], [1.0]])
    assert codec.decode(f) == ["no", "no", "yes"]
    assert codec.decode(f, 0.2) == ["yes"] * 3 and codec.decode(f, 0.9) == ["no"] * 3
