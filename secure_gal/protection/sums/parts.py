"""The sponsor's side of a prediction batch of which it sees the assistors' sum only (PROTOCOL.md steps 12a to 13c).

A row gets the assistors' part only if every one of them knows it: else its "sum" would be over fewer. So first it is
found out who knows which row, then all are asked for the same rows, the aggregator first, which names the key that the
others' parts are sealed to, and it adds them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from crypto.ckks.ciphertexts import check_replies
from crypto.ckks.fits import SUM, Layout
from crypto.identity import Card
from crypto.sealed_box import OVERHEAD_BYTES
from secure_gal import events, messages
from secure_gal.effects import Compute, Done, Effect, Send
from secure_gal.errors import PeerViolation, blamed
from secure_gal.messages import Batch, KnownReply, Message, PartKey, SealedPart, SummedPart
from secure_gal.protection.batch import Batched, Part
from secure_gal.protection.ciphers import SumCipher
from secure_gal.protection.sums.sealing import check_part_key
from secure_gal.state import ARRAY, MARK, Entries, Entry

Bytes = npt.NDArray[np.uint8]
Values = npt.NDArray[np.float64]


class SummedParts:
    """At the sponsor: all assistors must be there, and one part comes back.

    Args:
        digest: the study's; card: the aggregator's, which signs a sealing key for each batch.
    """

    def __init__(self, cipher: SumCipher, digest: str, card: Card) -> None:
        self._cipher, self._digest, self._card = cipher, digest, card
        self._opening = False

    def waiting_for(self, batch: Batched) -> list[str]:
        """Who must say something next."""
        kept = _Records(batch)
        if kept.total.there:
            return []
        if not kept.common.there:
            if batch.pairs is not None:
                return batch.pairs.waiting_for()
            return [p for p in batch.assistors if p not in kept.known]
        if not kept.keyed.there:
            return [batch.study.adder]
        return [p for p in _others(batch) if p not in kept.relayed] or [batch.study.adder]

    def begin(self, batch: Batched) -> list[Effect]:
        """Ask who knows what."""
        ask = messages.KnownRequest(Batch(batch.number), batch.ids)
        return [Send(peer, ask) for peer in batch.assistors]

    def resume(self, batch: Batched) -> list[Effect]:
        """All is on disk but the decrypted sum."""
        return [self._open(batch)] if _Records(batch).sum.there else []

    def receive(self, batch: Batched, peer: str, message: Message) -> list[Effect]:
        """Steps 12b, 12c, 13a and 13c."""
        match message:
            case KnownReply():
                return self._on_known(batch, peer, message)
            case PartKey():
                return self._on_key(batch, peer, message)
            case SealedPart():
                return self._on_sealed(batch, peer, message)
            case SummedPart():
                return self._on_sum(batch, peer, message)
            case _:
                raise PeerViolation(peer, f"{message.KIND} is not legal during prediction")

    def _on_known(self, batch: Batched, peer: str, message: KnownReply) -> list[Effect]:
        known = _Records(batch).known
        wrong = message.known.shape != (len(batch.ids),) or not np.isin(message.known, (0, 1)).all()
        if batch.pairs is not None or peer in known or wrong:
            raise PeerViolation(peer, f"`known` must come once, with 0 or 1 for each of {len(batch.ids)} ids")
        known[peer] = message.known
        return self.aligned(batch)

    def aligned(self, batch: Batched) -> list[Effect]:
        """Once everyone's rows are known: ask the aggregator for those that all know, and for a key to seal to."""
        kept = _Records(batch)
        if kept.common.there or self.waiting_for(batch):
            return []
        held = np.ones(len(batch.ids), dtype=np.bool_)
        for peer in batch.assistors:
            held &= kept.known[peer] == 1 if batch.pairs is None else _positions(batch, peer) >= 0
        kept.common.set(np.flatnonzero(held))
        if held.any():
            return [self._request(batch, batch.study.adder)]
        self._finish(batch, np.zeros((len(batch.ids), batch.outputs)))
        return [events.Warned("no row is known to every assistor; only the own part is used"), Done()]

    def _request(self, batch: Batched, peer: str) -> Send:
        """The rows that every assistor knows, in the same order for all."""
        common = _Records(batch).common.get()
        if batch.pairs is None:
            ids = tuple(batch.ids[i] for i in common.tolist())
            return Send(peer, messages.PredictRequest(Batch(batch.number), ids))
        step = messages.Step(batch.number, batch.pairs.match(peer).attempt)
        return Send(peer, messages.PredictRows(_positions(batch, peer)[common].astype(np.uint32), step))

    def _on_key(self, batch: Batched, peer: str, message: PartKey) -> list[Effect]:
        kept = _Records(batch)
        if peer != batch.study.adder or not kept.common.there or kept.keyed.there or kept.total.there:
            raise PeerViolation(peer, "a key that was not asked for, or a second one")
        check_part_key(self._card, self._digest, batch.run, batch.number, message.announcement, peer)
        kept.keyed.set(None)
        return [e for other in _others(batch) for e in (Send(other, message), self._request(batch, other))]

    def _on_sealed(self, batch: Batched, peer: str, message: SealedPart) -> list[Effect]:
        kept, adder = _Records(batch), batch.study.adder
        early = not kept.common.there or (peer != adder and not kept.keyed.there)
        if early or peer in kept.relayed or kept.total.there:
            raise PeerViolation(peer, "a part that was not asked for, or a second one")
        if message.batch.refused:
            kept.common.set(np.zeros(0, dtype=np.int64))
            self._finish(batch, np.zeros((len(batch.ids), batch.outputs)))
            text = f"{peer} refuses this batch: {message.batch.refused[:200]}; without it no assistor's part is used"
            return [events.Warned(text), Done()]
        if peer == adder:
            raise PeerViolation(peer, "the aggregator seals no part")
        due = OVERHEAD_BYTES + _layout(batch).fit_bytes
        if len(message.sealed) != due:
            raise PeerViolation(peer, f"a sealed part of {len(message.sealed)} bytes, where {due} are due")
        kept.relayed[peer] = None
        return [Send(adder, messages.RelayedPart(message.batch, messages.Author(peer), message.sealed))]

    def _on_sum(self, batch: Batched, peer: str, message: SummedPart) -> list[Effect]:
        kept = _Records(batch)
        complete = kept.common.there and all(p in kept.relayed for p in _others(batch))
        if peer != batch.study.adder or not complete or self._opening or kept.total.there:
            raise PeerViolation(peer, "a sum that was not asked for, or a second one")
        with blamed(peer):
            check_replies(SUM, message.ciphertexts, _layout(batch).ciphertexts)
        kept.sum.set(message.ciphertexts)
        return [self._open(batch)]

    def _open(self, batch: Batched) -> Compute[Values]:
        self._opening = True
        place, ciphertexts, adder = _layout(batch), _Records(batch).sum.get(), batch.study.adder

        def decrypted() -> Values:
            with blamed(adder):
                return self._cipher.decrypt_sum(ciphertexts, place, adder)

        def opened(values: Values) -> list[Effect]:
            total = np.zeros((len(batch.ids), batch.outputs))
            total[_Records(batch).common.get()] = values * batch.scales[adder]
            self._finish(batch, total)
            return [Done()]

        return Compute("decrypt", decrypted, opened)

    def _finish(self, batch: Batched, total: Values) -> None:
        kept = _Records(batch)
        kept.total.set(total)
        kept.sum.drop()

    def parts(self, batch: Batched) -> dict[str, Part]:
        """The sum at the aggregator's name; a row lacks all assistors' parts, or none."""
        kept = _Records(batch)
        known = np.zeros(len(batch.ids), dtype=np.uint8)
        known[kept.common.get()] = 1
        total = kept.total.get()
        return {p: Part(known, total if p == batch.study.adder else np.zeros_like(total)) for p in batch.assistors}


class _Records:
    """What is kept of an open batch."""

    def __init__(self, batch: Batched) -> None:
        state = batch.state
        self.known = Entries(state, "batch/known/", ARRAY)
        self.common = Entry(state, "batch/common", ARRAY)
        """Rows of the batch that every assistor knows."""
        self.keyed = Entry(state, "batch/keyed", MARK)
        self.relayed = Entries(state, "batch/relayed/", MARK)
        self.sum = Entry(state, "batch/sum", ARRAY)
        self.total = Entry(state, "batch/total", ARRAY)


def _others(batch: Batched) -> list[str]:
    return [p for p in batch.assistors if p != batch.study.adder]


def _layout(batch: Batched) -> Layout:
    return Layout(0, len(_Records(batch).common.get()), batch.outputs)


def _positions(batch: Batched, peer: str) -> npt.NDArray[np.int64]:
    """Of every row of the batch among the ids that this assistor aligned, -1 where it is not; (n,)."""
    assert batch.pairs is not None  # noqa: S101  (asked under private alignment only)
    match, out = batch.pairs.match(peer), np.full(len(batch.ids), -1, dtype=np.int64)
    out[match.own] = match.theirs
    return out
