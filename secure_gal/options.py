"""Options of a learner or a feature map: frozen dataclasses whose annotations say what each field accepts.

The same rule checks a value, words the error and fills the table in the documentation.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar, get_type_hints

from secure_gal.errors import SettingsError, StateError

WHERE = "[learner.options]"


class Rule(Protocol):
    """Which values a field accepts."""

    def fits(self, value: object) -> bool: ...
    def __str__(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number, both ends included."""

    low: int
    high: int | None = None

    def fits(self, value: object) -> bool:
        """Whether it is accepted."""
        if not isinstance(value, int) or isinstance(value, bool):
            return False
        return self.low <= value and (self.high is None or value <= self.high)

    def __str__(self) -> str:
        return f"a whole number, {self.low} {'or more' if self.high is None else f'to {self.high}'}"


@dataclass(frozen=True, slots=True)
class Number:
    """A finite number: at least `low`, or above it; below `below`."""

    low: float
    above: bool = False
    below: float = math.inf

    def fits(self, value: object) -> bool:
        """Whether it is accepted."""
        if not isinstance(value, int | float) or isinstance(value, bool):
            return False
        return (self.low < value if self.above else self.low <= value) and value < self.below

    def __str__(self) -> str:
        if self.above:
            return f"a number above {self.low:g}"
        return f"a number, {self.low:g} or more" if self.below == math.inf else f"{self._from}, below {self.below:g}"

    @property
    def _from(self) -> str:
        return f"a number from {self.low:g}"


@dataclass(frozen=True, slots=True)
class Choice:
    """One of these texts."""

    names: tuple[str, ...]

    def fits(self, value: object) -> bool:
        """Whether it is accepted."""
        return value in self.names

    def __str__(self) -> str:
        return ", ".join(self.names)


@dataclass(frozen=True, slots=True)
class Either:
    """What another rule accepts, or one word."""

    rule: Rule
    word: str

    def fits(self, value: object) -> bool:
        """Whether it is accepted."""
        return value == self.word or self.rule.fits(value)

    def __str__(self) -> str:
        return f'{self.rule}, or "{self.word}"'


@dataclass(frozen=True, slots=True)
class Flag:
    """True or false."""

    def fits(self, value: object) -> bool:
        """Whether it is accepted."""
        return isinstance(value, bool)

    def __str__(self) -> str:
        return "true, false"


@dataclass(frozen=True, slots=True)
class Text:
    """Text that is not empty."""

    what: str

    def fits(self, value: object) -> bool:
        """Whether it is accepted."""
        return isinstance(value, str) and bool(value)

    def __str__(self) -> str:
        return f"{self.what} as text"


@dataclass(frozen=True, slots=True)
class TakenBy:
    """What a library accepts, which says so itself when it is tried."""

    library: str

    def fits(self, value: object) -> bool:
        """Whether it is accepted here."""
        return True

    def __str__(self) -> str:
        return f"as {self.library} takes it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Checked when they are made; without fields there are none. A field whose default is None may be left out.

    Raises:
        SettingsError: a value outside its range; names the option and what is accepted.
    """

    def __post_init__(self) -> None:
        for name, rule in rules(type(self)).items():
            value = getattr(self, name)
            if value is not None and not rule.fits(value):
                raise SettingsError(f"{WHERE} {name}", f"{value!r}; accepted: {rule}")

    def given(self) -> dict[str, object]:
        """Those that are not None, by name."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: value for name, value in values.items() if value is not None}


O = TypeVar("O", bound=Options)  # noqa: E741


def rules(options: type[Options]) -> dict[str, Rule]:
    """The rule of each option, by name."""
    hints = get_type_hints(options, include_extras=True)
    return {field.name: hints[field.name].__metadata__[0] for field in dataclasses.fields(options)}


def check_names(given: Iterable[str], kind: str, *accepted: type[Options]) -> None:
    """SettingsError for an option that none of these has; `kind` is whose options they are."""
    known = {name for options in accepted for name in rules(options)}
    unknown = sorted(set(given) - known)
    if unknown:
        names = ", ".join(sorted(known)) or "none"
        raise SettingsError(WHERE, f"unknown {', '.join(unknown)} for {kind!r}; accepted: {names}")


def of_kind(options: type[O], given: Options) -> O:
    """Options that were read for this kind; StateError for another's."""
    if not isinstance(given, options):
        raise StateError(f"options of another kind: {given!r} in place of {options.__module__}'s")
    return given


def read(options: type[O], given: Mapping[str, object]) -> O:
    """Those of the given values that belong to these options, checked; defaults for the others."""
    return options(**{name: given[name] for name in rules(options) if name in given})
