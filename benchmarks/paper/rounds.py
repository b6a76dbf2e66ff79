"""Rounds whose weights are given in advance: Assisted Learning, where one party after the other has all the weight
(Xian, Wang, Ding and Ghanadan, NeurIPS 2020), and uniform weights by the paper's rule.

Unlike GAL's own rounds these go on after one from which nothing was learnt: the next party may still have something.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from benchmarks.paper.case import Case
from benchmarks.paper.data.split import Array
from benchmarks.paper.outcome import Outcome, score
from secure_gal.data.log_codec import fit_codec
from secure_gal.gal.coefficients import line_search
from secure_gal.gal.losses import get_loss
from secure_gal.holdings.local import LocalParty
from secure_gal.learners.cross_fit import folds_for

Plan = Iterator[Array]
"""Weights (M,) of one step after the other."""


def turns(parties: int, rounds: int, a_round: int) -> Plan:
    """Weights (M,) of Assisted Learning: `a_round` turns a round, the sponsor first, and on where the last ended."""
    return (np.eye(parties)[t % parties] for t in range(rounds * a_round))


def uniform(parties: int, rounds: int) -> Plan:
    """1/M for everyone, every round."""
    return (np.full(parties, 1 / parties) for _ in range(rounds))


class _Study:
    """Labels and outputs F of training rows, and of new ones that are judged."""

    def __init__(self, case: Case, y: Array, new_y: Array) -> None:
        everyone = np.ones(len(y), dtype=np.bool_)
        self.case, self.new_y = case, new_y
        self.codec = fit_codec(case.source.task, case.loss_name, list(y), everyone)
        self.coded = self.codec.encode(list(y))
        self.loss = get_loss(case.loss_name, self.codec.outputs)
        first = self.loss.initial(self.coded)
        self.f, self.new = (np.tile(first, (len(rows), 1)) for rows in (y, new_y))
        self.outcome = Outcome([])
        self.record()

    def residual(self) -> Array:
        """As it travels."""
        return self.loss.residual(self.coded, self.f).astype(np.float32)

    def eta(self, g: Array) -> float:
        """The exact rate, or the constant; out of fold no step back is taken."""
        if not isinstance(self.case.rate, str):
            return float(self.case.rate)
        found = line_search(self.loss, self.coded, self.f, g).eta
        return found if self.case.mode == "paper" else max(0.0, found)

    def record(self) -> None:
        """The state after a round."""
        self.outcome.train_loss.append(self.loss.value(self.coded, self.f))
        self.outcome.trail.append(score(self.case.source.metric, self.codec, self.new, self.new_y))


def initial_loss(case: Case, y: Array) -> float:
    """Mean L_1 of the training rows at F^0."""
    return _Study(case, y, y).outcome.train_loss[0]


def play(
    case: Case,
    learners: Sequence[Any],
    train: tuple[list[Array], Array],
    test: tuple[list[Array], Array],
    seed: int,
    plan: Plan,
    a_round: int,
) -> Outcome:
    """One study whose t-th step has the t-th weights of the plan; a round is so many steps.

    By the product's rule values are out of fold and the best round is kept; by the paper's all rounds are.
    """
    (blocks, y), (new_blocks, new_y) = train, test
    study, everyone = _Study(case, y, new_y), np.ones(len(y), dtype=np.bool_)
    folds = [None if case.mode == "paper" else folds_for(learner, None, len(y)) for learner in learners]
    kinks = case.mode != "paper" and case.loss_name == "l1"  # as `Study.fixed_share`
    parties = [
        LocalParty(f"party-{m}", x, everyone, learner, seed, fold, kinks)
        for m, (x, learner, fold) in enumerate(zip(blocks, learners, folds, strict=True))
    ]
    for step, w in enumerate(plan, 1):
        residual, g, new = study.residual(), np.zeros_like(study.f), np.zeros_like(study.new)
        for m in np.flatnonzero(w):
            model, values = parties[m].fit_round(step, residual)
            g += w[m] * values
            new += w[m] * model.predict(new_blocks[m])
        eta = study.eta(g)
        study.f, study.new = study.f + eta * g, study.new + eta * new
        study.outcome.eta.append(eta)
        if a_round == 1:  # turns are known from their number
            study.outcome.weights.append(w.tolist())
        if step % a_round == 0:
            study.record()
    return _kept(case, study.outcome)


def _kept(case: Case, found: Outcome) -> Outcome:
    found.kept = len(found.trail) - 1 if case.mode == "paper" else int(np.argmin(found.train_loss))
    found.trail = found.trail[: found.kept + 1]
    return found
