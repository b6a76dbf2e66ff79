"""The canonical embedding of CKKS (Cheon et al. 2017) in SEAL's order: coefficients of a polynomial and values of its
slots."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
GENERATOR = 3
"""Slot j of SEAL's CKKS encoder is the value of the polynomial at zeta^(3^j), zeta = exp(i pi / n)."""


def slot_values(coefficients: Array) -> Array:
    """(..., n) each: real parts of all slots, then imaginary."""
    n = coefficients.shape[-1]
    values = np.fft.ifft(coefficients * _twist(n), axis=-1) * n  # entry i is the value at zeta^(2i + 1)
    slots = values[..., _slot_order(n)]
    return np.concatenate([slots.real, slots.imag], axis=-1)


def coefficients(values: Array) -> Array:
    """The inverse of `slot_values`."""
    n = values.shape[-1]
    slots = values[..., : n // 2] + 1j * values[..., n // 2 :]
    order = _slot_order(n)
    spectrum = np.zeros((*values.shape[:-1], n), dtype=np.complex128)
    spectrum[..., order] = slots
    spectrum[..., n - 1 - order] = slots.conj()  # at the conjugate root, zeta^(2n - 2i - 1)
    return np.asarray((np.fft.fft(spectrum, axis=-1) / n * _twist(n).conj()).real)


@lru_cache
def _twist(n: int) -> npt.NDArray[np.complex128]:
    return np.asarray(np.exp(1j * np.pi * np.arange(n) / n))


@lru_cache
def _slot_order(n: int) -> npt.NDArray[np.int64]:
    return np.array([(pow(GENERATOR, j, 2 * n) - 1) // 2 for j in range(n // 2)])
