"""Rounds that are run only to hide when learning ended: they are not kept, and a finished study predicts without them.

Without validation rows nothing but the end of learning says how many rounds are kept.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from parties.commands import demo
from secure_gal import GAL
from secure_gal.gal.ensemble import Ensemble
from secure_gal.gal.losses import get_loss
from secure_gal.holdings.local import collapse
from secure_gal.learners import storage
from secure_gal.protocol.own_part import own_part
from secure_gal.settings.study import Protect
from secure_gal.state import State
from tests.support import encrypted_in_memory, study_in_memory, sums_in_memory
from tests.support.commands import without_own_model
from tests.support.simulation import Network
from tests.support.study_in_memory import NAMES, Arrays, study

ROWS, COLUMNS, ROUNDS = 60, 80, 3


def separable() -> tuple[np.ndarray, np.ndarray]:
    """More columns than rows: any labels are separable, and learning ends long before the agreed rounds."""
    rng = np.random.default_rng(4)
    x, y = rng.standard_normal((ROWS, COLUMNS)), rng.permutation(np.arange(ROWS) % 2)
    x[:, ::20] += np.where(y == 1, 4.0, -4.0)[:, None]  # one column or more at every party separates
    return x, y


def ended(rounds: int) -> Ensemble:
    """Over labels of two classes that one party's fit separates at once, with so many rounds run."""
    y = separable()[1]
    made = Ensemble(
        get_loss("cross_entropy", 1),
        y,
        np.ones(ROWS, dtype=bool),
        "classification",
        ("a",),
        "fitted",
        "search",
        3,
        ROUNDS,
        "l2",
    )
    for _ in range(rounds):
        made.commit({"a": np.where(y == 1, 1.0, -1.0)[:, None].astype(np.float32)})
    return made


def test_a_round_after_the_end_of_learning_is_not_kept() -> None:
    for rounds in (1, 2, ROUNDS):
        made = ended(rounds)
        assert (made.finished, made.kept, len(made.coefficients("a"))) == (True, 1, 1)
        assert made.F.tobytes() == ended(1).F.tobytes()


def test_all_rounds_are_kept_where_learning_never_ended() -> None:
    rng = np.random.default_rng(0)
    y = rng.standard_normal((ROWS, 1))
    made = Ensemble(
        get_loss("l2", 1), y, np.ones(ROWS, dtype=bool), "regression", ("a",), "fitted", "search", 3, 4, "l2"
    )
    while not made.finished:
        made.commit({"a": (made.residual() + rng.standard_normal((ROWS, 1))).astype(np.float32)})
    assert made.kept == len(made.history) == 4


class Wide(Arrays):
    """The sponsor over an array, whose label is of two classes that its own columns separate."""

    def __init__(self, name: str, offset: int = 0, rounds: int = study_in_memory.ROUNDS) -> None:
        super().__init__(name, offset, rounds)
        self.codes = (self.x[:, 0] > 0).astype(np.int64)
        self.x = self.x * [1.0, 0.0, 0.0] + np.where(self.codes, 4.0, -4.0)[:, None] * [1.0, 0.0, 0.0]

    def ensemble(self, parties: tuple[str, ...]) -> Ensemble:
        return Ensemble(
            get_loss("cross_entropy", 1),
            self.codes[self.rows],
            self.train,
            "classification",
            parties,
            "fitted",
            "search",
            10,
            self.rounds,
            "l2",
        )

    def part(self, table, ids, encoder, models, coefficients, k):  # type: ignore[no-untyped-def]
        return np.ones(len(ids)), collapse([storage.load(m) for m in models], coefficients, self.x)


def in_memory(mode: str, monkeypatch: pytest.MonkeyPatch) -> Network:
    """A finished study of stand-in ciphertexts without validation rows, the sponsor's own columns separating."""
    protect = Protect(ids="clear", residuals="ckks", predictions="sum" if mode == "sum" else "none")
    module = sums_in_memory if mode == "sum" else encrypted_in_memory
    monkeypatch.setattr(module, "Arrays", Wide)
    settings = study(protect=protect, validation=0.0, task="classification", rounds=3)
    network = Network(module.make_party("hospital", settings), [module.make_party(n, settings) for n in NAMES[1:]])
    network.run()
    return network


@pytest.mark.parametrize("mode", ["ckks", "sum"])
def test_the_sponsors_own_part_needs_no_model_of_a_hidden_round(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    network = in_memory(mode, monkeypatch)
    state, ensemble = State(network.sponsor.store.values), network.sponsor.node.role.ensemble
    kept = ensemble.kept
    assert state.text("phase") == "finished" and len(ensemble.history) == 3, "all agreed rounds are run"
    assert [record.eta == 0.0 for record in ensemble.history] == [t > kept for t in (1, 2, 3)] and kept < 3
    assert len(state.keys("model/")) == kept == len(state.array("own-coefficients"))
    own, initial = own_part_of(state)
    assert own.any() and initial.shape == (1,)


def test_where_residuals_are_in_the_clear_nothing_is_hidden_and_no_round_follows_the_end_of_learning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(study_in_memory, "Arrays", Wide)
    settings = study(protect=Protect(ids="clear"), validation=0.0, task="classification", rounds=3)
    network = Network(
        study_in_memory.make_party("hospital", settings), [study_in_memory.make_party(n, settings) for n in NAMES[1:]]
    )
    network.run()
    ensemble = network.sponsor.node.role.ensemble
    assert State(network.sponsor.store.values).text("phase") == "finished"
    assert len(ensemble.history) == ensemble.kept < 3


def own_part_of(state: State) -> tuple[np.ndarray, np.ndarray]:
    model = Wide("hospital")
    return own_part(state, model, SimpleNamespace(ids=model.ids), None, 1)  # type: ignore[arg-type]


@pytest.mark.parametrize("residuals", ["none", "ckks"])
def test_the_reference_predicts_what_it_separated(residuals: str) -> None:
    x, y = separable()
    blocks = [x[:, :40], x[:, 40:]]
    gal = GAL(rounds=ROUNDS, weights="paper", residuals=residuals, parameters="standard").fit(blocks, y)
    learnt = [record for record in gal.history_ if record.eta]
    assert gal.train_mask_.all() and gal.n_rounds_ == len(learnt) < ROUNDS
    assert (gal.predict(blocks) == y).all()
    assert np.abs(gal.decision_function(blocks) - gal.F_[:, 0]).max() < 1e-2 * np.abs(gal.F_).max()


def write_study(folder: Path, residuals: str, predictions: str) -> np.ndarray:
    """A demo's folders with a table of fewer than 100 rows and more columns; returns the labels."""
    x, y = separable()
    columns = {"hospital": slice(0, 30), "lab-a": slice(30, 55), "lab-b": slice(55, COLUMNS)}
    for party, cut in columns.items():
        (folder / party).mkdir(parents=True)
        names = [f"c{j}" for j in range(COLUMNS)[cut]]
        label = y if party == "hospital" else None
        demo._table(folder / party / f"{party}.csv", names, x[:, cut], list(range(ROWS)), label)
    demo._table(folder / "hospital" / "new.csv", [f"c{j}" for j in range(30)], x[:, :30], list(range(ROWS)), None)
    demo._write_settings(folder, demo._free_port(), residuals, "clear", "standard")
    for party in columns:
        file = folder / party / "study.toml"
        file.write_text(f'rounds = {ROUNDS}\n{file.read_text()}predictions = "{predictions}"\n')
    return y


@pytest.mark.processes
@pytest.mark.parametrize("predictions", ["none", pytest.param("sum", marks=pytest.mark.slow)])
def test_a_finished_encrypted_study_of_few_rows_predicts(predictions: str, tmp_path: Path) -> None:
    y = write_study(tmp_path, "ckks", predictions)
    without_own_model(tmp_path / "hospital" / "hospital.toml")
    labs = [
        demo._start(tmp_path / lab, "assist", f"{lab}.toml", *demo._consent(tmp_path / lab)) for lab in demo.PARTIES[1:]
    ]
    try:
        demo._finish(demo._start(tmp_path / "hospital", "train", "hospital.toml"), "train", labs)
        ask = ("predict", "hospital.toml", "--ids", "new.csv", "--out", "predictions.csv")
        demo._finish(demo._start(tmp_path / "hospital", *ask), "predict", labs)
    finally:
        for lab in labs:
            lab.terminate()
            lab.wait(timeout=30)
    lines = (tmp_path / "hospital" / "predictions.csv").read_text().splitlines()[1:]
    assert [int(line.split(",")[1]) for line in lines] == y.tolist()
