"""A table as it lies in its file or database, before anything is made of it: text as written, or typed columns."""

from __future__ import annotations

import codecs
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import msgspec
import polars as pl

from secure_gal.data.compressed import head, kind_of, packing, unpacked
from secure_gal.data.delimited import read_delimited
from secure_gal.data.dialect import SAMPLE_BYTES, Dialect, find_dialect, find_encoding
from secure_gal.data.encoding_doubt import other_readings
from secure_gal.data.excel import read_excel
from secure_gal.data.parquet import read_parquet
from secure_gal.data.plain_types import Taken
from secure_gal.data.schema import Schema
from secure_gal.data.sql import read_sql
from secure_gal.errors import DataError
from secure_gal.settings.party import ROW, DataSettings

PARQUET = (".parquet", ".pq")
NAMED = 20
"""Columns that a note lists."""
WORKBOOKS = (".xlsx", ".xls", ".xlsb", ".ods")


@dataclass(frozen=True, slots=True)
class Raw:
    """A table before anything is made of it.

    Attributes:
        frame: the columns that were read, N rows.
        dialect: of delimited text.
        others: names of the columns that the source has besides.
        doubt: of the encoding that was found; empty where there is none.
    """

    frame: pl.DataFrame
    dialect: Dialect | None = None
    others: tuple[str, ...] = ()
    doubt: str = ""

    def left_out(self, schema: Schema, where: str) -> tuple[str, ...]:
        """A note of the columns that came after the schema was made, if there are any."""
        known = {field.name for field in schema.fields}
        new = [name for name in (*self.frame.columns, *self.others) if name not in known]
        if not new:
            return ()
        named = ", ".join(map(repr, new[:NAMED])) + (f" and {len(new) - NAMED} more" if len(new) > NAMED else "")
        return (
            f"{where}: the schema does not know {named}: left out; to take such a column in, decide anew "
            "(secure-gal schema PARTY.toml --renew) and learn anew",
        )


def read_raw(data: DataSettings, schema: Schema | None) -> Raw:
    """All columns that may take part.

    Args:
        schema: what was decided before; without it the dialect is found.

    Raises:
        DataError: names the file and the fix.
    """
    path, taken = data.path, _taken(data, schema)
    if data.source:
        return _of(read_sql(data.source, data.query, data.where, taken, path), data.where)
    if not path.exists():
        raise DataError(str(path), "no such file; `[data] path` is relative to the party file")
    kind = path.suffix.lower()
    if kind in PARQUET:
        return _of(read_parquet(path, taken), data.where)
    if kind in WORKBOOKS:
        return _of(read_excel(path, data.sheet, taken), data.where)
    try:
        return _delimited(str(path), data, schema)
    except OSError as error:
        raise DataError(str(path), f"cannot be read: {error.strerror}") from error


def _of(found: Taken, where: str) -> Raw:
    if not found.frame.height:
        raise DataError(where, "has columns and no rows")
    return Raw(found.frame, None, tuple(found.others))


def _taken(data: DataSettings, schema: Schema | None) -> Collection[str] | None:
    """The columns that are read of a file with types; None for all. One that is left out is never refused."""
    if schema is not None:
        return [field.name for field in schema.fields if field.role != "left out"]
    return (
        None
        if data.columns is None
        else [*data.ids, *(name for name in (data.label, data.weight) if name), *data.columns]
    )


def _delimited(where: str, data: DataSettings, schema: Schema | None) -> Raw:
    path, start = data.path, head(data.path, SAMPLE_BYTES)
    if packing(path) is not None and kind_of(where, start) is not None:
        raise DataError(where, "is packed twice; unpack it once")
    found = schema.dialect if schema is not None else None
    named = [name for name in (*data.ids, data.label, data.weight) if name and name != ROW]
    dialect = found or find_dialect(where, start, data, named)
    doubt = other_readings(start, dialect.encoding) if found is None and data.encoding is None else ""
    source: Path | bytes = path if packing(path) is None else unpacked(path)
    if not _as_polars_reads(start, dialect.encoding):
        source = _recoded(where, _bytes(source), dialect.encoding)
    elif found is None and data.encoding is None and (other := _later_encoding(where, source, start)):
        dialect = msgspec.structs.replace(dialect, encoding=other)
        source = _recoded(where, _bytes(source), other)
    plain = [f for f in (schema.fields if schema else ()) if f.type == "number" and f.notation.plain]
    floats = {f.name: f.missing_values[0] if f.missing_values else "" for f in plain}
    try:
        return Raw(read_delimited(where, source, dialect, floats), dialect, doubt=doubt)
    except pl.exceptions.PolarsError:  # another marker, or what is no number
        return Raw(read_delimited(where, source, dialect), dialect, doubt=doubt)


def _bytes(source: Path | bytes) -> bytes:
    return source if isinstance(source, bytes) else source.read_bytes()


def _as_polars_reads(start: bytes, encoding: str) -> bool:
    """UTF-8 without a byte-order mark, lines that end in a line feed."""
    plain = encoding.lower().replace("_", "-") in ("utf-8", "utf8", "ascii")
    return plain and not start.startswith(b"\xef\xbb\xbf") and (b"\n" in start or b"\r" not in start)


def _later_encoding(where: str, source: Path | bytes, start: bytes) -> str:
    """The encoding of a file whose beginning could be UTF-8 and which is not; empty where all of it is."""
    if len(start) < SAMPLE_BYTES:
        return ""
    raw, decoder = _bytes(source), codecs.getincrementaldecoder("utf-8")()
    for at in range(0, len(raw), SAMPLE_BYTES):
        block = raw[at : at + SAMPLE_BYTES]
        try:
            decoder.decode(block)
        except UnicodeDecodeError:
            cut = next(i for i in range(4) if block[i : i + 1] < b"\x80" or block[i : i + 1] >= b"\xc0")
            return find_encoding(where, block[cut:], raw[:at].count(b"\n"))
    return ""


def _recoded(where: str, raw: bytes, encoding: str) -> bytes:
    """The same text in UTF-8, lines ended by line feeds."""
    try:
        text = raw.decode("utf-8-sig" if encoding == "utf-8" else encoding)
    except UnicodeError as error:
        raise DataError(where, f"is not written in {encoding} throughout: {error}; name its [data] encoding") from None
    if "\n" not in text:
        text = text.replace("\r", "\n")
    return text.removeprefix("\ufeff").encode("utf-8", errors="surrogatepass")
