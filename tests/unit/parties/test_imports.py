"""A sponsor imports what it needs later while others work, and not before the first round."""

from __future__ import annotations

import sys

import pytest

from parties.run import imports
from secure_gal import events
from secure_gal.settings.report import ReportSettings


@pytest.mark.parametrize("own_model", [True, False])
def test_one_thread_imports_once_and_only_when_a_round_has_begun(
    own_model: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(imports.importlib, "import_module", asked.append)
    ahead = imports.Imports(ReportSettings(own_model=own_model))
    ahead.on_event(events.RunAgreed("ab" * 32))
    assert ahead.thread is None and not asked
    ahead.on_event(events.RoundBegun(1))
    first = ahead.thread
    ahead.on_event(events.RoundBegun(2))
    assert first is not None and ahead.thread is first
    first.join()
    assert asked == ["scipy.optimize", *(["sklearn.ensemble"] if own_model else [])]


def test_what_is_imported_ahead_is_there() -> None:
    for name in (imports.AT_THE_ROUND, imports.AT_THE_END):
        imports.importlib.import_module(name)
        assert name in sys.modules
