"""Uniform random words of the operating system or of a stream cipher that it keys, and uniform numbers made of them;
nothing here takes a seed."""

from __future__ import annotations

import os
import secrets

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20

Words = npt.NDArray[np.uint64]
"""uint64, uniform over 0..2**64-1."""


def system_words(count: int) -> Words:
    """`count` fresh words (count,) of the operating system's generator."""
    return np.frombuffer(secrets.token_bytes(8 * count), dtype="<u8").astype(np.uint64)


def stream_words(count: int, key: bytes | None = None) -> npt.NDArray[np.uint32]:
    """`count` words (count,), uniform over 0..2**32-1, of ChaCha20 (RFC 8439) under a fresh key of the operating
    system's.

    For many words at once: several times as fast as `system_words`.

    Args:
        key: 32 bytes that nobody else knows and that no other call uses, where the same words are due again.
    """
    nonce = bytes(16)  # the key is used for this one purpose
    stream = Cipher(ChaCha20(key or os.urandom(32), nonce), mode=None).encryptor().update(bytes(4 * count))
    return np.frombuffer(stream, dtype="<u4")


def unit_interval(words: Words) -> npt.NDArray[np.float64]:
    """The high 52 bits of each word as the middle of one of 2**52 equal cells: never 0 and never 1."""
    cells = (words >> np.uint64(12)).astype(np.float64)
    return np.asarray((cells + 0.5) * 2.0**-52)
