"""What a party's part depends on: known answers for a linear part, and the ends of the scale."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest

from secure_gal.holdings.importance import importance

N = 4000
RNG = np.random.default_rng(0)
FRAME = pl.DataFrame({"age": RNG.standard_normal(N), "dose": RNG.standard_normal(N), "ward": RNG.choice(["a", "b"], N)})


def linear(frame: pl.DataFrame) -> np.ndarray:
    """Variance 9 of age and 1 of dose; nothing of the ward."""
    return (3 * frame["age"].to_numpy() + frame["dose"].to_numpy())[:, None].astype(np.float32)


def test_of_independent_columns_it_is_their_share_of_the_variance() -> None:
    found = importance(linear, FRAME, 0)
    assert list(found) == ["age", "dose", "ward"] and found["ward"] == 0.0
    assert found["age"] == pytest.approx(0.9, abs=0.03) and found["dose"] == pytest.approx(0.1, abs=0.01)
    assert found == importance(linear, FRAME, 0)


def test_a_column_that_decides_alone_has_one_and_a_constant_part_none() -> None:
    by_ward = importance(lambda frame: (frame["ward"] == "a").to_numpy()[:, None].astype(np.float32), FRAME, 0)
    assert by_ward["ward"] == pytest.approx(1.0, abs=0.03)
    assert all(map(math.isnan, importance(lambda frame: np.ones((len(frame), 1)), FRAME, 0).values()))
