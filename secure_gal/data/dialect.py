"""How a delimited text file is written: encoding, separator, quotes, comments and where its header stands.

What the person says is taken; the rest is found from the first bytes of the file, shown, and kept in the schema. The
words are those of Frictionless Table Dialect.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections import Counter
from collections.abc import Sequence

import msgspec

from secure_gal.errors import DataError
from secure_gal.settings.party import DataSettings

SAMPLE_BYTES = 1 << 20
"""Bytes of a file from which its dialect is found."""
SAMPLE_LINES = 200
WIDE = 0.5
"""In UTF-16 at least this share of the first or of the second bytes of all characters is zero in any CSV."""
MIXED = 10
"""So many letters in UTF-8 for each place that is not make a damaged UTF-8 file, not one of another encoding."""
DELIMITERS = (",", ";", "\t", "|")
COMMENTS = ("#", "%")
BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""UTF-32 before UTF-16: the little-endian mark of the one begins with that of the other."""


class Dialect(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """How a CSV file is written.

    Attributes:
        header_row: line of the column names; 1 is the first line of the file. Lines above it are passed over. 0: there
            is none, and columns are called column_0, column_1 and so on.
        skip_initial_space: blanks after a separator belong to the file and not to the value.
        comment_char: lines that begin with it are passed over; empty for none.
    """

    delimiter: str = ","
    quote_char: str = '"'
    skip_initial_space: bool = False
    header_row: int = 1
    comment_char: str = ""
    encoding: str = "utf-8"

    def __str__(self) -> str:
        words = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
        parts = [f"values between {words.get(self.delimiter, repr(self.delimiter))}", f"text as {self.encoding}"]
        parts += ["blanks after each separator"] * self.skip_initial_space
        parts += [f"header in line {self.header_row}" if self.header_row else "no header"] * (self.header_row != 1)
        parts += [f"comments after {self.comment_char}"] * bool(self.comment_char)
        return ", ".join(parts)


def find_dialect(where: str, head: bytes, data: DataSettings, columns: Sequence[str]) -> Dialect:
    """The dialect of a file that begins with `head`.

    Args:
        where: the file, for messages.
        data: what the person said of it; what is None is found.
        columns: names that must stand in the header: id and label.

    Raises:
        DataError: no known encoding, or a header that does not seem to stand in the first line; names the setting.
    """
    encoding = data.encoding or find_encoding(where, head)
    lines = _lines(_decoded(where, head, encoding))
    comment = data.comment_char
    if comment is None:
        comment = next((c for c in COMMENTS if lines and lines[0].startswith(c)), "")
    kept = [line for line in lines if not (comment and line.startswith(comment))]
    delimiter = data.delimiter or _delimiter(kept)
    header = data.header_row
    if header is None:
        header = 1 if comment else _header_row(where, lines, delimiter, columns)
    body = lines[max(0, header - 1) :]
    blanks = sum(line.count(delimiter + " ") for line in body)
    separators = sum(line.count(delimiter) for line in body)
    quoted = any(f'{delimiter} "' in line for line in body)
    initial = separators > 0 and (quoted or blanks > separators / 2)
    return Dialect(delimiter, '"', initial, header, comment, encoding)


def find_encoding(where: str, head: bytes, above: int = 0) -> str:
    """By byte-order mark, by zero bytes, by being UTF-8, else as charset-normalizer finds it.

    Args:
        above: lines of the file before these bytes.

    Raises:
        DataError: nothing fits, or the text is damaged; names the line or the setting.
    """
    for mark, name in BYTE_ORDER_MARKS:
        if head.startswith(mark):
            return name
    if b"\0" in head:
        zeros = [head[i::2].count(0) for i in (0, 1)]
        if max(zeros) < WIDE * len(head) / 2:
            line = above + head[: head.index(0)].count(b"\n") + 1
            raise DataError(
                where,
                f"has a zero byte in line {line}: it is no text, or damaged (write it again as CSV), or in an encoding "
                'that is not found: [data] encoding = "utf-16-le", say',
            )
        return "utf-16-be" if zeros[0] > zeros[1] else "utf-16-le"
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)  # the sample may end within a character
    except UnicodeDecodeError as error:
        _check_mixed(where, head, above + head[: error.start].count(b"\n") + 1)
    else:
        return "utf-8"
    from charset_normalizer import from_bytes

    best = from_bytes(head[: SAMPLE_BYTES // 8]).best()
    if best is None:
        raise DataError(
            where, 'is not UTF-8, and its encoding could not be found; name it: [data] encoding = "cp1252", say'
        )
    if str(best) == head[: SAMPLE_BYTES // 8].decode("cp1252", errors="replace"):
        return "cp1252"  # of all that read the sample alike, the one that most files have
    return str(best.encoding)


def _check_mixed(where: str, head: bytes, line: int) -> None:
    """DataError for a file that is UTF-8 but for a few places, the first in this line: read in any other encoding, all
    of its letters beyond ASCII would be wrong ones."""
    text = head.decode(errors="replace")
    damaged = text.count("\ufffd")
    if sum(not letter.isascii() for letter in text) >= MIXED * damaged:
        raise DataError(
            where,
            f"is UTF-8 but for {damaged} places, the first in line {line}; correct them, or name the encoding that all "
            'of it has: [data] encoding = "cp1252", say',
        )


def _decoded(where: str, head: bytes, encoding: str) -> str:
    try:
        return codecs.getincrementaldecoder(encoding)().decode(head)
    except LookupError:
        raise DataError(where, f"`[data] encoding` is {encoding!r}; accepted: utf-8, cp1252, utf-16, ...") from None
    except UnicodeError as error:
        raise DataError(where, f"is not written in {encoding}: {error}; name another [data] encoding") from None


def _lines(text: str) -> list[str]:
    """The first lines; a last one that the sample may have cut is left out where there are others."""
    lines = text.splitlines()
    whole = len(text) < SAMPLE_BYTES // 4 or len(lines) < 2
    return (lines if whole else lines[:-1])[:SAMPLE_LINES]


def _counts(lines: Sequence[str], delimiter: str) -> list[int]:
    """Values a line, blank ones left out; a quoted value may go over several lines."""
    reader = csv.reader(io.StringIO("\n".join(lines)), delimiter=delimiter, skipinitialspace=True)
    try:
        return [len(row) for row in reader if row]
    except csv.Error:
        return []


def _delimiter(lines: Sequence[str]) -> str:
    """The one with which most lines have equally many values, more than one; a comma where none has."""
    best, chosen = (0.0, 0), ","
    for delimiter in DELIMITERS:
        counts = [count for count in _counts(lines, delimiter) if count > 1]
        if not counts:
            continue
        usual, times = Counter(counts).most_common(1)[0]
        score = times / max(1, len(lines)), usual
        if score > best:
            best, chosen = score, delimiter
    return chosen


def _header_row(where: str, lines: Sequence[str], delimiter: str, columns: Sequence[str]) -> int:
    """1; DataError where the column names seem to stand below, under a title.

    It is not guessed that they do: what stands above may be a header of its own.
    """
    if not lines or all(name in _names(lines[0], delimiter) for name in columns):
        return 1
    for number, line in enumerate(lines[:20], 1):
        names = _names(line, delimiter)
        if number > 1 and len(names) >= len(columns) and all(name in names for name in columns):
            raise DataError(
                where,
                f"its header seems to stand in line {number}, under a title; say so: [data] header_row = {number}",
            )
    return 1


def _names(line: str, delimiter: str) -> list[str]:
    return [name.strip() for row in csv.reader([line], delimiter=delimiter, skipinitialspace=True) for name in row]
