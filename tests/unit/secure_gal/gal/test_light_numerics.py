"""What stands in for slow imports gives what SciPy gives."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special, stats

from secure_gal.gal.links import log_softmax, logistic, softmax
from secure_gal.gal.ranks import average_ranks

RNG = np.random.default_rng(0)


def test_ranks_are_those_of_scipy_ties_included() -> None:
    values = RNG.integers(0, 50, 1000).astype(np.float64)
    assert np.array_equal(average_ranks(values), stats.rankdata(values))


@pytest.mark.filterwarnings("error")
def test_links_are_those_of_scipy_without_overflow_at_either_end() -> None:
    f = np.concatenate([20 * RNG.standard_normal(1000), [-1e308, 1e308, -800.0, 800.0, 0.0]])
    np.testing.assert_allclose(logistic(f), special.expit(f), rtol=1e-15, atol=1e-300)
    rows = 100 * RNG.standard_normal((500, 7))
    np.testing.assert_allclose(softmax(rows), special.softmax(rows, axis=1), rtol=1e-14)
    np.testing.assert_allclose(log_softmax(rows), special.log_softmax(rows, axis=1), rtol=1e-14)
