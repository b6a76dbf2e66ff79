"""How long the sponsor waits for an assistor that is not connected."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from parties.progress import Progress
from secure_gal.effects import Note
from secure_gal.errors import Paused

REMIND_SECONDS = 30.0


class Patience:
    """Ends the study cleanly when a needed party stays away for `seconds`; a busy but connected one is waited for."""

    def __init__(
        self,
        seconds: float,
        progress: Progress,
        file: str,
        command: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._seconds, self._progress, self._clock = seconds, progress, clock
        self._file, self._command = file, command
        self._since: dict[str, float] = {}
        self._said = float("-inf")

    def check(self, needed: Iterable[str], attached: set[str]) -> None:
        """Call often.

        Raises:
            Paused: someone needed has been away for too long; says who, and how to go on.
        """
        now = self._clock()
        away = [name for name in needed if name not in attached]
        self._since = {name: self._since.get(name, now) for name in away}
        if not away:
            return
        left = self._seconds - (now - min(self._since.values()))
        if left <= 0:
            late = [name for name, since in self._since.items() if now - since >= self._seconds]
            raise Paused(f"{', '.join(late)} did not come within {self._seconds:g} s; the study is saved. When it is back, "
                         f"go on with: secure-gal {self._command} {self._file}")  # fmt: skip
        if now - self._said >= REMIND_SECONDS:
            self._said = now
            self._progress.note(Note("waiting", {"names": ", ".join(away), "seconds": left}))
