"""CKKS parameter sets and the public side: what an evaluator may hold, who computes without the secret key.

Cheon, Kim, Kim and Song, ASIACRYPT 2017, in full RNS (Cheon et al., SAC 2018) as SEAL 4 implements it. A context is
rebuilt from the *name* of a parameter set. Of what arrives only residues are read: degree, primes, level, scale and
form are put around them here, so they cannot be wrong. docs/decisions/0003 derives every number of this file.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from tenseal import sealapi

from crypto import flooding, seal_files, wide
from crypto.errors import Malformed, Misuse
from crypto.seal_files import SEED_BYTES, Bytes, Residues

RANGE = 32.0
"""Largest |value| that a reply may decrypt to. A reply wraps at `capacity`, two to four times as much, so that what
wraps is refused: a coefficient that wraps moves every slot by twice the capacity."""
SECRET_DEVIATION = 3.2
"""Standard deviation of SEAL's noise (HomomorphicEncryption.org standard)."""


@dataclass(frozen=True)
class ParameterSet:
    """A named choice of every number that both sides must agree on. All primes have 60 bits.

    Attributes:
        name: what both sides call it.
        n: ring degree; a ciphertext carries n real values.
        levels: primes of a request; key switching has one more.
        security: bits and their source.
        request_bits: a residual r is encrypted as r * 2**request_bits.
        first_bits: U enters the inner products as U * 2**first_bits.
        second_bits: U enters the fitted values as U * 2**second_bits.
        flooding_bits: a reply's coefficients get noise of standard deviation sigma = 2**flooding_bits; none where it is
            0.
        release_bits: whoever decrypts adds noise of standard deviation 2**release_bits to the coefficients.
        max_babies: limit of rotated copies of a request; they carry the largest data-dependent noise.
        kappa: what the evaluator's data can add to the view of a key owner who keeps all replies has statistical
            distance at most 2**-kappa.
        secrecy: bits by which decrypted values hide the key from whoever sees them beside all ciphertexts and messages
            (`crypto.release`).
        error: of a value, relative to the largest residual, at most.
        tau: number of reply ciphertexts on one evaluator's data that kappa holds for, and of those decrypted under one
            key that `secrecy` holds for.
        reply_levels: primes of a reply.
        reply_kept: leading bytes of every coefficient of a reply's two polynomials that travel (`crypto.wide`).
        max_packed: outputs of few rows that may share a ciphertext, at most; a power of two.
    """

    name: str
    n: int
    levels: int
    security: str
    request_bits: int
    first_bits: int
    second_bits: int
    flooding_bits: int
    release_bits: int
    max_babies: int
    kappa: int
    secrecy: int
    error: float
    reply_kept: tuple[int, int]
    tau: int = 2**16
    reply_levels: int = 2
    max_packed: int = 1
    max_features: int = field(default=4096, init=False)

    @property
    def values_per_ciphertext(self) -> int:
        """Real values in one ciphertext: two in each of the n / 2 complex slots."""
        return self.n

    @property
    def slots(self) -> int:
        """Complex slots of a ciphertext, n / 2."""
        return self.n // 2

    def packed(self, rows: int) -> int:
        """How many outputs share a ciphertext: the most, as a power of two, that leave room for so many rows of
        each."""
        count = self.max_packed
        while count > 1 and count * rows > self.n:
            count //= 2
        return count

    @property
    def request_bytes(self) -> int:
        """Bytes of one request: a packed polynomial and the seed of the other."""
        return seal_files.packed_bytes(1, self.levels, self.n) + SEED_BYTES

    @property
    def reply_bytes(self) -> int:
        """Bytes of one reply: the leading bytes of two polynomials' coefficients."""
        return sum(self.reply_kept) * self.n

    @property
    def reply_primes(self) -> tuple[int, ...]:
        """The primes of a reply."""
        return primes(self)[: self.reply_levels]

    @property
    def sum_bytes(self) -> int:
        """Bytes of one packed ciphertext on all primes of a request, as an encrypted head keeps them."""
        return seal_files.packed_bytes(2, self.levels, self.n)

    def keys_bytes(self, padded: int) -> int:
        """Bytes of the evaluation keys for a padded width: the public key, and one seeded key a Galois element."""
        return self._public_key_bytes + len(galois_elements(self, padded)) * self._galois_key_bytes

    @property
    def _public_key_bytes(self) -> int:
        return seal_files.packed_bytes(2, self.levels + 1, self.n)

    @property
    def _galois_key_bytes(self) -> int:
        return self.levels * (seal_files.packed_bytes(1, self.levels + 1, self.n) + SEED_BYTES)

    @property
    def sigma(self) -> int:
        """Standard deviation of the flooding noise on a reply's coefficients."""
        return 1 << self.flooding_bits

    @property
    def reply_scale(self) -> float:
        """What 1.0 becomes in a reply: the three scales, doubled by z + conj(z), over the primes that were dropped."""
        dropped = math.prod(primes(self)[self.reply_levels : self.levels])
        return 2.0 ** (1 + self.request_bits + self.first_bits + self.second_bits) / dropped

    @property
    def capacity(self) -> float:
        """The absolute value at which a reply's coefficient wraps."""
        return math.prod(self.reply_primes) / (2 * self.reply_scale)

    @property
    def data_noise(self) -> float:
        """D: L2 norm over a reply's coefficients of the noise that depends on the evaluator's data, at most.

        For rows of U of norm at most 1 and U_train' U_train <= 1. `switch` is the deviation of one key switch; the
        terms are the rotated copies of the request, the rotations on the way to g, and those of g (decision 0003); U
        meets the copies once for each output that may share a ciphertext (decision 0010).
        """
        n, switch = self.n, SECRET_DEVIATION * math.sqrt(self.levels * self.n / 3) + math.sqrt(self.n / 18)
        first, second = 2.0**self.first_bits, 2.0**self.second_bits
        copies = 2 * first * second * math.sqrt(n * (self.max_babies - 1) * self.max_packed)
        rotations = second * math.sqrt(4.0 * n * n + 2 * n * self.max_features)
        dropped = math.prod(primes(self)[self.reply_levels : self.levels])
        return switch * math.hypot(copies, rotations, math.sqrt(n * self.max_features)) / dropped

    def distance(self, replies: int) -> float:
        """The bound on the statistical distance after so many replies: sqrt(replies J) D / 2."""
        return math.sqrt(replies * flooding.FISHER) * self.data_noise / (2 * self.sigma)

    def describe(self) -> str:
        """All of it in one line."""
        return (
            f"{self.name}: ring degree {self.n}, {self.levels} + 1 primes of 60 bits, {self.security}; error below "
            f"{self.error:g} of the largest residual; replies flooded with sigma 2^{self.flooding_bits}: kappa "
            f"{self.kappa} bits for at most tau = {self.tau} reply ciphertexts; what is decrypted gets noise of sigma "
            f"2^{self.release_bits}: {self.secrecy} bits for the key, for at most {self.tau} decrypted ciphertexts"
        )


_SUM_SECURITY = "128-bit security (ePrint 2024/463: 300 of at most 430 bits)"
PARAMETER_SETS = {
    "strict": ParameterSet(
        name="strict",
        n=16384,
        levels=3,
        request_bits=88,
        first_bits=41,
        second_bits=43,
        flooding_bits=90,
        release_bits=86,
        reply_kept=(4, 10),
        max_babies=16,
        kappa=40,
        secrecy=46,
        error=1e-4,
        security="192-bit security (ePrint 2024/463: 240 of at most 305 bits)",
    ),
    "fast": ParameterSet(
        name="fast",
        n=8192,
        levels=2,
        request_bits=56,
        first_bits=25,
        second_bits=29,
        flooding_bits=92,
        release_bits=91,
        reply_kept=(4, 9),
        max_babies=8,
        kappa=14,
        secrecy=18,
        error=1e-3,
        security="128-bit security (ePrint 2024/463: 180 of at most 214 bits)",
    ),
}
"""By name, for encrypted fits that the key owner decrypts one by one; `strict` is the default."""
SUM_SETS = {
    # Decision 0010: one ring, and three stages of what is made from one request. `sum` is what the key's owner gets;
    # the other two go to the combiner, who multiplies by up to 2**64 and 2**20 to get there.
    "sum": ParameterSet(
        name="sum",
        n=16384,
        levels=4,
        request_bits=90,
        first_bits=39,
        second_bits=103,
        flooding_bits=90,
        release_bits=86,
        reply_kept=(4, 10),
        max_babies=16,
        max_packed=16,
        kappa=40,
        secrecy=43,
        error=2e-4,
        security=_SUM_SECURITY,
    ),
    "sum-training": ParameterSet(
        name="sum-training",
        n=16384,
        levels=4,
        request_bits=90,
        first_bits=39,
        second_bits=39,
        flooding_bits=0,
        release_bits=0,
        reply_kept=(14, 19),
        max_babies=16,
        max_packed=16,
        kappa=0,
        secrecy=0,
        error=0.0,
        reply_levels=3,
        security=_SUM_SECURITY,
    ),
    "sum-rows": ParameterSet(
        name="sum-rows",
        n=16384,
        levels=4,
        request_bits=90,
        first_bits=39,
        second_bits=83,
        flooding_bits=0,
        release_bits=0,
        reply_kept=(8, 13),
        max_babies=16,
        max_packed=16,
        kappa=0,
        secrecy=0,
        error=0.0,
        security=_SUM_SECURITY,
    ),
}
"""By name, for sum-only predictions."""


def named(name: str) -> ParameterSet:
    """The parameter set of that name; KeyError if there is none."""
    return PARAMETER_SETS[name] if name in PARAMETER_SETS else SUM_SETS[name]


@functools.cache
def _modulus(n: int, levels: int) -> tuple[sealapi.Modulus, ...]:
    return tuple(sealapi.CoeffModulus.Create(n, [seal_files.PRIME_BITS] * (levels + 1)))


@functools.cache
def primes(params: ParameterSet) -> tuple[int, ...]:
    """The primes, those of a request first and that of key switching last."""
    return tuple(modulus.value() for modulus in _modulus(params.n, params.levels))


@functools.cache
def context(params: ParameterSet) -> sealapi.SEALContext:
    """SEAL's context of a parameter set; SEAL refuses less than 128-bit security itself."""
    parms = sealapi.EncryptionParameters(sealapi.SCHEME_TYPE.CKKS)
    parms.set_poly_modulus_degree(params.n)
    parms.set_coeff_modulus(list(_modulus(params.n, params.levels)))
    built = sealapi.SEALContext(parms, True, sealapi.SEC_LEVEL_TYPE.TC128)
    if not built.parameters_set():
        raise Misuse(f"SEAL refuses the parameter set {params.name}: {built.parameters_error_message()}")
    return built


def level(params: ParameterSet, kept: int) -> tuple[int, ...]:
    """SEAL's `parms_id` of the level with so many primes."""
    data = context(params).first_context_data()
    for _ in range(params.levels - kept):
        data = data.next_context_data()
    return tuple(data.parms_id())


def padded(params: ParameterSet, features: int) -> int:
    """P: the least power of two that holds so many columns of U.

    Raises:
        Misuse: there are none, or more than `max_features`.
    """
    if not 1 <= features <= params.max_features:
        raise Misuse(f"an encrypted fit takes 1 to {params.max_features} columns, not {features}")
    return 1 << (features - 1).bit_length()


def galois_elements(params: ParameterSet, padded: int) -> list[int]:
    """The Galois elements in use: rotations by every power of two below n/2, and conjugation (2n - 1).

    Up to padded/2 they are baby or giant steps, whose split depends on the number of rows, and from padded they fold.
    """
    _check_width(params, padded)
    steps = [1 << i for i in range((params.slots - 1).bit_length())]
    return [rotation(params, step) for step in steps] + [2 * params.n - 1]


def rotation(params: ParameterSet, step: int) -> int:
    """The Galois element that moves slot i + step to slot i."""
    return pow(3, step, 2 * params.n)


def _check_width(params: ParameterSet, padded: int) -> None:
    if not 1 <= padded <= params.max_features or padded & (padded - 1):
        raise Misuse(f"a padded width is a power of two up to {params.max_features}, not {padded}")


class PublicKeys:
    """The key owner's public and Galois keys, checked on construction.

    Attributes:
        params: the parameter set.
        padded: P.
        raw: the bytes they came as, for the evaluator's own disk and worker processes.
        public: SEAL's public key.
        galois: SEAL's Galois keys.
    """

    def __init__(self, params: ParameterSet, padded: int, raw: bytes) -> None:
        self.params, self.padded, self.raw = params, padded, raw
        body = np.frombuffer(raw, dtype=np.uint8)
        cut = params._public_key_bytes
        self.public, self.galois = sealapi.PublicKey(), sealapi.GaloisKeys()
        seal_files.load(self.public, context(params), _key_members(params, body[:cut], b""))
        seal_files.load(self.galois, context(params), _galois_members(params, padded, body[cut:]))

    def __repr__(self) -> str:
        return f"PublicKeys({self.params.name}, P={self.padded})"

    @classmethod
    def from_bytes(cls, params: ParameterSet, padded: int, raw: bytes) -> PublicKeys:
        """Check keys that arrived.

        Raises:
            Malformed: as `check_keys`.
            Misuse: `padded` is no power of two up to `max_features`.
        """
        check_keys(params, padded, raw)
        try:
            return cls(params, padded, raw)
        except (ValueError, RuntimeError):
            raise Malformed("an evaluation key is not one of this parameter set") from None


def _key_members(params: ParameterSet, body: Bytes, seed: bytes) -> bytes:
    polynomials = 1 if seed else 2
    residues = seal_files.unpack(body).reshape(polynomials, params.levels + 1, params.n)
    parms = tuple(context(params).key_parms_id())
    return seal_files.ciphertext_members(parms, params.n, 1.0, residues, seed=seed or None)


def _galois_members(params: ParameterSet, padded: int, body: Bytes) -> bytes:
    """SEAL's Galois keys: a list by index (element - 1) / 2, most of them empty, of one ciphertext a prime."""
    each = params._galois_key_bytes // params.levels
    count = {}
    for i, element in enumerate(galois_elements(params, padded)):
        parts = []
        for j in range(params.levels):
            row = body[(i * params.levels + j) * each :][:each]
            parts.append(_key_members(params, row[:-SEED_BYTES], row[-SEED_BYTES:].tobytes()))
        count[(element - 1) // 2] = parts
    return seal_files.galois_members(tuple(context(params).key_parms_id()), params.n, count)


def write_reply(params: ParameterSet, residues: Residues, *, flooded: bool = True) -> Bytes:
    """A reply's bytes from residues uint64 (2, reply_levels, n): flooded, then rounded to what travels.

    Noise covers every coefficient of the first polynomial: all slots, real and imaginary parts, padding too. Rounding
    comes after it and needs no secret, so it says nothing more.
    """
    first, second = (wide.compose(polynomial, params.reply_primes) for polynomial in residues)
    if flooded and params.flooding_bits:
        noise = flooding.draw(params.n, params.flooding_bits)
        first = wide.add(first, noise, -flooding.centre(params.flooding_bits), params.reply_primes)
    kept = zip((first, second), params.reply_kept, strict=True)
    return np.concatenate([wide.leading(limbs, params.reply_primes, count) for limbs, count in kept])


def spread(leading: npt.NDArray[np.unsignedinteger]) -> bool:
    """Whether a polynomial may hide something, by its coefficients' leading digits (n,): half of them are not zero.

    What is encrypted honestly is uniform: of n = 8,192 digits of four bits or more, half are zero with probability
    below 2**-9000. A zero polynomial hides nothing, and SEAL will not compute with it; a small one may become zero on
    the way.
    """
    return bool(2 * np.count_nonzero(leading) > len(leading))


def read_reply(params: ParameterSet, row: Bytes) -> tuple[wide.Limbs, wide.Limbs]:
    """Both polynomials of a reply uint8 (reply_bytes,), as whole numbers.

    Raises:
        Malformed: a number that is not below the product of the primes; or a second polynomial of zero or next to
            it (`spread`), with which a ciphertext is no ciphertext.
    """
    cut = params.reply_kept[0] * params.n
    if not spread(row[cut + params.reply_kept[1] - 1 :: params.reply_kept[1]]):
        raise Malformed("a ciphertext whose second polynomial is zero or small: it hides nothing")
    found = [wide.extend(part, params.reply_primes, params.n) for part in (row[:cut], row[cut:])]
    if found[0] is None or found[1] is None:
        raise Malformed("a ciphertext with a number that is not below its modulus")
    return found[0], found[1]


def reply_residues(params: ParameterSet, row: Bytes) -> Residues:
    """A reply's residues uint64 (2, reply_levels, n); raises as `read_reply`."""
    return np.stack([wide.residues(limbs, params.reply_primes) for limbs in read_reply(params, row)])


def check_keys(params: ParameterSet, padded: int, raw: bytes) -> None:
    """Refuse evaluation keys that nothing could be computed with: what `PublicKeys.from_bytes` finds, without loading.

    Raises:
        Malformed: another length, a residue that is not below its prime, or a public key that hides nothing.
    """
    due = params.keys_bytes(padded)
    if len(raw) != due:
        raise Malformed(f"evaluation keys of {len(raw)} bytes; {params.name} at width {padded} has {due}")
    check_public_key(params, raw[: params._public_key_bytes])
    check_switch_keys(params, raw[params._public_key_bytes :])


def check_public_key(params: ParameterSet, raw: bytes) -> None:
    """Refuse a public key of another length, with a residue beyond its prime, or that hides nothing; Malformed."""
    due = params._public_key_bytes
    if len(raw) != due:
        raise Malformed(f"a public key of {len(raw)} bytes; {due} are due")
    checked(params, np.frombuffer(raw, dtype=np.uint8), 2, params.levels + 1, "a public key")


def check_switch_keys(params: ParameterSet, raw: bytes) -> None:
    """Refuse Galois or relinearisation keys with a residue that is not below its prime.

    Their second polynomials are expanded from seeds, so none of them is zero.
    """
    for row in np.frombuffer(raw, dtype=np.uint8).reshape(-1, params._galois_key_bytes // params.levels):
        checked(params, row[:-SEED_BYTES], 1, params.levels + 1, "an evaluation key")


def check_replies(params: ParameterSet, array: Bytes, count: int) -> None:
    """Refuse replies, uint8 (count, reply_bytes), that cannot be decrypted or computed with.

    Raises:
        Malformed: another shape; otherwise as `read_reply`.
    """
    due = (count, params.reply_bytes)
    if array.dtype != np.uint8 or array.shape != due:
        raise Malformed(f"replies of shape {array.shape}; {due} is due")
    for row in array:
        read_reply(params, row)


def check_requests(params: ParameterSet, array: Bytes) -> None:
    """Refuse requests that are not ciphertexts of the parameter set; `array` uint8 (count, request_bytes).

    Under which key a ciphertext is cannot be seen: to whoever lacks the key, any residues look alike.

    Raises:
        Malformed: another shape, or a residue that is not below its prime.
    """
    if array.dtype != np.uint8 or array.ndim != 2 or array.shape[1] != params.request_bytes:
        raise Malformed(f"a ciphertext that has not the {params.request_bytes} bytes of a request")
    for row in array:
        request_residues(params, row)


def request_residues(params: ParameterSet, row: Bytes) -> Residues:
    """Checked residues uint64 (1, levels, n) of one request; Malformed."""
    return checked(params, row[:-SEED_BYTES], 1, params.levels)


def checked(params: ParameterSet, packed: Bytes, polynomials: int, levels: int, what: str = "a ciphertext") -> Residues:
    """Unpack residues uint64 (polynomials, levels, n), each below its prime; Malformed.

    A second polynomial that is zero or next to it on any prime is refused as well (`spread`).
    """
    residues = seal_files.unpack(packed).reshape(polynomials, levels, params.n)
    if (residues >= np.array(primes(params)[:levels], dtype=np.uint64)[:, None]).any():
        raise Malformed(f"{what} with a residue that is not below its prime")
    if polynomials == 2 and not all(spread(row >> np.uint64(seal_files.PRIME_BITS - 8)) for row in residues[1]):
        raise Malformed(f"{what} whose second polynomial is zero or small: it hides nothing")
    return residues
