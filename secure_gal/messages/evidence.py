"""Steps 9a to 9e: a round's certificate of every party's ledger."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from secure_gal.messages.certificate import Certificate, LogHead
from secure_gal.messages.fields import FieldSpec
from secure_gal.messages.kinds import DOWN, UP, Message, message


@message("head-request", step="9a", phase="Evidence", route=DOWN)
@dataclass(frozen=True, slots=True)
class HeadRequest(Message):
    """Round t is committed; give your ledger's head."""

    FIELDS: ClassVar[tuple[FieldSpec, ...]] = ()
    round: int


@message("ledger-head", step="9b", phase="Evidence", route=UP)
@dataclass(frozen=True, slots=True)
class LedgerHead(Message):
    """Number and Merkle root of its ledger's lines."""

    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (FieldSpec("head", "public", "json", json_type=LogHead),)
    head: LogHead
    round: int


@message("ledger-heads", step="9c", phase="Evidence", route=DOWN)
@dataclass(frozen=True, slots=True)
class LedgerHeads(Message):
    """Every party's head by name; each checks that its own is the one it gave."""

    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (FieldSpec("heads", "public", "json", json_type=dict[str, LogHead]),)
    heads: dict[str, LogHead]
    round: int


@message("heads-signature", step="9d", phase="Evidence", route=UP)
@dataclass(frozen=True, slots=True)
class HeadsSignature(Message):
    """Signature over all heads."""

    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (FieldSpec("signature", "public", "json", json_type=str),)
    signature: str
    round: int


@message("ledger-certificate", step="9e", phase="Evidence", route=DOWN)
@dataclass(frozen=True, slots=True)
class LedgerCertificate(Message):
    """All heads, all M signatures; every party logs it."""

    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (FieldSpec("certificate", "public", "json", json_type=Certificate),)
    certificate: Certificate
    round: int
