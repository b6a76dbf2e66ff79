"""What a CKKS parameter set says, and what follows from it.

Cheon, Kim, Kim and Song, ASIACRYPT 2017, in full RNS (Cheon et al., SAC 2018) as SEAL 4 implements it.
docs/decisions/0003 derives every number of this file.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, field

from tenseal import sealapi

from crypto.ckks import flooding, sealapi_files
from crypto.ckks.sealapi_files import SEED_BYTES

RANGE = 32.0
"""Largest |value| that a reply may decrypt to. A reply wraps at `capacity`, two to four times as much, so that what
wraps is refused: a coefficient that wraps moves every slot by twice the capacity."""
SECRET_DEVIATION = 3.2
"""Standard deviation of SEAL's noise (HomomorphicEncryption.org standard)."""

WORST = 7.5
"""The most that switching keys, each of deviation s, can come to in a reply: an L2 norm in units of 2**second_bits s n.
sqrt(5) on average over keys, for the worst rows of U; with this, all keys but one in a million (decision 0003)."""


@dataclass(frozen=True)
class ParameterSet:
    """A named choice of every number that both sides must agree on. All primes have 60 bits.

    Attributes:
        name: what both sides call it.
        n: ring degree; a ciphertext carries n real values.
        levels: primes of a request; key switching has one more.
        request_kept: leading bytes of every coefficient of a request's first polynomial that travel
            (`crypto.ckks.ciphertexts`).
        security: bits and their source.
        request_bits: a residual r is encrypted as r * 2**request_bits.
        first_bits: U enters the inner products as U * 2**first_bits.
        second_bits: U enters the fitted values as U * 2**second_bits.
        flooding_bits: a reply's coefficients get noise of standard deviation sigma = 2**flooding_bits; none where it is
            0.
        release_bits: whoever decrypts adds noise of standard deviation 2**release_bits to the coefficients.
        kappa: what the evaluator's data can add to the view of a key owner who keeps all replies has statistical
            distance at most 2**-kappa.
        secrecy: bits by which decrypted values hide the key from whoever sees them beside all ciphertexts and messages
            (`crypto.ckks.release`).
        error: of a value, relative to the largest residual, at most.
        tau: number of reply ciphertexts on one evaluator's data that kappa holds for, and of those decrypted under one
            key that `secrecy` holds for.
        reply_levels: primes of a reply.
        reply_kept: leading bytes of every coefficient of a reply's two polynomials that travel (`crypto.ckks.wide`).
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
    kappa: int
    secrecy: int
    error: float
    request_kept: int
    reply_kept: tuple[int, int]
    tau: int = 2**16
    reply_levels: int = 2
    max_packed: int = 1
    max_features: int = field(default=4096, init=False)

    @property
    def slots(self) -> int:
        """Complex slots of a ciphertext, n / 2, for two real values each."""
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
        """Bytes of one request: the leading bytes of one polynomial's coefficients and the seed of the other."""
        return self.request_kept * self.n + SEED_BYTES

    @property
    def reply_bytes(self) -> int:
        """Bytes of one reply: the leading bytes of two polynomials' coefficients."""
        return sum(self.reply_kept) * self.n

    @functools.cached_property
    def primes(self) -> tuple[int, ...]:
        """Those of a request first, that of key switching last."""
        return tuple(modulus.value() for modulus in moduli(self.n, self.levels))

    @functools.cached_property
    def request_primes(self) -> tuple[int, ...]:
        """The primes of a request."""
        return self.primes[: self.levels]

    @functools.cached_property
    def reply_primes(self) -> tuple[int, ...]:
        """The primes of a reply."""
        return self.primes[: self.reply_levels]

    @property
    def sum_bytes(self) -> int:
        """Bytes of one packed ciphertext on all primes of a request, as an encrypted head keeps them."""
        return sealapi_files.packed_bytes(2, self.levels, self.n)

    @property
    def public_key_bytes(self) -> int:
        """Bytes of a public key: a polynomial on all primes, and the seed of the other."""
        return sealapi_files.packed_bytes(1, self.levels + 1, self.n) + SEED_BYTES

    @property
    def galois_key_bytes(self) -> int:
        """Bytes of a key of one Galois element, or of the relinearisation key: one such ciphertext a prime."""
        return self.levels * self.public_key_bytes

    @property
    def sigma(self) -> int:
        """Standard deviation of the flooding noise on a reply's coefficients."""
        return 1 << self.flooding_bits

    @property
    def reply_scale(self) -> float:
        """What 1.0 becomes in a reply: the three scales, doubled by z + conj(z), over the primes that were dropped."""
        dropped = math.prod(self.primes[self.reply_levels : self.levels])
        return 2.0 ** (1 + self.request_bits + self.first_bits + self.second_bits) / dropped

    @property
    def capacity(self) -> float:
        """The absolute value at which a reply's coefficient wraps."""
        return math.prod(self.reply_primes) / (2 * self.reply_scale)

    @property
    def data_noise(self) -> float:
        """D: L2 norm over a reply's coefficients of the noise that depends on the evaluator's data, at most: that of
        switching keys, and the rounding of the primes that go."""
        if self.reply_levels == self.levels:
            return self.switching_noise
        dropped = math.prod(self.primes[self.reply_levels : self.levels])
        return math.hypot(self.switching_noise / dropped, self.n / math.sqrt(18))

    @property
    def switching_noise(self) -> float:
        """The same of switching keys alone, before primes are dropped.

        For rows of U of norm at most 1 and all keys but one in a million; `switch` is the deviation of one key switch.
        `before` are the rotations on the way to g and of its copies, which the second U meets, `after` what is rotated
        then, with the outputs that share a ciphertext (decision 0003).
        """
        n, switch = self.n, SECRET_DEVIATION * math.sqrt(self.levels * self.n / 3) + math.sqrt(self.n / 18)
        before, after = WORST * 2.0**self.second_bits * n, math.sqrt(n * (self.max_features + self.max_packed))
        return switch * math.hypot(before, after)

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


@functools.cache
def moduli(n: int, levels: int) -> tuple[sealapi.Modulus, ...]:
    """SEAL's primes for this ring degree and so many primes of a request."""
    return tuple(sealapi.CoeffModulus.Create(n, [sealapi_files.PRIME_BITS] * (levels + 1)))
