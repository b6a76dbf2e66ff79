"""The assistor's side of the protocol: message in, effects out (PROTOCOL.md steps 1 to 13)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from crypto.identity import Card, Identity
from secure_gal import agreement, messages
from secure_gal.effects import Compute, Done, Effect, Note, Send, State
from secure_gal.errors import PeerViolation, SettingsError, StateError
from secure_gal.messages import Ending, Finish, Message, PredictRequest, Residual, Rows, RunAgreement, RunOffer
from secure_gal.study import Study


class AssistorModel(Protocol):
    """The assistor's data and learner behind the protocol; every method may take long."""

    @property
    def ids(self) -> Sequence[str]: ...
    def prepare(self, positions: npt.NDArray[np.int64], train: npt.NDArray[np.bool_]) -> bytes:
        """Fit the encoder on the training rows; returns what must be saved to predict later."""
        ...

    def fit_round(self, round_: int, residual: npt.NDArray[np.float32]) -> tuple[bytes, npt.NDArray[np.float32]]:
        """Fit one local model: (saved model, fitted values float32 (N, K))."""
        ...

    def predict(
        self,
        ids: tuple[str, ...],
        encoder: bytes,
        models: list[bytes],
        coefficients: npt.NDArray[np.float64],
        k: int,
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
        """(known (n,), part (n, K)) for new ids, from the data as it is on disk now."""
        ...


@dataclass(frozen=True, slots=True)
class AssistorContext:
    """Everything fixed about this party in this study."""

    study: Study
    digest: str
    canonical: bytes
    identity: Identity
    cards: dict[str, Card]
    max_rows: int | None = None


TRANSITIONS: dict[str, frozenset[str]] = {
    "greeted": frozenset({"run-offer"}),
    "signed": frozenset({"run-agreement"}),
    "aligning": frozenset({"rows", "finish"}),
    "learning": frozenset({"residual", "finish"}),
    "serving": frozenset({"predict-request"}),
}
"""Which message kinds are legal in which phase; everything else is a violation and changes nothing."""


class AssistorProtocol:
    """One assistor in one run. `state` is durable; everything else is rebuilt from it."""

    def __init__(self, context: AssistorContext, model: AssistorModel, state: State, nonce: bytes) -> None:
        self._context = context
        self._model = model
        self._nonce = nonce
        self.state = state

    @property
    def phase(self) -> str:
        """new, greeted, signed, aligning, learning or serving."""
        return self.state.text("phase", "new")

    @property
    def run(self) -> str:
        """The agreed run, or empty before the agreement."""
        return self.state.text("run")

    def start(self) -> list[Effect]:
        """Begin, or take up again from the saved state."""
        if self.phase == "new":
            self.state.put("nonce", self._nonce.hex().encode())
            self._enter("greeted")
            greeting = messages.Greeting(self._nonce.hex(), self._context.canonical.decode())
            return [Send(self._sponsor, messages.Hello(greeting))]
        effects: list[Effect] = [Note("resumed", {"phase": self.phase})]
        if self.phase == "learning":
            effects.append(self._prepare())
        effects += [self._predict(key) for key in self.state.keys("request/")]
        return effects

    def forget(self, peer: str) -> bool:
        """The sponsor came back with nothing on its disk: legal only before this party joined a run."""
        if self.phase not in ("new", "greeted", "signed"):
            return False
        self.state.drop_all("")
        return True

    def receive(self, peer: str, message: Message) -> list[Effect]:
        """Handle one authenticated message of the sponsor (the only peer an assistor has).

        Raises:
            PeerViolation: the message is illegal now or its content breaks a rule; the state is unchanged.
        """
        if message.KIND not in TRANSITIONS.get(self.phase, frozenset()):
            raise PeerViolation(self._sponsor, f"{message.KIND} is not legal while {self.phase}")
        match message:
            case RunOffer():
                return self._on_offer(message)
            case RunAgreement():
                return self._on_agreement(message)
            case Rows():
                return self._on_rows(message)
            case Residual():
                return self._on_residual(message)
            case Finish():
                return self._on_finish(message)
            case PredictRequest():
                return self._on_request(message)
            case _:
                raise PeerViolation(self._sponsor, f"{message.KIND} is not for an assistor")

    def computed(self, tag: str, result: object) -> list[Effect]:
        """Take the result of a job that an earlier effect asked for."""
        kind, _, number = tag.partition("/")
        if kind == "prepare":
            self.state.put("encoder", result)  # type: ignore[arg-type]
            self.state.put("prepared", b"1")
            return [self._fit()] if "residual" in self.state else [Note("prepared")]
        if kind == "fit":
            return self._fitted(int(number), result)  # type: ignore[arg-type]
        if kind == "predict":
            return self._predicted(number, result)  # type: ignore[arg-type]
        raise StateError(f"no job is called {tag}")

    # steps 2 to 4: the run

    def _on_offer(self, message: RunOffer) -> list[Effect]:
        context, nonces = self._context, message.nonces.nonces
        if message.nonces.study.encode() != context.canonical:
            how = agreement.differences(context.canonical, message.nonces.study)
            raise SettingsError("study.toml", f"differs from the sponsor's: {how}")
        if set(nonces) != set(context.study.parties):
            raise PeerViolation(self._sponsor, "the run offer does not carry one nonce a party")
        for nonce in nonces.values():
            agreement.check_nonce(self._sponsor, nonce)
        if nonces[context.identity.card.name] != self.state.text("nonce"):
            raise PeerViolation(self._sponsor, "the run offer does not carry this party's nonce")
        run = agreement.run_id(context.digest, nonces)
        signature = context.identity.sign(agreement.statement(context.digest, run)).hex()
        self.state.put("run", run.encode())
        self._enter("signed")
        mine = messages.Signatures({context.identity.card.name: signature})
        return [Send(self._sponsor, messages.RunSignature(mine))]

    def _on_agreement(self, message: RunAgreement) -> list[Effect]:
        signatures = message.signatures.signatures
        if set(signatures) != set(self._context.study.parties):
            raise PeerViolation(self._sponsor, "the run agreement does not carry one signature a party")
        for name, signature in signatures.items():
            card = self._context.cards[name]
            agreement.check_signature(self._sponsor, card, self._context.digest, self.run, signature)
        self.state.put("agreement", msgspec.json.encode(message.signatures))
        self._enter("aligning")
        return [Note("run", {"run": self.run}), Send(self._sponsor, messages.Ids(tuple(self._model.ids)))]

    # steps 6 to 11: alignment and learning

    def _on_rows(self, message: Rows) -> list[Effect]:
        positions, train = message.positions, message.train
        n = len(positions)
        if n == 0 or len(train) != n or positions.min() < 0 or positions.max() >= len(self._model.ids):
            raise PeerViolation(self._sponsor, "row positions are empty or outside the id list that was sent")
        if len(np.unique(positions)) != n or not np.isin(train, (0, 1)).all() or not train.any():
            raise PeerViolation(self._sponsor, "row positions repeat, or the training mask is not 0/1")
        if not 1 <= message.shape.outputs <= messages.MAX_OUTPUTS:
            raise PeerViolation(self._sponsor, f"outputs must be 1 to {messages.MAX_OUTPUTS}")
        self.state.put("positions", positions)
        self.state.put("train", train)
        self.state.put("outputs", str(message.shape.outputs).encode())
        self._enter("learning")
        return [Note("aligned", {"rows": n, "train": int(train.sum())}), self._prepare()]

    def _on_residual(self, message: Residual) -> list[Effect]:
        if message.round != self.rounds + 1 or "residual" in self.state:
            raise PeerViolation(self._sponsor, f"residual of round {message.round} after round {self.rounds}")
        if message.round > self._context.study.rounds:
            raise PeerViolation(self._sponsor, f"a residual beyond the study's {self._context.study.rounds} rounds")
        expected = (int(self.state.array("train").sum()), int(self.state.text("outputs")))
        if message.values.shape != expected or not np.isfinite(message.values).all():
            raise PeerViolation(self._sponsor, f"the residual must be finite with shape {expected}")
        self.state.put("residual", message.values)
        return [self._fit()] if "prepared" in self.state else []

    def _fit(self) -> Compute:
        residual, round_ = self.state.array("residual"), self.rounds + 1
        return Compute(f"fit/{round_}", lambda: self._model.fit_round(round_, residual))

    def _fitted(self, round_: int, result: tuple[bytes, npt.NDArray[np.float32]]) -> list[Effect]:
        model, values = result
        self.state.put(f"model/{round_:04d}", model)
        self.state.put("round", str(round_).encode())
        self.state.drop("residual")
        return [Note("round", {"round": round_}), Send(self._sponsor, messages.Fitted(values, round_))]

    def _on_finish(self, message: Finish) -> list[Effect]:
        if len(message.coefficients) > self.rounds or not np.isfinite(message.coefficients).all():
            raise PeerViolation(self._sponsor, "there must be a finite coefficient for each kept round, no more")
        self.state.put("coefficients", message.coefficients)
        self._enter("serving")
        ending = Ending(message.ending.reason)
        return [
            Note("finished", {"rounds": self.rounds, "kept": len(message.coefficients)}),
            Send(self._sponsor, messages.Finished(ending)),
            Done(),
        ]

    # steps 12 and 13: prediction

    def _on_request(self, message: PredictRequest) -> list[Effect]:
        if len(set(message.ids)) != len(message.ids) or not message.ids:
            raise PeerViolation(self._sponsor, "a prediction batch must hold ids without repeats")
        key = f"request/{message.batch.number}"
        cap, asked = self._context.max_rows, int(self.state.text("answered", "0")) + len(message.ids)
        if cap is not None and asked > cap:
            batch = messages.Batch(message.batch.number, f"this party answers at most {cap} rows a study")
            nothing = np.zeros((0, int(self.state.text("outputs"))), dtype=np.float32)
            reply = messages.PredictReply(batch, np.zeros(0, dtype=np.uint8), nothing)
            return [Note("refused", {"rows": len(message.ids), "cap": cap}), Send(self._sponsor, reply)]
        self.state.put("answered", str(asked).encode())
        self.state.put(key, msgspec.json.encode(message.ids))
        return [self._predict(key)]

    def _predict(self, key: str) -> Compute:
        ids = msgspec.json.decode(self.state.raw(key), type=tuple[str, ...])
        coefficients = self.state.array("coefficients")
        models = [self.state.raw(f"model/{t:04d}") for t in range(1, len(coefficients) + 1)]
        encoder, k = self.state.raw("encoder"), int(self.state.text("outputs"))
        job: Callable[[], object] = lambda: self._model.predict(ids, encoder, models, coefficients, k)  # noqa: E731
        return Compute(f"predict/{key.removeprefix('request/')}", job)

    def _predicted(self, number: str, result: tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]) -> list[Effect]:
        known, part = result
        self.state.drop(f"request/{number}")
        reply = messages.PredictReply(messages.Batch(int(number)), known, part)
        note = Note("predicted", {"rows": len(known), "known": int(known.sum())})
        return [note, Send(self._sponsor, reply)]

    @property
    def rounds(self) -> int:
        """Rounds this party has fitted so far."""
        return int(self.state.text("round", "0"))

    @property
    def _sponsor(self) -> str:
        return self._context.study.sponsor

    def _enter(self, phase: str) -> None:
        self.state.put("phase", phase.encode())

    def _prepare(self) -> Compute:
        positions, train = self.state.array("positions"), self.state.array("train").astype(np.bool_)
        return Compute("prepare", lambda: self._model.prepare(positions, train))
