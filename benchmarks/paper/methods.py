"""What each method of a case does with the data."""

from __future__ import annotations

from typing import assert_never

from benchmarks.paper import fusion, gal, pooled, processes, rounds, sums
from benchmarks.paper.case import Case
from benchmarks.paper.data.split import Split
from benchmarks.paper.learners import learners_of, objects_of
from benchmarks.paper.outcome import Outcome
from benchmarks.paper.running import Running


def play(case: Case, split: Split, seed: int, running: Running | None = None) -> Outcome:
    """One run of a case; `running`: the folder of one that may take hours, None: all in this process."""
    match case.method:
        case "gal" | "alone" | "last" | "joint":
            return _gal(case, split, seed, running)
        case "al":
            parties, each = len(split.blocks), case.turns or len(split.blocks)
            return _rounds(case, split, seed, rounds.turns(parties, case.rounds, each), each)
        case "late":
            return fusion.late(case, split, seed)
        case "interm":
            return fusion.interm(case, split, seed)
        case "central":
            return pooled.central(case, split, seed)
        case "boosting":
            return pooled.boosting(case, split, seed)
        case "optimum":
            return pooled.optimum(case, split, seed)
        case _:
            assert_never(case.method)


def _gal(case: Case, split: Split, seed: int, running: Running | None) -> Outcome:
    match case.method:
        case "alone":
            blocks, tests = split.blocks[:1], split.test_blocks[:1]
        case "last":
            blocks, tests = split.blocks[-1:], split.test_blocks[-1:]
        case "joint":
            blocks, tests = [split.joint], [split.test_joint]
        case _:
            blocks, tests = split.blocks, split.test_blocks
    if case.weights == "uniform" and case.mode == "paper":  # the product's uniform weights are cross-fitted
        return _rounds(case, split, seed, rounds.uniform(len(blocks), case.rounds), 1)
    learners = learners_of(case, blocks, seed)
    if running is not None:
        return processes.play(case, learners, (blocks, split.y), (tests, split.test_y), seed, running)
    play_ = sums.play if case.mode == "sum" else gal.play
    return play_(case, learners, (blocks, split.y), (tests, split.test_y), seed)


def _rounds(case: Case, split: Split, seed: int, plan: rounds.Plan, a_round: int) -> Outcome:
    learners = objects_of(case, split.blocks, seed)
    train, test = (split.blocks, split.y), (split.test_blocks, split.test_y)
    return rounds.play(case, learners, train, test, seed, plan, a_round)
