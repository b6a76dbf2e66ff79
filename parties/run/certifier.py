"""One certificate a round: every party's ledger head, signed by all and held by all (PROTOCOL.md steps 9a to 9e).

It runs beside the assistance rounds and holds none of them up. A certificate fixes what every ledger said at that
moment, so that neither a party's history nor the sponsor's relaying can be rewritten alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import assert_never

import msgspec

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
from secure_gal.settings.study import Study
from secure_gal.state import State

KINDS = kinds_of("Evidence")
_HEADS = msgspec.json.Decoder(dict[str, LogHead])


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
        self._state, self._head, self._run = state, head, run
        self._name = identity.card.name
        self._completed: list[Certificate] = []

    @property
    def certified(self) -> int:
        """The last round whose certificate this party holds."""
        return int(self._state.text("certify/done", "0"))

    @property
    def pending(self) -> bool:
        """Whether the sponsor has a round without its certificate."""
        return int(self._state.text("certify/due", "0")) > self.certified

    def waiting_for(self) -> list[str]:
        """Assistors whose head or signature is missing, at the sponsor."""
        if not self.pending or self._name != self._study.sponsor:
            return []
        prefix = "certify/signature/" if "certify/heads" in self._state else "certify/head/"
        return [peer for peer in self._study.assistors if prefix + peer not in self._state]

    def take_completed(self) -> list[Certificate]:
        """Certificates that became complete in this step and belong into the ledger."""
        completed, self._completed = self._completed, []
        return completed

    def after(self, effects: list[Effect]) -> list[Effect]:
        """At the sponsor: a committed round is due for a certificate; one after the other, in order."""
        committed = [round_ for effect in effects if (round_ := _committed(effect)) is not None]
        if not committed:
            return []
        was_pending = self.pending
        self._state.put("certify/due", str(committed[-1]).encode())
        return [] if was_pending else self._begin()

    def _begin(self) -> list[Effect]:
        round_ = self.certified + 1
        self._state.put("certify/round", str(round_).encode())
        return [Send(peer, HeadRequest(round_)) for peer in self._study.assistors]

    def receive(self, peer: str, message: Message) -> list[Effect]:
        """Take one step of a certificate.

        Raises:
            PeerViolation: it is out of turn, its heads are not those that were given, or a signature does not verify.
        """
        if ("assistor" in message.ABOUT.senders) != (self._name == self._study.sponsor):
            raise PeerViolation(peer, f"{message.KIND} is not for this party")
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
        if "agreement" not in self._state:
            raise PeerViolation(peer, "a certificate before the run was agreed on")
        if message.round <= self.certified or "certify/own" in self._state:
            raise PeerViolation(peer, f"a certificate of round {message.round} out of turn")
        own = self._head()
        self._state.put("certify/own", msgspec.json.encode(own))
        self._state.put("certify/round", str(message.round).encode())
        return [Send(peer, LedgerHead(own, message.round))]

    def _on_heads(self, peer: str, message: LedgerHeads) -> list[Effect]:
        self._check_round(peer, message.round, "certify/own")
        own = msgspec.json.decode(self._state.raw("certify/own"), type=LogHead)
        check_heads(peer, self._cards, self._name, own, message.heads)
        self._state.put("certify/heads", msgspec.json.encode(message.heads))
        return [Send(peer, HeadsSignature(self._sign(message.round, message.heads), message.round))]

    def _on_certificate(self, peer: str, message: LedgerCertificate) -> list[Effect]:
        self._check_round(peer, message.round, "certify/heads")
        certificate = message.certificate
        found = (certificate.study, certificate.run, certificate.round, certificate.heads)
        if found != (self._digest, self._run(), message.round, _HEADS.decode(self._state.raw("certify/heads"))):
            raise PeerViolation(peer, "the certificate is not over the heads that were signed")
        check_certificate(peer, self._cards, certificate)
        return self._complete(certificate)

    # the sponsor's side

    def _on_head(self, peer: str, message: LedgerHead) -> list[Effect]:
        self._check_round(peer, message.round, "certify/round")
        if f"certify/head/{peer}" in self._state:  # all are, once the heads have left
            raise PeerViolation(peer, "a ledger head came twice")
        check_head(peer, peer, message.head)
        self._state.put(f"certify/head/{peer}", msgspec.json.encode(message.head))
        if self.waiting_for():
            return []
        heads = {
            name: msgspec.json.decode(self._state.raw(f"certify/head/{name}"), type=LogHead)
            for name in self._study.assistors
        } | {self._name: self._head()}
        self._state.put("certify/heads", msgspec.json.encode(heads))
        return [Send(name, LedgerHeads(heads, message.round)) for name in self._study.assistors]

    def _on_signature(self, peer: str, message: HeadsSignature) -> list[Effect]:
        self._check_round(peer, message.round, "certify/heads")
        if f"certify/signature/{peer}" in self._state:
            raise PeerViolation(peer, "a signature of the ledger heads came twice")
        heads = _HEADS.decode(self._state.raw("certify/heads"))
        statement = certificate_statement(self._digest, self._run(), message.round, heads)
        check_signature(peer, self._cards[peer], statement, message.signature)
        self._state.put(f"certify/signature/{peer}", message.signature.encode())
        if self.waiting_for():
            return []
        signatures = {name: self._state.text(f"certify/signature/{name}") for name in self._study.assistors}
        signatures[self._name] = self._sign(message.round, heads)
        certificate = Certificate(self._digest, self._run(), message.round, heads, signatures)
        sends: list[Effect] = [
            Send(name, LedgerCertificate(certificate, message.round)) for name in self._study.assistors
        ]
        return [*sends, *self._complete(certificate), *(self._begin() if self.pending else [])]

    def _check_round(self, peer: str, round_: int, needs: str) -> None:
        if needs not in self._state or self._state.text("certify/round") != str(round_):
            raise PeerViolation(peer, f"a step of the certificate of round {round_} out of turn")

    def _sign(self, round_: int, heads: Mapping[str, LogHead]) -> str:
        return self._identity.sign(certificate_statement(self._digest, self._run(), round_, heads)).hex()

    def _complete(self, certificate: Certificate) -> list[Effect]:
        due = self._state.raw("certify/due")
        self._state.drop_all("certify/")
        if due:
            self._state.put("certify/due", due)
        self._state.put("certify/done", str(certificate.round).encode())
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
