"""Arrays as data: reading with clear errors, lazy rows and encoding."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from secure_gal.data.arrays import ArrayRows
from secure_gal.data.encode_arrays import ArrayEncoder
from secure_gal.data.table import read_table
from secure_gal.errors import DataError
from secure_gal.settings.party import DataSettings
from tests.support.arrays import IDS, N, images, read, series, write

# --- reading ----------------------------------------------------------------------------------------------------------


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


# --- lazy rows and encoding -------------------------------------------------------------------------------------------


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
