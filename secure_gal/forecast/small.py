"""The messages of a learning stage that say nothing of rows: made here with what they will hold, or as much of it.

Digits of numbers that are not known yet (a ledger's length) are those of a study of this size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
import numpy as np

from secure_gal.messages import (
    IN_THE_CLEAR,
    Declaration,
    Declarations,
    Declared,
    Ending,
    Finish,
    Finished,
    Greeting,
    HeadRequest,
    HeadsSignature,
    Hello,
    LedgerCertificate,
    LedgerHead,
    LedgerHeads,
    Message,
    Nonces,
    PaddedWidth,
    Realign,
    RunAgreement,
    RunOffer,
    RunSignature,
    Signatures,
    Weights,
    Width,
)
from secure_gal.messages.certificate import Certificate, LogHead
from secure_gal.settings.study import Study

NONCE, HASH, SIGNATURE = "0" * 32, "0" * 64, "0" * 128
"""Hexadecimal digits of a nonce, of a digest or key, and of a signature."""
LINES_A_ROUND = 8
"""Lines that a ledger grows by in a round with one assistor, about: only the digits of their sum count."""
Sent = tuple[str, str, Message]
"""Sender, receiver, message."""


def once(study: Study, reading: str) -> Iterator[Sent]:
    """Agreement, declarations and end.

    Args:
        reading: the study as `hello` carries it.
    """
    everyone = Nonces(dict.fromkeys(study.parties, NONCE), reading)
    signed = Signatures(dict.fromkeys(study.parties, SIGNATURE))
    for peer in study.assistors:
        yield peer, study.sponsor, Hello(Greeting(NONCE, reading))
        yield study.sponsor, peer, RunOffer(everyone)
        yield peer, study.sponsor, RunSignature(Signatures({peer: SIGNATURE}))
        yield study.sponsor, peer, RunAgreement(signed)
        if study.protect.ids == "psi":
            yield study.sponsor, peer, Realign(IN_THE_CLEAR)
        if study.protect.summed:
            yield peer, study.sponsor, Declared(_declaration(study, peer))
            yield study.sponsor, peer, Declarations({name: _declaration(study, name) for name in study.assistors})
        elif study.protect.encrypted:
            yield peer, study.sponsor, PaddedWidth(Width(16))
        if study.protect.summed and not study.protect.encrypted:
            yield study.sponsor, peer, Finish(np.zeros(study.rounds), Ending("finished"))
        yield peer, study.sponsor, Finished(Ending("finished"))


def every_round(study: Study, round_: int, *, certified: bool = True) -> Iterator[Sent]:
    """The certificate of this round, if there is one, and the weights of sums."""
    if study.protect.summed and study.weights != "uniform":
        yield study.sponsor, study.adder, Weights(np.zeros(len(study.assistors)), round_)
    if not certified:
        return
    head = LogHead(LINES_A_ROUND * round_ * len(study.assistors), HASH)
    heads = dict.fromkeys(study.parties, head)
    certificate = Certificate(HASH, HASH, round_, heads, dict.fromkeys(study.parties, SIGNATURE))
    for peer in study.assistors:
        yield study.sponsor, peer, HeadRequest(round_)
        yield peer, study.sponsor, LedgerHead(head, round_)
        yield study.sponsor, peer, LedgerHeads(heads, round_)
        yield peer, study.sponsor, HeadsSignature(SIGNATURE, round_)
        yield study.sponsor, peer, LedgerCertificate(certificate, round_)


def _declaration(study: Study, name: str) -> Declaration:
    padded = 16 if study.protect.encrypted else 0
    return Declaration(padded, 16, SIGNATURE, *((HASH, SIGNATURE) if name == study.adder else ()))


def payload_bytes(message: Message) -> int:
    """Bytes of its fields."""
    held: Sequence[object] = [getattr(message, spec.name) for spec in message.FIELDS]
    return sum(one.nbytes if isinstance(one, np.ndarray) else len(msgspec.json.encode(one)) for one in held)
