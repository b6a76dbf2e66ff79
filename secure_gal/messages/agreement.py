"""Steps 1 to 4: the agreement on a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import msgspec

from secure_gal.messages.fields import FieldSpec
from secure_gal.messages.kinds import DOWN, UP, Message, message


class Greeting(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a party brings to the agreement on a run: its nonce (32 hex digits) and its reading of the study."""

    nonce: str
    study: str


class Nonces(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Every party's nonce by name; with the study digest they fix the run.

    `study` is the sponsor's canonical reading of the study. With no nonces at all the message says that the two
    readings differ, so that the assistor can print how.
    """

    nonces: dict[str, str]
    study: str


class Signatures(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Hex Ed25519 signatures by party name, all over the same (study digest, run)."""

    signatures: dict[str, str]


@message("hello", step="1", phase="Agreement", route=UP, before_run=True)
@dataclass(frozen=True, slots=True)
class Hello(Message):
    """Nonce (128 bits), the assistor's canonical reading of the study, its release; before anything else."""

    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (FieldSpec("greeting", "public", "json", json_type=Greeting),)
    greeting: Greeting
    round: int = 0


@message("run-offer", step="2", phase="Agreement", route=DOWN, before_run=True)
@dataclass(frozen=True, slots=True)
class RunOffer(Message):
    """Every party's nonce; run = SHA-256(study digest, nonces). Without nonces: "our studies differ", or our releases,
    with the sponsor's reading and release."""

    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (FieldSpec("nonces", "public", "json", json_type=Nonces),)
    nonces: Nonces
    round: int = 0


@message("run-signature", step="3", phase="Agreement", route=UP)
@dataclass(frozen=True, slots=True)
class RunSignature(Message):
    """Ed25519 signature over (study digest, run)."""

    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (FieldSpec("signatures", "public", "json", json_type=Signatures),)
    signatures: Signatures
    round: int = 0


@message("run-agreement", step="4", phase="Agreement", route=DOWN)
@dataclass(frozen=True, slots=True)
class RunAgreement(Message):
    """All M signatures; each receiver checks every one against its own pinned cards."""

    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (FieldSpec("signatures", "public", "json", json_type=Signatures),)
    signatures: Signatures
    round: int = 0
