"""Rules between parties as functions of values: each at the last that is accepted and at the first that is not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest

from crypto.ckks.sets import PARAMETER_SETS
from secure_gal.data.align import Match, NoRowsError, combine, match_clear
from secure_gal.effects import Compute
from secure_gal.errors import PeerViolation, StateError
from secure_gal.manifest import who_learns_what
from secure_gal.messages import Declaration, Realign
from secure_gal.messages import Step as AlignmentStep
from secure_gal.messages.certificate import LogHead, check_head
from secure_gal.phases import Phases, Step
from secure_gal.protection.batch import Batched
from secure_gal.protection.ckks.parts import DecryptedParts
from secure_gal.protection.disclosure import Disclosure, in_the_clear
from secure_gal.protection.noised import with_noise
from secure_gal.protection.rounded import problem, rounded
from secure_gal.protection.sums.declaration import check_declaration, digest_rows
from secure_gal.protection.sums.exposure import equations, exposure, most_equations, reason, statement
from secure_gal.protection.sums.weights import to_grid, uniform_weights, weights_problem
from secure_gal.protocol import roles
from secure_gal.settings.study import Protect
from secure_gal.state import State
from tests.conftest import identity
from tests.support.study_in_memory import context, study

STEP = 2.0**-20
DIGEST, RUN = "ab" * 32, "cd" * 32


@pytest.mark.parametrize(
    ("weights", "uniform", "rule"),
    [
        ([0.5, 0.5], False, ""),
        ([0.5, 0.5 + 2 * STEP], False, ""),
        ([0.5, 0.5 + 3 * STEP], False, "must not add up to more than 1"),
        ([-STEP, 0.5], False, "multiples of the step and at least 0"),
        ([0.5 + STEP / 2, 0.25], False, "multiples of the step and at least 0"),
        ([0.5, float("inf")], False, "multiples of the step and at least 0"),
        ([0.5, 52428 * STEP], False, ""),
        ([0.5, 52427 * STEP], False, "at least two assistors must have a weight of 0.05 or more"),
        ([0.5, 0.0, 0.25], False, ""),
        ([0.25, 0.25, 0.25], True, ""),
        ([0.25, 0.25, 0.5], True, "uniform weights must all be the same"),
        ([0.0, 0.0], True, "uniform weights must all be the same"),
        ([STEP, STEP], True, ""),
    ],
)
def test_weights_are_on_the_grid_and_hide_each_assistor(weights: list[float], uniform: bool, rule: str) -> None:
    found = weights_problem(np.array(weights), uniform)
    assert rule in found if rule else found == ""


def test_weights_come_to_the_nearest_step() -> None:
    assert to_grid(np.array([0.4 * STEP, 0.6 * STEP, 0.3])).tolist() == [0.0, STEP, round(0.3 / STEP) * STEP]
    assert uniform_weights(3).tolist() == [349525 * STEP] * 3 and uniform_weights(4).tolist() == [0.25] * 4


WIDTHS = {"lab": 10, "insurer": 30}


@pytest.mark.parametrize(
    ("name", "limits", "most"),
    [("lab", (0.1, 0.2), 2), ("insurer", (0.1, 0.2), 4), ("lab", (0.1, 1.0), 4), ("lab", (0.05, 1.0), 2)],
)
def test_sums_end_at_both_limits(name: str, limits: tuple[float, float], most: int) -> None:
    assert most_equations(WIDTHS, name, *limits) == most
    assert reason(most, WIDTHS, name, *limits) == "" != reason(most + 1, WIDTHS, name, *limits)


def test_why_a_party_takes_no_part_in_sums_is_said_in_numbers() -> None:
    assert (equations(4, 3), exposure(4, WIDTHS)) == (12, 0.1)
    text = reason(6, WIDTHS, "lab")
    assert "T*K = 6 equations for the assistors' 40 features (lab 10, insurer 30): a ratio of 0.15 (limit 0.1)" in text
    assert (
        "of 0.60 for its own features (limit 0.20). Above" in text
        and "--beyond sums=0.15 --beyond own-sums=0.6" in text
    )
    assert "--beyond own-sums=0.3" in reason(3, WIDTHS, "lab") and "sums=0.0" not in reason(3, WIDTHS, "lab")
    few = {"lab": 4, "insurer": 96}
    assert "With 4 features no ratio is low enough" in reason(1, few, "lab")
    assert "no ratio is low enough" not in reason(2, {"lab": 5, "insurer": 95}, "lab")


def declared(changes: dict[str, Any], name: str = "insurer") -> None:
    """What an assistor that is not the aggregator declares, signed by it after the changes."""
    item = msgspec.structs.replace(Declaration(4, 3, ""), **changes)
    signed = identity(name).sign(statement(DIGEST, RUN, name, item.padded, item.width, item.fresh))
    item = msgspec.structs.replace(item, signature=changes.get("signature", signed.hex()))
    context: Any = SimpleNamespace(
        cards={n: identity(n).card for n in ("hospital", "lab", "insurer")},
        digest=DIGEST,
        study=study(protect=Protect(ids="clear", predictions="sum")),
    )
    check_declaration(context, RUN, name, item, "hospital")


@pytest.mark.parametrize(
    "changes", [{}, {"width": 1}, {"width": 4096}, {"padded": 0}, {"padded": 4096}, {"fresh": True}]
)
def test_a_declaration_that_is_possible(changes: dict[str, Any]) -> None:
    declared(changes)


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"width": 0}, "insurer declares an impossible width"),
        ({"width": 4097}, "insurer declares an impossible width"),
        ({"padded": -1}, "insurer declares an impossible width"),
        ({"padded": 4097}, "insurer declares an impossible width"),
        ({"signature": "zz"}, "the declaration of insurer is not hex"),
        ({"sealing_key": "0"}, "the declaration of insurer is not hex"),
        ({"signature": "00" * 64}, "the declaration of insurer is not signed by it"),
        ({"sealing_key": "00" * 32}, "insurer is not the aggregator and has a sealing key"),
        ({"sealing_signature": "00" * 64}, "insurer is not the aggregator and has a sealing key"),
    ],
)
def test_a_declaration_that_is_none(changes: dict[str, Any], rule: str) -> None:
    with pytest.raises(PeerViolation, match=rule) as found:
        declared(changes)
    assert found.value.peer == "hospital", "who delivered it"


def test_rows_of_a_sum_are_their_ids_in_order_and_which_train() -> None:
    base = digest_rows(["a", "b"], b"\1\0")
    assert base == digest_rows(("a", "b"), b"\1\0") and len(base) == 64
    others = [
        (["b", "a"], b"\1\0"),
        (["ab"], b"\1\0"),
        (["a"], b"b\1\0"),
        (["a", "b"], b"\0\1"),
        (["a", "b", ""], b"\1\0"),
    ]
    assert len({base, *(digest_rows(*other) for other in others)}) == 1 + len(others)


@pytest.mark.parametrize(
    ("seq", "root"), [(0, "ab" * 32), (-1, "ab" * 32), (1, "ab" * 31), (1, "ab" * 33), (1, "AB" * 32)]
)
def test_a_head_that_no_log_has(seq: int, root: str) -> None:
    check_head("hospital", "lab", LogHead(1, "0123456789abcdef" * 4))
    with pytest.raises(PeerViolation, match="the head of lab has impossible values"):
        check_head("hospital", "lab", LogHead(seq, root))


@pytest.mark.parametrize(
    ("protection", "readable", "clear"), [("clear", False, True), ("ckks", False, False), ("ckks", True, True)]
)
def test_what_its_receiver_can_read_is_in_the_clear(protection: str, readable: bool, clear: bool) -> None:
    assert in_the_clear(Disclosure("m", "a", "b", "c", protection, "i", readable)) is clear


def test_residuals_lie_on_a_grid_of_eighths() -> None:
    values = np.float32([[0.0625], [0.1875], [0.06], [-0.07], [1.0]])
    assert rounded(values).ravel().tolist() == [0.0, 0.25, 0.0, -0.125, 1.0] and rounded(values).dtype == np.float32
    assert problem(study(), 1, rounded(values)) == "" and "multiples of 0.125" in problem(study(), 1, values)


def test_a_part_has_the_noise_and_the_bound_of_the_fits_that_it_sums() -> None:
    """Of coefficients 3 and -4: clipped to 7 times the clip, noise of 5 times the deviation."""
    protect = Protect(predictions="noise", noise=0.01, clip=2.0)
    values = np.zeros((4000, 1), np.float32)
    noised = with_noise(protect, values, np.array([3.0, -4.0]))
    assert abs(float(noised.std()) / 0.05 - 1) < 0.08, "seven deviations of what 4,000 rows tell of it"
    assert abs(float(with_noise(protect, values + 100, np.array([3.0, -4.0])).mean()) - 14) < 0.01
    assert with_noise(protect, values, np.zeros(2)) is values and with_noise(Protect(), values, np.ones(1)) is values


TABLE = (Step("sponsor", "new", "hello", ("open", "shut")), Step("assistor", "new", "rows", ("gone",)))


def test_a_role_goes_along_its_own_steps_alone() -> None:
    phases = Phases("sponsor", TABLE, State({}))
    assert phases.now == "new" and phases.legal() == {"hello"}
    phases.check("lab", "hello")
    with pytest.raises(PeerViolation, match="rows is not legal while new; legal: hello"):
        phases.check("lab", "rows")
    with pytest.raises(StateError, match="nothing leads from new to gone"):
        phases.enter("gone")
    phases.enter("shut")
    assert phases.now == "shut" and phases.legal() == frozenset()
    with pytest.raises(PeerViolation, match="hello is not legal while shut; legal: nothing"):
        phases.check("lab", "hello")


def batched(state: dict[str, Any]) -> Batched:
    made = Batched(study(), State(state), ("a", "b", "c"), 2, 1, None)
    made.asked = {"lab": np.array([0, 2]), "insurer": np.array([1])}
    return made


@pytest.mark.parametrize("known", [[0], [0, 1, 1], [0, 2], [[0, 1]]])
def test_known_is_0_or_1_of_each_row_that_was_asked_for(known: list[int]) -> None:
    batch = batched({})
    batch.check_known("lab", np.array([0, 1], np.uint8))
    with pytest.raises(PeerViolation, match="`known` must hold 0 or 1 for each of 2 ids"):
        batch.check_known("lab", np.array(known, np.uint8))


def test_parts_lie_where_their_rows_are_and_the_last_one_ends_the_batch() -> None:
    batch = batched({})
    part = batch.over_all_ids("lab", np.array([0, 1], np.uint8), np.array([[1.0, 2.0], [3.0, 4.0]]))
    assert part.known.tolist() == [0, 0, 1] and part.values.tolist() == [[1.0, 2.0], [0.0, 0.0], [3.0, 4.0]]
    nothing = batch.nothing()
    assert not nothing.known.any() and nothing.values.shape == (3, 2) and not nothing.values.any()
    assert batch.take("lab", part) == [] and len(batch.take("insurer", nothing)) == 1
    again = batched(batch.state.take_changes())
    assert again.parts == {}
    again.resume()
    assert set(again.parts) == {"lab", "insurer"} and again.parts["lab"].values.tolist() == part.values.tolist()


def test_ids_are_matched_by_place() -> None:
    found = match_clear(["c", "a", "x", "b"], ["a", "b", "c", "d"])
    assert (found.own.tolist(), found.theirs.tolist(), found.attempt) == ([0, 1, 3], [2, 0, 1], 0)
    assert match_clear(["a"], ["b"]).own.shape == (0,)


def test_rows_are_those_of_all_or_the_sponsors() -> None:
    matches = {
        "lab": Match(np.array([0, 1, 3]), np.array([5, 6, 7])),
        "insurer": Match(np.array([1, 2, 3]), np.array([8, 9, 4])),
    }
    common = combine(4, matches, "common", None, 0.0, 0)
    assert common.own.tolist() == [1, 3] and common.train.all() and common.warning == ""
    assert common.positions["lab"].tolist() == [6, 7] and common.positions["insurer"].tolist() == [8, 4]
    turned = combine(4, matches, "common", np.array([3, 2, 1, 0]), 0.0, 0)
    assert turned.own.tolist() == [3, 1] and turned.positions["lab"].tolist() == [7, 6]
    own = combine(4, matches, "sponsor", None, 0.2, 0)
    assert own.own.tolist() == [0, 1, 2, 3] and "4 rows are below" in own.warning
    assert own.coverage["lab"].tolist() == [0, 1, 3] and own.positions["lab"].tolist() == [5, 6, 7]
    nobody = Match(np.array([], dtype=np.int64), np.array([], dtype=np.int64))
    for rows in ("common", "sponsor"):
        with pytest.raises(
            NoRowsError, match=r"no id is common to all parties \(the sponsor shares 3 with lab, 0 with"
        ):
            combine(4, matches | {"insurer": nobody}, rows, None, 0.0, 0)  # type: ignore[arg-type]
    apart = {"lab": Match(np.array([0]), np.array([0])), "insurer": Match(np.array([1]), np.array([0]))}
    with pytest.raises(NoRowsError, match="no id is common"):
        combine(2, apart, "common", None, 0.0, 0)


class Opened:
    """A cipher that finds the same value everywhere."""

    def decrypt(self, ciphertexts: Any, rows: int, outputs: int, peer: str) -> Any:
        return np.full((rows, outputs), 2.0)


def test_replies_that_came_before_a_crash_are_decrypted_after_it() -> None:
    parts = DecryptedParts(Opened(), PARAMETER_SETS["standard"])  # type: ignore[arg-type]
    came = {"batch/reply/lab": np.zeros((1, 8), np.uint8), "batch/replied/lab": np.array([1, 0, 1], np.uint8)}
    batch = batched(came | {"scale/lab": np.array([3.0]), "scale/insurer": np.array([1.0])})
    (job,) = parts.resume(batch)
    assert parts.waiting_for(batch) == ["lab", "insurer"] and isinstance(job, Compute)
    assert job.then(job.job()) == [] and parts.waiting_for(batch) == ["insurer"]
    part = parts.parts(batch)["lab"]
    assert part.known.tolist() == [1, 0, 1] and part.values[:, 0].tolist() == [6.0, 0.0, 6.0]
    assert parts.resume(batch) == [], "once"


@pytest.mark.parametrize(
    ("phase", "batch", "attempt"), [("serving", -1, 0), ("serving", 1, 1), ("serving", 0, 0), ("aligning", 1, 0)]
)
def test_an_alignment_is_begun_in_its_phase_and_at_its_first_attempt(phase: str, batch: int, attempt: int) -> None:
    settings = study(protect=Protect(ids="psi"))
    role = roles.assistor(context("lab", settings), None, State({"phase": phase.encode()}), b"")  # type: ignore[arg-type]
    with pytest.raises(PeerViolation, match=f"private alignment of batch {batch} while {phase}"):
        role.receive("hospital", Realign(AlignmentStep(batch, attempt)))


@pytest.mark.parametrize(("assistors", "numbers"), [(("lab", "insurer"), 5), (("lab", "insurer", "bank"), 9)])
def test_the_manifest_counts_the_inner_products_of_a_round(assistors: tuple[str, ...], numbers: int) -> None:
    """Of every pair, of each with itself, and of each with the sponsor's own."""
    summed = msgspec.structs.replace(study(protect=Protect(predictions="sum")), assistors=assistors)
    (item,) = (item for item in who_learns_what(summed) if item.message == "inner-products")
    assert item.content.startswith(f"{numbers} inner products of fits") and f"these {numbers} numbers" in item.inference
    assert f"any two of the {len(assistors) + 1} parties' fits" in item.inference
