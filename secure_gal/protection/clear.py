"""`residuals = "none"`, `predictions = "none"`: the sponsor's residuals and the assistors' fits are seen as they are.

`privatised` and `noised` are these ports with other message types: what differs is made before a residual leaves
(released labels) or as a fit leaves (noise).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from secure_gal import events, messages
from secure_gal.effects import Compute, Done, Effect, Send
from secure_gal.errors import PeerViolation, StateError
from secure_gal.messages import Batch, Ending, Finish, Fitted, Message, PredictReply, Residual
from secure_gal.phases import Step
from secure_gal.protection.modes import FittedMode, ResidualMode
from secure_gal.protection.ports import FittedSide, Known
from secure_gal.protection.stages import AssistorStage, Batched, Part, SponsorStage
from secure_gal.residual_rules import residual_problem
from secure_gal.state import ARRAY, Entries, Entry

MAX_FITTED = 1e6
"""Largest |fitted value| accepted, in units of the residual (at most about 1): beyond it a fit has diverged."""


class ClearResiduals:
    """At the sponsor: r^t as float32, coefficients eta^t w_m^t at the end. `kind` is how a residual travels."""

    hides_rounds = False

    def __init__(self, kind: type[Residual] = Residual) -> None:
        self._kind = kind

    def send(self, stage: SponsorStage) -> list[Effect]:
        """The residual that was sent is kept: `secure-gal leakage` scores it."""
        residual, round_ = stage.ensemble.residual(), stage.round
        stage.residuals[round_] = residual
        return [Send(p, self._kind(residual[stage.held(p)], round_)) for p in stage.assistors]

    def resume(self, stage: SponsorStage) -> list[Effect]:
        """A residual leaves in the step that begins its round."""
        return []

    def conclude(self, stage: SponsorStage, *, one_unit: bool, by_round: frozenset[str]) -> list[Effect]:
        """Coefficients; in one unit for all, so that no assistor's part of a prediction is far above 1.

        A part is sum_t c_t f_t, and a fit is of the size of its residual; the unit stays at the sponsor.
        """
        if by_round:
            raise StateError("terms by round are for encrypted residuals")
        coefficients, unit = {p: stage.ensemble.coefficients(p) for p in stage.assistors}, 1.0
        if one_unit:
            sizes = np.array([stage.units[t] for t in range(1, stage.ensemble.kept + 1)])
            unit = len(coefficients) * max(float(np.abs(c) @ sizes) for c in coefficients.values()) or 1.0
            for peer in coefficients:
                stage.scales[peer] = unit
        return [Send(p, Finish(c / unit if one_unit else c, Ending("finished"))) for p, c in coefficients.items()]

    def concluding(self, stage: SponsorStage) -> bool:
        """Coefficients leave in the step that ends learning."""
        return False


class SeenFits:
    """At the sponsor: every assistor's fit as float32, of the agreed `kind`, weighted with all others."""

    declares, one_unit = False, False

    def __init__(self, kind: type[Fitted] = Fitted) -> None:
        self._kind = kind

    def by_round(self, stage: SponsorStage) -> frozenset[str]:
        """Nobody."""
        return frozenset()

    def set_up(self, stage: SponsorStage) -> list[Effect]:
        """Nothing lies between alignment and the first round."""
        return stage.begin()

    def waiting_for(self, stage: SponsorStage) -> list[str]:
        """Whose fit has not come."""
        fits = received(stage)
        return [p for p in stage.assistors if p not in fits]

    def receive(self, stage: SponsorStage, peer: str, message: Message) -> list[Effect]:
        """Take a fit."""
        if type(message) is not self._kind or not isinstance(message, Fitted):
            raise PeerViolation(peer, f"{message.KIND} where the study agreed on {self._kind.KIND}")
        stage.check_round(peer, message)
        expected = (len(stage.coverage[peer]), stage.ensemble.F.shape[1])
        if message.values.shape != expected:
            raise PeerViolation(peer, f"fitted values must have shape {expected}")
        if not np.isfinite(message.values).all() or np.abs(message.values).max() > MAX_FITTED:
            raise PeerViolation(peer, f"fitted values must be finite and at most {MAX_FITTED:g} in size")
        return take_fit(stage, peer, stage.over_all_rows(peer, message.values))

    def ready(self, stage: SponsorStage) -> list[Effect]:
        """Commit the round once every fit is there."""
        return commit_if_complete(stage, self.waiting_for(stage))

    def resume(self, stage: SponsorStage) -> list[Effect]:
        """There are no jobs."""
        return []


def received(stage: SponsorStage) -> Entries[npt.NDArray[Any]]:
    """The fits of this round so far, (N, K) each."""
    return Entries(stage.state, "fitted/", ARRAY)


def take_fit(stage: SponsorStage, peer: str, values: npt.NDArray[np.float32]) -> list[Effect]:
    """Keep an assistor's fit (N, K); commit the round if it was the last."""
    fits = received(stage)
    fits[peer] = values
    note = events.PeerFitted(peer, stage.round)
    return [note, *commit_if_complete(stage, [p for p in stage.assistors if p not in fits])]


def commit_if_complete(stage: SponsorStage, waiting: list[str]) -> list[Effect]:
    """Steps 9e to 9g of the round, when every party's fit is there."""
    if waiting or stage.own_fit_due:
        return []
    fits = received(stage)
    fitted = {p: fits[p] for p in stage.assistors}
    if stage.model.fits:
        fitted[stage.study.sponsor] = stage.own.get()
    record = stage.ensemble.commit(fitted)
    fits.clear()
    return stage.committed(record)


class ClearResidualSide:
    """At an assistor: residuals as float32 of the agreed `kind`, a local model of any kind each, coefficients."""

    def __init__(self, kind: type[Residual] = Residual) -> None:
        self._kind, self.kinds = kind, frozenset({kind.KIND, Finish.KIND})

    def prepared(self, stage: AssistorStage) -> list[Effect]:
        """Nothing waits but a fit."""
        return []

    def receive(self, stage: AssistorStage, message: Message) -> list[Effect]:
        """A residual, or the coefficients that end learning."""
        match message:
            case Residual():
                return self._on_residual(stage, message)
            case Finish():
                return self._on_finish(stage, message)
            case _:
                raise PeerViolation(stage.sponsor, f"{message.KIND} is not for an assistor of this study")

    def _on_residual(self, stage: AssistorStage, message: Residual) -> list[Effect]:
        if type(message) is not self._kind:
            raise PeerViolation(stage.sponsor, f"{message.KIND} where the study agreed on {self._kind.KIND}")
        stage.check_round(message.round)
        expected = (int(stage.train.sum()), stage.outputs)
        if message.values.shape != expected or not np.isfinite(message.values).all():
            raise PeerViolation(stage.sponsor, f"the residual must be finite with shape {expected}")
        if why := residual_problem(stage.study, message.round, message.values):
            raise PeerViolation(stage.sponsor, f"no residual of {stage.study.loss_name}: {why}")
        return stage.take_residual(message.values)

    def fit(self, stage: AssistorStage) -> Compute[tuple[bytes, Any]]:
        """A model of this round, kept to predict with."""
        residual, round_ = stage.residual.get(), stage.rounds + 1

        def fitted(result: tuple[bytes, Any]) -> list[Effect]:
            stage.models[round_], values = result
            return stage.leave(round_, values)

        return Compute("fit", lambda: stage.model.fit_round(round_, residual), fitted, round_)

    def _on_finish(self, stage: AssistorStage, message: Finish) -> list[Effect]:
        stage.check_end()
        if len(message.coefficients) > stage.rounds or not np.isfinite(message.coefficients).all():
            raise PeerViolation(stage.sponsor, "there must be a finite coefficient for each kept round, no more")
        coefficients(stage).set(message.coefficients)
        stage.enter("serving")
        return [
            events.Finished(stage.rounds, len(message.coefficients)),
            Send(stage.sponsor, messages.Finished(Ending(message.ending.reason))),
            Done(),
        ]

    def answer(self, stage: AssistorStage, number: int, ids: tuple[str, ...]) -> Compute[tuple[Known, Any]]:
        """sum_t c_t f_t(x) from the models of the kept rounds."""
        kept, k = coefficients(stage).get(), stage.outputs
        models = [stage.models[t] for t in range(1, len(kept) + 1)]
        encoder = stage.encoder.get_or(b"")
        return Compute(
            "answer",
            lambda: stage.model.predict(ids, encoder, models, kept, k),
            lambda result: stage.leave_part(number, *result),
        )

    def heads(self, stage: AssistorStage) -> int:
        """Rounds are added up in the clear."""
        return 1


def coefficients(stage: AssistorStage) -> Entry[npt.NDArray[Any]]:
    """eta^t w_m^t of the kept rounds, (T,)."""
    return Entry(stage.state, "coefficients", ARRAY)


class SeenFitsSide(FittedSide):
    """At an assistor: fits and parts go to the sponsor as they are."""

    def prepared(self, stage: AssistorStage) -> list[Effect]:
        """Nothing is declared."""
        return [] if stage.residual.there else [events.Prepared()]

    def leave(self, stage: AssistorStage, round_: int, fit: Any, residual: npt.NDArray[Any]) -> list[Effect]:
        """To the sponsor."""
        return [Send(stage.sponsor, Fitted(fit, round_))]

    def leave_part(
        self, stage: AssistorStage, number: int, ids: tuple[str, ...], known: Known, part: Any
    ) -> list[Effect]:
        """To the sponsor."""
        return [
            events.Predicted(len(known), int(known.sum())),
            Send(stage.sponsor, PredictReply(Batch(number), known, part)),
        ]

    def no_part(self, stage: AssistorStage, batch: Batch) -> Message:
        """A reply without rows."""
        return PredictReply(batch, np.zeros(0, dtype=np.uint8), np.zeros((0, stage.outputs), dtype=np.float32))


class SeenParts:
    """At the sponsor: every assistor's part of a batch as float32, of the agreed `kind`."""

    def __init__(self, kind: type[PredictReply] = PredictReply) -> None:
        self._kind = kind

    def begin(self, batch: Batched) -> list[Effect]:
        """Ask everyone for all ids."""
        return ask_by_id(batch)

    def aligned(self, batch: Batched) -> list[Effect]:
        """Ask for the rows that have become known."""
        return ask_by_row(batch)

    def resume(self, batch: Batched) -> list[Effect]:
        """What was answered is on disk."""
        know_what_was_asked(batch)
        batch.resume()
        return []

    def waiting_for(self, batch: Batched) -> list[str]:
        """Who has not answered yet."""
        return [peer for peer in batch.assistors if peer not in batch.parts]

    def receive(self, batch: Batched, peer: str, message: Message) -> list[Effect]:
        """Take a part."""
        if type(message) is not self._kind or not isinstance(message, PredictReply):
            raise PeerViolation(peer, f"{message.KIND} is not legal during prediction")
        if (refused := refusal(batch, peer, message.batch)) is not None:
            return refused
        asked = len(batch.asked[peer])
        batch.check_known(peer, message.known)
        if message.part.shape != (asked, batch.outputs) or not np.isfinite(message.part).all():
            raise PeerViolation(peer, f"a reply must hold {asked} finite rows of {batch.outputs} outputs")
        if np.any(message.part[message.known == 0]):
            raise PeerViolation(peer, "a reply must be 0 for unknown ids")
        return batch.take(peer, batch.over_all_ids(peer, message.known, message.part.astype(np.float64)))

    def parts(self, batch: Batched) -> dict[str, Part]:
        """As they came."""
        return batch.parts


def ask_by_id(batch: Batched) -> list[Effect]:
    """Ask every assistor for its part of all ids."""
    batch.asked = {peer: np.arange(len(batch.ids)) for peer in batch.assistors}
    return [Send(peer, messages.PredictRequest(Batch(batch.number), batch.ids)) for peer in batch.assistors]


def ask_by_row(batch: Batched) -> list[Effect]:
    """Name rows by position to every assistor whose common ids have become known."""
    effects: list[Effect] = []
    if batch.pairs is None:
        return effects
    open_ = batch.pairs.waiting_for()
    for peer in batch.assistors:
        if peer in open_ or peer in batch.asked:
            continue
        match = batch.pairs.match(peer)
        batch.asked[peer] = match.own
        step = messages.Step(batch.number, match.attempt)
        effects.append(Send(peer, messages.PredictRows(match.theirs.astype(np.uint32), step)))
    return effects


def know_what_was_asked(batch: Batched) -> None:
    """After a restart: by id everything, by row what was aligned."""
    for peer in batch.assistors:
        if batch.pairs is None:
            batch.asked[peer] = np.arange(len(batch.ids))
        elif peer not in batch.pairs.waiting_for():
            batch.asked[peer] = batch.pairs.match(peer).own


def refusal(batch: Batched, peer: str, answer: Batch) -> list[Effect] | None:
    """An assistor's part is 0 where it refuses the batch; None where it does not. PeerViolation if it was not asked."""
    if peer in batch.parts or peer not in batch.asked:
        raise PeerViolation(peer, "a reply to a batch that was not asked for, or a second one")
    if not answer.refused:
        return None
    why = f"{peer} refuses this batch: {answer.refused[:200]}; its part is 0"
    return [events.Warned(why), *batch.take(peer, batch.nothing())]


def residuals_of(kind: type[Residual]) -> ResidualMode:
    """Residuals as float32 values, in messages of this kind."""
    step = (
        Step("assistor", "learning", kind.KIND, ("learning",)),
        Step("assistor", "learning", Finish.KIND, ("serving",)),
    )
    return ResidualMode(step, lambda cipher: ClearResiduals(kind), lambda study: ClearResidualSide(kind))


def fits_of(fitted: type[Fitted], reply: type[PredictReply], side: type[SeenFitsSide]) -> FittedMode:
    """Fits and parts as float32 values, in messages of these kinds."""
    step = (
        Step("sponsor", "learning", fitted.KIND, ("learning", "finishing")),
        Step("prediction", "open", reply.KIND, ("open",)),
    )
    return FittedMode(
        declares=False,
        steps=lambda study, name: step,
        port=lambda study, cipher: SeenFits(fitted),
        side=lambda context, state, calculator: side(),
        parts=lambda context, cipher: SeenParts(reply),
    )


RESIDUALS = residuals_of(Residual)
FITS = fits_of(Fitted, PredictReply, SeenFitsSide)
