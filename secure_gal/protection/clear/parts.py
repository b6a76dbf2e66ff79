"""The parts of a prediction batch in the clear, at the sponsor; and what every mode asks for and refuses alike."""

from __future__ import annotations

import numpy as np

from secure_gal import events, messages
from secure_gal.effects import Effect, Send
from secure_gal.errors import PeerViolation
from secure_gal.messages import Batch, Message, PredictReply
from secure_gal.protection.batch import Batched, Part


class SeenParts:
    """At the sponsor: every assistor's part of a batch as float32, of the agreed `kind`."""

    def __init__(self, kind: type[PredictReply] = PredictReply) -> None:
        self._kind = kind

    def begin(self, batch: Batched) -> list[Effect]:
        """Ask everyone for all ids."""
        return ask_by_id(batch)

    def aligned(self, batch: Batched) -> list[Effect]:
        """Ask for the rows that have become known."""
        return ask_by_row(batch)

    def resume(self, batch: Batched) -> list[Effect]:
        """What was answered is on disk."""
        know_what_was_asked(batch)
        batch.resume()
        return []

    def waiting_for(self, batch: Batched) -> list[str]:
        """Who has not answered yet."""
        return [peer for peer in batch.assistors if peer not in batch.parts]

    def receive(self, batch: Batched, peer: str, message: Message) -> list[Effect]:
        """Take a part."""
        if type(message) is not self._kind or not isinstance(message, PredictReply):
            raise PeerViolation(peer, f"{message.KIND} is not legal during prediction")
        if (refused := refusal(batch, peer, message.batch)) is not None:
            return refused
        asked = len(batch.asked[peer])
        batch.check_known(peer, message.known)
        if message.part.shape != (asked, batch.outputs) or not np.isfinite(message.part).all():
            raise PeerViolation(peer, f"a reply must hold {asked} finite rows of {batch.outputs} outputs")
        if np.any(message.part[message.known == 0]):
            raise PeerViolation(peer, "a reply must be 0 for unknown ids")
        return batch.take(peer, batch.over_all_ids(peer, message.known, message.part.astype(np.float64)))

    def parts(self, batch: Batched) -> dict[str, Part]:
        """As they came."""
        return batch.parts


def ask_by_id(batch: Batched) -> list[Effect]:
    """Ask every assistor for its part of all ids."""
    batch.asked = {peer: np.arange(len(batch.ids)) for peer in batch.assistors}
    return [Send(peer, messages.PredictRequest(Batch(batch.number), batch.ids)) for peer in batch.assistors]


def ask_by_row(batch: Batched) -> list[Effect]:
    """Name rows by position to every assistor whose common ids have become known."""
    effects: list[Effect] = []
    if batch.pairs is None:
        return effects
    open_ = batch.pairs.waiting_for()
    for peer in batch.assistors:
        if peer in open_ or peer in batch.asked:
            continue
        match = batch.pairs.match(peer)
        batch.asked[peer] = match.own
        step = messages.Step(batch.number, match.attempt)
        effects.append(Send(peer, messages.PredictRows(match.theirs.astype(np.uint32), step)))
    return effects


def know_what_was_asked(batch: Batched) -> None:
    """After a restart: by id everything, by row what was aligned."""
    for peer in batch.assistors:
        if batch.pairs is None:
            batch.asked[peer] = np.arange(len(batch.ids))
        elif peer not in batch.pairs.waiting_for():
            batch.asked[peer] = batch.pairs.match(peer).own


def refusal(batch: Batched, peer: str, answer: Batch) -> list[Effect] | None:
    """An assistor's part is 0 where it refuses the batch; None where it does not. PeerViolation if it was not asked."""
    if peer in batch.parts or peer not in batch.asked:
        raise PeerViolation(peer, "a reply to a batch that was not asked for, or a second one")
    if not answer.refused:
        return None
    why = f"{peer} refuses this batch: {answer.refused[:200]}; its part is 0"
    return [events.Warned(why), *batch.take(peer, batch.nothing())]
