"""Residuals, fits and parts in the clear, at an assistor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from secure_gal import events, messages
from secure_gal.effects import Compute, Done, Effect, Send
from secure_gal.errors import PeerViolation
from secure_gal.gal.withheld import LEAST
from secure_gal.holdings.roles import Fit
from secure_gal.labels.residual_rules import residual_problem
from secure_gal.messages import Batch, Ending, Finish, Fitted, Message, PredictReply, Residual
from secure_gal.protection.ports import FittedSide, Known, as_values
from secure_gal.protection.stages import AssistorStage
from secure_gal.settings.study import Protect, Study
from secure_gal.state import ARRAY, Entry

Problem = Callable[[Study, int, npt.NDArray[np.float32]], str]
"""Why no honest sponsor of a study sends these values in this round, or empty."""
Shown = Callable[[Protect, npt.NDArray[np.float32], npt.NDArray[np.float64]], npt.NDArray[np.float32]]
"""What leaves instead of sum_t c_t f_t, (n, K), for coefficients c_t, (T,): a fit is the sum of one, and c = 1."""


class ClearResidualSide:
    """At an assistor: residuals as float32 of the agreed `kind`, a local model of any kind each, coefficients."""

    def __init__(self, kind: type[Residual] = Residual, problem: Problem = residual_problem) -> None:
        self._kind, self._problem, self.kinds = kind, problem, frozenset({kind.KIND, Finish.KIND})

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
        if why := self._problem(stage.study, message.round, message.values):
            raise PeerViolation(stage.sponsor, f"no residual of {stage.study.loss_name}: {why}")
        if not (LEAST <= message.withheld <= 1.0) or (message.round == 1 and message.withheld != 1.0):
            raise PeerViolation(stage.sponsor, f"a share of {message.withheld:g} to leave out; {LEAST:g} to 1 is legal")
        return stage.take_residual(message.values, message.withheld)

    def fit(self, stage: AssistorStage) -> Compute[tuple[bytes, Fit]]:
        """A model of this round, kept to predict with."""
        residual, round_, withheld = stage.residual.get(), stage.rounds + 1, stage.withheld.get()

        def fitted(result: tuple[bytes, Fit]) -> list[Effect]:
            stage.models[round_], values = result
            return stage.leave(round_, values)

        return Compute("fit", lambda: stage.model.clear.fit_round(round_, residual, withheld), fitted, round_)

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

    def answer(self, stage: AssistorStage, number: int, ids: tuple[str, ...]) -> Compute[tuple[Known, Fit]]:
        """sum_t c_t f_t(x) from the models of the kept rounds."""
        kept, k = coefficients(stage).get(), stage.outputs
        models = [stage.models[t] for t in range(1, len(kept) + 1)]
        encoder = stage.encoder.get_or(b"")
        return Compute(
            "answer",
            lambda: stage.model.clear.predict(ids, encoder, models, kept, k),
            lambda result: stage.leave_part(number, *result),
        )

    def heads(self, stage: AssistorStage) -> int:
        """Rounds are added up in the clear."""
        return 1


def coefficients(stage: AssistorStage) -> Entry[npt.NDArray[Any]]:
    """eta^t w_m^t of the kept rounds, (T,)."""
    return Entry(stage.state, "coefficients", ARRAY)


class SeenFitsSide(FittedSide):
    """At an assistor: fits and parts go to the sponsor in messages of these kinds, as they are or as `shown` says."""

    def __init__(
        self, fitted: type[Fitted] = Fitted, reply: type[PredictReply] = PredictReply, shown: Shown | None = None
    ) -> None:
        self._fitted, self._reply, self._shown = fitted, reply, shown

    def prepared(self, stage: AssistorStage) -> list[Effect]:
        """Nothing is declared."""
        return [] if stage.residual.there else [events.Prepared()]

    def leave(self, stage: AssistorStage, round_: int, fit: Fit, residual: npt.NDArray[Any]) -> list[Effect]:
        """To the sponsor."""
        values = as_values(fit)
        if self._shown is not None:
            values = self._shown(stage.study.protect, values, np.ones(1))
        return [Send(stage.sponsor, self._fitted(values, round_))]

    def leave_part(
        self, stage: AssistorStage, number: int, ids: tuple[str, ...], known: Known, part: Fit
    ) -> list[Effect]:
        """To the sponsor; what is shown of a row whose id is unknown is 0."""
        values = as_values(part)
        if self._shown is not None:
            values = self._shown(stage.study.protect, values, coefficients(stage).get())
            values[known == 0] = 0.0
        return [
            events.Predicted(len(known), int(known.sum())),
            Send(stage.sponsor, self._reply(Batch(number), known, values)),
        ]

    def no_part(self, stage: AssistorStage, batch: Batch) -> Message:
        """A reply without rows."""
        return self._reply(batch, np.zeros(0, dtype=np.uint8), np.zeros((0, stage.outputs), dtype=np.float32))
