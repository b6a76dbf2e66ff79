"""Tables as matrices: held against scikit-learn's way, by rows, and where a column hardly varies."""

from __future__ import annotations

import numpy as np
import polars as pl
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from secure_gal.data.encode_table import TableEncoder

RNG = np.random.default_rng(3)
N = 200
FRAME = pl.DataFrame(
    {
        "age": np.where(RNG.random(N) < 0.2, np.nan, RNG.normal(50, 20, N)),
        "size": RNG.lognormal(0, 9, N),
        "town": RNG.choice(["a", "b", "c"], N),
    }
).with_columns(pl.col("age").fill_nan(None), pl.when(pl.col("size") > 1).then(pl.col("town")).alias("ward"))
ROWS = np.sort(RNG.permutation(N)[:150])


def test_a_table_is_encoded_as_scikit_learn_would() -> None:
    numbers = FRAME.select("age", "size").to_numpy()
    scaled = make_pipeline(SimpleImputer(strategy="median"), StandardScaler()).fit(numbers[ROWS]).transform(numbers)
    texts = FRAME.select("town", "ward").fill_null("").to_numpy()
    known = [["a", "b", "c"], ["a", "b", "c"]]
    encode = OneHotEncoder(categories=known, handle_unknown="ignore", sparse_output=False)
    one_hot = encode.fit(np.array([["a", "a"]], dtype=object)).transform(texts)
    x, unseen = TableEncoder.fit(FRAME, rows=ROWS).transform(FRAME)
    np.testing.assert_allclose(x, np.hstack([scaled, one_hot]), rtol=1e-12, atol=1e-12)
    assert not unseen and x.flags.c_contiguous and x.dtype == np.float64


def test_rows_of_a_table_are_encoded_as_a_table_of_those_rows() -> None:
    part = FRAME[ROWS.tolist()]
    encoder, same = TableEncoder.fit(FRAME, rows=ROWS), TableEncoder.fit(part)
    assert encoder.names == same.names
    assert np.array_equal(encoder.transform(FRAME, ROWS)[0], same.transform(part)[0])
    assert encoder.transform(FRAME, ROWS[:0])[0].shape == (0, 8)


def test_levels_that_were_not_learnt_are_zeros_and_counted() -> None:
    encoder = TableEncoder.fit(FRAME)
    x, unseen = encoder.transform(FRAME.with_columns(town=pl.lit("d")), ROWS)
    assert unseen == {"town": len(ROWS)} and not x[:, 2:5].any() and x[:, 5:].any()


def test_a_column_that_varies_by_rounding_alone_is_only_centred() -> None:
    frame = pl.DataFrame({"x": [0.3, 0.1 + 0.2] * 50, "y": [0.0, 1.0] * 50})
    assert np.abs(TableEncoder.fit(frame).transform(frame)[0][:, 0]).max() < 1e-15
