"""How long the sponsor waits for an assistor that is not connected, or is connected and does nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from parties.run.progress import Progress
from secure_gal import events
from secure_gal.errors import Paused

REMIND_SECONDS = 30.0


class Patience:
    """Ends the study cleanly when a needed party stays away, or everyone stands still, for `seconds`.

    A party that computes, or whose messages move, is waited for however long that takes.
    """

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
        self._still: dict[str, float] = {}
        self._said = float("-inf")
        self._last = clock()

    def check(self, needed: Iterable[str], attached: set[str], *, at_work: bool) -> None:
        """Call often.

        Args:
            needed: who must say something next.
            attached: who is connected.
            at_work: whether anybody computes, here or at a connected peer, or bytes of a message have moved since the
                last call: who is needed may be waiting for that as well.

        Raises:
            Paused: someone needed has been away, or silent, for too long; says who, and how to go on.
        """
        now = self._clock()
        passed, self._last = now - self._last, now
        names = set(needed)
        away = sorted(names - attached)
        self._since = {name: self._since.get(name, now) for name in away}
        # Silence adds up over connections: a line that breaks now and then must not hide that nothing happens on it.
        still = {} if at_work else {name: seconds for name, seconds in self._still.items() if name in names}
        quiet = set() if at_work else names & attached
        self._still = still | {name: still[name] + passed if name in still else 0.0 for name in quiet}
        self._give_up(now)
        if away and now - self._said >= REMIND_SECONDS:
            self._said = now
            left = self._seconds - (now - min(self._since.values()))
            self._progress.show(events.Waiting(", ".join(away), left))

    def _give_up(self, now: float) -> None:
        late = [name for name, since in self._since.items() if now - since >= self._seconds]
        still = sorted(name for name, seconds in self._still.items() if seconds >= self._seconds)
        goes_on = f"go on with: secure-gal {self._command} {self._file}"
        if late:
            raise Paused(
                f"{', '.join(late)} did not come within {self._seconds:g} s; the study is saved. When it is back, "
                f"{goes_on}"
            )
        if still:
            raise Paused(
                f"{', '.join(still)}: connected, but for {self._seconds:g} s nothing came and nobody computes; the "
                f"study is saved. Look at that party's log, start it again, and {goes_on}"
            )
