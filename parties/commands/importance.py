"""`secure-gal importance`: how much this party's part of predictions depends on each of its columns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from parties.run.learnt_from import changes
from parties.run.session import Session, open_session, open_store
from parties.run.store import RunStore
from secure_gal.data.arrays import ArrayRows
from secure_gal.errors import DataError, SettingsError
from secure_gal.holdings.assistor import AssistorData
from secure_gal.holdings.importance import importance
from secure_gal.holdings.sponsor import SponsorData
from secure_gal.learners import storage
from secure_gal.state import State


def measure(file: Path) -> dict[str, float]:
    """By column of this party's table, over the study's rows.

    Raises:
        SettingsError: nothing is learnt yet, or this party cannot read its own part.
        DataError: it holds arrays, or is not the table that was learnt from any more.
    """
    session = open_session(file)
    store = open_store(session)
    try:
        return _measured(session, store, State(store.state()))
    finally:
        store.close()


def _measured(session: Session, store: RunStore, state: State) -> dict[str, float]:
    sponsor, path = session.party.party == session.study.sponsor, str(session.party.data.path)
    coefficients = _coefficients(session, state, sponsor)
    kind = SponsorData if sponsor else AssistorData
    model = kind(session.party, session.study, session.folder, lambda text: None)
    whole = model.table
    if isinstance(whole.frame, ArrayRows):
        raise DataError(path, "holds arrays, which have no columns to permute")
    if what := changes(session, store, whole):
        raise DataError(path, f"is not what was learnt from: {what}; restore it")
    rows = state.array("rows" if sponsor else "positions").tolist()
    ids, encoder = tuple(whole.ids[i] for i in rows), storage.load(state.raw("encoder"), model.trusted)
    encoder = encoder[0] if sponsor else encoder
    models = [state.raw(f"model/{t:04d}") for t in range(1, len(coefficients) + 1)]

    def part(frame: pl.DataFrame) -> npt.NDArray[np.float32]:
        table = replace(whole, ids=list(ids), frame=frame)
        return model.part(table, ids, encoder, models, coefficients, session.study.k)[1]

    return importance(part, whole.frame[rows], session.study.seed)


def _coefficients(session: Session, state: State, sponsor: bool) -> npt.NDArray[np.float64]:
    if session.study.protect.encrypted and not sponsor:
        raise SettingsError(
            "[protect] residuals",
            'with "ckks" this party\'s model is a ciphertext, and so is its part of a prediction: only the sponsor can '
            "read how it depends on columns, and it does not have them",
        )
    found = state.rows.get("own-coefficients" if sponsor else "coefficients")
    if not isinstance(found, np.ndarray):
        raise SettingsError("run_dir", f"{session.party.run_dir} holds no finished learning stage; learn first")
    if not found.any():
        raise SettingsError("run_dir", "nothing of this party is in the model: it had no weight in any kept round")
    return found


def as_text(found: dict[str, float]) -> str:
    """A table, the largest first."""
    width = max(map(len, found), default=0)
    lines = [f"{name:<{width}}  {value:.3f}" for name, value in found.items()]
    return "\n".join(
        [
            "How much this party's part of predictions changes when a column is permuted (0: not at all, 1: it decides",
            "alone). It says what the part depends on, not how much better predictions are; nothing of it is sent.",
            *lines,
        ]
    )
