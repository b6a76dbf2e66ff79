"""Rows as each party's own encoder makes them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from secure_gal.data.arrays import ArrayRows
from secure_gal.data.encode_arrays import ArrayEncoder

Array = npt.NDArray[np.float32]


def encoded(pairs: list[tuple[np.ndarray, np.ndarray]]) -> tuple[list[Array], list[Array]]:
    """Training and test rows of each party, as the party's own encoder makes them."""
    trains, tests = [], []
    for train, test in pairs:
        encoder = ArrayEncoder.fit(ArrayRows(train))
        trains.append(np.asarray(encoder.transform(ArrayRows(train))[0]))
        tests.append(np.asarray(encoder.transform(ArrayRows(test))[0]))
    return trains, tests
