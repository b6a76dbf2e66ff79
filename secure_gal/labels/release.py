"""The memory that makes "privatised once" true: the first release of every row is kept and given again.

Without it a sponsor that starts a study anew draws new noise, and an assistor averages it away: n releases cost n times
epsilon. Permanent randomised response, as in RAPPOR (Erlingsson, Pihur and Korolova, CCS 2014): the file lies in the
party's home, not in a run directory, holds releases and never true labels, and is on disk before a release is used.
A label that is corrected later keeps its first release. A label column that was renamed looks like a second label of
the same people, whose epsilon would add to the first: nobody is released twice under two names without a word.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote

import msgspec
import numpy as np

from crypto.private_files import locked, replace
from secure_gal.errors import EnvironmentFailure, SettingsError
from secure_gal.labels.schemes import Array, LabelScheme
from secure_gal.messages import MAX_ROWS
from secure_gal.settings.classes import Label
from secure_gal.settings.limits import LABELS

FORMAT = 1
MAX_FILE_BYTES = 1 << 30
"""Bytes of the file; a row takes its id and about 10 more."""


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: int
    statement: str
    ids: str
    releases: dict[str, float]


def release_path(home: Path, label: str) -> Path:
    """The file of a label in a party's home."""
    return home / "releases" / f"{label.replace('%', '%25').replace('/', '%2F')}.json"


def release_once(
    path: Path, scheme: LabelScheme, ids: Sequence[str], labels: Sequence[Label], ids_as: str, most: int = 1
) -> Array:
    """The release float64 (N,) of every row: the kept one for a known id, else a fresh one that is kept.

    Args:
        path: the file of this label, one for all studies and runs that use it, beside those of other labels; made when
            missing, mode 0600.
        ids: different from each other (N,), as the sponsor's table has them; labels: (N,) in the same order.
        ids_as: how ids are written. The same person under another id would get a second release, so it must not change.
        most: labels of one person that may ever be released, whose epsilons add up.

    Raises:
        SettingsError: the file is damaged, or holds releases of another scheme or for ids written in
            another way, whose cost would add to this one's; or someone's labels were released under other names.
        DataError: a label does not fit the scheme.
        EnvironmentFailure: the file cannot be written; nothing was released.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with locked(path.parent):  # two that draw for the same row, or person, would release it twice
            kept = _read(path, scheme.statement, ids_as)
            new = [i for i, entity in enumerate(ids) if entity not in kept]
            if new:
                _refuse_elsewhere(path, [ids[i] for i in new], ids_as, most)
                fresh = scheme.release([labels[i] for i in new]).tolist()
                kept |= dict(zip([ids[i] for i in new], fresh, strict=True))
                replace(path, msgspec.json.encode(_File(FORMAT, scheme.statement, ids_as, kept)) + b"\n")
    except OSError as error:
        problem = f"releases could not be kept: {error.strerror}; nothing was released"
        raise EnvironmentFailure(f"{path}: {problem}") from error
    return np.array([kept[entity] for entity in ids], dtype=np.float64)


def check_releases(path: Path, scheme: LabelScheme, ids: Sequence[str], ids_as: str, most: int = 1) -> None:
    """Whether `release_once` will be able to release these people's labels; draws and writes nothing.

    Raises:
        SettingsError: as `release_once`.
    """
    kept = _read(path, scheme.statement, ids_as)
    _refuse_elsewhere(path, [entity for entity in ids if entity not in kept], ids_as, most)


def _refuse_elsewhere(path: Path, new: Sequence[str], ids_as: str, most: int) -> None:
    """Refuse a first release under this name to people whose labels were released under `most` or more other names."""
    wanted, found = set(new), []
    for other in sorted(path.parent.glob("*.json")):
        if other != path and wanted:
            file = _load(other)
            same = file.ids == ids_as
            shared = wanted & file.releases.keys() if same else wanted
            if shared:
                how = "" if same else f", for ids {file.ids}, which cannot be held against these"
                found.append((shared, f"as {unquote(other.stem)!r} ({other}: {file.statement}{how})"))
    counts = Counter(entity for shared, _ in found for entity in shared)
    if not found or max(counts.values()) < most:
        return
    raise SettingsError(
        "[data] label",
        f"{unquote(path.stem)!r} is a new name, and for {len(counts)} of its ids a label was released before "
        f"{' and '.join(text for _, text in found)}. If it is the same label, rename that file to {path.name}, and "
        "nothing is drawn. If it is another label of the same people, its epsilon adds to the first; to accept that: "
        f"secure-gal train FILE --beyond {LABELS}={1 + max(counts.values())}",
    )


def _read(path: Path, statement: str, ids_as: str) -> dict[str, float]:
    """The releases kept for a label, none where there are none yet; SettingsError."""
    if not path.exists():
        return {}
    file = _load(path)
    if file.statement != statement:
        raise SettingsError(
            str(path),
            f"these labels were released before by: {file.statement}. This study asks for: "
            f"{statement}. Both together cost the sum of both epsilons; to accept that, move the file "
            "away",
        )
    if file.ids != ids_as:
        raise SettingsError(
            str(path),
            f"these labels were released before for ids {file.ids}; this study has them {ids_as}, so "
            "everyone's label would be released again and both epsilons add up; set id_form, [protect] ids "
            "and [data] id as they were, or move the file away to accept that",
        )
    return file.releases


def _load(path: Path) -> _File:
    """A file of releases; SettingsError."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise SettingsError(str(path), f"is larger than {MAX_FILE_BYTES} bytes; it is not a file of releases")
        file = msgspec.json.decode(path.read_bytes(), type=_File)
    except OSError as error:
        raise SettingsError(str(path), f"cannot be read: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SettingsError(
            str(path), "is damaged; restore it from a backup: new releases would add to its epsilon"
        ) from error
    if file.format != FORMAT or len(file.releases) > MAX_ROWS:
        raise SettingsError(str(path), f"is no file of releases of format {FORMAT}")
    return file
