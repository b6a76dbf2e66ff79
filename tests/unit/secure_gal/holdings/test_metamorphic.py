"""The same people in tables that are written otherwise: F and predictions are equal, bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

from secure_gal.holdings.assistor import AssistorData
from secure_gal.holdings.sponsor import SponsorData
from secure_gal.learners import storage
from secure_gal.settings.party import DataSettings, LearnerSettings, PartySettings
from secure_gal.settings.study import Study

N = 120
STUDY = Study(name="s", task="classification", sponsor="hospital", address="tcp://h:1", assistors=("lab",), rounds=3)


def people() -> dict[str, pl.DataFrame]:
    rng = np.random.default_rng(5)
    ids = [f"p{i:03d}" for i in rng.permutation(N)]
    age, dose = rng.integers(20, 90, N), rng.normal(size=N).round(3)
    visits = [None if rng.random() < 0.1 else f"{v}" for v in rng.integers(0, 4000, N)]
    ward = rng.choice(["Zürich", "Bern", "Genève"], N)
    risk = 0.05 * (age - 55) + dose + (ward == "Bern") + rng.logistic(size=N)
    sponsor = {"id": ids, "age": [f"{a}" for a in age], "visits": visits, "ward": ward.tolist()}
    sponsor["y"] = ["yes" if z > 0 else "no" for z in risk]
    lab = {"id": ids[::-1], "dose": [f"{d}" for d in dose[::-1]]}
    return {"hospital": pl.DataFrame(sponsor), "lab": pl.DataFrame(lab)}


Write = Callable[[pl.DataFrame, Path], DataSettings]


def csv(frame: pl.DataFrame, path: Path, **said: object) -> DataSettings:
    frame.write_csv(path)
    return DataSettings(path, "id", "y" if "y" in frame.columns else None, **said)  # type: ignore[arg-type]


def rewritten(change: Callable[[str], str], encoding: str = "utf-8") -> Write:
    def write(frame: pl.DataFrame, path: Path) -> DataSettings:
        data = csv(frame, path)
        path.write_bytes(change(path.read_text()).encode(encoding))
        return data

    return write


def parquet(frame: pl.DataFrame, path: Path) -> DataSettings:
    numbers = [pl.col(name).cast(pl.Float64) for name in frame.columns if name in ("age", "visits", "dose")]
    frame.with_columns(numbers).write_parquet(path.with_suffix(".parquet"))
    return DataSettings(path.with_suffix(".parquet"), "id", "y" if "y" in frame.columns else None)


def added(frame: pl.DataFrame, path: Path) -> DataSettings:
    taken = tuple(name for name in frame.columns if name not in ("id", "y"))
    return csv(frame.with_columns(other=pl.Series(range(N)) % 7), path, columns=taken)


WAYS: dict[str, Write] = {
    "rows in another order": lambda frame, path: csv(frame[::-1], path),
    "columns in another order": lambda frame, path: csv(frame[frame.columns[::-1]], path),
    "semicolons and decimal commas": rewritten(lambda text: text.replace(",", ";").replace(".", ",")),
    "tabs": rewritten(lambda text: text.replace(",", "\t")),
    "blanks after commas": rewritten(lambda text: text.replace(",", ", ")),
    "Windows line ends": rewritten(lambda text: text.replace("\n", "\r\n")),
    "cp1252": rewritten(lambda text: text, "cp1252"),
    "UTF-16": rewritten(lambda text: text, "utf-16"),
    "a marker": rewritten(lambda text: text.replace(",,", ",NULL,")),
    "a comment": rewritten(lambda text: f"# exported\n{text}"),
    "Parquet": parquet,
    "a column added that may not take part": added,
}


@dataclass
class Learnt:
    f: npt.NDArray[np.float64]
    models: dict[str, tuple[DataSettings, bytes, list[bytes]]]
    coefficients: dict[str, npt.NDArray[np.float64]]


def party(name: str, folder: Path, data: DataSettings) -> PartySettings:
    learner = LearnerSettings(kind="linear")
    return PartySettings(folder / "study.toml", name, folder, folder / "run", data, learner=learner)


def learn(folder: Path, how: Write) -> Learnt:
    """GAL over both tables as a study with clear ids runs it: rows in the sponsor's order."""
    folder.mkdir()
    frames = people()
    data = {name: how(frame, folder / f"{name}.csv") for name, frame in frames.items()}
    sponsor = SponsorData(party("hospital", folder, data["hospital"]), STUDY, folder, lambda text: None)
    lab = AssistorData(party("lab", folder, data["lab"]), STUDY, folder, lambda text: None)
    train = np.arange(N) % 5 > 0
    where = {entity: i for i, entity in enumerate(lab.ids)}
    encoders = {
        "hospital": sponsor.prepare(np.arange(N), train),
        "lab": lab.prepare(np.array([where[entity] for entity in sponsor.ids]), train),
    }
    ensemble = sponsor.ensemble(("hospital", "lab"))
    saved: dict[str, list[bytes]] = {"hospital": [], "lab": []}
    for t in range(1, 4):
        residual, fitted = ensemble.residual(), {}
        for name, model in (("hospital", sponsor), ("lab", lab)):
            raw, fitted[name] = model.fit_round(t, residual)
            saved[name].append(raw)
        ensemble.commit(fitted)
    kept = {name: ensemble.coefficients(name) for name in saved}
    models = {name: (data[name], encoders[name], raws[: ensemble.kept]) for name, raws in saved.items()}
    return Learnt(ensemble.F, models, kept)


def parts(folder: Path, learnt: Learnt, how: Write, chosen: list[str]) -> dict[str, list[float]]:
    """The lab's part of a prediction for some people, from a table that holds them alone."""
    _, encoder, models = learnt.models["lab"]
    frame = people()["lab"].filter(pl.col("id").is_in(chosen))
    data = how(frame, folder / f"new{len(chosen)}.csv")
    lab = AssistorData(party("lab", folder, data), STUDY, folder, lambda text: None)
    known, part = lab.part(lab.table, tuple(chosen), storage.load(encoder), models, learnt.coefficients["lab"], 1)
    assert known.all()
    return dict(zip(chosen, part.tolist(), strict=True))


@pytest.mark.parametrize("way", list(WAYS))
def test_f_and_predictions_do_not_hang_on_how_a_table_is_written(tmp_path: Path, way: str) -> None:
    base, other = learn(tmp_path / "base", csv), learn(tmp_path / "other", WAYS[way])
    assert np.array_equal(base.f, other.f) and np.ptp(base.f) > 0
    ids = sorted(people()["lab"]["id"].to_list())
    whole = parts(tmp_path / "base", base, csv, ids)
    some = ids[::7] if way != "a column added that may not take part" else ids
    assert parts(tmp_path / "other", other, WAYS[way], some) == {entity: whole[entity] for entity in some}


def test_split_batches_are_the_batch(tmp_path: Path) -> None:
    learnt = learn(tmp_path / "base", csv)
    ids = sorted(people()["lab"]["id"].to_list())
    whole = parts(tmp_path / "base", learnt, csv, ids)
    for size in (1, 7, 50):
        split = [parts(tmp_path / "base", learnt, csv, ids[i : i + size]) for i in range(0, N, size)]
        assert {k: v for batch in split for k, v in batch.items()} == whole
