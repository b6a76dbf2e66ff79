"""A hospital of 200 rows whose label no linear model finds, and a study that is judged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl

from secure_gal.gal.split import split_rows
from secure_gal.holdings.sponsor import SponsorData
from secure_gal.measures.evaluation import Evaluation
from secure_gal.protection import sponsor_data
from secure_gal.settings.party import DataSettings, LearnerSettings, PartySettings
from secure_gal.settings.report import ReportSettings
from secure_gal.settings.study import Study
from tests.support.study_in_memory import study

N = 200
RNG = np.random.default_rng(5)
X = RNG.standard_normal((N, 3))
SICK = X[:, 0] * X[:, 1] + 0.3 * RNG.standard_normal(N) > 0  # no linear model finds it, trees do
SEX = np.where(np.arange(N) % 5 < 2, "m", "f")


def hospital(folder: Path, report: ReportSettings, y: Any = None, **data: Any) -> PartySettings:
    labels = np.where(SICK, "yes", "no") if y is None else y
    columns = {f"c{j}": X[:, j] for j in range(3)} | {"sex": SEX, "y": labels}
    pl.DataFrame({"id": [f"r{i:03}" for i in range(N)]} | columns).write_csv(folder / "hospital.csv")
    (folder / "run").mkdir(exist_ok=True)
    settings = DataSettings(folder / "hospital.csv", "id", "y", **data)
    return PartySettings(
        folder / "study.toml", "hospital", folder, folder / "run", settings, learner=LearnerSettings(), report=report
    )


def of_classes(**changes: Any) -> Study:
    return study(**({"task": "classification", "weights": "fitted", "validation": 0.0} | changes))


def prepared_model(folder: Path, report: ReportSettings, learner: str = "linear") -> SponsorData:
    party = msgspec.structs.replace(hospital(folder, report), learner=LearnerSettings(learner))
    model = sponsor_data(party, of_classes(validation=0.3), folder, print)
    model.prepare(np.arange(N), split_rows(N, 0.3, 0))
    return model


def evaluated(folder: Path, report: ReportSettings, the_study: Study, **more: Any) -> Evaluation | None:
    """Of a study whose assistor knows the answer, nearly."""
    model = sponsor_data(hospital(folder, report, **more), the_study, folder, print)
    train = split_rows(N, the_study.validation, 0)
    model.prepare(np.arange(N), train)
    made, alone = model.ensemble(("hospital", "lab")), model.alone()
    rng = np.random.default_rng(1)
    truth = (SICK - 0.5)[:, None] if the_study.task == "classification" else (np.asarray(model.y) - 0.0)
    while not made.finished:
        hint = 0.4 * truth + 0.5 * rng.standard_normal((N, 1))
        made.commit({"hospital": np.zeros((N, 1), dtype=np.float32), "lab": hint.astype(np.float32)})
    return model.evaluate(made, alone)


def by_name(found: Evaluation) -> dict[str, Any]:
    return {m.name: m for m in found.metrics}
