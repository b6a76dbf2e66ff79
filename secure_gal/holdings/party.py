"""A party's table or arrays, encoder and learner behind the protocol objects.

Heavy imports (polars, scikit-learn, torch) happen inside the methods that need them.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from crypto.private_files import write_new
from secure_gal.data import schema_file
from secure_gal.data.arrays import ArrayRows
from secure_gal.data.encode_arrays import ArrayEncoder
from secure_gal.data.encode_table import TableEncoder
from secure_gal.data.table import Table, read_table
from secure_gal.errors import DataError, StateError
from secure_gal.features import OWN
from secure_gal.gal.split import derive_seed
from secure_gal.holdings.in_memory import InMemory
from secure_gal.holdings.local import LARGEST_PART, LocalParty, collapse
from secure_gal.holdings.reading import check_same, keep, known_schema
from secure_gal.learners import check_shape, make_learner, storage
from secure_gal.learners.base import EncodedRows, Learner, placement_of
from secure_gal.learners.cross_fit import folds_for
from secure_gal.learners.shared import SharedLearner, linked
from secure_gal.settings.party import LearnerSettings, PartySettings
from secure_gal.settings.study import Study

if TYPE_CHECKING:
    import polars as pl

RowEncoder = TableEncoder | ArrayEncoder


class PartyHolding:
    """What both roles share: rows encoded in study order, and one local model a round.

    Args:
        folder: the party file's, where `python:` modules are looked up first.
        warn: is given what a person should know.
        memory: rows and learner in memory; None for a party that has files. Nothing is then kept beside its state.
    """

    def __init__(
        self,
        party: PartySettings,
        study: Study,
        folder: Path,
        warn: Callable[[str], None],
        *,
        memory: InMemory | None = None,
    ) -> None:
        self.party = party
        self.study = study
        self.folder = folder
        self.warn = warn
        self._memory = memory
        self.on_read: Callable[[Table], None] = lambda table: None
        """Is given every table that is read later, before anything is computed from it."""
        self._told: set[str] = set()
        self.schema = known_schema(party) if memory is None else memory.schema
        """How every table of this party is read; None for arrays."""
        self.table = self.read()
        self._decide()
        self.ids: tuple[str, ...] = tuple(self.table.ids)
        self._local: LocalParty | None = None
        if self.fits:
            frame = self.table.frame
            check_shape(party.learner, frame.ndim if isinstance(frame, ArrayRows) else 2)
            own = None if memory is None else memory.learner
            self._learner = own or self.made(party.learner)

    def made(self, settings: LearnerSettings) -> Learner:
        """A learner of this party's by other settings than its own, or by these."""
        seed = derive_seed("features", self.study.seed, self.party.party)
        return make_learner(settings, self.folder, self.study.local_loss, seed, self.fresh_secret)

    @property
    def learner(self) -> LearnerSettings:
        """As this party's settings name it."""
        return self.party.learner

    @property
    def trusted(self) -> tuple[str, ...]:
        """Whose classes this party's saved models may name: anybody's where it learns with code of its own."""
        own = any(name.startswith(OWN) for name in (self.learner.kind, *self.learner.maps))
        return storage.EVERYTHING if own or self._memory is not None else ()

    def close(self) -> None:
        """End worker processes, where there are any; nothing more is fitted."""

    @property
    def fits(self) -> bool:
        """Whether this party has a learner of its own."""
        return self.party.learner.kind != "none"

    def fresh_secret(self) -> bytes:
        """What `fresh_features` draws from: 32 bytes in the run directory, made when first asked for."""
        if self._memory is not None:
            return self._memory.secret
        file = self.party.run_dir / "fresh.secret"
        if not file.exists():
            write_new(file, secrets.token_bytes(32), 0o600)
        return file.read_bytes()

    def current_ids(self) -> tuple[str, ...]:
        """The ids in `[data] path` as it is on disk now."""
        return tuple(self.read().ids)

    def read(self) -> Table:
        """`[data]` as it is now, read by this party's schema; what a person should know of it is said once."""
        if self._memory is not None:
            table = self._memory.read(self.schema)
        else:
            table = read_table(self.party.data, self.study.form, schema=self.schema, task=self.study.task)
        for text in table.notes:
            if text not in self._told:
                self.warn(text)
        self._told.update(table.notes)
        self.on_read(table)
        return table

    def _decide(self) -> None:
        """Of a table that is read for the first time, keep what was decided, and say what a person should know."""
        if self.table.findings is None:
            return
        self.schema = self.table.schema
        for text in self.table.findings.warnings():
            self.warn(text)
        if self.schema is not None and self.party.data.schema is not None:
            schema_file.write(self.party.data.schema, self.schema, self.party.data.where)
            self.warn(f"how the columns are read was decided and written to {self.party.data.schema}")

    def encoded(self, rows: npt.NDArray[np.int64], train: npt.NDArray[np.bool_]) -> tuple[RowEncoder, EncodedRows]:
        """An encoder fitted to the training rows, and the study's rows x encoded with it: (N, q), or ArrayRows."""
        frame = self.table.frame
        encoder: RowEncoder
        if isinstance(frame, ArrayRows):
            encoder = ArrayEncoder.fit(frame[rows[train]])
        else:
            encoder = TableEncoder.fit(frame, self.schema, rows[train])
        for text in encoder.warnings:
            self.warn(text)
        return encoder, _transform(encoder, frame, rows)[0]

    def encoded_to_learn(
        self, rows: npt.NDArray[np.int64], train: npt.NDArray[np.bool_]
    ) -> tuple[RowEncoder, EncodedRows]:
        """As `encoded`; what is learnt from is kept in the run directory."""
        found = self.encoded(rows, train)
        if self._memory is None:
            keep(self.party, self.schema, self.table.frame[rows[train].tolist()])
        return found

    def encode(self, rows: npt.NDArray[np.int64], train: npt.NDArray[np.bool_]) -> RowEncoder:
        encoder, x = self.encoded_to_learn(rows, train)
        study = self.study
        learnt, asked = int(train.sum()), self.party.learner.folds
        folds = folds_for(self._learner, asked, learnt) if study.cross_fitted else None
        self._local = LocalParty(self.party.party, x, train, self._learner, study.seed, folds, study.fixed_share)
        return encoder

    def fit_round(
        self, round_: int, residual: npt.NDArray[np.float32], withheld: float = 1.0
    ) -> tuple[bytes, npt.NDArray[np.float32]]:
        """Fit one local model: (saved model, fitted values float32 (N, K)); `withheld` as `LocalParty.fit_round`."""
        learner = self._learner
        if isinstance(learner, SharedLearner) and round_ > 1:
            learner.resume(self._shared_file, self.trusted)
        model, fitted = self.local.fit_round(round_, residual, withheld)
        if isinstance(learner, SharedLearner) and round_ == 1 and self._memory is None:
            learner.save(self._shared_file)
        return storage.dump(model), fitted

    @property
    def _shared_file(self) -> Path:
        return self.party.run_dir / "shared.model"

    @property
    def computed_with(self) -> dict[str, str]:
        """This party's learner for its own eyes: kind, device, precision and, once there is one, its feature map.

        Kept in the party's run directory; no message has a field for it.
        """
        if not self.fits:
            return {"kind": "none"}
        learner = self._computes
        where, words = placement_of(learner), getattr(learner, "description", "")
        found = {"kind": self.party.learner.kind, "device": where.device, "precision": where.precision}
        made = {"values": self._values_made} if self._values_made else {}
        return found | ({"features": words} if words else {}) | made

    @property
    def _values_made(self) -> str:
        """How values of the training rows are made, in words; empty before there are any."""
        return self._local.how if self._local is not None else ""

    @property
    def _computes(self) -> object:
        """What the placement and the features in words are asked of."""
        return self._learner

    @property
    def seconds_for_features(self) -> float:
        """Seconds that this process took to fit a feature map or to train an encoder or extractor; 0 where none."""
        return self._learner.seconds if self.fits and isinstance(self._learner, SharedLearner) else 0.0

    @property
    def local(self) -> LocalParty:
        """The party's rows and learner; only after `prepare`."""
        if self._local is None:
            raise StateError("a round was asked for before the data was prepared")
        return self._local

    def part(
        self,
        table: Table,
        ids: tuple[str, ...],
        encoder: RowEncoder | None,
        models: list[bytes],
        coefficients: npt.NDArray[np.float64],
        k: int,
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
        """(known uint8 (n,), part float32 (n, K)) of a prediction; 0 where the id is not in `table`."""
        known, rows = look_up(table, ids)
        part = np.zeros((len(ids), k), dtype=np.float32)
        if rows and len(coefficients) and encoder is not None:
            x = self.encode_new(encoder, table, rows)
            part[known == 1] = self._numbers(collapse(linked(models, self.trusted), coefficients, x))
        return known, part

    def _numbers(self, part: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """A part (n, K) with the largest one instead of none, so that a sponsor marks the row and goes without."""
        none = np.isnan(part)
        if count := int(none.any(axis=1).sum()):
            self.warn(f"{count} rows: the learner has no number for them; they count as far from all that was learnt")
        return np.where(none, np.float32(LARGEST_PART), part)

    def encode_new(self, encoder: RowEncoder, table: Table, rows: list[int]) -> EncodedRows:
        if isinstance(encoder, TableEncoder):
            check_same(encoder.schema, table.schema, self.party.data.where)
        x, unseen = _transform(encoder, table.frame, np.array(rows, dtype=np.int64))
        for column, count in unseen.items():
            self.warn(f"column {column!r}: {count} values were not seen in training; they encode as zeros")
        return x


def _transform(
    encoder: RowEncoder, frame: pl.DataFrame | ArrayRows, rows: npt.NDArray[np.int64]
) -> tuple[EncodedRows, dict[str, int]]:
    """Rows of a table as (n, q), or of arrays as ArrayRows: either is sliced, and read by `np.asarray`; DataError."""
    if isinstance(encoder, ArrayEncoder) and isinstance(frame, ArrayRows):
        return encoder.transform(frame[rows])
    if isinstance(encoder, TableEncoder) and not isinstance(frame, ArrayRows):
        return encoder.transform(frame, rows)
    held, trained = ("arrays", "a table") if isinstance(frame, ArrayRows) else ("a table", "arrays")
    raise DataError("[data] path", f"holds {held}, but the model was trained on {trained}")


def look_up(table: Table, ids: tuple[str, ...]) -> tuple[npt.NDArray[np.uint8], list[int]]:
    """(known uint8 (n,), the rows of the known ids in order)."""
    where = {entity: i for i, entity in enumerate(table.ids)}
    known = np.array([entity in where for entity in ids], dtype=np.uint8)
    return known, [where[entity] for entity in ids if entity in where]
