"""Sums of packed replies, without any key: residues add up prime by prime."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from crypto import seal_files
from crypto.ckks import ParameterSet, primes
from crypto.seal_files import Bytes


def added(params: ParameterSet, replies: Sequence[Bytes]) -> Bytes:
    """The sum of one or more arrays of replies uint8 (count, reply_bytes), row by row; its noise is the sum of theirs."""
    moduli = np.array(primes(params)[: params.reply_levels], dtype=np.uint64)[:, None]
    rows = []
    for same in zip(*replies, strict=True):
        total = np.zeros((2, params.reply_levels, params.n), dtype=np.uint64)
        for row in same:
            total = (total + seal_files.unpack(row).reshape(total.shape)) % moduli
        rows.append(seal_files.pack(total))
    return np.stack(rows) if rows else replies[0]
