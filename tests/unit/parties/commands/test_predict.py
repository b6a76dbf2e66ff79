"""A prediction batch: parts add up, missing parties are named, bad replies are refused."""

from __future__ import annotations

import csv
import io

import numpy as np
import polars as pl
import pytest

from parties.commands import predict
from parties.commands.predict import to_csv
from parties.report.rounds import in_units
from secure_gal.data.encode import LabelCodec
from secure_gal.effects import Done, Send
from secure_gal.errors import PeerViolation
from secure_gal.events import RoundRecord
from secure_gal.gal.doubt import beyond
from secure_gal.messages import Batch, Fitted, PredictReply
from secure_gal.protocol import roles
from secure_gal.protocol.prediction import Prediction
from secure_gal.settings.study import Protect
from secure_gal.state import State
from tests.support.study_in_memory import context, study

CLEAR = Protect(ids="clear")
PATIENTS = pl.DataFrame({"patient": ["a", "b", "c"]})


def prediction(state: State, ids: tuple[str, ...]) -> Prediction:
    return roles.prediction(context("hospital", study(protect=CLEAR)), state, ids, 1)


def started() -> Prediction:
    role = roles.prediction(
        context("hospital", study(protect=CLEAR)), State({"phase": b"finished", "run": b"r"}), ("a", "b", "c"), 1
    )
    sends = role.start()
    assert [e.peer for e in sends if isinstance(e, Send)] == ["lab", "insurer"]
    return role


def reply(known: list[int], part: list[float], number: int = 1, refused: str = "") -> PredictReply:
    return PredictReply(Batch(number, refused), np.array(known, np.uint8), np.array(part, np.float32)[:, None])


def test_parts_add_up_and_missing_parties_are_named() -> None:
    role = started()
    assert role.receive("lab", reply([1, 0, 1], [1.0, 0.0, 2.0])) == []
    assert role.waiting_for() == ["insurer"]
    assert isinstance(role.receive("insurer", reply([1, 0, 0], [0.5, 0.0, 0.0]))[-1], Done)
    f, missing = role.combine(np.array([-1.0]), np.ones((3, 1), np.float32))
    assert f[:, 0].tolist() == [1.5, 0.0, 2.0] and missing == ["", "lab;insurer", "insurer"]
    codec = LabelCodec("classification", ("no", "yes"))
    rows = list(csv.DictReader(io.StringIO("".join(to_csv(PATIENTS, f, {"missing": missing}, codec)))))
    assert list(rows[0]) == ["patient", "prediction", "p_no", "p_yes", "missing"]
    assert rows[0]["prediction"] == "yes" and float(rows[1]["p_yes"]) == 0.5 and rows[1]["missing"] == "lab;insurer"
    complete = "".join(to_csv(PATIENTS, f, {"missing": ["", "", ""]}, LabelCodec("regression", (), 10.0, 2.0)))
    assert complete.splitlines()[:2] == ["patient,prediction", "a,13.0"]


def test_an_id_column_with_a_name_of_the_file_s_own_is_told_apart() -> None:
    ids = pl.DataFrame({name: ["a"] for name in ("prediction", "id_prediction", "p_no", "unusual", "town")})
    codec, marks = LabelCodec("classification", ("no", "yes")), {"missing": ["lab"], "unusual": [""]}
    header = next(csv.reader(to_csv(ids, np.zeros((1, 1)), marks, codec)))
    own = ["id_id_prediction", "id_prediction", "id_p_no", "id_unusual", "town"]
    assert header == [*own, "prediction", "p_no", "p_yes", "missing"] and len(set(header)) == len(header)


def test_parts_unlike_all_that_were_learnt_from_are_marked() -> None:
    saved = {"phase": b"finished", "run": b"r"}
    learnt = np.random.default_rng(0).standard_normal((200, 1)).astype(np.float32)
    role = roles.prediction(
        context("hospital", study(protect=CLEAR)), State(saved | {"ensemble/part-kept/lab": learnt}), ("a", "b", "c"), 1
    )
    role.start()
    role.receive("lab", reply([1, 1, 0], [1.0, -7.0, 0.0]))
    role.receive("insurer", reply([1, 1, 1], [0.0, 1e9, 0.0]))
    assert role.unusual() == ["", "lab", ""], "of the insurer nothing is known"
    marks = {"missing": ["", "", "lab"], "unusual": role.unusual()}
    codec = LabelCodec("regression", (), 0.0, 1.0)
    assert "".join(to_csv(PATIENTS, np.zeros((3, 1)), marks, codec)).splitlines() == [
        "patient,prediction,missing,unusual",
        "a,0.0,,",
        "b,0.0,,lab",
        "c,0.0,lab,",
    ]


def test_an_assistor_without_weight_adds_nothing_whatever_it_answers() -> None:
    saved = {"phase": b"finished", "run": b"r", "ensemble/part-kept/lab": np.zeros((5, 1), np.float32)}
    role = roles.prediction(context("hospital", study(protect=CLEAR)), State(saved), ("a", "b", "c"), 1)
    role.start()
    role.receive("lab", reply([1, 1, 0], [1e6, -7.0, 0.0]))
    role.receive("insurer", reply([1, 1, 1], [0.0, 2.0, 0.0]))
    f, missing = role.combine(np.zeros(1), np.zeros((3, 1), np.float32))
    assert f[:, 0].tolist() == [0.0, 2.0, 0.0] and missing == ["", "", "lab"] and role.unusual() == ["", "", ""]


def test_an_unusual_part_is_beyond_six_deviations_and_beyond_all_that_were_learnt_from() -> None:
    learnt = np.concatenate([np.zeros((999, 1)), [[20.0]]]).astype(np.float32)  # one deviation is 0.63
    assert beyond(learnt, np.array([[5.0], [19.9], [20.1], [-20.1], [0.0]])).tolist() == [
        False,
        False,
        True,
        True,
        False,
    ]
    assert beyond(np.zeros((9, 2), np.float32), np.array([[0.0, 0.0], [0.0, 1e-3]])).tolist() == [False, True]


class Read(list[str]):
    """Counts how often an entry is read."""

    reads = 0

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        taken = super().__getitem__(index)
        self.reads += len(taken) if isinstance(index, slice) else 1
        return taken

    def __iter__(self):  # type: ignore[no-untyped-def]
        for entry in super().__iter__():
            self.reads += 1
            yield entry


@pytest.mark.parametrize("last", ["", "lab"])
def test_writing_predictions_takes_steps_in_proportion_to_the_rows(last: str) -> None:
    n = 2000
    missing = Read([""] * (n - 1) + [last])
    ids = pl.DataFrame({"patient": [f"p{i}" for i in range(n)]})
    lines = "".join(
        to_csv(ids, np.zeros((n, 1)), {"missing": missing}, LabelCodec("classification", (0, 1)))
    ).splitlines()
    assert len(lines) == n + 1 and lines[-1] == f"p{n - 1},0,0.5,0.5" + (",lab" if last else "")
    assert missing.reads <= 3 * n


def test_predictions_are_written_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predict, "BLOCK_ROWS", 3)
    f, codec = np.random.default_rng(0).standard_normal((8, 3)), LabelCodec("classification", ("a", "b, c", '"d"'))
    ids = pl.DataFrame({"name": [f"n{i}" for i in range(8)], "born": ["1"] * 8})
    parts = list(predict.to_csv(ids, f, {"missing": [""] * 7 + ["lab"]}, codec))
    assert [part.count("\n") for part in parts] == [1, 3, 3, 2]
    rows = list(csv.DictReader(io.StringIO("".join(parts))))
    for row, scores in zip(rows, codec.probabilities(f), strict=True):
        assert [float(row[f"p_{c}"]) for c in codec.classes] == scores.tolist(), "every digit is written"
        assert row["prediction"] == codec.classes[int(scores.argmax())]
    assert [row["missing"] for row in rows] == [""] * 7 + ["lab"] and rows[4]["name"] == "n4"


def test_a_refusing_party_counts_as_missing() -> None:
    role = started()
    empty = PredictReply(Batch(1, "at most 2 rows"), np.zeros(0, np.uint8), np.zeros((0, 1), np.float32))
    role.receive("lab", empty)
    role.receive("insurer", reply([1, 1, 1], [0, 0, 0]))
    assert role.combine(np.zeros(1), np.zeros((3, 1), np.float32))[1] == ["lab"] * 3


@pytest.mark.parametrize(
    "bad",
    [
        reply([1, 1], [0.0, 0.0]),
        reply([1, 2, 1], [0.0, 0.0, 0.0]),
        reply([1, 1, 1], [0.0, float("nan"), 0.0]),
        reply([1, 0, 1], [0.0, 1.0, 0.0]),
        reply([1, 1, 1], [0.0, 0.0, 0.0], number=2),
        Fitted(np.zeros((3, 1), np.float32), 1),
    ],
)
def test_bad_replies_are_refused(bad: PredictReply) -> None:
    role = started()
    with pytest.raises(PeerViolation):
        role.receive("lab", bad)
    assert role.waiting_for() == ["lab", "insurer"]


def test_a_reply_to_an_earlier_batch_is_ignored() -> None:
    fixed = context("hospital", study(protect=CLEAR, assistors=("lab",)))
    role = roles.prediction(fixed, State({"batches": b"4"}), ("a",), 1)
    role.start()
    role.receive("lab", reply([1], [9.0], number=4))
    assert role.waiting_for() == ["lab"]


def begun(ids: tuple[str, ...] = ("a", "b", "c")) -> State:
    """The sponsor's disk after the lab has answered and the process died."""
    state = State({"phase": b"finished", "run": b"r"})
    role = prediction(state, ids)
    role.start()
    role.receive("lab", reply([1, 0, 1], [1.0, 0.0, 2.0]))
    return state


def test_the_same_ids_go_on_with_the_batch_that_was_not_closed() -> None:
    state = begun()
    role = prediction(state, ("a", "b", "c"))
    assert role.start() == [] and role.resumed and role.waiting_for() == ["insurer"], "requests wait in the outbox"
    role.receive("insurer", reply([1, 0, 0], [0.5, 0.0, 0.0]))
    wanted = role.combine(np.array([-1.0]), np.zeros((3, 1), np.float32))
    whole = prediction(state, ("a", "b", "c"))
    assert whole.start() == [Done()] and not whole.waiting_for(), "all is on disk"
    found = whole.combine(np.array([-1.0]), np.zeros((3, 1), np.float32))
    assert np.array_equal(found[0], wanted[0]) and found[1] == wanted[1] == ["", "lab;insurer", "insurer"]
    with pytest.raises(PeerViolation, match="second one"):
        whole.receive("lab", reply([1, 0, 1], [1.0, 0.0, 2.0]))


@pytest.mark.parametrize("ids", [("a", "c", "b"), ("a", "b"), ("ab", "c"), ("a", "b", "c", "d")])
def test_other_ids_are_another_batch(ids: tuple[str, ...]) -> None:
    state = begun()
    role = prediction(state, ids)
    assert len([e for e in role.start() if isinstance(e, Send)]) == 2 and not role.resumed
    assert role.waiting_for() == ["lab", "insurer"] and state.text("batches") == "2"
    assert not state.keys("batch/values/")


def test_a_batch_that_was_written_is_forgotten() -> None:
    state = begun()
    role = prediction(state, ("a", "b", "c"))
    role.start()
    role.close()
    assert not state.keys("batch/") and state.text("batches") == "1"
    role = prediction(state, ("a", "b", "c"))
    assert len(role.start()) == 2 and not role.resumed and state.text("batches") == "2"


# --- digits that mean something ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("codec", [LabelCodec("classification", (0, 1)), LabelCodec("regression", (), 10.0, 2.0)])
def test_decrypted_predictions_have_the_digits_of_their_error(codec: LabelCodec) -> None:
    f = np.linspace(-1, 1, 7)[:, None] / 3
    ids = pl.DataFrame({"id": [str(i) for i in range(7)]})
    short, whole = (
        "".join(to_csv(ids, f, {"missing": [""] * 7}, codec, places)).splitlines()[1:] for places in (4, None)
    )
    for rounded, exact in zip(short, whole, strict=True):
        numbers = [cell for cell in rounded.split(",")[1:] if "." in cell]
        assert numbers and all(len(cell.partition(".")[2]) <= 4 for cell in numbers)
        for a, b in zip(rounded.split(",")[1:], exact.split(",")[1:], strict=True):
            assert abs(float(a) - float(b)) <= 0.5e-4 + 1e-12
    assert any(len(cell.partition(".")[2]) > 8 for line in whole for cell in line.split(",")), "there are more without"


def test_rounds_that_were_decrypted_have_six_digits() -> None:
    record = RoundRecord(1, 1 / 3, None, 2 / 3, np.pi, True, {"lab": 1 / 7})
    shown = in_units(record, 2.0, keyed=True)
    assert (shown.train_loss, shown.valid_loss, shown.valid_metric, shown.eta) == (0.333333, None, 1.33333, 3.14159)
    assert shown.weights == {"lab": 0.142857} and in_units(record, 1.0) == record
