"""PhysioNet/CinC 2012: the first 48 hours of patients in intensive care, in place of the paper's MIMIC-III."""

from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.paper.data.encoded import Array, encoded
from benchmarks.paper.data.split import Asked, Split, eighty_twenty

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


def physionet(folder: Path, asked: Asked, target: str) -> Split:
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
                hourly, seen, person = patient(raw)
                values.append(hourly)
                counts.append(seen)
                static.append(person)
                outcomes.append(outcome)
    y = np.array(outcomes, dtype=np.int64 if target == "In-hospital_death" else np.float64)
    series = [
        np.concatenate([np.stack(values)[:, :, at], np.stack(counts)[:, :, [g]]], axis=2)
        for g, at in enumerate(_groups())
    ]
    test, train = eighty_twenty(len(y), asked.seed)
    train, test = train[: asked.rows or None], test[: asked.test_rows or None]
    blocks, tests = encoded([(s[train], s[test]) for s in series])
    person = np.stack(static)
    fill, spread = np.nanmedian(person[train], axis=0), np.nanstd(person[train], axis=0)
    table, new = (np.nan_to_num((person[at] - fill) / spread).astype(np.float32) for at in (train, test))
    joint, test_joint = (
        np.concatenate([*parts, np.repeat(who[:, None], HOURS, axis=1)], axis=2)
        for parts, who in ((blocks, table), (tests, new))
    )
    return Split([*blocks, table], joint, y[train], [*tests, new], test_joint, y[test])


def _groups() -> list[list[int]]:
    names = [*MONITOR, *LABORATORY, *BLOOD_GAS]
    return [[names.index(name) for name in group] for group in (MONITOR, LABORATORY, BLOOD_GAS)]


def patient(raw: str) -> tuple[Array, Array, Array]:
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
