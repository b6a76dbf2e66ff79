"""Files with so few letters beyond ASCII that another encoding reads them as plausibly."""

from __future__ import annotations

import re

RIVALS = ("cp1252", "mac_roman", "cp850", "cp1250", "iso8859-15")
"""What spreadsheets and older programs of western and central Europe write."""
FEW = 200
"""Bytes beyond ASCII; with more of them their frequencies tell."""
SHOWN = 3


def other_readings(head: bytes, found: str) -> str:
    """A note where another encoding makes letters of all of a file's few bytes beyond ASCII, and other ones.

    Args:
        head: the beginning of the file; found: its encoding, as it was found.

    Returns:
        One word in each reading and the setting; empty where nothing else fits, and for Unicode.
    """
    beyond = bytes(sorted({byte for byte in head if byte >= 0x80}))
    if not beyond or found.startswith("utf") or sum(byte >= 0x80 for byte in head) > FEW:
        return ""
    word = re.search(rb"[A-Za-z\x80-\xff]*[\x80-\xff][A-Za-z\x80-\xff]*", head)
    assert word is not None  # noqa: S101  (there is such a byte)
    taken, rivals = {_letters(beyond, found)}, []
    for name in RIVALS:
        if (read := _letters(beyond, name)) and read not in taken:
            taken.add(read)
            rivals.append(name)
    if not rivals:
        return ""
    others = ", ".join(f"{word[0].decode(name)!r} as {name}" for name in rivals[:SHOWN])
    return (
        f"text is read as {found}, which few letters tell: {word[0].decode(found, 'replace')!r} would be {others}; "
        f'name the right one: [data] encoding = "{rivals[0]}", say'
    )


def _letters(raw: bytes, encoding: str) -> str:
    """Its reading, empty where it is none or not all of letters."""
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError:
        return ""
    return text if text.isalpha() else ""
