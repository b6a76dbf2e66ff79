"""Clear residuals are held against what their loss allows: no honest one is refused, crafted ones are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from parties.run.node import Node
from secure_gal import messages
from secure_gal.data.encode import LabelCodec
from secure_gal.effects import Effect, Send
from secure_gal.errors import PeerViolation
from secure_gal.gal.ensemble import Ensemble
from secure_gal.gal.losses import get_loss
from secure_gal.holdings.privatised import PrivatisedSponsorData, label_scheme
from secure_gal.holdings.sponsor import SponsorData
from secure_gal.labels.residual_rules import residual_problem
from secure_gal.labels.schemes import IDENTITY, ClassResponse, RangeInterval, RangeResponse
from secure_gal.protection.clear.sponsor import ClearResiduals
from secure_gal.protection.sponsor_stage import SponsorStage
from secure_gal.protocol import roles
from secure_gal.settings.party import DataSettings, PartySettings
from secure_gal.settings.study import Protect, Study
from secure_gal.state import State
from tests.support.simulation import MemoryStore, Network, Party
from tests.support.study_in_memory import NAMES, Arrays, context, make_node, study

RNG = np.random.default_rng


def classes(outputs: int = 1, **more: Any) -> Study:
    return study(task="classification", outputs=outputs, rounds=10, **more)


def dp_classes(epsilon: float, count: int, **more: Any) -> Study:
    protect = Protect(ids="clear", residuals="dp", epsilon=epsilon, classes=tuple(f"c{i}" for i in range(count)))
    return study(task="classification", protect=protect, rounds=10, **more)


def targets(loss: str, **more: Any) -> Study:
    return study(loss=loss, rounds=10, **more)


def ranged(loss: str, epsilon: float | None, **more: Any) -> Study:
    kind: Any = "ip" if epsilon is None else "dp"
    return targets(loss, protect=Protect(ids="clear", residuals=kind, epsilon=epsilon, label_range=(-4.0, 4.0)), **more)


# no honest residual is refused


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
    for rows in (2, 3, 40, 3000):
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


# crafted ones are


N = 60


def unit(k: int = 1, row: int = 7, size: float = 1.0) -> np.ndarray:
    r = np.zeros((N, k), np.float32)
    r[row, 0] = size
    return r


def labelled(k: int, y: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """One-hot less shares, (n, K) or for one output (n, 1)."""
    r = np.eye(max(2, k))[y] - shares
    return np.asarray(r[:, 1:] if k == 1 else r, dtype=np.float32)


HALF = np.arange(N) % 2
NORMAL = RNG(3).standard_normal((N, 1)).astype(np.float32)
CRAFTED: list[tuple[str, Study, int, np.ndarray, str]] = [
    ("a unit vector", classes(), 1, unit(), "F.0 leaves"),
    ("its negative", classes(), 1, -unit(), "F.0 leaves"),
    ("a short one", classes(), 1, unit(size=1e-3), "F.0 leaves"),
    ("a long one", classes(), 2, unit(size=1.01), "beyond 1"),
    ("noise", classes(), 1, np.clip(NORMAL, -1, 1), "F.0 leaves"),
    ("a prior of no labels", classes(), 1, labelled(1, HALF, np.array([0.3, 0.7])), "F.0 leaves"),
    ("three values", classes(), 1, labelled(1, HALF, np.array([0.5, 0.5])) - unit(size=0.01), "F.0 leaves"),
    ("a unit vector", classes(3), 1, unit(3), "add up to 0"),
    ("a unit vector later", classes(3), 9, unit(3), "add up to 0"),
    ("one-hot classes", classes(3), 1, np.eye(3, dtype=np.float32)[np.arange(N) % 3], "add up to 0"),
    ("two classes at once", classes(3), 4, np.tile(np.float32([0.5, 0.5, -1.0]), (N, 1)), "two positive"),
    ("a difference", classes(3), 1, unit(3) - np.roll(unit(3), 1, axis=1), "F.0 leaves"),
    ("shares of no labels", classes(3), 1, labelled(3, np.arange(N) % 3, np.array([0.2, 0.3, 0.5])), "F.0 leaves"),
    ("a unit vector among some rows", classes(rows="sponsor"), 1, unit(size=0.5), "F.0 leaves"),
    ("noise among some rows", classes(rows="sponsor"), 1, np.clip(NORMAL, -1, 1), "F.0 leaves"),
    (
        "a difference among some rows",
        classes(3, rows="sponsor"),
        1,
        unit(3) - np.roll(unit(3), 1, axis=1),
        "F.0 leaves",
    ),
    ("a unit vector", dp_classes(1.0, 2), 1, unit(size=0.2), "F.0 leaves"),
    ("beyond a release", dp_classes(1.0, 2), 5, unit(size=0.25), "beyond 0.2449"),
    ("labels that were not released", dp_classes(1.0, 2), 1, labelled(1, HALF, np.array([0.5, 0.5])), "beyond 0.2449"),
    ("a unit vector", dp_classes(1.0, 3), 3, unit(3, size=0.2), "add up to 0"),
    ("noise among some rows", dp_classes(1.0, 2, rows="sponsor"), 1, 0.2 * np.tanh(NORMAL), "F.0 leaves"),
    ("a unit vector", targets("l2"), 1, unit(), "a mean other than 0"),
    ("a long residual", targets("l2"), 1, (1.1 * (NORMAL - NORMAL.mean()) / NORMAL.std()), "sum of squares"),
    ("one that grew", targets("l2"), 6, unit(size=8.0), "sum of squares"),
    (
        "one that is too long for any table",
        targets("l2", rows="sponsor", max_ids=100),
        3,
        unit(size=10.1),
        "sum of squares",
    ),
    ("no sign", targets("l1"), 2, unit(size=0.5), "no sign"),
    ("above the median", targets("l1"), 1, np.sign(NORMAL + 0.5), "one side of the median"),
    ("beyond the bend", targets("huber"), 4, unit(size=1.5), "beyond 1"),
    ("a unit vector", targets("huber"), 1, unit(), "a mean other than 0"),
    ("not of bins", ranged("l2", 1.0), 1, (NORMAL - NORMAL.mean()) / NORMAL.std(), "different values"),
    ("a unit vector", ranged("l2", None), 1, unit(), "a mean other than 0"),
]


@pytest.mark.parametrize(
    ("what", "settings", "round_", "crafted", "rule"), CRAFTED, ids=[f"{i}-{c[0]}" for i, c in enumerate(CRAFTED)]
)
def test_a_crafted_residual_is_refused_and_changes_nothing(
    what: str, settings: Study, round_: int, crafted: np.ndarray, rule: str
) -> None:
    state = {"phase": b"learning", "train": np.ones(N, np.uint8), "round": str(round_ - 1).encode(), "prepared": b"1"}
    role = roles.assistor(context("lab", settings), None, State(state), b"")  # type: ignore[arg-type]
    kind = messages.PrivatisedResidual if settings.protect.privatised else messages.Residual
    with pytest.raises(PeerViolation, match=f"no residual of {settings.loss_name}: .*{rule}") as error:
        role.receive("hospital", kind(crafted.astype(np.float32), round_))
    assert error.value.peer == "hospital" and role.state.take_changes() == {}
    assert role.state.rows == state, what


@pytest.mark.parametrize(
    ("settings", "round_", "crafted"),
    [
        (classes(), 1, labelled(1, (np.arange(N) == 7).astype(int), np.array([1 - 1 / N, 1 / N]))),
        (classes(), 2, unit()),
        (targets("l2"), 2, unit()),
        (targets("l1"), 1, unit()),
        (targets("l2", learning_rate=1.0), 2, unit(size=1e3)),
    ],
)
def test_what_the_rules_leave_open(settings: Study, round_: int, crafted: np.ndarray) -> None:
    """A label vector with a single one is a label vector; and later residuals depend on what an assistor cannot see."""
    assert residual_problem(settings, round_, crafted.astype(np.float32)) == ""


# whole studies over the in-memory link


class Crafting(ClearResiduals):
    """Sends unit vectors instead of residuals, from this round on."""

    def __init__(self, kind: type[messages.Residual], begins: int) -> None:
        super().__init__(kind)
        self._begins = begins

    def send(self, stage: SponsorStage) -> list[Effect]:
        effects = super().send(stage)
        if stage.round < self._begins:
            return effects
        for effect in effects:
            assert isinstance(effect, Send) and isinstance(effect.message, messages.Residual)
            values = np.zeros_like(effect.message.values)
            values[stage.round, 0] = 1.0
            object.__setattr__(effect.message, "values", values)
        return effects


def run(folder: Path, settings: Study, labels: list[Any], crafted_from: int = 0) -> Network:
    """A study whose sponsor reads a table with these labels."""
    x = Arrays("hospital").x
    pl.DataFrame({"id": [f"r{i}" for i in range(120)], "c0": x[:120, 0], "y": labels}).write_csv(folder / "t.csv")
    data = DataSettings(folder / "t.csv", "id", "y")
    (folder / "run").mkdir(exist_ok=True)
    party = PartySettings(folder / "study.toml", "hospital", folder, folder / "run", data, bind="tcp://*:1")
    make_model = PrivatisedSponsorData if settings.protect.privatised else SponsorData

    def make_party(name: str) -> Party:
        fixed = context(name, settings)

        def make(store: MemoryStore) -> Node:
            state = State(store.values)
            if name == "hospital":
                model = make_model(party, settings, folder, lambda _: None)
                role = roles.sponsor(fixed, model, state, bytes(16))
                if crafted_from:
                    kind = messages.PrivatisedResidual if settings.protect.privatised else messages.Residual
                    role._residuals = Crafting(kind, crafted_from)
                return make_node(role, store, fixed)
            arrays: Any = Arrays(name, 5)
            return make_node(roles.assistor(fixed, arrays, state, bytes(16)), store, fixed)

        return Party(name, make)

    network = Network(make_party("hospital"), [make_party(name) for name in NAMES[1:]])
    network.run()
    return network


def two(rng: np.random.Generator) -> list[Any]:
    return [f"c{int(v)}" for v in rng.random(120) < 0.3]


def four(rng: np.random.Generator) -> list[Any]:
    return [f"c{v}" for v in rng.choice(4, 120, p=[0.6, 0.3, 0.08, 0.02])]


def values(rng: np.random.Generator) -> list[Any]:
    return (100 + 3 * rng.standard_cauchy(120)).tolist()


STUDIES: list[tuple[Study, Callable[[np.random.Generator], list[Any]]]] = [
    (classes(protect=Protect(ids="clear")), two),
    (classes(4), four),
    (classes(4, rows="sponsor", learning_rate=0.5), four),
    (dp_classes(1.0, 2), two),
    (dp_classes(2.0, 4), four),
    (targets("l2"), values),
    (targets("l1"), values),
    (targets("huber", rows="sponsor"), values),
    (ranged("l2", 2.0), values),
    (ranged("l1", 0.5), values),
    (ranged("huber", None), values),
]


@pytest.mark.parametrize(("settings", "labels"), STUDIES)
def test_honest_studies_run_to_their_end(settings: Study, labels: Callable[..., list[Any]], tmp_path: Path) -> None:
    network = run(tmp_path, settings, labels(RNG(5)))
    assert network.sponsor.store.values["phase"] == b"finished"


@pytest.mark.parametrize(
    ("settings", "labels"), [item for item in STUDIES if item[0].loss_name != "l1" and item[0].rows == "common"]
)
def test_a_sponsor_of_unit_vectors_ends_the_study(
    settings: Study, labels: Callable[..., list[Any]], tmp_path: Path
) -> None:
    with pytest.raises(PeerViolation, match=r"hospital .* no residual of") as error:
        run(tmp_path, settings, labels(RNG(5)), crafted_from=1)
    assert error.value.peer == "hospital"


@pytest.mark.parametrize("settings", [classes(4), dp_classes(1.0, 2), dp_classes(2.0, 4)])
def test_in_classes_of_several_outputs_or_released_also_later(settings: Study, tmp_path: Path) -> None:
    labels = two if settings.k == 1 else four
    with pytest.raises(PeerViolation, match="no residual of"):
        run(tmp_path, settings, labels(RNG(5)), crafted_from=2)
