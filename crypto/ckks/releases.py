"""Which ciphertexts a secret key has decrypted, how the noise of each source adds up, and when it may decrypt no more.

The noise of `crypto.ckks.release` covers a number of ciphertexts *under one key*, whatever they belong to. So the count
lies beside the key. An answer that is refused after decryption is an answer, too: it tells one bit about the key, so
the first one ends it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from crypto.errors import KeyRetired, Refused
from crypto.private_files import locked, replace

TAG_BYTES = 16
"""Of SHA-256 over a ciphertext: the same one decrypted again, which gives the same values, is one release."""


class _Retired(msgspec.Struct, frozen=True):
    reason: str
    released: int


class Releases:
    """The account of one key: in a file beside it, or in memory for a key that is never saved.

    Args:
        budget: ciphertexts that may be decrypted.
        key: the key's file; None for a key in memory.
    """

    def __init__(self, budget: int, key: Path | None = None) -> None:
        self._budget, self.key = budget, key
        self._seen: set[bytes] = set()
        self._torn = 0
        self._reason = ""
        self._squares: dict[str, tuple[int, float]] = {}

    @property
    def count(self) -> int:
        """Ciphertexts that were decrypted so far."""
        with self._alone():
            return self._counted

    @property
    def _counted(self) -> int:
        return len(self._seen) + bool(self._torn)

    def check(self) -> None:
        """Raises KeyRetired if nothing may be decrypted any more."""
        with self._alone():
            pass

    def admit(self, ciphertexts: Sequence[bytes]) -> bool:
        """Count ciphertexts that are about to be decrypted; on disk when this returns.

        Returns:
            whether any of them is decrypted for the first time.

        Raises:
            KeyRetired: the key has ended, or ends here because its budget is spent.
            Refused: the account cannot be written; nothing may be decrypted.
        """
        tags = dict.fromkeys(hashlib.sha256(c).digest()[:TAG_BYTES] for c in ciphertexts)
        with self._alone():
            new = [tag for tag in tags if tag not in self._seen]
            if self._counted + len(new) > self._budget:
                self._end(f"it has decrypted {self._counted} ciphertexts, and its noise covers {self._budget}")
                raise self._retired()
            self._append(new)
            self._seen.update(new)
            return bool(new)

    def retire(self, reason: str) -> None:
        """End the key: its file is erased, and whoever asks for it later is told why."""
        with self._alone():
            self._end(reason)

    def add_squares(self, source: str, count: int, total: float) -> tuple[int, float]:
        """Add a sum of squares over `count` numbers to what replies of this source gave before; returns the whole."""
        with self._alone():
            before = self._read_squares().get(source, (0, 0.0))
            self._squares[source] = after = (before[0] + count, before[1] + total)
            if self.key is not None:
                replace(self._beside(".squares"), msgspec.json.encode(self._squares))
            return after

    # files

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the account, as it is on disk now; KeyRetired."""
        if self.key is None:
            if self._reason:
                raise self._retired()
            yield
            return
        try:
            with locked(self.key):
                self._refresh()
                yield
        except OSError as error:
            raise Refused(f"the account of {self.key} cannot be kept: {error}") from error

    def _refresh(self) -> None:
        try:
            kept = msgspec.json.decode(self._beside(".retired").read_bytes(), type=_Retired)
        except FileNotFoundError:
            pass
        except msgspec.MsgspecError:
            self._reason = "the file that says why is damaged"
        else:
            self._reason = kept.reason
        if self._reason:
            raise self._retired()
        try:
            raw = self._beside(".releases").read_bytes()
        except FileNotFoundError:
            raw = b""
        self._torn = len(raw) % TAG_BYTES  # of a process that was killed: counted, never read
        whole = range(0, len(raw) - self._torn, TAG_BYTES)
        self._seen = {raw[i : i + TAG_BYTES] for i in whole}

    def _append(self, tags: Sequence[bytes]) -> None:
        if self.key is None or not tags:
            return
        filled = bytes(-self._torn % TAG_BYTES)
        descriptor = os.open(self._beside(".releases"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "ab") as file:
            file.write(filled + b"".join(tags))
            file.flush()
            os.fsync(file.fileno())

    def _read_squares(self) -> dict[str, tuple[int, float]]:
        if self.key is not None and self._beside(".squares").exists():
            try:
                raw = self._beside(".squares").read_bytes()
                self._squares = msgspec.json.decode(raw, type=dict[str, tuple[int, float]])
            except msgspec.MsgspecError:
                self._squares = {}
        return self._squares

    def _end(self, reason: str) -> None:
        self._reason = reason
        if self.key is None:
            return
        replace(self._beside(".retired"), msgspec.json.encode(_Retired(reason, self._counted)))
        erase(self.key)

    def _beside(self, suffix: str) -> Path:
        assert self.key is not None  # noqa: S101  (asked for keys with a file only)
        return self.key.with_name(self.key.name + suffix)

    def _retired(self) -> KeyRetired:
        where = "the CKKS key" if self.key is None else str(self.key)
        return KeyRetired(where, self._reason)


def erase(path: Path) -> None:
    """Overwrite a file and remove it; what an SSD, a snapshot or a backup keeps is beyond this.

    Raises:
        OSError: it cannot be written.
    """
    try:
        with path.open("r+b") as file:
            file.write(bytes(path.stat().st_size))
            file.flush()
            os.fsync(file.fileno())
        path.unlink()
    except FileNotFoundError:
        pass
