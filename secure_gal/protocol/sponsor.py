"""The sponsor's side of the learning stage: message in, effects out (PROTOCOL.md steps 1 to 11)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from secure_gal import events, messages
from secure_gal.effects import Compute, Done, Effect, Send
from secure_gal.errors import PeerViolation, StateError
from secure_gal.events import RoundRecord
from secure_gal.gal.ensemble import PARTS, Ensemble
from secure_gal.holdings.roles import Context, SponsorHolding
from secure_gal.measures.evaluation import Evaluation
from secure_gal.messages import Finished, Hello, Message, RunSignature
from secure_gal.phases import Phases, Step
from secure_gal.protection.ports import FittedPort, ResidualPort
from secure_gal.protection.stages import SponsorStage
from secure_gal.protocol import agreement
from secure_gal.protocol.alignment_sponsor import alignment_of
from secure_gal.protocol.learned import Learned, judge, meanwhile
from secure_gal.protocol.rows import number_rows
from secure_gal.protocol.sponsor_records import SponsorRecords
from secure_gal.settings.digest import VERSION
from secure_gal.state import MARK, Entry, State


class Sponsor:
    """The sponsor in one run. `state` is durable; everything else is rebuilt from it.

    Args:
        residuals, fitted: how residuals and fits travel.
        table: the steps that are legal in this study.
    """

    def __init__(
        self,
        context: Context,
        model: SponsorHolding,
        state: State,
        nonce: bytes,
        residuals: ResidualPort,
        fitted: FittedPort,
        table: tuple[Step, ...],
    ) -> None:
        self._context, self._study, self._model, self.state = context, context.study, model, state
        self._residuals, self._fitted, self._nonce = residuals, fitted, nonce
        self._phases, self._kept = Phases("sponsor", table, state), SponsorRecords(state)
        self.stage = SponsorStage(context, model, state, self._begin, self._committed)
        self._alignment = alignment_of(context, model.ids, state, lambda: self.run, self._align_if_complete)

    @property
    def phase(self) -> str:
        """new, greeting, signing, aligning, (declaring,) learning, finishing or finished; unmatched without rows."""
        return self._phases.now

    @property
    def run(self) -> str:
        """The agreed run, or empty before every assistor has greeted."""
        return self._kept.run.get_or("")

    def waiting_for(self) -> list[str]:
        """The assistors whose message this phase still needs."""
        kept, everyone = self._kept, self._study.assistors
        match self.phase:
            case "greeting":
                return [p for p in everyone if p not in kept.hello]
            case "signing":
                return [p for p in everyone if p not in kept.signature]
            case "aligning":
                return self._alignment.waiting_for()
            case "declaring" | "learning":
                return self._fitted.waiting_for(self.stage)
            case "finishing":
                return [p for p in everyone if p not in kept.finished]
            case "new" | "finished" | "unmatched":
                return []
            case _:
                raise StateError(f"no phase is called {self.phase}")

    def start(self) -> list[Effect]:
        """Begin, or take up again from the saved state."""
        if self.phase == "new":
            self._kept.nonce.set(self._nonce.hex())
            self._phases.enter("greeting")
            return []
        effects: list[Effect] = [events.Resumed(self.phase)]
        match self.phase:
            case "greeting" | "signing" | "unmatched":
                pass
            case "aligning":
                effects += self._alignment.begin()
            case "declaring" | "learning" | "finishing":
                effects.append(self._prepare())
            case "finished":
                effects.append(Done())
            case _:
                raise StateError(f"no phase is called {self.phase}")
        return effects

    def forget(self, peer: str) -> bool:
        """A peer came back with nothing on its disk: legal only while it has signed nothing."""
        if self.phase == "greeting":
            self._kept.hello.drop(peer)
            return True
        return self.phase == "new"

    def receive(self, peer: str, message: Message) -> list[Effect]:
        """Handle one authenticated message of an assistor.

        Raises:
            PeerViolation: the message is illegal now or its content breaks a rule; the state is unchanged.
        """
        self._phases.check(peer, message.KIND)
        if message.KIND in self._alignment.kinds:
            if self.phase == "aligning":
                return self._alignment.receive(peer, message) + self._align_if_complete()
            return [events.Stale(peer)]  # of an attempt that was given up
        if peer not in self.waiting_for():
            raise PeerViolation(peer, f"{message.KIND} is not legal while {self.phase}, or came twice")
        match message:
            case Hello():
                return self._on_hello(peer, message)
            case RunSignature():
                return self._on_signature(peer, message)
            case Finished():
                return self._on_finished(peer)
            case _ if not self._kept.encoder.there:
                raise PeerViolation(peer, f"{message.KIND} was not asked for: rows are not named yet")
            case _:
                return self._fitted.receive(self.stage, peer, message)

    # steps 1 to 4: the run

    def _on_hello(self, peer: str, message: Hello) -> list[Effect]:
        mine, theirs = self._context.canonical, agreement.read(peer, message.greeting.study)
        unlike = agreement.unlike(peer, theirs)
        notes: list[Effect] = [events.UnlikeRelease(unlike)] if unlike else []
        if theirs.canonical != mine:
            if theirs.version == VERSION:
                how = agreement.differences(mine, theirs.canonical)
                notes.append(events.StudyDiffers(peer, how))
            return [*notes, Send(peer, messages.RunOffer(messages.Nonces({}, agreement.reading(mine))))]
        agreement.check_nonce(peer, message.greeting.nonce)
        self._kept.hello[peer] = message.greeting.nonce
        notes.append(events.Greeted(peer))
        if self.waiting_for():
            return notes
        nonces = {p: self._kept.hello[p] for p in self._study.assistors}
        nonces[self._study.sponsor] = self._kept.nonce.get()
        self._kept.run.set(agreement.run_id(self._context.digest, nonces))
        self._phases.enter("signing")
        offer = messages.RunOffer(messages.Nonces(nonces, agreement.reading(mine)))
        return [*notes, *(Send(p, offer) for p in self._study.assistors)]

    def _on_signature(self, peer: str, message: RunSignature) -> list[Effect]:
        signatures = message.signatures.signatures
        if set(signatures) != {peer}:
            raise PeerViolation(peer, "a run signature must be the sender's own, and only that")
        card = self._context.cards[peer]
        agreement.check_signature(peer, card, self._context.digest, self.run, signatures[peer])
        self._kept.signature[peer] = signatures[peer]
        if self.waiting_for():
            return []
        everyone = {p: self._kept.signature[p] for p in self._study.assistors}
        statement = agreement.statement(self._context.digest, self.run)
        everyone[self._study.sponsor] = self._context.identity.sign(statement).hex()
        self._phases.enter("aligning")
        agreed = messages.RunAgreement(messages.Signatures(everyone))
        sends: list[Effect] = [Send(p, agreed) for p in self._study.assistors]
        return [events.RunAgreed(self.run), *sends, *self._alignment.begin()]

    # steps 5 and 6: alignment

    def _align_if_complete(self) -> list[Effect]:
        """Once every pair is matched: number the rows, draw the validation rows."""
        if self.phase != "aligning" or self._alignment.waiting_for():
            return []
        numbered = number_rows(self._study, len(self._model.ids), self._alignment, self._kept, self.stage.coverage)
        if self._kept.unmatched.there:
            self._phases.enter("unmatched")
            return numbered
        self._phases.enter("declaring" if self._fitted.declares else "learning")
        return [*numbered, self._prepare()]

    def _prepare(self) -> Compute[bytes]:
        rows, train = self._kept.rows.get(), self.stage.train
        return Compute("prepare", lambda: self._model.prepare(rows, train), self._prepared, first=True)

    def _prepared(self, encoder: bytes) -> list[Effect]:
        kept, stage = self._kept, self.stage
        stage.ensemble_or_none = made = self._model.ensemble(stage.learners)
        if saved := {name: kept.ensemble[name] for name in kept.ensemble.names()}:
            made.restore(saved)  # a resumed run: the messages of this round are in the outbox already
            return self._resume()
        kept.encoder.set(encoder)
        stage.save()
        shape, train = messages.Shape(made.F.shape[1]), kept.train.get()
        sends: list[Effect] = []
        for peer in self._study.assistors:
            step = messages.Step(0, kept.attempt[peer])
            mask, positions = train[stage.coverage[peer]], kept.positions[peer].astype(np.uint32)
            sends.append(Send(peer, messages.Rows(positions, mask, shape, step)))
        kept.positions.clear()
        return [*sends, *self._fitted.set_up(stage)]

    def _resume(self) -> list[Effect]:
        """Take up the learning stage: this round's messages are in the outbox already."""
        stage = self.stage
        if self.phase == "finishing":
            return self._conclude() if self._residuals.concluding(stage) else []
        if self.phase == "declaring":
            return self._fitted.resume(stage)
        if self._over:
            return [judge(self.stage, self._finish)]
        effects = [*self._residuals.resume(stage), *self._fitted.resume(stage)]
        return [*effects, *(self._own_fit() if stage.own_fit_due else self._fitted.ready(stage))]

    # steps 7 to 9: rounds

    def _begin(self) -> list[Effect]:
        """Whatever the first round needs is settled."""
        if self.phase == "declaring":
            self._phases.enter("learning")
        return self._next()

    @property
    def _over(self) -> bool:
        """Whether the learning stage has had its last round; those after the end of learning have eta = 0."""
        ensemble = self.stage.ensemble
        return len(ensemble.history) >= self._study.rounds if self._residuals.hides_rounds else ensemble.finished

    def _next(self) -> list[Effect]:
        if self._over:
            return [judge(self.stage, self._finish)]
        begins: list[Effect] = [events.RoundBegun(self.stage.round)]
        hiding = Entry(self.state, "hiding", MARK)
        if self.stage.ensemble.finished and not hiding.there:
            hiding.set(None)
            begins.insert(0, events.Hiding())
        sent = self._residuals.send(self.stage)
        own = self._own_fit() if self._model.fits else self._fitted.ready(self.stage)
        return [*begins, *sent, *own, *(meanwhile(self.stage) if self.stage.round == 1 else [])]

    def _own_fit(self) -> list[Effect]:
        stage, round_ = self.stage, self.stage.round
        if stage.ensemble.finished:  # a round that changes nothing (`_over`)
            stage.own.set(np.zeros(stage.ensemble.F.shape, dtype=np.float32))
            return self._fitted.ready(stage)
        residual, withheld = stage.ensemble.residual(), stage.ensemble.withheld(stage.study.sponsor)

        def fitted(result: tuple[bytes, npt.NDArray[np.float32]]) -> list[Effect]:
            self._kept.models[round_], values = result
            stage.own.set(values)
            return self._fitted.ready(stage)

        return [Compute("fit", lambda: self._model.fit_round(round_, residual, withheld), fitted, round_)]

    def _committed(self, record: RoundRecord) -> list[Effect]:
        self.stage.save()
        self.stage.own.drop()
        return [events.Committed(record), *self._next()]

    # steps 10 and 11: the end of the learning stage

    def _finish(self, alone: Ensemble, found: Learned, evaluation: Evaluation | None) -> list[Effect]:
        made, kept = self.stage.ensemble, self._kept
        if evaluation is not None:
            kept.evaluation.set(evaluation)
        for key, value in alone.state().items():
            if not key.startswith(PARTS):
                kept.alone[key] = value
        kept.own_coefficients.set(made.coefficients(self._study.sponsor))
        kept.learned.set(found)
        self._phases.enter("finishing")
        return [events.Learned(len(made.history), made.kept), *self._conclude()]

    def _conclude(self) -> list[Effect]:
        stage = self.stage
        return self._residuals.conclude(stage, one_unit=self._fitted.one_unit, by_round=self._fitted.by_round(stage))

    def _on_finished(self, peer: str) -> list[Effect]:
        if self._residuals.concluding(self.stage):
            raise PeerViolation(peer, "it has finished before it was told how the learning stage ended")
        self._kept.finished[peer] = None
        if self.waiting_for():
            return []
        self._phases.enter("finished")
        return [Done()]

    # for the sponsor's results

    def metric_unit(self) -> float:
        """What one unit of the metric is worth in the label's own unit."""
        return self._model.metric_unit()

    @property
    def ensemble(self) -> Ensemble | None:
        """F and its history, once the data are prepared."""
        return self.stage.ensemble_or_none
