"""Steps of the protocol at the last count that is accepted and the first that is not, and what is kept of them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from crypto.ckks.sets import PARAMETER_SETS
from crypto.psi import PsiSide
from secure_gal import events, messages
from secure_gal.effects import Compute, Send
from secure_gal.errors import PeerViolation, StateError
from secure_gal.holdings.encrypted import EncryptedRidgeFits
from secure_gal.labels.schemes import RangeInterval
from secure_gal.messages import Batch, NoRows, PaddedWidth, Realign, Step, Width
from secure_gal.protection.ckks.sponsor import DecryptedFits
from secure_gal.protection.clear.assistor import SeenFitsSide
from secure_gal.protection.ports import FittedSide
from secure_gal.protection.sums.assistor import SealedFits
from secure_gal.protocol import roles
from secure_gal.protocol.alignment_sponsor import PrivateAlignment
from secure_gal.settings.study import Protect
from secure_gal.state import State
from tests.support.hostile_studies import prediction
from tests.support.study_in_memory import context, study

PRIVATE = study(protect=Protect(ids="psi"), max_ids=3)


def masked_ids(count: int, attempt: int = 1, batch: int = 0) -> messages.MaskedIds:
    blocks = [np.zeros((0, 32), np.uint8), *PsiSide(bytes(32)).mask([f"x{i}" for i in range(count)])[1]]
    return messages.MaskedIds(np.concatenate(blocks), Step(batch, attempt))


def alignment() -> PrivateAlignment:
    return PrivateAlignment(PRIVATE, ("a", "b"), State({}), 0, lambda *about: bytes(32), list)


@pytest.mark.parametrize("count", [1, 3])
def test_an_assistor_brings_one_id_to_as_many_as_the_study_allows(count: int) -> None:
    told, job = alignment().receive("lab", masked_ids(count))
    assert told == events.Masking(2) and isinstance(job, Compute) and job.work == "mask"


@pytest.mark.parametrize(
    ("message", "rule"),
    [
        (masked_ids(0), "brings 0 ids; the study allows 1 to 3 a party"),
        (masked_ids(4), "brings 4 ids; the study allows 1 to 3 a party"),
        (masked_ids(1, attempt=0), "masked ids of an attempt that is over"),
        (Realign(Step(0, 1)), "asks to begin an attempt by number"),
        (NoRows(), "no-rows is not legal while aligning"),
    ],
)
def test_what_no_alignment_begins_with(message: Any, rule: str) -> None:
    with pytest.raises(PeerViolation, match=rule):
        alignment().receive("lab", message)


def test_an_attempt_that_was_given_up_ends_in_nothing() -> None:
    made = alignment()
    assert made.begin() == [Send(peer, Realign(Step(0, 0))) for peer in ("lab", "insurer")]
    _, first = made.receive("lab", masked_ids(2))
    with pytest.raises(PeerViolation, match="of an attempt that is over"):
        made.receive("lab", masked_ids(2))
    _, second = made.receive("lab", masked_ids(2, attempt=2))
    assert isinstance(first, Compute) and isinstance(second, Compute)
    assert first.then(first.job()) == [] and made.waiting_for() == ["lab", "insurer"]
    query, tag = second.then(second.job())
    assert isinstance(query, Send) and isinstance(query.message, messages.MaskedQuery)
    assert query.message.step == Step(0, 2) and isinstance(tag, Compute) and tag.work == "tag"
    assert made.receive("lab", Realign(Step(0, 0))) == [Send("lab", Realign(Step(0, 0)))]
    assert tag.then(tag.job()) == [], "it was begun anew meanwhile"
    for stale in (masked_ids(2, batch=1), Realign(Step(1, 0)), messages.Tags(np.zeros((2, 8), np.uint8), Step(0, 2))):
        assert made.receive("lab", stale) == [events.Stale("lab")]


@pytest.mark.parametrize(
    ("phase", "forgets"), [("new", True), ("greeting", True), ("signing", False), ("learning", False)]
)
def test_a_sponsor_begins_anew_with_a_peer_that_signed_nothing(phase: str, forgets: bool) -> None:
    settings, state = study(), State({"phase": phase.encode(), "hello/lab": b"nonce"})
    model: Any = SimpleNamespace(ids=())
    role = roles.sponsor(context("hospital", settings), model, state, bytes(16))
    assert role.forget("lab") is forgets and ("hello/lab" in state) is (phase != "greeting")


def test_a_study_without_rows_leaves_nothing_of_an_attempt() -> None:
    model: Any = SimpleNamespace(ids=("a",), current_ids=lambda: ("a",))
    state = State({"phase": b"aligning", "run": b"cd" * 32})
    role = roles.assistor(context("lab", PRIVATE), model, state, bytes(16))
    role.receive("hospital", Realign(Step(0, 0)))
    assert "untagged" in state
    assert role.receive("hospital", NoRows()) == [events.Unmatched()] and role.phase == "unmatched"
    assert "untagged" not in state and state.keys("order/") == state.keys("tagged/") == []


def test_a_reply_that_belongs_to_no_batch_is_our_own_error() -> None:
    role = prediction("clear", State({"phase": b"finished"}))
    role.start()
    role._kinds = frozenset({"no-rows"})
    with pytest.raises(StateError, match="no-rows is a reply to no batch"):
        role.receive("lab", NoRows())


# a mode of protection


@pytest.mark.parametrize(
    ("padded", "legal"), [(0, False), (1, True), (3, False), (4, True), (4096, True), (8192, False), (-1, False)]
)
def test_a_padded_width_is_a_power_of_two_that_keys_are_made_for(padded: int, legal: bool) -> None:
    cipher: Any = SimpleNamespace(issue=lambda padded, held: b"")
    port = DecryptedFits(cipher, PARAMETER_SETS["standard"], leave_one_out=False)
    stage: Any = SimpleNamespace(state=State({}), assistors=("lab",), sponsor="hospital")
    message = PaddedWidth(Width(padded))
    if legal:
        told, job = port._on_features(stage, "lab", message)
        assert told == events.Width("lab", padded) and isinstance(job, Compute) and job.work == "keys"
    else:
        with pytest.raises(PeerViolation, match="a padded width must be a power of two, at most 4096"):
            port._on_features(stage, "lab", message)


def test_what_is_for_the_aggregator_is_not_for_another_assistor() -> None:
    fits = SealedFits.__new__(SealedFits)
    fits.aggregator = None
    stage: Any = SimpleNamespace(sponsor="hospital")
    with pytest.raises(PeerViolation, match="weights is not for an assistor of this study") as found:
        fits.receive(stage, messages.Weights(np.ones(2), 1))
    assert found.value.peer == "hospital"


@pytest.mark.parametrize("step", ["prepared", "leave", "leave_part", "no_part"])
def test_a_mode_that_leaves_a_step_out_is_our_own_error(step: str) -> None:
    counts = {"prepared": 1, "leave": 4, "leave_part": 5, "no_part": 2}
    with pytest.raises(NotImplementedError):
        getattr(FittedSide(), step)(*[None] * counts[step])


def test_a_refused_batch_has_no_row() -> None:
    stage: Any = SimpleNamespace(outputs=3)
    message = SeenFitsSide(messages.NoisedFitted, messages.NoisedPredictReply).no_part(stage, Batch(2, "why"))
    assert isinstance(message, messages.NoisedPredictReply) and message.batch == Batch(2, "why")
    assert (message.known.shape, message.part.shape) == ((0,), (0, 3))
    assert (message.known.dtype, message.part.dtype) == (np.uint8, np.float32)


@pytest.mark.parametrize(
    ("features", "columns", "width"), [(1, 3, 1), (2, 3, 1), (3, 3, 2), (9, 3, 3), (9, 1, 1), (9, 0, 1)]
)
def test_a_width_leaves_the_intercept_out_and_counts_no_more_than_columns(
    features: int, columns: int, width: int
) -> None:
    x = np.ones((4, columns))
    maps: Any = SimpleNamespace(
        begin=lambda x, train, widest: (SimpleNamespace(width=features), np.ones((4, features))),
        fresh=True,
        seconds=1.5,
    )
    ring: Any = SimpleNamespace(widest=16, padded=lambda width: 16, values_made=lambda u, train: f"of {train} rows")
    data: Any = SimpleNamespace(encoded_to_learn=lambda positions, train: ("encoder", x))
    made = EncryptedRidgeFits(data, ring, maps)
    assert made.values_made == "" and made.seconds_for_features == 1.5
    for early in ("width", "padded"):
        with pytest.raises(StateError, match="before the data was prepared"):
            getattr(made, early)
    made.prepare(np.arange(4), np.array([True, True, True, False]))
    assert (made.width, made.padded, made.values_made, made.fresh) == (width, 16, "of 3 rows", True)
    maps.of_round = lambda round_, padded: None
    with pytest.raises(StateError, match="before the evaluation keys came"):
        made.fit(1, np.zeros(0, np.uint8), 1, "hospital")


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ([], ""),
        ([-1.0, 1.0], ""),
        ([-1.5, 0.0, 1.0, 0.5], "25% of the labels lie outside label_range [-1.0, 1.0] and are clipped to it"),
        ([1.5, -1.5], "1e+02% of the labels lie outside label_range [-1.0, 1.0] and are clipped to it"),
    ],
)
def test_labels_outside_their_range_are_told_of(labels: list[float], said: str) -> None:
    assert RangeInterval(-1.0, 1.0).check(labels) == said
