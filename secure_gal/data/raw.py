"""A table as it lies in its file, before anything is made of it: text as written, or typed columns."""

from __future__ import annotations

import codecs
from pathlib import Path

import msgspec
import polars as pl

from secure_gal.data.delimited import read_delimited
from secure_gal.data.dialect import SAMPLE_BYTES, Dialect, find_dialect, find_encoding
from secure_gal.data.schema import Schema
from secure_gal.errors import DataError
from secure_gal.settings.party import DataSettings

PARQUET = (".parquet", ".pq")


def read_raw(data: DataSettings, schema: Schema | None) -> tuple[pl.DataFrame, Dialect | None]:
    """All columns, and the dialect where the file is delimited text.

    Args:
        schema: what was decided before; without it the dialect is found.

    Raises:
        DataError: names the file and the fix.
    """
    path = data.path
    try:
        if path.suffix.lower() in PARQUET:
            return pl.read_parquet(path), None
        return _delimited(str(path), path, data, schema)
    except FileNotFoundError:
        raise DataError(str(path), "no such file; `[data] path` is relative to the party file") from None
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(str(path), f"cannot be read as {path.suffix or 'CSV'}: {str(error).splitlines()[0]}") from error


def _delimited(where: str, path: Path, data: DataSettings, schema: Schema | None) -> tuple[pl.DataFrame, Dialect]:
    with path.open("rb") as file:
        start = file.read(SAMPLE_BYTES)
    found = schema.dialect if schema is not None else None
    named = [name for name in (*data.ids, data.label) if name and name != "#row"]
    dialect = found or find_dialect(where, start, data, named)
    source: Path | bytes = path
    if not _as_polars_reads(start, dialect.encoding):
        source = _recoded(where, path.read_bytes(), dialect.encoding)
    elif (other := _later_encoding(path, start)) and found is None and data.encoding is None:
        dialect = msgspec.structs.replace(dialect, encoding=other)
        source = _recoded(where, path.read_bytes(), other)
    plain = [f for f in (schema.fields if schema else ()) if f.type == "number" and f.notation.plain]
    floats = {f.name: f.missing_values[0] if f.missing_values else "" for f in plain}
    try:
        return read_delimited(where, source, dialect, floats), dialect
    except pl.exceptions.PolarsError:  # another marker, or what is no number
        return read_delimited(where, source, dialect), dialect


def _as_polars_reads(start: bytes, encoding: str) -> bool:
    """UTF-8 without a byte-order mark, lines that end in a line feed."""
    plain = encoding.lower().replace("_", "-") in ("utf-8", "utf8", "ascii")
    return plain and not start.startswith(b"\xef\xbb\xbf") and (b"\n" in start or b"\r" not in start)


def _later_encoding(path: Path, start: bytes) -> str:
    """The encoding of a file whose beginning could be UTF-8 and which is not; empty where all of it is."""
    if len(start) < SAMPLE_BYTES:
        return ""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as file:
        while block := file.read(SAMPLE_BYTES):
            try:
                decoder.decode(block)
            except UnicodeDecodeError:
                return find_encoding(str(path), block)
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
