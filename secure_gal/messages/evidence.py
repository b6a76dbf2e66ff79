"""Steps 9a to 9e: a round's certificate of every party's ledger."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from crypto.certificate import Certificate, LogHead
from secure_gal.messages.fields import FieldSpec


@dataclass(frozen=True, slots=True)
class HeadRequest:
    """Step 9a, sponsor to assistor: a round is committed; give your ledger's head."""

    KIND: ClassVar[str] = "head-request"
    FIELDS: ClassVar[tuple[FieldSpec, ...]] = ()
    round: int


@dataclass(frozen=True, slots=True)
class LedgerHead:
    """Step 9b, assistor to sponsor: its ledger's head."""

    KIND: ClassVar[str] = "ledger-head"
    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (FieldSpec("head", "public", "json", json_type=LogHead),)
    head: LogHead
    round: int


@dataclass(frozen=True, slots=True)
class LedgerHeads:
    """Step 9c, sponsor to assistor: every party's head by name, to be signed."""

    KIND: ClassVar[str] = "ledger-heads"
    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (FieldSpec("heads", "public", "json", json_type=dict[str, LogHead]),)
    heads: dict[str, LogHead]
    round: int


@dataclass(frozen=True, slots=True)
class HeadsSignature:
    """Step 9d, assistor to sponsor: its signature (hex) over all heads."""

    KIND: ClassVar[str] = "heads-signature"
    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (FieldSpec("signature", "public", "json", json_type=str),)
    signature: str
    round: int


@dataclass(frozen=True, slots=True)
class LedgerCertificate:
    """Step 9e, sponsor to assistor: the certificate of a round, signed by every party."""

    KIND: ClassVar[str] = "ledger-certificate"
    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (FieldSpec("certificate", "public", "json", json_type=Certificate),)
    certificate: Certificate
    round: int
