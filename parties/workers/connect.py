"""The way to `[learner] workers`: reach the scheduler, look at its workers, and put them to use for one command."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from crypto import pool
from secure_gal import events
from secure_gal.errors import EnvironmentFailure, SettingsError
from secure_gal.learners import make_learner
from secure_gal.settings.load import load_party
from secure_gal.settings.party import LearnerSettings
from secure_gal.settings.workers import WHERE

if TYPE_CHECKING:
    from distributed import Client

    from parties.workers.dask_pool import DaskPool

WORKER_SECONDS = 20.0
"""How long a scheduler without workers is waited for."""
COMPARED: tuple[str, ...] = (
    "secure-gal",
    "tenseal",
    "numpy",
    "scipy",
    "scikit-learn",
    "torch",
    "dask",
    "distributed",
    "cloudpickle",
)
"""Packages that must be the same everywhere: pickles of one release are not those of another, nor are the fits."""
OF_THE_SCHEDULER: tuple[str, ...] = ("dask", "distributed")
"""It passes bytes on and reads none of them."""


@dataclass(frozen=True)
class Reached:
    """A scheduler's workers, as they are now."""

    address: str
    workers: int
    threads: int
    versions: dict[str, str]

    def in_words(self) -> str:
        """One line, and what could be better."""
        packages = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        text = f"{self.workers} workers with {self.threads} threads at {self.address}; everywhere {packages}"
        spare = "; a worker does one fit at a time: start them with --nthreads 1, and more of them"
        return text + (spare if self.threads > self.workers else "")


@contextlib.contextmanager
def at_work(learner: LearnerSettings, folder: Path, show: Callable[[events.Workers], None]) -> Iterator[None]:
    """The party's workers do its fits in here; without any, nothing is done, and nothing of Dask imported.

    Args:
        folder: the party file's, where its own modules are.

    Raises:
        SettingsError: Dask is missing, certificates do not fit, versions differ, or the learner cannot go there.
        EnvironmentFailure: no scheduler answers, or it has no workers.
    """
    if learner.workers is None:
        yield
        return
    with _client(learner) as client:
        from parties.workers.dask_pool import DaskPool

        reached = _look(client, learner.workers)
        show(events.Workers(reached.address, reached.workers, reached.threads))
        made = DaskPool(client, learner.workers, list(client.nthreads()), folder)
        try:
            _try(made, learner, folder)
            pool.use(made)
            yield
        finally:
            pool.use(None)
            made.close()


def look(file: Path) -> str:
    """What `check` says of a party's workers; empty if it has none. Raises as `at_work`."""
    learner, folder = load_party(file)[0].learner, file.resolve().parent
    if learner.workers is None:
        return ""
    with _client(learner) as client:
        from parties.workers.dask_pool import DaskPool

        said = _look(client, learner.workers).in_words()
        _try(DaskPool(client, learner.workers, list(client.nthreads()), folder), learner, folder)
        return f"workers: {said}"


def _try(made: DaskPool, settings: LearnerSettings, folder: Path) -> None:
    """Whether every worker can read the party's learner."""
    from parties.workers.own_code import try_on_workers

    try_on_workers(made, make_learner(settings, folder))


@contextlib.contextmanager
def _client(learner: LearnerSettings) -> Iterator[Client]:
    address = learner.workers
    assert address is not None  # noqa: S101
    from parties.workers.tls import CONNECT_SECONDS, probe, security

    try:
        from distributed import Client
    except ImportError:
        fix = "Dask is not installed; pip install 'secure-gal[dask]', here and on every worker"
        raise SettingsError(WHERE, fix) from None
    for logger in ("distributed", "distributed.client", "tornado"):
        logging.getLogger(logger).setLevel(logging.CRITICAL)  # what counts is said by our errors
    made = None if learner.tls is None else security(learner.tls)
    probe(address, made)
    try:
        client = Client(address, security=made, timeout=CONNECT_SECONDS, set_as_default=False, direct_to_workers=False)
    except (OSError, ValueError) as error:
        raise EnvironmentFailure(f"{WHERE}: {address} is no Dask scheduler: {str(error).splitlines()[0]}") from None
    with contextlib.closing(client):
        yield client


def _look(client: Client, address: str) -> Reached:
    try:
        client.wait_for_workers(1, timeout=WORKER_SECONDS)
    except TimeoutError:
        raise EnvironmentFailure(
            f"{WHERE}: the scheduler at {address} has no workers after {WORKER_SECONDS:.0f} s, or only such "
            "as are paused for want of memory; start some (`dask worker`)"
        ) from None
    threads = client.nthreads()
    for worker in threads:
        if address.startswith("tls://") and not worker.startswith("tls://"):
            raise SettingsError(WHERE, f"the worker at {worker} speaks no TLS; start it with --protocol tls")
    return Reached(address, len(threads), sum(threads.values()), _same_versions(client, address))


def _same_versions(client: Client, address: str) -> dict[str, str]:
    found = client.get_versions(packages=COMPARED)
    here = _packages(found["client"])
    others = [(f"the worker at {worker}", _packages(said), COMPARED) for worker, said in found["workers"].items()]
    others.append((f"the scheduler at {address}", _packages(found["scheduler"]), OF_THE_SCHEDULER))
    for who, there, names in others:
        unlike = [name for name in ("python", *names) if there.get(name) != here.get(name)]
        if unlike:
            differences = ", ".join(f"{name} {there.get(name) or 'missing'} (here {here.get(name)})" for name in unlike)
            raise SettingsError(WHERE, f"{who} has {differences}; install there what is installed here")
    return {name: str(here.get(name)) for name in ("python", *COMPARED)}


def _packages(said: Mapping[str, Mapping[str, str | None]]) -> dict[str, str | None]:
    """By name; of Python the release without its last number, of others without what they were built for."""
    found: dict[str, str | None] = {name: said and said.partition("+")[0] for name, said in said["packages"].items()}
    found["python"] = ".".join((found.get("python") or "").split(".")[:2])
    return found
