"""Clear residuals that a sponsor crafted are refused by what their loss allows, also in whole studies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from parties.run.node import Node
from secure_gal import messages
from secure_gal.effects import Effect, Send
from secure_gal.errors import PeerViolation
from secure_gal.labels.residual_rules import residual_problem
from secure_gal.protection import sponsor_data
from secure_gal.protection.clear.sponsor import ClearResiduals
from secure_gal.protection.stages import SponsorStage
from secure_gal.protocol import roles
from secure_gal.settings.party import DataSettings, PartySettings
from secure_gal.settings.study import Protect, Study
from secure_gal.state import State
from tests.support.residual_studies import RNG, classes, dp_classes, ranged, targets
from tests.support.simulation import MemoryStore, Network, Party
from tests.support.study_in_memory import NAMES, Arrays, context, make_node

# --- crafted ones are -------------------------------------------------------------------------------------------------


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


# --- whole studies over the in-memory link ----------------------------------------------------------------------------


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

    def make_party(name: str) -> Party:
        fixed = context(name, settings)

        def make(store: MemoryStore) -> Node:
            state = State(store.values)
            if name == "hospital":
                model = sponsor_data(party, settings, folder, lambda _: None)
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
