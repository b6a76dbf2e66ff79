"""`features = "encoder"`: no label, no residual, the same again from the same seed, and files that are checked."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from secure_gal import GAL
from secure_gal.data.arrays import ArrayRows
from secure_gal.errors import EnvironmentFailure, SettingsError
from secure_gal.features import encoder_training, fit_features
from secure_gal.features.encoder import Encoder
from secure_gal.features.encoder_kmeans import KMeansPatches
from secure_gal.features.encoder_options import EncoderOptions
from secure_gal.features.encoder_training import VICReg, _disturb, new_body
from secure_gal.learners import make_learner, ridge_features, storage
from secure_gal.settings.party import LearnerSettings
from tests.support.deep_data import images, series

HERE = Path(".")
QUICK = {"width": 64, "epochs": 2, "device": "cpu"}


def table(n: int = 200, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """x (n, 6) from two hidden numbers, r (n, 1) their product: no column and no line tells it."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, 2))
    mix = np.random.default_rng(9).normal(size=(2, 6))
    return np.tanh(z @ mix) + 0.05 * rng.normal(size=(n, 6)), (z[:, :1] * z[:, 1:]).astype(np.float32)


DATA = {"denoising": table, "kmeans": images, "vicreg": images, "masked": series}


@pytest.mark.parametrize("kind", DATA)
def test_the_same_seed_gives_the_same_features_and_another_seed_others(kind: str) -> None:
    x, _ = DATA[kind]()
    options = EncoderOptions(kind, **QUICK)
    one, two, other = (Encoder.fit(x, seed, options).transform(x) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, two)
    assert (one != other).any()
    assert one.shape[1] <= 64
    assert np.isfinite(one).all()
    np.testing.assert_allclose(one.mean(axis=0), 0, atol=1e-4)


@pytest.mark.parametrize("kind", DATA)
def test_rows_are_mapped_by_themselves_and_saved_with_the_model(kind: str) -> None:
    x, _ = DATA[kind]()
    encoder = Encoder.fit(x, 0, EncoderOptions(kind, **QUICK))
    whole = encoder.transform(x)
    np.testing.assert_allclose(encoder.transform(x[7:9]), whole[7:9], rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(storage.load(storage.dump(encoder)).transform(x), whole)
    if kind != "denoising":
        np.testing.assert_array_equal(encoder.transform(ArrayRows(x.astype(np.float32))), whole)


@pytest.mark.parametrize(
    ("kind", "floor", "epochs"), [("denoising", 0.5, 60), ("kmeans", 0.9, 0), ("vicreg", 0.9, 5), ("masked", 0.7, 5)]
)
def test_a_ridge_head_on_label_free_features_learns(kind: str, floor: float, epochs: int) -> None:
    (x, r), (new, expected) = DATA[kind](400), DATA[kind](200, 1)
    options = {"ridge": 0.01, "encoder": kind, "encoder_width": 200, "encoder_epochs": epochs}
    settings = LearnerSettings(features="encoder", device="cpu", options=options)
    f = make_learner(settings, HERE).fit(x, r, 0).predict(new)
    # A sign and the best line through its number correlate by sqrt(2 / pi) = 0.8: what "masked" can reach.
    correlation = np.corrcoef(f[:, 0], expected[:, 0])[0, 1]
    assert correlation > floor
    if kind == "denoising":  # a line does not see the product
        line = make_learner(LearnerSettings(), HERE).fit(x, r, 0).predict(new)
        assert np.corrcoef(line[:, 0], expected[:, 0])[0, 1] < 0.5 * correlation


def test_nothing_on_the_way_takes_a_label_or_a_residual() -> None:
    for function in (Encoder.fit, KMeansPatches.fit, encoder_training.train, ridge_features, fit_features):
        assert not {"y", "label", "labels", "residual", "target"} & set(inspect.signature(function).parameters)


def test_views_are_averaged() -> None:
    x, _ = images(80)
    both = np.stack([x, x[:, :, ::-1]], axis=1)
    for kind in ("kmeans", "vicreg"):
        encoder = Encoder.fit(both, 0, EncoderOptions(kind, **QUICK))
        np.testing.assert_allclose(encoder.transform(both[:, ::-1]), encoder.transform(both), atol=2e-3)


def test_padding_of_a_series_changes_nothing() -> None:
    x, _ = series()
    encoder = Encoder.fit(x, 0, EncoderOptions("masked", **QUICK))
    full = x[~np.isnan(x).any(axis=(1, 2))]
    longer = np.concatenate([full, np.full((len(full), 3, 2), np.nan)], axis=1)
    np.testing.assert_allclose(encoder.transform(longer), encoder.transform(full), atol=1e-4)


def test_vicreg_keeps_codes_from_collapsing() -> None:
    generator = torch.Generator().manual_seed(0)
    task = VICReg(new_body("vicreg", (1, 6, 5)), (1, 6, 5))  # type: ignore[arg-type]
    x = torch.randn(32, 1, 6, 5)
    varied = task(x, generator).item()
    for parameter in task.expand.parameters():
        torch.nn.init.zeros_(parameter)
    collapsed = task(x, generator).item()
    assert collapsed > varied
    assert collapsed == pytest.approx(25 * 0.99, abs=0.1)  # two hinges of 1 - sqrt(1e-4), halved


def test_disturbed_images_differ_but_stay_images() -> None:
    generator = torch.Generator().manual_seed(0)
    for shape in ((8, 1, 14, 7), (8, 2, 3, 16, 8)):
        x = torch.randn(shape)
        one, other = _disturb(x, generator), _disturb(x, generator)
        assert one.shape == x.shape
        assert torch.isfinite(one).all()
        assert (one != other).any()


def test_atoms_are_unit_directions_and_flat_patches_say_nothing() -> None:
    x, _ = images()
    core = KMeansPatches.fit(x, 0)
    assert core.features(np.zeros_like(x[:1])).shape == core.features(x[:1]).shape
    np.testing.assert_array_equal(core.features(np.full_like(x[:1], 0.0)), core.features(np.zeros_like(x[:1])))
    assert (core.features(x) >= 0).all()


# --- files -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", DATA)
def test_a_file_is_written_once_and_reused(tmp_path: Path, kind: str) -> None:
    x, _ = DATA[kind]()
    options = EncoderOptions(kind, **QUICK, file=tmp_path / "lab.encoder")
    one = Encoder.fit(x, 0, options)
    written = options.file.read_bytes()  # type: ignore[union-attr]
    other = Encoder.fit(x, 99, options)  # another seed would give others, had it been trained
    np.testing.assert_array_equal(other.transform(x), one.transform(x))
    assert options.file.read_bytes() == written  # type: ignore[union-attr]
    assert [p.name for p in tmp_path.iterdir()] == ["lab.encoder"]


def rewrite(path: Path, **changes: object) -> None:
    with np.load(path) as file:
        held = dict(file)
    header = msgspec.json.decode(held["header"].tobytes())
    for name, value in changes.items():
        if name in header:
            header[name] = value
        elif value is None:
            del held[name.replace("__", ".")]
        else:
            held[name.replace("__", ".")] = value
    held["header"] = np.frombuffer(msgspec.json.encode(header), dtype=np.uint8)
    with path.open("wb") as file:
        np.savez(file, **held)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2}, "encoder format 2; this version reads 1"),
        ({"kind": "vicreg"}, "holds a 'vicreg' encoder"),
        ({"inner": [3, 6, 5]}, r"rows of shape \(3, 6, 5\)"),
        ({"atoms": None}, "incomplete or damaged"),
        ({"atoms": np.zeros((5, 7), np.float32)}, "incomplete or damaged"),
        ({"projection__mean": np.full(3, np.nan)}, "infinite values or nan"),
    ],
)
def test_other_encoder_files_are_refused(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    x, _ = images(60)
    options = EncoderOptions("kmeans", **QUICK, file=tmp_path / "e")
    Encoder.fit(x, 0, options)
    rewrite(tmp_path / "e", **changes)
    with pytest.raises(SettingsError, match=message):
        Encoder.fit(x, 0, options)


def test_truncated_and_wide_and_foreign_files_are_refused(tmp_path: Path) -> None:
    x, _ = images(60)
    file = tmp_path / "e"
    Encoder.fit(x, 0, EncoderOptions("kmeans", 64, file=file))
    with pytest.raises(SettingsError, match="encoder_width allows 32"):
        Encoder.fit(x, 0, EncoderOptions("kmeans", 32, file=file))
    whole = file.read_bytes()
    for cut in (0, 10, len(whole) // 2, len(whole) - 10):
        file.write_bytes(whole[:cut])
        with pytest.raises(SettingsError, match="encoder file"):
            Encoder.fit(x, 0, EncoderOptions("kmeans", 64, file=file))
    with file.open("wb") as handle:
        np.savez(handle, x=x)
    with pytest.raises(SettingsError, match="not an encoder file"):
        Encoder.fit(x, 0, EncoderOptions("kmeans", 64, file=file))


def test_training_that_runs_out_of_memory_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> torch.Tensor:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(encoder_training.Masked, "forward", full)
    with pytest.raises(EnvironmentFailure, match="training the encoder, at 256 rows a step"):
        Encoder.fit(series()[0], 0, EncoderOptions("masked"))


# --- options -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"encoder": "pca"}, "accepted: auto, denoising, kmeans, vicreg, masked"),
        ({"encoder_width": 4096}, "8 to 4095"),
        ({"encoder_epochs": -1}, "0 to 10000"),
        ({"encoder_file": ""}, "a path as text"),
    ],
)
def test_bad_encoder_options(options: dict[str, float | int | str | bool], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        make_learner(LearnerSettings(features="encoder", options=options), HERE)


def test_encoder_options_need_an_encoder_and_fitting_rows() -> None:
    with pytest.raises(SettingsError, match="unknown encoder_width for 'linear'; accepted: ridge"):
        make_learner(LearnerSettings(options={"encoder_width": 64}), HERE)
    with pytest.raises(SettingsError, match="'kmeans' does not take series"):
        Encoder.fit(series()[0], 0, EncoderOptions("kmeans"))


def test_tables_without_an_encoder_and_images_with_k_means_never_import_torch() -> None:
    script = """
import sys
import numpy as np
from pathlib import Path
import secure_gal.holdings.party, secure_gal.data.encode_arrays
from secure_gal.learners import make_learner
from secure_gal.settings.party import LearnerSettings
rng = np.random.default_rng(0)
r = rng.normal(size=(60, 1)).astype(np.float32)
make_learner(LearnerSettings(features="auto"), Path(".")).fit(rng.normal(size=(60, 3)), r, 0)
make_learner(LearnerSettings(features="encoder"), Path(".")).fit(rng.normal(size=(60, 1, 6, 4)), r, 0)
assert "torch" not in sys.modules
sys.modules["torch"] = None  # from here on an import fails
try:
    make_learner(LearnerSettings(kind="mlp", device="cpu"), Path("."))
except ImportError as error:
    assert error.name == "torch"
else:
    raise AssertionError("a network was made without torch")
"""
    subprocess.run([sys.executable, "-c", script], check=True)


# --- ciphertexts -------------------------------------------------------------------------------------------------


def test_encrypted_heads_on_images_and_series_give_what_clear_ones_give() -> None:
    (x, r), (s, _) = images(150), series(150)
    learner = LearnerSettings(features="encoder", device="cpu", options={"encoder_width": 31, "encoder_epochs": 1})
    settings = {"rounds": 2, "learners": learner, "weights": "paper"}  # in the clear later rounds leave out less
    blocks, y = [x[..., :3], x[..., 2:], s], ((r[:, 0] > 0) ^ (np.arange(150) % 5 == 0)).astype(int)
    clear = GAL(**settings).fit(blocks, y)  # type: ignore[arg-type]
    sealed = GAL(**settings, residuals="ckks", parameters="standard").fit(blocks, y)  # type: ignore[arg-type]
    # `standard` errs by at most 1e-3 of a residual, which eta multiplies; the next round's residual errs along.
    atol = 2 * 1e-3 * sum(record.eta for record in clear.history_)
    assert atol < 0.05 * np.abs(clear.F_).max()
    np.testing.assert_allclose(sealed.F_, clear.F_, atol=atol)
    np.testing.assert_allclose(sealed.decision_function(blocks), clear.decision_function(blocks), atol=atol)
    assert (clear.predict(blocks) == y).mean() > 0.75
