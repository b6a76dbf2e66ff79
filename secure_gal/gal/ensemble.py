"""The sponsor's bookkeeping over assistance rounds: residual, weights, learning rate, stopping (GAL, algorithm 1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, assert_never

import msgspec
import numpy as np
import numpy.typing as npt

from secure_gal.events import RoundRecord
from secure_gal.gal.coefficients import LineSearch, line_search, simplex_weights
from secure_gal.gal.doubt import LASTING, Doubt, Rows, doubts
from secure_gal.gal.losses import Array, Loss, Weights, metric
from secure_gal.gal.withheld import withheld
from secure_gal.settings.party import LocalLoss
from secure_gal.settings.study import Task, Weighting

Evidence = Literal["held-out", "out-of-fold"]
"""Which rows a result is judged by."""


PARTS = ("part/", "part-kept/")
"""Before the name of a term, in saved state: of all rounds, and of the kept ones."""


class Judged(NamedTuple):
    """Rows by which a result is judged: `held-out`, or `out-of-fold` training rows; mask (N,)."""

    how: Evidence
    mask: npt.NDArray[np.bool_]


class Ensemble:
    """F^t over all N rows, and the rounds that led there.

    Args:
        loss: overarching loss L_1.
        y: labels of all rows.
        train: mask (N,), True for rows that are learnt from; the others are held out.
        task: classification or regression, for the metric.
        parties: who fits, in the order in which weights are listed.
        weights: `fitted`, `uniform` or `paper`; learning_rate: `search` or a constant.
        patience: rounds without a better loss, of the rows that choose, before stopping; rounds: the most there may be.
        local_loss: l_1, the sponsor's local loss, for the weights.
        cross_fitted: whether values of training rows come from fits that have not seen them. Their loss then chooses
            the kept round, and held-out rows choose nothing; else held-out rows choose it, where there are any.
        row_weights: v of all rows, (N,), above 0, at most 1, in F^0, residual, losses and metrics; None: equal.
        partly_withheld: whether leave-one-out values of later rounds leave out less than all of a row's own share.
        doubted: parties whose fits are another's word, and may be set aside (`secure_gal.gal.doubt`).
        told: training rows whose residual they get, (N,); the others look to them as if nothing were left. None: all.
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
        cross_fitted: bool = False,
        row_weights: Weights = None,
        doubted: Sequence[str] = (),
        partly_withheld: bool = False,
        told: npt.NDArray[np.bool_] | None = None,
    ) -> None:
        self.loss, self.task, self.parties = loss, task, parties
        self._y, self._train, self._row_weights = y, train, row_weights
        self._told = train if told is None else told
        self._weights, self._rate = weights, learning_rate
        self._patience, self._rounds, self._local_loss = patience, rounds, local_loss
        self.cross_fitted, self._doubted, self._partly = cross_fitted, doubted, partly_withheld
        self.F0 = loss.initial(y[train], self.weights_of(train))
        self.F: Array = np.tile(self.F0, (len(y), 1))
        self.F_kept: Array = self.F
        self._parts: dict[str, npt.NDArray[np.float32]] = {}
        self.parts_kept: dict[str, npt.NDArray[np.float32]] = {}
        """What of F_kept - F0 each term of the rounds' sums has added, float32 (N, K); none before a round is kept."""
        self.history: list[RoundRecord] = []
        self._stuck = False
        self.initial_losses = (loss.value(y[train], self.F[train], self.weights_of(train)), self._valid()[0])

    def __repr__(self) -> str:
        return f"Ensemble({len(self.history)} rounds, {self.F.shape[0]} x {self.F.shape[1]})"

    def residual(self) -> npt.NDArray[np.float32]:
        """Pseudo-residual r^t of the training rows, times their weights, float32 (N_train, K): as it travels."""
        return self._residual_of(self._train)

    def told(self) -> npt.NDArray[np.float32]:
        """The same as assistors get it: 0 in rows that are kept back from them."""
        r = self._residual_of(self._train)
        r[~self._told[self._train]] = 0
        return r

    def _residual_of(self, rows: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
        r, v = self.loss.residual(self._y[rows], self.F[rows]), self.weights_of(rows)
        return (r if v is None else v[:, None] * r).astype(np.float32)

    def withheld(self, party: str) -> float:
        """Which share of a row's own residual the party's leave-one-out values of this round leave out."""
        if not self._partly:
            return 1.0
        taken = sum(r.eta * r.weights.get(party, 0.0) for r in self.history)
        rows = self._train
        return withheld(self.loss.curvature(self._y[rows], self.F[rows]), self.weights_of(rows), taken)

    def weights_of(self, rows: npt.NDArray[np.bool_]) -> Weights:
        """v of rows by mask (N,); None where all are equal."""
        return None if self._row_weights is None else self._row_weights[rows]

    def commit(self, fitted: Mapping[str, npt.NDArray[np.float32]]) -> RoundRecord:
        """Steps e to g: weights, learning rate, F^t = F^{t-1} + eta sum_m w_m f_m, from float32 (N, K) a party."""
        aside = self._set_aside(fitted)
        believed = [p for p in self.parties if p not in aside]
        w = np.zeros(len(self.parties))
        match self._weights:
            case "uniform":
                shares = np.full(len(believed), 1.0 / len(self.parties))
            case "fitted" | "paper":
                columns = [fitted[p][self._train] for p in believed]
                shares = simplex_weights(self.residual(), columns, self._local_loss) if columns else w
            case _:
                assert_never(self._weights)
        w[[p in believed for p in self.parties]] = shares[: len(believed)]
        terms = {p: v * fitted[p].astype(np.float64) for v, p in zip(w, self.parties, strict=True)}
        return self.advance(w, terms, aside)

    def _set_aside(self, fitted: Mapping[str, npt.NDArray[np.float32]]) -> dict[str, Doubt]:
        if not self._doubted:
            return {}
        told, theirs = self._told, {p: fitted[p] for p in self._doubted}
        rows = Rows(self._residual_of(told), self._residual_of(~told))
        before = {p: why for r in self.history for p, why in r.set_aside.items() if why in LASTING and p in theirs}
        return before | doubts(rows, theirs, told, self.cross_fitted)

    def advance(self, w: Array, terms: Mapping[str, Array], aside: Mapping[str, Doubt] | None = None) -> RoundRecord:
        """Steps f and g along g = sum_m w_m f_m, for weights (M,) that are known already.

        A round after the last one changes nothing: eta is 0.

        Args:
            terms: of the sum, float64 (N, K) each: by party, or under one name where several are known as a sum alone;
                the same names in every round.
            aside: whose fits got no weight because they are doubted, and why.
        """
        train, y = self._train, self._y
        g = np.zeros_like(self.F)
        for term in terms.values():
            g += term
        found = self._rate_along(g)
        self.F = self.F + found.eta * g
        nothing = np.zeros(self.F.shape, dtype=np.float32)
        for name, term in terms.items():
            self._parts[name] = self._parts.get(name, nothing) + (found.eta * term).astype(np.float32)
        self._stuck = found.eta == 0.0 or not found.attained
        record = RoundRecord(
            len(self.history) + 1,
            self.loss.value(y[train], self.F[train], self.weights_of(train)),
            *self._valid(),
            found.eta,
            found.attained,
            {p: float(v) for p, v in zip(self.parties, w, strict=True)},
            self._metric(train, self.F),
            self.cross_fitted,
            dict(aside or {}),
        )
        self.history.append(record)
        if self.kept == record.round:
            self.F_kept, self.parts_kept = self.F, dict(self._parts)
        return record

    def _rate_along(self, g: Array) -> LineSearch:
        """eta; out of fold a step back means that nothing is left to learn, so none is taken."""
        train, rate = self._train, self._rate
        if self.finished:
            return LineSearch(0.0, True)
        if not isinstance(rate, str):
            return LineSearch(rate, True)
        found = line_search(self.loss, self._y[train], self.F[train], g[train], self.weights_of(train))
        return LineSearch(0.0, True) if self.cross_fitted and found.eta < 0 else found

    def _valid(self) -> tuple[float | None, float | None]:
        rows = ~self._train
        if not rows.any():
            return None, None
        return self.loss.value(self._y[rows], self.F[rows], self.weights_of(rows)), self._metric(rows, self.F)

    def _metric(self, rows: npt.NDArray[np.bool_], f: Array) -> float:
        return metric(self.task, self._y[rows], self.loss.predicted(f[rows]), self.weights_of(rows))

    @property
    def kept(self) -> int:
        """Rounds kept: up to the best loss of the rows that choose (0 is possible), or all that learnt if none do."""
        if self.cross_fitted:
            return int(np.argmin([self.initial_losses[0], *(record.train_loss for record in self.history)]))
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

    @property
    def judged(self) -> Judged | None:
        """The rows that say what F_kept is worth, none of which its fits have seen; None where there are none."""
        held_out = ~self._train
        if held_out.any():
            return Judged("held-out", held_out)
        return Judged("out-of-fold", self._train) if self.cross_fitted else None

    def kept_metric(self) -> float | None:
        """The metric of the judged rows after the kept rounds; None where there are none."""
        rows = self.judged
        return None if rows is None else self._metric(rows.mask, self.F_kept)

    def labels(self, rows: npt.NDArray[np.bool_]) -> npt.NDArray[Any]:
        """Of rows by mask (N,), as the loss takes them."""
        return self._y[rows]

    def kept_losses(self) -> Array | None:
        """The loss of each judged row after the kept rounds, times its weight where 1 is the mean weight, (n,)."""
        rows = self.judged
        if rows is None:
            return None
        losses, v = self.loss.of_rows(self._y[rows.mask], self.F_kept[rows.mask]), self.weights_of(rows.mask)
        return losses if v is None else losses * v / v.mean()

    def class_counts(self, classes: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Training and held-out rows of each of so many class codes; of none in a regression."""
        if not classes:
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
        train = self._train
        return np.bincount(self._y[train], minlength=classes), np.bincount(self._y[~train], minlength=classes)

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Arrays from which `restore` goes on with bit-identical results."""
        history = np.frombuffer(msgspec.msgpack.encode(self.history), dtype=np.uint8)
        stuck = np.array([self._stuck], dtype=np.uint8)
        both = zip(PARTS, (self._parts, self.parts_kept), strict=True)
        parts = {prefix + name: part for prefix, known in both for name, part in known.items()}
        return {"F": self.F, "F0": self.F0, "F-kept": self.F_kept, "history": history, "stuck": stuck, **parts}

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take up from `state()` of an ensemble with the same labels and settings."""
        self.F = np.array(state["F"], dtype=np.float64)
        self.F_kept = np.array(state["F-kept"], dtype=np.float64)
        self.history = msgspec.msgpack.decode(state["history"].tobytes(), type=list[RoundRecord])
        self._stuck = bool(state["stuck"][0])
        self._parts, self.parts_kept = (
            {key.removeprefix(prefix): part for key, part in state.items() if key.startswith(prefix)}
            for prefix in PARTS
        )
