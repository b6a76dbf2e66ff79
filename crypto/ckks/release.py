"""What decrypted values tell of the secret key, and the noise that hides it (decision 0017).

CKKS is not IND-CPA-D (Li and Micciancio, EUROCRYPT 2021): a decrypted value is the message plus an error that depends
on the key, and whoever knows message and ciphertext finds the key from the error. So noise of deviation sigma goes onto
every coefficient before anything else sees what was decrypted. With `t` the L2 norm of the error over a ciphertext's
coefficients and `tau` released ciphertexts, the key has kappa bits of security against whoever sees all of them (Li,
Micciancio, Schultz and Sorrell, *Securing Approximate Homomorphic Encryption Using Differential Privacy*, CRYPTO 2022,
with rho-KL differential privacy rho = tau t**2 / (2 sigma**2)) where

    tau t**2 / (2 sigma**2) <= 2**-(kappa + 7)

The attacker is taken to know every message, everyone else's data, and all that whoever computed the reply drew.

*Not Gaussian noise, and the same bound.* Bits are those of Micciancio and Walter (EUROCRYPT 2018): who guesses right
with probability (1 + delta) / 2 whenever it answers, which it does with probability alpha, has advantage alpha
delta**2. For two worlds at squared Hellinger distance H**2 that is at most 2 H**2, by Cauchy-Schwarz over the events of
the two answers; H**2 <= tau J t**2 / 8 with the Fisher information J <= 1.004 / sigma**2 of `flooding`, also
where later messages depend on earlier answers. So the advantage is at most tau t**2 / (4 sigma**2) * 1.004: 2**6 below
what is claimed.

*Never twice.* Noise is a function of the ciphertext and a secret of its own beside the key (HMAC-SHA-256 as a
pseudorandom function, keying ChaCha20): whoever decrypts the same ciphertext again, after a crash or anew,
finds the same values, so noise cannot be averaged away.
"""

from __future__ import annotations

import hashlib
import hmac
import math

import numpy as np
import numpy.typing as npt

from crypto.ckks import dithering, wide
from crypto.ckks.params import SECRET_DEVIATION, ParameterSet
from crypto.ckks.sets import SUM_SETS

Values = npt.NDArray[np.float64]
MARGIN = 7
"""Bits of the theorem's own constant."""
NOISE_KEY_BYTES = 32
MAX_ROWS = 2**25
"""Training rows for which `padding_deviation` holds; more than any other part of the system takes."""
PADDING_LIMIT = 9.0
"""Deviations: a padding value of an honest reply exceeds it with probability 2**-62."""
PARTS = 1024
"""Replies that a combiner may add up without their rounding being noticed: evaluators times heads of each."""


def key_noise(params: ParameterSet) -> float:
    """t: L2 norm over a decrypted ciphertext's coefficients of the error that depends on the key, root mean square.

    `rounding`: c1 travels without its low bytes, which whoever computed the reply knows; a uniform error of that unit
    times a ternary key. `switching`: of every rotation, as it meets the data. `request`: the key owner's own encryption
    noise; rows of U have norm 1 at most. `zero`: a fresh encryption of zero, whose randomness its maker knows. `parts`:
    the same rounding of what a combiner adds up, times what it multiplies with.
    """
    n, ternary = params.n, math.sqrt(2 / 3)
    rounding = n * math.sqrt(1 / 12) * ternary * rounding_unit(params)
    request = SECRET_DEVIATION * math.sqrt(n) * params.reply_scale / 2.0**params.request_bits
    zero = SECRET_DEVIATION * n * math.sqrt(2) * ternary
    return math.hypot(rounding, params.data_noise, request, zero, _parts(params))


def rounding_unit(params: ParameterSet) -> float:
    """What the last bit of a reply's c1 is worth, at least 1."""
    return 2.0 ** (8 * (wide.whole_bytes(params.reply_primes) - params.reply_kept[1]))


def _parts(params: ParameterSet) -> float:
    """Of the fits and parts in a weighted sum: weights of a round add up to 1, parts of a prediction are PARTS at
    most."""
    if params.name != "sum":
        return 0.0
    training, rows = SUM_SETS["sum-training"], SUM_SETS["sum-rows"]
    sizes = [params.reply_scale / part.reply_scale * rounding_unit(part) for part in (training, rows)]
    return params.n * math.sqrt(1 / 18) * max(sizes[0], math.sqrt(PARTS) * sizes[1])


def bits(noise: float, sigma: float, releases: int) -> float:
    """kappa: bits of security of the key after so many releases with an error of L2 norm `noise` under `sigma`."""
    return math.log2(2 * sigma**2 / (releases * noise**2)) - MARGIN


def secrecy(params: ParameterSet) -> float:
    """Bits of a parameter set at its full budget; `ParameterSet.secrecy` states them."""
    return bits(key_noise(params), 2.0**params.release_bits, params.tau)


def deviation(params: ParameterSet) -> float:
    """Standard deviation of a decrypted value's noise: flooding, noise at decryption, and the bytes left out."""
    total = wide.whole_bytes(params.reply_primes)
    units = [4.0 ** (8 * (total - kept)) for kept in params.reply_kept]
    left_out = units[0] / 12 + units[1] * params.n / 18
    noise = 4.0**params.flooding_bits + 4.0**params.release_bits + left_out
    return math.sqrt(noise * params.slots) / params.reply_scale


def padding_deviation(params: ParameterSet) -> float:
    """The same with what encoding U may leave in padding slots of a fit on MAX_ROWS training rows (decision 0003)."""
    encoding = math.sqrt(params.n * MAX_ROWS * dithering.variance(dithering.SINGLE)) * 2.0**-params.second_bits
    return math.hypot(deviation(params), encoding)


def spread_limit(count: int) -> float:
    """Largest mean square of `count` padding values in units of `padding_deviation`: six deviations, and 5% to
    spare."""
    return 1.05 + 6 * math.sqrt(2 / count)


def on_grid(params: ParameterSet, values: Values) -> Values:
    """Values without the digits that mean nothing: multiples of a power of two, an eighth of their deviation at
    most."""
    step = 2.0 ** (math.floor(math.log2(deviation(params))) - 3)
    return np.rint(values / step) * step


def noise_seed(key: bytes, name: str, ciphertext: bytes) -> bytes:
    """32 bytes from which the noise of this ciphertext's decryption is drawn.

    Args:
        key: NOISE_KEY_BYTES, kept with the secret key and nowhere else.
        name: of the parameter set or stage it is decrypted with.
        ciphertext: as it arrived.
    """
    return hmac.digest(key, b"secure-gal/2 release\0" + name.encode() + b"\0" + ciphertext, hashlib.sha256)
