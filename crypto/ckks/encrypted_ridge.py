"""The homomorphic fit and prediction: f = U_all (U_train' r) on ciphertexts, sanitised.

U = Phi B with A = (Phi'Phi + N lambda I)^-1 = B B', so this is ridge regression of r. Training rows may get their
leave-one-out values instead (`leave_one_out`). The work of `ridge_blocks` is
shared out by blocks of rows. Each process keeps the same blocks round after round, because it keeps their encodings.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TypedDict, Unpack

import numpy as np

from crypto.ckks import ridge_blocks
from crypto.ckks.ciphertexts import check_requests
from crypto.ckks.job import Array, Job, give, prepare
from crypto.ckks.keys import PublicKeys
from crypto.ckks.leave_one_out import factors, longest_row
from crypto.ckks.params import ParameterSet
from crypto.ckks.ridge_blocks import PRODUCT_SECONDS, ROTATION_SECONDS
from crypto.ckks.sealapi_files import Bytes
from crypto.ckks.shards import Worker, close, each, encode, spread
from crypto.errors import Malformed, Misuse, Unsuitable
from crypto.pool import current, processes
from crypto.work_folder import free_memory

Progress = Callable[[float], None]

CACHE_BYTES = 2**30
"""Memory for encodings, all processes together, at most. Those that do not fit are made again every round."""
CACHE_SHARE = 4
"""Encodings take at most one part in so many of the memory that is free when a fit is set up."""
WORTHWHILE = 0.5
"""Seconds of work that make a process worth its start and the copies that go to it and back."""
NORM_SLACK = 1.001
"""U_train' U_train may exceed 1 by this much for rounding."""


class Options(TypedDict, total=False):
    """What `Basis` takes besides U."""

    leave_one_out: bool
    share: Array | float
    cores: int | None
    cache_bytes: int | None


class Basis:
    """U of one evaluator: as float32 in a private temporary folder until `close`, so that worker processes share it.

    Rows of U longer than 1 are scaled down to norm 1, which the noise bound needs; for training rows of a ridge fit,
    whose squared norm is their leverage, that changes nothing.

    Args:
        params, padded: of the keys that it will be computed with.
        u_train: float64 (N_train, p), what the inner products are taken with; p at most `padded`.
        u_all: float64 (N_all, p), the rows to fit.
        leave_one_out: training rows, which then come first in `u_all`, get leave-one-out values; all others keep the
            full fit.
        share: of a row's own residual that its value leaves out, 0 to 1, (N_train,) or one for all rows.
        cores: worker processes; by default every core that has half a second of a round's work to do.
        cache_bytes: memory for encodings; None for what the machine can spare, CACHE_BYTES at most.

    Raises:
        Unsuitable: a value is not finite, there are no rows, or U_train' U_train is larger than 1.
        Refused: there is no room for the temporary folder.
    """

    def __init__(
        self,
        params: ParameterSet,
        padded: int,
        u_train: Array,
        u_all: Array,
        *,
        leave_one_out: bool = False,
        share: Array | float = 1.0,
        cores: int | None = None,
        cache_bytes: int | None = None,
    ) -> None:
        if u_train.ndim != 2 or u_all.ndim != 2 or not 1 <= u_train.shape[1] == u_all.shape[1] <= padded:
            raise Misuse(f"U of shapes {u_train.shape} and {u_all.shape} does not fit keys of width {padded}")
        _check_operator(u_train)
        self.params, self._cores = params, cores
        left_out = _left_out(params, u_train, u_all, share) if leave_one_out else None
        self.job = prepare(params, padded, u_train, u_all, cores or processes(), _room(cache_bytes), left_out)
        self._shared_out = False

    def __repr__(self) -> str:
        return f"Basis({self.params.name}, P={self.job.padded}, blocks {self.job.blocks})"

    def share_out(self, outputs: int) -> Job:
        """The job, in as many shards as a round of so many outputs is worth."""
        if not self._shared_out and self._cores is None:
            most = worthwhile(self.params, self.job.padded, sum(self.job.blocks), outputs)
            self.job = replace(self.job, shards=min(self.job.shards, most))
        self._shared_out = True
        return self.job

    def encode(self, outputs: int) -> None:
        """Make encodings before there are keys, where this process will need them: they are the first round's longest
        part."""
        if self.share_out(outputs).shards == 1 and current() is None:
            encode(self.job)

    def close(self) -> None:
        """Remove the temporary folder; workers drop what they kept when they next work, or end when idle."""
        close(self.job)


class EncryptedRidge:
    """The fit of one evaluator: its U and the key owner's evaluation keys, ready for any number of rounds."""

    def __init__(self, keys: PublicKeys, basis: Basis) -> None:
        self._keys, self._basis = keys, basis
        give(basis.job, keys)

    @classmethod
    def of(cls, keys: PublicKeys, u_train: Array, u_all: Array, **options: Unpack[Options]) -> EncryptedRidge:
        """With a basis of its own; arguments and errors as for `Basis`."""
        return cls(keys, Basis(keys.params, keys.padded, u_train, u_all, **options))

    def __repr__(self) -> str:
        return f"EncryptedRidge({self._keys!r}, blocks {self._basis.job.blocks})"

    def fit(self, requests: Bytes, outputs: int, on_progress: Progress | None = None) -> Bytes:
        """One round.

        Args:
            requests: uint8 (ceil(N_train / n) * outputs, request_bytes), Enc(r), row block * outputs + k.
            outputs: K.
            on_progress: told the share of the work that is done, from 0 to 1.

        Returns:
            uint8 (C, reply_bytes), sanitised; C and which outputs lie where are those of `slots.Table`.

        Raises:
            Malformed: a request is not a ciphertext of the parameter set, or their number is wrong.
        """
        tell = on_progress or (lambda share: None)
        heads = self._heads(requests, outputs)
        tell(0.5)
        replies = _spread_fitted(self._basis.job, heads, requests)
        tell(1.0)
        return replies

    def fitted(self, head: bytes, requests: Bytes, outputs: int) -> Bytes:
        """The second half of `fit`, from what `head` returned for these requests."""
        return _spread_fitted(self._basis.job, _split_head(self._keys, head, outputs), requests)

    def head(self, requests: Bytes, outputs: int) -> bytes:
        """G = U_train' R, K ciphertexts, for the evaluator's own disk: never to be sent. Raises as `fit`."""
        return b"".join(self._heads(requests, outputs))

    def _heads(self, requests: Bytes, outputs: int) -> list[bytes]:
        due = self._basis.job.blocks[0] * outputs
        if outputs < 1 or len(requests) != due:
            raise Malformed(f"{len(requests)} ciphertexts where {due} are due")
        check_requests(self._keys.params, requests)
        job = self._basis.share_out(outputs)
        shares = spread(job, partial(_inner_products, requests=requests, outputs=outputs))
        return each(job, _fold, [[share[k] for share in shares if share] for k in range(outputs)])

    def close(self) -> None:
        """As `Basis.close`."""
        self._basis.close()


def predict(keys: PublicKeys, head: bytes, outputs: int, u_new: Array, *, cores: int | None = None) -> Bytes:
    """Sanitised fitted values of new rows from an encrypted head, at a cost that does not depend on training.

    Args:
        keys: the key owner's.
        head: of `EncryptedRidge.head` under the same keys.
        outputs: K.
        u_new: float64 (n_new, p); rows longer than 1 are scaled down to norm 1.
        cores: worker processes; every core by default.

    Returns:
        uint8 (C, reply_bytes); C and which outputs lie where are those of `slots.Table`.

    Raises:
        Unsuitable: a value is not finite, or there are no rows.
        Misuse: the head is not one of these keys' parameter set and K outputs, or u_new is too wide.
    """
    rows = FittedRows(keys, u_new, cores=cores, cache_bytes=0)
    try:
        return rows.fitted(head, outputs)
    finally:
        rows.close()


class FittedRows:
    """Rows that are fitted again and again from encrypted heads; arguments and errors as for `predict`."""

    def __init__(self, keys: PublicKeys, u: Array, *, cores: int | None = None, cache_bytes: int | None = None) -> None:
        if u.ndim != 2 or not 1 <= u.shape[1] <= keys.padded:
            raise Misuse(f"U of shape {u.shape} does not fit keys of width {keys.padded}")
        self._keys = keys
        self._job = prepare(keys.params, keys.padded, None, u, cores or processes(), _room(cache_bytes))
        give(self._job, keys)

    def fitted(self, head: bytes, outputs: int) -> Bytes:
        """Sanitised fitted values, uint8 (C, reply_bytes)."""
        return _spread_fitted(self._job, _split_head(self._keys, head, outputs))

    def close(self) -> None:
        """As `EncryptedRidge.close`."""
        close(self._job)


def _room(cache_bytes: int | None) -> int:
    """Memory for encodings."""
    return min(CACHE_BYTES, free_memory() // CACHE_SHARE) if cache_bytes is None else cache_bytes


def _split_head(keys: PublicKeys, head: bytes, outputs: int) -> list[bytes]:
    size = keys.params.sum_bytes
    if outputs < 1 or len(head) != outputs * size:
        raise Misuse(f"an encrypted head of {len(head)} bytes is not one of {outputs} outputs")
    return [head[k * size : (k + 1) * size] for k in range(outputs)]


def _spread_fitted(job: Job, heads: list[bytes], requests: Bytes | None = None) -> Bytes:
    own = requests if job.leave_one_out else None
    return np.concatenate(spread(job, partial(_fitted, heads=heads, requests=own)))


def worthwhile(params: ParameterSet, padded: int, blocks: int, outputs: int) -> int:
    """How many processes a round keeps busy for WORTHWHILE seconds each; starting one and passing it work costs
    time.

    Args:
        blocks: of the training rows, and of all rows.
    """
    products, turns = blocks * padded, padded + blocks * math.sqrt(padded) + math.log2(params.n)
    seconds = outputs * (products * PRODUCT_SECONDS + turns * ROTATION_SECONDS) * params.n * params.levels
    return max(1, int(seconds / WORTHWHILE))


def _left_out(params: ParameterSet, u_train: Array, u_all: Array, share: Array | float) -> Array:
    """The factors of leave-one-out values; Misuse where rows of U_train and U_all do not lie in the same places."""
    if not np.all((np.asarray(share) >= 0) & (np.asarray(share) <= 1)):
        raise Misuse("a row leaves out a share of 0 to 1 of its own residual")
    train, rows = len(u_train), len(u_all)
    if not train or not np.array_equal(u_train, u_all[:train]):
        raise Misuse("leave-one-out values need the training rows first among all rows")
    if params.packed(train) != params.packed(rows):
        raise Misuse(f"{train} training rows of {rows} lie elsewhere: fit those of this parameter set alone")
    return factors(u_train, longest_row(params, train, rows), share)


def _check_operator(u: Array) -> None:
    """Unsuitable if power iteration finds U'U larger than 1 (it cannot find more than there is)."""
    vector = np.random.default_rng(0).standard_normal((u.shape[1],))
    norm = 1.0
    for _ in range(8):
        vector = u.T @ (u @ vector)
        norm = float(np.linalg.norm(vector))
        if not 0.0 < norm < np.inf:  # zero, or not a number
            break
        vector = vector / norm
    if not norm <= NORM_SLACK:
        raise Unsuitable("U", "U' U of the training rows is larger than 1 or not finite: not a ridge fit's U")


def _inner_products(worker: Worker, shard: int, requests: Bytes, outputs: int) -> list[bytes | None]:
    diagonals = worker.job.diagonals(shard)
    if not diagonals:
        return []
    return ridge_blocks.inner_products(worker.calculator, worker.encodings(0, shard), requests, diagonals, outputs)


def _fold(worker: Worker, shares: list[bytes | None]) -> bytes:
    return ridge_blocks.fold(worker.calculator, worker.job.padded, shares)


def _fitted(worker: Worker, shard: int, heads: list[bytes], requests: Bytes | None) -> Bytes:
    left_out = worker.own_residuals(shard)
    own = None if left_out is None or requests is None else (left_out, requests)
    return ridge_blocks.fitted(worker.calculator, worker.encodings(1, shard), heads, worker.job.fitted(shard), own)
