"""Errors say whose fault it was; each class fixes the exit code of the command line.

Three families, as in h11: misuse by the person or our caller (`SettingsError`, `DataError`, `StateError`),
a violation by a peer (`PeerViolation`), and a failing environment (`EnvironmentFailure`). `Bug` is all the rest.
The primitives in `crypto/` raise neutral errors: `blamed`, `setting` and `ours` say whose fault one of them is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from crypto import errors as neutral


def printable(text: str, keep: str = "") -> str:
    """Text that may quote a peer or a stranger's file, with everything escaped that could steer a terminal.

    Args:
        keep: control characters that stay, such as line feeds of our own messages.
    """
    return "".join(c if c.isprintable() or c in keep else f"\\x{ord(c):02x}" for c in text)


SHOWN = 60
"""Characters of a value or a name that a line for a person shows."""


def short(text: str) -> str:
    """The same, printable, and cut where it is long."""
    return printable(text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}...")


def quoted(value: object) -> str:
    """A value as a message shows it: text between quotes, printable, and cut where it is long."""
    return f"'{short(value)}'" if isinstance(value, str) else short(repr(value))


class SecureGalError(Exception):
    """Base of every error that a person should read as one message, without a traceback."""

    exit_code = 1


class SettingsError(SecureGalError):
    """A settings file, key file or command-line value is wrong; nothing was sent and nothing is lost."""

    exit_code = 2

    def __init__(self, where: str, problem: str) -> None:
        super().__init__(f"{where}: {problem}")
        self.where, self.problem = where, problem

    def __reduce__(self) -> tuple[type[Self], tuple[str, str]]:
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

    def __reduce__(self) -> tuple[type[Self], tuple[str, str]]:
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


@contextmanager
def blamed(peer: str, about: str = "") -> Iterator[None]:
    """What is read and computed with in here came from `peer`: what is malformed is a violation of this peer.

    Args:
        about: stands before the rule.

    Raises:
        PeerViolation: a primitive found bytes malformed; its error is the cause.
        EnvironmentFailure, KeyRetired, StateError: as `ours`.
    """
    try:
        yield
    except neutral.Malformed as error:
        raise PeerViolation(peer, f"{about}{error}") from error
    except neutral.CryptoError as error:
        raise ours(error) from error


@contextmanager
def setting(where: str = "", kind: type[SettingsError] = SettingsError, **fields: str) -> Iterator[None]:
    """What is used in here came from a person's file or setting: what does not suit is an error of its.

    Args:
        where: the field or file in the person's words; without it, the primitive's own.
        fields: by the primitive's word for a parameter, the field that it comes from.
        kind: `DataError` where it is about the data.

    Raises:
        SettingsError: a primitive found a value unsuitable or a file malformed; its error is the cause.
        EnvironmentFailure, KeyRetired, StateError: as `ours`.
    """
    try:
        yield
    except neutral.Unsuitable as error:
        raise kind(fields.get(error.what, where or error.what), error.problem) from error
    except neutral.Malformed as error:
        raise kind(where, str(error)) from error
    except neutral.CryptoError as error:
        raise ours(error) from error


def ours(error: neutral.CryptoError) -> SecureGalError:
    """The same as one of our errors, where nobody outside is to blame."""
    if isinstance(error, neutral.KeyRetired):
        return KeyRetired(
            error.key,
            f"this key has ended: {error.reason}. Nothing more can be decrypted under it; learn anew with an "
            "empty run_dir at every party, which makes another key",
        )
    if isinstance(error, neutral.Unsuitable):
        return SettingsError(error.what, error.problem)
    if isinstance(error, neutral.Refused):
        return EnvironmentFailure(str(error))
    return StateError(str(error))  # misuse, or what no caller has said more about: a bug of ours
