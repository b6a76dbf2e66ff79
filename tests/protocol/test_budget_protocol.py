"""What an assistor's data may give away is counted over runs and studies: a new run directory begins nothing anew."""

from __future__ import annotations

import dataclasses

import pytest

from crypto.ckks.products import MAX_PRODUCTS_COST
from crypto.ckks.sets import PARAMETER_SETS
from parties.run.budget import DataBudget
from parties.run.node import Node
from secure_gal import events, messages
from secure_gal.errors import ConsentError, PeerViolation
from secure_gal.holdings.budget import Charge
from secure_gal.protection.sums.assistor import spend_run
from secure_gal.protocol import roles
from secure_gal.settings.limits import limits_of, read_beyond
from secure_gal.settings.study import Protect
from secure_gal.state import State
from tests.support import encrypted_in_memory, overlapping_in_memory, sums_in_memory
from tests.support.budget_runs import Make, ask, run_of
from tests.support.simulation import MemoryStore, Network, Party
from tests.support.study_in_memory import (
    NAMES,
    ROUNDS,
    Arrays,
    MemoryBudget,
    context,
    make_node,
    make_party,
    spent,
    study,
    table_of,
)

STANDARD = PARAMETER_SETS["standard"]


# --- rows and ids -----------------------------------------------------------------------------------------------------


def capped(budget: MemoryBudget, cap: int) -> Party:
    """A lab that serves predictions in the clear, in a run of its own, and answers at most `cap` rows."""
    network = Network(make_party("hospital"), [make_party(name) for name in NAMES[1:]])
    network.run()
    done = network.parties["lab"].store
    fixed = dataclasses.replace(context("lab", study(), budget=budget), max_rows=cap)

    def make(store: MemoryStore) -> Node:
        store.values, store.rows = dict(done.values), list(done.rows)
        return make_node(roles.assistor(fixed, Arrays("lab", 5), State(store.values), bytes(16)), store, fixed)

    return Party("lab", make)


def test_rows_are_counted_over_runs() -> None:
    budget = MemoryBudget()
    first, second = capped(budget, 5), capped(budget, 5)
    assert ask(first, 1, "r1", "r2", "r3") == ""
    refused = ask(second, 1, "r1", "r2", "r3")
    assert refused == "this party's budget of rows to predict does not allow it", "peers learn nothing of other runs"
    assert ask(second, 2, "r1", "r2") == "" and ask(first, 2, "r1") != ""
    assert (spent(first, "rows"), spent(first, "queries")) == (5, 5)
    first.boot()
    assert ask(first, 3, "r1") != "", "nor does a restart"


def test_the_table_is_looked_at_before_a_batch_is_counted() -> None:
    """It may have become the same data as one whose budget is used up."""
    budget = MemoryBudget()
    lab, other = capped(budget, 5), DataBudget(budget.path.parent)
    other.admit(table_of(["Q"], budget.path.parent / "other.csv"))
    assert other.spend("other", [Charge("rows", 4, None)]) is None
    lab.node.role._model.current_ids = lambda: budget.admit(table_of(["r1", "Q"], budget.path.parent / "rows.csv"))  # type: ignore[attr-defined]
    assert "rows to predict" in ask(lab, 1, "r1", "r2") and ask(lab, 2, "r1") == ""


def test_this_partys_own_person_is_told_the_numbers() -> None:
    lab = capped(MemoryBudget(), 2)
    event, _ = lab.node.role.receive("hospital", messages.PredictRequest(messages.Batch(1), ("r1", "r2", "r3")))
    assert isinstance(event, events.Refused) and "3 rows to predict, after the 0 of all" in event.why
    assert "limit of 2; raise max_rows in this party's own file" in event.why


def test_ids_asked_about_are_counted_over_runs_and_studies() -> None:
    """Three runs of 40 ids are more than 100, though each alone is not: nobody broke a rule, and the study goes no
    further."""
    budget, make = MemoryBudget(), overlapping_in_memory.make_party
    settings = study(protect=Protect(ids="psi"), validation=0.0, max_queries=100)
    run_of(make, settings, budget)
    run_of(make, settings, budget)
    with pytest.raises(
        ConsentError, match=r"lab goes no further: 40 ids that were asked about, after the 80 .* limit of 100; agree"
    ):
        run_of(make, settings, budget)
    beyond = read_beyond(["queries=160"], limits_of(settings, "lab"))
    assert spent(run_of(make, settings, budget, beyond=beyond).parties["lab"], "queries") == 120
    larger = study(protect=Protect(ids="psi"), validation=0.0, max_queries=160)
    assert spent(run_of(make, larger, budget).parties["lab"], "queries") == 160
    with pytest.raises(PeerViolation, match="has asked about 40 ids; the study allows 30 in all"):
        run_of(make, study(protect=Protect(ids="psi"), validation=0.0, max_queries=30), MemoryBudget())


def test_ids_asked_about_in_the_clear_are_counted_as_well() -> None:
    """Both questions that a sponsor of sums can ask about ids it invents."""
    settings = study(protect=sums_in_memory.CLEAR, loss="l2", max_queries=10)
    network = run_of(sums_in_memory.make_party, settings, MemoryBudget())
    insurer = network.parties["insurer"].node.role
    invented = tuple(f"nobody{i}" for i in range(6))
    insurer.receive("hospital", messages.KnownRequest(messages.Batch(1), invented))
    with pytest.raises(PeerViolation, match="has asked about 12 ids; the study allows 10"):
        insurer.receive("hospital", messages.KnownRequest(messages.Batch(2), invented))
    assert spent(network.parties["insurer"], "queries") == 6
    lab = run_of(make_party, study(max_queries=3), MemoryBudget()).parties["lab"]
    assert ask(lab, 1, "r1", "r2") == "" and "ids that were asked about" in ask(lab, 2, "r1", "r2")


# --- reply ciphertexts ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "protect", "each"),
    [
        (encrypted_in_memory.make_party, Protect(ids="clear", residuals="ckks"), ROUNDS),
        (sums_in_memory.make_party, sums_in_memory.CKKS, 2 * ROUNDS),
        (sums_in_memory.make_party, sums_in_memory.CLEAR, 2 * ROUNDS),
    ],
    ids=["individual", "sums of ciphertexts", "sums of clear fits"],
)
def test_tau_holds_over_runs(make: Make, protect: Protect, each: int) -> None:
    """A run for which too little is left ends before its first round, and spends nothing."""
    budget, settings = MemoryBudget(), study(protect=protect, loss="l2")
    assert budget.spend("earlier", [Charge("replies", STANDARD.tau - 2 * each + 1, None)]) is None
    lab = run_of(make, settings, budget).parties["lab"]
    assert spent(lab, "replies") == STANDARD.tau - each + 1
    with pytest.raises(ConsentError, match=f"{each} reply ciphertexts, after the .*--beyond tau=NUMBER"):
        run_of(make, settings, budget)
    assert spent(lab, "replies") == STANDARD.tau - each + 1
    more = read_beyond([f"tau={STANDARD.tau + 1}"], limits_of(settings, "lab"))
    beyond = more | {"sums": 1e3, "own-sums": 1e3}
    assert spent(run_of(make, settings, budget, beyond=beyond).parties["lab"], "replies") == STANDARD.tau + 1
    with pytest.raises(ConsentError, match=f"more than the limit of {STANDARD.tau + 1:,}"):
        run_of(make, settings, budget, beyond=beyond)


def test_predictions_of_another_run_leave_less_of_tau() -> None:
    budget, make = MemoryBudget(), encrypted_in_memory.make_party
    settings = encrypted_in_memory.STUDY
    first, second = (run_of(make, settings, budget).parties["lab"] for _ in range(2))
    assert budget.spend("earlier", [Charge("replies", STANDARD.tau - 2 * ROUNDS - 2, None)]) is None
    assert ask(first, 1, "r1") == "" and ask(second, 1, "r1") == ""
    for lab in (first, second):
        refused = ask(lab, 2, "r1")
        assert refused == "this party's budget of reply ciphertexts does not allow it"


# --- sums -------------------------------------------------------------------------------------------------------------


def test_sums_of_other_runs_count_against_both_limits() -> None:
    """Three rounds of two times three features; the third run would be the ninth sum, and needs more than was
    stated."""
    budget, settings = MemoryBudget(), study(protect=sums_in_memory.CLEAR, loss="l2")
    two = {"sums": 1.0, "own-sums": 2.0}
    for _ in range(2):
        run_of(sums_in_memory.make_party, settings, budget, beyond=two)
    with pytest.raises(
        ConsentError, match=r"lab takes no part: .*T\*K = 9 equations.*--beyond sums=1.5 --beyond own-sums=3"
    ):
        run_of(sums_in_memory.make_party, settings, budget, beyond=two)
    assert budget.spent("sums") == 6, "nothing was released, so nothing was spent"


def test_a_run_spends_its_sums_once_however_often_it_hears_the_declarations() -> None:
    """As after a crash between spending and committing."""
    settings = study(protect=sums_in_memory.CLEAR, loss="l2")
    labs = [sums_in_memory.make_party(name, settings) for name in NAMES[1:]]
    network = Network(sums_in_memory.make_party("hospital", settings), labs)
    while "sum/widths" not in labs[0].store.values:
        assert network.step()
    products = spent(labs[0], "products")
    assert spend_run(labs[0].node.role.stage, {"lab": 3, "insurer": 3}) == spent(labs[0], "sums") == ROUNDS  # type: ignore[attr-defined]
    assert spent(labs[0], "products") == products > 0


def test_inner_products_of_other_runs_count() -> None:
    budget, settings = MemoryBudget(), study(protect=sums_in_memory.CLEAR, loss="l2")
    lab = run_of(sums_in_memory.make_party, settings, budget).parties["lab"]
    once = spent(lab, "products")
    assert 0 < once < MAX_PRODUCTS_COST / 2
    assert budget.spend("earlier", [Charge("products", MAX_PRODUCTS_COST - 2 * once + 1, None)]) is None
    with pytest.raises(ConsentError, match=r'inner products.*use weights = "uniform"'):
        run_of(sums_in_memory.make_party, settings, budget)
    uniform = study(protect=sums_in_memory.CLEAR, loss="l2", weights="uniform")
    run_of(sums_in_memory.make_party, uniform, budget)
