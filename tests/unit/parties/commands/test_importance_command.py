"""`secure-gal importance`: who can be told, on which rows and models, and what a person reads."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from parties.commands import importance
from secure_gal.data.table import Table
from secure_gal.errors import DataError, SettingsError
from secure_gal.settings.study import Protect
from secure_gal.state import State
from tests.support.study_in_memory import study

CLEAR, CKKS = study(), study(protect=Protect(residuals="ckks"))


def session(settings: Any = CLEAR, name: str = "lab") -> Any:
    party = SimpleNamespace(party=name, run_dir=Path("run"), data=SimpleNamespace(path="t.csv"))
    return SimpleNamespace(party=party, study=settings, folder=Path())


@pytest.mark.parametrize(
    ("settings", "sponsor", "rows", "rule"),
    [
        (CLEAR, False, {"coefficients": np.array([0.5])}, ""),
        (CLEAR, True, {"own-coefficients": np.array([0.5]), "coefficients": np.zeros(1)}, ""),
        (CKKS, True, {"own-coefficients": np.array([0.5])}, ""),
        (CKKS, False, {"coefficients": np.array([0.5])}, r'with "ckks" this party\'s model is a ciphertext'),
        (CLEAR, False, {"own-coefficients": np.array([0.5])}, "run holds no finished learning stage; learn first"),
        (CLEAR, False, {"coefficients": np.zeros(2)}, "nothing of this party is in the model"),
    ],
)
def test_who_has_a_part_that_can_be_read(settings: Any, sponsor: bool, rows: dict[str, Any], rule: str) -> None:
    if rule:
        with pytest.raises(SettingsError, match=rule):
            importance._coefficients(session(settings), State(rows), sponsor)
    else:
        assert importance._coefficients(session(settings), State(rows), sponsor).tolist() == [0.5]


@pytest.mark.parametrize(("name", "rows"), [("hospital", "rows"), ("lab", "positions")])
def test_columns_are_permuted_over_the_studys_rows(name: str, rows: str, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = pl.DataFrame({"age": [1.0, 2.0, 3.0, 4.0]})
    table: Any = Table(["a", "b", "c", "d"], frame, None, Path("t.csv"), None)  # type: ignore[arg-type]
    asked: list[Any] = []

    def part(table: Any, ids: Any, encoder: Any, models: Any, coefficients: Any, k: int) -> Any:
        asked.append((table.frame["age"].to_list(), ids, encoder, models, coefficients.tolist(), k))
        return None, np.ones((len(ids), k), np.float32)

    model = SimpleNamespace(table=table, trusted=(), part=part)
    for kind in ("SponsorData", "AssistorData"):
        monkeypatch.setattr(importance, kind, lambda *given, kind=kind: asked.append(kind) or model)
    monkeypatch.setattr(importance, "changes", lambda *given: "")
    monkeypatch.setattr(importance.storage, "load", lambda raw, trusted: ("encoder", "codec"))
    monkeypatch.setattr(
        importance, "importance", lambda part, frame, seed: {"rows": part(frame).shape[0], "seed": seed}
    )
    kept = {"encoder": b"", "model/0001": b"first", "model/0002": b"second", "model/0003": b"too late"}
    coefficients = {"coefficients": np.array([0.5, 0.25]), "own-coefficients": np.array([0.5, 0.25])}
    state = State(kept | coefficients | {rows: np.array([3, 1])})
    assert importance._measured(session(name=name), None, state) == {"rows": 2, "seed": 0}  # type: ignore[arg-type]
    encoder = "encoder" if name == "hospital" else ("encoder", "codec")
    kind = "SponsorData" if name == "hospital" else "AssistorData"
    assert asked == [kind, ([4.0, 2.0], ("d", "b"), encoder, [b"first", b"second"], [0.5, 0.25], 1)]
    monkeypatch.setattr(importance, "changes", lambda *given: "2 rows removed")
    with pytest.raises(DataError, match="is not what was learnt from: 2 rows removed; restore it"):
        importance._measured(session(name=name), None, state)  # type: ignore[arg-type]


def test_a_run_directory_is_closed_whatever_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    store: Any = SimpleNamespace(state=dict, close=lambda: done.append("closed"))
    monkeypatch.setattr(importance, "open_session", lambda file: session())
    monkeypatch.setattr(importance, "open_store", lambda session: store)
    monkeypatch.setattr(importance, "_measured", lambda session, store, state: {"age": 0.5})
    assert importance.measure(Path("f.toml")) == {"age": 0.5} and done == ["closed"]


def test_what_a_person_reads() -> None:
    assert importance.as_text({"blood pressure": 0.75, "age": 0.0}).splitlines()[2:] == [
        "blood pressure  0.750",
        "age             0.000",
    ]
    assert len(importance.as_text({}).splitlines()) == 2
