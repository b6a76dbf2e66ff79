"""What can go wrong in a primitive. Whose fault that is, and what to do about it, is the caller's to say."""

from __future__ import annotations


class CryptoError(Exception):
    """Base of them all."""


class Malformed(CryptoError):
    """Bytes that came from outside break a rule: they are used no further. The text is the rule."""


class Unsuitable(CryptoError):
    """A parameter, a value or a file that was handed in cannot be used as it is; nothing was done.

    Args:
        what: which one, in the words of the primitive.
        problem: what is wrong with it, and what is accepted.
    """

    def __init__(self, what: str, problem: str) -> None:
        super().__init__(what, problem)
        self.what, self.problem = what, problem

    def __str__(self) -> str:
        return f"{self.what}: {self.problem}"


class Misuse(CryptoError):
    """Calls in an order, or arguments of a shape, that correct code never makes; the state is unchanged."""


class Refused(CryptoError):
    """The operating system refuses room, a file or a lock; the same call may succeed once that is mended."""


class KeyRetired(CryptoError):
    """A secret key may decrypt nothing more: its budget is spent, or a reply was refused after it was decrypted.

    Args:
        key: which one.
        reason: how it ended.
    """

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(key, reason)
        self.key, self.reason = key, reason

    def __str__(self) -> str:
        return f"{self.key}: this key has ended: {self.reason}. Nothing more can be decrypted under it"
