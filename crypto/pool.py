"""Workers on other machines, for a program that has some: what it shares out goes to them instead of to its own cores.

Whoever starts the program connects to them and says so with `use`. What goes there is pickled, and what comes back is
unpickled: both sides are one owner's. A secret key never goes there: `SecretContext`, `Identity` and `SealingKey`
refuse to be pickled, and a private set intersection, whose blocks carry its scalar, takes no pool.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from crypto.errors import Refused, Unsuitable

Item = TypeVar("Item")
Result = TypeVar("Result")
Made = TypeVar("Made")
Given_co = TypeVar("Given_co", covariant=True)
Kept = object
"""Stands for a value that workers have; there until it is dropped here. As an argument of a call it is the value."""


class Lost(Refused):
    """What was sent or kept is gone with the workers that had it; sent again, the same call may succeed."""


@dataclass(frozen=True)
class Packed:
    """A value with the code that it needs and the other side may lack, as bytes."""

    raw: bytes = field(repr=False)

    @classmethod
    def of(cls, value: object) -> Packed:
        """Unsuitable if it holds what cannot be pickled, such as a lock or an open file."""
        import cloudpickle

        try:
            return cls(cloudpickle.dumps(value))
        except Exception as error:  # whatever its own `__reduce__` raises
            raise Unsuitable(type(value).__name__, f"{type(error).__name__}: {error}") from error

    def value(self) -> Any:
        """The value; Unsuitable if this process cannot import what it needs."""
        try:
            return pickle.loads(self.raw)  # noqa: S301  (both sides are one owner's)
        except Exception as error:  # whatever a module raises that is imported
            raise Unsuitable("modules", f"{type(error).__name__}: {error}") from error


@dataclass(frozen=True)
class Call(Generic[Given_co]):
    """`work(*arguments)`, on this worker if it is there, else on another one."""

    worker: int
    work: Callable[..., Given_co]
    arguments: tuple[object, ...]


class Pool(Protocol):
    """Worker processes by their number; every method raises Refused where they cannot be reached, and Lost."""

    @property
    def size(self) -> int:
        """How many there are."""
        ...

    def send(self, value: object) -> Kept:
        """For whichever worker a call with it comes to, once each."""
        ...

    def send_once(self, array: object) -> Kept:
        """As `send`, of an array, or what can be made one; of the same object or contents, sent lately, not again."""
        ...

    def pack(self, value: object) -> Packed:
        """With modules of the owner's own; Unsuitable as `Packed.of`."""
        ...

    def everywhere(self, work: Callable[..., Result], *arguments: object) -> Mapping[str, Result]:
        """What each worker makes of it, by the worker's address."""
        ...

    def keep(self, call: Call[object]) -> Kept:
        """Its result stays where it was made."""
        ...

    def run(self, calls: Sequence[Call[Result]]) -> list[Result]:
        """Results in order; raises what a call raises."""
        ...

    def forget(self) -> None:
        """After Lost: nothing counts as sent any more."""
        ...


_pool: Pool | None = None


def use(pool: Pool | None) -> None:
    """From now on; a program has one set of workers, as it has one set of cores."""
    global _pool
    _pool = pool


def current() -> Pool | None:
    """The pool in use."""
    return _pool


def processes() -> int:
    """Worker processes that work may be shared out to: of the pool, or one a core of this machine."""
    if _pool is not None:
        return _pool.size
    from joblib import cpu_count

    return int(cpu_count())


def twice(pool: Pool, work: Callable[[], Result]) -> Result:
    """Do it, and once more if what was sent is lost: a worker that died is started again soon, or there are others."""
    try:
        return work()
    except Lost:
        pool.forget()
        return work()


class Team(Generic[Made]):
    """Workers that each keep something of one job between calls.

    Args:
        count: how many, one after the other on the pool's workers.
        make: `make(number, *material)`, on the worker.
        material: sends what they all are made of; asked once, and again if it is lost.
    """

    def __init__(
        self, pool: Pool, count: int, make: Callable[..., Made], material: Callable[[Pool], tuple[Kept, ...]]
    ) -> None:
        self._pool, self._count, self._make, self._material = pool, count, make, material
        self._sent: tuple[Kept, ...] = ()
        self._kept: list[Kept] = []

    def run(self, task: Callable[[Made, Item], Result], items: Sequence[Item]) -> list[Result]:
        """`task(kept, item)` for every item, in order; items go round by number. Raises as `Pool.run`."""
        return twice(self._pool, lambda: self._run(task, items))

    def _run(self, task: Callable[[Made, Item], Result], items: Sequence[Item]) -> list[Result]:
        kept, self._kept = self._kept or self._placed(), []  # none after an error: they may be lost
        sent = self._pool.send((task, items))
        places = [i % self._count for i in range(len(items))]
        done = self._pool.run([Call(at, _do, (kept[at], sent, i)) for i, at in enumerate(places)])
        self._kept = kept
        return done

    def _placed(self) -> list[Kept]:
        self._sent = self._material(self._pool)  # held, so that what is made of it can be made again
        return [self._pool.keep(Call(i, self._make, (i, *self._sent))) for i in range(self._count)]


def _do(kept: Made, sent: tuple[Callable[[Made, Item], Result], Sequence[Item]], number: int) -> Result:
    task, items = sent
    return task(kept, items[number])
