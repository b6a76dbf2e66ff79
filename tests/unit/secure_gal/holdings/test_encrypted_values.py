"""Fits in the clear that leave as ciphertexts: what is cut, what is refused, and in which order rows are encrypted."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from crypto.errors import Unsuitable
from secure_gal.errors import DataError, StateError
from secure_gal.holdings.encrypted_values import EncryptedValues

TRAIN = np.array([True, False, True, True])


class Data:
    """A local party of four rows whose fits and parts are what a test says."""

    def __init__(self, values: Any = (1.0, 2.0, 3.0, 4.0), columns: int = 3, cross_fitted: bool = True) -> None:
        self.values = np.array(values, np.float32)[:, None]
        self.local, self.said = SimpleNamespace(columns=columns), list[str]()
        self.study: Any = SimpleNamespace(assistors=("lab", "insurer"), cross_fitted=cross_fitted)
        self.warn = self.said.append

    def prepare_local(self, positions: Any, train: Any) -> bytes:
        return b"encoder"

    def fit_round(self, round_: int, residual: Any, withheld: float) -> tuple[bytes, Any]:
        assert withheld == 0.5
        return b"model", self.values

    def predict(self, *given: Any) -> tuple[Any, Any]:
        return np.ones(len(self.values), np.uint8), self.values


class Key:
    """Keeps what it is asked to encrypt; nothing beyond a bound fits in."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, Any, float]] = []

    def encrypt(self, training: Any, others: Any, most: float) -> bytes:
        if not all(np.isfinite(v).all() and np.abs(v).max(initial=0) <= most for v in (training, others)):
            raise Unsuitable("values", "too large")
        self.asked.append((training[:, 0].tolist(), others[:, 0].tolist(), most))
        return b"ab"


def prepared(data: Data) -> tuple[EncryptedValues, Key]:
    made, key = EncryptedValues(data), Key()  # type: ignore[arg-type]
    with pytest.raises(StateError, match="the width was asked for before"):
        _ = made.width
    assert made.prepare(np.arange(4), TRAIN) == b"encoder"
    with pytest.raises(StateError, match="before the public key came"):
        made._encryptor()
    made._key = key  # type: ignore[assignment]
    return made, key


RESIDUAL = np.array([[0.5], [-2.0], [1.0]], np.float32)


def test_training_rows_come_first_and_a_fit_is_in_units_of_the_residual() -> None:
    made, key = prepared(Data())
    saved, fit = made.fit_round(1, RESIDUAL, 0.5)
    assert saved == b"model" and fit.tolist() == [97, 98] and fit.dtype == np.uint8
    assert key.asked == [([0.5, 1.5, 2.0], [1.0], 8.0)]
    assert (made.padded, made.fresh) == (0, False)


@pytest.mark.parametrize(("columns", "width"), [(0, 1), (1, 1), (3, 3), (4096, 4096), (4097, 4096)])
def test_a_width_is_that_of_the_columns(columns: int, width: int) -> None:
    assert prepared(Data(columns=columns))[0].width == width


def test_rows_of_a_cross_fitted_round_are_cut_at_what_a_ciphertext_holds() -> None:
    data = Data((16.0, 2.0, -99.0, 17.0))
    made, key = prepared(data)
    made.fit_round(3, RESIDUAL, 0.5)
    assert key.asked == [([8.0, -8.0, 8.0], [1.0], 8.0)]
    assert data.said == ["round 3: 2 rows are more than 8 times the largest residual; cut there"]


@pytest.mark.parametrize(("worst", "cross_fitted"), [(17.0, False), (float("inf"), True), (float("nan"), True)])
def test_a_fit_that_has_diverged_is_said(worst: float, cross_fitted: bool) -> None:
    made, _ = prepared(data := Data((1.0, worst, 1.0, 1.0), cross_fitted=cross_fitted))
    with pytest.raises(DataError, match=r"\[learner\]: this fit has diverged"):
        made.fit_round(1, RESIDUAL, 0.5)
    assert data.said == []


def test_a_part_is_cut_at_its_share_of_what_a_sum_holds() -> None:
    data = Data((8.0, -8.5, 1.0, 9.0))
    made, key = prepared(data)
    known, part = made.predict(("a",), b"", [], np.ones(1), 1)
    assert known.tolist() == [1, 1, 1, 1] and part.tolist() == [97, 98]
    assert key.asked == [([], [8.0, -8.0, 1.0, 8.0], 8.0)], "16 for two assistors"
    assert data.said == ["2 rows extrapolate to 16 times all that was fitted in training; cut there"]
    data.values, data.said = data.values[[0, 2]], []
    made.predict(("a",), b"", [], np.ones(1), 1)
    assert data.said == []
    data.values = np.full((1, 1), np.nan, np.float32)
    with pytest.raises(DataError, match=r"\[learner\]: this part has diverged"):
        made.predict(("a",), b"", [], np.ones(1), 1)
