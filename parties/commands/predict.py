"""`secure-gal predict`: one batch of new ids through the assistors, to a CSV file."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl

from crypto.ckks.sets import named
from parties.commands.outputs import PREDICTIONS, check_output
from parties.commands.train import complete_results, go_online, require_finished, require_sponsor
from parties.report.results import threshold_of
from parties.report.rounds import write_atomically
from parties.run.ckks_key import open_cipher
from parties.run.cores import share_cores
from parties.run.loop import Loop, stop_at_once
from parties.run.patience import Patience
from parties.run.progress import Progress
from parties.run.session import Session, open_node, open_session, open_store
from parties.run.store import RunStore
from parties.run.traffic import Traffic
from secure_gal import events
from secure_gal.data.encode import LabelCodec
from secure_gal.data.table import Table, read_table
from secure_gal.errors import DataError, SettingsError
from secure_gal.holdings.roles import Context
from secure_gal.holdings.sponsor import SponsorData
from secure_gal.learners import storage
from secure_gal.protocol import roles
from secure_gal.protocol.agreement import psi_domain
from secure_gal.protocol.own_part import own_part
from secure_gal.protocol.prediction import Prediction
from secure_gal.state import State

BLOCK_ROWS = 1 << 16
"""Rows of the predictions file that are made as text at a time."""


def predict(party_file: Path, ids: Path, out: Path, *, json: bool = False) -> int:
    """Predict the rows of `ids` (a table, or ids alone) and write `out`; returns the exit code."""
    session = open_session(party_file)
    share_cores(session.study)
    require_sponsor(session)
    _check_paths(session, ids, out)
    store = open_store(session)
    try:
        require_finished(session, store)
        return _predict(session, store, ids, out, Progress(json))
    finally:
        store.close()


def _check_paths(session: Session, ids: Path, out: Path) -> None:
    """What can be wrong with both is found before anything is sent: an answered batch counts against a party's
    limits."""
    if not ids.is_file():
        raise SettingsError("--ids", f"{ids}: no such file; it is looked up from the current folder, {Path.cwd()}")
    check_output("--out", out, PREDICTIONS)
    if not out.parent.is_dir() or not os.access(out.parent, os.W_OK | os.X_OK):
        raise SettingsError(
            "--out", f"{out.parent} is no folder that can be written to; make it first, or name another"
        )
    for table in (ids, session.party.data.path):
        if out.is_file() and table.is_file() and out.samefile(table):
            raise SettingsError("--out", f"{out} is a table that is read; name another file")


def _predict(session: Session, store: RunStore, ids: Path, out: Path, progress: Progress) -> int:
    stop_at_once()
    state = State(store.state())
    encoder, codec = storage.load(state.raw("encoder"))
    model = SponsorData(session.party, session.study, session.folder, progress.warn)
    table = _rows(session, ids, model, progress.warn)
    wanted = tuple(table.ids)
    own, initial = own_part(state, model, table, encoder, codec.outputs)
    role = _role(session, store, state, wanted, codec.outputs)
    node, _ = open_node(session, store, role, Traffic(store))
    loop = Loop(node, progress)
    patience = Patience(session.study.patience_seconds, progress, str(session.file), f"predict --ids {ids} --out {out}")
    try:
        complete_results(session, store, progress)
        loop.start()
        _say_since_when(store, role, progress)
        if not loop.done:
            with closing(go_online(session, loop, progress)) as socket:
                loop.run(
                    lambda: loop.done,
                    lambda: patience.check(
                        role.waiting_for(), socket.attached(), at_work=loop.worker.busy or socket.active()
                    ),
                )
    finally:
        node.close()
    total, missing = role.combine(initial, own)
    places, threshold = _places(session, state, codec), threshold_of(session, store, progress)
    marks = {"missing": missing, "unusual": role.unusual()}
    write_atomically(out, to_csv(table.written, total, marks, codec, places, threshold))
    role.close()
    store.commit(role.state.take_changes(), {}, [])
    progress.show(_written(out, marks, session.study.protect.summed))
    if session.study.protect.keyed:
        progress.show(events.KeepFromAssistors())
    return 0


def _places(session: Session, state: State, codec: LabelCodec) -> int | None:
    """Decimal places that mean something where parts are decrypted: those of their error in the label's own unit."""
    if not session.study.protect.keyed:
        return None
    scales = [float(state.array(key)[0]) for key in state.keys("scale/")]
    error = named(session.study.protect.parameter_set).error * (
        max(scales) if session.study.protect.summed else sum(scales)
    )
    return max(0, math.ceil(-math.log10(error * codec.scale)))


def _say_since_when(store: RunStore, role: Prediction, progress: Progress) -> None:
    """A batch that goes on holds answers of the day on which it began."""
    if not role.resumed:
        store.set_meta("batch-began", datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"))
        return
    progress.show(events.BatchResumed(store.meta("batch-began")))


def _written(out: Path, marks: Mapping[str, list[str]], summed: bool) -> events.PredictionsWritten:
    lacking, unusual = (sum(map(bool, marks[name])) for name in ("missing", "unusual"))
    return events.PredictionsWritten(len(marks["missing"]), str(out), lacking, summed, unusual)


def _role(session: Session, store: RunStore, state: State, wanted: tuple[str, ...], outputs: int) -> Prediction:
    study, domain = session.study, None
    if study.protect.ids == "psi":

        def domain(peer: str, batch: int, attempt: int) -> bytes:
            return psi_domain(session.digest, state.text("run"), study.sponsor, peer, batch, attempt)

    context = Context(study, session.digest, session.canonical, session.identity, session.cards)
    cipher = open_cipher(session, store) if study.protect.keyed else None
    return roles.prediction(context, state, wanted, outputs, cipher, domain)


def _rows(session: Session, ids: Path, model: SponsorData, warn: Callable[[str], None]) -> Table:
    """The sponsor's rows to predict: the file's own, or looked up in `[data] path` when it holds ids alone."""
    data = session.party.data
    asked = msgspec.structs.replace(data, path=ids, source="")
    table = read_table(asked, session.study.form, schema=model.schema, labelled=False)
    for text in table.notes:
        warn(text)
    if table.frame.width or not model.fits:
        return table
    where = {entity: i for i, entity in enumerate(model.ids)}
    absent = [entity for entity in table.ids if entity not in where]
    if absent:
        raise DataError(
            str(ids),
            f"holds ids alone, and {len(absent)} of them are not in {data.where} (first: {absent[0]!r}); "
            "add the feature columns to the file",
        )
    return Table(table.ids, model.table.frame[[where[e] for e in table.ids]], None, ids, table.written)


def to_csv(
    ids: pl.DataFrame,
    f: npt.NDArray[np.float64],
    marks: Mapping[str, Sequence[str]],
    codec: LabelCodec,
    places: int | None = None,
    threshold: float = 0.5,
) -> Iterator[str]:
    """The predictions file in parts: id columns as they came, prediction, p_<class> in ascending class order, marks.

    An id column that has the name of one of the others has `id_` before it.

    Args:
        ids: n rows, the id columns as text.
        f: float64 (n, K).
        marks: by column a text a row, such as the parties `missing` in it; a column is left out where no row has any.
        places: decimal places of numbers; every digit that brings them back without.
        threshold: of two classes, the probability of the second above which `prediction` is it.
    """
    marked = {name: texts for name, texts in marks.items() if any(texts)}
    own = ["prediction", *(f"p_{c}" for c in codec.classes)]
    yield _lines([[*_told_apart(ids.columns, {*own, *marks}), *own, *marked]])
    for start in range(0, len(f), BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        columns = [column.to_list() for column in ids[rows].get_columns()]
        values, probabilities = codec.decode(f[rows], threshold), codec.probabilities(f[rows])
        if places is not None:
            probabilities = probabilities.round(places)
            values = values if codec.classes else [repr(round(float(value), places)) for value in values]
        columns += [values, *probabilities.T.tolist()]
        yield _lines(zip(*columns, *(texts[rows] for texts in marked.values()), strict=True))


def _told_apart(names: Sequence[str], taken: set[str]) -> list[str]:
    """Names of the id columns, none of which is in `taken`."""
    found = []
    for name in names:
        told = name
        while told in taken or (told != name and told in names):
            told = f"id_{told}"
        found.append(told)
    return found


def _lines(rows: Iterable[Sequence[object]]) -> str:
    """Rows as CSV."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()
