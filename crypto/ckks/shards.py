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
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
from joblib import Parallel, delayed

from crypto import work_folder
from crypto.ckks import ring
from crypto.ckks.calculator import Calculator
from crypto.ckks.keys import PublicKeys
from crypto.ckks.leave_one_out import OwnResiduals
from crypto.ckks.ridge_blocks import Encodings, Rows, Split
from crypto.ckks.seal_files import Bytes
from crypto.ckks.sets import named
from crypto.errors import Unsuitable
from crypto.pool import Kept, Pool, Team, current
from crypto.workers import owned

Array = npt.NDArray[np.float64]
Item = TypeVar("Item")
Result = TypeVar("Result")
_COPY_ROWS = 2**16
_FACTORS = "factors.npy"
_HEADER_BYTES = 256
"""Bytes of an array file before its numbers, at most."""


@dataclass(frozen=True)
class Job:
    """What a process needs to find its part of the work.

    Attributes:
        folder: private and temporary, with keys and U; it names the job.
        params: name of the parameter set.
        padded: P.
        rows: of U_train (0 if there is none) and of U_all.
        blocks: of n rows, of the same.
        shards: parts that the work is in.
        cache_bytes: memory for encodings, all processes together.
        leave_one_out: training rows get leave-one-out values; their factors lie in the folder too.
    """

    folder: str
    params: str
    padded: int
    rows: tuple[int, int]
    blocks: tuple[int, int]
    shards: int
    cache_bytes: int
    leave_one_out: bool

    def diagonals(self, shard: int) -> range:
        """A shard's diagonals of U_train: equal shares, a power of two of them. The shards that are left have none.

        A share is a multiple of the step that there is a key for, so that adding them up takes a fifteenth more
        rotations at most, which the noise bound allows (decision 0003).
        """
        each = self.padded // min(self.padded // ring.root(self.padded), 1 << (self.shards.bit_length() - 1))
        return range(min(shard * each, self.padded), min((shard + 1) * each, self.padded))

    def fitted(self, shard: int) -> range:
        """A shard's blocks of U_all: consecutive, as even as can be."""
        return range(self.blocks[1] * shard // self.shards, self.blocks[1] * (shard + 1) // self.shards)

    def room(self, stage: int) -> int:
        """Bytes for encodings of a stage in one process, by their number; stage 2 are those of `OwnResiduals`."""
        own = 2 * self.blocks[0] if self.leave_one_out else 0
        numbers = (self.blocks[0] * self.padded, self.blocks[1] * self.padded, own)
        return self.cache_bytes * numbers[stage] // (sum(numbers) * self.shards)


def prepare(
    keys: PublicKeys,
    u_train: Array | None,
    u_all: Array,
    cores: int,
    cache_bytes: int,
    factors: Array | None = None,
) -> Job:
    """Write keys and U, rows clipped to norm 1, where processes can share them (`work_folder`).

    `factors` are those of `leave_one_out.factors`, for leave-one-out values.

    Raises:
        Unsuitable: a value is not finite, or there are no rows.
        Refused: there is no room for them.
    """
    own = {"all.npy": u_all}
    if u_train is not None and not np.array_equal(u_train, u_all[: len(u_train)]):
        own["train.npy"] = u_train
    if not all(map(len, own.values())):
        raise Unsuitable("U", "there are no rows to fit")

    def fill(folder: Path) -> None:
        (folder / "keys").write_bytes(keys.raw)
        for name, u in own.items():
            _write(folder / name, u)
        if factors is not None:
            with (folder / _FACTORS).open("wb") as file:
                np.save(file, factors)

    work_folder.sweep()
    extra = 0 if factors is None else factors.nbytes + _HEADER_BYTES
    folder = work_folder.claim(len(keys.raw) + extra + sum(4 * u.size + _HEADER_BYTES for u in own.values()), fill)
    rows = (0 if u_train is None else len(u_train), len(u_all))
    blocks = (-(-rows[0] // keys.params.n), -(-rows[1] // keys.params.n))
    shards = max(1, min(cores, max(blocks[1], keys.padded if rows[0] else 1)))
    return Job(str(folder), keys.params.name, keys.padded, rows, blocks, shards, cache_bytes, factors is not None)


def close(job: Job) -> None:
    """Remove a job's folder, by which processes see that its encodings are not needed any more."""
    work_folder.release(Path(job.folder))
    _workers.pop(job.folder, None)
    _teams.pop(job.folder, None)


def _write(path: Path, u: Array) -> None:
    """U as float32 (its rounding, 2**-24, is far below the error of every parameter set), a part at a time.

    Never through a map: a page for which there is no room would end the process.
    """
    with path.open("wb") as file:
        layout = {"descr": "<f4", "fortran_order": False, "shape": u.shape}
        np.lib.format.write_array_header_1_0(file, layout)
        for start in range(0, len(u), _COPY_ROWS):
            part = u[start : start + _COPY_ROWS]
            norms = np.sqrt(np.einsum("ij,ij->i", part, part))
            if not np.isfinite(norms).all():
                raise Unsuitable("U", "U has values that are not finite")
            file.write(np.ascontiguousarray(part / np.maximum(norms, 1.0)[:, None], dtype="<f4").data)


class Material(NamedTuple):
    """What a worker computes with: keys, U_train where U_all does not begin with it, U_all, leave-one-out factors."""

    keys: bytes
    train: Rows | None
    all: Rows
    factors: Array | None


def _material(job: Job, how: Literal["r"] | None = None) -> Material:
    """What lies in the job's folder, mapped or read."""
    folder = Path(job.folder)
    path = folder / "train.npy"
    train = np.load(path, mmap_mode=how) if path.exists() else None
    factors = np.load(folder / _FACTORS) if job.leave_one_out else None
    return Material((folder / "keys").read_bytes(), train, np.load(folder / "all.npy", mmap_mode=how), factors)


class Worker:
    """One process's keys, and the encodings of its own shard of a job: the first that it claims, or the one it is for.

    A copy, which only a pool ever makes, has no encodings yet.
    """

    def __init__(self, job: Job, material: Material, shard: int | None = None) -> None:
        self.job, self.shard, self._material = job, shard, material
        self.calculator = Calculator(PublicKeys(named(job.params), job.padded, material.keys))
        train = material.all[: job.rows[0]] if material.train is None else material.train
        self._u, self._factors = (train, material.all), material.factors
        self._kept: dict[int, Encodings] = {}
        self._own: OwnResiduals | None = None

    def __reduce__(self) -> tuple[type[Worker], tuple[object, ...]]:
        return type(self), (self.job, self._material, self.shard)

    def __sizeof__(self) -> int:
        """With the encodings to come: a pool moves what is small."""
        arrays = sum(part.nbytes for part in self._material[1:] if part is not None)
        return len(self._material.keys) + arrays + sum(self.job.room(stage) for stage in range(3))

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
        split = Split.second(self.calculator.params, padded, blocks) if stage else Split.first(padded)
        scales = self._scales() if stage else None
        return Encodings(self.calculator, self._u[stage], self.job.padded, split, stage == 0, room, scales)

    def _scales(self) -> Array | None:
        """What rows of U_all are multiplied with: D, and 1 for those that are not for training."""
        if self._factors is None:
            return None
        train, rows = self.job.rows
        return np.concatenate([self._factors[0], np.ones(rows - train)])


_workers: dict[str, Worker] = {}
"""This process's, by the job's folder."""


def _worker(job: Job) -> Worker:
    """This process's worker of a job; those of jobs that were closed are dropped."""
    for folder in [folder for folder in _workers if not os.path.isdir(folder)]:
        del _workers[folder]
    if job.folder not in _workers:
        _workers[job.folder] = Worker(job, _material(job, "r"))
    return _workers[job.folder]


_teams: dict[str, Team] = {}
"""Shards of jobs that are on a pool, by the job's folder."""


def _pool(shares: int) -> Pool | None:
    """Where so many shares of work go, if not to processes here; of several workers none is given all of it, which is
    then too little to be sent."""
    pool = current()
    return pool if pool is not None and (shares > 1 or pool.size == 1) else None


def _team(pool: Pool, job: Job) -> Team:
    """The job's shards, one after the other on the pool's workers."""
    if job.folder not in _teams:
        _teams[job.folder] = Team(pool, job.shards, partial(_shard, job), partial(_sent, job))
    return _teams[job.folder]


def _sent(job: Job, pool: Pool) -> tuple[Kept, Kept]:
    """Keys, which other jobs have too, and the rest of the material."""
    found = _material(job)
    return pool.send_once(np.frombuffer(found.keys, dtype=np.uint8)), pool.send(found._replace(keys=b""))


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
