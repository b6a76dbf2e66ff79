"""Bytes <-> messages: one strict, bounded, signed format (PROTOCOL.md, "On the wire").

Frames: [canonical JSON header, Ed25519 signature (64), salts (16 a field), payload frames...]. A payload is raw
bytes: little-endian tensors or JSON, cut into frames of CHUNK bytes. The signature covers the header, and the header
covers each payload by a salted SHA-256, so that a record of headers can be verified without the payloads.
"""

from __future__ import annotations

import hashlib
import math
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from crypto.identity import Card, Identity, verify
from secure_gal.errors import PeerViolation, StateError, WrongName, blamed
from secure_gal.messages import (
    MAX_JSON_BYTES,
    MAX_OUTPUTS,
    MAX_ROWS,
    MAX_SMALL_JSON_BYTES,
    MESSAGES,
    FieldSpec,
    Message,
)
from transport.events import Frame

VERSION = 1
CHUNK = 8 << 20
"""Bytes of a payload frame: a 100 MB single frame ran at half the speed of frames of this size under CURVE."""
SALT_BYTES = 16
SIGNATURE_BYTES = 64
MAX_HEADER_BYTES = 16 << 10
"""Bytes of a header; a real one has under 1,000."""
SMALL = 10
"""Bytes of a structured field, in digits: 10 to 99."""
SIGN_LABEL = b"secure-gal/1 message\0"
HEX_64 = re.compile("[0-9a-f]{64}")


class FieldInfo(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the header says of one payload field."""

    name: str
    protection: str
    dtype: str
    shape: tuple[int, ...]
    nbytes: int
    digest: str


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The canonical, signed header of a message."""

    version: int
    kind: str
    study: str
    run: str
    round: int
    sender: str
    recipient: str
    seq: int
    fields: tuple[FieldInfo, ...]


@dataclass(frozen=True, slots=True)
class Limits:
    """The receiver's limits: rows and outputs of a tensor, bytes of a list of ids and of any other structured field,
    number and size of ciphertexts, bytes of masked ids, sealed messages and key sets."""

    rows: int = MAX_ROWS
    outputs: int = MAX_OUTPUTS
    json_bytes: int = MAX_JSON_BYTES
    small_json_bytes: int = MAX_SMALL_JSON_BYTES
    ciphertexts: int = 1 << 18
    """2^18 ciphertexts of 8,192 values each hold 2^31 values, the largest tensor that is accepted in the clear."""
    ciphertext_bytes: int = 1 << 20
    """A ciphertext of the largest parameter set has under 0.5 MB."""
    masked_bytes: int = 32
    """A masked id has 32 bytes, a tag fewer."""
    sealed_bytes: int = 1 << 30
    """A sealed fit of a million rows and ten outputs has under 0.3 GB."""
    key_bytes: int = 64 << 20
    """The largest key set has under 40 MB."""


@dataclass(frozen=True, slots=True)
class Received:
    """A message that passed every check of this layer."""

    header: Header
    signature: bytes
    message: Message


def encode(
    message: Message, *, study: str, run: str, sender: str, recipient: str, seq: int, identity: Identity
) -> list[Frame]:
    """Signed frames of one message; tensor frames are views of the tensor's memory, not copies."""
    infos, salts, chunks = [], [], []
    for spec in message.FIELDS:
        payload, shape = _payload(spec, getattr(message, spec.name))
        salt = secrets.token_bytes(SALT_BYTES)
        digest = payload_digest(salt, [payload])
        infos.append(FieldInfo(spec.name, spec.protection, spec.dtype, shape, payload.nbytes, digest))
        salts.append(salt)
        chunks += [payload[i : i + CHUNK] for i in range(0, payload.nbytes, CHUNK)]
    header = Header(VERSION, message.KIND, study, run, message.round, sender, recipient, seq, tuple(infos))
    raw = msgspec.json.encode(header)
    return [raw, identity.sign(SIGN_LABEL + raw), b"".join(salts), *chunks]


def around(kind: str, sender: str, recipient: str, nbytes: int) -> int:
    """Bytes of header, signature and salts of a message of a run, whose payload has so many, to a few digits.

    Shapes are taken as (nbytes, 1, ...) of one field, and sequence numbers as two digits.
    """
    specs = MESSAGES[kind].FIELDS
    digest = "0" * 64
    sizes = [nbytes if spec.dtype != "json" or len(specs) == 1 else SMALL for spec in specs]
    infos = (
        FieldInfo(spec.name, spec.protection, spec.dtype, (size, *[1] * (spec.ndim - 1))[: spec.ndim], size, digest)
        for spec, size in zip(specs, sizes, strict=True)
    )
    run = "" if MESSAGES[kind].ABOUT.before_run else digest
    header = Header(VERSION, kind, digest, run, 1, sender, recipient, 10, tuple(infos))
    return len(msgspec.json.encode(header)) + SIGNATURE_BYTES + SALT_BYTES * len(specs)


def announced(head: Sequence[Frame], rest: int, *, sender: Card, recipient: str, limits: Limits) -> Header:
    """The header of a message whose payload, `rest` bytes, is still to come: signed, and within the limits.

    Args:
        head: the first three frames.

    Raises:
        PeerViolation: naming the peer and the first rule that they break.
    """
    header, _ = _opened(head, sender, recipient, limits)
    if rest != sum(info.nbytes for info in header.fields):
        raise PeerViolation(sender.name, f"{header.kind}: {rest} bytes follow a header that says otherwise")
    return header


def decode(frames: Sequence[Frame], *, sender: Card, recipient: str, limits: Limits) -> Received:
    """Parse, verify and check one message; `sender` is the card of the authenticated channel's peer.

    Raises:
        PeerViolation: naming the peer and the first rule that the frames break.
    """
    peer = sender.name
    header, kind = _opened(frames, sender, recipient, limits)
    values: dict[str, object] = {}
    rest, salts = list(frames[3:]), bytes(frames[2])
    for index, (spec, info) in enumerate(zip(kind.FIELDS, header.fields, strict=True)):
        count = math.ceil(info.nbytes / CHUNK)
        parts, rest = rest[:count], rest[count:]
        salt = salts[index * SALT_BYTES : (index + 1) * SALT_BYTES]
        values[spec.name] = _value(peer, spec, info, parts, salt)
    if rest:
        raise PeerViolation(peer, f"{header.kind} has {len(rest)} frames too many")
    make: Callable[..., Message] = kind
    return Received(header, bytes(frames[1]), make(**values, round=header.round))


def _opened(frames: Sequence[Frame], sender: Card, recipient: str, limits: Limits) -> tuple[Header, type[Message]]:
    """Everything that can be checked before a payload is there."""
    peer = sender.name
    header, raw = _header(peer, frames)
    signature = bytes(frames[1])
    if len(signature) != SIGNATURE_BYTES:
        raise PeerViolation(peer, f"a signature has {SIGNATURE_BYTES} bytes")
    with blamed(peer):
        verify(sender, SIGN_LABEL + raw, signature)
    if header.sender != peer or header.recipient != recipient:
        raise WrongName(peer, f"a message from {header.sender!r} to {header.recipient!r} on this channel")
    kind = MESSAGES.get(header.kind)
    if kind is None:
        raise PeerViolation(peer, f"unknown message kind {header.kind!r}")
    if len(header.fields) != len(kind.FIELDS) or len(frames[2]) != SALT_BYTES * len(kind.FIELDS):
        raise PeerViolation(peer, f"{header.kind} has {len(kind.FIELDS)} fields, each with a salt")
    for spec, info in zip(kind.FIELDS, header.fields, strict=True):
        _check_info(peer, header.kind, spec, info, limits)
    return header, kind


def size(frames: Sequence[Frame]) -> int:
    """Bytes of a message over all its frames, without ZeroMQ's own framing."""
    return sum(memoryview(frame).nbytes for frame in frames)


def _header(peer: str, frames: Sequence[Frame]) -> tuple[Header, bytes]:
    if len(frames) < 3 or len(frames[0]) > MAX_HEADER_BYTES:
        raise PeerViolation(peer, f"a message has a header of at most {MAX_HEADER_BYTES} bytes, a signature and salts")
    raw = bytes(frames[0])
    try:
        header = msgspec.json.decode(raw, type=Header)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise PeerViolation(peer, f"an unreadable header: {error}") from error
    if msgspec.json.encode(header) != raw:
        raise PeerViolation(peer, "the header is not canonical")
    if header.version != VERSION:
        raise PeerViolation(
            peer,
            f"speaks protocol version {header.version}; this version speaks {VERSION}: "
            "install the same release on both sides",
        )
    if not HEX_64.fullmatch(header.study) or (header.run and not HEX_64.fullmatch(header.run)):
        raise PeerViolation(peer, "study and run must be 64 hex digits")
    if header.seq < 1 or header.round < 0:
        raise PeerViolation(peer, "sequence numbers start at 1 and rounds at 0")
    return header, raw


def _payload(spec: FieldSpec, value: object) -> tuple[memoryview, tuple[int, ...]]:
    if spec.dtype == "json":
        return memoryview(msgspec.json.encode(value)), ()
    array = np.ascontiguousarray(value, dtype=np.dtype(spec.dtype))
    if array.ndim != spec.ndim or array.dtype.str != np.asarray(value).dtype.str:
        raise StateError(f"field {spec.name} must be {spec.dtype} with {spec.ndim} dimensions")
    flat = array.reshape(-1).view(np.uint8) if array.size else np.zeros(0, dtype=np.uint8)
    return memoryview(flat.data), array.shape


def payload_digest(salt: bytes, parts: Sequence[Frame]) -> str:
    """Salted SHA-256 (hex) of a payload in parts, as a header gives it."""
    digest = hashlib.sha256(salt)
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def _check_info(peer: str, kind: str, spec: FieldSpec, info: FieldInfo, limits: Limits) -> None:
    where = f"{kind}.{spec.name}"
    if (info.name, info.dtype, len(info.shape)) != (spec.name, spec.dtype, spec.ndim):
        raise PeerViolation(peer, f"{where} must be {spec.dtype} with {spec.ndim} dimensions")
    if info.protection != spec.protection:
        raise PeerViolation(peer, f"{where} must be {spec.protection}, not {info.protection!r}")
    if spec.dtype == "json":
        most = limits.json_bytes if spec.many_ids else limits.small_json_bytes
        if not 0 <= info.nbytes <= most:
            raise PeerViolation(peer, f"{where} may have at most {most} bytes")
        return
    for size, name in zip(info.shape, spec.bounds, strict=False):
        bound = getattr(limits, name)
        if not 0 <= size <= bound:
            raise PeerViolation(peer, f"{where} may have at most {bound} {name.replace('_', ' ')}, not {size}")
    if info.nbytes != math.prod(info.shape) * np.dtype(spec.dtype).itemsize:
        raise PeerViolation(peer, f"{where}: bytes do not fit the shape")


def _value(peer: str, spec: FieldSpec, info: FieldInfo, parts: Sequence[Frame], salt: bytes) -> object:
    sizes = [len(part) for part in parts]
    expected = [min(CHUNK, info.nbytes - i) for i in range(0, info.nbytes, CHUNK)]
    if sizes != expected:
        raise PeerViolation(peer, f"{spec.name}: the payload frames do not add up to its {info.nbytes} bytes")
    if payload_digest(salt, parts) != info.digest:
        raise PeerViolation(peer, f"{spec.name}: the payload is not the one that was signed")
    raw = parts[0] if len(parts) == 1 else b"".join(parts)
    if spec.dtype == "json":
        try:
            value = msgspec.json.decode(raw, type=spec.json_type)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise PeerViolation(peer, f"{spec.name} is unreadable: {error}") from error
        if msgspec.json.encode(value) != bytes(raw):
            raise PeerViolation(peer, f"{spec.name} is not canonical")
        return value
    return np.frombuffer(raw, dtype=np.dtype(spec.dtype)).reshape(info.shape)
