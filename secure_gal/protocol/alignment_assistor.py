"""An assistor's side of private alignment (PROTOCOL.md steps 5 to 5d): for learning, and for each prediction batch."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from secure_gal import events, messages
from secure_gal.effects import Compute, Effect, Send
from secure_gal.errors import DataError, PeerViolation, blamed, setting
from secure_gal.messages import MaskedQuery, Step
from secure_gal.settings.study import Study
from secure_gal.state import ARRAY, NUMBER, RAW, Entries, Entry, State

if TYPE_CHECKING:
    from crypto.psi import PsiSide


@dataclass(slots=True)
class _Attempt:
    """One attempt in memory; a restart or the sponsor's wish starts another, with a fresh scalar."""

    step: Step
    ids: Sequence[str] = field(repr=False)
    side: PsiSide | None = None


class _Records:
    """What is kept of attempts, by number."""

    def __init__(self, state: State) -> None:
        self.attempt = Entry(state, "attempt", NUMBER)
        self.untagged = Entry(state, "untagged", NUMBER)
        """The batch of an attempt that is not over."""
        self.tagged = Entries(state, "tagged/", NUMBER)
        """The batch that tags were sent for."""
        self.asked = Entries(state, "asked/", NUMBER)
        """Ids in the sponsor's query."""
        self.order = Entries(state, "order/", ARRAY)
        self.ids_digest = Entries(state, "ids-digest/", RAW)

    def end(self) -> None:
        """Forget all but the number of attempts."""
        for entries in (self.tagged, self.asked, self.order, self.ids_digest):
            entries.clear()
        self.untagged.drop()


class AssistorAlignment:
    """Masks this party's ids, answers the sponsor's masked ids, and keeps the secret order that rows refer to.

    Args:
        ids: reads the ids that take part, as they are now.
        domain: (batch, attempt) to the bytes that separate this alignment from every other.
        ask: counts ids that the sponsor asks about, before they are answered, or raises
            (`secure_gal.holdings.budget`).
    """

    def __init__(
        self,
        study: Study,
        ids: Callable[[], Sequence[str]],
        state: State,
        domain: Callable[[int, int], bytes],
        ask: Callable[[int], None],
    ) -> None:
        self._study, self._ids, self._domain, self._ask = study, ids, domain, ask
        self._kept = _Records(state)
        self._attempt: _Attempt | None = None

    def resume(self) -> list[Effect]:
        """After a restart the scalar of an attempt that was not over is gone: ask the sponsor to begin it anew."""
        if not self._kept.untagged.there:
            return []
        return [Send(self._study.sponsor, messages.Realign(Step(self._kept.untagged.get(), 0)))]

    def begin(self, batch: int) -> list[Effect]:
        """Draw a fresh scalar and mask the ids for this batch."""
        number = self._kept.attempt.get_or(0) + 1
        self._kept.attempt.set(number)
        self._kept.untagged.set(batch)
        step, ids = Step(batch, number), self._ids()
        self._attempt = attempt = _Attempt(step, ids)
        domain = self._domain(batch, number)
        mask = Compute("mask", lambda: _mask(ids, domain), lambda made: self._masked(attempt, *made))
        return [events.Masking(len(ids)), mask]

    def _masked(
        self, attempt: _Attempt, side: PsiSide, order: npt.NDArray[np.int64], points: npt.NDArray[np.uint8]
    ) -> list[Effect]:
        """Masked ids are ready to be sent, unless the attempt was given up."""
        if self._attempt is not attempt:
            return []
        attempt.side = side
        self._kept.order[attempt.step.attempt] = order
        self._kept.ids_digest[attempt.step.attempt] = _digest(attempt.ids)
        return [Send(self._study.sponsor, messages.MaskedIds(points, attempt.step))]

    def _tagged(self, attempt: _Attempt, tags: npt.NDArray[np.uint8]) -> list[Effect]:
        """Tags are ready to be sent, unless the attempt was given up."""
        if self._attempt is not attempt:
            return []
        self._attempt = None
        self._kept.tagged[attempt.step.attempt] = attempt.step.batch
        self._kept.untagged.drop()
        return [events.Tagged(len(tags)), Send(self._study.sponsor, messages.Tags(tags, attempt.step))]

    def receive(self, message: MaskedQuery) -> list[Effect]:
        """Answer the sponsor's masked ids, within the study's caps.

        Raises:
            PeerViolation: more ids than the study allows at once or in all, or points that cannot be right.
            ConsentError: other runs on the same data have used up what the study allows.
        """
        from crypto.psi import check_distinct, parse_points, tag_bytes

        sponsor, attempt, count = self._study.sponsor, self._attempt, len(message.points)
        if attempt is None or attempt.step != message.step:
            return [events.Stale(sponsor)]
        if attempt.side is None:
            raise PeerViolation(sponsor, "masked ids came before this party's were sent")
        if attempt.step.attempt in self._kept.asked:
            raise PeerViolation(sponsor, "a second query in one attempt")
        if not 1 <= count <= self._study.max_ids:
            raise PeerViolation(sponsor, f"asks about {count} ids; the study allows 1 to {self._study.max_ids} at once")
        with blamed(sponsor):
            points = parse_points(message.points.tobytes(), count)
            check_distinct(points)
        self._ask(count)
        self._kept.asked[attempt.step.attempt] = count
        side, length = attempt.side, tag_bytes(count, len(attempt.ids))

        def tag() -> npt.NDArray[np.uint8]:
            try:
                with blamed(sponsor):
                    return side.tags(points, length)
            finally:
                side.erase()

        return [Compute("tag", tag, lambda tags: self._tagged(attempt, tags))]

    def close(self, step: Step, positions: npt.NDArray[np.uint32], ids: Sequence[str]) -> npt.NDArray[np.int64] | None:
        """The sponsor names rows: the end of a batch's alignment, once.

        Args:
            step: whose masked ids the positions count in; there may have been several attempts.
            positions: in the secret order of that attempt.
            ids: this party's ids as they are now.

        Returns:
            Positions in this party's own table, or None when the table has changed since.

        Raises:
            PeerViolation: tags were never sent for that step, it has more rows than its query had ids, or a position
                repeats or does not exist.
        """
        sponsor, number, kept = self._study.sponsor, step.attempt, self._kept
        if number not in kept.tagged or kept.tagged[number] != step.batch:
            raise PeerViolation(sponsor, f"rows of batch {step.batch}, attempt {number}, which was not aligned")
        asked, order = kept.asked[number], kept.order[number]
        if len(positions) > asked:
            raise PeerViolation(sponsor, f"names {len(positions)} rows after asking about {asked} ids")
        if positions.max(initial=0) >= len(order) or len(np.unique(positions)) != len(positions):
            raise PeerViolation(sponsor, "row positions repeat or lie outside the ids that were sent")
        changed = kept.ids_digest[number] != _digest(ids)
        self.abandon()
        return None if changed else order[positions]

    def abandon(self) -> None:
        """The batch's alignment is over, and what was kept of its attempts is forgotten."""
        self._kept.end()
        self._attempt = None


def _digest(ids: Sequence[str]) -> bytes:
    digest = hashlib.sha256()
    for entity in ids:
        raw = entity.encode()
        digest.update(len(raw).to_bytes(8, "little") + raw)
    return digest.digest()


def _mask(ids: Sequence[str], domain: bytes) -> tuple[PsiSide, npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    from crypto.psi import PsiSide

    side = PsiSide(domain)
    with setting("ids", DataError):
        order, blocks = side.mask(ids)
    return side, order, np.concatenate(list(blocks))
