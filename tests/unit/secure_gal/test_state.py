"""A party's durable state: what is read is what was written, of its own form, and every change is told of once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from secure_gal import state as forms
from secure_gal.state import ARRAY, MARK, MASK, NUMBER, RAW, REAL, TEXT, Entries, Entry, NoEntry, State, json_of


@pytest.mark.parametrize(
    ("form", "value", "row"),
    [
        (RAW, b"ab", b"ab"),
        (TEXT, "é", "é".encode()),
        (NUMBER, -12, b"-12"),
        (MARK, None, b"1"),
        (json_of(dict[str, int]), {"a": 1}, b'{"a":1}'),
    ],
)
def test_a_value_as_bytes(form: Any, value: object, row: bytes) -> None:
    state = State({"array": np.zeros(1)})
    entry = Entry(state, "x", form)
    assert not entry.there and entry.get_or(value) == value and state.take_changes() == {}
    with pytest.raises(NoEntry, match="x"):
        entry.get()
    entry.set(value)
    assert (entry.there, entry.get(), entry.get_or(9), state.rows["x"]) == (True, value, value, row)
    assert state.take_changes() == {"x": row} and state.take_changes() == {}
    entry.drop()
    assert state.take_changes() == {"x": None} and not entry.there
    entry.drop()
    assert state.take_changes() == {}
    if form is not MARK:
        with pytest.raises(TypeError, match="holds an array where bytes are due"):
            Entry(state, "array", form).get()


@pytest.mark.parametrize(
    ("form", "value", "row"),
    [(ARRAY, np.arange(3), np.arange(3)), (REAL, 0.5, np.array([0.5])), (MASK, np.array([True]), np.uint8([1]))],
)
def test_a_value_as_an_array(form: Any, value: object, row: np.ndarray) -> None:
    state = State({"bytes": b"1"})
    entry = Entry(state, "x", form)
    entry.set(value)
    kept = state.rows["x"]
    assert isinstance(kept, np.ndarray) and kept.tobytes() == row.tobytes() and kept.dtype == row.dtype
    assert np.array_equal(entry.get(), value) and np.asarray(entry.get()).dtype == np.asarray(value).dtype
    with pytest.raises(TypeError, match="holds bytes where an array is due"):
        Entry(state, "bytes", form).get()


def test_rows_by_name_and_number() -> None:
    state = State({"other": b"1"})
    by_round, by_name = Entries(state, "round/", NUMBER, 4), Entries(state, "name/", TEXT)
    for number in (12, 3):
        by_round[number] = number
    by_name["lab"] = "a"
    assert (by_round[3], by_name["lab"], by_round.names()) == (3, "a", ["0012", "0003"])
    assert 3 in by_round and 4 not in by_round and "lab" in by_name and "insurer" not in by_name
    assert state.take_changes() == {"round/0012": b"12", "round/0003": b"3", "name/lab": b"a"}
    with pytest.raises(NoEntry, match="round/0004"):
        by_round[4]
    by_round.drop(3)
    by_round.drop(4)
    by_name.clear()
    assert state.take_changes() == {"round/0003": None, "name/lab": None}
    assert state.rows == {"other": b"1", "round/0012": b"12"}


def test_rows_as_they_are() -> None:
    saved = {"a/1": np.arange(2), "a/2": b"x", "b": b"y"}
    state = State(saved)
    assert saved == state.rows and state.rows is not saved and repr(state) == "State(3 entries)"
    assert "b" in state and "c" not in state and state.keys("a/") == ["a/1", "a/2"] and state.keys("/") == []
    assert state.array("a/1").tolist() == [0, 1] and state.row("b", bytes) == b"y"
    assert (state.raw("b"), state.raw("c"), state.raw("c", b"d")) == (b"y", b"", b"d")
    assert (state.text("b"), state.text("c"), state.text("c", "d")) == ("y", "", "d")
    for read, wrong in ((state.array, "a/2"), (state.raw, "a/1"), (state.text, "a/1")):
        with pytest.raises(TypeError):
            read(wrong)
    with pytest.raises(NoEntry, match="c"):
        state.array("c")
    state.put("c", b"z")
    state.drop("c")
    state.drop("d")
    state.drop_all("a/")
    assert state.take_changes() == {"c": None, "a/1": None, "a/2": None} and list(state.rows) == ["b"]
    assert forms.ERASABLE == "secret/"
