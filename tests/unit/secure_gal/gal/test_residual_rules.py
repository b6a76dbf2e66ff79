"""Clear residuals are held against what their loss allows: no honest one is refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from secure_gal.data.encode import LabelCodec
from secure_gal.gal.ensemble import Ensemble
from secure_gal.gal.losses import get_loss
from secure_gal.holdings.privatised import label_scheme
from secure_gal.labels.residual_rules import residual_problem
from secure_gal.labels.schemes import IDENTITY, ClassResponse, RangeInterval, RangeResponse
from secure_gal.settings.study import Study
from tests.support.residual_studies import RNG, classes, dp_classes, ranged, targets


def ensemble(settings: Study, labels: list[Any], train: np.ndarray, seed: int = 0) -> Ensemble:
    """What the sponsor makes of its labels, with releases from a seeded generator."""
    if settings.protect.privatised:
        scheme = label_scheme(settings.protect)
        words = RNG(seed).integers(0, 2**64, len(labels), dtype=np.uint64)
        if isinstance(scheme, ClassResponse):
            released = scheme.mechanism.respond(scheme._codes(labels), words).astype(np.float64)
        elif isinstance(scheme, RangeResponse):
            released = scheme.mechanism.respond(scheme.bins.codes(IDENTITY.encode(labels)[:, 0]), words).astype(float)
        else:
            assert isinstance(scheme, RangeInterval)
            released = scheme.mechanism.respond(IDENTITY.encode(labels)[:, 0], words).estimates
        _, y, loss = scheme.training(released, train, settings.loss_name)
    else:
        known = [f"c{i}" for i in range(settings.k if settings.k > 1 else 2)]
        coded = settings.task == "classification"
        codec = LabelCodec.fit(settings.task, known if coded else labels, np.ones(len(known), bool) if coded else train)
        y, loss = codec.encode(labels), get_loss(settings.loss_name, settings.k)
    return Ensemble(loss, y, train, settings.task, ("a", "b"), "fitted", settings.learning_rate, 99, 99, "l2")


def fits(made: Ensemble, train: np.ndarray, rng: np.random.Generator, wild: bool) -> dict[str, np.ndarray]:
    """Fitted values of two parties, good or bad; what saturates the outputs comes last."""
    shape = made.F.shape
    good = np.zeros(shape)
    good[train] = made.residual()
    bad = rng.standard_normal(shape)
    spike = np.zeros(shape)
    spike[rng.integers(len(spike))] = 1.0
    kinds: list[np.ndarray] = [good, good + 0.5 * bad, bad, spike, np.zeros(shape)]
    if wild:
        kinds += [1e3 * bad, 1e-20 * bad, -good, 100 * spike]
    first, second = rng.integers(len(kinds), size=2)
    return {"a": kinds[first].astype(np.float32), "b": kinds[second].astype(np.float32)}


def held(settings: Study, rows: int, rng: np.random.Generator) -> np.ndarray:
    """Which training rows an assistor holds."""
    if settings.rows == "common":
        return np.ones(rows, bool)
    mask = rng.random(rows) < rng.random()
    mask[rng.integers(rows)] = True
    return mask


def never_refused(settings: Study, labels: list[Any], rounds: int = 5, seed: int = 0) -> None:
    rng = RNG(seed)
    train = np.arange(len(labels)) % 5 > 0 if len(labels) > 20 else np.ones(len(labels), bool)
    made = ensemble(settings, labels, train, seed)
    for round_ in range(1, rounds + 1):
        residual = made.residual()
        part = residual[held(settings, len(residual), rng)]
        assert residual_problem(settings, round_, part) == "", (settings, round_)
        wild = settings.learning_rate == "search" and not settings.protect.privatised
        made.commit(fits(made, train, rng, wild))


def of_classes(count: int) -> Iterator[list[str]]:
    """Even, skewed, extreme, absent and single classes, few rows and many."""
    for rows in (2, 3, 40, 500):
        for skew in (0.0, 1.0, 4.0):
            p = 1.0 / np.arange(1, count + 1) ** skew
            yield [f"c{i}" for i in RNG(rows).choice(count, rows, p=p / p.sum())]
        yield ["c0"] * (rows - 1) + [f"c{count - 1}"]
        yield ["c0"] + [f"c{count - 1}"] * (rows - 1)
        yield ["c1"] * rows


@pytest.mark.parametrize("rows", ["common", "sponsor"])
@pytest.mark.parametrize("outputs", [1, 3, 7])
@pytest.mark.parametrize("rate", ["search", 0.3, 50.0])
def test_no_honest_residual_of_classes_is_refused(rows: str, outputs: int, rate: Any) -> None:
    settings = classes(outputs, rows=rows, learning_rate=rate)
    for seed, labels in enumerate(of_classes(max(2, outputs))):
        never_refused(settings, labels, seed=seed)


@pytest.mark.filterwarnings("ignore:overflow encountered in cast:RuntimeWarning")  # labels that say nothing: any step
@pytest.mark.parametrize("rows", ["common", "sponsor"])
@pytest.mark.parametrize("count", [2, 3, 12])
@pytest.mark.parametrize("epsilon", [0.01, 0.5, 3.0, 20.0])
def test_no_honest_residual_of_released_classes_is_refused(rows: str, count: int, epsilon: float) -> None:
    settings = dp_classes(epsilon, count, rows=rows)
    for seed, labels in enumerate(of_classes(count)):
        never_refused(settings, labels, seed=seed)


def numbers() -> Iterator[np.ndarray]:
    """Targets of every shape: heavy tails, outliers, ties, large offsets, tiny units."""
    for rows in (2, 3, 40, 3000):
        rng = RNG(rows)
        normal = rng.standard_normal(rows)
        yield normal
        yield rng.standard_cauchy(rows) * 1e6
        yield np.exp(6 * normal)
        yield np.where(np.arange(rows) == 1, 1e12, normal)
        yield np.where(np.arange(rows) < 0.9 * rows - 1, 0.0, normal)
        yield (np.arange(rows) % 2).astype(float)
        yield 1.7e18 + 1e9 * normal
        yield 1e16 + 2.0 * (np.arange(rows) % 3)
        yield normal * 1e-150


@pytest.mark.parametrize("rows", ["common", "sponsor"])
@pytest.mark.parametrize("loss", ["l2", "l1", "huber"])
@pytest.mark.parametrize("rate", ["search", 0.3, 50.0])
def test_no_honest_residual_of_targets_is_refused(rows: str, loss: str, rate: Any) -> None:
    for seed, values in enumerate(numbers()):
        never_refused(targets(loss, rows=rows, learning_rate=rate), values.tolist(), seed=seed)


@pytest.mark.parametrize("rows", ["common", "sponsor"])
@pytest.mark.parametrize("loss", ["l2", "l1", "huber"])
@pytest.mark.parametrize("epsilon", [None, 0.1, 2.0, 20.0])
def test_no_honest_residual_of_released_targets_is_refused(rows: str, loss: str, epsilon: float | None) -> None:
    for size in (40, 3000):
        for scale in (0.1, 1.0, 50.0):
            never_refused(ranged(loss, epsilon, rows=rows), (scale * RNG(size).standard_normal(size)).tolist())


def test_many_rounds_to_saturation_are_never_refused() -> None:
    """Separable data: after a few rounds residuals are 0 or 1 in float32, and steps are as long as they get."""
    for settings in (classes(), classes(4), dp_classes(2.0, 2), targets("l2"), targets("l1"), targets("huber")):
        kinds = max(2, settings.k)
        labels = [f"c{i % kinds}" if settings.task == "classification" else float(i % 7) for i in range(200)]
        train = np.arange(200) % 5 > 0
        made = ensemble(settings, labels, train)
        for round_ in range(1, 41):
            residual = made.residual()
            assert residual_problem(settings, round_, residual) == ""
            if made._stuck:
                break
            whole = np.zeros(made.F.shape, np.float32)
            whole[train] = residual
            made.commit({"a": whole, "b": whole})
        assert round_ > 1
