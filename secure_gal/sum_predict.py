"""The sponsor's side of a prediction batch of which it sees the assistors' sum only (PROTOCOL.md steps 12a to 13c).

A row gets the assistors' part only if every one of them knows it: else its "sum" would be over fewer. So first it is
found out who knows which row, then all are asked for the same rows, the aggregator first, which names the key that the
others' parts are sealed to, and it adds them.
"""

from __future__ import annotations

from typing import assert_never, cast

import numpy as np
import numpy.typing as npt

from crypto.ckks.ciphertexts import check_replies
from crypto.ckks.fits import SUM, Layout
from crypto.identity import Card
from crypto.seal import OVERHEAD_BYTES
from secure_gal import events, messages
from secure_gal.effects import Compute, Done, Effect, Send, State
from secure_gal.errors import PeerViolation, blamed
from secure_gal.messages import Batch, KnownReply, Message, PartKey, SealedPart, SummedPart
from secure_gal.protocol_predict import Domain, Part, PredictionProtocol
from secure_gal.study import Study
from secure_gal.sum_sealing import check_part_key
from secure_gal.sum_sponsor import SumCipher


class SumPrediction(PredictionProtocol):
    """`PredictionProtocol` with `predictions = "sum"`: all assistors must be there, and one part comes back.

    `digest` is the study's and `card` the aggregator's: it signs a sealing key for each batch.
    """

    def __init__(
        self,
        study: Study,
        state: State,
        ids: tuple[str, ...],
        outputs: int,
        cipher: SumCipher,
        digest: str,
        card: Card,
        domain: Domain | None = None,
    ) -> None:
        super().__init__(study, state, ids, outputs, domain)
        self._cipher, self._adder, self._digest, self._card = cipher, study.adder, digest, card
        self._keyed = False
        self._known: dict[str, npt.NDArray[np.uint8]] = {}
        self._common: npt.NDArray[np.int64] | None = None
        """Rows of the batch that every assistor knows, once that is known."""
        self._relayed: set[str] = set()
        self._total: npt.NDArray[np.float64] | None = None
        self._opening = False

    def waiting_for(self) -> list[str]:
        """Who must say something next."""
        if self._total is not None:
            return []
        if self._common is None:
            if self._pairs is not None:
                return self._pairs.waiting_for()
            return [p for p in self._study.assistors if p not in self._known]
        if not self._keyed:
            return [self._adder]
        return [p for p in self._others if p not in self._relayed] or [self._adder]

    def _begin(self) -> list[Effect]:
        """Ask who knows what."""
        if self._pairs is not None:
            return self._pairs.begin()
        ask = messages.KnownRequest(Batch(self._number), self._ids)
        return [Send(peer, ask) for peer in self._study.assistors]

    def _take_up(self) -> list[Effect]:
        state, prefix = self.state, "batch/known/"
        self._known = {key.removeprefix(prefix): state.array(key) for key in state.keys(prefix)}
        self._keyed = "batch/keyed" in state
        self._relayed = {p for p in self._others if f"batch/relayed/{p}" in state}
        if "batch/common" in state:
            self._common = state.array("batch/common")
        if "batch/total" in state:
            self._total = state.array("batch/total")
        elif "batch/sum" in state:
            return [self._open()]
        return self._pairs.begin() if self._pairs is not None else []

    def receive(self, peer: str, message: Message) -> list[Effect]:
        """Take one reply, or a step of the private alignment.

        Raises:
            PeerViolation: another kind of message, out of turn, or of the wrong shape.
        """
        if self._pairs is not None and message.KIND in self._pairs.kinds:
            return super().receive(peer, message)
        if peer not in self._study.assistors or not isinstance(message, KnownReply | PartKey | SealedPart | SummedPart):
            raise PeerViolation(peer, f"{message.KIND} is not legal during prediction")
        if message.batch.number < self._number:
            return [events.Stale(peer)]
        if message.batch.number > self._number:
            raise PeerViolation(peer, "a reply to a batch that was not asked for")
        match message:
            case KnownReply():
                return self._on_known(peer, message)
            case PartKey():
                return self._on_key(peer, message)
            case SealedPart():
                return self._on_sealed(peer, message)
            case SummedPart():
                return self._on_sum(peer, message)
            case _:
                assert_never(message)

    def _on_known(self, peer: str, message: KnownReply) -> list[Effect]:
        wrong = message.known.shape != (len(self._ids),) or not np.isin(message.known, (0, 1)).all()
        if self._pairs is not None or peer in self._known or wrong:
            raise PeerViolation(peer, f"`known` must come once, with 0 or 1 for each of {len(self._ids)} ids")
        self._known[peer] = message.known
        self.state.put(f"batch/known/{peer}", message.known)
        return self._ask()

    def _ask(self) -> list[Effect]:
        """Once everyone's rows are known: ask the aggregator for those that all know, and for a key to seal parts
        to."""
        if self._common is not None or self.waiting_for():
            return []
        held = np.ones(len(self._ids), dtype=np.bool_)
        for peer in self._study.assistors:
            if self._pairs is None:
                held &= self._known[peer] == 1
                continue
            held &= self._positions(peer) >= 0
        self._common = np.flatnonzero(held)
        self.state.put("batch/common", self._common)
        if not len(self._common):
            self._finish(np.zeros((len(self._ids), self._outputs)))
            return [events.Warned("no row is known to every assistor; only the own part is used"), Done()]
        return [self._request(self._adder)]

    def _positions(self, peer: str) -> npt.NDArray[np.int64]:
        """Of every row of the batch among the ids that this assistor aligned, -1 where it is not; (n,)."""
        assert self._pairs is not None  # noqa: S101  (asked under private alignment only)
        match, out = self._pairs.match(peer), np.full(len(self._ids), -1, dtype=np.int64)
        out[match.own] = match.theirs
        return out

    def _request(self, peer: str) -> Send:
        """The rows that every assistor knows, in the same order for all."""
        assert self._common is not None  # noqa: S101  (asked once it is known)
        if self._pairs is None:
            ids = tuple(self._ids[i] for i in self._common.tolist())
            return Send(peer, messages.PredictRequest(Batch(self._number), ids))
        step = messages.Step(self._number, self._pairs.match(peer).attempt)
        return Send(peer, messages.PredictRows(self._positions(peer)[self._common].astype(np.uint32), step))

    def _on_key(self, peer: str, message: PartKey) -> list[Effect]:
        if peer != self._adder or self._common is None or self._keyed or self._total is not None:
            raise PeerViolation(peer, "a key that was not asked for, or a second one")
        check_part_key(self._card, self._digest, self.run, self._number, message.announcement, peer)
        self._keyed = True
        self.state.put("batch/keyed", b"1")
        return [effect for other in self._others for effect in (Send(other, message), self._request(other))]

    def _on_sealed(self, peer: str, message: SealedPart) -> list[Effect]:
        early = self._common is None or (peer != self._adder and not self._keyed)
        if early or peer in self._relayed or self._total is not None:
            raise PeerViolation(peer, "a part that was not asked for, or a second one")
        if message.batch.refused:
            self._common = np.zeros(0, dtype=np.int64)
            self.state.put("batch/common", self._common)
            self._finish(np.zeros((len(self._ids), self._outputs)))
            text = f"{peer} refuses this batch: {message.batch.refused[:200]}; without it no assistor's part is used"
            return [events.Warned(text), Done()]
        if peer == self._adder:
            raise PeerViolation(peer, "the aggregator seals no part")
        due = OVERHEAD_BYTES + self._layout().fit_bytes
        if len(message.sealed) != due:
            raise PeerViolation(peer, f"a sealed part of {len(message.sealed)} bytes, where {due} are due")
        self._relayed.add(peer)
        self.state.put(f"batch/relayed/{peer}", b"1")
        return [Send(self._adder, messages.RelayedPart(message.batch, messages.Author(peer), message.sealed))]

    def _on_sum(self, peer: str, message: SummedPart) -> list[Effect]:
        complete = self._common is not None and self._relayed == set(self._others)
        if peer != self._adder or not complete or self._opening or self._total is not None:
            raise PeerViolation(peer, "a sum that was not asked for, or a second one")
        with blamed(peer):
            check_replies(SUM, message.ciphertexts, self._layout().ciphertexts)
        self.state.put("batch/sum", message.ciphertexts)
        return [self._open()]

    def _open(self) -> Compute:
        self._opening = True
        layout, ciphertexts = self._layout(), self.state.array("batch/sum")

        def job() -> npt.NDArray[np.float64]:
            with blamed(self._adder):
                return self._cipher.decrypt_sum(ciphertexts, layout, self._adder)

        return Compute("open", job)

    def _finish(self, total: npt.NDArray[np.float64]) -> None:
        self._total = total
        self.state.put("batch/total", total)
        self.state.drop("batch/sum")

    def computed(self, tag: str, result: object) -> list[Effect]:
        """Take the decrypted sum, or a step of the private alignment."""
        if tag != "open":
            return super().computed(tag, result)
        scale = float(self.state.array(f"scale/{self._adder}")[0])
        total = np.zeros((len(self._ids), self._outputs))
        total[self._common] = cast(npt.NDArray[np.float64], result) * scale
        self._finish(total)
        return [Done()]

    def combine(
        self, initial: npt.NDArray[np.float64], own: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.float64], list[str]]:
        """F = F^0 + own part + the assistors' sum; and per row the parties missing: all assistors, or none."""
        assert self._total is not None and self._common is not None  # noqa: S101  (waited for)
        known = np.zeros(len(self._ids), dtype=np.uint8)
        known[self._common] = 1
        nothing = np.zeros_like(self._total)
        self.parts = {p: Part(known, self._total if p == self._adder else nothing) for p in self._study.assistors}
        return super().combine(initial, own)

    def _layout(self) -> Layout:
        assert self._common is not None  # noqa: S101  (asked once it is known)
        return Layout(0, len(self._common), self._outputs)

    @property
    def _others(self) -> list[str]:
        return [p for p in self._study.assistors if p != self._adder]
