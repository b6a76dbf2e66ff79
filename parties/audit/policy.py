"""What a ledger may contain, derived from the study in its opening: nothing weaker than the manifest says."""

from __future__ import annotations

import hashlib
import math

import msgspec
import numpy as np

from crypto.errors import Malformed
from crypto.identity import Card
from crypto.names import NAME_PATTERN
from parties.run.codec import BEFORE_RUN
from secure_gal import __version__
from secure_gal.errors import SettingsError
from secure_gal.manifest import who_learns_what
from secure_gal.messages import MESSAGES
from secure_gal.protection.disclosure import Disclosure
from secure_gal.settings import digest as study_digest
from secure_gal.settings.limits import beyond_problem, limits_of
from secure_gal.settings.study import Study
from transport.ledger_entries import FORMAT, BeyondEntry, ConsentEntry, LedgerError, Opening
from transport.wire import VERSION, FieldInfo, Header

READABLE = frozenset({"public", "clear"})
"""Protections of a field that its receiver can simply read; every other one is stronger."""


def is_hex(text: str, size: int) -> bool:
    """Whether `text` is exactly `size` bytes in lower-case hex."""
    return len(text) == 2 * size and all(c in "0123456789abcdef" for c in text)


def read_opening(opening: Opening, where: str) -> tuple[Study, dict[str, Card]]:
    """The study and every party's card.

    Raises:
        LedgerError: the digest does not cover this study with exactly these cards, or the owner has no part in it.
    """
    if opening.format != FORMAT:
        first = f", secure-gal {study_digest.FIRST_RELEASE}" if opening.format == 1 else ""
        which = f"has ledger format {opening.format}; this version reads {FORMAT}: verify it with the one that wrote it"
        raise LedgerError(where, 1, which + first)
    try:
        cards = [Card.from_bytes(bytes(raw) + b"\n") for raw in opening.cards]
        body = msgspec.json.decode(opening.study, type=dict[str, object])
        fingerprints, version = body.pop("fingerprints", None), body.pop("version", 1)
        if version != study_digest.VERSION:
            raise LedgerError(where, 1, _another_version(version))
        study = msgspec.convert({**body, "address": ""}, Study)
    except (Malformed, SettingsError, msgspec.DecodeError, ValueError, RecursionError) as error:
        raise LedgerError(where, 1, f"its study or a card cannot be read by this version: {error}") from error
    if not NAME_PATTERN.fullmatch(study.name):
        raise LedgerError(where, 1, f"{study.name!r} is no name of a study")
    if tuple(card.name for card in cards) != study.parties or opening.owner not in study.parties:
        raise LedgerError(where, 1, "the cards, the owner and the study's parties are not the same")
    prints = {card.name: card.fingerprint for card in cards}
    if fingerprints != prints:
        raise LedgerError(where, 1, "the study names other keys than the cards have")
    raw = bytes(opening.study)
    if study.canonical(prints) != raw or hashlib.sha256(study_digest.LABEL + raw).hexdigest() != opening.digest:
        raise LedgerError(where, 1, "the study digest does not cover this study with these keys")
    return study, {card.name: card for card in cards}


def _another_version(version: object) -> str:
    return (
        f"tells of a study of version {str(version)[:20]}; secure-gal {__version__} reads version "
        f"{study_digest.VERSION}: verify it with the release that wrote it"
    )


class Policy:
    """Which messages the manifest of one study allows."""

    def __init__(self, study: Study) -> None:
        self._study = study
        self.disclosures: dict[str, list[Disclosure]] = {}
        for item in who_learns_what(study):
            self.disclosures.setdefault(item.message, []).append(item)

    def problem(self, header: Header, digest: str) -> str:
        """The first rule that a message breaks, '' where it breaks none; its signature is checked elsewhere."""
        return self._form(header, digest) or self._fields(header) or self._disclosure(header)

    def agreed_problem(self, entry: ConsentEntry | BeyondEntry, opening: Opening) -> str:
        """Why the owner cannot have consented to this, or gone beyond this limit; '' where it can."""
        if isinstance(entry, ConsentEntry):
            fits = opening.owner != self._study.sponsor and entry.digest == opening.digest
            return "" if fits else "is no assistor's consent to this study"
        limit = limits_of(self._study, opening.owner).get(entry.limit)
        if limit is None or entry.usual != limit.usual:
            return (
                f"goes beyond a limit {entry.limit!r} of {entry.usual:g}, which {opening.owner} has not in this study"
            )
        problem = beyond_problem(limit, entry.stated)
        return problem and f"goes beyond {entry.limit}: {problem}"

    def _form(self, header: Header, digest: str) -> str:
        if header.version != VERSION:
            return f"protocol version {header.version}; this version reads {VERSION}"
        early = header.kind in BEFORE_RUN
        if header.study != digest and not (early and is_hex(header.study, 32)):  # "our studies differ" is legal
            return "belongs to another study"
        if early != (header.run == "") or not (early or is_hex(header.run, 32)):
            return "carries a run where it must not, or none where it must"
        return "" if header.round >= 0 else "has an impossible round"

    def _fields(self, header: Header) -> str:
        kind = MESSAGES.get(header.kind)
        if kind is None:
            return f"unknown message kind {header.kind!r}"
        if [f.name for f in header.fields] != [spec.name for spec in kind.FIELDS]:
            return f"{header.kind} has the fields {', '.join(spec.name for spec in kind.FIELDS)} and no others"
        for spec, info in zip(kind.FIELDS, header.fields, strict=True):
            if info.protection != spec.protection:
                return f"{header.kind}.{info.name} must be {spec.protection}, not {info.protection!r}"
            if info.dtype != spec.dtype or len(info.shape) != spec.ndim or not _sized(info):
                return f"{header.kind}.{info.name} must be {spec.dtype} with {spec.ndim} dimensions and fitting bytes"
        return ""

    def _disclosure(self, header: Header) -> str:
        """Data about persons travel only in messages that the manifest lists, that way round and so protected."""
        listed = self.disclosures.get(header.kind, [])
        if not listed:
            public = all(info.protection == "public" for info in header.fields)
            return "" if public else f"a study with this manifest has no {header.kind}: it would reveal data"
        sides = [(self._is(d.sender, header.sender) and self._is(d.receiver, header.recipient), d) for d in listed]
        fitting = [disclosure for fits, disclosure in sides if fits]
        if not fitting:
            return f"{header.kind} from {header.sender} to {header.recipient}: the manifest has it the other way round"
        readable = all(info.protection in READABLE for info in header.fields)
        if readable and not any(disclosure.protection in READABLE for disclosure in fitting):
            return f"{header.kind} is readable, but the manifest says: {fitting[0].protection}"
        return ""

    def _is(self, role: str, name: str) -> bool:
        return (role == "sponsor") == (name == self._study.sponsor)


def _sized(info: FieldInfo) -> bool:
    if not is_hex(info.digest, 32) or info.nbytes < 0 or any(size < 0 for size in info.shape):
        return False
    return info.dtype == "json" or info.nbytes == math.prod(info.shape) * np.dtype(info.dtype).itemsize


def protection_name(study: Study, protection: str) -> str:
    """A field's class for people: ciphertexts with their parameter set."""
    return f"ckks {study.protect.parameter_set}" if protection == "ckks" else protection
