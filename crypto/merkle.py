"""Merkle trees over a growing list of leaves, exactly as RFC 6962 section 2.1 (and RFC 9162 section 2.1) hash them.

A tree is kept as its peaks: the roots of the perfect subtrees that its size in binary names, largest first. Appending
costs about two hashes, and old peaks stay valid, because they are immutable.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

Peaks = tuple[tuple[int, bytes], ...]
"""(leaves, root of 32 bytes) of each perfect subtree; sizes are falling powers of two."""
MAX_PATH = 64
"""Hashes of an inclusion path: no list has more than 2^64 leaves."""


def leaf_hash(data: bytes) -> bytes:
    """Hash of one leaf, 32 bytes. The prefix 0x00 keeps a leaf from passing for an inner node."""
    return hashlib.sha256(b"\0" + data).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()


def append(peaks: Peaks, leaf: bytes) -> Peaks:
    """The peaks with one more leaf hash."""
    size, kept = 1, len(peaks)
    while kept and peaks[kept - 1][0] == size:
        kept -= 1
        size, leaf = 2 * size, _node(peaks[kept][1], leaf)
    return (*peaks[:kept], (size, leaf))


def root(peaks: Peaks) -> bytes:
    """The tree's root, 32 bytes; of no leaves it is the hash of nothing (RFC 6962)."""
    if not peaks:
        return hashlib.sha256().digest()
    value = peaks[-1][1]
    for _, left in reversed(peaks[:-1]):
        value = _node(left, value)
    return value


def path(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The hashes that lead from leaf hash `index` (from 0) to the root, bottom first; at most log2(len(leaves)) + 1."""
    level, found = list(leaves), []
    while len(level) > 1:
        if index ^ 1 < len(level):
            found.append(level[index ^ 1])
        pairs = [_node(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
        level = pairs + level[2 * len(pairs) :]  # a node without a sibling moves up unchanged
        index //= 2
    return found


def root_from_path(leaf: bytes, index: int, size: int, hashes: Sequence[bytes]) -> bytes | None:
    """The root that `hashes` prove for leaf hash number `index` of `size`; None where they cannot be a path of it."""
    if not 0 <= index < size or len(hashes) > MAX_PATH:
        return None
    rest = iter(hashes)
    while size > 1:
        if index ^ 1 < size:
            sibling = next(rest, None)
            if sibling is None:
                return None
            leaf = _node(sibling, leaf) if index & 1 else _node(leaf, sibling)
        index, size = index // 2, (size + 1) // 2
    return leaf if next(rest, None) is None else None
