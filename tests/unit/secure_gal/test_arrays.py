"""Arrays as data: reading with clear errors, lazy rows, encoding, and whole parties over them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from crypto.ckks.secret import SecretContext
from crypto.ckks.sets import PARAMETER_SETS
from secure_gal.data.arrays import ArrayRows
from secure_gal.data.encode_arrays import ArrayEncoder
from secure_gal.data.table import Table, read_table
from secure_gal.errors import DataError, SettingsError, StateError
from secure_gal.features.encoder_kmeans import KMeansPatches
from secure_gal.holdings.encrypted import EncryptedAssistorData
from secure_gal.holdings.party import AssistorData
from secure_gal.holdings.sponsor import SponsorData
from secure_gal.learners import storage
from secure_gal.learners.shared import linked
from secure_gal.learners.torch_trainer import TorchLearner
from secure_gal.settings.party import DataSettings, LearnerSettings, PartySettings
from secure_gal.settings.study import Protect, Study

N = 60
IDS = np.array([f"p{i:02d}" for i in range(N)])


def images(rows: int = N, seed: int = 0) -> np.ndarray:
    """uint8 (rows, 1, 6, 4): the upper half is bright in odd rows."""
    x = np.random.default_rng(seed).integers(0, 80, (rows, 1, 6, 4))
    x[1::2, :, :3] += 120
    return x.astype(np.uint8)


def series(rows: int = N) -> np.ndarray:
    """float32 (rows, 5, 2): column 1 has gaps, row 0 ends after two steps."""
    x = np.random.default_rng(1).normal(3.0, 2.0, (rows, 5, 2)).astype(np.float32)
    x[:, 1, 1] = np.nan
    x[0, 2:] = np.nan
    return x


def write(path: Path, **arrays: object) -> Path:
    np.savez(path, **({"id": IDS, "x": images()} | arrays))  # type: ignore[arg-type]
    return path


def read(path: Path, label: str | None = None) -> Table:
    return read_table(DataSettings(path, "id", label))


# --- reading -----------------------------------------------------------------------------------------------------


def test_npz_with_ids_images_and_label(tmp_path: Path) -> None:
    table = read(write(tmp_path / "a.npz", y=np.arange(N) % 2), "y")
    assert table.ids == IDS.tolist()
    assert table.labels == [0, 1] * (N // 2)
    assert isinstance(table.frame, ArrayRows)
    assert table.frame.shape == (N, 1, 6, 4)
    assert table.frame.width == 24
    np.testing.assert_array_equal(np.asarray(table.frame[[5, 2]]), images()[[5, 2]])


def test_whole_number_ids_read_as_a_table_writes_them(tmp_path: Path) -> None:
    table = read_table(DataSettings(write(tmp_path / "a.npz", id=np.arange(N)), "id"), form="digits")
    assert table.ids[:3] == ["0", "1", "2"]
    assert table.written["id"].to_list()[:3] == ["0", "1", "2"]


def test_npy_is_mapped_and_takes_ids_and_label_from_the_table_beside_it(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", images())
    pl.DataFrame({"id": IDS, "y": [i % 2 for i in range(N)]}).write_csv(tmp_path / "a.csv")
    table = read(tmp_path / "a.npy", "y")
    assert isinstance(table.frame, ArrayRows)
    assert isinstance(table.frame._base, np.memmap)
    assert table.labels == ["0", "1"] * (N // 2)  # as a table's: LabelCodec compares numbers as numbers
    np.testing.assert_array_equal(np.asarray(table.frame[:2]), images()[:2])


def test_ids_alone_for_prediction(tmp_path: Path) -> None:
    np.savez(tmp_path / "ids.npz", id=IDS[:4])
    table = read(tmp_path / "ids.npz")
    assert table.ids == IDS[:4].tolist()
    assert table.frame.width == 0


def test_lengths_and_nan_padding_are_the_same(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(N, 5, 2))
    lengths = np.random.default_rng(1).integers(1, 6, N)
    padded = x.copy()
    padded[np.arange(5) >= lengths[:, None]] = np.nan
    one, other = read(write(tmp_path / "a.npz", x=x, lengths=lengths)), read(write(tmp_path / "b.npz", x=padded))
    np.testing.assert_array_equal(np.asarray(one.frame), np.asarray(other.frame))


def spoilt(value: float, row: int = 7, kind: type = np.float32) -> np.ndarray:
    x = images().astype(kind)
    x[row, 0, 1, 1] = value
    return x


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": spoilt(np.nan)}, "row 8 of x .* not a number"),
        ({"x": spoilt(1e300, kind=np.float64)}, "row 8 of x .* infinite"),
        ({"x": np.full((N, 5, 2), np.inf)}, "row 1 of x"),
        ({"x": np.where(np.arange(N)[:, None, None] == 3, np.nan, series())}, "row 4 of x is an empty series"),
        ({"x": np.zeros((N, 5, 2)), "lengths": np.zeros(N, np.int64)}, "row 1 has length 0"),
        ({"x": np.zeros((N, 5, 2)), "lengths": np.full(N, 6)}, "accepted: 1 to 5"),
        ({"x": np.zeros((N, 5, 2)), "lengths": np.full(N, 2.0)}, "expected whole numbers"),
        ({"lengths": np.ones(N, np.int64)}, "holds images; leave it out"),
        ({"x": np.zeros((N, 3))}, "expected series"),
        ({"x": np.zeros((N, 0, 2))}, "nothing empty"),
        ({"x": np.zeros((N, 1, 6, 4), dtype=np.complex128)}, "type complex128"),
        ({"x": np.zeros((N, 1, 6, 4), dtype="U1")}, "whole or floating"),
        ({"x": np.zeros((N, 1, 6, 4), dtype=np.bool_)}, "type bool"),
        ({"id": IDS[:-1]}, "'id' has shape"),
        ({"y": np.zeros((N, 5))}, r"'y' has shape \(60, 5\); .* give every step an id of its own"),
        ({"y": np.zeros(N, dtype=np.complex128)}, "'y' has type complex128"),
        ({"y": np.where(np.arange(N) == 2, np.nan, 1.0)}, "row 3 has no label"),
        ({"id": np.arange(N, dtype=np.float64)}, "'id' has type float64"),
        ({"id": np.array(["p"] * N)}, "more than once"),
        ({"id": np.array(["", *IDS[1:]])}, "row 1 has no id"),
        ({"id": IDS.astype(object)}, "Python objects"),
        ({"weight": np.ones(N)}, "no meaning here: weight"),
    ],
)
def test_bad_arrays(tmp_path: Path, arrays: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(write(tmp_path / "a.npz", **arrays), "y" if "y" in arrays else None)


def test_objects_never_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return (tmp_path.joinpath("ran").touch, ())

    write(tmp_path / "a.npz", id=np.array([Trap()] * N, dtype=object))
    np.save(tmp_path / "b.npy", np.array([Trap()] * N, dtype=object), allow_pickle=True)
    for name in ("a.npz", "b.npy"):
        with pytest.raises(DataError):
            read(tmp_path / name)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["a.npz", "a.npy"])
def test_unreadable_files(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="no such file"):
        read(tmp_path / name)
    (tmp_path / name).write_bytes(b"not an array")
    with pytest.raises(DataError, match="cannot be read"):
        read(tmp_path / name)
    if name == "a.npz":
        whole = write(tmp_path / "b.npz").read_bytes()
        (tmp_path / name).write_bytes(whole[: len(whole) // 2])
        with pytest.raises(DataError, match="cannot be read"):
            read(tmp_path / name)


def test_npy_without_a_fitting_table(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", images())
    with pytest.raises(DataError, match=r"needs its ids in a table beside it: a\.csv"):
        read(tmp_path / "a.npy")
    pl.DataFrame({"id": IDS[:-1]}).write_csv(tmp_path / "a.csv")
    with pytest.raises(DataError, match=r"59 rows and a\.npy has 60"):
        read(tmp_path / "a.npy")
    pl.DataFrame({"id": IDS, "age": [1] * N}).write_csv(tmp_path / "a.csv")
    with pytest.raises(DataError, match="other columns: age"):
        read(tmp_path / "a.npy")


# --- lazy rows and encoding --------------------------------------------------------------------------------------


def test_choosing_rows_twice_is_choosing_them_once() -> None:
    x = images().astype(np.float32)
    rows = ArrayRows(x)
    mask = np.arange(N) % 3 == 0
    np.testing.assert_array_equal(np.asarray(rows[mask][2:5][[1, 0]]), x[mask][2:5][[1, 0]])
    assert len(rows[[]]) == 0
    assert rows[mask].shape == (20, 1, 6, 4)


def test_images_are_standardised_on_training_rows_only() -> None:
    rows = ArrayRows(images())
    encoder = ArrayEncoder.fit(rows[:30])
    x = np.asarray(encoder.transform(rows)[0])
    assert abs(float(x[:30].mean())) < 1e-5
    assert float(x[:30].std()) == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(x[40] * encoder.scale[0] + encoder.mean[0], images()[40], rtol=1e-5)


def test_series_keep_their_padding_and_get_columns_for_gaps() -> None:
    rows = ArrayRows(series())
    encoder = ArrayEncoder.fit(rows)
    x = np.asarray(encoder.transform(rows)[0])
    assert encoder.gaps == (1,)
    assert x.shape == (N, 5, 3)
    assert np.isnan(x[0, 2:]).all()
    assert np.isfinite(x[1:]).all()
    np.testing.assert_array_equal(x[1, :, 2], [1, 0, 1, 1, 1])
    assert x[1, 1, 1] == x[1, 0, 1]  # carried forward
    first_missing = series()[:3]
    first_missing[1, 0, 1] = np.nan
    assert np.asarray(encoder.transform(ArrayRows(first_missing))[0])[1, 0, 1] == 0  # the mean


def test_other_shapes_and_constant_arrays_are_refused() -> None:
    encoder = ArrayEncoder.fit(ArrayRows(images()))
    with pytest.raises(DataError, match="trained on"):
        encoder.transform(ArrayRows(images()[:, :, :5]))
    longer = np.concatenate([series(), series()], axis=1)
    on_series = ArrayEncoder.fit(ArrayRows(series()))
    assert on_series.transform(ArrayRows(longer))[0].shape == (N, 10, 3)
    with pytest.raises(DataError, match="trained on"):
        on_series.transform(ArrayRows(series()[:, :, :1]))
    with pytest.raises(DataError, match="nothing to learn"):
        ArrayEncoder.fit(ArrayRows(np.full((N, 1, 6, 4), 3.0)))


# --- parties -----------------------------------------------------------------------------------------------------

SMALL_CNN = LearnerSettings(kind="cnn", device="cpu", options={"blocks": 1, "width": 4, "epochs": 2})
STUDY = Study("s", "classification", "hospital", "tcp://x:1", ("lab",), rounds=2, protect=Protect(ids="clear"))


def party(folder: Path, name: str, path: Path, learner: LearnerSettings) -> PartySettings:
    run_dir = folder / name
    run_dir.mkdir(exist_ok=True)
    label = "y" if name == "hospital" else None
    return PartySettings(folder / "study.toml", name, folder, run_dir, DataSettings(path, "id", label), learner=learner)


def assistor(folder: Path, learner: LearnerSettings = SMALL_CNN, **arrays: object) -> AssistorData:
    path = write(folder / "lab.npz", **arrays)
    return AssistorData(party(folder, "lab", path, learner), STUDY, folder, lambda text: None)


@pytest.mark.parametrize("learner", [SMALL_CNN, LearnerSettings(features="encoder")])
def test_a_party_with_images_fits_saves_and_predicts_what_it_fitted(tmp_path: Path, learner: LearnerSettings) -> None:
    model = assistor(tmp_path, learner)
    train = np.arange(N) % 4 != 0
    encoder = model.prepare(np.arange(N), train)
    residual = np.where(np.arange(N) % 2, 0.5, -0.5)[train, None].astype(np.float32)
    saved, fitted = model.fit_round(1, residual)
    assert fitted.shape == (N, 1)
    known, part = model.predict(("p04", "nobody", "p08"), encoder, [saved], np.array([2.0]), 1)
    assert known.tolist() == [1, 0, 1]
    np.testing.assert_allclose(part[[0, 2], 0], 2 * fitted[[4, 8], 0], rtol=1e-4, atol=1e-6)
    assert part[1, 0] == 0


def test_a_sponsor_with_mapped_images_takes_labels_from_the_table(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", images())
    pl.DataFrame({"id": IDS, "y": [i % 2 for i in range(N)]}).write_csv(tmp_path / "a.csv")
    settings = party(tmp_path, "hospital", tmp_path / "a.npy", LearnerSettings(features="encoder"))
    model = SponsorData(settings, STUDY, tmp_path, lambda text: None)
    model.prepare(np.arange(N), np.ones(N, dtype=np.bool_))
    alone = model.alone()
    assert ((alone.F[:, 0] > 0) == (np.arange(N) % 2 == 1)).mean() > 0.95


@pytest.mark.parametrize(
    ("learner", "x", "message"),
    [
        (LearnerSettings(kind="lstm"), images(), "'lstm' does not take images .* accepted for it: cnn, linear"),
        (LearnerSettings(kind="cnn"), series(), "accepted for it: gru, linear, lstm"),
        (LearnerSettings(kind="gb"), images(), "'gb' does not take images"),
        (LearnerSettings(), images(), "'standardized' does not take images"),
        (LearnerSettings(features=("fourier", "encoder")), images(), "'fourier' does not take images"),
    ],
)
def test_learners_that_do_not_fit_the_arrays(
    tmp_path: Path, learner: LearnerSettings, x: np.ndarray, message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        assistor(tmp_path, learner, x=x)


def test_a_cnn_on_a_table_is_refused(tmp_path: Path) -> None:
    pl.DataFrame({"id": IDS, "a": np.arange(N)}).write_csv(tmp_path / "lab.csv")
    with pytest.raises(SettingsError, match="'cnn' does not take a table"):
        AssistorData(party(tmp_path, "lab", tmp_path / "lab.csv", SMALL_CNN), STUDY, tmp_path, lambda text: None)


def test_a_table_where_the_model_was_trained_on_arrays(tmp_path: Path) -> None:
    model = assistor(tmp_path)
    encoder = model.prepare(np.arange(N), np.ones(N, dtype=np.bool_))
    saved, _ = model.fit_round(1, np.ones((N, 1), dtype=np.float32))
    pl.DataFrame({"id": IDS, "a": np.arange(N)}).write_csv(tmp_path / "lab.csv")
    table = read(tmp_path / "lab.csv")
    with pytest.raises(DataError, match="holds a table, but the model was trained on arrays"):
        model.part(table, ("p01",), storage.load(encoder), [saved], np.ones(1), 1)


# --- one map for all rounds, over a crash ------------------------------------------------------------------------

SHARED = LearnerSettings(
    kind="cnn", device="cpu", options={"blocks": 1, "width": 4, "epochs": 2, "share_extractor": True}
)
HEADS = LearnerSettings(features="encoder", options={"encoder_width": 31})
SMOOTH_HEADS = LearnerSettings(loss="l4", features="encoder", options={"encoder_width": 31, "ridge": 0.1})


@pytest.mark.parametrize("learner", [SHARED, HEADS, SMOOTH_HEADS])
def test_a_map_survives_the_process_and_is_saved_once(
    tmp_path: Path, learner: LearnerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    residuals = np.random.default_rng(0).normal(size=(3, 45, 1)).astype(np.float32)

    def fresh() -> tuple[AssistorData, bytes]:
        model = assistor(tmp_path, learner)
        return model, model.prepare(np.arange(N), train)

    train = np.arange(N) % 4 != 0
    model, encoder = fresh()
    whole = [model.fit_round(t + 1, residuals[t]) for t in range(3)]
    saved = [raw for raw, _ in whole]
    assert len(saved[0]) > 3 * len(saved[1])
    monkeypatch.setattr(KMeansPatches, "fit", lambda *_: pytest.fail("features were computed anew"))
    monkeypatch.setattr(TorchLearner, "fit", lambda *_: pytest.fail("an extractor was trained anew"))
    resumed, _ = fresh()
    again = resumed.fit_round(3, residuals[2])
    np.testing.assert_array_equal(again[1], whole[2][1])
    assert again[0] == saved[2]
    _, part = resumed.predict(tuple(IDS), encoder, saved, np.ones(3), 1)
    expected = sum(fitted for _, fitted in whole)
    np.testing.assert_allclose(part[~train], expected[~train], rtol=1e-4, atol=1e-5)
    with pytest.raises(StateError, match="without the map"):
        storage.load(saved[1]).predict(images().astype(np.float32))


def test_heads_of_two_maps_do_not_mix(tmp_path: Path) -> None:
    saved = []
    for width in (31, 15):
        model = assistor(tmp_path, LearnerSettings(features="encoder", options={"encoder_width": width}))
        model.prepare(np.arange(N), np.ones(N, dtype=np.bool_))
        saved.append([model.fit_round(t, np.ones((N, 1), dtype=np.float32))[0] for t in (1, 2)])
    assert len(linked(saved[0])) == 2
    with pytest.raises(SettingsError, match="another feature map"):
        linked([saved[0][0], saved[1][1]])


@pytest.mark.parametrize("learner", [SHARED, HEADS])
def test_a_missing_or_foreign_map_is_an_error(tmp_path: Path, learner: LearnerSettings) -> None:
    model = assistor(tmp_path, learner)
    model.prepare(np.arange(N), np.ones(N, dtype=np.bool_))
    with pytest.raises(SettingsError, match="train anew"):
        model.fit_round(2, np.ones((N, 1), dtype=np.float32))
    (tmp_path / "lab" / "shared.model").write_bytes(b"secure-gal model 1\n of another version")
    with pytest.raises(SettingsError, match="another format"):
        model.fit_round(2, np.ones((N, 1), dtype=np.float32))


def test_a_sponsor_that_died_after_its_last_round_finds_its_map(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a.npz", y=np.arange(N) % 2)
    settings = party(tmp_path, "hospital", path, HEADS)

    def fresh() -> SponsorData:
        model = SponsorData(settings, STUDY, tmp_path, lambda text: None)
        model.prepare(np.arange(N), np.ones(N, dtype=np.bool_))
        return model

    model = fresh()
    model.fit_round(1, model.ensemble(("hospital",)).residual())
    expected = model.alone().F
    monkeypatch.setattr(KMeansPatches, "fit", lambda *_: pytest.fail("features were computed anew"))
    np.testing.assert_array_equal(fresh().alone().F, expected)


# --- encrypted heads over arrays ---------------------------------------------------------------------------------


def test_an_encrypted_assistor_answers_from_images_what_ridge_answers(tmp_path: Path) -> None:
    study = Study(
        "s",
        "classification",
        "hospital",
        "tcp://x:1",
        ("lab",),
        protect=Protect(ids="clear", residuals="ckks", parameters="fast"),
    )
    learner = LearnerSettings(features="encoder", options={"encoder_width": 31, "encoder_file": "lab.encoder"})
    path = write(tmp_path / "lab.npz")
    model = EncryptedAssistorData(party(tmp_path, "lab", path, learner), study, tmp_path, lambda text: None)
    train = np.arange(N) % 4 != 0
    saved = model.prepare(np.arange(N), train)
    assert (tmp_path / "lab.encoder").exists()
    cipher = SecretContext.generate(PARAMETER_SETS["fast"])
    keys = cipher.public_keys(model.padded)
    model.use_keys(keys, "hospital")
    combination = np.random.default_rng(0).uniform(-1, 1, (int(train.sum()), 1))
    head = model.head(cipher.encrypt(combination), 1, "hospital")
    known, replies = model.answer(("p03", "nobody", "p08"), saved, keys, head, 1, "hospital")
    encoder, features = storage.load(saved)
    u = features.transform(encoder.transform(model.table.frame)[0])
    assert known.tolist() == [1, 0, 1]
    expected = (u @ (u[train].T @ combination))[[3, 8]]
    np.testing.assert_allclose(cipher.decrypt(replies, 3, 1, "lab")[[0, 2]], expected, atol=2e-3)
