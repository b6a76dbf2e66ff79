"""Where an assistor keeps the sponsor's evaluation keys between runs of one study."""

from __future__ import annotations

from typing import Protocol


class KeptKeys(Protocol):
    """The keys that came last in a study of this digest, and so from this sponsor."""

    def get(self) -> bytes:
        """Them; empty where there are none, or none that can be read."""
        ...

    def put(self, raw: bytes) -> None:
        """Keep these in place of the others, or say that it cannot be: no run depends on it."""
        ...


class NothingKept:
    """Every run gets keys of its own."""

    def get(self) -> bytes:
        """There are none."""
        return b""

    def put(self, raw: bytes) -> None:
        """They are forgotten."""
