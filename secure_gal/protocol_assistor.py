"""The assistor's side of the protocol: message in, effects out (PROTOCOL.md steps 1 to 13)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from secure_gal import agreement, events, messages
from secure_gal.alignment_assistor import AssistorAlignment
from secure_gal.budget import WORDS, Account, Charge
from secure_gal.effects import Compute, Done, Effect, Send, State
from secure_gal.errors import PeerViolation, SettingsError, StateError, setting
from secure_gal.messages import (
    Ending,
    Finish,
    MaskedQuery,
    Message,
    PredictRequest,
    PredictRows,
    Realign,
    Residual,
    Rows,
    RunAgreement,
    RunOffer,
)
from secure_gal.residual_rules import residual_problem
from secure_gal.roles import AssistorModel, Context
from secure_gal.study_digest import VERSION

TRANSITIONS: dict[str, frozenset[str]] = {
    "greeted": frozenset({"run-offer"}),
    "signed": frozenset({"run-agreement"}),
    "aligning": frozenset({"rows"}),
    "learning": frozenset({"residual", "privatised-residual", "finish"}),
    "serving": frozenset({"predict-request"}),
}
"""Which message kinds are legal in which phase; everything else is a violation and changes nothing."""
PRIVATE = frozenset({"realign", "masked-query"})
"""Legal besides while aligning and serving, where the study's ids are private; `predict-rows` replaces
`predict-request` then."""


class AssistorProtocol:
    """One assistor in one run. `state` is durable; everything else is rebuilt from it.

    This class takes residuals in the clear; `EncryptedAssistor` overrides how they travel.
    """

    TRANSITIONS = TRANSITIONS
    AFTER_ROWS = "learning"

    def __init__(self, context: Context, model: AssistorModel, state: State, nonce: bytes) -> None:
        self._context = context
        self._model = model
        self._nonce = nonce
        self.state = state
        self._private = context.study.protect.ids == "psi"
        self._account = Account(context, lambda: self.run)
        self._alignment = AssistorAlignment(
            context.study, self._current_ids, state, self._psi_domain, self._account.ask
        )

    def _psi_domain(self, batch: int, attempt: int) -> bytes:
        study, name = self._context.study, self._context.identity.card.name
        return agreement.psi_domain(self._context.digest, self.run, study.sponsor, name, batch, attempt)

    def _current_ids(self) -> Sequence[str]:
        """The ids that take part: fixed while learning, as they are on disk now when predicting."""
        return self._model.current_ids() if self.phase == "serving" else self._model.ids

    @property
    def phase(self) -> str:
        """new, greeted, signed, aligning, (declaring,) learning, (concluding) or serving."""
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
            greeting = messages.Greeting(self._nonce.hex(), agreement.reading(self._context.canonical))
            return [Send(self._sponsor, messages.Hello(greeting))]
        effects: list[Effect] = [events.Resumed(self.phase)]
        match self.phase:
            case "greeted" | "signed" | "aligning" | "serving":
                pass
            case "declaring" | "learning" | "concluding":
                effects.append(self._prepare())
            case _:
                raise StateError(f"no phase is called {self.phase}")
        effects += self._alignment.resume()
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
            ConsentError: what it asks for is beyond a limit or a budget of this party's data; the state is unchanged.
        """
        if message.KIND not in self._legal():
            raise PeerViolation(self._sponsor, f"{message.KIND} is not legal while {self.phase}")
        match message:
            case RunOffer():
                return self._on_offer(message)
            case RunAgreement():
                return self._on_agreement(message)
            case Rows():
                return self._on_rows(message)
            case Realign():
                return self._on_realign(message)
            case MaskedQuery():
                return self._alignment.receive(message)
            case PredictRequest():
                return self._on_request(message)
            case PredictRows():
                return self._on_predict_rows(message)
            case _:
                return self._on_learning(message)

    def _legal(self) -> frozenset[str]:
        kinds = self.TRANSITIONS.get(self.phase, frozenset())
        if not self._private or self.phase not in ("aligning", "serving"):
            return kinds
        return PRIVATE | (kinds if self.phase == "aligning" else frozenset({"predict-rows"}))

    def _on_learning(self, message: Message) -> list[Effect]:
        """A message of the learning phases, in the form that the study agreed on."""
        match message:
            case Residual():
                return self._on_residual(message)
            case Finish():
                return self._on_finish(message)
            case _:
                raise PeerViolation(self._sponsor, f"{message.KIND} is not for an assistor")

    def computed(self, tag: str, result: object) -> list[Effect]:
        """Take the result of a job that an earlier effect asked for."""
        kind, _, number = tag.partition("/")
        if kind.startswith("psi"):
            return self._alignment.computed(tag, result)
        if kind == "prepare":
            self.state.put("encoder", result)  # type: ignore[arg-type]
            self.state.put("prepared", b"1")
            return [self._fit()] if "residual" in self.state else [events.Prepared()]
        if kind == "fit":
            return self._fitted(int(number), result)  # type: ignore[arg-type]
        if kind == "predict":
            return self._predicted(number, result)  # type: ignore[arg-type]
        raise StateError(f"no job is called {tag}")

    # steps 2 to 4: the run

    def _on_offer(self, message: RunOffer) -> list[Effect]:
        context, nonces = self._context, message.nonces.nonces
        theirs = agreement.read(self._sponsor, message.nonces.study)
        unlike = agreement.unlike(self._sponsor, theirs)
        if theirs.version != VERSION:
            raise SettingsError("the sponsor's study", unlike)
        if theirs.canonical != context.canonical:
            how = agreement.differences(context.canonical, theirs.canonical)
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
        notes: list[Effect] = [events.UnlikeRelease(unlike)] if unlike else []
        return [*notes, Send(self._sponsor, messages.RunSignature(mine))]

    def _on_agreement(self, message: RunAgreement) -> list[Effect]:
        signatures = message.signatures.signatures
        if set(signatures) != set(self._context.study.parties):
            raise PeerViolation(self._sponsor, "the run agreement does not carry one signature a party")
        for name, signature in signatures.items():
            card = self._context.cards[name]
            agreement.check_signature(self._sponsor, card, self._context.digest, self.run, signature)
        self.state.put("agreement", msgspec.json.encode(message.signatures))
        self._enter("aligning")
        run = events.RunAgreed(self.run)
        return [run] if self._private else [run, Send(self._sponsor, messages.Ids(tuple(self._model.ids)))]

    # steps 5 to 11: alignment and learning

    def _on_realign(self, message: Realign) -> list[Effect]:
        batch = message.step.batch
        if (batch == 0) != (self.phase == "aligning") or batch < 0 or message.step.attempt:
            raise PeerViolation(self._sponsor, f"private alignment of batch {batch} while {self.phase}")
        return self._alignment.begin(batch)

    def _check_rows(self, message: Rows) -> None:
        positions, train = message.positions, message.train
        n = len(positions)
        if n == 0:
            raise PeerViolation(self._sponsor, "there are no rows")
        if len(train) != n or positions.max() >= len(self._model.ids):
            raise PeerViolation(self._sponsor, "row positions lie outside the id list that was sent")
        if len(np.unique(positions)) != n or not np.isin(train, (0, 1)).all() or not train.any():
            raise PeerViolation(self._sponsor, "row positions repeat, or the training mask is not 0/1")
        if message.shape.outputs != self._outputs:
            raise PeerViolation(
                self._sponsor, f"rows with {message.shape.outputs} outputs; the study has {self._outputs}"
            )
        self._check_budget(int(train.sum()), n - int(train.sum()))

    def _on_rows(self, message: Rows) -> list[Effect]:
        self._check_rows(message)
        positions, train = message.positions.astype(np.int64), message.train
        if self._private:
            own = self._alignment.close(message.step, message.positions, self._model.ids)
            if own is None:
                raise SettingsError("[data] path", "its ids changed during the alignment; start again with that table")
            positions = own
        self.state.put("positions", positions)
        self.state.put("train", train)
        self._enter(self.AFTER_ROWS)
        return [events.RowsKnown(len(positions), int(train.sum())), self._prepare()]

    def _check_budget(self, train: int, others: int) -> None:
        """SettingsError where the rounds over so many rows alone would give away more than may be, ConsentError where
        they would with what the data has given away before; none in the clear."""

    def _on_residual(self, message: Residual) -> list[Effect]:
        due = messages.PrivatisedResidual if self._context.study.protect.privatised else Residual
        if type(message) is not due:
            raise PeerViolation(self._sponsor, f"{message.KIND} where the study agreed on {due.KIND}")
        self._check_round(message.round)
        expected = (int(self.state.array("train").sum()), self._outputs)
        if message.values.shape != expected or not np.isfinite(message.values).all():
            raise PeerViolation(self._sponsor, f"the residual must be finite with shape {expected}")
        if why := residual_problem(self._context.study, message.round, message.values):
            raise PeerViolation(self._sponsor, f"no residual of {self._context.study.loss_name}: {why}")
        self._spend_fit()
        self.state.put("residual", message.values)
        return [self._fit()] if "prepared" in self.state else []

    def _check_round(self, round_: int) -> None:
        if round_ != self.rounds + 1 or "residual" in self.state:
            raise PeerViolation(self._sponsor, f"residual of round {round_} after round {self.rounds}")
        if round_ > self._context.study.rounds:
            raise PeerViolation(self._sponsor, f"a residual beyond the study's {self._context.study.rounds} rounds")

    def _spend_fit(self) -> None:
        """Count what a fit will give away, last before its residual is taken; ConsentError. In the clear: nothing."""

    def _fit(self) -> Compute:
        residual, round_ = self.state.array("residual"), self.rounds + 1
        return Compute(f"fit/{round_}", lambda: self._model.fit_round(round_, residual))

    def _fitted(self, round_: int, result: tuple[bytes, npt.NDArray[np.float32]]) -> list[Effect]:
        model, values = result
        self.state.put(f"model/{round_:04d}", model)
        self.state.put("round", str(round_).encode())
        self.state.drop("residual")
        fitted = messages.Fitted(values, round_)
        if self._noised:
            fitted = messages.NoisedFitted(self._with_noise(values, np.ones(1)), round_)
        return [events.RoundFitted(round_), Send(self._sponsor, fitted)]

    @property
    def _noised(self) -> bool:
        return self._context.study.protect.predictions == "noise"

    def _with_noise(
        self, values: npt.NDArray[np.float32], coefficients: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float32]:
        """What sum_t c_t (clipped f_t with noise of its own) looks like, for coefficients c_t (T,)."""
        from crypto.gaussian_noise import clipped_with_noise

        protect = self._context.study.protect
        if protect.noise is None or not np.any(coefficients):
            return values
        clip, scale = protect.clip * np.abs(coefficients).sum(), protect.noise * np.linalg.norm(coefficients)
        with setting(clip="[protect] clip", noise="[protect] noise"):
            return clipped_with_noise(values, float(clip), float(scale))

    def _check_end(self) -> None:
        if "residual" in self.state:
            raise PeerViolation(self._sponsor, "the learning stage cannot end inside a round")

    def _on_finish(self, message: Finish) -> list[Effect]:
        self._check_end()
        if len(message.coefficients) > self.rounds or not np.isfinite(message.coefficients).all():
            raise PeerViolation(self._sponsor, "there must be a finite coefficient for each kept round, no more")
        self.state.put("coefficients", message.coefficients)
        self._enter("serving")
        ending = Ending(message.ending.reason)
        return [
            events.Finished(self.rounds, len(message.coefficients)),
            Send(self._sponsor, messages.Finished(ending)),
            Done(),
        ]

    # steps 12 and 13: prediction

    def _on_request(self, message: PredictRequest) -> list[Effect]:
        if len(set(message.ids)) != len(message.ids) or not message.ids:
            raise PeerViolation(self._sponsor, "a prediction batch must hold ids without repeats")
        self._check_batch(message.batch.number, len(message.ids))
        self._current_ids()  # the table that is answered from, if it has changed, is counted for as well
        return self._take(message.batch.number, message.ids)

    def _check_batch(self, number: int, rows: int) -> None:
        """Batches are numbered upwards; each is asked for once."""
        last = int(self.state.text("batch", "0"))
        if number <= last:
            raise PeerViolation(self._sponsor, f"batch {number} after batch {last}")

    def _on_predict_rows(self, message: PredictRows) -> list[Effect]:
        self._check_batch(message.step.batch, len(message.positions))
        number, ids = message.step.batch, self._model.current_ids()
        rows = self._alignment.close(message.step, message.positions, ids)
        if rows is None:
            why = "this party's table changed during the batch; ask again"
            return [self._refuse(messages.Batch(number, why))]
        return self._take(number, tuple(ids[i] for i in rows))

    def _take(self, number: int, ids: tuple[str, ...]) -> list[Effect]:
        """Count a batch and keep it until it is answered, or refuse it."""
        self.state.put("batch", str(number).encode())
        short = self._account.refusal(self._price(len(ids)))
        if short is not None:
            refused = self._refuse(
                messages.Batch(number, f"this party's budget of {WORDS[short.kind]} does not allow it")
            )
            return [events.Refused(len(ids), self._account.shortage(short)), refused]
        key = f"request/{number}"
        self.state.put(key, msgspec.json.encode(ids))
        return [self._predict(key)]

    def _price(self, rows: int) -> list[Charge]:
        """What the answer to a batch gives away; where ids are clear, that asks about them too."""
        asked = [] if self._private else [self._account.queries(rows)]
        return [self._account.rows(rows), *asked]

    def _refuse(self, batch: messages.Batch) -> Send:
        nothing = np.zeros((0, self._outputs), dtype=np.float32)
        kind = messages.NoisedPredictReply if self._noised else messages.PredictReply
        return Send(self._sponsor, kind(batch, np.zeros(0, dtype=np.uint8), nothing))

    def _predict(self, key: str) -> Compute:
        ids = msgspec.json.decode(self.state.raw(key), type=tuple[str, ...])
        coefficients = self.state.array("coefficients")
        models = [self.state.raw(f"model/{t:04d}") for t in range(1, len(coefficients) + 1)]
        encoder, k = self.state.raw("encoder"), self._outputs
        job: Callable[[], object] = lambda: self._model.predict(ids, encoder, models, coefficients, k)  # noqa: E731
        return Compute(f"predict/{key.removeprefix('request/')}", job)

    def _predicted(self, number: str, result: tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]) -> list[Effect]:
        known, part = result
        self.state.drop(f"request/{number}")
        reply = messages.PredictReply(messages.Batch(int(number)), known, part)
        if self._noised:
            part = self._with_noise(part, self.state.array("coefficients"))
            part[known == 0] = 0.0
            reply = messages.NoisedPredictReply(messages.Batch(int(number)), known, part)
        note = events.Predicted(len(known), int(known.sum()))
        return [note, Send(self._sponsor, reply)]

    @property
    def _outputs(self) -> int:
        return self._context.study.k

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
