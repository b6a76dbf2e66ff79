"""How many sums of one table were ever released: a small file in the party's `home`, over all runs and studies."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import msgspec

from crypto.private_files import locked, replace
from secure_gal.errors import EnvironmentFailure, SettingsError

FILE = "sum-budget.json"
MAX_FILE_BYTES = 1 << 22
"""Bytes of the file; a run takes about 80."""
Runs = dict[str, dict[str, int]]


class SumBudget:
    """The budget of one table, named by a digest of its ids in any order.

    A table with other ids counts anew, so this protects against runs that are repeated, not against an owner who means
    to get round it.
    """

    def __init__(self, home: Path, ids: Sequence[str]) -> None:
        self._path = home / FILE
        digest = hashlib.sha256(b"secure-gal/1 table of a sum budget\0")
        for entity in sorted(ids):
            raw = entity.encode()
            digest.update(len(raw).to_bytes(8, "little") + raw)
        self._table = digest.hexdigest()

    def released(self) -> int:
        """T*K of all runs on this table so far; SettingsError."""
        return sum(self._read().get(self._table, {}).values())

    def record(self, run: str, equations: int) -> int:
        """Write down the T*K of a run, once, before anything is released; returns that of all runs on this table.

        Raises:
            SettingsError: the file is not one of ours.
            EnvironmentFailure: it cannot be written.
        """
        try:
            with locked(self._path):  # two studies of one home at a time must not lose each other's entry
                tables = self._read()
                runs = tables.setdefault(self._table, {})
                if runs.get(run) != equations:
                    runs[run] = equations
                    replace(self._path, msgspec.json.encode(tables))
        except OSError as error:
            raise EnvironmentFailure(f"{self._path} cannot be written: {error.strerror}") from error
        return sum(runs.values())

    def _read(self) -> dict[str, dict[str, int]]:
        try:
            raw = self._path.read_bytes()[: MAX_FILE_BYTES + 1]
            return msgspec.json.decode(raw, type=Runs)
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.MsgspecError) as error:
            raise SettingsError(str(self._path), "is not a readable budget of sums; restore it from a copy") from error
