"""CKKS keys made once for all tests, replies under them, and ridge problems to fit under them."""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt
import pytest

from crypto.ckks import dithering, release
from crypto.ckks.calculator import Calculator
from crypto.ckks.keys import PublicKeys
from crypto.ckks.params import ParameterSet
from crypto.ckks.releases import Releases
from crypto.ckks.ridge_blocks import scale_bits
from crypto.ckks.ring import padded
from crypto.ckks.secret import SecretContext
from crypto.ckks.sets import PARAMETER_SETS
from crypto.ckks.slots import in_halves

Array = npt.NDArray[np.float64]
PEER = "hospital"
SETS = pytest.mark.parametrize("name", sorted(PARAMETER_SETS))


@functools.cache
def secret(name: str) -> SecretContext:
    return SecretContext.generate(PARAMETER_SETS[name])


def expendable(name: str) -> SecretContext:
    """The same key with an account of its own, for replies that end it."""
    shared = secret(name)
    return SecretContext(shared.params, shared._secret, shared._noise_key, Releases(shared.params.tau))


@functools.cache
def raw_keys(name: str, width: int = 1) -> bytes:
    return secret(name).public_keys(width)


@functools.cache
def keys(name: str, width: int) -> PublicKeys:
    return PublicKeys.from_bytes(PARAMETER_SETS[name], width, raw_keys(name, width))


def reply(name: str, values: np.ndarray) -> np.ndarray:
    """A sanitised reply of one block, made with the public key only; doubled up from small values, so that it wraps."""
    params, calculator = PARAMETER_SETS[name], Calculator(keys(name, 1))
    bits, doublings = scale_bits(params, "f"), max(0, int(np.log2(np.abs(values).max() + 1)))
    total = calculator.zero(bits, params.levels)
    plain = calculator.encode(in_halves(values / 2**doublings, params.slots), bits)
    if plain is not None:
        calculator._evaluator.add_plain_inplace(total, plain)
    for _ in range(doublings):
        calculator._evaluator.add_inplace(total, total)
    return calculator.sanitise(total, bits)[None]


def ridge(rows: int, p: int, outputs: int, seed: int = 0) -> tuple[Array, Array]:
    """U (rows, p) of a ridge regression, and residuals (rows, outputs) in [-1, 1] that correlate with the features."""
    rng = np.random.default_rng(seed)
    phi = rng.standard_normal((rows, p))
    gram = phi.T @ phi + 1e-3 * rows * np.eye(p)
    u = np.linalg.solve(np.linalg.cholesky(gram), phi.T).T
    signal = phi @ rng.standard_normal((p, outputs)) / np.sqrt(p)
    return u, np.clip(0.4 * signal + 0.2 * rng.standard_normal((rows, outputs)), -1, 1)


def width(name: str, p: int) -> int:
    return padded(PARAMETER_SETS[name], p)


def error_bound(params: ParameterSet, u_all: Array, u_train: Array, r: Array) -> float:
    """Six standard deviations of the error of f, term by term as in docs/decisions/0003."""
    n, rounding = params.n, np.sqrt(params.n / 12)  # coefficients are rounded to integers
    encoding = np.sqrt(params.n * dithering.VARIANCE)  # those of U after dither
    longest, residual = np.linalg.norm(u_all, axis=1).max(), np.linalg.norm(r, axis=0).max()
    g = np.linalg.norm(u_train.T @ r, axis=0).max()
    terms = [
        release.deviation(params),
        encoding * g / 2.0**params.second_bits,
        longest * encoding * residual / 2.0**params.first_bits,
        longest * (3.2 * np.sqrt(n) + rounding) / 2.0**params.request_bits,
        np.sqrt(n / 18) * np.sqrt(n) / params.reply_scale,
        longest * g * 2.0**-24,
    ]
    return float(6 * np.linalg.norm(terms))
