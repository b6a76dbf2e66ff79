"""The optional payload archive: every message whole, encrypted at rest under a key of the party's own.

One file a ledger entry, `archive/SEQ.sealed`: nonce (12 bytes) and ChaCha20-Poly1305 (RFC 8439) of the message's
frames, with the ledger number as associated data. It is written before the step is committed, so every entry of the
ledger has its file; one that was never committed is overwritten by the next entry of that number.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from crypto.identity import Identity
from secure_gal.errors import EnvironmentFailure, SettingsError
from transport.events import Frame
from transport.ledger_entries import MessageEntry, decode
from transport.wire import SALT_BYTES, payload_digest

LABEL = b"payload archive"
NONCE_BYTES = 12


class Archive:
    """The archive of one run directory."""

    def __init__(self, run_dir: Path, identity: Identity) -> None:
        self._folder = run_dir / "archive"
        self._aead = ChaCha20Poly1305(identity.derive_key(LABEL))

    def __repr__(self) -> str:
        return f"Archive({self._folder})"

    def write(self, seq: int, frames: Sequence[Frame]) -> None:
        """Keep the frames of the message that ledger entry `seq` tells of.

        Raises:
            EnvironmentFailure: the disk is full or failing; nothing of the step may be sent.
        """
        nonce = secrets.token_bytes(NONCE_BYTES)
        plain = msgspec.msgpack.encode([bytes(frame) for frame in frames])
        path = self._path(seq)
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            part = path.with_suffix(".part")
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(nonce + self._aead.encrypt(nonce, plain, _associated(seq)))
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, path)
        except OSError as error:
            raise EnvironmentFailure(
                f"{path}: the archive could not be written: {error.strerror}; nothing of this step "
                "was sent. Free some disk space and start the same command again"
            ) from error

    def read(self, seq: int) -> list[bytes]:
        """The frames of entry `seq`.

        Raises:
            SettingsError: there is no such file, or it was altered, or sealed by another party.
        """
        path = self._path(seq)
        try:
            raw = path.read_bytes()
            plain = self._aead.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], _associated(seq))
        except OSError as error:
            raise SettingsError(str(path), f"cannot be read: {error.strerror}; was [audit] archive on?") from error
        except (InvalidTag, ValueError):
            raise SettingsError(str(path), "was altered, renamed, or sealed with another key") from None
        return msgspec.msgpack.decode(plain, type=list[bytes])

    def _path(self, seq: int) -> Path:
        return self._folder / f"{seq:08d}.sealed"


def _associated(seq: int) -> bytes:
    return b"secure-gal/1 archive\0" + seq.to_bytes(8, "big")


def extract(archive: Archive, line: bytes, out: Path) -> list[Path]:
    """Write the payload fields of one ledger line as .npy or .json files, after checking them against its digests.

    Raises:
        SettingsError: the line tells of no message, or the archived payload is not the one that the ledger tells of.
    """
    entry = decode(line, "ledger", None)
    if not isinstance(entry, MessageEntry):
        raise SettingsError("--seq", f"entry {entry.seq} of the ledger tells of no message")
    frames, written = archive.read(entry.seq), []
    salts, body = frames[2], b"".join(frames[3:])
    out.mkdir(mode=0o700, parents=True, exist_ok=True)
    for index, info in enumerate(entry.header.fields):
        payload, body = body[: info.nbytes], body[info.nbytes :]
        salt = salts[index * SALT_BYTES : (index + 1) * SALT_BYTES]
        if payload_digest(salt, [payload]) != info.digest:
            raise SettingsError(f"entry {entry.seq}", f"field {info.name} is not the payload that the ledger tells of")
        path = out / f"{entry.seq:08d}-{info.name}.{'json' if info.dtype == 'json' else 'npy'}"
        path.unlink(missing_ok=True)  # of an earlier time, or somebody else's, with a mode of its own
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            if info.dtype == "json":
                file.write(payload)
            else:
                values = np.frombuffer(payload, dtype=np.dtype(info.dtype)).reshape(info.shape)
                np.save(file, values, allow_pickle=False)
        written.append(path)
    return written
