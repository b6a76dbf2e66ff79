"""Dask's workers as a pool (`crypto.pool`).

Dask's own client, and not joblib's backend for it: that has no word for which worker a call is for, so encodings would
be made anew all the time, and it is a setting of the thread, so that everything else which uses joblib would go there
too: an alignment's secret scalar (decision 0025).
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any, TypeVar

import cloudpickle
import numpy as np
import numpy.typing as npt
from distributed import Client, Future, wait
from distributed.comm import CommClosedError
from distributed.scheduler import KilledWorker

from crypto.pool import Call, Lost, Packed
from parties.workers.own_code import own_modules
from secure_gal.errors import EnvironmentFailure
from secure_gal.settings.workers import WHERE

Result = TypeVar("Result")
LOOK_SECONDS = 5.0
"""How often it is looked whether there are workers at all."""
PATIENCE_SECONDS = 60.0
"""How long work waits while there are none; a worker that died is started again in less."""
KEPT_ARRAYS = 4
"""Arrays of `send_once` that stay on the workers."""
AGAIN = "then start the same command again: what was committed is on the disk"


class DaskPool:
    """The workers that a scheduler has now; those that come later work only in place of others.

    Args:
        client: connected.
        address: of the scheduler, for messages.
        workers: their addresses.
        folder: the party file's; modules from there go along with what is packed.
    """

    def __init__(self, client: Client, address: str, workers: Sequence[str], folder: Path) -> None:
        self._client, self._address, self._workers, self._folder = client, address, sorted(workers), folder
        self._once: dict[bytes, Future] = {}
        self._digests: list[tuple[object, bytes]] = []

    @property
    def size(self) -> int:
        """How many there are."""
        return len(self._workers)

    def send(self, value: object) -> Future:
        """To one worker, through the scheduler; others have it from there when they need it.

        (Dask's `broadcast` never ends where a worker dies meanwhile.)
        """
        with self._explained():
            return self._client.scatter([value], hash=False)[0]

    def send_once(self, array: object) -> Future:
        """As `send`; of the same object, or arrays with the same contents and type, only the first, as long as it is
        among the last ones. What is sent must not change."""
        digest = next((digest for seen, digest in self._digests if seen is array), None)
        if digest is None or digest not in self._once:
            values = np.asarray(array)
            if digest is None:
                digest = _digest(values)
                self._digests = [*self._digests, (array, digest)][-KEPT_ARRAYS:]
            if digest not in self._once:
                self._once[digest] = self.send(values)
        self._once[digest] = self._once.pop(digest)
        while len(self._once) > KEPT_ARRAYS:
            del self._once[next(iter(self._once))]
        return self._once[digest]

    def pack(self, value: object) -> Packed:
        """With the modules that lie in the party's folder and are of no installed package."""
        own = own_modules(self._folder)
        for module in own:
            cloudpickle.register_pickle_by_value(module)
        try:
            return Packed.of(value)
        finally:
            for module in own:
                cloudpickle.unregister_pickle_by_value(module)

    def everywhere(self, work: Callable[..., Result], *arguments: object) -> dict[str, Result]:
        """On every worker that there is now."""
        with self._explained():
            found: dict[str, Result] = self._client.run(work, *arguments)
            return found

    def keep(self, call: Call[object]) -> Future:
        """Its result stays where it was made; what went wrong is said when it is used."""
        with self._explained():
            return self._submit(call)

    def run(self, calls: Sequence[Call[Result]]) -> list[Result]:
        """Results in order; raises what a call raises.

        Raises:
            Lost: what was sent is gone with its workers.
            EnvironmentFailure: the scheduler is gone, there are no workers, or they die of this work.
        """
        with self._explained():
            futures = [self._submit(call) for call in calls]
            self._wait(futures)
            found: list[Result] = self._client.gather(futures)
            return found

    def forget(self) -> None:
        """Nothing counts as sent any more; wait until there is a worker, EnvironmentFailure if none comes."""
        self._once.clear()
        with self._explained():
            try:
                self._client.wait_for_workers(1, timeout=PATIENCE_SECONDS)
            except TimeoutError:
                raise self._without_workers() from None

    def close(self) -> None:
        """End the connection, by which the workers drop what they hold for this process."""
        self._once.clear()
        self._digests.clear()
        self._client.close(timeout=2)

    def _submit(self, call: Call[object]) -> Future:
        """One that dies is replaced: its address is a wish."""
        where = self._workers[call.worker % self.size]
        return self._client.submit(call.work, *call.arguments, workers=[where], allow_other_workers=True, pure=False)

    def _wait(self, futures: list[Future]) -> None:
        without = 0.0
        while True:
            try:
                with self._client.as_current():
                    wait(futures, timeout=LOOK_SECONDS)
                return
            except TimeoutError:
                without = 0.0 if self._some_work() else without + LOOK_SECONDS
            if without >= PATIENCE_SECONDS:
                raise self._without_workers()

    def _some_work(self) -> bool:
        """One that is short of memory is paused, and takes nothing until it has some: perhaps never."""
        try:
            self._client.wait_for_workers(1, timeout=LOOK_SECONDS / 10)
        except TimeoutError:
            return False
        return True

    def _without_workers(self) -> EnvironmentFailure:
        text = (
            f"{WHERE}: {self._address} has had no workers for {PATIENCE_SECONDS:.0f} s, or only such as are paused "
            f"for want of memory; start some, {AGAIN}"
        )
        return EnvironmentFailure(text)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except KilledWorker as error:
            raise EnvironmentFailure(
                f"{WHERE}: {error.allowed_failures + 1} workers died of the same work, the last at "
                f"{error.last_worker.address}, most likely for want of memory; their logs say more. Give them more, or "
                f"fewer of them a machine, {AGAIN}"
            ) from None
        except (CancelledError, asyncio.CancelledError, CommClosedError, OSError) as error:
            if self._answers():
                raise Lost(f"{WHERE}: workers at {self._address} died again and again; mend them, {AGAIN}") from error
            raise EnvironmentFailure(
                f"{WHERE}: the scheduler at {self._address} is gone; start it and its workers, {AGAIN}"
            ) from error

    def _answers(self) -> bool:
        if self._client.status != "running":
            return False
        try:
            self._client.nthreads()
        except (OSError, asyncio.CancelledError, CancelledError):
            return False
        return True


def _digest(values: npt.NDArray[Any]) -> bytes:
    """Of contents, type, shape and order."""
    about = f"{values.dtype.str} {values.shape} {values.flags.f_contiguous}\0".encode()
    sha = hashlib.sha256(about)
    sha.update(np.ascontiguousarray(values).data)
    return sha.digest()
