"""What the processes of one fit find: U, keys and factors in a private folder, and how the work is shared out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from crypto import work_folder
from crypto.ckks import ring
from crypto.ckks.keys import PublicKeys, keys_bytes
from crypto.ckks.params import ParameterSet
from crypto.ckks.ridge_blocks import Rows
from crypto.errors import Unsuitable

Array = npt.NDArray[np.float64]
KEYS = "keys"
_FACTORS = "factors.npy"
_COPY_ROWS = 2**16
_HEADER_BYTES = 256
"""Bytes of an array file before its numbers, at most."""


@dataclass(frozen=True)
class Job:
    """What a process needs to find its part of the work.

    Attributes:
        folder: private and temporary, with U, and with keys once they are there; it names the job.
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
    params: ParameterSet,
    padded: int,
    u_train: Array | None,
    u_all: Array,
    cores: int,
    cache_bytes: int,
    factors: Array | None = None,
) -> Job:
    """Write U, rows clipped to norm 1, where processes can share it (`work_folder`), with room for keys.

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
        (folder / KEYS).write_bytes(bytes(keys_bytes(params, padded)))
        for name, u in own.items():
            _write(folder / name, u)
        if factors is not None:
            with (folder / _FACTORS).open("wb") as file:
                np.save(file, factors)

    work_folder.sweep()
    extra = 0 if factors is None else factors.nbytes + _HEADER_BYTES
    room = keys_bytes(params, padded) + extra + sum(4 * u.size + _HEADER_BYTES for u in own.values())
    folder = work_folder.claim(room, fill)
    rows = (0 if u_train is None else len(u_train), len(u_all))
    blocks = (-(-rows[0] // params.n), -(-rows[1] // params.n))
    shards = max(1, min(cores, max(blocks[1], padded if rows[0] else 1)))
    return Job(str(folder), params.name, padded, rows, blocks, shards, cache_bytes, factors is not None)


def give(job: Job, keys: PublicKeys) -> None:
    """Keys to compute with from now on, in the room that was kept for them."""
    with (Path(job.folder) / KEYS).open("r+b") as file:
        file.write(keys.raw)


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
    """What a worker computes with: keys, None where they are read from the folder; U_train where U_all does not begin
    with it; U_all; leave-one-out factors."""

    keys: bytes | None
    train: Rows | None
    all: Rows
    factors: Array | None


def material_of(job: Job, how: Literal["r"] | None = None) -> Material:
    """What lies in the job's folder: mapped, as long as it lies there, or read."""
    folder = Path(job.folder)
    path = folder / "train.npy"
    keys = None if how else (folder / KEYS).read_bytes()
    train = np.load(path, mmap_mode=how) if path.exists() else None
    factors = np.load(folder / _FACTORS) if job.leave_one_out else None
    return Material(keys, train, np.load(folder / "all.npy", mmap_mode=how), factors)
