"""Private set intersection by Diffie-Hellman: two sides find their common ids and show each other no other id.

The receiver R holds ids x and learns which are common; the sender S holds ids y and learns from this module only how
many ids R has. H hashes to Curve25519; r and s are fresh scalars, one for each pair of sets that are compared:
    1. S -> R  X25519(s, H(y)), in a secret order                    32 bytes an id of S
    2. R -> S  X25519(r, H(x)), in a secret order                    32 bytes an id of R
    3. S -> R  tag(X25519(s, X25519(r, H(x)))), in the order of 2    `tag_bytes` an id of R
    4. R       tag(X25519(r, X25519(s, H(y)))), compared with 3
Meadows 1986; Huberman, Franklin and Hogg, EC 1999: semi-honest security from decisional Diffie-Hellman with H a random
oracle. Group, hash and truncation: docs/decisions/0005-psi.md. All curve arithmetic is that of two libraries: X25519
(RFC 7748) of `cryptography`, the Elligator 2 map of Monocypher.

An order of calls that works: `mask` on both sides, `parse_points`, `check_distinct` and `tags` on what arrived,
`parse_tags` and `match` at R, `erase` on both. Nothing here is ever stored: after a crash both draw new scalars.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from monocypher import elligator_map  # type: ignore[import-not-found]

from crypto.errors import Malformed, Misuse, Unsuitable
from crypto.workers import owned

Rows = npt.NDArray[np.uint8]
"""uint8 (N, width): one encoded point (width 32) or one tag a row."""
Positions = npt.NDArray[np.int64]
Part = TypeVar("Part")

POINT_BYTES = 32
BLOCK = 4096
"""Rows of one unit of work: about 0.2 s of one core, 128 KiB of points."""
FALSE_MATCH_BITS = 40
"""Two different ids get equal tags anywhere in one use with probability at most 2**-40."""
SUITE = b"curve25519_XMD:SHA-512_ELL2_NU_"
"""RFC 9380 section 8.5."""
DOMAIN_LABEL = b"secure-gal/1 psi domain\0"
HASH_LABEL = b"secure-gal/1 psi with " + SUITE
TAG_LABEL = b"secure-gal/1 psi"
_PRIME = 2**255 - 19
_ORDER_EIGHT = (
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
)
SMALL_ORDER = np.array([u.to_bytes(32, "little") for u in (0, 1, _PRIME - 1, *_ORDER_EIGHT)], dtype="S32")
"""u-coordinates below the prime of every point of order 1, 2, 4 or 8, of the curve and of its twist."""


class _SmallOrder(Exception):
    """X25519 gave zero (raised in a worker process, so it carries nothing)."""


def derive_domain(*fields: bytes) -> bytes:
    """32 bytes that separate one use from every other, from the fields that differ between uses.

    SHA-256 over a label and the fields, each after its length in 8 bytes, so no two lists of fields agree.
    """
    framed = b"".join(len(field).to_bytes(8, "big") + field for field in fields)
    return hashlib.sha256(DOMAIN_LABEL + framed).digest()


class PsiSide:
    """One side's fresh scalar for one use; prints nothing of it and cannot be copied or stored.

    Args:
        domain: from `derive_domain`, 32 bytes, the same on both sides.
    """

    __slots__ = ("_domain", "_masked", "_scalar")

    def __init__(self, domain: bytes) -> None:
        if len(domain) != 32:
            raise Misuse("a PSI domain has 32 bytes; make it with derive_domain")
        self._domain = domain
        self._scalar = bytearray(secrets.token_bytes(32))
        self._masked = False

    def __repr__(self) -> str:
        return "PsiSide(secret)"

    def __reduce__(self) -> str:
        raise TypeError("a PSI side holds a secret scalar and cannot be copied or serialised")

    def mask(self, ids: Sequence[str], cores: int | None = None) -> tuple[Positions, Iterator[Rows]]:
        """Steps 1 and 2: draw a secret order and mask the ids in it, block by block.

        Once only: masking twice with one scalar would let the other side link the two lists.

        Args:
            ids: normalised ids (N,), all different.
            cores: worker processes; every core by default.

        Returns:
            order: int64 (N,), row i of the masked list belongs to `ids[order[i]]`; stays secret.
            blocks: uint8 (<= BLOCK, 32) each, N rows together, computed as they are asked for.

        Raises:
            Unsuitable: an id is empty, not text, or stands more than once.
            Misuse: masked before, or erased.
        """
        secret = self._secret()
        if self._masked:
            raise Misuse("a PSI scalar masks one list; make a new PsiSide")
        try:
            encoded = [entity.encode() for entity in ids]
        except (AttributeError, UnicodeEncodeError):
            raise Unsuitable("ids", "an id is not Unicode text; normalise ids first") from None
        if not all(encoded) or len(set(encoded)) != len(encoded):
            raise Unsuitable("ids", "an id is empty or stands more than once; normalise ids first")
        self._masked = True
        order = shuffle(len(ids))
        parts = ([encoded[i] for i in order[start : start + BLOCK]] for start in range(0, len(ids), BLOCK))
        return order, _run(partial(_mask, secret, HASH_LABEL + self._domain), parts, len(ids), POINT_BYTES, cores)

    def tags(self, points: Rows, length: int, cores: int | None = None) -> Rows:
        """Steps 3 and 4: mask the other side's points again and truncate; call it for each message or for all at once.

        Args:
            points: uint8 (N, 32) from `parse_points`.
            length: bytes of a tag, from `tag_bytes`.
            cores: worker processes; every core by default.

        Returns:
            uint8 (N, length), in the order of `points`.

        Raises:
            Malformed: a point has small order.
            Misuse: the scalar was erased.
        """
        work = partial(_tag, self._secret(), self._domain, length)
        parts = (points[start : start + BLOCK].tobytes() for start in range(0, len(points), BLOCK))
        out = np.empty((len(points), length), dtype=np.uint8)
        done = 0
        try:
            for block in _run(work, parts, len(points), length, cores):
                out[done : done + len(block)] = block
                done += len(block)
        except _SmallOrder:
            raise Malformed("a masked id is a point of small order") from None
        return out

    def erase(self) -> None:
        """Overwrite the scalar; any later call is a Misuse (an iterator of `mask` in hand runs to its end).

        Python and the libraries may have made copies that live until their memory is reused; what this guarantees is
        that no code of ours can use the scalar again.
        """
        self._scalar[:] = bytes(len(self._scalar))
        self._scalar = bytearray()

    def _secret(self) -> bytes:
        if not self._scalar:
            raise Misuse("this PSI scalar was erased")
        return bytes(self._scalar)


def shuffle(n: int) -> Positions:
    """A uniform permutation of 0..n-1 from the operating system's generator, int64 (n,).

    Sorting by random 64-bit keys is exactly uniform when no two keys agree; when two do (2**-26 for a million), all
    are drawn again.
    """
    while True:
        keys = np.frombuffer(secrets.token_bytes(8 * n), dtype=np.uint64)
        order = np.argsort(keys).astype(np.int64)
        ranked = keys[order]
        if not (ranked[1:] == ranked[:-1]).any():
            return order


def tag_bytes(own: int, others: int) -> int:
    """Bytes of a tag for two sets of these sizes.

    By the union bound over all pairs of the `own + others` ids, any two different ids get the same tag with
    probability at most 2**-FALSE_MATCH_BITS: that covers false matches and repeats within one set.
    """
    total = own + others
    return -(-((total * (total - 1) // 2).bit_length() + FALSE_MATCH_BITS) // 8)


def parse_points(raw: bytes, count: int) -> Rows:
    """Read masked ids strictly, uint8 (count, 32).

    Repeats are looked for by `check_distinct` when all have come. Points of the twist and points with a component of
    small order pass; the decision record says why that is safe.

    Raises:
        Malformed: another count, a coordinate that is not below 2**255 - 19, or a point of small order.
    """
    points = _rows(raw, count, POINT_BYTES, "masked ids")
    # p = 2**255 - 19 is ed ff .. ff 7f in little-endian bytes.
    top = (points[:, 31] == 0x7F) & (points[:, 1:31] == 0xFF).all(axis=1) & (points[:, 0] >= 0xED)
    if (points[:, 31] > 0x7F).any() or top.any():
        raise Malformed("a masked id is not a canonical coordinate")
    if np.isin(_keys(points), SMALL_ORDER).any():
        raise Malformed("a masked id is a point of small order")
    return points


def parse_tags(raw: bytes, count: int, length: int) -> Rows:
    """Read tags strictly, uint8 (count, length); Malformed on another count. `match` looks for repeats."""
    return _rows(raw, count, length, "tags")


def check_distinct(rows: Rows) -> None:
    """Malformed if two rows are equal; N log N, whoever chose them."""
    ranked = np.sort(_keys(rows))
    if (ranked[1:] == ranked[:-1]).any():
        raise Malformed("a masked id or tag stands more than once")


def match(mine: Rows, theirs: Rows) -> tuple[Positions, Positions]:
    """Step 4: where the two lists of tags agree.

    Args:
        mine: uint8 (N, length), the other side's answer, in the order of our masked list.
        theirs: uint8 (M, length), our tags of the other side's masked list, in its order.

    Returns:
        int64 (C,) positions in our masked list, ascending, and int64 (C,) positions in the other side's.

    Raises:
        Malformed: a tag stands more than once in one list.
    """
    check_distinct(mine)
    check_distinct(theirs)
    _, own, other = np.intersect1d(_keys(mine), _keys(theirs), assume_unique=True, return_indices=True)
    order = np.argsort(own)
    return own[order].astype(np.int64), other[order].astype(np.int64)


def _rows(raw: bytes, count: int, width: int, what: str) -> Rows:
    if len(raw) != count * width:
        raise Malformed(f"{len(raw)} bytes of {what}; {count} times {width} are due")
    return np.frombuffer(raw, dtype=np.uint8).reshape(count, width)


def _keys(rows: Rows) -> npt.NDArray[np.bytes_]:
    """Rows as NumPy byte strings, which sort; NumPy ignores trailing zeros, harmless where all widths are equal."""
    return np.ascontiguousarray(rows).view(f"S{rows.shape[1]}").reshape(len(rows))


def _run(
    work: Callable[[Part], bytes], parts: Iterator[Part], total: int, width: int, cores: int | None
) -> Iterator[Rows]:
    """Results of `work` in order, in processes where that pays: the hashing holds the interpreter lock.

    `work` carries the scalar to workers of this user on this machine, over pipes; nothing is written to disk.
    """
    from joblib import Parallel, cpu_count, delayed  # 0.1 s that a forecast of bytes does without

    cores = cores or cpu_count()
    if cores == 1 or total <= 2 * BLOCK:
        results = map(work, parts)
    else:
        pool = Parallel(n_jobs=cores, return_as="generator", pre_dispatch=2 * cores, batch_size=1)
        results = pool(delayed(owned)(os.getpid(), work, part) for part in parts)
    for block in results:
        yield np.frombuffer(block, dtype=np.uint8).reshape(-1, width)


def _encode(message: bytes, suffix: bytes) -> bytes:
    """H of one id: encode_to_curve of RFC 9380, suite SUITE, as a u-coordinate before the cofactor is cleared.

    `suffix` is DST followed by its length (DST_prime, section 5.3.1). Clearing the cofactor is left to the scalar
    multiplication that must follow: every X25519 scalar is a multiple of 8.
    """
    first = hashlib.sha512(bytes(128) + message + b"\x00\x30\x00" + suffix).digest()
    uniform = hashlib.sha512(first + b"\x01" + suffix).digest()[:48]
    field = int.from_bytes(uniform, "big") % _PRIME
    # The map sees only the square of its argument; Monocypher reads the root that is below 2**254.
    return bytes(elligator_map(min(field, _PRIME - field).to_bytes(32, "little")))


def _mask(secret: bytes, dst: bytes, ids: list[bytes]) -> bytes:
    scalar, suffix = X25519PrivateKey.from_private_bytes(secret), dst + bytes([len(dst)])
    return b"".join([scalar.exchange(X25519PublicKey.from_public_bytes(_encode(entity, suffix))) for entity in ids])


def _tag(secret: bytes, domain: bytes, length: int, points: bytes) -> bytes:
    scalar, tags = X25519PrivateKey.from_private_bytes(secret), []
    for start in range(0, len(points), POINT_BYTES):
        try:
            # All zeros is an error here (RFC 7748 section 6.1), which is what every point of small order gives.
            shared = scalar.exchange(X25519PublicKey.from_public_bytes(points[start : start + POINT_BYTES]))
        except ValueError:
            raise _SmallOrder from None
        tags.append(hashlib.blake2b(shared, digest_size=length, key=domain, person=TAG_LABEL).digest())
    return b"".join(tags)
