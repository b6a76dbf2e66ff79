"""This party's own code on a sample of its own rows, timed: what a whole study takes is reckoned from it.

CPU seconds, of this process: they mean the same on a machine that does other work besides.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from secure_gal.gal.contributions import contributions
from secure_gal.gal.ensemble import Ensemble
from secure_gal.gal.split import split_rows
from secure_gal.holdings import own_model
from secure_gal.holdings.assistor import AssistorData
from secure_gal.holdings.party import PartyModel
from secure_gal.holdings.sponsor import SponsorData
from secure_gal.learners.cross_fit import FOLDS
from secure_gal.measures.bootstrap import draws_of
from secure_gal.settings.party import PartySettings
from secure_gal.settings.study import Study

FEW, MANY = 1024, 4096
"""Rows of the two samples; in between and beyond, time is taken as a line."""
BESIDE_OWN = 1.5
"""The evaluation takes so many times as long where an own model is evaluated beside the study and the sponsor alone."""
CELLS = 1_000_000
"""Of the sample that the table's encoding and one fit of the sponsor's own model are timed on."""
Result = TypeVar("Result")


class Pace(NamedTuple):
    """CPU seconds of a party.

    Attributes:
        imports: of libraries that the first round and the results need.
        prepare: encoding all rows.
        first, later: a fit of its own in round 1, and in every later one.
        commit: of a round, at the sponsor.
        results: what comes after the last round, at the sponsor.
    """

    imports: float
    prepare: float
    first: float
    later: float
    commit: float = 0.0
    results: float = 0.0


class _Clock:
    def __init__(self) -> None:
        self.taken: dict[str, float] = {}

    def __call__(self, what: str, work: Callable[[], Result]) -> Result:
        began = time.process_time()
        result = work()
        self.taken[what] = time.process_time() - began
        return result


class Rehearsal:
    """What was timed, and what it means for a study of so many rows.

    Args:
        study: whose rounds are rehearsed.
        most: rows that may take part, at most.
    """

    def __init__(self, study: Study, most: int) -> None:
        self._study = study
        self._once = _Clock()
        self._samples: dict[int, _Clock] = {}
        self._counts = sorted({min(FEW, most), min(MANY, most)})
        self._large, self._own_fits = 1, 0.0

    def assistor(self, model: AssistorData) -> None:
        """Time an assistor whose fits are in the clear."""
        self._prepare(model)
        for count in self._counts:
            timed = self._samples[count] = _Clock()
            chosen, train = _sample(model, self._study, count)
            model.prepare(chosen, train)
            residual = _noise((int(train.sum()), self._study.k))
            for round_, name in enumerate(("first", "later"), start=1):
                timed(name, partial(model.local.fit_round, round_, residual))

    def sponsor(self, model: SponsorData, party: PartySettings) -> None:
        """Time a sponsor; `party` is its file as it is."""
        self._once("imports", lambda: _import(party))
        self._prepare(model)
        self._own_fits = _own_model(model, self._study, party, self._once)
        for count in self._counts:
            self._samples[count] = _rounds(model, self._study, party.party, count)

    def pace(self, rows: int) -> Pace:
        """CPU seconds of a study of so many rows."""
        once, at = self._once.taken, max(self._samples)
        own = once.get("own", 0.0) * self._own_fits * rows / self._large
        draws = draws_of(rows) / draws_of(at)
        bootstrap = self._line("evaluation", rows) * draws * (BESIDE_OWN if own else 1.0)
        results = own + bootstrap + self._line("alone", rows) + self._line("contributions", rows)
        fits = self._line("first", rows), self._line("later", rows)
        prepare = once["prepare"] * rows / self._large
        return Pace(once.get("imports", 0.0), prepare, *fits, self._line("commit", rows), results)

    def _prepare(self, model: AssistorData | SponsorData) -> None:
        """Encode as many rows as CELLS allow, all for training."""
        width = max(1, model.table.frame.shape[1])
        self._large = count = max(2, min(len(model.ids), CELLS // width))
        chosen = np.linspace(0, len(model.ids) - 1, count).astype(np.int64)
        self._once("prepare", lambda: model.prepare(chosen, np.ones(count, dtype=np.bool_)))

    def _line(self, what: str, rows: int) -> float:
        """Through the two samples, at so many rows; never falling."""
        few, many = min(self._samples), max(self._samples)
        at_few, at_many = (self._samples[count].taken.get(what, 0.0) for count in (few, many))
        slope = max(0.0, (at_many - at_few) / (many - few)) if many > few else at_many / many
        return max(0.0, at_many + slope * (rows - many))


def _rounds(model: SponsorData, study: Study, me: str, count: int) -> _Clock:
    """Two rounds with assistors who answer noise, and what comes after the last."""
    timed = _Clock()
    chosen, train = _sample(model, study, count)
    model.prepare(chosen, train)
    parties = study.parties if model.fits else study.assistors
    made = model.ensemble(parties)
    for round_, name in enumerate(("first", "later"), start=1):
        residual = made.residual()
        fitted = {peer: _near(residual, train) for peer in study.assistors}
        if model.fits:
            fitted[me] = timed(name, partial(model.local.fit_round, round_, residual))[1]
        timed("commit", partial(made.commit, fitted))
    alone: Ensemble = timed("alone", model.alone)
    timed("contributions", lambda: contributions(made, study.seed))
    timed("evaluation", lambda: model.evaluate(made, alone))
    return timed


def _own_model(model: SponsorData, study: Study, party: PartySettings, clock: _Clock) -> float:
    """Time one fit of the sponsor's best own model on the prepared rows; returns how many there will be, whole."""
    x = model.local.x if model.fits else None
    if not party.report.own_model or x is None or own_model.refused(x):
        return 0.0
    folds = model.folds or FOLDS
    held = np.arange(len(x)) % folds == 0
    about = (study.loss_name, len(model.codec.classes), study.seed)
    equal = np.ones(int((~held).sum()))
    clock("own", lambda: own_model.fitted(x[~held], model.y[~held], equal, x[held], *about))
    return folds * (1.0 - study.validation) + (study.validation > 0)


def _import(party: PartySettings) -> None:
    import scipy.optimize  # noqa: F401

    if party.report.own_model:
        import sklearn.ensemble  # noqa: F401


def _sample(model: PartyModel, study: Study, count: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Rows of the table, evenly spaced, and a training mask."""
    count = min(count, len(model.ids))
    return np.linspace(0, len(model.ids) - 1, count).astype(np.int64), split_rows(count, study.validation, study.seed)


def _noise(shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def _near(residual: npt.NDArray[Any], train: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """Fitted values that explain something of a residual, so that a round is kept."""
    fitted = 0.3 * _noise((len(train), residual.shape[1])) * float(residual.std())
    fitted[train] += 0.3 * residual
    return fitted.astype(np.float32)


def quiet(party: PartySettings) -> PartySettings:
    """As a rehearsal takes it: nothing is written to the run directory, and no own model is fitted on samples."""
    report = msgspec.structs.replace(party.report, own_model=False)
    return msgspec.structs.replace(party, run_dir=party.run_dir / "rehearsal", report=report)
