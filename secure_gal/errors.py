"""Errors say whose fault it was; each class fixes the exit code of the command line.

Three families, as in h11: misuse by the person or our caller (`SettingsError`, `DataError`, `StateError`),
a violation by a peer (`PeerViolation`), and a failing environment (`EnvironmentFailure`). `Bug` is all the rest.
"""

from __future__ import annotations

import re
from typing import Any

NAME_PATTERN = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
"""What a party or study may be called; use `fullmatch`. Names become file names, so no dots and no slashes."""
NAME_RULE = "lower-case letters, digits, '-' and '_', 1 to 32, starting with a letter or digit"
"""The same in words."""


def printable(text: str, keep: str = "") -> str:
    """Text that may quote a peer or a stranger's file, with everything escaped that could steer a terminal.

    Args:
        keep: control characters that stay, such as line feeds of our own messages.
    """
    return "".join(c if c.isprintable() or c in keep else f"\\x{ord(c):02x}" for c in text)


class SecureGalError(Exception):
    """Base of every error that a person should read as one message, without a traceback."""

    exit_code = 1


class SettingsError(SecureGalError):
    """A settings file, key file or command-line value is wrong; nothing was sent and nothing is lost."""

    exit_code = 2

    def __init__(self, where: str, problem: str) -> None:
        super().__init__(f"{where}: {problem}")
        self.where, self.problem = where, problem

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.where, self.problem)  # so that a worker process can raise it here


class DataError(SettingsError):
    """A table cannot be used as it is; the message names the file, the column or row, and the fix."""


class KeyRetired(SettingsError):
    """A secret key may decrypt nothing more: its budget is spent, or a peer's reply was refused after decryption."""


class ConsentError(SecureGalError):
    """A party has not consented to what the study would reveal, or its data has given away what it may; nothing more
    was sent."""

    exit_code = 3


class PeerViolation(SecureGalError):
    """A peer broke a rule of the protocol. The study can go on only with that peer mended.

    The message is for this side's log; the peer is told nothing more than that the study ended.
    """

    exit_code = 4

    def __init__(self, peer: str, rule: str) -> None:
        super().__init__(f"{peer} broke a rule of the protocol: {rule}")
        self.peer = peer
        self.rule = rule

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.peer, self.rule)


class WrongName(PeerViolation):
    """A pinned key signed or addressed a message under another name: it is refused and logged; the study goes on."""


class EnvironmentFailure(SecureGalError):
    """The machine failed us (port, disk, file mode, device); the study can be resumed once it is mended."""

    exit_code = 5


class Paused(SecureGalError):
    """The study ended early in good order, with its state saved; the same command goes on from there."""

    exit_code = 6


class StateError(SecureGalError):
    """Our own code asked for a step that is not legal in this state: a bug of ours; the state is unchanged."""

    exit_code = 7


class Bug(SecureGalError):
    """Our own code failed in a way that nobody foresaw; what was committed is on the disk, and a log says where."""

    exit_code = 70
