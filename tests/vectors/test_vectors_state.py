"""Vectors of the protocol's saved state: which entries a party's run.db has in a whole study and a batch, and of what
kind. A release that goes on with a run finds what an earlier one of the same format left there."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from secure_gal.state import Value
from tests.support.frozen import Vector
from tests.support.predictions_in_memory import IDS, ask, beginning
from tests.support.simulation import MemoryStore
from tests.support.study_in_memory import NAMES


def kind(value: Value) -> str:
    if not isinstance(value, bytes):
        return f"{value.dtype.str}, {value.ndim} dimensions"
    try:
        return "JSON" if isinstance(json.loads(value), dict | list) else "text"
    except ValueError:
        return "text" if value.isascii() and value.decode().isprintable() else "bytes"


def entries(mode: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """By party, every entry that its steps committed, digits as # and parties as NAME; and its phases."""
    found: dict[str, dict[str, Any]] = {name: {"phases": set()} for name in NAMES}
    committed = MemoryStore.commit

    def commit(store: MemoryStore, changes: Any, *rest: Any) -> None:
        (party,) = (name for name in NAMES if MemoryStore(name).id == store.id)
        for key, value in changes.items():
            if value is not None:
                entry = re.sub("|".join(NAMES), "NAME", re.sub(r"\d", "#", key))
                found[party].setdefault(entry, set()).add(kind(value))
            if key == "phase" and value is not None:
                found[party]["phases"].add(value.decode())
        committed(store, changes, *rest)

    monkeypatch.setattr(MemoryStore, "commit", commit)
    network = beginning(mode)
    network.run()
    ask(network, mode, IDS)
    network.run()
    return {
        party: {key: ", ".join(sorted(kinds)) for key, kinds in sorted(keys.items())} for party, keys in found.items()
    }


@pytest.mark.parametrize("mode", sorted(Vector("state-entries").frozen))
def test_state_entries(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    vector = Vector("state-entries")
    with vector.read():
        every = entries(mode, monkeypatch)
    for party, found in every.items():
        due = vector.frozen[mode][party]
        other = {key: (due.get(key), found.get(key)) for key in due | found if due.get(key) != found.get(key)}
        assert not other, f"layer {vector.layer!r}, {mode}, {party}: frozen and found differ: {other}"
