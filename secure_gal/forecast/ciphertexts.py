"""One block of ciphertexts, with this machine's clock beside it: keys, a request, a fit, a reply."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, NamedTuple, TypeVar

import msgspec
import numpy as np

from secure_gal.forecast.timings import Seconds

if TYPE_CHECKING:  # TenSEAL takes 0.1 s, which a study in the clear does without
    from crypto.ckks.params import ParameterSet
    from crypto.ckks.sealapi_files import Bytes

Result = TypeVar("Result")


class Ciphers(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """CPU seconds of one core.

    Attributes:
        parameters, padded: the parameter set of the block, and P.
        keys, load: making an evaluator's keys, and reading them.
        encrypt, decrypt: of a ciphertext.
        first, later: a fit of one block and output in round 1, which encodes U, and in a later one.
        cores: that a fit may be shared out to.
    """

    parameters: Annotated[str, msgspec.Meta(max_length=32)]
    padded: Annotated[int, msgspec.Meta(ge=1, le=2**16)]
    keys: Seconds
    load: Seconds
    encrypt: Seconds
    decrypt: Seconds
    first: Seconds
    later: Seconds
    cores: Annotated[int, msgspec.Meta(ge=1, le=2**16)] = 1

    @property
    def params(self) -> ParameterSet:
        """The parameter set."""
        from crypto.ckks.sets import named

        return named(self.parameters)

    def encoding(self, blocks: int) -> float:
        """Encoding U of so many blocks of n rows, in round 1."""
        return max(0.0, self.first - self.later) * blocks

    def fit(self, blocks: int, outputs: int) -> float:
        """A round of an evaluator with so many blocks."""
        return self._work(blocks) / self._work(1) * self.later * outputs

    def shares(self, training: int, blocks: int, outputs: int) -> int:
        """Processes that work on a round at once, with so many blocks of training rows and of all rows."""
        from crypto.ckks.encrypted_ridge import worthwhile

        return min(self.cores, worthwhile(self.params, self.padded, training + blocks, outputs))

    def head(self, blocks: int, outputs: int) -> float:
        """Its encrypted head, after the last round: the first half of a fit."""
        return self.fit(blocks, outputs) / 2

    def fits(self, rounds: int, blocks: int, outputs: int) -> float:
        """All rounds, and the head."""
        return self.encoding(blocks) + rounds * self.fit(blocks, outputs) + self.head(blocks, outputs)

    def _work(self, blocks: int) -> float:
        """Products, rotations and the ends of ciphertexts of a round, weighed by what they usually take."""
        from crypto.ckks.ridge_blocks import PRODUCT_SECONDS, ROTATION_SECONDS, Split

        params, width = self.params, self.padded
        second = Split.second(params, width, blocks)
        rotations = width - 1 + (params.slots // width).bit_length()  # inner products, and folds of their repeats
        rotations += second.babies - 1 + blocks * (second.giants - 1)
        ends = 2 * blocks  # a request is read and a reply made at about the price of a rotation each
        return (rotations + ends) * ROTATION_SECONDS + 2 * blocks * width * PRODUCT_SECONDS


class Fitted(NamedTuple):
    """CPU seconds of an evaluator's keys and fits of one block, and the last reply."""

    load: float
    first: float
    later: float
    replies: Bytes


def fitted(params: ParameterSet, padded: int, raw: bytes, requests: Bytes, *, leave_one_out: bool) -> Fitted:
    """An evaluator's keys read, and its fit of one block of drawn features made twice.

    Args:
        raw: its evaluation keys, for the width P = padded.
        requests: of n rows and one output.
    """
    from crypto.ckks.encrypted_ridge import EncryptedRidge
    from crypto.ckks.keys import PublicKeys

    public, load = timed(lambda: PublicKeys.from_bytes(params, padded, raw))
    u = np.random.default_rng(0).standard_normal((params.n, padded)) / np.sqrt(2 * params.n * padded)
    ridge = EncryptedRidge.of(public, u, u, leave_one_out=leave_one_out, cores=1)
    try:
        _, first = timed(lambda: ridge.fit(requests, 1))
        replies, later = timed(lambda: ridge.fit(requests, 1))
    finally:
        ridge.close()
    return Fitted(load, first, later, replies)


def measure(params: ParameterSet, padded: int, *, leave_one_out: bool) -> Ciphers:
    """Under a key that is made for it and forgotten."""
    from crypto.ckks.secret import SecretContext
    from crypto.pool import processes

    secret = SecretContext.generate(params)
    raw, keys = timed(lambda: secret.public_keys(padded))
    residual = np.random.default_rng(0).uniform(-1, 1, (params.n, 1))
    requests, encrypt = timed(lambda: secret.encrypt(residual))
    load, first, later, replies = fitted(params, padded, raw, requests, leave_one_out=leave_one_out)
    _, decrypt = timed(lambda: secret.decrypt(replies, params.n, 1, "rehearsal"))
    return Ciphers(params.name, padded, keys, load, encrypt, decrypt, first, later, processes())


def timed(work: Callable[[], Result]) -> tuple[Result, float]:
    """What it returns, and the CPU seconds that this process took for it."""
    began = time.process_time()
    result = work()
    return result, time.process_time() - began
