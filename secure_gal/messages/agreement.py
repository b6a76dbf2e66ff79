"""Steps 1 to 4: the agreement on a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import msgspec

from secure_gal.messages.fields import FieldSpec


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


@dataclass(frozen=True, slots=True)
class Hello:
    """Step 1, assistor to sponsor: nonce and study, before anything else."""

    KIND: ClassVar[str] = "hello"
    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (FieldSpec("greeting", "public", "json", json_type=Greeting),)
    greeting: Greeting
    round: int = 0


@dataclass(frozen=True, slots=True)
class RunOffer:
    """Step 2, sponsor to assistor: all nonces, hence the run."""

    KIND: ClassVar[str] = "run-offer"
    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (FieldSpec("nonces", "public", "json", json_type=Nonces),)
    nonces: Nonces
    round: int = 0


@dataclass(frozen=True, slots=True)
class RunSignature:
    """Step 3, assistor to sponsor: its signature over (study digest, run)."""

    KIND: ClassVar[str] = "run-signature"
    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (FieldSpec("signatures", "public", "json", json_type=Signatures),)
    signatures: Signatures
    round: int = 0


@dataclass(frozen=True, slots=True)
class RunAgreement:
    """Step 4, sponsor to assistor: all M signatures; each receiver checks every one."""

    KIND: ClassVar[str] = "run-agreement"
    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (FieldSpec("signatures", "public", "json", json_type=Signatures),)
    signatures: Signatures
    round: int = 0
