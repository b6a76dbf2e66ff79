"""The sponsor's own part of a prediction, from what it kept of the learning stage."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from secure_gal.data.table import Table
from secure_gal.holdings.party import RowEncoder
from secure_gal.holdings.sponsor import SponsorData
from secure_gal.protocol.sponsor_records import SponsorRecords
from secure_gal.state import State


def own_part(
    state: State, model: SponsorData, table: Table, encoder: RowEncoder | None, outputs: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]:
    """The sponsor's part float32 (n, K) of the table's n rows, 0 where it has no features, and F^0 (K,).

    Args:
        state: of a finished learning stage.
        encoder: of training; None where the sponsor has no features.
    """
    kept = SponsorRecords(state)
    initial = np.asarray(kept.ensemble["F0"])
    if not model.fits:
        return np.zeros((len(table.ids), outputs), dtype=np.float32), initial
    coefficients = kept.own_coefficients.get()
    models = [kept.models[t] for t in range(1, len(coefficients) + 1)]
    _, part = model.part(table, tuple(table.ids), encoder, models, coefficients, outputs)
    return part, initial
