"""What the aggregator computes with on ciphertexts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from crypto.ckks.fits import Layout
from crypto.ckks.slots import Packing
from crypto.ckks.sum_calculator import SumCalculator
from crypto.ckks.sum_keys import ProductKeys
from secure_gal.errors import blamed

Bytes = npt.NDArray[np.uint8]


class Combiner(Protocol):
    """What computes on ciphertexts (`crypto.ckks.sum_calculator.SumCalculator`)."""

    def products(
        self,
        fits: Sequence[Bytes],
        residual: Bytes | npt.NDArray[np.float64],
        difference: Bytes,
        table: Packing,
    ) -> Bytes: ...
    def weighted_sum(self, fits: Sequence[tuple[Bytes, Bytes]], weights: Sequence[int]) -> Bytes: ...


def open_combiner(raw: bytes, peer: str) -> Combiner:
    """The calculator of the evaluation keys that arrived; PeerViolation."""
    with blamed(peer):
        return SumCalculator(ProductKeys(raw))


def _split(author: str, layout: Layout, part: bytes) -> tuple[Bytes, Bytes]:
    with blamed(author):
        return layout.split(part)
