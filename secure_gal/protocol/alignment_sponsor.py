"""The sponsor's side of alignment, in the clear or private (PROTOCOL.md steps 5 to 5d)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, assert_never

import numpy as np
import numpy.typing as npt

from secure_gal import events, messages
from secure_gal.data.align import Match, match_clear
from secure_gal.effects import Compute, Effect, Send
from secure_gal.errors import DataError, PeerViolation, blamed, setting
from secure_gal.holdings.roles import Context
from secure_gal.messages import Ids, MaskedIds, Message, Realign, Step, Tags
from secure_gal.protocol import agreement
from secure_gal.settings.study import Study
from secure_gal.state import ARRAY, NUMBER, Entries, State, json_of


class SponsorAlignment(Protocol):
    """Finds the ids that the sponsor has in common with each assistor."""

    @property
    def kinds(self) -> frozenset[str]:
        """Message kinds that are legal while this goes on."""
        ...

    def begin(self) -> list[Effect]:
        """Start, or start again after a restart, with every assistor that is not done."""
        ...

    def receive(self, peer: str, message: Message) -> list[Effect]: ...
    def waiting_for(self) -> list[str]: ...
    def match(self, peer: str) -> Match: ...
    def held(self, peer: str) -> int:
        """How many ids that assistor brought."""
        ...


class ClearAlignment:
    """`ids = "clear"`: assistors send their lists."""

    kinds = frozenset({Ids.KIND})

    def __init__(self, study: Study, ids: tuple[str, ...], state: State) -> None:
        self._study, self._ids = study, ids
        self._lists = Entries(state, "ids/", json_of(tuple[str, ...]))

    def begin(self) -> list[Effect]:
        """Nothing to do: assistors speak first."""
        return []

    def waiting_for(self) -> list[str]:
        """Assistors whose list has not come."""
        return [peer for peer in self._study.assistors if peer not in self._lists]

    def receive(self, peer: str, message: Message) -> list[Effect]:
        """Take one list; PeerViolation unless it holds distinct, non-empty ids."""
        if not isinstance(message, Ids) or peer in self._lists:
            raise PeerViolation(peer, f"{message.KIND} is not legal now, or came twice")
        ids = message.ids
        if not ids or len(ids) > self._study.max_ids or len(set(ids)) != len(ids) or "" in ids:
            raise PeerViolation(peer, f"an id list must hold 1 to {self._study.max_ids} distinct, non-empty ids")
        self._lists[peer] = ids
        return []

    def match(self, peer: str) -> Match:
        """The common ids of one pair."""
        return match_clear(self._ids, self._lists[peer])

    def held(self, peer: str) -> int:
        """How many ids that assistor brought."""
        return len(self._lists[peer])


@dataclass(slots=True)
class _Pair:
    """What is in memory while one pair aligns; a restart starts it anew with fresh scalars."""

    attempt: int
    order: npt.NDArray[np.int64] | None = field(default=None, repr=False)
    theirs: npt.NDArray[np.uint8] | None = field(default=None, repr=False)
    answer: npt.NDArray[np.uint8] | None = field(default=None, repr=False)
    points: int = 0


class PrivateAlignment:
    """`ids = "psi"`: Diffie-Hellman private set intersection with each assistor (`crypto.psi`).

    Args:
        batch: 0 for the learning stage, else the number of the prediction batch.
        domain: (assistor, batch, attempt) to the bytes that separate this alignment from every other.
        advance: what follows whenever a pair may be matched.
    """

    kinds = frozenset({Realign.KIND, MaskedIds.KIND, Tags.KIND})

    def __init__(
        self,
        study: Study,
        ids: tuple[str, ...],
        state: State,
        batch: int,
        domain: Callable[[str, int, int], bytes],
        advance: Callable[[], list[Effect]],
    ) -> None:
        self._study, self._ids = study, ids
        self._rows = Entries(state, f"match/{batch}/", ARRAY)
        self._numbers = Entries(state, f"match/{batch}/", NUMBER)
        self._batch, self._domain, self._advance = batch, domain, advance
        self._pairs: dict[str, _Pair] = {}

    def begin(self) -> list[Effect]:
        """Ask every assistor that is not done to begin: scalars are never resumed."""
        step = Step(self._batch, 0)
        return [Send(peer, messages.Realign(step)) for peer in self.waiting_for()]

    def waiting_for(self) -> list[str]:
        """Assistors whose common ids are not known."""
        return [peer for peer in self._study.assistors if f"{peer}/own" not in self._rows]

    def receive(self, peer: str, message: Message) -> list[Effect]:
        """Take a wish to begin anew, masked ids or tags; PeerViolation for what cannot be right. Stale ones are
        ignored."""
        match message:
            case Realign():
                return self._on_lost(peer, message.step)
            case MaskedIds():
                return self._on_masked(peer, message)
            case Tags():
                return self._on_tags(peer, message)
            case _:
                raise PeerViolation(peer, f"{message.KIND} is not legal while aligning")

    def _on_lost(self, peer: str, step: Step) -> list[Effect]:
        """The assistor died in the middle of its attempt: as at the beginning, ask for one."""
        if step.attempt:
            raise PeerViolation(peer, "asks to begin an attempt by number")
        if step.batch != self._batch or peer not in self.waiting_for():
            return [events.Stale(peer)]
        self._pairs.pop(peer, None)
        return [Send(peer, messages.Realign(step))]

    def _on_masked(self, peer: str, message: MaskedIds) -> list[Effect]:
        from crypto.psi import check_distinct, parse_points

        pair, step = self._pairs.get(peer), message.step
        if step.batch != self._batch or peer not in self.waiting_for():
            return [events.Stale(peer)]
        if step.attempt < 1 or (pair is not None and step.attempt <= pair.attempt):
            raise PeerViolation(peer, "masked ids of an attempt that is over")
        count = len(message.points)
        if not 1 <= count <= self._study.max_ids:
            raise PeerViolation(peer, f"brings {count} ids; the study allows 1 to {self._study.max_ids} a party")
        with blamed(peer):
            points = parse_points(message.points.tobytes(), count)
            check_distinct(points)
        self._pairs[peer] = _Pair(step.attempt, points=count)
        domain = self._domain(peer, self._batch, step.attempt)
        mask = Compute(
            "mask",
            lambda: _mask(self._ids, domain, points, peer),
            lambda masked: self._masked(peer, step.attempt, masked),
        )
        return [events.Masking(len(self._ids)), mask]

    def _masked(self, peer: str, attempt: int, masked: _Masked) -> list[Effect]:
        """The sponsor's masked ids are ready to be sent; its tags of the assistor's come next."""
        pair = self._pairs.get(peer)
        if pair is None or pair.attempt != attempt:
            return []
        pair.order = masked.order
        query = messages.MaskedQuery(masked.points, Step(self._batch, attempt))
        return [Send(peer, query), Compute("tag", masked.tag, lambda tags: self._tagged(peer, attempt, tags))]

    def _tagged(self, peer: str, attempt: int, tags: npt.NDArray[np.uint8]) -> list[Effect]:
        """The sponsor's tags are ready to be compared."""
        pair = self._pairs.get(peer)
        if pair is None or pair.attempt != attempt:
            return []
        pair.theirs = tags
        return [*self._compare(peer, pair), *self._advance()]

    def _on_tags(self, peer: str, message: Tags) -> list[Effect]:
        from crypto.psi import check_distinct

        pair = self._pairs.get(peer)
        if pair is None or (message.step.batch, message.step.attempt) != (self._batch, pair.attempt):
            return [events.Stale(peer)]
        if pair.order is None or pair.answer is not None:
            raise PeerViolation(peer, "tags came before they were asked for, or twice")
        expected = (len(self._ids), _tag_bytes(len(self._ids), pair.points))
        if message.tags.shape != expected:
            raise PeerViolation(peer, f"there must be {expected[0]} tags of {expected[1]} bytes")
        with blamed(peer):
            check_distinct(message.tags)
        pair.answer = message.tags
        return self._compare(peer, pair)

    def _compare(self, peer: str, pair: _Pair) -> list[Effect]:
        from crypto.psi import match

        if pair.theirs is None or pair.answer is None or pair.order is None:
            return []
        with blamed(peer):
            own, theirs = match(pair.answer, pair.theirs)
        self._rows[f"{peer}/own"] = pair.order[own]
        self._rows[f"{peer}/theirs"] = theirs
        self._numbers[f"{peer}/held"] = pair.points
        self._numbers[f"{peer}/attempt"] = pair.attempt
        del self._pairs[peer]
        return [events.PairAligned(peer, len(own), pair.points)]

    def match(self, peer: str) -> Match:
        """The common ids of one pair; `theirs` counts in the secret order of the assistor's masked ids."""
        attempt = self._numbers[f"{peer}/attempt"]
        return Match(self._rows[f"{peer}/own"], self._rows[f"{peer}/theirs"], attempt)

    def held(self, peer: str) -> int:
        """How many ids that assistor brought."""
        return self._numbers[f"{peer}/held"]


@dataclass(frozen=True, slots=True)
class _Masked:
    """The sponsor's masked ids with their order, and the job that tags the assistor's."""

    order: npt.NDArray[np.int64] = field(repr=False)
    points: npt.NDArray[np.uint8] = field(repr=False)
    tag: Callable[[], npt.NDArray[np.uint8]] = field(repr=False)


def _mask(ids: tuple[str, ...], domain: bytes, theirs: npt.NDArray[np.uint8], peer: str) -> _Masked:
    from crypto.psi import PsiSide

    side = PsiSide(domain)
    with setting("ids", DataError):
        order, blocks = side.mask(ids)
    points = np.concatenate(list(blocks))

    def tag() -> npt.NDArray[np.uint8]:
        try:
            with blamed(peer):
                return side.tags(theirs, _tag_bytes(len(ids), len(theirs)))
        finally:
            side.erase()

    return _Masked(order, points, tag)


def _tag_bytes(own: int, theirs: int) -> int:
    from crypto.psi import tag_bytes

    return tag_bytes(own, theirs)


def alignment_of(
    context: Context,
    ids: tuple[str, ...],
    state: State,
    run: Callable[[], str],
    advance: Callable[[], list[Effect]],
) -> SponsorAlignment:
    """How a study's ids are aligned before it learns; `run`: the agreed run, `advance`: as `PrivateAlignment`'s."""
    study = context.study
    match study.protect.ids:
        case "clear":
            return ClearAlignment(study, ids, state)
        case "psi":

            def domain(peer: str, batch: int, attempt: int) -> bytes:
                return agreement.psi_domain(context.digest, run(), study.sponsor, peer, batch, attempt)

            return PrivateAlignment(study, ids, state, 0, domain, advance)
        case _:
            assert_never(study.protect.ids)
