"""Dask's workers as a pool (`crypto.pool`).

Dask's own client, and not joblib's backend for it: that has no word for which worker a call is for, so encodings would
be made anew all the time, and it is a setting of the thread, so that everything else which uses joblib would go there
too: an alignment's secret scalar (decision 0025).
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from typing import Any

import numpy as np
import numpy.typing as npt
from distributed import Client, Future, wait
from distributed.comm import CommClosedError
from distributed.scheduler import KilledWorker

from crypto.pool import Call, Lost
from secure_gal.errors import EnvironmentFailure
from secure_gal.settings.workers import WHERE

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
    """

    def __init__(self, client: Client, address: str, workers: Sequence[str]) -> None:
        self._client, self._address, self._workers = client, address, sorted(workers)
        self._once: dict[bytes, Future] = {}

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

    def send_once(self, array: npt.NDArray[Any]) -> Future:
        """As `send`; of arrays with the same contents and type only the first, as long as it is among the last ones."""
        about = f"{array.dtype.str} {array.shape} {array.flags.f_contiguous}\0".encode()
        sha = hashlib.sha256(about)
        sha.update(np.ascontiguousarray(array).data)
        digest = sha.digest()
        found = self._once.pop(digest, None)
        self._once[digest] = self.send(array) if found is None else found
        while len(self._once) > KEPT_ARRAYS:
            del self._once[next(iter(self._once))]
        return self._once[digest]

    def keep(self, call: Call) -> Future:
        """Its result stays where it was made; what went wrong is said when it is used."""
        with self._explained():
            return self._submit(call)

    def run(self, calls: Sequence[Call]) -> list[Any]:
        """Results in order; raises what a call raises.

        Raises:
            Lost: what was sent is gone with its workers.
            EnvironmentFailure: the scheduler is gone, there are no workers, or they die of this work.
        """
        with self._explained():
            futures = [self._submit(call) for call in calls]
            self._wait(futures)
            found: list[Any] = self._client.gather(futures)
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
        self._client.close(timeout=2)

    def _submit(self, call: Call) -> Future:
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
                without = 0.0 if self._client.nthreads() else without + LOOK_SECONDS
            if without >= PATIENCE_SECONDS:
                raise self._without_workers()

    def _without_workers(self) -> EnvironmentFailure:
        text = f"{WHERE}: {self._address} has had no workers for {PATIENCE_SECONDS:.0f} s; start some, {AGAIN}"
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
