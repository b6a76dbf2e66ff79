"""Dither of encoded features: what SEAL rounds has the mean and the spread of the theory, whatever the data is."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.interpolate import BSpline

from crypto.ckks import dithering, embedding
from crypto.ckks.calculator import Calculator
from crypto.ckks.sets import PARAMETER_SETS
from crypto.ckks.slots import Slots
from tests.support.ckks_keys import keys
from tests.support.exact_ring import coefficients, plain_residues

STANDARD = PARAMETER_SETS["standard"]
REPEATS = 20


def in_slots(polynomial: np.ndarray, bits: int) -> Slots:
    values = embedding.slot_values(polynomial) * 2.0**-bits
    return np.asarray(values[: STANDARD.slots] + 1j * values[STANDARD.slots :])


def encoded(slots: Slots, bits: int) -> np.ndarray:
    """The integers (n,) that SEAL makes of slots."""
    calculator = Calculator(keys("standard", 1))
    plain = calculator.encode(slots, bits)
    assert plain is not None
    return coefficients(calculator, plain_residues(plain, STANDARD)).astype(np.float64)


@pytest.mark.parametrize(
    ("bits", "terms"), [(STANDARD.first_bits, dithering.SUMMED), (STANDARD.second_bits, dithering.SINGLE)]
)
def test_mean_and_spread_of_the_error_do_not_tell_the_coefficient(bits: int, terms: int) -> None:
    """Coefficients 0, 1/8, ... 7/8 above a whole number; six deviations of 20 * 1,024 draws."""
    variance = dithering.variance(terms)
    above = (np.arange(STANDARD.n) % 8) / 8
    exact = np.random.default_rng(0).integers(-1000, 1000, STANDARD.n) + above
    slots = in_slots(exact, bits)
    errors = np.stack([encoded(dithering.dithered(slots, bits, terms), bits) - exact for _ in range(REPEATS)])
    plain = encoded(slots, bits) - exact
    for part in np.unique(above):
        drawn = errors[:, above == part]
        assert abs(drawn.mean()) < 6 * np.sqrt(variance / drawn.size)
        assert drawn.var() == pytest.approx(variance, abs=6 * variance * np.sqrt(2 / drawn.size))
        if part != 0.5:  # without dither the error is what was rounded off
            assert plain[above == part] == pytest.approx(np.round(part) - part, abs=1e-6)


def test_dither_is_fresh_and_zero_stays_zero() -> None:
    slots = np.ones(STANDARD.slots, dtype=np.complex128)
    assert (dithering.dithered(slots, 25, 6) != dithering.dithered(slots, 25, 6)).mean() > 0.99
    assert not dithering.dithered(np.zeros(STANDARD.slots, dtype=np.complex128), 25, 6).any()


def moment(order: int, terms: int, above: np.ndarray) -> np.ndarray:
    """E (error^order | fraction `above` of the coefficient): whole numbers within a sum of `terms` uniform numbers of
    -1/2..1/2 and the rounding, whose density is a B-spline of degree `terms`."""
    errors = np.arange(-terms, terms + 1)[:, None] - above
    return np.sum(
        errors**order * BSpline.basis_element(np.arange(terms + 2) - (terms + 1) / 2, extrapolate=False)(errors),
        axis=0,
        where=np.abs(errors) < (terms + 1) / 2,
    )


@pytest.mark.parametrize("terms", [dithering.SUMMED, dithering.SINGLE])
def test_the_first_moments_of_the_error_are_the_same_for_every_coefficient(terms: int) -> None:
    """As many as uniform numbers are added; the next one is not."""
    above = np.arange(32) / 32 + 1 / 64
    for order in range(1, terms + 1):
        assert np.ptp(moment(order, terms, above)) < 1e-9
    assert moment(2, terms, above) == pytest.approx(dithering.variance(terms))
    assert np.ptp(moment(terms + 1, terms, above)) > 0.02


@pytest.mark.parametrize("terms", [1, 2, 6])
@pytest.mark.parametrize("word", [0, 2**32 - 1])
def test_a_word_stands_for_the_middle_of_its_cell(terms: int, word: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """So the sum of the least words and that of the largest lie as far below 0 as above, half a cell within."""
    monkeypatch.setattr(dithering, "stream_words", lambda count: np.full(count, word, dtype=np.uint32))
    slots = np.full(8, 1.0 + 1.0j)
    drawn = np.full(16, terms * (0.5 - 2.0**-33) * (1 if word else -1))
    due = embedding.slot_values(drawn) * 2.0**-3
    np.testing.assert_allclose(
        dithering.dithered(slots, 3, terms), slots + due[:8] + 1j * due[8:], rtol=1e-12, atol=1e-12
    )
