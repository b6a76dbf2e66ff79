"""Two data sets with what an assistor received and answered, made once a file; fits of one thread."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sklearn.datasets import load_breast_cancer, load_wine
from threadpoolctl import threadpool_limits

from tests.support.attacked import Array, standardised, transcript


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """These fits are so small that threads only wait for each other."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="module")
def wine() -> tuple[Array, Array, Array, Array]:
    x, y = standardised(load_wine)
    return x, y, *transcript(x, y, 6)


@pytest.fixture(scope="module")
def breast() -> tuple[Array, Array, Array, Array]:
    x, y = standardised(load_breast_cancer)
    return x, y, *transcript(x, y, 26)
