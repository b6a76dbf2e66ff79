"""Libraries that a sponsor needs later, imported while its assistors fit the first round."""

from __future__ import annotations

import importlib
import threading

from secure_gal import events
from secure_gal.settings.report import ReportSettings

AT_THE_ROUND = "scipy.optimize"
"""For weights and the learning rate: a third of a second."""
AT_THE_END = "sklearn.ensemble"
"""For the sponsor's best own model: a second."""


class Imports:
    """One daemon thread, started by the first `RoundBegun`: from then on this party waits for others.

    Args:
        asked: `[report]`, which says whether there will be an own model.
    """

    def __init__(self, asked: ReportSettings) -> None:
        self._names = (AT_THE_ROUND, AT_THE_END) if asked.own_model else (AT_THE_ROUND,)
        self.thread: threading.Thread | None = None

    def on_event(self, event: events.Event) -> None:
        """Begin, once."""
        if self.thread is None and isinstance(event, events.RoundBegun):
            self.thread = threading.Thread(target=self._all, daemon=True, name="imports")
            self.thread.start()

    def _all(self) -> None:
        for name in self._names:
            importlib.import_module(name)
