"""Kinds by name, a file each: found by the file's name, imported when one is asked for.

Whoever drops `forest.py` into the package has added the kind `forest`; nothing else lists it, and no name that has no
file is ever made into something.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import Generic, Protocol, TypeVar

from secure_gal.errors import SettingsError, StateError


class Named(Protocol):
    """What a registry holds."""

    @property
    def name(self) -> str: ...


K = TypeVar("K", bound=Named)


class Registry(Generic[K]):
    """The kinds of one package.

    Args:
        package: of their files; each file registers the kind of its own name when it is imported.
        besides: what else may be named than these kinds, for messages.
    """

    def __init__(self, package: str, besides: str) -> None:
        self._package, self._besides = package, besides
        self._kinds: dict[str, K] = {}

    def register(self, kind: K) -> None:
        """Take a kind; StateError for a name that is taken."""
        if kind.name in self._kinds:
            raise StateError(f"two files of {self._package} register {kind.name!r}")
        self._kinds[kind.name] = kind

    def names(self) -> tuple[str, ...]:
        """All names in alphabetical order; nothing is imported but the package."""
        path = importlib.import_module(self._package).__path__
        return tuple(sorted(module.name for module in pkgutil.iter_modules(path)))

    def every(self) -> tuple[K, ...]:
        """All kinds, in the order of `names`; this imports all files."""
        return tuple(self.find(name, "") for name in self.names())

    def find(self, name: str, where: str) -> K:
        """The kind of this name.

        Args:
            where: the setting that names it, for the message.

        Raises:
            SettingsError: there is none; names those that there are.
            StateError: its file does not register it.
        """
        if name not in self.names():
            raise SettingsError(where, f"{name!r}; {self.accepted(self.names())}")
        importlib.import_module(f"{self._package}.{name}")
        if name not in self._kinds:
            raise StateError(f"{self._package}.{name} does not register {name!r}")
        return self._kinds[name]

    def accepted(self, names: tuple[str, ...], start: str = "accepted: ") -> str:
        """These names and what else may stand there, in words."""
        return f"{start}{', '.join(names)} or {self._besides}"
