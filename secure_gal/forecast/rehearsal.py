"""This party's own code on a sample of its own rows, timed: what a whole study takes is reckoned from it.

CPU seconds, of this process: they mean the same on a machine that does other work besides.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from secure_gal.data.arrays import ArrayRows
from secure_gal.forecast import ciphertexts, encoders, networks
from secure_gal.forecast.timings import Sample, Timings, Training
from secure_gal.gal.contributions import contributions
from secure_gal.gal.ensemble import Ensemble
from secure_gal.gal.split import split_rows
from secure_gal.holdings import own_model
from secure_gal.holdings.assistor import AssistorData
from secure_gal.holdings.party import PartyHolding
from secure_gal.holdings.sponsor import SponsorData
from secure_gal.learners.base import as_table
from secure_gal.learners.cross_fit import FOLDS
from secure_gal.learners.kinds.linear import ridge_strength
from secure_gal.settings.party import LearnerSettings, PartySettings
from secure_gal.settings.study import Study

if TYPE_CHECKING:
    from secure_gal.learners.torch_options import TorchOptions

FEW, MANY, WIDENING = 1024, 4096, 12_288
"""Rows of the two samples; of the larger one of a table whose ridge basis widens with its rows."""
LEAST = 64
"""Rows of the sample that tells whether a network takes long."""
CELLS = 1_000_000
"""Of the sample that the table's encoding and one fit of the sponsor's own model are timed on."""
Holding = AssistorData | SponsorData
Result = TypeVar("Result")


class _Clock:
    def __init__(self) -> None:
        self.taken: dict[str, float] = {}

    def __call__(self, what: str, work: Callable[[], Result]) -> Result:
        began = time.process_time()
        result = work()
        self.taken[what] = time.process_time() - began
        return result


class _Plan(NamedTuple):
    """Rows of the samples; CPU seconds that the first fit of a process takes besides, and what an encoder trains for,
    where networks do."""

    counts: list[int]
    once: float = 0.0
    training: Training | None = None


def assistor(model: AssistorData, study: Study, learner: LearnerSettings) -> Timings:
    """Time an assistor whose fits are in the clear, or what it makes of its table for encrypted ones.

    Args:
        learner: as its file has it.
    """
    clock, how = _Clock(), networks.trained(model.learner)
    found: list[Sample] = []
    large = _prepare(model, clock)
    plan = _plan(model, study, learner)
    for count in plan.counts:
        timed = _Clock()
        chosen, train = _sample(model, study, count)
        model.prepare(chosen, train)
        residual = _noise((int(train.sum()), study.k))
        if how is not None:
            timed.taken |= _network(model, study, how, residual)._asdict()
        else:
            for round_, name in enumerate(("first", "later"), start=1):
                timed(name, partial(model.local.fit_round, round_, residual))
        found.append(Sample(count, **timed.taken))
    epochs = how.epochs if how else 0
    return Timings(tuple(found), large, epochs=epochs, once=plan.once, training=plan.training, **clock.taken)


def sponsor(model: SponsorData, study: Study, party: PartySettings) -> Timings:
    """Time a sponsor; `party` is its file as it is."""
    clock = _Clock()
    clock("imports", _import_solvers)
    large = _prepare(model, clock)
    own_fits = _own_model(model, study, party, clock)
    plan = _plan(model, study, party.learner)
    samples = tuple(Sample(count, **_rounds(model, study, party.party, count).taken) for count in plan.counts)
    how = networks.trained(model.learner)
    epochs = how.epochs if how else 0
    made = Timings(samples, large, epochs=epochs, once=plan.once, training=plan.training, **clock.taken)
    return msgspec.structs.replace(made, own_fits=own_fits)


def _plan(model: Holding, study: Study, learner: LearnerSettings) -> _Plan:
    rows, frame = len(model.ids), model.table.frame
    if networks.trained(model.learner) is not None:
        return _plan_of_network(model, study)
    if encoders.trains(learner, frame.ndim if isinstance(frame, ArrayRows) else 2, model.folder):
        return _plan_of_encoder(model, study, int(learner.options.get("encoder_epochs", 0)))
    widens = model.learner.kind == "linear" and ridge_strength(model.learner) == "auto"
    many = WIDENING if widens and not isinstance(frame, ArrayRows) else MANY
    return _Plan(sorted({min(FEW, rows), min(many, rows)}))


def _plan_of_network(model: Holding, study: Study) -> _Plan:
    rows = len(model.ids)
    few = networks.steps_of(model.learner, study, rows).rows
    quarter = min(max(few // 4, LEAST), rows)
    chosen, train = _sample(model, study, quarter)
    model.prepare(chosen, train)
    fit = _fits(model, study, _noise((int(train.sum()), study.k)))(1)
    began, one = (_taken(partial(fit, 1)) for _ in range(2))
    return _Plan(networks.sizes(few, quarter, rows, one), max(0.0, began - one))


def _plan_of_encoder(model: Holding, study: Study, asked: int) -> _Plan:
    """Epochs are timed on whole steps, of FEW rows; of an encoder that takes long everything is, on few rows."""
    rows = len(model.ids)
    least, some = min(LEAST, rows), min(FEW, rows)
    rounds = _encoder_fits(model, study, least)
    began, one = (_taken(partial(rounds(1), 1)) for _ in range(2))
    share = float(np.mean(split_rows(rows, study.validation, study.seed)))
    counts, epoch, on = [least], encoders.epoch(rounds, _taken), least
    if epoch <= networks.LONG:
        counts, on = sorted({some, min(MANY, rows)}), some
        epoch = encoders.epoch(_encoder_fits(model, study, some), _taken)
    return _Plan(counts, max(0.0, began - one), Training(epoch, on, share, asked))


def _encoder_fits(model: Holding, study: Study, rows: int) -> networks.Rounds:
    """Fits to so many rows, all for training, each of which trains an encoder anew."""
    model.prepare(np.linspace(0, len(model.ids) - 1, rows).astype(np.int64), np.ones(rows, dtype=np.bool_))
    residual, local = _noise((rows, study.k)), model.local

    def rounds(epochs: int) -> Callable[[int], object]:
        again = local.learning_with(model.made(encoders.brief(model.learner, model.folder, epochs)), FOLDS)
        return lambda round_: again.fit_round(round_, residual)

    return rounds


def _fits(model: PartyHolding, study: Study, residual: npt.NDArray[np.float32]) -> networks.Rounds:
    """Fits of a network to the rows that are prepared."""
    local, steps = model.local, networks.steps_of(model.learner, study, len(model.ids))

    def rounds(epochs: int) -> Callable[[int], object]:
        again = local.learning_with(model.made(networks.shortened(model.learner, epochs, steps.batch)), steps.folds)
        return lambda round_: again.fit_round(round_, residual)

    return rounds


def _network(model: PartyHolding, study: Study, how: TorchOptions, residual: npt.NDArray[np.float32]) -> networks.Fits:
    return networks.timed(_fits(model, study, residual), how, _taken)


def _taken(work: Callable[[], object]) -> float:
    return ciphertexts.timed(work)[1]


def _prepare(model: Holding, clock: _Clock) -> int:
    """Encode as many rows as CELLS allow, all for training; returns how many."""
    width = max(1, int(np.prod(model.table.frame.shape[1:])))
    count = max(2, min(len(model.ids), CELLS // width))
    chosen = np.linspace(0, len(model.ids) - 1, count).astype(np.int64)
    clock("prepare", lambda: model.prepare(chosen, np.ones(count, dtype=np.bool_)))
    return count


def _rounds(model: SponsorData, study: Study, me: str, count: int) -> _Clock:
    """Two rounds with assistors who answer noise, and what comes after the last."""
    timed, how = _Clock(), networks.trained(model.learner)
    chosen, train = _sample(model, study, count)
    model.prepare(chosen, train)
    parties = study.parties if model.fits else study.assistors
    made = model.ensemble(parties)
    if how is not None:
        timed.taken |= _network(model, study, how, made.residual())._asdict()
    for round_, name in enumerate(("first", "later"), start=1):
        residual = made.residual()
        fitted = {peer: _near(residual, train) for peer in study.assistors}
        if how is not None:
            fitted[me] = _near(residual, train)
        elif model.fits:
            fitted[me] = timed(name, partial(model.local.fit_round, round_, residual))[1]
        timed("commit", partial(made.commit, fitted))
    alone = _alone(model, study, me, timed) if how is not None else timed("alone", model.alone)
    timed("contributions", lambda: contributions(made, study.seed))
    timed("evaluation", lambda: model.evaluate(made, alone))
    return timed


def _alone(model: SponsorData, study: Study, me: str, timed: _Clock) -> Ensemble:
    """Every round alone takes what one with others does; one is made, with fitted values like theirs."""
    first, later, commit = (timed.taken[name] for name in ("first", "later", "commit"))
    timed.taken["alone"] = first + (study.rounds - 1) * later + study.rounds * commit
    alone = model.ensemble((me,))
    alone.commit({me: _near(alone.residual(), model.train)})
    return alone


def _own_model(model: SponsorData, study: Study, party: PartySettings, clock: _Clock) -> float:
    """Time one fit of the sponsor's best own model on the prepared rows; returns how many such fits there will be."""
    x = model.local.x if model.fits else None
    if not party.report.own_model or x is None or own_model.refused(x):
        return 0.0
    folds = model.folds or FOLDS
    clock("own_imports", _import_own_model)
    table, held = as_table(x), np.arange(len(x)) % folds == 0
    about = (study.loss_name, len(model.codec.classes), study.seed)
    clock("own", lambda: own_model.fitted(table[~held], model.y[~held], None, table[held], *about))
    return (1.0 - study.validation) / (1.0 - 1.0 / folds) if study.validation else float(folds)


def _import_solvers() -> None:
    import scipy.optimize  # noqa: F401


def _import_own_model() -> None:
    import sklearn.ensemble  # noqa: F401


def _sample(model: PartyHolding, study: Study, count: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
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


def quiet(party: PartySettings, folder: Path) -> PartySettings:
    """As a rehearsal takes it: nothing is written to the run directory, no own model is fitted on samples, and an
    encoder trains for one epoch and is kept nowhere; folder: the party file's."""
    report, learner = msgspec.structs.replace(party.report, own_model=False), encoders.brief(party.learner, folder)
    return msgspec.structs.replace(party, run_dir=party.run_dir / "rehearsal", report=report, learner=learner)
