"""One certificate a round: every party's ledger head, signed by all and held by all (PROTOCOL.md steps 9a to 9e).

It runs beside the assistance rounds and holds none of them up; its steps stand in the one table
(`secure_gal.phases`), and its phase follows from what is kept. A certificate fixes what every ledger said at that
moment, so that neither a party's history nor the sponsor's relaying can be rewritten alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import assert_never

from crypto.identity import Card, Identity
from secure_gal import events
from secure_gal.effects import Effect, Send
from secure_gal.errors import PeerViolation
from secure_gal.messages import (
    HeadRequest,
    HeadsSignature,
    LedgerCertificate,
    LedgerHead,
    LedgerHeads,
    Message,
    kinds_of,
)
from secure_gal.messages.certificate import (
    Certificate,
    LogHead,
    certificate_statement,
    check_certificate,
    check_head,
    check_heads,
    check_signature,
)
from secure_gal.phases import CERTIFICATES, Order
from secure_gal.settings.study import Study
from secure_gal.state import NUMBER, RAW, TEXT, Entries, Entry, State, json_of

KINDS = kinds_of("Evidence")


class _Records:
    """The last certificate, the round that is due for one, and what there is of the next one."""

    def __init__(self, state: State) -> None:
        self.agreed = Entry(state, "agreement", RAW)
        self.done = Entry(state, "certify/done", NUMBER)
        self.due = Entry(state, "certify/due", NUMBER)
        self.round = Entry(state, "certify/round", NUMBER)
        self.own = Entry(state, "certify/own", json_of(LogHead))
        self.head = Entries(state, "certify/head/", json_of(LogHead))
        self.heads = Entry(state, "certify/heads", json_of(dict[str, LogHead]))
        self.signature = Entries(state, "certify/signature/", TEXT)

    def end(self, round_: int) -> None:
        """The certificate of this round is complete."""
        self.done.set(round_)
        for entry in (self.round, self.own, self.heads):
            entry.drop()
        self.head.clear()
        self.signature.clear()


class _Collecting(Order):
    """The sponsor's turns."""

    def __init__(self, kept: _Records) -> None:
        super().__init__("collector", CERTIFICATES)
        self._kept = kept

    @property
    def now(self) -> str:
        """Heads are asked for, then signatures over all of them."""
        return "signing" if self._kept.heads.there else "asking" if self._kept.round.there else "idle"


class _Witnessing(Order):
    """An assistor's turns."""

    def __init__(self, kept: _Records) -> None:
        super().__init__("witness", CERTIFICATES)
        self._kept = kept

    @property
    def now(self) -> str:
        """Its own head is shown, then all of them are signed."""
        return "signed" if self._kept.heads.there else "shown" if self._kept.own.there else "idle"


class Certifier:
    """Either side; what it must remember is in the protocol's state under `certify/`.

    Args:
        head: this party's ledger head, as of the last step on disk.
        run: the agreed run.
    """

    def __init__(
        self,
        study: Study,
        digest: str,
        identity: Identity,
        cards: Mapping[str, Card],
        state: State,
        head: Callable[[], LogHead],
        run: Callable[[], str],
    ) -> None:
        self._study, self._digest, self._identity, self._cards = study, digest, identity, cards
        self._kept, self._head, self._run = _Records(state), head, run
        self._name = identity.card.name
        self.order: Order = (_Collecting if self._name == study.sponsor else _Witnessing)(self._kept)
        self._completed: list[Certificate] = []

    @property
    def certified(self) -> int:
        """The last round whose certificate this party holds."""
        return self._kept.done.get_or(0)

    @property
    def pending(self) -> bool:
        """Whether the sponsor has a round without its certificate."""
        return self._kept.due.get_or(0) > self.certified

    def waiting_for(self) -> list[str]:
        """Assistors whose head or signature is missing, at the sponsor."""
        if not self.pending or self._name != self._study.sponsor:
            return []
        there = self._kept.signature if self._kept.heads.there else self._kept.head
        return [peer for peer in self._study.assistors if peer not in there]

    def take_completed(self) -> list[Certificate]:
        """Certificates that became complete in this step and belong into the ledger."""
        completed, self._completed = self._completed, []
        return completed

    def after(self, effects: list[Effect]) -> list[Effect]:
        """At the sponsor: a committed round is due for a certificate; one after the other, in order. Heads are asked
        for once the next round is on its way, so that assistors fit meanwhile; after the last one at once."""
        rounds = [round_ for effect in effects if (round_ := _committed(effect)) is not None]
        if rounds:
            self._kept.due.set(rounds[-1])
        if not self.pending or self._kept.round.there:
            return []
        more = any(isinstance(effect, events.RoundBegun) for effect in effects)
        sent = any(isinstance(effect, Send) for effect in effects)
        return self._begin() if sent or (rounds and not more) else []

    def _begin(self) -> list[Effect]:
        round_ = self.certified + 1
        self._kept.round.set(round_)
        return [Send(peer, HeadRequest(round_)) for peer in self._study.assistors]

    def receive(self, peer: str, message: Message) -> list[Effect]:
        """Take one step of a certificate.

        Raises:
            PeerViolation: it is out of turn, its heads are not those that were given, or a signature does not verify.
        """
        self.order.check(peer, message.KIND)
        match message:
            case HeadRequest():
                return self._on_request(peer, message)
            case LedgerHead():
                return self._on_head(peer, message)
            case LedgerHeads():
                return self._on_heads(peer, message)
            case HeadsSignature():
                return self._on_signature(peer, message)
            case LedgerCertificate():
                return self._on_certificate(peer, message)
            case _:
                raise PeerViolation(peer, f"{message.KIND} has no part in a certificate")

    # an assistor's side

    def _on_request(self, peer: str, message: HeadRequest) -> list[Effect]:
        kept = self._kept
        if not kept.agreed.there:
            raise PeerViolation(peer, "a certificate before the run was agreed on")
        if message.round <= self.certified:
            raise PeerViolation(peer, f"a certificate of round {message.round} out of turn")
        own = self._head()
        kept.own.set(own)
        kept.round.set(message.round)
        return [Send(peer, LedgerHead(own, message.round))]

    def _on_heads(self, peer: str, message: LedgerHeads) -> list[Effect]:
        self._check_round(peer, message.round)
        check_heads(peer, self._cards, self._name, self._kept.own.get(), message.heads)
        self._kept.heads.set(message.heads)
        return [Send(peer, HeadsSignature(self._sign(message.round, message.heads), message.round))]

    def _on_certificate(self, peer: str, message: LedgerCertificate) -> list[Effect]:
        self._check_round(peer, message.round)
        certificate = message.certificate
        found = (certificate.study, certificate.run, certificate.round, certificate.heads)
        if found != (self._digest, self._run(), message.round, self._kept.heads.get()):
            raise PeerViolation(peer, "the certificate is not over the heads that were signed")
        check_certificate(peer, self._cards, certificate)
        return self._complete(certificate)

    # the sponsor's side

    def _on_head(self, peer: str, message: LedgerHead) -> list[Effect]:
        kept = self._kept
        self._check_round(peer, message.round)
        if peer in kept.head:
            raise PeerViolation(peer, "a ledger head came twice")
        check_head(peer, peer, message.head)
        kept.head[peer] = message.head
        if self.waiting_for():
            return []
        heads = {name: kept.head[name] for name in self._study.assistors} | {self._name: self._head()}
        kept.heads.set(heads)
        return [Send(name, LedgerHeads(heads, message.round)) for name in self._study.assistors]

    def _on_signature(self, peer: str, message: HeadsSignature) -> list[Effect]:
        kept = self._kept
        self._check_round(peer, message.round)
        if peer in kept.signature:
            raise PeerViolation(peer, "a signature of the ledger heads came twice")
        heads = kept.heads.get()
        statement = certificate_statement(self._digest, self._run(), message.round, heads)
        check_signature(peer, self._cards[peer], statement, message.signature)
        kept.signature[peer] = message.signature
        if self.waiting_for():
            return []
        signatures = {name: kept.signature[name] for name in self._study.assistors}
        signatures[self._name] = self._sign(message.round, heads)
        certificate = Certificate(self._digest, self._run(), message.round, heads, signatures)
        sends: list[Effect] = [
            Send(name, LedgerCertificate(certificate, message.round)) for name in self._study.assistors
        ]
        return [*sends, *self._complete(certificate), *(self._begin() if self.pending else [])]

    def _check_round(self, peer: str, round_: int) -> None:
        if self._kept.round.get() != round_:
            raise PeerViolation(peer, f"a step of the certificate of round {round_} out of turn")

    def _sign(self, round_: int, heads: Mapping[str, LogHead]) -> str:
        return self._identity.sign(certificate_statement(self._digest, self._run(), round_, heads)).hex()

    def _complete(self, certificate: Certificate) -> list[Effect]:
        self._kept.end(certificate.round)
        self._completed.append(certificate)
        return [events.Certified(certificate.round)]


def _committed(effect: Effect) -> int | None:
    """The round that is due for a certificate after this effect."""
    if not isinstance(effect, events.Milestone):
        return None
    match effect:
        case events.Committed(record):
            return record.round
        case events.RunAgreed() | events.RoundBegun() | events.Learned() | events.Certified():
            return None
        case _:
            assert_never(effect)
