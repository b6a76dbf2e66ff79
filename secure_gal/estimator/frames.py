"""Frames of pandas or polars, by way of narwhals, as rows in plain types with what they are known by."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeGuard

import narwhals.stable.v2 as nw
import polars as pl

from secure_gal.data.plain_types import check_names, plain_columns
from secure_gal.errors import DataError

if TYPE_CHECKING:
    from narwhals.stable.v2.typing import IntoDataFrame

ID = "id"
"""A column of this name says who a row is about, where every block has one; it is then no feature."""
ID_COLUMN, INDEX = f"its column {ID!r}", "its index"


@dataclass(frozen=True, slots=True)
class Keys:
    """What rows are known by: values (n,) of an index or of the column `id`; repr shows none of them."""

    what: str
    values: list[Hashable] = field(repr=False)


def is_frame(x: object) -> TypeGuard[IntoDataFrame]:
    """Whether narwhals knows it for a frame that is in memory."""
    return bool(nw.dependencies.is_into_dataframe(x))


def columns_of(x: IntoDataFrame, where: str, taken: Sequence[Hashable] | None = None) -> pl.DataFrame:
    """The columns that take part, in plain types; all without `taken`.

    Raises:
        DataError: a column is missing, is there twice, or holds what no learner takes.
    """
    frame = nw.from_native(x, eager_only=True)
    names = [str(name) for name in frame.columns]
    check_names(names, where)
    places: dict[Hashable, int] = {name: number for number, name in enumerate(names)}
    if absent := [name for name in taken or () if name not in places]:
        raise DataError(where, f"has no column {', '.join(map(repr, absent[:10]))}; its columns are {_few(names)}")
    columns = [_column(frame[:, number], name, where) for number, name in enumerate(names)]
    chosen = columns if taken is None else [columns[places[name]] for name in taken]
    return plain_columns(pl.DataFrame(chosen), where)


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:20])


def keys_of(x: IntoDataFrame, where: str) -> Keys | None:
    """What a frame's rows are known by: its column `id`, else its index; None of one that has neither."""
    frame = nw.from_native(x, eager_only=True)
    if ID in frame.columns:
        return Keys(ID_COLUMN, frame[ID].to_list())
    index = nw.maybe_get_index(frame)
    return None if index is None else Keys(INDEX, list(index))


def _column(series: nw.Series[Any], name: str, where: str) -> pl.Series:
    """One column; categories as text, and any missing value as null."""
    if series.dtype in (nw.Categorical, nw.Enum):
        series = series.cast(nw.String)
    missing = series.is_null()
    if series.dtype.is_float():
        return pl.Series(name, series.to_numpy()).fill_nan(None)
    if (series.dtype.is_integer() or series.dtype == nw.Boolean) and not missing.any():
        return pl.Series(name, series.to_numpy())
    if isinstance(kind := series.dtype, nw.Datetime) and kind.time_zone is None:  # pandas counts in seconds, too
        return pl.Series(name, series.to_numpy().astype("datetime64[us]"))
    pairs = zip(missing.to_list(), series.to_list(), strict=True)
    values = [None if absent else value for absent, value in pairs]
    try:
        return pl.Series(name, values)
    except TypeError:
        kinds = sorted({type(value).__name__ for value in values if value is not None})
        raise DataError(
            where, f"column {name!r} holds values of several kinds: {_few(kinds)}; make them one, such as text"
        ) from None
