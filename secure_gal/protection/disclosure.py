"""One line of who learns what: what modes of protection tell the manifest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from secure_gal.settings.study import Study


@dataclass(frozen=True, slots=True)
class Disclosure:
    """One line of who-learns-what."""

    message: str
    sender: str
    receiver: str
    content: str
    protection: str
    inference: str
    readable: bool = False
    """Encrypted on the way, but decrypted by its receiver."""


def in_the_clear(item: Disclosure) -> bool:
    """Whether the receiver can read data about persons out of this message, once it has done what the protocol does."""
    return item.protection == "clear" or item.readable


Lines = Callable[[Study], tuple[Disclosure, ...]]
"""What a mode tells the manifest about a study."""
