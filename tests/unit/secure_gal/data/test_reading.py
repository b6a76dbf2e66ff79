"""How a table of text is read: dialect, numbers, missing values, dates, categories; each as a person would."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest

from secure_gal.data.table import Table, read_table
from secure_gal.errors import DataError
from secure_gal.settings.party import DataSettings

N = 60


def table(path: Path, text: str | bytes, **said: object) -> Table:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_table(DataSettings(path, "id", **said))  # type: ignore[arg-type]


def column(path: Path, values: Sequence[str], **said: object) -> pl.Series:
    quoted = "".join(f'p{i:04d},"{value}",{i}.5\n' for i, value in enumerate(values))
    frame = table(path, f"id,c,other\n{quoted}", **said).frame
    assert isinstance(frame, pl.DataFrame)
    return frame["c"]


def decided(path: Path, values: Sequence[str], **said: object) -> str:
    """The kind of a column and what is told of it."""
    quoted = "".join(f'p{i:04d},"{value}",{i}.5\n' for i, value in enumerate(values))
    findings = table(path, f"id,c,other\n{quoted}", **said).findings
    assert findings is not None
    found = findings.columns[1]
    return "; ".join([found.field.kind, *found.notes])


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    return tmp_path / "t.csv"


@pytest.mark.parametrize(
    ("written", "value"),
    [
        (lambda i: f"+{i}", lambda i: i),
        (lambda i: f" {i} ", lambda i: i),
        (lambda i: f"{i}%", lambda i: i),
        (lambda i: f"EUR {i}", lambda i: i),
        (lambda i: f"{i / 8:.3f}".replace(".", ","), lambda i: i / 8),
        (lambda i: f"{i * 37:,}", lambda i: i * 37),
        (lambda i: f"{i * 37:,}".replace(",", "'"), lambda i: i * 37),
        (lambda i: f"{i * 37:,}".replace(",", "\u202f"), lambda i: i * 37),
        (lambda i: f"{i * 37.5:,.2f}".translate(str.maketrans(",.", ".,")), lambda i: i * 37.5),
        (lambda i: f"\u2212{i}", lambda i: -i),
        (lambda i: f"{i}e2", lambda i: i * 100),
    ],
    ids=[
        "plus",
        "blanks",
        "percent",
        "currency",
        "comma",
        "thousands",
        "swiss",
        "french",
        "german",
        "minus",
        "exponent",
    ],
)
def test_numbers_are_read_as_they_are_written(csv: Path, written: object, value: object) -> None:
    found = column(csv, [written(i) for i in range(N)])  # type: ignore[operator]
    assert found.to_list() == [float(value(i)) for i in range(N)]  # type: ignore[operator]


@pytest.mark.parametrize("share", [0.05, 0.3, 0.7])
@pytest.mark.parametrize("marker", ["NULL", "-", "None", "?", "#N/A", "", "n/a", "not done"])
def test_a_marker_among_numbers_is_a_missing_value_at_any_share(csv: Path, marker: str, share: float) -> None:
    hidden = int(share * 100)
    values = [marker if i < hidden else f"{i}.25" for i in range(100)]
    found = column(csv, values)
    assert found.dtype == pl.Float64 and found.null_count() == hidden and found[99] == 99.25
    assert ("not done" in decided(csv, values)) == (marker == "not done"), "a word of its own is told of"


def test_what_is_no_number_among_numbers_is_refused_with_row_value_and_fix(csv: Path) -> None:
    values = [f"{i}" for i in range(50)] + ["<5", "high"]
    with pytest.raises(
        DataError, match=r"column 'c': 96% .* row 51 has '<5'.*missing_values = \[\"<5\"\], or categorical"
    ):
        column(csv, values)
    assert column(csv, values, categorical=("c",)).dtype == pl.String


def test_few_numbers_and_a_word_are_codes(csv: Path) -> None:
    assert decided(csv, ["1", "2", "3", "other"] * 15) == "category"


def test_leading_zeros_make_codes_of_numbers(csv: Path) -> None:
    assert column(csv, [f"{i % 7:02d}" for i in range(N)]).to_list()[:2] == ["00", "01"]


@pytest.mark.parametrize("text", ["k12", "Ward 3", "2b"])
def test_letters_make_codes_of_numbers(csv: Path, text: str) -> None:
    assert decided(csv, [text, "x1", "x2"] * 20) == "category"


def test_a_comma_that_could_mark_either_is_asked_about(csv: Path) -> None:
    values = [f"{1 + i % 9},{100 + i}" for i in range(N)]
    with pytest.raises(DataError, match=r"'1,100' could be 1100 or 1\.100; say which"):
        column(csv, values)
    assert column(csv, values, group_char=",")[0] == 1100 and column(csv, values, decimal_char=",")[0] == 1.1


def test_points_that_could_mark_thousands_are_told_of(csv: Path) -> None:
    values = [f"{i * 37:,}".replace(",", ".") for i in range(N)]
    assert "if points mark thousands" in decided(csv, values)
    assert column(csv, values, group_char=".")[59] == 59 * 37


@pytest.mark.parametrize("value", ["1e150", "inf", "-inf", "1e999", "1.7976931348623157e308"])
def test_numbers_beyond_arithmetic_are_refused_or_declared(csv: Path, value: str) -> None:
    values = [f"{i}.5" for i in range(50)] + [value]
    with pytest.raises(DataError, match=f"1 values are infinite or beyond 1e\\+100: row 51 has '{value}'"):
        column(csv, values)
    assert column(csv, values, missing_values=(value,))[50] is None


def test_a_sentinel_is_told_of_and_missing_once_declared(csv: Path) -> None:
    values = [f"{i / 10}" for i in range(50)] + ["-999", "-999.0"]
    assert "-999 stands in 2 rows, far from all others (0 to 4.9)" in decided(csv, values)
    assert column(csv, values, missing_values=("-999",)).to_list()[-2:] == [None, None], "however it is written"


@pytest.mark.parametrize(
    "form", ["%Y-%m-%d", "%d.%m.%Y", "%d/%m/%Y", "%d-%b-%Y", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S", "%d.%m.%Y %H:%M"]
)
def test_dates_are_days_since_a_stated_day(csv: Path, form: str) -> None:
    days = [dt.datetime(2015, 1, 1) + dt.timedelta(days=9 * i) for i in range(N)]
    found = column(csv, [*(day.strftime(form) for day in days), "NULL"])
    assert found.to_list() == [*(float((day - dt.datetime(2000, 1, 1)).days) for day in days), None]


def test_a_date_that_could_be_either_way_round_is_asked_about(csv: Path) -> None:
    values = [f"{1 + i % 12:02d}/{1 + i % 11:02d}/2020" for i in range(N)]
    with pytest.raises(DataError, match="could have the day or the month first"):
        column(csv, values)
    assert column(csv, values, date_format="%d/%m/%Y")[11] != column(csv, values, date_format="%m/%d/%Y")[11]


def test_truth_values_are_numbers_and_a_third_level_makes_a_category(csv: Path) -> None:
    assert column(csv, ["TRUE", "false", "NA"] * 20).to_list()[:3] == [1.0, 0.0, None]
    assert "'unknown' is a level of its own (20 rows)" in decided(csv, ["TRUE", "FALSE", "unknown"] * 20)


def test_levels_lose_blanks_at_their_ends(csv: Path) -> None:
    assert column(csv, [" north", "north ", "south"] * 20).unique().sort().to_list() == ["north", "south"]


def test_another_text_in_every_row_is_left_out_and_told_of(csv: Path) -> None:
    assert decided(csv, [f"note {i} x" for i in range(N)]).startswith("left out; looks like an identifier")


def test_too_many_levels_are_refused(csv: Path) -> None:
    with pytest.raises(
        DataError, match=r"has 1500 different texts .*name the columns that take part in \[data\] columns"
    ):
        column(csv, [f"note {i % 1500} x" for i in range(3000)])


def test_columns_that_say_the_same_count_rows_or_tell_the_label_are_told_of(csv: Path) -> None:
    rows = "".join(f"{i + 7},{i + 7},{i},{i % 3},{i % 3},{i % 2},{'yn'[i % 2]}\n" for i in range(N))
    found = table(csv, f"id,same,row,a,b,leak,y\n{rows}", label="y").findings
    assert found is not None
    told = "\n".join(found.notes)
    assert "'same' equals the id" in told and "'row' counts the rows" in told
    assert "columns 'a' and 'b' are identical" in told and "'leak' tells the label of every row" in told


def test_a_column_may_have_any_name_and_a_date_any_year(csv: Path) -> None:
    rows = "".join(
        f"p{i:04d},{'ab'[i % 2]},{'xy'[i % 2]},{'uv'[i % 2]},{'0000' if i else '9999'}-01-0{1 + i % 9}\n"
        for i in range(N)
    )
    frame = table(csv, f"id,count,len,text,seen\n{rows}").frame
    assert isinstance(frame, pl.DataFrame) and frame.columns == ["count", "len", "seen", "text"]
    assert frame["seen"].dtype == pl.Float64


def test_only_columns_of_the_allow_list_take_part(csv: Path) -> None:
    frame = table(csv, "id,a,b,secret\n1,2,x,9\n2,3,y,8\n3,4,x,7\n", columns=("a", "b")).frame
    assert isinstance(frame, pl.DataFrame) and frame.columns == ["a", "b"]
    with pytest.raises(DataError, match="columns: no such column: c; the table's columns are id, a"):
        table(csv, "id,a\n1,2\n2,3\n", columns=("c",))
