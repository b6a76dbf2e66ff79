"""The assistor where residuals arrive as CKKS ciphertexts (PROTOCOL.md steps 6a to 13 under encryption).

It sees ciphertexts under the sponsor's key and nothing else of the labels: no residual, weight, learning rate or number
of kept rounds. Every reply ciphertext is counted against tau before it is computed, over all runs on the same data.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol, cast

import msgspec
import numpy as np
import numpy.typing as npt

from crypto.ckks.ciphertexts import check_requests
from crypto.ckks.sets import named
from secure_gal import events, messages, protocol_assistor
from secure_gal.budget import Charge
from secure_gal.effects import Compute, Done, Effect, Send, State
from secure_gal.errors import PeerViolation, blamed
from secure_gal.messages import (
    EncryptedFinish,
    EncryptedResidual,
    Ending,
    EvaluationKeys,
    Message,
)
from secure_gal.protocol_assistor import AssistorProtocol
from secure_gal.roles import AssistorModel, Context

Bytes = npt.NDArray[np.uint8]


class EncryptedModel(Protocol):
    """The assistor's data behind the encrypted protocol; every method may take long."""

    @property
    def ids(self) -> Sequence[str]: ...
    def current_ids(self) -> Sequence[str]:
        """The ids in `[data] path` as it is on disk now."""
        ...

    @property
    def padded(self) -> int:
        """The padded width P; only after `prepare`."""
        ...

    def prepare(self, positions: npt.NDArray[np.int64], train: npt.NDArray[np.bool_]) -> bytes:
        """Fit encoder, features and basis on the training rows; returns what must be saved to predict later."""
        ...

    def check_keys(self, raw: bytes, peer: str) -> None:
        """Refuse evaluation keys that nothing could be computed with, before they are kept; PeerViolation."""
        ...

    def use_keys(self, raw: bytes, peer: str) -> None:
        """Check the sponsor's evaluation keys and use them from now on; PeerViolation."""
        ...

    def fit_encrypted(self, ciphertexts: Bytes, outputs: int, peer: str) -> Bytes:
        """Enc(f) of all rows, training rows first, from Enc(r) of the training rows; sanitised. PeerViolation."""
        ...

    def head(self, ciphertexts: Bytes, outputs: int, peer: str) -> bytes:
        """The encrypted head G = U' R, for this party's own disk. PeerViolation."""
        ...

    def answer(
        self, ids: tuple[str, ...], encoder: bytes, keys: bytes, head: bytes, outputs: int, peer: str
    ) -> tuple[Bytes, Bytes]:
        """(known (n,), Enc(part)) for new ids, from the data as it is on disk now; sanitised."""
        ...


class EncryptedAssistor(AssistorProtocol):
    """`AssistorProtocol` with `residuals = "ckks"`."""

    TRANSITIONS = protocol_assistor.TRANSITIONS | {
        "declaring": frozenset({"evaluation-keys"}),
        "learning": frozenset({"encrypted-residual", "encrypted-finish"}),
    }
    AFTER_ROWS = "declaring"

    def __init__(self, context: Context, model: EncryptedModel, state: State, nonce: bytes) -> None:
        super().__init__(context, cast(AssistorModel, model), state, nonce)
        self._encrypted = model
        self._parameters = named(context.study.protect.parameter_set)

    def _on_learning(self, message: Message) -> list[Effect]:
        match message:
            case EvaluationKeys():
                return self._on_keys(message)
            case EncryptedResidual():
                return self._on_encrypted(message)
            case EncryptedFinish():
                return self._on_end(message)
            case _:
                raise PeerViolation(self._sponsor, f"{message.KIND} is not for an assistor")

    def computed(self, tag: str, result: object) -> list[Effect]:
        """Take the result of a job that an earlier effect asked for."""
        kind, _, rest = tag.partition("/")
        if kind == "prepare":
            return self._prepared(cast(bytes, result))
        if kind == "keys":
            return []
        if kind == "fit":
            return self._fitted_encrypted(int(rest), cast(Bytes, result))
        if kind == "head":
            return self._headed(cast(bytes, result))
        if kind == "predict":
            return self._answered(rest, cast("tuple[Bytes, Bytes]", result))
        return super().computed(tag, result)

    # steps 6 to 6b: rows, width and keys

    def _check_budget(self, train: int, others: int) -> None:
        rounds, rows = self._context.study.rounds, train + others
        needed = self._account.replies(rounds * self._count(rows, self._outputs))
        self._account.require_room(needed, f"{rounds} rounds over {rows} rows and {self._outputs} outputs")

    def _prepared(self, encoder: bytes) -> list[Effect]:
        self.state.put("encoder", encoder)
        self.state.put("prepared", b"1")
        if self.phase == "declaring":
            if "declared" in self.state:
                return []
            self.state.put("declared", b"1")
            width = messages.Width(self._encrypted.padded)
            return [events.Prepared(), Send(self._sponsor, messages.Features(width))]
        effects: list[Effect] = [self._use_keys()]
        if "residual" in self.state:
            effects.append(self._fit())
        if "combination" in self.state:
            effects.append(self._make_head())
        return effects

    def _on_keys(self, message: EvaluationKeys) -> list[Effect]:
        if "declared" not in self.state:
            raise PeerViolation(self._sponsor, "evaluation keys came before this party declared its width")
        raw = message.keys.tobytes()
        self._encrypted.check_keys(raw, self._sponsor)
        self.state.put("keys", raw)
        self._enter("learning")
        return [events.GotKeys(len(message.keys)), self._use_keys()]

    def _use_keys(self) -> Compute:
        raw = self.state.raw("keys")
        return Compute("keys", lambda: self._encrypted.use_keys(raw, self._sponsor))

    # steps 7 and 8: rounds

    def _on_encrypted(self, message: EncryptedResidual) -> list[Effect]:
        self._check_round(message.round)
        self._check_requests(message.ciphertexts)
        self._spend_fit()
        self.state.put("residual", message.ciphertexts)
        return [self._fit()]

    def _spend_fit(self) -> None:
        self._account.require(self._account.replies(self._count(len(self.state.array("train")), self._outputs)))

    def _check_requests(self, ciphertexts: Bytes, count: int = 1) -> None:
        """Refuse what are not encryptions of `count` arrays like the residual."""
        blocks = -(-int(self.state.array("train").sum()) // self._parameters.values_per_ciphertext)
        expected = (count * blocks * self._outputs, self._parameters.request_bytes)
        if ciphertexts.shape != expected:
            raise PeerViolation(self._sponsor, f"there must be {expected[0]} ciphertexts of {expected[1]} bytes")
        with blamed(self._sponsor):
            check_requests(self._parameters, ciphertexts)

    def _fit(self) -> Compute:
        ciphertexts, outputs = self.state.array("residual"), self._outputs
        job = lambda: self._encrypted.fit_encrypted(ciphertexts, outputs, self._sponsor)  # noqa: E731
        return Compute(f"fit/{self.rounds + 1}", job)

    def _fitted_encrypted(self, round_: int, replies: Bytes) -> list[Effect]:
        self.state.put("round", str(round_).encode())
        self.state.drop("residual")
        return [events.RoundFitted(round_), Send(self._sponsor, messages.EncryptedFitted(replies, round_))]

    # steps 10 and 11: the end of the learning stage

    def _on_end(self, message: EncryptedFinish) -> list[Effect]:
        self._check_end()
        if self.rounds != self._context.study.rounds:
            raise PeerViolation(self._sponsor, f"the learning stage cannot end after {self.rounds} rounds: all are run")
        self._check_requests(message.ciphertexts, self._heads)
        self.state.put("combination", message.ciphertexts)
        self._enter("concluding")
        return [self._make_head()]

    @property
    def _heads(self) -> int:
        """Combinations that the learning stage ends with."""
        return 1

    def _make_head(self) -> Compute:
        ciphertexts, outputs = self.state.array("combination"), self._outputs
        return Compute("head", lambda: self._encrypted.head(ciphertexts, outputs, self._sponsor))

    def _headed(self, head: bytes) -> list[Effect]:
        self.state.put("head", head)
        self.state.drop("combination")
        self._enter("serving")
        finished = Send(self._sponsor, messages.Finished(Ending("finished")))
        return [events.FinishedEncrypted(self.rounds), finished, Done()]

    # steps 12 and 13: prediction

    def _price(self, rows: int) -> list[Charge]:
        return [*super()._price(rows), self._account.replies(self._count(rows, self._outputs))]

    def _refuse(self, batch: messages.Batch) -> Send:
        nothing = np.zeros((0, self._parameters.reply_bytes), dtype=np.uint8)
        return Send(self._sponsor, messages.EncryptedPredictReply(batch, np.zeros(0, dtype=np.uint8), nothing))

    def _predict(self, key: str) -> Compute:
        ids = msgspec.json.decode(self.state.raw(key), type=tuple[str, ...])
        encoder, keys, head = (self.state.raw(name) for name in ("encoder", "keys", "head"))
        job = lambda: self._encrypted.answer(ids, encoder, keys, head, self._outputs, self._sponsor)  # noqa: E731
        return Compute(f"predict/{key.removeprefix('request/')}", job)

    def _answered(self, number: str, result: tuple[Bytes, Bytes]) -> list[Effect]:
        known, replies = result
        self.state.drop(f"request/{number}")
        reply = messages.EncryptedPredictReply(messages.Batch(int(number)), known, replies)
        return [events.Predicted(len(known), int(known.sum())), Send(self._sponsor, reply)]

    def _count(self, rows: int, outputs: int) -> int:
        """Reply ciphertexts for this many rows."""
        return math.ceil(rows / self._parameters.values_per_ciphertext) * outputs
