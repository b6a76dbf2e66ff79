"""What a person sees: what learners log, plain or as JSON, and nothing twice in a row."""

from __future__ import annotations

import io
import json
import logging
from datetime import UTC, datetime

import pytest

from parties import cli
from parties.run.progress import Progress
from secure_gal import events
from secure_gal.errors import SettingsError


def test_epochs_of_a_long_fit_are_shown() -> None:
    shown = io.StringIO()
    Progress(stream=shown).follow_logging()
    logging.getLogger("secure_gal.learners.torch_trainer").info("epoch %d of %d", 3, 50)
    assert shown.getvalue() == "epoch 3 of 50\n"
    as_json = io.StringIO()
    Progress(True, as_json, clock=lambda: datetime(2026, 11, 28, 8, 30, tzinfo=UTC)).follow_logging()
    logging.getLogger("secure_gal.learners.torch_trainer").info("epoch 4")
    assert json.loads(as_json.getvalue()) == {
        "time": "2026-11-28T08:30:00.000Z",
        "event": "log",
        "text": "epoch 4",
    }
    assert "epoch 4" not in shown.getvalue(), "the last one follows alone"
    logging.getLogger("secure_gal").handlers = []


ESCAPES = "\x1b]52;c;cm0gLXJm\x07\x1b[2J\x9b31m"
"""What would write the clipboard, clear the screen and colour a terminal that is sent it."""


def test_what_a_peer_says_cannot_steer_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = io.StringIO()
    Progress(stream=shown).show(events.Warned(f"lab refuses this batch: {ESCAPES}"))
    assert shown.getvalue().rstrip("\n").isprintable() and "\\x1b[2J" in shown.getvalue()

    def refused(args: list[str]) -> None:
        raise SettingsError("lab", f"refused this party: {ESCAPES}\nsecond line")

    monkeypatch.setattr(cli, "app", refused)
    with pytest.raises(SystemExit):
        cli.main()
    first, second = capsys.readouterr().err.splitlines()
    assert first.isprintable() and second == "second line"


@pytest.mark.parametrize("attained", [True, False])
def test_a_round_says_when_no_finite_learning_rate_was_best(attained: bool) -> None:
    shown, record = io.StringIO(), events.RoundRecord(2, 0.5, None, None, 3.0, attained, {"lab": 1.0})
    Progress(stream=shown, rounds=4).show(events.Committed(record, bytes=1_500_000, seconds_left=7.0))
    text = shown.getvalue()
    assert "round 2/4  train 0.50000  eta 3  weights lab 1.00  1.5 MB  ~7 s left" in text
    assert ("separable" in text) != attained
