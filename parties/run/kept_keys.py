"""Evaluation keys in an assistor's home, one file a study digest: a later run of the study need not fetch them again.

The digest covers the sponsor's card, so they are this sponsor's. Nothing here is trusted: the keys that a run uses are
those whose digest the sponsor knows, checked like any that arrive. A file that is damaged, lost or of another release
costs bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from crypto.private_files import locked, replace
from transport.wire import Limits

FOLDER, SUFFIX = "evaluation-keys", ".keys"
MAX_STUDIES = 8
"""The keys of those that fetched theirs last are kept."""


class KeysAtHome:
    """The keys of one study.

    Args:
        home: the party's.
        digest: the study's.
        warn: told what a person should know.
    """

    def __init__(self, home: Path, digest: str, warn: Callable[[str], None]) -> None:
        self._path, self._warn = home / FOLDER / f"{digest}{SUFFIX}", warn

    def __repr__(self) -> str:
        return f"KeysAtHome({self._path})"

    def get(self) -> bytes:
        """The keys; empty where there are none, or none that can be read."""
        try:
            if self._path.stat().st_size > Limits().key_bytes:
                raise OSError(f"it is larger than {Limits().key_bytes:,} bytes")
            return self._path.read_bytes()
        except FileNotFoundError:
            return b""
        except OSError as error:
            self._warn(f"{self._path} cannot be used ({error}): the sponsor sends its evaluation keys again")
            return b""

    def put(self, raw: bytes) -> None:
        """Keep keys in place of the study's others, mode 0600, and those of MAX_STUDIES studies at most."""
        try:
            with locked(self._path.parent / "kept"):
                replace(self._path, raw)
                there = sorted(self._path.parent.glob(f"*{SUFFIX}"), key=lambda path: path.stat().st_mtime_ns)
                for path in there[:-MAX_STUDIES]:
                    path.unlink()
        except OSError as error:
            self._warn(
                f"{self._path} cannot be written ({error}): this run goes on, and the next one of this study fetches "
                "the sponsor's evaluation keys again; make room, or let this user write there"
            )
