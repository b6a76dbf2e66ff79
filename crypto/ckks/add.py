"""Sums of replies, without any key: residues add up prime by prime."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from crypto.ckks.ciphertexts import reply_residues, write_reply
from crypto.ckks.params import ParameterSet
from crypto.ckks.sealapi_files import Bytes


def added(params: ParameterSet, replies: Sequence[Bytes]) -> Bytes:
    """The sum of one or more arrays of replies uint8 (count, reply_bytes), row by row; its noise is the sum of theirs.

    Raises:
        Malformed: rows that are no replies.
    """
    moduli = np.array(params.reply_primes, dtype=np.uint64)[:, None]
    rows = []
    for same in zip(*replies, strict=True):
        total = np.zeros((2, params.reply_levels, params.n), dtype=np.uint64)
        for row in same:
            total = (total + reply_residues(params, row)) % moduli
        rows.append(write_reply(params, total, flooded=False))
    return np.stack(rows) if rows else replies[0]
