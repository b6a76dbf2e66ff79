"""The work on blocks of rows shared out over processes, each of which keeps the encodings of its share between rounds.

SEAL's bindings hold the interpreter lock, so only processes run side by side. They come from `joblib.Parallel`, which
does not say which process runs a call; so a call does not name its shard, the process that runs it *claims* one: the
one whose encodings it keeps, if that is still free. Where there is a pool of workers on other machines, the shards are
theirs instead (`crypto.pool`), and what lies in the job's folder is sent to them once.
"""

from __future__ import annotations

import os
import secrets
import shutil
import threading
from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from joblib import Parallel, delayed

from crypto import work_folder
from crypto.ckks.calculator import Calculator
from crypto.ckks.encoder import Encoder
from crypto.ckks.job import KEYS, Array, Job, Material, material_of
from crypto.ckks.keys import PublicKeys
from crypto.ckks.leave_one_out import OwnResiduals
from crypto.ckks.ridge_blocks import Encodings, Split
from crypto.ckks.sealapi_files import Bytes
from crypto.ckks.sets import named
from crypto.pool import Kept, Pool, Team, current
from crypto.workers import owned

Item = TypeVar("Item")
Result = TypeVar("Result")


class Worker:
    """One process's keys, and the encodings of its own shard of a job: the first that it claims, or the one it is for.

    A copy, which only a pool ever makes, has no encodings yet.
    """

    def __init__(self, job: Job, material: Material, shard: int | None = None) -> None:
        self.job, self.shard, self._material = job, shard, material
        self._encoder = Encoder(named(job.params))
        train = material.all[: job.rows[0]] if material.train is None else material.train
        self._u, self._factors = (train, material.all), material.factors
        self._kept: dict[int, Encodings] = {}
        self._own: OwnResiduals | None = None

    @cached_property
    def calculator(self) -> Calculator:
        """Under the job's keys, once they are there."""
        kept = self._material.keys
        raw = (Path(self.job.folder) / KEYS).read_bytes() if kept is None else kept
        return Calculator(PublicKeys(self._encoder.params, self.job.padded, raw))

    def __reduce__(self) -> tuple[type[Worker], tuple[object, ...]]:
        return type(self), (self.job, self._material, self.shard)

    def __sizeof__(self) -> int:
        """With the encodings to come: a pool moves what is small."""
        arrays = sum(part.nbytes for part in self._material[1:] if part is not None)
        return len(self._material.keys or b"") + arrays + sum(self.job.room(stage) for stage in range(3))

    def encodings(self, stage: int, shard: int) -> Encodings:
        """Those of U_train (stage 0) or U_all (stage 1); another process's shard leaves nothing here."""
        if shard != self.shard:
            return self._encodings(stage, 0)
        if stage not in self._kept:
            self._kept[stage] = self._encodings(stage, self.job.room(stage))
        return self._kept[stage]

    def own_residuals(self, shard: int) -> OwnResiduals | None:
        """What leave-one-out values take off; None where fitted values are asked for."""
        if self._factors is None:
            return None
        if shard != self.shard:
            return OwnResiduals(self.calculator, self._factors[1], 0)
        if self._own is None:
            self._own = OwnResiduals(self.calculator, self._factors[1], self.job.room(2))
        return self._own

    def _encodings(self, stage: int, room: int) -> Encodings:
        padded, blocks = self.job.padded, -(-self.job.blocks[1] // self.job.shards)
        split = Split.second(self._encoder.params, padded, blocks) if stage else Split.first(padded)
        scales = self._scales() if stage else None
        return Encodings(self._encoder, self._u[stage], self.job.padded, split, stage == 0, room, scales)

    def _scales(self) -> Array | None:
        """What rows of U_all are multiplied with: D, and 1 for those that are not for training."""
        if self._factors is None:
            return None
        train, rows = self.job.rows
        return np.concatenate([self._factors[0], np.ones(rows - train)])


_workers: dict[str, Worker] = {}
"""This process's, by the job's folder."""
_looking = threading.Lock()
"""Threads look up workers, and drop them, one after the other."""


def _worker(job: Job) -> Worker:
    """This process's worker of a job; those of jobs that were closed are dropped."""
    with _looking:
        for folder in [folder for folder in _workers if not os.path.isdir(folder)]:
            del _workers[folder]
        if job.folder not in _workers:
            _workers[job.folder] = Worker(job, material_of(job, "r"))
        return _workers[job.folder]


_teams: dict[str, Team[Worker]] = {}
"""Shards of jobs that are on a pool, by the job's folder."""


def close(job: Job) -> None:
    """Remove a job's folder, by which processes see that its encodings are not needed any more."""
    work_folder.release(Path(job.folder))
    with _looking:
        _workers.pop(job.folder, None)
    _teams.pop(job.folder, None)


def encode(job: Job) -> None:
    """Make the encodings of a job of one shard in this process, which will do its work; keys may come later."""
    worker = _worker(job)
    worker.shard = 0
    worker.encodings(0, 0).ahead(range(job.blocks[0]))
    worker.encodings(1, 0).ahead(range(job.blocks[1]))


def _pool(shares: int) -> Pool | None:
    """Where so many shares of work go, if not to processes here; of several workers none is given all of it, which is
    then too little to be sent."""
    pool = current()
    return pool if pool is not None and (shares > 1 or pool.size == 1) else None


def _team(pool: Pool, job: Job) -> Team[Worker]:
    """The job's shards, one after the other on the pool's workers."""
    if job.folder not in _teams:
        _teams[job.folder] = Team(pool, job.shards, partial(_shard, job), partial(_sent, job))
    return _teams[job.folder]


def _sent(job: Job, pool: Pool) -> tuple[Kept, Kept]:
    """Keys, which other jobs have too, and the rest of the material."""
    found = material_of(job)
    return pool.send_once(np.frombuffer(found.keys or b"", dtype=np.uint8)), pool.send(found._replace(keys=b""))


def _shard(job: Job, shard: int, keys: Bytes, material: Material) -> Worker:
    return Worker(job, material._replace(keys=keys.tobytes()), shard)


def spread(job: Job, task: Callable[[Worker, int], Result]) -> list[Result]:
    """The task's results for every shard, in order; the shards run side by side."""
    if (pool := _pool(job.shards)) is not None:
        return _team(pool, job).run(task, range(job.shards))
    call = secrets.token_hex(8)
    processes = Parallel(n_jobs=job.shards, batch_size=1, pre_dispatch="all", max_nbytes=None)  # one: in this process
    done = dict(processes(delayed(owned)(os.getpid(), _turn, job, call, task) for _ in range(job.shards)))
    shutil.rmtree(Path(job.folder) / call)
    return [done[shard] for shard in range(job.shards)]


def _turn(job: Job, call: str, task: Callable[[Worker, int], Result]) -> tuple[int, Result]:
    """Claim a shard, this process's own if it is free, by making a folder; and do it."""
    claims = Path(job.folder) / call
    claims.mkdir(exist_ok=True)
    worker = _worker(job)
    for shard in [*range(job.shards)] if worker.shard is None else [worker.shard, *range(job.shards)]:
        try:
            (claims / str(shard)).mkdir()
        except FileExistsError:
            continue
        if worker.shard is None:
            worker.shard = shard
        return shard, task(worker, shard)
    raise RuntimeError("more turns than shards")


def each(job: Job, task: Callable[[Worker, Item], Result], items: list[Item]) -> list[Result]:
    """The task's results for every item, in order, by whichever process is free."""
    if (pool := _pool(min(job.shards, len(items)))) is not None:
        return _team(pool, job).run(task, items)
    processes = Parallel(n_jobs=min(job.shards, len(items)), batch_size=1, pre_dispatch="all", max_nbytes=None)
    return list(processes(delayed(owned)(os.getpid(), _item, job, task, item) for item in items))


def _item(job: Job, task: Callable[[Worker, Item], Result], item: Item) -> Result:
    return task(_worker(job), item)
