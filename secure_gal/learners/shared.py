"""One map for all rounds and a new model a round on what it gives: label-free features, or a frozen extractor.

Round 1 prepares the map; later rounds only use it. It is saved once, with round 1's model: the others name it by its
digest, and get it from there when they are loaded (`linked`). A run that dies in between reads it from its own file.
"""

from __future__ import annotations

import functools
import hashlib
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt

from secure_gal.errors import EnvironmentFailure, SettingsError, StateError
from secure_gal.learners import storage
from secure_gal.learners.base import NUMPY, EncodedRows, Learner, Model, Placement, placement_of
from secure_gal.learners.cross_fit import FOLDS, NETWORK_FOLDS, CrossFit, Folds, Residual, cross_fit, prepared_by_fold
from secure_gal.learners.fold_maps import FoldMaps, Prepared, fold_heads
from secure_gal.learners.fold_workers import Timing

Array = npt.NDArray[np.float64]


class Shared:
    """What was prepared, and its last result: in every round the same rows are asked for."""

    def __init__(self, prepared: Prepared) -> None:
        self.prepared = prepared
        self._last: tuple[EncodedRows, Array] | None = None

    def __getstate__(self) -> dict[str, object]:
        return {"prepared": self.prepared, "digest": self.digest, "_last": None}  # what is saved holds no rows

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 over what was prepared, as it was first saved."""
        return hashlib.sha256(storage.dump(self.prepared)).hexdigest()

    def transform(self, x: EncodedRows) -> Array:
        """x (n, ...) to what the model of a round takes."""
        if self._last is None or self._last[0] is not x:
            self._last = (x, self.prepared.transform(x))
        return self._last[1]


class SharedModel:
    """A round's model on the map's results; saved with the map in round 1, else with the map's digest alone."""

    def __init__(self, shared: Shared, inner: Model, carries: bool) -> None:
        self._shared: Shared | None = shared
        self._inner, self._carries = inner, carries

    def __getstate__(self) -> dict[str, object]:
        if self._shared is not None:
            self._digest = self._shared.digest
        return self.__dict__ if self._carries else self.__dict__ | {"_shared": None}

    def predict(self, x: EncodedRows) -> Array:
        """x (n, ...) to (n, K)."""
        if self._shared is None:
            raise StateError("a round's model was used without the map that round 1's was saved with")
        return self._inner.predict(self._shared.transform(x))

    def link(self, first: SharedModel) -> None:
        """Use the map that was loaded with round 1's model.

        Raises:
            SettingsError: it is another one.
        """
        if first._digest != self._digest:
            raise SettingsError(
                "run_dir",
                "the saved heads belong to another feature map or extractor than round 1's; "
                "train anew in an empty run_dir",
            )
        self._shared = first._shared


def linked(saved: Sequence[bytes], trusted: tuple[str, ...] = ()) -> list[Model]:
    """A party's models of all rounds in order, from their saved form, each with the map that the first one carries.

    Args:
        trusted: as `storage.load` takes it.

    Raises:
        SettingsError: another format version, or a head of another map.
    """
    models: list[Model] = [storage.load(raw, trusted) for raw in saved]
    for model in models:
        if isinstance(model, SharedModel) and isinstance(models[0], SharedModel):
            model.link(models[0])
    return models


class SharedLearner:
    """Fits `inner` on what `prepare` made of the training rows in round 1.

    Args:
        prepare: from training rows x, round 1's residual and seed; a label-free map uses no more of the last two
            than K.
        inner: `HeadLearner` or, for other local losses than l2, `PowerHeadLearner`, on a ridge basis.
        sees_labels: whether what is prepared has seen the residual, as an extractor has: then a cross-fit needs one
            for each fold, with a head of its own.
    """

    def __init__(
        self,
        prepare: Callable[[EncodedRows, Residual, int], Prepared],
        inner: Learner,
        sees_labels: bool = False,
    ) -> None:
        self._prepare, self._inner, self._sees_labels = prepare, inner, sees_labels
        self.default_folds = NETWORK_FOLDS if sees_labels else FOLDS
        self._for: EncodedRows | None = None
        self._train: Array = np.zeros((0, 0))
        self._shared: Shared | None = None
        self.timing = Timing() if sees_labels else None
        self.seconds = 0.0
        """Seconds that this process took to prepare the map."""

    @property
    def description(self) -> str:
        """In words what was prepared; empty before the first fit."""
        return "" if self._shared is None else self._shared.prepared.description

    @property
    def placement(self) -> Placement:
        """Where the map is computed, and how exactly; known after the first fit."""
        return NUMPY if self._shared is None else placement_of(self._shared.prepared)

    def fit(self, x: EncodedRows, residual: Residual, seed: int) -> SharedModel:
        """Fit x (n, ...) to the pseudo-residual (n, K); other rows than the last fit's get a map of their own."""
        shared, first = self._ready(x, lambda: self._prepare(x, residual, seed))
        return SharedModel(shared, self._inner.fit(self._train, residual, seed), carries=first)

    def cross_fit(self, x: EncodedRows, residual: Residual, seed: int, folds: Folds) -> CrossFit:
        """The same, and values of the training rows from fits that have not seen them."""
        if self._sees_labels:
            shared, first = self._ready(x, lambda: FoldMaps(self._by_fold(x, residual, seed, folds)))
            maps = cast(FoldMaps, shared.prepared)
            found = fold_heads(self._train, maps.columns, residual, folds)
        else:
            shared, first = self._ready(x, lambda: self._prepare(x, residual, seed))
            found = cross_fit(self._inner, self._train, residual, seed, folds)
        return found._replace(model=SharedModel(shared, found.model, carries=first))

    def _by_fold(self, x: EncodedRows, residual: Residual, seed: int, folds: Folds) -> tuple[Prepared, ...]:
        return prepared_by_fold(self._prepare, x, residual, seed, folds, self.timing)

    def _ready(self, x: EncodedRows, prepare: Callable[[], Prepared]) -> tuple[Shared, bool]:
        """The map of these rows, whose result is in `_train` then, and whether it was prepared just now."""
        first = self._shared is None or (self._for is not None and self._for is not x)
        if first:
            began = time.perf_counter()
            self._shared = Shared(prepare())
            self.seconds = time.perf_counter() - began
        assert self._shared is not None  # noqa: S101
        if self._for is not x:
            self._for, self._train = x, self._shared.transform(x)
        return self._shared, first

    def save(self, path: Path) -> None:
        """Write the map for a run that dies and goes on; only this party ever reads it (see `storage`).

        Raises:
            EnvironmentFailure: the disk is full or failing.
        """
        part = path.with_suffix(".part")
        try:
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(storage.dump(self._shared))
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, path)
        except OSError as error:
            raise EnvironmentFailure(f"{path} could not be written: {error.strerror}") from error

    def resume(self, path: Path, trusted: tuple[str, ...] = ()) -> None:
        """Go on after round 1 with the map that `save` wrote; nothing to do where this process prepared it.

        Args:
            trusted: as `storage.load` takes it.

        Raises:
            SettingsError: the file is missing or of another version.
        """
        if self._shared is not None:
            return
        try:
            raw = path.read_bytes()
        except OSError as error:
            raise SettingsError(
                str(path),
                f"the feature map or extractor of this run cannot be read ({error.strerror}); "
                "train anew in an empty run_dir",
            ) from None
        self._shared = storage.load(raw, trusted)
