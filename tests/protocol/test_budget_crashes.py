"""Counts of what an assistor's data gave away over crashes, restarts and tables that change."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from crypto.ckks.sets import PARAMETER_SETS
from secure_gal.errors import EnvironmentFailure, SettingsError
from secure_gal.holdings.assistor import AssistorData
from secure_gal.holdings.budget import Kind
from secure_gal.protocol import roles
from secure_gal.settings.party import DataSettings, PartySettings
from secure_gal.settings.study import Study
from secure_gal.state import State
from tests.support import encrypted_in_memory, sums_in_memory
from tests.support.budget_runs import Make, run_of
from tests.support.simulation import MemoryStore, Network
from tests.support.study_in_memory import NAMES, ROUNDS, Arrays, MemoryBudget, context, spent, study

STANDARD = PARAMETER_SETS["standard"]


def kills_at_every_step(make: Make, settings: Study, kinds: Sequence[Kind], step: int) -> None:
    """A lab killed anywhere spends what an undisturbed one does, or once more for the step that was lost."""
    undisturbed = run_of(make, settings, MemoryBudget()).parties["lab"]
    for at in range(0, 400, step):
        network = Network(make("hospital", settings), [make(name, settings) for name in NAMES[1:]])
        for _ in range(at):
            if not network.step():
                return
        network.crash("lab")
        network.run()
        for kind in kinds:
            assert spent(network.parties["lab"], kind) == spent(undisturbed, kind), f"killed at step {at}: {kind}"


def test_a_kill_between_steps_counts_nothing_twice() -> None:
    settings = study(protect=sums_in_memory.CKKS, loss="l2")
    kills_at_every_step(sums_in_memory.make_party, settings, ("replies", "sums", "products", "rows"), 23)


def test_a_crash_between_spending_and_committing_errs_to_the_safe_side() -> None:
    """Every commit of the lab fails once: a fit may be counted twice, never less often than it is answered."""
    make, settings = encrypted_in_memory.make_party, encrypted_in_memory.STUDY
    whole = run_of(make, settings, MemoryBudget()).parties["lab"]
    twice = 0
    for fails in range(3, whole.store.commits):
        network = Network(make("hospital", settings), [make(name, settings) for name in NAMES[1:]])
        lab = network.parties["lab"]
        commit = lab.store.commit

        def broken(
            *arguments: object, store: MemoryStore = lab.store, real: Callable[..., None] = commit, last: int = fails
        ) -> None:
            if store.commits == last:
                store.commit = real  # type: ignore[method-assign]
                raise EnvironmentFailure("the disk is full")
            real(*arguments)

        lab.store.commit = broken  # type: ignore[method-assign]
        with pytest.raises(EnvironmentFailure):
            network.run()
        network.crash("lab")
        network.run()
        more = spent(lab, "replies") - spent(whole, "replies")
        assert more in (0, spent(whole, "replies") // ROUNDS), f"commit {fails}"
        twice += more > 0
    assert twice == ROUNDS


def test_a_table_that_changes_while_it_is_served_is_counted_too(tmp_path: Path) -> None:
    """In a process that predicts for months, the file is another one than it began with."""
    path = tmp_path / "lab.csv"
    path.write_text("id,a\nP1,1\nP2,3\n")
    party = PartySettings(tmp_path / "study.toml", "lab", tmp_path, tmp_path / "run", DataSettings(path, "id"))
    model = AssistorData(party, study(), tmp_path, lambda text: None)
    seen: list[list[str]] = []
    model.on_read = lambda table: seen.append(table.ids)
    path.write_text("id,a\nP1,1\nQ1,3\n")
    model.current_ids()
    model.predict(("P1",), b"", [], np.zeros(0), 1)
    assert seen == [["P1", "Q1"], ["P1", "Q1"]]


def test_an_assistor_without_a_budget_cannot_be_made() -> None:
    fixed = dataclasses.replace(context("lab", study()), budget=None)
    from secure_gal.errors import StateError

    with pytest.raises(StateError, match="needs the budget"):
        roles.assistor(fixed, Arrays("lab", 5), State(), bytes(16))


def test_a_study_that_alone_is_above_tau_names_the_study(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PARAMETER_SETS, "standard", dataclasses.replace(STANDARD, tau=2))
    with pytest.raises(
        SettingsError, match=r"study\.toml: 3 rounds over 120 rows and 1 outputs are 3 reply ciphertexts"
    ):
        run_of(encrypted_in_memory.make_party, encrypted_in_memory.STUDY, MemoryBudget())
    run_of(encrypted_in_memory.make_party, encrypted_in_memory.STUDY, MemoryBudget(), beyond={"tau": 3})
