"""Which evaluation keys a secret key has made, so that whoever still has them need not be sent them again.

A file beside the key holds a tag of each digest, made with the secret that lies in the key's own file: a key that was
put in another one's place knows none of them. A file that is missing, cut or damaged costs bytes and nothing else.
"""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

from crypto.errors import Refused
from crypto.private_files import locked, replace

TAG_BYTES = 16
MAX_TAGS = 4096
"""The latest are kept; a key makes one a width and process, and does not come near."""


class Issued:
    """The record of one key: in a file beside it, or in memory for a key that is never saved.

    Args:
        secret: of the key's file.
        key: the key's file; None for a key in memory.
    """

    def __init__(self, secret: bytes, key: Path | None) -> None:
        self._secret, self._key = secret, key
        self._tags: list[bytes] = []

    def __repr__(self) -> str:
        return f"Issued({self._key})"

    def __contains__(self, said: str) -> bool:
        """Whether this key has made keys of which this is said: what they are for, and their digest."""
        return self._tag(said) in self._read()

    def add(self, said: str) -> None:
        """Remember keys that are about to be sent; on disk when this returns. Raises Refused."""
        if self._key is None:
            self._tags.append(self._tag(said))
            return
        try:
            with locked(self._key):
                there, tag = self._read(), self._tag(said)
                if tag not in there:
                    replace(self._file, b"".join([*there, tag][-MAX_TAGS:]))
        except OSError as error:
            raise Refused(f"{self._file} cannot be written: {error}") from error

    @property
    def _file(self) -> Path:
        assert self._key is not None  # noqa: S101  (asked for keys with a file only)
        return self._key.with_name(self._key.name + ".issued")

    def _read(self) -> list[bytes]:
        if self._key is None:
            return self._tags
        try:
            raw = self._file.read_bytes()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise Refused(f"{self._file} cannot be read: {error}") from error
        return [raw[i : i + TAG_BYTES] for i in range(0, len(raw) // TAG_BYTES * TAG_BYTES, TAG_BYTES)]

    def _tag(self, said: str) -> bytes:
        return hmac.digest(self._secret, b"secure-gal/1 issued keys\0" + said.encode(), hashlib.sha256)[:TAG_BYTES]
