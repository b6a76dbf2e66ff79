"""SEAL's objects to bytes and back, with our own packing of what travels.

The Python bindings read and write SEAL objects by path only, and compress whatever they write. Here the path is an
anonymous file in memory where there is one; residues are cut out of SEAL's file and packed to the 60 bits that they
have; and on the way in a SEAL file is *rebuilt* around received residues: degree, primes, level, scale and form are
ours, never those that came. Layout of the files: SEAL 4, `Serialization::SEALHeader` and the `save_members` functions.
"""

from __future__ import annotations

import os
import struct
import tempfile
import threading
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt
import zstandard

if TYPE_CHECKING:
    from tenseal import sealapi

Bytes = npt.NDArray[np.uint8]
Residues = npt.NDArray[np.uint64]

PRIME_BITS = 60
"""Bits of every prime of every parameter set: two residues fill 15 bytes."""
PAIR_BYTES = 15
SEED_BYTES = 64
_HEADER = struct.Struct("<HBBBBHQ")  # magic, header size, major, minor, compression, reserved, total size
_HEADER_BYTES = 16
_MAGIC, _ZSTD, _BLAKE2XB = 0xA15E, 2, 1
_CIPHERTEXT = struct.Struct("<B3QdQ")  # NTT form, polynomials, degree, primes, scale, correction factor (1 in CKKS)
_PARMS_BYTES = 32
_RNG_BYTES = _HEADER_BYTES + 1 + SEED_BYTES
_MAX_FILE_BYTES = 2**31
"""Bound on a decompressed file of our own; the largest key here has about 5 MB."""


class SealObject(Protocol):
    """What the bindings can save."""

    def save(self, path: str) -> None: ...


class LoadableSealObject(Protocol):
    """What the bindings can load against a context."""

    def load(self, context: sealapi.SEALContext, path: str) -> None: ...


class _Scratch:
    """A file to pass SEAL objects through: in memory on Linux, else a temporary one."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        if hasattr(os, "memfd_create"):
            self.fd = os.memfd_create("seal")
            self.path = f"/proc/self/fd/{self.fd}"
        else:
            self.fd, self.path = tempfile.mkstemp(prefix="secure-gal-")

    def __del__(self) -> None:
        os.close(self.fd)
        if self.pid == os.getpid() and not self.path.startswith("/proc/"):
            os.unlink(self.path)


_local = threading.local()


def _scratch() -> _Scratch:
    """This thread's scratch file, emptied; a forked process makes its own."""
    scratch: _Scratch | None = getattr(_local, "scratch", None)
    if scratch is None or scratch.pid != os.getpid():
        scratch = _local.scratch = _Scratch()
    os.ftruncate(scratch.fd, 0)
    return scratch


def save(thing: SealObject) -> bytes:
    """The members of a SEAL object, decompressed and without the outer header."""
    scratch = _scratch()
    thing.save(scratch.path)
    raw = os.pread(scratch.fd, os.fstat(scratch.fd).st_size, 0)
    os.ftruncate(scratch.fd, 0)  # it may have been a secret key
    if raw[5] == _ZSTD:
        return zstandard.ZstdDecompressor().decompress(raw[_HEADER_BYTES:], max_output_size=_MAX_FILE_BYTES)
    return raw[_HEADER_BYTES:]


def load(thing: LoadableSealObject, context: sealapi.SEALContext, members: bytes) -> None:
    """Fill a SEAL object from its members; SEAL checks metadata and that every residue is below its prime.

    Raises:
        ValueError, RuntimeError: SEAL refused them.
    """
    scratch = _scratch()
    os.pwritev(scratch.fd, [_header(len(members)), members], 0)
    thing.load(context, scratch.path)
    os.ftruncate(scratch.fd, 0)


def _header(members: int) -> bytes:
    return _HEADER.pack(_MAGIC, _HEADER_BYTES, *_version(), 0, 0, _HEADER_BYTES + members)


def _version() -> tuple[int, int]:
    """Major and minor of the SEAL that is linked in: the linker's SEAL refuses other files."""
    from tenseal import sealapi  # not above: `known_answer` reads what another module wrote, before TenSEAL is imported

    header = sealapi.Serialization.SEALHeader()
    return header.version_major, header.version_minor


def ciphertext_members(
    parms: tuple[int, ...],
    degree: int,
    scale: float,
    residues: Residues,
    *,
    ntt: bool = True,
    seed: bytes | None = None,
) -> bytes:
    """A ciphertext's members around residues.

    Args:
        parms: SEAL's `parms_id` of the level, four words.
        residues: uint64 (polynomials, primes, degree); one polynomial with a seed, two without.
        ntt: whether the residues are in number-theoretic-transform form.
        seed: 64 bytes from which SEAL expands the second polynomial.
    """
    body = np.ascontiguousarray(residues).tobytes()
    inner = _header(8 + len(body)) + struct.pack("<Q", residues.size) + body
    if seed is not None:
        inner += _header(1 + SEED_BYTES) + bytes([_BLAKE2XB]) + seed
    return struct.pack("<4Q", *parms) + _CIPHERTEXT.pack(ntt, 2, degree, residues.shape[1], scale, 1) + inner


def galois_members(parms: tuple[int, ...], degree: int, keys: dict[int, list[bytes]]) -> bytes:
    """Galois keys' members from each key's ciphertexts' members, by SEAL's index (element - 1) / 2 below `degree`."""
    out = [struct.pack("<5Q", *parms, degree)]
    for index in range(degree):
        parts = keys.get(index, [])
        out.append(struct.pack("<Q", len(parts)))
        out += [piece for part in parts for piece in (_header(len(part)), part)]
    return b"".join(out)


def split_galois(members: bytes, levels: int, degree: int) -> list[tuple[Residues, bytes]]:
    """Residues and seed of each ciphertext of a seeded Galois key that we saved, which holds one element only."""
    each = _HEADER_BYTES + ciphertext_bytes(levels + 1, degree, seeded=True)
    start = members.index(struct.pack("<Q", levels) + _header(each - _HEADER_BYTES)) + 8
    parts = [members[start + i * each :][_HEADER_BYTES:each] for i in range(levels)]
    return [split_ciphertext(part, levels + 1, degree, seeded=True) for part in parts]


def split_ciphertext(members: bytes, primes: int, degree: int, *, seeded: bool) -> tuple[Residues, bytes]:
    """Residues uint64 (polynomials, primes, degree) and seed (empty if unseeded) of a ciphertext that we saved."""
    start = _PARMS_BYTES + _CIPHERTEXT.size + _HEADER_BYTES + 8
    polynomials = 1 if seeded else 2
    words = polynomials * primes * degree
    end = start + 8 * words
    if len(members) != end + (_RNG_BYTES if seeded else 0):
        raise RuntimeError("this SEAL writes ciphertexts in another layout than SEAL 4")
    residues = np.frombuffer(members, dtype="<u8", count=words, offset=start).reshape(polynomials, primes, degree)
    return residues, members[-SEED_BYTES:] if seeded else b""


def ciphertext_bytes(primes: int, degree: int, *, seeded: bool) -> int:
    """Length of a ciphertext's members."""
    words = (1 if seeded else 2) * primes * degree
    return _PARMS_BYTES + _CIPHERTEXT.size + _HEADER_BYTES + 8 + 8 * words + (_RNG_BYTES if seeded else 0)


def pack(residues: Residues) -> Bytes:
    """Residues below 2**60, an even number of them, to 15 bytes a pair (little-endian)."""
    low, high = residues.reshape(-1, 2).T
    out = np.empty((len(low), PAIR_BYTES), dtype=np.uint8)
    out[:, :8] = (low | (high << np.uint64(PRIME_BITS))).view(np.uint8).reshape(-1, 8)
    out[:, 8:] = (high >> np.uint64(4)).view(np.uint8).reshape(-1, 8)[:, :7]
    return out.reshape(-1)


def unpack(packed: Bytes) -> Residues:
    """The inverse of `pack`; any bytes give residues below 2**60, which the caller holds against the primes."""
    pairs = packed.reshape(-1, PAIR_BYTES)
    words = np.zeros((len(pairs), 16), dtype=np.uint8)
    words[:, :PAIR_BYTES] = pairs
    low, high = words.view("<u8").T
    out = np.empty((len(pairs), 2), dtype=np.uint64)
    out[:, 0] = low & np.uint64((1 << PRIME_BITS) - 1)
    out[:, 1] = (low >> np.uint64(PRIME_BITS)) | (high << np.uint64(4))
    return out.reshape(-1)


def packed_bytes(polynomials: int, primes: int, degree: int) -> int:
    """Bytes of packed residues."""
    return polynomials * primes * degree * PRIME_BITS // 8
