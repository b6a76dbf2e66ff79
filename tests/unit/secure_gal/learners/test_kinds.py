"""A learner or a feature map is one file: what it says of itself holds everywhere, and no other name becomes one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import secure_gal.features.kinds
import secure_gal.learners.kinds
from docs import tables
from secure_gal.errors import SettingsError, StateError
from secure_gal.features import check_fresh, fit_features
from secure_gal.features.declare import KINDS as MAPS
from secure_gal.features.declare import Asked as MapAsked
from secure_gal.learners import check_shape, encryptable, make_learner
from secure_gal.learners.declare import KINDS, SHAPES, Asked
from secure_gal.options import rules
from secure_gal.settings.party import LearnerSettings

HERE = Path(".")
MEDIAN = """
from dataclasses import dataclass
from typing import Annotated
import numpy as np
from secure_gal.learners.declare import SERIES, TABLE, learner
from secure_gal.options import Number, Options as Checked

@dataclass(frozen=True, slots=True, kw_only=True)
class Options(Checked):
    share: Annotated[float, Number(0, below=1)] = 0.5

class Constant:
    def __init__(self, value): self.value = value
    def predict(self, x): return np.repeat(self.value[None], len(x), axis=0)

@learner("median", options=Options, losses=("l1",), shapes=(TABLE, SERIES))
def make(asked, options):
    class Median:
        def fit(self, x, residual, seed): return Constant(np.quantile(residual, options.share, axis=0))
    return Median()
"""
SIGNS = """
import numpy as np
from secure_gal.features.declare import feature_map
from secure_gal.options import Options

class Signs:
    description = "signs"
    def __init__(self, width): self.width = width
    def transform(self, x): return np.sign(x)

@feature_map("signs", options=Options)
def fit(x, asked, options): return Signs(x.shape[1])
"""


@pytest.fixture
def dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """One file of a learner and one of a feature map; there is nothing else of them."""
    for package, name, text in (
        (secure_gal.learners.kinds, "median", MEDIAN),
        (secure_gal.features.kinds, "signs", SIGNS),
    ):
        folder = tmp_path / package.__name__
        folder.mkdir()
        (folder / f"{name}.py").write_text(text)
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
    yield tmp_path
    KINDS._kinds.pop("median", None)
    MAPS._kinds.pop("signs", None)
    for name in ("learners.kinds.median", "learners.kinds.average", "features.kinds.signs"):
        sys.modules.pop(f"secure_gal.{name}", None)


def test_a_new_learner_is_one_file(dropped: Path) -> None:
    """Until kinds declared themselves a kind that the list of names had and the ladder had not became an SVR."""
    x, r = np.zeros((5, 2)), np.array([[0], [1], [2], [3], [10]], dtype=np.float32)
    chosen = LearnerSettings(kind="median", loss="l1")
    assert make_learner(chosen, HERE).fit(x, r, 0).predict(x).tolist() == [[2.0]] * 5
    high = LearnerSettings(kind="median", loss="l1", options={"share": 0.75})
    assert make_learner(high, HERE).fit(x, r, 0).predict(x).tolist() == [[3.0]] * 5
    check_shape(chosen, 3)
    for settings, message in (
        (LearnerSettings(kind="median", loss="l4"), "'l4' with kind 'median'; accepted: l1"),
        (LearnerSettings(kind="median", options={"share": 1}), "share: 1; accepted: a number from 0, below 1"),
        (LearnerSettings(kind="median", options={"ridge": 1}), "unknown ridge for 'median'; accepted: share"),
        (LearnerSettings(kind="forest"), "'forest'; accepted: cnn, gb, .*, median, .* or python"),
        (LearnerSettings(kind="median", fresh_features=True), "accepted: false with kind 'median'"),
    ):
        with pytest.raises(SettingsError, match=message):
            make_learner(settings, HERE)
    with pytest.raises(SettingsError, match=r"does not take images .*; accepted for it: cnn, linear.* or python"):
        check_shape(chosen, 4)
    with pytest.raises(SettingsError, match=r"accepted for it: gru, linear, .*median.* or"):
        check_shape(LearnerSettings(kind="gb"), 3)
    assert "must see the residual" in encryptable(chosen)
    assert "| `median` |" in tables.TABLES["learners"]()


def test_a_new_feature_map_is_one_file(dropped: Path) -> None:
    """Until kinds declared themselves a map that the list of names had and the ladder had not became random trees."""
    x = np.random.default_rng(0).normal(size=(30, 2))
    np.testing.assert_array_equal(fit_features(("signs",), x, HERE, 0).transform(x), np.sign(x))
    assert fit_features(("signs", "standardized"), x, HERE, 0).width == 4
    assert make_learner(LearnerSettings(features=("signs",)), HERE).fit(x, np.float32(x[:, :1]), 0).predict(x).any()
    with pytest.raises(SettingsError, match="'signs' is the same in every round"):
        check_fresh(("signs",))
    with pytest.raises(SettingsError, match=r"'signs' does not take series .*; accepted for it: encoder.* or python"):
        check_shape(LearnerSettings(features="signs"), 3)
    with pytest.raises(SettingsError, match=r"polynomial, .*signs, .*trees.* or python"):
        fit_features(("sings",), x, HERE, 0)
    assert "| `signs` |" in tables.TABLES["features"]()


@pytest.mark.parametrize("name", ["", "kinds", "__init__", "os", "..linear", "linear.py", "secure_gal.errors", "None"])
def test_nothing_is_imported_or_made_for_a_name_that_is_no_kind(name: str) -> None:
    fit_features(("standardized",), np.zeros((5, 2)), HERE, 0)
    before = set(sys.modules)
    with pytest.raises(SettingsError, match=r"\[learner\] kind: .*accepted: cnn, "):
        make_learner(LearnerSettings(kind=name), HERE)
    with pytest.raises(SettingsError, match=r"\[learner\] features: .*accepted: auto, "):
        fit_features((name,), np.zeros((5, 2)), HERE, 0)
    assert set(sys.modules) == before


def test_a_file_must_register_the_kind_of_its_name(dropped: Path) -> None:
    folder = dropped / "secure_gal.learners.kinds"
    (folder / "average.py").write_text("")
    with pytest.raises(StateError, match=r"secure_gal.learners.kinds.average does not register 'average'"):
        make_learner(LearnerSettings(kind="average"), HERE)
    (folder / "copied.py").write_text(MEDIAN)
    KINDS.find("median", "")
    with pytest.raises(StateError, match=r"two files of secure_gal\.learners\.kinds register 'median'"):
        KINDS.find("copied", "")
    assert KINDS.find("median", "").name == "median"


def test_what_kinds_declare_can_be_used() -> None:
    for kind in KINDS.every():
        assert kind.shapes <= SHAPES.keys() and kind.shapes
        for loss in kind.losses or (None,):
            chosen = LearnerSettings(kind=kind.name, loss=loss, device="cpu")  # type: ignore[arg-type]
            make_learner(chosen, HERE)
    for options in (*(kind.options for kind in KINDS.every()), *(kind.options for kind in MAPS.every())):
        options()
        assert all(str(rule) for rule in rules(options).values())


def test_a_kind_takes_no_options_of_another() -> None:
    linear, gb, encoder = KINDS.find("linear", ""), KINDS.find("gb", ""), MAPS.find("encoder", "")
    asked = Asked(LearnerSettings(), "l2", HERE, 0, bytes, {})
    with pytest.raises(StateError, match=r"options of another kind: .* in place of secure_gal\.learners\.kinds\.gb's"):
        gb.make(asked, linear.options())
    with pytest.raises(StateError, match="options of another kind"):
        encoder.fit(np.zeros((5, 2)), MapAsked(0, HERE, "cpu"), gb.options())
    assert linear.head is not None
    with pytest.raises(StateError, match="options of another kind"):
        linear.head(asked, gb.options(), np.zeros((5, 2)))


def test_only_kinds_that_say_so_import_torch() -> None:
    script = """
import sys
from pathlib import Path
from secure_gal.features.declare import KINDS as MAPS
from secure_gal.learners import check_shape, make_learner
from secure_gal.learners.declare import KINDS
from secure_gal.settings.party import LearnerSettings
MAPS.every()
for kind in KINDS.every():
    if not kind.torch:
        make_learner(LearnerSettings(kind=kind.name), Path("."))
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True)
