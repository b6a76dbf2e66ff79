"""The memory that makes "privatised once" true: the first release of every row is kept and given again.

Without it a sponsor that starts a study anew draws new noise, and an assistor averages it away: n releases cost n times
epsilon. Permanent randomised response, as in RAPPOR (Erlingsson, Pihur and Korolova, CCS 2014): the file lies in the
party's home, not in a run directory, holds releases and never true labels, and is on disk before a release is used.
A label that is corrected later keeps its first release.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from crypto.private_files import locked, replace
from secure_gal.errors import EnvironmentFailure, SettingsError
from secure_gal.label_privacy import Array, LabelScheme
from secure_gal.messages import MAX_ROWS

FORMAT = 1
MAX_FILE_BYTES = 1 << 30
"""Bytes of the file; a row takes its id and about 10 more."""


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: int
    statement: str
    ids: str
    releases: dict[str, float]


def release_once(
    path: Path, scheme: LabelScheme, ids: Sequence[str], labels: Sequence[Any], ids_as: str
) -> Array:  # fmt: skip
    """The release float64 (N,) of every row: the kept one for a known id, else a fresh one that is kept.

    Args:
        path: the file of this label, one for all studies and runs that use it; made when missing, mode 0600.
        ids: different from each other (N,), as the sponsor's table has them; labels: (N,) in the same order.
        ids_as: how ids are written. The same person under another id would get a second release, so it must not change.

    Raises:
        SettingsError: the file is damaged, or holds releases of another scheme or for ids written in
            another way, whose cost would add to this one's.
        DataError: a label does not fit the scheme.
        EnvironmentFailure: the file cannot be written; nothing was released.
    """
    try:
        with locked(path):  # two that draw for the same row would release it twice
            kept = _read(path, scheme.statement, ids_as)
            new = [i for i, entity in enumerate(ids) if entity not in kept]
            if new:
                fresh = scheme.release([labels[i] for i in new]).tolist()
                kept |= dict(zip([ids[i] for i in new], fresh, strict=True))
                replace(path, msgspec.json.encode(_File(FORMAT, scheme.statement, ids_as, kept)) + b"\n")
    except OSError as error:
        problem = f"releases could not be kept: {error.strerror}; nothing was released"
        raise EnvironmentFailure(f"{path}: {problem}") from error
    return np.array([kept[entity] for entity in ids], dtype=np.float64)


def _read(path: Path, statement: str, ids_as: str) -> dict[str, float]:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise SettingsError(str(path), f"is larger than {MAX_FILE_BYTES} bytes; it is not a file of releases")
        file = msgspec.json.decode(path.read_bytes(), type=_File)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise SettingsError(str(path), f"cannot be read: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SettingsError(str(path), "is damaged; restore it from a backup: new releases would add to its "
                            "epsilon") from error  # fmt: skip
    if file.format != FORMAT or len(file.releases) > MAX_ROWS:
        raise SettingsError(str(path), f"is no file of releases of format {FORMAT}")
    if file.statement != statement:
        raise SettingsError(str(path), f"these labels were released before by: {file.statement}. This study asks for: "
                            f"{statement}. Both together cost the sum of both epsilons; to accept that, move the file "
                            "away")  # fmt: skip
    if file.ids != ids_as:
        raise SettingsError(str(path), f"these labels were released before for ids {file.ids}; this study has them {ids_as}, so "
                            "everyone's label would be released again and both epsilons add up; set id_form, [protect] ids "
                            "and [data] id as they were, or move the file away to accept that")  # fmt: skip
    return file.releases
