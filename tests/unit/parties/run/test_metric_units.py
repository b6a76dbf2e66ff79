"""A metric has one unit wherever a person meets it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest

from parties.report.results import announce, write_results
from parties.report.rounds import Report
from parties.run.learnt_from import remember_or_refuse
from parties.run.progress import Progress
from parties.run.session import open_node, open_session, open_store
from parties.run.traffic import Traffic
from secure_gal import events
from secure_gal.data.table import read_table
from secure_gal.events import RoundRecord
from secure_gal.protocol.learned import Learned
from secure_gal.protocol.settled import Settled
from secure_gal.state import State
from tests.support.party_files import party


@pytest.fixture
def reported(tmp_path: Path) -> Callable[[float | None], tuple[str, dict[str, Any], list[dict[str, str]]]]:
    """A finished round of a regression whose label has a deviation of 5: console, summary.json, rounds.csv."""

    def run(true: float | None) -> tuple[str, dict[str, Any], list[dict[str, str]]]:
        session = open_session(party(tmp_path))
        store, shown = open_store(session), io.StringIO()
        remember_or_refuse(session, store, read_table(session.party.data, task="regression"))
        record = RoundRecord(1, 0.5, 0.6, 0.1, 1.0, True, {"hospital": 0.4, "lab": 0.6})
        role = SimpleNamespace(metric_unit=lambda: 5.0, ensemble=SimpleNamespace(history=[record]))
        history = np.frombuffer(msgspec.msgpack.encode([record]), np.uint8)
        saved: dict[str, Any] = {"ensemble/history": history, "counts": b"{}", "run": b"r"}
        saved["learned"] = msgspec.json.encode(Learned(1, "mad", 0.1, 0.1, 5.0, "held-out"))
        if true is not None:
            saved["true-metric/0001"] = np.array([true])
        store.commit(saved, {}, [])
        progress = Progress(stream=shown)
        report = Report(session, store, Traffic(store), role, progress, 0.0)  # type: ignore[arg-type]
        progress.show(report.on_event(events.Committed(record)))
        again = Report(session, store, Traffic(store), role, progress, 0.0)  # type: ignore[arg-type]
        assert again._rounds == report._rounds and len(again._rounds) == 1, "a restart goes on from the rounds before"
        open_node(session, store, Settled(State(store.state())), Traffic(store))[0].close()
        write_results(session, store)
        announce(store, progress)
        store.close()
        with (tmp_path / "run" / "rounds.csv").open() as file:
            return (
                shown.getvalue(),
                json.loads((tmp_path / "run" / "summary.json").read_text()),
                list(csv.DictReader(file)),
            )

    return run


def test_a_metric_has_one_unit_everywhere(reported: Callable[..., Any]) -> None:
    shown, summary, rounds = reported(None)
    assert "held-out 0.60000 (0.5000)" in shown and "held-out mad: GAL 0.5000, sponsor alone 0.5000" in shown
    assert summary["history"][0]["valid_metric"] == summary["gal"] == float(rounds[0]["valid_metric"]) == 0.5
    assert summary["history"][0]["train_loss"] == 0.5, "losses stay those of the standardised target"


def test_a_metric_on_released_labels_says_so(reported: Callable[..., Any]) -> None:
    shown, summary, _ = reported(0.2)
    assert "held-out mad on released labels: GAL 0.5000, sponsor alone 0.5000; on true labels GAL 1.0000" in shown
    assert summary["gal_on_true_labels"] == 1.0
