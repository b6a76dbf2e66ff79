"""`residuals = "ckks"` at an assistor (PROTOCOL.md steps 6a to 13 under encryption)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from crypto.ckks.ciphertexts import check_requests
from crypto.ckks.params import ParameterSet
from crypto.ckks.slots import Packing
from secure_gal import events, messages
from secure_gal.effects import Compute, Done, Effect, Send
from secure_gal.errors import PeerViolation, blamed
from secure_gal.holdings.budget import Charge
from secure_gal.holdings.roles import Fit
from secure_gal.messages import (
    Batch,
    EncryptedFinish,
    EncryptedFitted,
    EncryptedPredictReply,
    EncryptedResidual,
    Ending,
    EvaluationKeys,
    Message,
)
from secure_gal.protection.ckks.held_keys import keep_keys, keys_of, offer_keys
from secure_gal.protection.ports import FittedSide, Known, as_ciphertexts
from secure_gal.protection.stages import AssistorStage
from secure_gal.state import ARRAY, MARK, RAW, Entry

Bytes = npt.NDArray[np.uint8]


class EncryptedResidualSide:
    """Fits a ridge on Enc(r^t) with the sponsor's evaluation keys; an encrypted head at the end."""

    kinds = frozenset({EncryptedResidual.KIND, EncryptedFinish.KIND})

    def __init__(self, parameters: ParameterSet) -> None:
        self._parameters = parameters

    def prepared(self, stage: AssistorStage) -> list[Effect]:
        """The head that a crash interrupted."""
        return [self._make_head(stage)] if combination(stage).there else []

    def receive(self, stage: AssistorStage, message: Message) -> list[Effect]:
        """Enc(r^t), or Enc(R_m)."""
        match message:
            case EncryptedResidual():
                stage.check_round(message.round)
                self._check_requests(stage, message.ciphertexts, 1)
                return stage.take_residual(message.ciphertexts)
            case EncryptedFinish():
                return self._on_end(stage, message)
            case _:
                raise PeerViolation(stage.sponsor, f"{message.KIND} is not for an assistor of this study")

    def _check_requests(self, stage: AssistorStage, ciphertexts: Bytes, count: int) -> None:
        """Refuse what are not encryptions of `count` arrays like the residual."""
        each = Packing(self._parameters, int(stage.train.sum()), stage.outputs).requests
        expected = (count * each, self._parameters.request_bytes)
        if ciphertexts.shape != expected:
            raise PeerViolation(stage.sponsor, f"there must be {expected[0]} ciphertexts of {expected[1]} bytes")
        with blamed(stage.sponsor):
            check_requests(self._parameters, ciphertexts)

    def fit(self, stage: AssistorStage) -> Compute[Bytes]:
        """Enc(f^t) of all rows, training rows first; sanitised."""
        ciphertexts, fits, round_ = stage.residual.get(), stage.model.encrypted, stage.rounds + 1
        return Compute(
            "fit",
            lambda: fits.fit(round_, ciphertexts, stage.outputs, stage.sponsor),
            lambda fit: stage.leave(round_, fit),
            round_,
        )

    def _on_end(self, stage: AssistorStage, message: EncryptedFinish) -> list[Effect]:
        stage.check_end()
        if stage.rounds != stage.study.rounds:
            raise PeerViolation(stage.sponsor, f"learning cannot end after {stage.rounds} rounds: all are run")
        self._check_requests(stage, message.ciphertexts, self.heads(stage))
        combination(stage).set(message.ciphertexts)
        stage.enter("concluding")
        return [self._make_head(stage)]

    def heads(self, stage: AssistorStage) -> int:
        """One, or with `fresh_features` one a round: their maps differ."""
        return stage.rounds if stage.model.encrypted.fresh else 1

    def _make_head(self, stage: AssistorStage) -> Compute[bytes]:
        ciphertexts, outputs = combination(stage).get(), stage.outputs

        def made(raw: bytes) -> list[Effect]:
            head(stage).set(raw)
            combination(stage).drop()
            stage.enter("serving")
            finished = Send(stage.sponsor, messages.Finished(Ending("finished")))
            return [events.FinishedEncrypted(stage.rounds), finished, Done()]

        return Compute("head", lambda: stage.model.encrypted.head(ciphertexts, outputs, stage.sponsor), made)

    def answer(self, stage: AssistorStage, number: int, ids: tuple[str, ...]) -> Compute[tuple[Known, Bytes]]:
        """Enc(part) from the encrypted head; sanitised."""
        encoder, raw, key = stage.encoder.get(), keys(stage).get(), head(stage).get()
        return Compute(
            "answer",
            lambda: stage.model.encrypted.answer(ids, encoder, raw, key, stage.outputs, stage.sponsor),
            lambda result: stage.leave_part(number, *result),
        )


def combination(stage: AssistorStage) -> Entry[Bytes]:
    """Enc(R_m) until the head is made of it."""
    return Entry(stage.state, "combination", ARRAY)


def head(stage: AssistorStage) -> Entry[bytes]:
    """The encrypted head G = U' R, for this party's own disk."""
    return Entry(stage.state, "head", RAW)


def keys(stage: AssistorStage) -> Entry[bytes]:
    """The keys that the sponsor sent."""
    return Entry(stage.state, "keys", RAW)


def declared(stage: AssistorStage) -> Entry[None]:
    """Whether this party has said how wide its features are."""
    return Entry(stage.state, "declared", MARK)


def encode(stage: AssistorStage) -> Compute[None]:
    """Get ready for keys to come."""
    return Compute("encode", stage.model.encrypted.encode, lambda _: [])


def use_keys(stage: AssistorStage) -> Compute[None]:
    """Compute with the sponsor's keys from now on."""
    raw = keys(stage).get()
    return Compute("keys", lambda: stage.model.keyed.use_keys(raw, stage.sponsor), lambda _: [])


class EncryptedFitsSide(FittedSide):
    """Fits and parts go to the sponsor as ciphertexts, which are counted against tau."""

    declares = True

    def __init__(self, parameters: ParameterSet) -> None:
        self._parameters = parameters

    def _replies(self, stage: AssistorStage, rows: int, rounds: int = 1) -> Charge:
        """Reply ciphertexts for this many rows."""
        each = Packing(self._parameters, rows, stage.outputs).ciphertexts
        return stage.account.replies(rounds * each, self._parameters.tau)

    def check_rows(self, stage: AssistorStage, train: int, others: int) -> None:
        """All rounds must stay within tau."""
        rounds, rows = stage.study.rounds, train + others
        needed = self._replies(stage, rows, rounds)
        stage.account.require_room(needed, f"{rounds} rounds over {rows} rows and {stage.outputs} outputs")

    def prepared(self, stage: AssistorStage) -> list[Effect]:
        """Step 6a, once; then the keys again after a restart."""
        if not declared(stage).there:
            declared(stage).set(None)
            said = messages.PaddedWidth(messages.Width(stage.model.keyed.padded), offer_keys(stage, self._parameters))
            return [events.Prepared(), Send(stage.sponsor, said), encode(stage)]
        return [use_keys(stage)] if keys(stage).there else []

    def receive(self, stage: AssistorStage, message: Message) -> list[Effect]:
        """Step 6b: evaluation keys."""
        if not isinstance(message, EvaluationKeys) or not declared(stage).there:
            raise PeerViolation(stage.sponsor, f"{message.KIND} came before this party declared its width")
        raw = keys_of(stage, message)
        stage.model.keyed.check_keys(raw, stage.sponsor)
        keys(stage).set(raw)
        stage.enter("learning")
        return [keep_keys(stage, message, raw), use_keys(stage)]

    def spend_fit(self, stage: AssistorStage) -> None:
        """The reply ciphertexts of all rows."""
        stage.account.require(self._replies(stage, len(stage.train)))

    def leave(self, stage: AssistorStage, round_: int, fit: Fit, residual: npt.NDArray[Any]) -> list[Effect]:
        """To the sponsor."""
        return [Send(stage.sponsor, EncryptedFitted(as_ciphertexts(fit), round_))]

    def price(self, stage: AssistorStage, rows: int, heads: int) -> list[Charge]:
        """The reply ciphertexts."""
        return [self._replies(stage, rows)]

    def leave_part(
        self, stage: AssistorStage, number: int, ids: tuple[str, ...], known: Known, part: Fit
    ) -> list[Effect]:
        """To the sponsor."""
        return [
            events.Predicted(len(known), int(known.sum())),
            Send(stage.sponsor, EncryptedPredictReply(Batch(number), known, as_ciphertexts(part))),
        ]

    def no_part(self, stage: AssistorStage, batch: Batch) -> Message:
        """A reply without ciphertexts."""
        nothing = np.zeros((0, self._parameters.reply_bytes), dtype=np.uint8)
        return EncryptedPredictReply(batch, np.zeros(0, dtype=np.uint8), nothing)
