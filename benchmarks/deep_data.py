"""Loaders of the images, objects and clinical series that `benchmarks.deep` measures on; nothing is downloaded."""

from __future__ import annotations

import io
import lzma
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from benchmarks.accuracy_data import split
from secure_gal.data.arrays import ArrayRows
from secure_gal.data.encode_arrays import ArrayEncoder

Array = npt.NDArray[np.float32]
GRID = (2, 4)
"""Patches down and across: the paper's M=8."""
VIEWS = 12
HOURS = 48
MONITOR = (
    "HR",
    "RespRate",
    "SysABP",
    "DiasABP",
    "MAP",
    "NISysABP",
    "NIDiasABP",
    "NIMAP",
    "Temp",
    "SaO2",
    "Urine",
    "GCS",
    "MechVent",
)
LABORATORY = (
    "BUN",
    "Creatinine",
    "Glucose",
    "HCO3",
    "HCT",
    "K",
    "Na",
    "Mg",
    "Platelets",
    "WBC",
    "ALT",
    "AST",
    "ALP",
    "Bilirubin",
    "Albumin",
    "Lactate",
    "Cholesterol",
    "TroponinI",
    "TroponinT",
)
BLOOD_GAS = ("pH", "PaCO2", "PaO2", "FiO2")
DEMOGRAPHICS = ("Age", "Gender", "Height", "ICUType", "Weight")


@dataclass(frozen=True, slots=True)
class Split:
    """One block a party, the sponsor's first, encoded on the training rows; and what Joint sees as one block."""

    blocks: list[Array]
    joint: Array
    y: npt.NDArray[np.float64] | npt.NDArray[np.int64]
    test_blocks: list[Array]
    test_joint: Array
    test_y: npt.NDArray[np.float64] | npt.NDArray[np.int64]


def mnist(folder: Path, rows: int, test_rows: int, seed: int) -> Split:
    """28 x 28 digits, a patch of 14 x 7 a party; the data set's own test part."""
    with np.load(folder / "mnist/mnist.npz", allow_pickle=False) as file:
        x, y, new, new_y = (file[name] for name in ("X_train", "y_train", "X_test", "y_test"))
    chosen = _first(len(x), rows, seed)
    return patches(x[chosen][:, None], y[chosen], new[:test_rows, None], new_y[:test_rows])


def cifar10(folder: Path, rows: int, test_rows: int, seed: int) -> Split:
    """32 x 32 colour images out of JPEG copies of quality 75, a patch of 16 x 8 a party; the data set's own test
    part."""
    return patches(*cifar10_images(folder, rows, test_rows, seed))


def cifar10_images(folder: Path, rows: int, test_rows: int, seed: int) -> tuple[np.ndarray, ...]:
    """Training images (N, 3, 32, 32) as uint8, their classes (N,), and the same of the test part."""
    parts: list[np.ndarray] = []
    for name, most in (("train", rows), ("test", test_rows)):
        with np.load(io.BytesIO(lzma.open(folder / f"cifar10/cifar10_jpeg_{name}.npz.xz").read())) as file:
            jpeg, offsets, y = file["jpeg"], file["offsets"], file["y"]
        chosen = _first(len(y), most, seed) if name == "train" else np.arange(len(y))[:most]
        parts += [_decode(jpeg, offsets, chosen), y[chosen]]
    return tuple(parts)


def modelnet10(folder: Path, rows: int, test_rows: int, seed: int) -> Split:
    """Depth images (1, 32, 32) of voxel objects from 12 sides, one a party; Joint sees all views, in views."""
    with np.load(folder / "modelnet10/modelnet10.npz", allow_pickle=False) as file:
        x, y, new, new_y = (file[name] for name in ("X_train", "y_train", "X_test", "y_test"))
    chosen = _first(len(x), rows, seed)
    views, new_views = _render(x[chosen]), _render(new[:test_rows])
    blocks, tests = _encoded([(a, b) for a, b in zip(views, new_views, strict=True)])
    return Split(
        blocks,
        np.stack(blocks, axis=1),
        y[chosen].astype(np.int64),
        tests,
        np.stack(tests, axis=1),
        new_y[:test_rows].astype(np.int64),
    )


def physionet(folder: Path, rows: int, test_rows: int, seed: int, target: str) -> Split:
    """First 48 hours in intensive care: monitor (the sponsor), laboratory, blood gas, demographics; 80/20 over
    patients.

    Args:
        target: `In-hospital_death`, or `Length_of_stay` in days (patients without one are left out).
    """
    values, counts, static, outcomes = [], [], [], []
    for name in "ab":
        with tarfile.open(folder / f"physionet2012/set-{name}_with_outcomes.tar.gz") as tar:
            table = pl.read_csv(tar.extractfile(f"Outcomes-{name}.txt").read())  # type: ignore[union-attr]
            wanted = table.filter(pl.col(target) >= 0)
            for record, outcome in zip(wanted["RecordID"], wanted[target], strict=True):
                raw = tar.extractfile(f"set-{name}/{record}.txt").read().decode()  # type: ignore[union-attr]
                hourly, seen, person = _patient(raw)
                values.append(hourly)
                counts.append(seen)
                static.append(person)
                outcomes.append(outcome)
    y = np.array(outcomes, dtype=np.int64 if target == "In-hospital_death" else np.float64)
    series = [
        np.concatenate([np.stack(values)[:, :, at], np.stack(counts)[:, :, [g]]], axis=2)
        for g, at in enumerate(_groups())
    ]
    test, train = split(len(y), seed)
    train, test = train[:rows], test[:test_rows]
    blocks, tests = _encoded([(s[train], s[test]) for s in series])
    person = np.stack(static)
    fill, spread = np.nanmedian(person[train], axis=0), np.nanstd(person[train], axis=0)
    table, new = (np.nan_to_num((person[at] - fill) / spread).astype(np.float32) for at in (train, test))
    joint, test_joint = (
        np.concatenate([*parts, np.repeat(who[:, None], HOURS, axis=1)], axis=2)
        for parts, who in ((blocks, table), (tests, new))
    )
    return Split([*blocks, table], joint, y[train], [*tests, new], test_joint, y[test])


def _first(rows: int, most: int, seed: int) -> npt.NDArray[np.int64]:
    return np.random.default_rng(seed).permutation(rows)[:most]


def patches(x: np.ndarray, y: np.ndarray, new: np.ndarray, new_y: np.ndarray) -> Split:
    """Images (N, C, H, W) to a grid of patches, row by row: the sponsor has the one at the top left."""

    def cut(images: np.ndarray) -> list[np.ndarray]:
        return [part for row in np.split(images, GRID[0], axis=2) for part in np.split(row, GRID[1], axis=3)]

    blocks, tests = _encoded(list(zip(cut(x), cut(new), strict=True)))
    (joint,), (test_joint,) = _encoded([(x, new)])
    return Split(blocks, joint, y.astype(np.int64), tests, test_joint, new_y.astype(np.int64))


def _encoded(pairs: list[tuple[np.ndarray, np.ndarray]]) -> tuple[list[Array], list[Array]]:
    """Training and test rows of each party, as the party's own encoder makes them."""
    trains, tests = [], []
    for train, test in pairs:
        encoder = ArrayEncoder.fit(ArrayRows(train))
        trains.append(np.asarray(encoder.transform(ArrayRows(train))[0]))
        tests.append(np.asarray(encoder.transform(ArrayRows(test))[0]))
    return trains, tests


def _decode(jpeg: np.ndarray, offsets: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    try:
        from PIL import Image
    except ImportError as error:
        raise SystemExit("CIFAR-10 comes as JPEG here: pip install pillow") from error
    images = np.empty((len(chosen), 3, 32, 32), dtype=np.uint8)
    for i, at in enumerate(chosen):
        picture = Image.open(io.BytesIO(jpeg[offsets[at] : offsets[at + 1]].tobytes()))
        images[i] = np.asarray(picture.convert("RGB")).transpose(2, 0, 1)
    return images


def _render(voxels: np.ndarray) -> list[np.ndarray]:
    """VIEWS depth images (N, 1, 32, 32) around the vertical axis: 1 at the front, 0 where the ray meets nothing."""
    size = voxels.shape[1]
    centre = (size - 1) / 2
    across, depth = np.meshgrid(np.arange(size) - centre, np.arange(size) - centre, indexing="ij")
    filled, near = voxels.astype(np.bool_), 1 - np.arange(size, dtype=np.float32) / size
    views = []
    for angle in 2 * np.pi * np.arange(VIEWS) / VIEWS:
        a = np.rint(np.cos(angle) * across - np.sin(angle) * depth + centre).astype(int)
        b = np.rint(np.sin(angle) * across + np.cos(angle) * depth + centre).astype(int)
        inside = (a >= 0) & (a < size) & (b >= 0) & (b < size)
        turned = filled[:, a.clip(0, size - 1), b.clip(0, size - 1)] & inside[None, :, :, None]
        first = turned.argmax(axis=2)
        image = np.where(turned.any(axis=2), near[first], 0.0)
        views.append(image.transpose(0, 2, 1)[:, None].astype(np.float32))
    return views


def _groups() -> list[list[int]]:
    names = [*MONITOR, *LABORATORY, *BLOOD_GAS]
    return [[names.index(name) for name in group] for group in (MONITOR, LABORATORY, BLOOD_GAS)]


def _patient(raw: str) -> tuple[Array, Array, Array]:
    """(hourly means (48, 36), NaN where nothing was measured; measurements a group and hour (48, 3); demographics
    (5,))."""
    names, groups = [*MONITOR, *LABORATORY, *BLOOD_GAS], (MONITOR, LABORATORY, BLOOD_GAS)
    place = {name: i for i, name in enumerate(names)}
    group_of = {name: g for g, group in enumerate(groups) for name in group}
    total, count = np.zeros((HOURS, len(names))), np.zeros((HOURS, len(names)))
    seen, person = (
        np.zeros((HOURS, len(groups)), dtype=np.float32),
        np.full(len(DEMOGRAPHICS), np.nan, dtype=np.float32),
    )
    for line in raw.splitlines()[1:]:
        time, name, text = line.split(",")
        hour, value = min(int(time[:2]), HOURS - 1), float(text)
        if name in DEMOGRAPHICS and time == "00:00":
            if value >= 0:
                person[DEMOGRAPHICS.index(name)] = value
        elif name in place and value >= 0:  # -1 means unknown
            total[hour, place[name]] += value
            count[hour, place[name]] += 1
            seen[hour, group_of[name]] += 1
    with np.errstate(invalid="ignore"):
        return (total / np.where(count > 0, count, np.nan)).astype(np.float32), seen, person
