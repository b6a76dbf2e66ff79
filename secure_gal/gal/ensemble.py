"""The sponsor's bookkeeping over assistance rounds: residual, weights, learning rate, stopping (GAL, algorithm 1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, assert_never

import msgspec
import numpy as np
import numpy.typing as npt

from secure_gal.events import RoundRecord
from secure_gal.gal.line_search import LineSearch, line_search
from secure_gal.gal.losses import Array, Loss, metric
from secure_gal.gal.simplex import simplex_weights
from secure_gal.settings.party import LocalLoss
from secure_gal.settings.study import Task, Weighting


class Ensemble:
    """F^t over all N rows, and the rounds that led there.

    Args:
        loss: overarching loss L_1.
        y: labels of all rows.
        train: mask (N,), True for rows that are learnt from.
        task: classification or regression, for the metric.
        parties: who fits, in the order in which weights are listed.
        weights: `fitted` or `uniform`; learning_rate: `search` or a constant.
        patience: rounds without a better validation loss before stopping; rounds: the most there may be.
        local_loss: l_1, the sponsor's local loss, for the weights.
    """

    def __init__(
        self,
        loss: Loss,
        y: npt.NDArray[Any],
        train: npt.NDArray[np.bool_],
        task: Task,
        parties: tuple[str, ...],
        weights: Weighting,
        learning_rate: str | float,
        patience: int,
        rounds: int,
        local_loss: LocalLoss,
    ) -> None:
        self.loss, self.task, self.parties = loss, task, parties
        self._y, self._train = y, train
        self._weights, self._rate = weights, learning_rate
        self._patience, self._rounds, self._local_loss = patience, rounds, local_loss
        self.F0 = loss.initial(y[train])
        self.F: Array = np.tile(self.F0, (len(y), 1))
        self.history: list[RoundRecord] = []
        self._stuck = False
        self.initial_losses = (loss.value(y[train], self.F[train]), self._valid()[0])

    def __repr__(self) -> str:
        return f"Ensemble({len(self.history)} rounds, {self.F.shape[0]} x {self.F.shape[1]})"

    def residual(self) -> npt.NDArray[np.float32]:
        """Pseudo-residual r^t of the training rows, float32 (N_train, K): as it travels."""
        return self.loss.residual(self._y[self._train], self.F[self._train]).astype(np.float32)

    def commit(self, fitted: Mapping[str, npt.NDArray[np.float32]]) -> RoundRecord:
        """Steps e to g: weights, learning rate, F^t = F^{t-1} + eta sum_m w_m f_m, from float32 (N, K) a party."""
        match self._weights:
            case "uniform":
                w = np.full(len(self.parties), 1.0 / len(self.parties))
            case "fitted":
                columns = [fitted[p][self._train] for p in self.parties]
                w = simplex_weights(self.residual(), columns, self._local_loss)
            case _:
                assert_never(self._weights)
        g = np.zeros_like(self.F)
        for weight, party in zip(w, self.parties, strict=True):
            g += weight * fitted[party].astype(np.float64)
        return self.advance(w, g)

    def advance(self, w: Array, g: Array) -> RoundRecord:
        """Steps f and g along g = sum_m w_m f_m float64 (N, K), for weights (M,) that are known already.

        A round after the last one changes nothing: eta is 0.
        """
        train, y = self._train, self._y
        rate = self._rate
        if self.finished:
            found = LineSearch(0.0, True)
        elif isinstance(rate, str):
            found = line_search(self.loss, y[train], self.F[train], g[train])
        else:
            found = LineSearch(rate, True)
        self.F = self.F + found.eta * g
        self._stuck = found.eta == 0.0 or not found.attained
        valid_loss, valid_metric = self._valid()
        record = RoundRecord(
            len(self.history) + 1,
            self.loss.value(y[train], self.F[train]),
            valid_loss,
            valid_metric,
            found.eta,
            found.attained,
            {p: float(v) for p, v in zip(self.parties, w, strict=True)},
        )
        self.history.append(record)
        return record

    def _valid(self) -> tuple[float | None, float | None]:
        rows = ~self._train
        if not rows.any():
            return None, None
        y, f = self._y[rows], self.F[rows]
        return self.loss.value(y, f), metric(self.task, y, f)

    @property
    def kept(self) -> int:
        """Rounds kept: up to the best validation loss (0 is possible), or all that learnt without validation rows."""
        before = self.initial_losses[1]
        losses = [before, *(record.valid_loss for record in self.history)]
        known = [loss for loss in losses if loss is not None]
        return int(np.argmin(known)) if len(known) == len(losses) else self._learnt

    @property
    def _learnt(self) -> int:
        """Rounds up to the one in which nothing was left to learn; what is run after it hides the end, and has no
        model."""
        ends = (r.round for r in self.history if r.eta == 0.0 or not r.attained)
        return next(ends, len(self.history))

    @property
    def finished(self) -> bool:
        """Nothing more is learnt: the limit, patience, or nothing left to learn (eta 0, or separable data)."""
        rounds = len(self.history)
        return rounds >= self._rounds or rounds - self.kept >= self._patience or self._stuck

    def coefficients(self, party: str) -> Array:
        """eta^t * w_m^t of the kept rounds, float64 (T_kept,)."""
        return np.array([r.eta * r.weights.get(party, 0.0) for r in self.history[: self.kept]], dtype=np.float64)

    def kept_metric(self) -> float | None:
        """The validation metric after the kept rounds; None when not measured (no validation rows, or F^0)."""
        if self.kept:
            return self.history[self.kept - 1].valid_metric
        rows = ~self._train
        flat = np.tile(self.F0, (int(rows.sum()), 1))
        return metric(self.task, self._y[rows], flat) if rows.any() else None

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Arrays from which `restore` goes on with bit-identical results."""
        history = np.frombuffer(msgspec.msgpack.encode(self.history), dtype=np.uint8)
        return {"F": self.F, "F0": self.F0, "history": history, "stuck": np.array([self._stuck], dtype=np.uint8)}

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take up from `state()` of an ensemble with the same labels and settings."""
        self.F = np.array(state["F"], dtype=np.float64)
        self.history = msgspec.msgpack.decode(state["history"].tobytes(), type=list[RoundRecord])
        self._stuck = bool(state["stuck"][0])
