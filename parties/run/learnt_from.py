"""What a run learns from, remembered as keyed digests: a table that changed is noticed, and what changed can be said.

Column names and what they hold are kept as they are, and beside them digests of each column, each id and each label
under a secret of this run directory, a label's together with its id. Without the secret they tell nothing, not even
which labels are equal.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Sequence

import msgspec
import numpy as np
import polars as pl

from parties.run.session import Session
from parties.run.store import RunStore
from secure_gal.data.arrays import SERIES, ArrayRows
from secure_gal.data.table import Table
from secure_gal.errors import SettingsError
from secure_gal.settings.classes import Label

ROW_BYTES = 8
"""Bytes kept an id and a label; two of a million rows collide with a chance of 3e-8."""
MOST_NAMES = 20
"""Names of columns that a message lists."""
NOTHING = "nothing"
"""What a column without any value holds."""
META, SECRET = "learnt-from", "learnt-from-secret"
PLACE = frozenset({"device", "precision", "compile", "cuda_graph", "deterministic"})
"""Where and how a learner computes may change under a run."""


class LearntFrom(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Settings, columns and rows that a run began with.

    Attributes:
        settings: of `[learner]` and `[data]`, in words.
        columns: name -> what it holds, in the table's order.
        values: name -> digest (hex) of its values in row order.
        ids: ROW_BYTES a row, in row order.
        labels: ROW_BYTES a row; empty where there are none.
    """

    settings: dict[str, str]
    columns: dict[str, str]
    values: dict[str, str]
    ids: bytes = b""
    labels: bytes = b""

    @property
    def rows(self) -> dict[bytes, bytes]:
        """Digest of an id -> digest of its label, or nothing; in row order."""
        labels = _cut(self.labels) or [b""] * (len(self.ids) // ROW_BYTES)
        return dict(zip(_cut(self.ids), labels, strict=True))


def read(text: str) -> LearntFrom:
    """What was kept."""
    return msgspec.json.decode(text, type=LearntFrom)


def remember_or_refuse(session: Session, store: RunStore, table: Table) -> None:
    """Before a run has begun, remember this table; from then on, it must be the one that was remembered.

    Raises:
        SettingsError: it is another one; says what changed and how to begin anew.
    """
    if not store.begun:
        if not store.meta(SECRET):
            store.set_meta(SECRET, secrets.token_hex(32))
        store.set_meta(META, _write(_look(session, store, table)))
        return
    if what := changes(session, store, table):
        raise SettingsError(
            str(table.path),
            f"is not what this run began with: {what}. Restore it as it was, and the same "
            f"command goes on; or begin anew: {begin_anew(session)}",
        )


def refuse_schema(session: Session, store: RunStore, table: Table) -> list[str]:
    """Predictions are made from the table as it is, but need the columns that were learnt from.

    Returns:
        What a person should know, in words.

    Raises:
        SettingsError: a column is missing, or holds something else.
    """
    before, now = read(store.meta(META)).columns, columns_of(table)
    lost = _schema(before, {name: held for name, held in now.items() if name in before})
    if lost:
        raise SettingsError(
            str(table.path),
            f"has changed since it was learnt from: {'; '.join(lost)}. Its rows and values may "
            "change, but predictions need the columns that were learnt from: restore them",
        )
    new = [name for name in now if name not in before]
    return (
        [f"{table.path.name}: {_names('column added', new)}; predictions do not use what was not learnt from"]
        if new
        else []
    )


def begin_anew(session: Session) -> str:
    """What to do to learn from a table as it is now."""
    return (
        f"with an empty run_dir at every party (here: move {session.party.run_dir} away), the same commands learn "
        f"from the tables as they are"
    )


def changes(session: Session, store: RunStore, table: Table) -> str:
    """What is another than was remembered, in words; empty if nothing is."""
    before, now = read(store.meta(META)), _look(session, store, table)
    if _write(now) == _write(before):  # in the same order, too
        return ""
    names = before.settings | now.settings
    pairs = {name: (before.settings.get(name, "not set"), now.settings.get(name, "not set")) for name in names}
    said = [f"{name} was {was}, and is {is_}" for name, (was, is_) in pairs.items() if was != is_]
    said += [*_schema(before.columns, now.columns), *_rows(before, now)]
    if before.ids == now.ids:
        same = [name for name in before.values if not _unlike(before.columns[name], now.columns.get(name, ""))]
        other = [name for name in same if before.values[name] != now.values[name]]
        said += [_names("values changed in column", other)] if other else []
    return "; ".join(said)


def _schema(before: dict[str, str], now: dict[str, str]) -> list[str]:
    added = [name for name in now if name not in before]
    removed = [name for name in before if name not in now]
    said = [_names("column added", added)] if added else []
    said += [_names("column removed", removed)] if removed else []
    said += [
        f"column {name} held {held} and holds {now[name]}"
        for name, held in before.items()
        if name in now and _unlike(held, now[name])
    ]
    if before.keys() == now.keys() and list(before) != list(now):
        said.append("the same columns in another order")
    return said


def _unlike(before: str, now: str) -> bool:
    """Whether a column holds something else; one without any value fits everything."""
    return before != now and NOTHING not in (before, now)


def _rows(before: LearntFrom, now: LearntFrom) -> list[str]:
    if (before.ids, before.labels) == (now.ids, now.labels):
        return []
    was, is_ = before.rows, now.rows
    counts = {"added": len(is_.keys() - was.keys()), "removed": len(was.keys() - is_.keys())}
    said = [", ".join(f"{_count(n)} {how}" for how, n in counts.items() if n)] if any(counts.values()) else []
    if not said and before.ids != now.ids:
        said.append("the same rows in another order")
    other = sum(was[row] != is_[row] for row in was.keys() & is_.keys())
    return said + ([f"the label of {_count(other)} changed"] if other else [])


def _count(rows: int) -> str:
    return "1 row" if rows == 1 else f"{rows:,} rows"


def _names(what: str, names: Sequence[str]) -> str:
    """`column added: x`, `columns added: x, y`."""
    several = what.replace("column", "columns") if len(names) > 1 else what
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    colon = "" if what.endswith("column") else ":"
    return f"{several}{colon} {', '.join(names[:MOST_NAMES])}{more}"


def _look(session: Session, store: RunStore, table: Table) -> LearntFrom:
    digest = _Digest(bytes.fromhex(store.meta(SECRET)))
    labels = b""
    if table.labels is not None:
        labels = b"".join(digest.label(e, y) for e, y in zip(table.ids, table.labels, strict=True))
    values = {name: digest.column(name, column) for name, column in _columns(table).items()}
    return LearntFrom(_settings(session), columns_of(table), values, b"".join(map(digest.id, table.ids)), labels)


def columns_of(table: Table) -> dict[str, str]:
    """What the feature columns hold, as an encoder sees them: numbers, text, or nothing; of arrays, their shape."""
    return {name: _held(column) for name, column in _columns(table).items()}


def _columns(table: Table) -> dict[str, pl.Series | ArrayRows]:
    if isinstance(table.frame, ArrayRows):
        return {"x": table.frame}
    return {name: table.frame[name] for name in table.frame.columns}


def _held(column: pl.Series | ArrayRows) -> str:
    if isinstance(column, ArrayRows):
        series = column.ndim == SERIES
        return (
            f"series of {column.shape[-1]} columns" if series else f"images of {' x '.join(map(str, column.shape[1:]))}"
        )
    if column.null_count() == len(column):
        return NOTHING
    return "numbers" if column.dtype.is_numeric() or column.dtype == pl.Boolean else "text"


def _settings(session: Session) -> dict[str, str]:
    learner, data = session.party.learner, session.party.data
    words = {
        "[learner] kind": learner.kind,
        "[learner] loss": learner.loss or "not set",
        "[learner] features": ", ".join(learner.maps),
        "[learner] fresh_features": str(learner.fresh_features),
        "[data] id": data.id if isinstance(data.id, str) else ", ".join(data.id),
        "[data] label": data.label or "not set",
        "[data] categorical": ", ".join(data.categorical),
    }
    options = {f"[learner.options] {name}": str(value) for name, value in sorted(learner.options.items())}
    return words | {name: value for name, value in options.items() if name.split()[-1] not in PLACE}


class _Digest:
    """Digests under the secret of a run directory (BLAKE2b with a key, RFC 7693)."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._begun = {what: self._hash(what, ROW_BYTES, b"") for what in (b"id", b"label")}

    def id(self, entity: str) -> bytes:
        return self._row(b"id", entity.encode())

    def label(self, entity: str, label: Label) -> bytes:
        """Equal labels of different rows look different."""
        written = repr(float(label)) if isinstance(label, int | float) else str(label)
        raw = entity.encode()
        return self._row(b"label", len(raw).to_bytes(8, "little") + raw + written.encode())

    def column(self, name: str, column: pl.Series | ArrayRows) -> str:
        hash_ = self._hash(b"column", 16, name.encode())
        for block in _blocks(column):
            hash_.update(block)
        return hash_.hexdigest()

    def _row(self, what: bytes, data: bytes) -> bytes:
        """Of one row: a copy spares the compression of the key, which each of them would begin with."""
        hash_ = self._begun[what].copy()
        hash_.update(data)
        return hash_.digest()

    def _hash(self, what: bytes, size: int, data: bytes) -> hashlib.blake2b:
        return hashlib.blake2b(data, digest_size=size, key=self._secret, person=what)


def _blocks(column: pl.Series | ArrayRows) -> Iterable[bytes]:
    """A column's values as bytes that do not depend on how a file wrote them."""
    if isinstance(column, ArrayRows):
        yield from (block.tobytes() for block in column.blocks())
        return
    if column.dtype.is_numeric() or column.dtype == pl.Boolean:
        yield np.packbits(column.is_null().to_numpy()).tobytes()
        yield column.cast(pl.Float64).fill_null(0.0).to_numpy().astype("<f8").tobytes()
        return
    texts = [None if value is None else str(value).encode() for value in column.to_list()]
    yield np.array([-1 if text is None else len(text) for text in texts], dtype="<i8").tobytes()
    yield b"".join(text for text in texts if text is not None)


def _cut(raw: bytes) -> list[bytes]:
    return [raw[i : i + ROW_BYTES] for i in range(0, len(raw), ROW_BYTES)]


def _write(learnt: LearntFrom) -> str:
    return msgspec.json.encode(learnt).decode()
