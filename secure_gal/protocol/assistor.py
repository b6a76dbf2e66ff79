"""The assistor's side of the protocol: message in, effects out (PROTOCOL.md steps 1 to 13)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from secure_gal import events, messages
from secure_gal.effects import Compute, Effect, Send
from secure_gal.errors import PeerViolation, SettingsError, StateError
from secure_gal.holdings.budget import WORDS, Charge
from secure_gal.holdings.roles import AssistorHolding, Context
from secure_gal.messages import (
    Batch,
    MaskedQuery,
    Message,
    NoRows,
    PredictRequest,
    PredictRows,
    Realign,
    Rows,
    RunAgreement,
    RunOffer,
    Signatures,
)
from secure_gal.phases import Phases, Step
from secure_gal.protection.ports import FittedSide, ResidualSide
from secure_gal.protection.stages import AssistorStage
from secure_gal.protocol import agreement
from secure_gal.protocol.alignment_assistor import AssistorAlignment
from secure_gal.settings.digest import VERSION
from secure_gal.state import ARRAY, NUMBER, TEXT, Entry, State, json_of


class AssistorRecords:
    """What an assistor keeps of a run besides its stage."""

    def __init__(self, state: State) -> None:
        self.nonce = Entry(state, "nonce", TEXT)
        self.run = Entry(state, "run", TEXT)
        self.agreement = Entry(state, "agreement", json_of(Signatures))
        self.train = Entry(state, "train", ARRAY)
        self.batch = Entry(state, "batch", NUMBER)


class Assistor:
    """One assistor in one run. `state` is durable; everything else is rebuilt from it.

    Args:
        model: its data and what fits residuals to them, with the parts that the ports compute with.
        residuals, fits: how residuals and fits travel.
        table: the steps that are legal in this study.
    """

    def __init__(
        self,
        context: Context,
        model: AssistorHolding,
        state: State,
        nonce: bytes,
        residuals: ResidualSide,
        fits: FittedSide,
        table: tuple[Step, ...],
    ) -> None:
        self._context, self._model, self._nonce, self.state = context, model, nonce, state
        self._sponsor, self._private = context.study.sponsor, context.study.protect.ids == "psi"
        self._phases, self._kept = Phases("assistor", table, state), AssistorRecords(state)
        self.stage = AssistorStage(context, model, state, self._phases, residuals, fits)
        self._residuals, self._fits, self._account = residuals, fits, self.stage.account
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
        """new, greeted, signed, aligning, (declaring,) learning, (concluding) or serving; unmatched without rows."""
        return self._phases.now

    @property
    def run(self) -> str:
        """The agreed run, or empty before the agreement."""
        return self._kept.run.get_or("")

    @property
    def rounds(self) -> int:
        """Rounds this party has fitted so far."""
        return self.stage.rounds

    def start(self) -> list[Effect]:
        """Begin, or take up again from the saved state."""
        if self.phase == "new":
            self._kept.nonce.set(self._nonce.hex())
            self._phases.enter("greeted")
            greeting = messages.Greeting(self._nonce.hex(), agreement.reading(self._context.canonical))
            return [Send(self._sponsor, messages.Hello(greeting))]
        effects: list[Effect] = [events.Resumed(self.phase)]
        match self.phase:
            case "greeted" | "signed" | "aligning" | "serving" | "unmatched":
                pass
            case "declaring" | "learning" | "concluding":
                effects.append(self._prepare())
            case _:
                raise StateError(f"no phase is called {self.phase}")
        effects += [*self._fits.start(self.stage), *self._alignment.resume()]
        return [*effects, *(self.stage.answer(int(number)) for number in self.stage.requests.names())]

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
        self._phases.check(self._sponsor, message.KIND)
        match message:
            case RunOffer():
                return self._on_offer(message)
            case RunAgreement():
                return self._on_agreement(message)
            case Rows():
                return self._on_rows(message)
            case NoRows():
                return self._on_no_rows()
            case Realign():
                return self._on_realign(message)
            case MaskedQuery():
                return self._alignment.receive(message)
            case PredictRequest():
                return self._on_request(message)
            case PredictRows():
                return self._on_predict_rows(message)
            case _ if message.KIND in self._residuals.kinds:
                return self._residuals.receive(self.stage, message)
            case _:
                return self._fits.receive(self.stage, message)

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
        if nonces[context.identity.card.name] != self._kept.nonce.get():
            raise PeerViolation(self._sponsor, "the run offer does not carry this party's nonce")
        run = agreement.run_id(context.digest, nonces)
        signature = context.identity.sign(agreement.statement(context.digest, run)).hex()
        self._kept.run.set(run)
        self._phases.enter("signed")
        mine = Signatures({context.identity.card.name: signature})
        notes: list[Effect] = [events.UnlikeRelease(unlike)] if unlike else []
        return [*notes, Send(self._sponsor, messages.RunSignature(mine))]

    def _on_agreement(self, message: RunAgreement) -> list[Effect]:
        signatures = message.signatures.signatures
        if set(signatures) != set(self._context.study.parties):
            raise PeerViolation(self._sponsor, "the run agreement does not carry one signature a party")
        for name, signature in signatures.items():
            card = self._context.cards[name]
            agreement.check_signature(self._sponsor, card, self._context.digest, self.run, signature)
        self._kept.agreement.set(message.signatures)
        self._phases.enter("aligning")
        run = events.RunAgreed(self.run)
        return [run] if self._private else [run, Send(self._sponsor, messages.Ids(tuple(self._model.ids)))]

    # steps 5 and 6: alignment

    def _on_realign(self, message: Realign) -> list[Effect]:
        batch = message.step.batch
        if (batch == 0) != (self.phase == "aligning") or batch < 0 or message.step.attempt:
            raise PeerViolation(self._sponsor, f"private alignment of batch {batch} while {self.phase}")
        return self._alignment.begin(batch)

    def _check_rows(self, message: Rows) -> None:
        positions, train, outputs = message.positions, message.train, self.stage.outputs
        n = len(positions)
        if n == 0:
            raise PeerViolation(self._sponsor, "there are no rows")
        if len(train) != n or positions.max() >= len(self._model.ids):
            raise PeerViolation(self._sponsor, "row positions lie outside the id list that was sent")
        if len(np.unique(positions)) != n or not np.isin(train, (0, 1)).all() or not train.any():
            raise PeerViolation(self._sponsor, "row positions repeat, or the training mask is not 0/1")
        if message.shape.outputs != outputs:
            raise PeerViolation(self._sponsor, f"rows with {message.shape.outputs} outputs; the study has {outputs}")
        self._fits.check_rows(self.stage, int(train.sum()), n - int(train.sum()))

    def _on_rows(self, message: Rows) -> list[Effect]:
        self._check_rows(message)
        positions, train = message.positions.astype(np.int64), message.train
        if self._private:
            own = self._alignment.close(message.step, message.positions, self._model.ids)
            if own is None:
                raise SettingsError("[data] path", "its ids changed during the alignment; start again with that table")
            positions = own
        self.stage.positions.set(positions)
        self._kept.train.set(train)
        self.stage.enter("declaring" if self._fits.declares else "learning")
        ids = self._model.ids
        self._fits.taken_rows(self.stage, [ids[i] for i in positions.tolist()])
        return [events.RowsKnown(len(positions), int(train.sum())), self._prepare()]

    def _on_no_rows(self) -> list[Effect]:
        self._alignment.abandon()
        self._phases.enter("unmatched")
        return [events.Unmatched()]

    def _prepare(self) -> Compute[bytes]:
        positions, train = self.stage.positions.get(), self.stage.train
        return Compute("prepare", lambda: self._model.prepare(positions, train), self._prepared, first=True)

    def _prepared(self, encoder: bytes) -> list[Effect]:
        stage = self.stage
        stage.encoder.set(encoder)
        stage.prepared.set(None)
        return [*self._fits.prepared(stage), *stage.fit_if_due(), *self._residuals.prepared(stage)]

    # steps 12 and 13: prediction

    def _on_request(self, message: PredictRequest) -> list[Effect]:
        if len(set(message.ids)) != len(message.ids) or not message.ids:
            raise PeerViolation(self._sponsor, "a prediction batch must hold ids without repeats")
        self._check_batch(message.batch.number, len(message.ids))
        self._current_ids()  # the table that is answered from, if it has changed, is counted for as well
        return self._take(message.batch.number, message.ids)

    def _check_batch(self, number: int, rows: int) -> None:
        """Batches are numbered upwards; each is asked for once."""
        last = self._kept.batch.get_or(0)
        if number <= last:
            raise PeerViolation(self._sponsor, f"batch {number} after batch {last}")
        self._fits.check_batch(self.stage, number, rows)

    def _on_predict_rows(self, message: PredictRows) -> list[Effect]:
        self._check_batch(message.step.batch, len(message.positions))
        number, ids = message.step.batch, self._model.current_ids()
        rows = self._alignment.close(message.step, message.positions, ids)
        if rows is None:
            why = "this party's table changed during the batch; ask again"
            return [Send(self._sponsor, self._fits.no_part(self.stage, Batch(number, why)))]
        return self._take(number, tuple(ids[i] for i in rows))

    def _take(self, number: int, ids: tuple[str, ...]) -> list[Effect]:
        """Count a batch and keep it until it is answered, or refuse it."""
        self._kept.batch.set(number)
        short = self._account.refusal(self._price(len(ids)))
        if short is not None:
            why = f"this party's budget of {WORDS[short.kind]} does not allow it"
            refusal = Send(self._sponsor, self._fits.no_part(self.stage, Batch(number, why)))
            return [events.Refused(len(ids), self._account.shortage(short)), refusal]
        self.stage.requests[number] = ids
        return [self.stage.answer(number), *self._fits.taken_batch(self.stage, number, ids)]

    def _price(self, rows: int) -> list[Charge]:
        """What the answer to a batch gives away; where ids are clear, that asks about them too."""
        asked = [] if self._private else [self._account.queries(rows)]
        heads = self._residuals.heads(self.stage)
        return [self._account.rows(rows), *asked, *self._fits.price(self.stage, rows, heads)]
