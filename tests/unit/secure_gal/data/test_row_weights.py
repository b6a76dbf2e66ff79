"""Weights of rows: twice the weight is the row twice, equal weights are none, and what cannot be weighed is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest

from secure_gal.data.encode import LabelCodec
from secure_gal.data.table import read_table
from secure_gal.errors import DataError, SettingsError
from secure_gal.gal.coefficients import line_search
from secure_gal.gal.ensemble import Ensemble
from secure_gal.gal.losses import get_loss, metric
from secure_gal.holdings.sponsor import SponsorData
from secure_gal.labels.residual_rules import residual_problem
from secure_gal.labels.row_weights import row_weights
from secure_gal.manifest import manifest
from secure_gal.settings.checks import check_study
from secure_gal.settings.load import load_party
from secure_gal.settings.party import DataSettings, PartySettings
from secure_gal.settings.study import Protect, Study
from tests.support.study_in_memory import study

CASES = [("cross_entropy", 1), ("cross_entropy", 4)] + [
    (name, 1) for name in ("l1", "l2", "huber", "quantile", "poisson", "gamma")
]
N = 40
ALL = np.ones(N, dtype=np.bool_)
PATH = Path("study.toml")


def labels(name: str, k: int, rng: np.random.Generator) -> np.ndarray:
    if name == "cross_entropy":
        return rng.integers(0, max(2, k), N)
    return rng.exponential(1.0, (N, 1)) if name in ("poisson", "gamma") else rng.standard_normal((N, 1))


def problem(name: str, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(y, F, direction, whole weights 1 to 3, the rows as often as their weight)."""
    rng = np.random.default_rng(0)
    y = labels(name, k, rng)
    counts = rng.integers(1, 4, N)
    return y, rng.standard_normal((N, k)), rng.standard_normal((N, k)), counts / 3, np.repeat(np.arange(N), counts)


@pytest.mark.parametrize(("name", "k"), CASES)
def test_a_weight_of_two_is_the_row_twice(name: str, k: int) -> None:
    y, f, g, v, twice = problem(name, k)
    loss = get_loss(name, k)
    np.testing.assert_allclose(loss.initial(y, v), loss.initial(y[twice]), atol=1e-7)
    assert loss.value(y, f, v) == pytest.approx(loss.value(y[twice], f[twice]), rel=1e-12)
    assert loss.slope(y, f, g, v) == pytest.approx(loss.slope(y[twice], f[twice], g[twice]), rel=1e-12)
    ours, theirs = line_search(loss, y, f, g, v), line_search(loss, y[twice], f[twice], g[twice])
    assert ours.eta == pytest.approx(theirs.eta, rel=1e-9)
    task: Any = "classification" if name == "cross_entropy" else "regression"
    assert metric(task, y, f, v) == pytest.approx(metric(task, y[twice], f[twice]), rel=1e-12)


@pytest.mark.parametrize(("name", "k"), CASES)
def test_the_residual_is_the_gradient_of_the_weighted_loss(name: str, k: int) -> None:
    y, _, g, v, _ = problem(name, k)
    task: Any = "classification" if name == "cross_entropy" else "regression"
    made = Ensemble(get_loss(name, k), y, ALL, task, ("a",), "fitted", "search", 9, 9, "l2", True, v)
    step = 1e-5
    made.F = made.F + 0.1 * g  # off the median, where l1 has no gradient
    up, down = (made.loss.value(y, made.F + s * g, v) for s in (step, -step))
    along = float(np.sum(made.residual().astype(float) * g)) / v.sum()
    assert along == pytest.approx(-(up - down) / (2 * step), rel=1e-3)


@pytest.mark.parametrize(("name", "k"), CASES)
def test_equal_weights_change_nothing_bit_for_bit(name: str, k: int) -> None:
    y, f, g, _, _ = problem(name, k)
    ones, loss = np.ones(N), get_loss(name, k)
    assert loss.initial(y, ones).tobytes() == loss.initial(y).tobytes()
    assert (loss.value(y, f, ones), loss.slope(y, f, g, ones)) == (loss.value(y, f), loss.slope(y, f, g))
    assert line_search(loss, y, f, g, ones) == line_search(loss, y, f, g)


def test_equal_weights_are_none_and_the_largest_is_one() -> None:
    codec, y = LabelCodec("classification", ("no", "yes")), np.arange(N) % 2
    assert row_weights(DataSettings(), codec, y, ALL, np.full(N, 7.0)) is None
    assert row_weights(DataSettings(class_weights="balanced"), codec, y, ALL, None) is None
    v = row_weights(DataSettings(class_weights={"yes": 4.0}), codec, y, ALL, np.full(N, 3.0))
    assert v is not None and v.tolist() == [0.25, 1.0] * (N // 2)


def test_balanced_classes_weigh_the_same_on_the_training_rows() -> None:
    codec, y = LabelCodec("classification", (0, 1, 2)), np.repeat([0, 1, 2], [25, 10, 5])
    train, column = np.arange(N) % 5 > 0, np.linspace(1, 2, N)
    v = row_weights(DataSettings(class_weights="balanced"), codec, y, train, column)
    assert v is not None
    totals = np.bincount(y[train], v[train])
    np.testing.assert_allclose(totals, totals[0])
    np.testing.assert_allclose(get_loss("cross_entropy", 3).initial(y[train], v[train]), np.log(1 / 3), atol=1e-9)


def test_a_class_that_there_is_not_is_refused() -> None:
    codec, y = LabelCodec("classification", ("no", "yes")), np.arange(N) % 2
    with pytest.raises(SettingsError, match="'maybe' is no class of the label; accepted: no, yes"):
        row_weights(DataSettings(class_weights={"maybe": 2.0}), codec, y, ALL, None)


# what assistors hold weighted residuals against


def weighted(loss: str, k: int, **more: Any) -> Study:
    task = "classification" if loss == "cross_entropy" else "regression"
    return study(task=task, loss=loss, outputs=k, row_weights="sponsor", **more)


@pytest.mark.parametrize(("name", "k"), CASES)
@pytest.mark.parametrize("common", [True, False])
def test_no_honest_weighted_residual_is_refused(name: str, k: int, common: bool) -> None:
    rng = np.random.default_rng(3)
    settings = weighted(name, k, rows="common" if common else "sponsor")
    for _ in range(20):
        y = labels(name, k, rng)
        if name in ("poisson", "gamma"):
            y = y / y.mean()
        elif name != "cross_entropy":
            y = (y - y.mean()) / y.std()
        v = rng.random(N) ** 3 + 1e-6
        made = Ensemble(
            get_loss(name, k), y, ALL, settings.task, ("a",), "fitted", "search", 9, 9, "l2", True, v / v.max()
        )
        held = ALL if common else rng.random(N) < 0.5
        for round_ in range(1, 4):
            assert residual_problem(settings, round_, made.residual()[held]) == ""
            made.commit({"a": (made.residual() + rng.standard_normal((N, k)).astype(np.float32)) / 2})


@pytest.mark.parametrize(("name", "k"), CASES)
def test_a_unit_vector_is_refused_in_round_1(name: str, k: int) -> None:
    r = np.zeros((N, k), dtype=np.float32)
    r[3, 0] = 1.0
    if k > 1:
        r[3, 1] = -1.0
    refused = residual_problem(weighted(name, k), 1, r)
    assert refused or name in ("l1", "quantile")  # a weight of one row of forty is no more than the median allows


def test_rows_of_a_class_that_are_not_in_proportion_are_refused() -> None:
    made = Ensemble(
        get_loss("cross_entropy", 4), np.arange(N) % 4, ALL, "classification", ("a",), "fitted", "search", 9, 9, "l2"
    )
    r = made.residual()
    r[0] += [0, 0.1, -0.1, 0]
    r[4] -= [0, 0.1, -0.1, 0]
    assert "differ in more than their weight" in residual_problem(weighted("cross_entropy", 4), 1, r)


# settings and files


def test_weights_are_refused_where_labels_are_released() -> None:
    protect = Protect(residuals="dp", epsilon=1.0, classes=("a", "b"))
    with pytest.raises(SettingsError, match='`row_weights` is \'sponsor\'; accepted: "equal" with residuals = "dp"'):
        check_study(study(task="classification", protect=protect, row_weights="sponsor"), PATH)


def test_the_manifest_says_that_residuals_tell_weights() -> None:
    cards = dict.fromkeys(study().parties, "f" * 64)
    assert "times the weight of its row" in manifest(study(row_weights="sponsor"), cards)
    assert "weight of its row" not in manifest(study(), cards)


def test_equal_weights_leave_the_digest_as_it_was() -> None:
    cards = dict.fromkeys(study().parties, "f" * 64)
    assert b"row_weights" not in study().canonical(cards)
    assert study(row_weights="sponsor").digest(cards) != study().digest(cards)


@pytest.mark.parametrize(
    ("weights", "line", "message"),
    [
        ("equal", 'weight = "w"', "only for the sponsor of a study with row_weights"),
        ("equal", 'class_weights = "balanced"', "only for the sponsor of a study with row_weights"),
        ("sponsor", "class_weights = {a = 0.0}", "numbers above 0"),
        ("sponsor", 'weight = "y"', "other than id and label"),
        ("sponsor", 'weight = "w"\nclass_weights = {a = 3, b = 1}', ""),
    ],
)
def test_a_party_file_says_weights_where_the_study_allows_it(
    weights: str, line: str, message: str, tmp_path: Path
) -> None:
    (tmp_path / "study.toml").write_text(
        'name = "s"\ntask = "classification"\nsponsor = "a"\nassistors = ["b"]\naddress = "tcp://localhost:1"\n'
        f'row_weights = "{weights}"\n'
    )
    file = tmp_path / "a.toml"
    file.write_text(
        'study = "study.toml"\nparty = "a"\nhome = "h"\nrun_dir = "r"\nbind = "tcp://*:1"\n'
        f'[data]\npath = "t.csv"\nid = "id"\nlabel = "y"\n{line}\n'
    )
    if not message:
        assert load_party(file)[0].data.class_weights == {"a": 3, "b": 1}
        return
    with pytest.raises(SettingsError, match=message):
        load_party(file)


def table(folder: Path, weights: str) -> DataSettings:
    rows = "\n".join(f"p{i},{i % 7}.5,{i % 2},{w}" for i, w in enumerate(weights.split()))
    (folder / "t.csv").write_text(f"id,x,y,w\n{rows}\n")
    return DataSettings(path=folder / "t.csv", id="id", label="y", weight="w")


def test_a_column_of_weights_is_no_feature_and_not_needed_to_predict(tmp_path: Path) -> None:
    data = table(tmp_path, "1 2.5 1 1")
    read = read_table(data)
    assert isinstance(read.frame, pl.DataFrame) and read.frame.columns == ["x"]
    assert read.weights is not None and read.weights.tolist() == [1, 2.5, 1, 1]
    (tmp_path / "new.csv").write_text("id,x\np9,1.5\n")
    new = read_table(msgspec.structs.replace(data, path=tmp_path / "new.csv"), schema=read.schema, labelled=False)
    assert isinstance(new.frame, pl.DataFrame) and new.frame.columns == ["x"] and new.weights is None


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ("1 0 1 1", "row 2 has the weight 0.0 in column 'w'"),
        ("1 1 -2 1", "row 3 has the weight -2.0"),
        ("1 1  1", None),
        ("a b a b", "no column of numbers"),
    ],
)
def test_a_weight_that_is_none_is_refused_with_its_row(weights: str, message: str | None, tmp_path: Path) -> None:
    if message is None:
        (tmp_path / "t.csv").write_text("id,x,y,w\np1,1.5,0,1\np2,2.5,1,\np3,3.5,0,2\n")
        data, message = DataSettings(path=tmp_path / "t.csv", id="id", label="y", weight="w"), "row 2 has no weight"
    else:
        data = table(tmp_path, weights)
    with pytest.raises(DataError, match=message):
        read_table(data)


def test_weights_go_with_their_rows_into_any_order(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id,x,y,w\nb,1.5,0,2\na,2.5,1,1\n")
    read = read_table(DataSettings(path=tmp_path / "t.csv", id="id", label="y", weight="w"))
    assert read.ids == ["a", "b"] and read.weights is not None and read.weights.tolist() == [1, 2]


def test_the_sponsors_weights_reach_its_residual(tmp_path: Path) -> None:
    rows = "\n".join(f"p{i:02},{i % 7}.5,{'yes' if i % 4 == 0 else 'no'},{1 + i % 2}" for i in range(N))
    (tmp_path / "t.csv").write_text(f"id,x,y,w\n{rows}\n")
    data = DataSettings(path=tmp_path / "t.csv", id="id", label="y", weight="w", class_weights={"yes": 3.0})
    party = PartySettings(tmp_path / "study.toml", "a", tmp_path, tmp_path / "run", data)
    model = SponsorData(party, study(task="classification", row_weights="sponsor"), tmp_path, lambda _: None)
    model.prepare(np.arange(N), ALL)
    v = np.array([(3.0 if i % 4 == 0 else 1.0) * (1 + i % 2) for i in range(N)]) / 3.0
    share = v[::4].sum() / v.sum()
    expected = v * (np.where(np.arange(N) % 4 == 0, 1.0, 0.0) - share)
    np.testing.assert_allclose(model.ensemble(("a",)).residual()[:, 0], expected, atol=1e-6)
