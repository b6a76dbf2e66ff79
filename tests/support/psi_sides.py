"""Sides of a private set intersection, and points as they are sent."""

from __future__ import annotations

import numpy as np

from crypto import psi
from crypto.psi import PsiSide, derive_domain

DOMAIN = derive_domain(b"study", b"run", b"hospital", b"lab")
PRIME = 2**255 - 19


def masked(side: PsiSide, ids: list[str], cores: int | None = 1) -> tuple[psi.Positions, psi.Rows]:
    """The secret order of the ids, and their points uint8 (len(ids), 32) in it."""
    order, blocks = side.mask(ids, cores)
    return order, np.concatenate([np.empty((0, 32), np.uint8), *blocks])


def point(u: int) -> bytes:
    """A u-coordinate in 32 bytes, least first."""
    return u.to_bytes(32, "little")
