"""Tables as people have them and nobody would write them: the right values, or a refusal that names the place."""

from __future__ import annotations

import gzip
import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path

import polars as pl
import pytest
import zstandard

from secure_gal.data.id_form import form_of
from secure_gal.data.id_mixed import mixed_forms
from secure_gal.data.table import look, read_table
from secure_gal.errors import DataError
from secure_gal.settings.party import DataSettings

N = 60
IDS = [f"p{i:04d}" for i in range(N)]
MONTHS, CURRENCIES = ("Januar", "M\u00e4rz"), "$\u20ac"
START = datetime(2000, 1, 1)
ARABIC = str.maketrans("0123456789", "\u0660\u0661\u0662\u0663\u0664\u0665\u0666\u0667\u0668\u0669")
LATER = "id,x\n" + "\u00fc\u00f6" * (1 << 18) + ",1\na,2\n" + "\u00fc" * 99 + ",5\n"
"""A table whose first MiB ends within a letter."""
PLAIN = "".join(f"{entity},{i}\n" for i, entity in enumerate(IDS))


def of_column(folder: Path, values: list[str]) -> DataSettings:
    """A table whose column c holds these values."""
    lines = "".join(f'{entity},"{value}",{i}.5\n' for i, (entity, value) in enumerate(zip(IDS, values, strict=True)))
    (folder / "t.csv").write_text(f"id,c,other\n{lines}")
    return DataSettings(folder / "t.csv", "id")


def first(data: DataSettings) -> object:
    frame = read_table(data).frame
    assert isinstance(frame, pl.DataFrame)
    return frame["c"][0]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (lambda i: f"{1 + i % 28:02d}.03.{(50 + i) % 100:02d}", r"'01.03.50' has a year of two digits.*\"%d.%m.%y\""),
        (lambda i: f"{1 + i % 12}/{1 + i % 28}/{i:02d}", r"a year of two digits"),
        (lambda i: f"{1 + i % 12}/{1 + i % 12}/{i:02d}", r"the day or the month first.*%d/%m/%y.*%m/%d/%y"),
        (
            lambda i: f"{1 + i % 28}. {MONTHS[i % 2]} {2000 + i}",
            "looks like dates .*row 1 has '1. Januar",
        ),
        (lambda i: f"{i % 24:02d}:{i:02d}", "looks like times of day .*row 1 has '00:00'; write them as numbers"),
        (lambda i: str(7 * i + 3).translate(ARABIC), "looks like numbers .*row 1 has '\u0663'; write them as plain"),
        (lambda i: f"{i + 10},{i + 10},{i + 100}", "looks like numbers"),
        (lambda i: f"{CURRENCIES[i % 2]}{i}", "looks like numbers"),
        (lambda i: f"{'-' * (i % 2)}${i}", "looks like numbers"),
        (lambda i: f"{1000 + i:_}", "looks like numbers"),
    ],
    ids=["years", "American years", "both", "months", "times", "digits", "lakh", "currencies", "before the sign", "_"],
)
def test_a_notation_that_no_rule_reads_is_no_category_of_every_value(tmp_path: Path, value: object, said: str) -> None:
    data = of_column(tmp_path, [value(i) for i in range(N)])  # type: ignore[operator]
    with pytest.raises(DataError, match=f"column 'c'.*{said}"):
        read_table(data)


@pytest.mark.parametrize(
    "value",
    [
        lambda i: f"{i % 30}-{i % 30 + 9}",
        lambda i: f"C{i}.1",
        lambda i: f"0{i}",
        lambda i: f"{i % 6}.1.2.{i}",
    ],
    ids=["ranges", "codes", "leading zeros", "versions"],
)
def test_codes_and_ranges_stay_texts(tmp_path: Path, value: object) -> None:
    found = look(of_column(tmp_path, [value(i) for i in range(N)]))  # type: ignore[operator]
    assert not found.problems and found.columns[1].field.type == "string"


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (
            lambda i: f"01/{13 + i % 15}/2020 1:30 PM",
            (datetime(2020, 1, 13, 13, 30) - START).total_seconds(),
        ),
        (
            lambda i: f"2020-01-{1 + i % 28:02d} 10:00:00+02",
            (datetime(2020, 1, 1, 8) - START).total_seconds(),
        ),
    ],
    ids=["half days", "zones as PostgreSQL writes them"],
)
def test_times_of_a_day_and_zones_are_read(tmp_path: Path, value: object, number: float) -> None:
    assert first(of_column(tmp_path, [value(i) for i in range(N)])) == number / 86_400  # type: ignore[operator]


def test_a_thin_space_marks_thousands(tmp_path: Path) -> None:
    assert first(of_column(tmp_path, [f"{i + 1000:,}".replace(",", "\u2009") for i in range(N)])) == 1000.0


def test_a_year_of_two_digits_is_read_as_the_person_says_and_refused_in_a_later_table(tmp_path: Path) -> None:
    schema = read_table(of_column(tmp_path, [f"{1 + i % 28:02d}.03.{1950 + i}" for i in range(N)])).schema
    short = of_column(tmp_path, [f"{1 + i % 28:02d}.03.{(50 + i) % 100:02d}" for i in range(N)])
    with pytest.raises(DataError, match=r"row 1 has '01\.03\.50' in column 'c'"):
        read_table(short, schema=schema)
    said = DataSettings(short.path, "id", date_format="%d.%m.%y")
    assert first(said) == (datetime(2050, 3, 1) - START).days


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("t.csv", f"id,x\n{PLAIN}".replace("p0003,3", "p0003,\0").encode(), "has a zero byte in line 5"),
        ("t.csv", f"id,x\n{PLAIN}".encode() + b"\0" * 512, "has a zero byte in line 62"),
        ("t.csv", LATER.encode() + b"b\xff,3\n", r"1 places, the first in line 5"),
        ("t.csv.gz", gzip.compress(gzip.compress(PLAIN.encode())), "is packed twice"),
        ("t.csv.zst", zstandard.compress(gzip.compress(PLAIN.encode())), "is packed twice"),
        (
            "t.csv",
            f"id,x\n{PLAIN}".replace("p", "S\u00fcd").encode() + b"\xff,7\n",
            "UTF-8 but for 1 places, .* line 62",
        ),
        (
            "t.csv",
            f"id,x\n{PLAIN}".replace("\np0007", "\rp0007").encode(),
            "line 8 .*a carriage return stands within it",
        ),
        (
            "t.csv",
            f"id,x,g\n{PLAIN}".replace("7\n", '7,"a\\"b"\n').replace("8\n", '8,"c"\n').encode(),
            "a quote stands within",
        ),
        ("t.csv", f"id,x\n{PLAIN}".replace("p0007,7", 'p0007,5" pipe').encode(), "line 9 has an odd number of quotes"),
        ("t.csv", b'[{"id": "a", "x": 1}]', "taken for the header, and no rows; is it CSV"),
    ],
    ids=["zero", "zeros", "mixed later", "gz of gz", "zst of gz", "mixed", "line ends", "backslash", "inches", "json"],
)
def test_a_file_that_is_no_whole_table_names_the_line(tmp_path: Path, name: str, data: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError, match=said):
        read_table(DataSettings(tmp_path / name, "id"))


def test_sources_with_types_and_without_rows_are_refused(tmp_path: Path) -> None:
    pl.DataFrame({"id": ["a"], "y": [1]}).head(0).write_parquet(tmp_path / "t.parquet")
    with closing(sqlite3.connect(tmp_path / "t.db")) as db:
        db.execute("CREATE TABLE t (id, x)")
    query = DataSettings(tmp_path, "id", source="sqlite:///t.db", query="SELECT * FROM t")
    for data in (DataSettings(tmp_path / "t.parquet", "id", "y"), query):
        with pytest.raises(DataError, match="has columns and no rows"):
            read_table(data)


def test_whole_numbers_that_lose_digits_are_told_of(tmp_path: Path) -> None:
    found = look(of_column(tmp_path, [f"{2**53 + 2 * i + 1}" for i in range(N)]))
    assert any("beyond 9,007,199,254,740,992 lose their last digits" in text for text in found.warnings())


def test_what_is_shown_is_printable_and_short(tmp_path: Path) -> None:
    data = of_column(tmp_path, ["a" * 9000, "\x1b[31mb"] * (N // 2))
    shown = "\n".join(look(data).lines())
    assert "\\x1b[31mb 30" in shown and "\x1b" not in shown and len(shown) < 600


def test_levels_of_the_label_and_ends_of_dates_are_shown(tmp_path: Path) -> None:
    days = pl.Series("day", [datetime(2020, 1, 1 + i % 28) for i in range(N)]).cast(pl.Date)
    frame = pl.DataFrame(
        [pl.Series("id", IDS), days, pl.Series("b", [True, None, False] * 20), pl.Series("y", ["b", "a"] * 30)]
    )
    frame.write_parquet(tmp_path / "t.parquet")
    shown = "\n".join(look(DataSettings(tmp_path / "t.parquet", "id", "y")).lines())
    for text in ("2020-01-01 to 2020-01-28", "true 20, false 20", "2 classes: a 30, b 30"):
        assert text in shown, shown


def test_ids_that_invisible_letters_tell_apart_are_warned_of() -> None:
    values = ["p1", "p1\u200b"]
    assert "invisible" in mixed_forms(form_of("id", values), values)[0]
