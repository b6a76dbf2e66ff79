"""Whoever dies, and wherever: learning and prediction end with the answer that they would have had.

Each walk kills each party before each step, once with what it had sent lost and once with it arriving. By default a
walk takes every so many of these points; the slow tests take them all, of learning every eleventh.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from secure_gal import events, messages
from secure_gal.effects import Send
from secure_gal.errors import PeerViolation
from tests.support.accidents import run_with_crashes, steps_of
from tests.support.predictions_in_memory import IDS, MODES, answer, ask, asking, beginning, outputs_by_row
from tests.support.simulation import Network
from tests.support.study_in_memory import NAMES

Answer = tuple[np.ndarray, list[str]]
Batch = tuple[str, Answer, int, dict[str, str]]
"""A mode, and in it a batch's answer, the steps that it took, and what it cost."""


def every(stride: int, slow: int = 1) -> pytest.MarkDecorator:
    """Every so many points by default, more of them among the slow tests."""
    return pytest.mark.parametrize("stride", [stride, pytest.param(slow, marks=pytest.mark.slow)])


def check_same(mode: str, found: Answer, wanted: Answer, atol: float = 1e-6) -> None:
    assert found[1] == wanted[1]
    if MODES[mode].exact:
        assert np.array_equal(found[0], wanted[0])
    else:
        assert np.allclose(found[0], wanted[0], rtol=0, atol=atol)


def spent(network: Network) -> dict[str, str]:
    """What the batch has cost every assistor's budgets."""
    states = {party.name: party.node.role.state for party in network.others}
    return {f"{name} {key}": state.text(key) for name, state in states.items() for key in ("answered", "replies")}


def walk(make: Callable[[], Network], steps: int, stride: int, check: Callable[[Network], None]) -> None:
    """Kill every party at every step and both ways, or at every `stride`-th of these points."""
    points = [(at, victim, late) for at in range(steps) for victim in NAMES for late in (False, True)]
    for at, victim, late in points[::stride]:
        network = make()
        for _ in range(at):
            network.step()
        network.crash(victim, late)
        network.run()
        try:
            check(network)
        except AssertionError as error:
            raise AssertionError(f"{victim} died at step {at} of {steps} (late: {late}): {error}") from error


@pytest.fixture(scope="module", params=list(MODES))
def undisturbed(request: pytest.FixtureRequest) -> Batch:
    network = asking(request.param)
    steps = steps_of(network)
    return request.param, answer(network), steps, spent(network)


@pytest.mark.parametrize("mode", list(MODES))
@every(401, 11)
def test_learning_ends_whoever_dies(stride: int, mode: str) -> None:
    network = beginning(mode)
    steps = steps_of(network)
    wanted = outputs_by_row(network)
    walk(
        lambda: beginning(mode), steps, stride, lambda found: check_same(mode, outputs_by_row(found), wanted, atol=1e-4)
    )


@every(23)
def test_a_prediction_ends_whoever_dies(stride: int, undisturbed: Batch) -> None:
    mode, wanted, steps, cost = undisturbed
    assert wanted[0].any()

    def check(network: Network) -> None:
        check_same(mode, answer(network), wanted)
        assert network.sponsor.node.role.state.text("batches") == "1", "the batch went on, it did not begin anew"
        assert spent(network) == cost

    walk(lambda: asking(mode), steps, stride, check)


@pytest.mark.parametrize("seed", range(2))
def test_a_prediction_over_a_link_that_breaks_and_repeats(seed: int, undisturbed: Batch) -> None:
    mode, wanted, _, cost = undisturbed
    network = asking(mode, seed=seed, loss=0.05)
    run_with_crashes(network, 0.05, 200, late=True)
    check_same(mode, answer(network), wanted)
    assert spent(network) == cost


@every(7)
def test_a_batch_that_was_given_up_leaves_the_next_one_alone(stride: int, undisturbed: Batch) -> None:
    mode, _, steps, _ = undisturbed
    others = IDS[::-1][:3]
    wanted = answer_of(mode, others)
    for at in range(0, steps, stride):
        network = asking(mode)
        for _ in range(at):
            network.step()
        network.crash("lab")  # it may remember an attempt of the batch that nobody asks about any more
        ask(network, mode, others)
        network.run()
        check_same(mode, answer(network), wanted)


def answer_of(mode: str, ids: tuple[str, ...]) -> Answer:
    network = asking(mode, ids)
    network.run()
    return answer(network)


def aligning(mode: str = "psi") -> Network:
    """The lab has drawn a scalar for the batch and has not answered with tags."""
    network = asking(mode)
    while "untagged" not in network.parties["lab"].store.values:
        assert network.step()
    return network


def test_a_restarted_assistor_masks_nothing_for_a_batch_that_nobody_asks_about() -> None:
    network = aligning()
    lab = network.parties["lab"]
    lab.boot()
    assert [e.message.KIND for e in lab.node.role.start() if isinstance(e, Send)] == ["realign"] and not lab.jobs
    sponsor = asking("psi").sponsor.node.role
    assert sponsor.receive("lab", messages.Realign(messages.Step(7, 0))) == [events.Stale("lab")]


def test_an_assistor_may_not_choose_the_attempt() -> None:
    sponsor = asking("psi").sponsor.node.role
    with pytest.raises(PeerViolation, match="by number"):
        sponsor.receive("lab", messages.Realign(messages.Step(1, 3)))
