"""Workbooks: .xlsx, .xls, .xlsb and .ods."""

from __future__ import annotations

from collections.abc import Collection
from importlib.util import find_spec
from pathlib import Path

from secure_gal.data.contained import read_contained
from secure_gal.data.plain_types import Taken
from secure_gal.errors import DataError


def read_excel(path: Path, sheet: str | None = None, taken: Collection[str] | None = None) -> Taken:
    """One sheet, whose first row is the header (`secure_gal.data.workbook` says what cells become).

    Args:
        sheet: its name; None where the workbook has one.
        taken: the columns that take part, None for all.

    Returns:
        N rows in plain types (`secure_gal.data.plain_types`).

    Raises:
        DataError: no such file or sheet, more than one sheet and none named, titles above the header, a password, or a
            missing package.
    """
    if find_spec("python_calamine") is None:
        raise DataError(str(path), 'reading workbooks needs: pip install "secure-gal[excel]"')
    return read_contained("excel", path, taken, sheet)
