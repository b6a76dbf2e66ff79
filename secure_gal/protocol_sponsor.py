"""The sponsor's side of the learning stage: message in, effects out (PROTOCOL.md steps 1 to 11)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, cast

import msgspec
import numpy as np
import numpy.typing as npt

from crypto.identity import Card, Identity
from secure_gal import agreement, messages
from secure_gal.align import Alignment, align
from secure_gal.assistance import Ensemble
from secure_gal.effects import Compute, Done, Effect, Note, Send, State, as_array
from secure_gal.errors import PeerViolation, StateError
from secure_gal.messages import Finished, Fitted, Hello, Ids, Message, RunSignature
from secure_gal.study import Study

MAX_FITTED = 1e6
"""Largest |fitted value| accepted, in units of the residual (at most about 1): beyond it a fit has diverged."""


class SponsorModel(Protocol):
    """The sponsor's data, label and learner behind the protocol; every method may take long."""

    @property
    def ids(self) -> tuple[str, ...]: ...
    @property
    def fits(self) -> bool:
        """Whether the sponsor has features of its own."""
        ...

    def prepare(self, rows: npt.NDArray[np.int64], train: npt.NDArray[np.bool_]) -> bytes:
        """Fit the encoder and the label's coding on the training rows; returns what predicting needs later."""
        ...

    def ensemble(self, parties: tuple[str, ...]) -> Ensemble:
        """A new ensemble at F^0 over these parties; only after `prepare`."""
        ...

    def fit_round(self, round_: int, residual: npt.NDArray[np.float32]) -> tuple[bytes, npt.NDArray[np.float32]]:
        """Fit one local model: (saved model, fitted values float32 (N, K))."""
        ...

    def metric_unit(self) -> float:
        """The target's standard deviation for regression, else 1."""
        ...

    def alone(self) -> Ensemble:
        """M=1 GAL with the same learner and rounds, run to its end."""
        ...


@dataclass(frozen=True, slots=True)
class SponsorContext:
    """Everything fixed about the sponsor in this study."""

    study: Study
    digest: str
    canonical: bytes
    identity: Identity
    cards: dict[str, Card]


TRANSITIONS: dict[str, frozenset[str]] = {
    "greeting": frozenset({"hello"}),
    "signing": frozenset({"run-signature"}),
    "aligning": frozenset({"ids"}),
    "learning": frozenset({"fitted"}),
    "finishing": frozenset({"finished"}),
}
"""Which message kinds are legal in which phase; everything else is a violation and changes nothing."""


class SponsorProtocol:
    """The sponsor in one run. `state` is durable; everything else is rebuilt from it."""

    def __init__(self, context: SponsorContext, model: SponsorModel, state: State, nonce: bytes) -> None:
        self._context = context
        self._model = model
        self._nonce = nonce
        self.state = state
        self.ensemble: Ensemble | None = None

    @property
    def phase(self) -> str:
        """new, greeting, signing, aligning, learning, finishing or finished."""
        return self.state.text("phase", "new")

    @property
    def run(self) -> str:
        """The agreed run, or empty before every assistor has greeted."""
        return self.state.text("run")

    def waiting_for(self) -> list[str]:
        """The assistors whose message this phase still needs."""
        prefix = {"greeting": "hello/", "signing": "signature/", "aligning": "ids/", "learning": "fitted/",
                  "finishing": "finished/"}.get(self.phase)  # fmt: skip
        return [] if prefix is None else [p for p in self._study.assistors if prefix + p not in self.state]

    def start(self) -> list[Effect]:
        """Begin, or take up again from the saved state."""
        if self.phase == "new":
            self.state.put("nonce", self._nonce.hex().encode())
            self._enter("greeting")
            return []
        effects: list[Effect] = [Note("resumed", {"phase": self.phase})]
        if self.phase in ("learning", "finishing"):
            effects.append(self._prepare())
        elif self.phase == "finished":
            effects.append(Done())
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
        if message.KIND not in TRANSITIONS.get(self.phase, frozenset()) or peer not in self.waiting_for():
            raise PeerViolation(peer, f"{message.KIND} is not legal while {self.phase}, or came twice")
        match message:
            case Hello():
                return self._on_hello(peer, message)
            case RunSignature():
                return self._on_signature(peer, message)
            case Ids():
                return self._on_ids(peer, message)
            case Fitted():
                return self._on_fitted(peer, message)
            case Finished():
                return self._on_finished(peer)
            case _:
                raise PeerViolation(peer, f"{message.KIND} is not for a sponsor")

    def computed(self, tag: str, result: object) -> list[Effect]:
        """Take the result of a job that an earlier effect asked for."""
        kind = tag.partition("/")[0]
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
        if message.greeting.study.encode() != self._context.canonical:
            how = agreement.differences(self._context.canonical, message.greeting.study)
            mine = messages.RunOffer(messages.Nonces({}, self._context.canonical.decode()))
            return [Note("study-differs", {"peer": peer, "how": how}), Send(peer, mine)]
        agreement.check_nonce(peer, message.greeting.nonce)
        self.state.put(f"hello/{peer}", message.greeting.nonce.encode())
        if self.waiting_for():
            return [Note("greeted", {"peer": peer})]
        nonces = {p: self.state.text(f"hello/{p}") for p in self._study.assistors}
        nonces[self._study.sponsor] = self.state.text("nonce")
        self.state.put("run", agreement.run_id(self._context.digest, nonces).encode())
        self._enter("signing")
        offer = messages.RunOffer(messages.Nonces(nonces, self._context.canonical.decode()))
        return [Note("greeted", {"peer": peer}), *(Send(p, offer) for p in self._study.assistors)]

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
        return [Note("run", {"run": self.run}), *(Send(p, agreed) for p in self._study.assistors)]

    # steps 5 and 6: alignment

    def _on_ids(self, peer: str, message: Ids) -> list[Effect]:
        ids = message.ids
        if not ids or len(ids) > messages.MAX_ROWS or len(set(ids)) != len(ids) or "" in ids:
            raise PeerViolation(peer, "an id list must hold 1 to 2^24 distinct, non-empty ids")
        self.state.put(f"ids/{peer}", msgspec.json.encode(ids))
        if self.waiting_for():
            return []
        lists = {
            p: msgspec.json.decode(self.state.raw(f"ids/{p}"), type=tuple[str, ...]) for p in self._study.assistors
        }
        found = align(self._model.ids, lists, self._study.validation, self._study.seed)
        self._save_alignment(found)
        self._enter("learning")
        held = {self._study.sponsor: len(self._model.ids)} | {p: len(lists[p]) for p in lists}
        train = int(found.train.sum())
        counts = {"aligned": len(found.own), "train": train, "validation": len(found.own) - train, "held": held}
        warn = [Note("warning", {"text": found.warning})] if found.warning else []
        return [Note("aligned", counts), *warn, self._prepare()]

    def _save_alignment(self, found: Alignment) -> None:
        self.state.put("rows", found.own)
        self.state.put("train", found.train.astype(np.uint8))
        for peer, positions in found.positions.items():
            self.state.put(f"positions/{peer}", positions)

    def _prepare(self) -> Compute:
        rows, train = self.state.array("rows"), self.state.array("train").astype(np.bool_)
        return Compute("prepare", lambda: self._model.prepare(rows, train))

    def _prepared(self, encoder: bytes) -> list[Effect]:
        self.ensemble = self._model.ensemble(self.learners)
        saved = {k.removeprefix("ensemble/"): self.state.array(k) for k in self.state.keys("ensemble/")}
        if saved:  # a resumed run: the messages of this round are in the outbox already
            self.ensemble.restore(saved)
            if self.phase == "finishing":
                return []
            if self.ensemble.finished:
                return [Compute("alone", self._model.alone)]
            return self._own_fit() if "own" not in self.state else self._commit_if_complete()
        self.state.put("encoder", encoder)
        self._save_ensemble()
        shape = messages.Shape(self.ensemble.F.shape[1])
        train = self.state.array("train")
        rows: list[Effect] = [
            Send(p, messages.Rows(self.state.array(f"positions/{p}"), train, shape)) for p in self._study.assistors
        ]
        for key in [*self.state.keys("ids/"), *self.state.keys("positions/")]:
            self.state.drop(key)
        if self.ensemble.finished:
            return [*rows, Compute("alone", self._model.alone)]
        return [*rows, *self._begin_round()]

    # steps 7 to 9: rounds

    def _begin_round(self) -> list[Effect]:
        residual = self._ensemble.residual()
        message = messages.Residual(residual, self.round)
        sends: list[Effect] = [Send(p, message) for p in self._study.assistors]
        return [Note("round-begins", {"round": self.round}), *sends, *self._own_fit()]

    def _own_fit(self) -> list[Effect]:
        if not self._model.fits:
            return self._commit_if_complete()
        residual, round_ = self._ensemble.residual(), self.round
        return [Compute(f"fit/{round_}", lambda: self._model.fit_round(round_, residual))]

    def _on_fitted(self, peer: str, message: Fitted) -> list[Effect]:
        if message.round != self.round:
            raise PeerViolation(peer, f"fitted values of round {message.round} in round {self.round}")
        expected = self._ensemble.F.shape
        if message.values.shape != expected:
            raise PeerViolation(peer, f"fitted values must have shape {expected}")
        if not np.isfinite(message.values).all() or np.abs(message.values).max() > MAX_FITTED:
            raise PeerViolation(peer, f"fitted values must be finite and at most {MAX_FITTED:g} in size")
        self.state.put(f"fitted/{peer}", message.values)
        return [Note("fitted", {"peer": peer, "round": self.round}), *self._commit_if_complete()]

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
        note = Note("committed", {"record": record})
        if self._ensemble.finished:
            return [note, Compute("alone", self._model.alone)]
        return [note, *self._begin_round()]

    # steps 10 and 11: the end of the learning stage

    def _finish(self, alone: Ensemble | None) -> list[Effect]:
        if alone is not None:
            for key, value in alone.state().items():
                self.state.put(f"alone/{key}", value)
        own = self._ensemble.coefficients(self._study.sponsor)
        self.state.put("own-coefficients", own)
        self._enter("finishing")
        ending = messages.Ending("finished")
        return [
            Note("learned", {"rounds": len(self._ensemble.history), "kept": self._ensemble.kept}),
            *(Send(p, messages.Finish(self._ensemble.coefficients(p), ending)) for p in self._study.assistors),
        ]

    def _on_finished(self, peer: str) -> list[Effect]:
        self.state.put(f"finished/{peer}", b"1")
        if self.waiting_for():
            return []
        self._enter("finished")
        return [Done()]

    def new_ensemble(self, parties: tuple[str, ...]) -> Ensemble:
        """A fresh ensemble over these parties, for comparisons."""
        return self._model.ensemble(parties)

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


def is_finished(saved: dict[str, Any]) -> bool:
    """Whether a saved state is that of a finished learning stage."""
    return saved.get("phase") == b"finished"
