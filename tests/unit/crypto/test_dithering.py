"""Dither of encoded features: what SEAL rounds has the mean and the spread of the theory, whatever the data is."""

from __future__ import annotations

import numpy as np
import pytest

from crypto.ckks import dithering, embedding
from crypto.ckks.calculator import Calculator
from crypto.ckks.sets import PARAMETER_SETS
from crypto.ckks.slots import Slots
from tests.support.ckks_keys import keys
from tests.support.exact_ring import coefficients, plain_residues

FAST = PARAMETER_SETS["fast"]
REPEATS = 20


def in_slots(polynomial: np.ndarray, bits: int) -> Slots:
    values = embedding.slot_values(polynomial) * 2.0**-bits
    return np.asarray(values[: FAST.slots] + 1j * values[FAST.slots :])


def encoded(slots: Slots, bits: int) -> np.ndarray:
    """The integers (n,) that SEAL makes of slots."""
    calculator = Calculator(keys("fast", 1))
    plain = calculator.encode(slots, bits)
    assert plain is not None
    return coefficients(calculator, plain_residues(plain, FAST)).astype(np.float64)


@pytest.mark.parametrize("bits", [FAST.first_bits, FAST.second_bits])
def test_mean_and_spread_of_the_error_do_not_tell_the_coefficient(bits: int) -> None:
    """Coefficients 0, 1/8, ... 7/8 above a whole number; six deviations of 20 * 1,024 draws."""
    above = (np.arange(FAST.n) % 8) / 8
    exact = np.random.default_rng(0).integers(-1000, 1000, FAST.n) + above
    slots = in_slots(exact, bits)
    errors = np.stack([encoded(dithering.dithered(slots, bits), bits) - exact for _ in range(REPEATS)])
    plain = encoded(slots, bits) - exact
    for part in np.unique(above):
        drawn = errors[:, above == part]
        assert abs(drawn.mean()) < 6 * 0.5 / np.sqrt(drawn.size)
        assert drawn.var() == pytest.approx(dithering.VARIANCE, abs=6 * 0.5 / np.sqrt(drawn.size))
        if part != 0.5:  # without dither the error is what was rounded off
            assert plain[above == part] == pytest.approx(np.round(part) - part, abs=1e-6)


def test_dither_is_fresh_and_zero_stays_zero() -> None:
    slots = np.ones(FAST.slots, dtype=np.complex128)
    assert (dithering.dithered(slots, 25) != dithering.dithered(slots, 25)).mean() > 0.99
    assert not dithering.dithered(np.zeros(FAST.slots, dtype=np.complex128), 25).any()
