"""One block of ciphertexts, with this machine's clock beside it: keys, a request, a fit, a reply."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import numpy as np

from crypto.ckks.encrypted_ridge import PRODUCT_SECONDS, ROTATION_SECONDS, EncryptedRidge
from crypto.ckks.keys import PublicKeys
from crypto.ckks.params import ParameterSet
from crypto.ckks.ridge_blocks import Split
from crypto.ckks.secret import SecretContext

Result = TypeVar("Result")


class Ciphers(NamedTuple):
    """CPU seconds of one core.

    Attributes:
        params, padded: of the block, P.
        keys, load: making an evaluator's keys, and reading them.
        encrypt, decrypt: of a ciphertext.
        first, later: a fit of one block and output in round 1, which encodes U, and in a later one.
    """

    params: ParameterSet
    padded: int
    keys: float
    load: float
    encrypt: float
    decrypt: float
    first: float
    later: float

    def fits(self, rounds: int, blocks: int, outputs: int) -> float:
        """All rounds of an evaluator with so many blocks of n rows, and its encrypted head."""
        encode = max(0.0, self.first - self.later) * blocks
        return encode + self._work(blocks) / self._work(1) * self.later * outputs * (rounds + 0.5)

    def _work(self, blocks: int) -> float:
        """Products, rotations and the ends of ciphertexts of a round, weighed by what they usually take."""
        params, width = self.params, self.padded
        second = Split.second(params, width, blocks)
        rotations = width - 1 + (params.slots // width).bit_length()  # inner products, and folds of their repeats
        rotations += second.babies - 1 + blocks * (second.giants - 1)
        ends = 2 * blocks  # a request is read and a reply made at about the price of a rotation each
        return (rotations + ends) * ROTATION_SECONDS + 2 * blocks * width * PRODUCT_SECONDS


def measure(params: ParameterSet, padded: int, *, leave_one_out: bool) -> Ciphers:
    """Under a key that is made for it and forgotten."""
    rng = np.random.default_rng(0)
    secret = SecretContext.generate(params)
    raw, keys = _timed(lambda: secret.public_keys(padded))
    public, load = _timed(lambda: PublicKeys.from_bytes(params, padded, raw))
    u = rng.standard_normal((params.n, padded)) / np.sqrt(2 * params.n * padded)
    r = rng.uniform(-1, 1, (params.n, 1))
    requests, encrypt = _timed(lambda: secret.encrypt(r))
    ridge = EncryptedRidge(public, u, u, leave_one_out=leave_one_out, cores=1)
    try:
        _, first = _timed(lambda: ridge.fit(requests, 1))
        replies, later = _timed(lambda: ridge.fit(requests, 1))
    finally:
        ridge.close()
    _, decrypt = _timed(lambda: secret.decrypt(replies, params.n, 1, "rehearsal"))
    return Ciphers(params, padded, keys, load, encrypt, decrypt, first, later)


def _timed(work: Callable[[], Result]) -> tuple[Result, float]:
    began = time.process_time()
    result = work()
    return result, time.process_time() - began
