"""The sponsor's side of the learning stage: message in, effects out (PROTOCOL.md steps 1 to 11)."""

from __future__ import annotations

from typing import cast

import msgspec
import numpy as np
import numpy.typing as npt

from secure_gal import agreement, events, messages
from secure_gal.align import combine
from secure_gal.alignment_sponsor import ClearAlignment, PrivateAlignment, SponsorAlignment
from secure_gal.assistance import Ensemble
from secure_gal.effects import Compute, Done, Effect, Send, State, as_array
from secure_gal.errors import PeerViolation, StateError
from secure_gal.learned import Learned
from secure_gal.losses import metric_name
from secure_gal.messages import Finished, Fitted, Hello, Message, RunSignature
from secure_gal.roles import Context, SponsorModel
from secure_gal.study import Study
from secure_gal.study_digest import VERSION

MAX_FITTED = 1e6
"""Largest |fitted value| accepted, in units of the residual (at most about 1): beyond it a fit has diverged."""

TRANSITIONS: dict[str, frozenset[str]] = {
    "greeting": frozenset({"hello"}),
    "signing": frozenset({"run-signature"}),
    "learning": frozenset({"fitted", "noised-fitted"}),
    "finishing": frozenset({"finished"}),
}
"""Which message kinds are legal in which phase; everything else is a violation and changes nothing.

While aligning, legal are the kinds of the alignment that the study names."""
AFTER_ALIGNMENT = frozenset({"declaring", "learning", "finishing"})


class SponsorProtocol:
    """The sponsor in one run. `state` is durable; everything else is rebuilt from it.

    This class sends residuals in the clear; `EncryptedSponsor` overrides how they travel.
    """

    TRANSITIONS = TRANSITIONS

    def __init__(self, context: Context, model: SponsorModel, state: State, nonce: bytes) -> None:
        self._context = context
        self._model = model
        self._nonce = nonce
        self.state = state
        self.ensemble: Ensemble | None = None
        self._alignment = self._make_alignment()

    def _make_alignment(self) -> SponsorAlignment:
        study, digest, state = self._study, self._context.digest, self.state
        if study.protect.ids == "clear":
            return ClearAlignment(study, self._model.ids, state)

        def domain(peer: str, batch: int, attempt: int) -> bytes:
            return agreement.psi_domain(digest, self.run, study.sponsor, peer, batch, attempt)

        return PrivateAlignment(study, self._model.ids, state, 0, domain)

    @property
    def phase(self) -> str:
        """new, greeting, signing, aligning, (declaring,) learning, finishing or finished."""
        return self.state.text("phase", "new")

    @property
    def run(self) -> str:
        """The agreed run, or empty before every assistor has greeted."""
        return self.state.text("run")

    def waiting_for(self) -> list[str]:
        """The assistors whose message this phase still needs."""
        if self.phase == "aligning":
            return self._alignment.waiting_for()
        prefix = {
            "greeting": "hello/",
            "signing": "signature/",
            "declaring": "width/",
            "learning": "fitted/",
            "finishing": "finished/",
        }.get(self.phase)
        return [] if prefix is None else [p for p in self._study.assistors if prefix + p not in self.state]

    def start(self) -> list[Effect]:
        """Begin, or take up again from the saved state."""
        if self.phase == "new":
            self.state.put("nonce", self._nonce.hex().encode())
            self._enter("greeting")
            return []
        effects: list[Effect] = [events.Resumed(self.phase)]
        match self.phase:
            case "greeting" | "signing":
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
            self.state.drop(f"hello/{peer}")
            return True
        return self.phase == "new"

    def receive(self, peer: str, message: Message) -> list[Effect]:
        """Handle one authenticated message of an assistor.

        Raises:
            PeerViolation: the message is illegal now or its content breaks a rule; the state is unchanged.
        """
        if message.KIND in self._alignment.kinds:
            if self.phase == "aligning":
                return [*self._alignment.receive(peer, message), *self._align_if_complete()]
            if self.phase in AFTER_ALIGNMENT and self._study.protect.ids == "psi":
                return [events.Stale(peer)]  # of an attempt that was given up
        if message.KIND not in self.TRANSITIONS.get(self.phase, frozenset()) or peer not in self.waiting_for():
            raise PeerViolation(peer, f"{message.KIND} is not legal while {self.phase}, or came twice")
        match message:
            case Hello():
                return self._on_hello(peer, message)
            case RunSignature():
                return self._on_signature(peer, message)
            case Finished() if self._concluding:
                raise PeerViolation(peer, "it has finished before it was told how the learning stage ended")
            case Finished():
                return self._on_finished(peer)
            case _:
                return self._on_learning(peer, message)

    def computed(self, tag: str, result: object) -> list[Effect]:
        """Take the result of a job that an earlier effect asked for."""
        kind = tag.partition("/")[0]
        if kind.startswith("psi"):
            return [*self._alignment.computed(tag, result), *self._align_if_complete()]
        if kind == "prepare":
            return self._prepared(result)  # type: ignore[arg-type]
        if kind == "fit":
            saved, values = cast("tuple[bytes, npt.NDArray[np.float32]]", result)
            self.state.put(f"model/{self.round:04d}", saved)
            self.state.put("own", values)
            return self._commit_if_complete()
        if kind == "alone":
            return self._finish(result)  # type: ignore[arg-type]
        raise StateError(f"no job is called {tag}")

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
        self.state.put(f"hello/{peer}", message.greeting.nonce.encode())
        notes.append(events.Greeted(peer))
        if self.waiting_for():
            return notes
        nonces = {p: self.state.text(f"hello/{p}") for p in self._study.assistors}
        nonces[self._study.sponsor] = self.state.text("nonce")
        self.state.put("run", agreement.run_id(self._context.digest, nonces).encode())
        self._enter("signing")
        offer = messages.RunOffer(messages.Nonces(nonces, agreement.reading(mine)))
        return [*notes, *(Send(p, offer) for p in self._study.assistors)]

    def _on_signature(self, peer: str, message: RunSignature) -> list[Effect]:
        signatures = message.signatures.signatures
        if set(signatures) != {peer}:
            raise PeerViolation(peer, "a run signature must be the sender's own, and only that")
        card = self._context.cards[peer]
        agreement.check_signature(peer, card, self._context.digest, self.run, signatures[peer])
        self.state.put(f"signature/{peer}", signatures[peer].encode())
        if self.waiting_for():
            return []
        everyone = {p: self.state.text(f"signature/{p}") for p in self._study.assistors}
        statement = agreement.statement(self._context.digest, self.run)
        everyone[self._study.sponsor] = self._context.identity.sign(statement).hex()
        self._enter("aligning")
        agreed = messages.RunAgreement(messages.Signatures(everyone))
        sends: list[Effect] = [Send(p, agreed) for p in self._study.assistors]
        return [events.RunAgreed(self.run), *sends, *self._alignment.begin()]

    # steps 5 and 6: alignment

    def _align_if_complete(self) -> list[Effect]:
        """Once every pair is matched: number the rows, draw the validation rows."""
        if self.phase != "aligning" or self._alignment.waiting_for():
            return []
        study, state = self._study, self.state
        matches = {peer: self._alignment.match(peer) for peer in study.assistors}
        order = None
        if study.protect.ids == "psi":
            from crypto.psi import shuffle

            order = shuffle(len(self._model.ids))
        found = combine(len(self._model.ids), matches, study.rows, order, study.validation, study.seed)
        state.put("rows", found.own)
        state.put("train", found.train.astype(np.uint8))
        for peer in study.assistors:
            state.put(f"positions/{peer}", found.positions[peer])
            state.put(f"coverage/{peer}", found.coverage[peer])
            state.put(f"attempt/{peer}", str(matches[peer].attempt).encode())
        held = {study.sponsor: len(self._model.ids)} | {p: self._alignment.held(p) for p in study.assistors}
        for prefix in ("ids/", "match/"):
            state.drop_all(prefix)
        self._enter("learning")
        train = int(found.train.sum())
        counts = {"aligned": len(found.own), "train": train, "validation": len(found.own) - train, "held": held}
        self.state.put("counts", msgspec.json.encode(counts))
        aligned = events.Aligned(len(found.own), train, len(found.own) - train, held)
        warn = [events.Warned(found.warning)] if found.warning else []
        return [aligned, *warn, self._prepare()]

    def _prepare(self) -> Compute:
        rows, train = self.state.array("rows"), self._train()
        return Compute("prepare", lambda: self._model.prepare(rows, train))

    def _train(self) -> npt.NDArray[np.bool_]:
        return self.state.array("train").astype(np.bool_)

    def _prepared(self, encoder: bytes) -> list[Effect]:
        self.ensemble = self._model.ensemble(self.learners)
        saved = {k.removeprefix("ensemble/"): self.state.array(k) for k in self.state.keys("ensemble/")}
        if saved:  # a resumed run: the messages of this round are in the outbox already
            self.ensemble.restore(saved)
            return self._resume()
        self.state.put("encoder", encoder)
        self._save_ensemble()
        shape, train = messages.Shape(self.ensemble.F.shape[1]), self.state.array("train")
        sends: list[Effect] = []
        for peer in self._study.assistors:
            positions = self.state.array(f"positions/{peer}").astype(np.uint32)
            step = messages.Step(0, int(self.state.text(f"attempt/{peer}")))
            mask = train[self.state.array(f"coverage/{peer}")]
            sends.append(Send(peer, messages.Rows(positions, mask, shape, step)))
        self.state.drop_all("positions/")
        return [*sends, *self._set_up()]

    def _set_up(self) -> list[Effect]:
        """What lies between alignment and the first round: nothing in the clear."""
        return self._next()

    def _resume(self) -> list[Effect]:
        """Take up the learning stage: this round's messages are in the outbox already."""
        if self.phase == "finishing":
            return []
        if self._over:
            return [Compute("alone", self._model.alone)]
        return self._own_fit() if "own" not in self.state else self._commit_if_complete()

    # steps 7 to 9: rounds

    @property
    def _over(self) -> bool:
        """Whether the learning stage has had its last round."""
        return self._ensemble.finished

    def _next(self) -> list[Effect]:
        if self._over:
            return [Compute("alone", self._model.alone)]
        return [events.RoundBegun(self.round), *self._send_residual(), *self._own_fit()]

    def _send_residual(self) -> list[Effect]:
        residual = self._ensemble.residual()
        self.state.put(f"residual/{self.round:04d}", residual)  # what was sent: `secure-gal leakage` scores it
        parts = {p: residual[self._held_training_rows(p)] for p in self._study.assistors}
        kind = messages.PrivatisedResidual if self._study.protect.privatised else messages.Residual
        return [Send(p, kind(part, self.round)) for p, part in parts.items()]

    def _held_training_rows(self, peer: str) -> npt.NDArray[np.bool_]:
        """Mask (N_train,): which training rows this assistor holds."""
        held = np.zeros(len(self.state.array("train")), dtype=np.bool_)
        held[self.state.array(f"coverage/{peer}")] = True
        return held[self._train()]

    def _own_fit(self) -> list[Effect]:
        if not self._model.fits:
            return self._commit_if_complete()
        if self._ensemble.finished:  # a round that changes nothing (`_over`)
            self.state.put("own", np.zeros(self._ensemble.F.shape, dtype=np.float32))
            return self._commit_if_complete()
        residual, round_ = self._ensemble.residual(), self.round
        return [Compute(f"fit/{round_}", lambda: self._model.fit_round(round_, residual))]

    def _on_learning(self, peer: str, message: Message) -> list[Effect]:
        """A message of the learning phases: fitted values, in the form that the study agreed on."""
        due = messages.NoisedFitted if self._study.protect.predictions == "noise" else Fitted
        if type(message) is not due or not isinstance(message, Fitted):
            raise PeerViolation(peer, f"{message.KIND} where the study agreed on {due.KIND}")
        self._check_round(peer, message)
        expected = (len(self.state.array(f"coverage/{peer}")), self._ensemble.F.shape[1])
        if message.values.shape != expected:
            raise PeerViolation(peer, f"fitted values must have shape {expected}")
        if not np.isfinite(message.values).all() or np.abs(message.values).max() > MAX_FITTED:
            raise PeerViolation(peer, f"fitted values must be finite and at most {MAX_FITTED:g} in size")
        self.state.put(f"fitted/{peer}", self._over_all_rows(peer, message.values))
        return [events.PeerFitted(peer, self.round), *self._commit_if_complete()]

    def _check_round(self, peer: str, message: Message) -> None:
        """Refuse an answer to a residual that was not sent, or not in this round."""
        asked = self.ensemble is not None and f"residual/{self.round:04d}" in self.state
        if not asked or message.round != self.round:
            raise PeerViolation(peer, f"{message.KIND} of round {message.round}, which was not asked for")

    def _over_all_rows(self, peer: str, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Fitted values (N, K), 0 for the rows that this assistor does not hold."""
        fitted = np.zeros(self._ensemble.F.shape, dtype=np.float32)
        fitted[self.state.array(f"coverage/{peer}")] = values
        return fitted

    def _commit_if_complete(self) -> list[Effect]:
        if self.waiting_for() or (self._model.fits and "own" not in self.state):
            return []
        fitted = {p: as_array(self.state.array(f"fitted/{p}")) for p in self._study.assistors}
        if self._model.fits:
            fitted[self._study.sponsor] = self.state.array("own")
        record = self._ensemble.commit(fitted)
        self._save_ensemble()
        self.state.drop_all("fitted/")
        self.state.drop("own")
        return [events.Committed(record), *self._next()]

    # steps 10 and 11: the end of the learning stage

    def _finish(self, alone: Ensemble | None) -> list[Effect]:
        if alone is not None:
            for key, value in alone.state().items():
                self.state.put(f"alone/{key}", value)
        own = self._ensemble.coefficients(self._study.sponsor)
        self.state.put("own-coefficients", own)
        self.state.put("learned", msgspec.json.encode(self._learned(alone)))
        self._enter("finishing")
        learned = events.Learned(len(self._ensemble.history), self._ensemble.kept)
        return [learned, *self._conclude()]

    def _learned(self, alone: Ensemble | None) -> Learned:
        made, name = self._ensemble, metric_name(self._study.task, self._ensemble.F.shape[1])
        other = alone.kept_metric() if alone is not None else None
        return Learned(made.kept, name, made.kept_metric(), other, self._model.metric_unit())

    def _conclude(self) -> list[Effect]:
        """Give every assistor what it needs to predict."""
        ending = messages.Ending("finished")
        return [Send(p, messages.Finish(self._ensemble.coefficients(p), ending)) for p in self._study.assistors]

    @property
    def _concluding(self) -> bool:
        """Whether what `_conclude` tells the assistors is still being made: never in the clear."""
        return False

    def _on_finished(self, peer: str) -> list[Effect]:
        self.state.put(f"finished/{peer}", b"1")
        if self.waiting_for():
            return []
        self._enter("finished")
        return [Done()]

    def metric_unit(self) -> float:
        """What one unit of the metric is worth in the label's own unit."""
        return self._model.metric_unit()

    @property
    def learners(self) -> tuple[str, ...]:
        """The parties that fit: all, or the assistors alone when the sponsor has no features."""
        return self._study.parties if self._model.fits else self._study.assistors

    @property
    def round(self) -> int:
        """The assistance round in progress, from 1."""
        return len(self._ensemble.history) + 1

    @property
    def _study(self) -> Study:
        return self._context.study

    @property
    def _ensemble(self) -> Ensemble:
        if self.ensemble is None:
            raise StateError("the ensemble is used before it is prepared")
        return self.ensemble

    def _enter(self, phase: str) -> None:
        self.state.put("phase", phase.encode())

    def _save_ensemble(self) -> None:
        for key, value in self._ensemble.state().items():
            self.state.put(f"ensemble/{key}", value)
        true = self._model.true_metric(self._ensemble.F)
        if true is not None:  # for the sponsor's results; it decides nothing
            self.state.put(f"true-metric/{len(self._ensemble.history):04d}", np.array([true]))
