"""Steps 7 to 11 with residuals and fitted values that their receiver can read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from secure_gal.messages.fields import FieldSpec


class Ending(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why the learning stage ended: `finished`, `stopped` by a person, or `failed`; no detail goes to peers."""

    reason: Literal["finished", "stopped", "failed"]


@dataclass(frozen=True, slots=True)
class Residual:
    """Step 7, sponsor to assistor: the pseudo-residual r^t of the training rows, float32 (N_train, K)."""

    KIND: ClassVar[str] = "residual"
    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (FieldSpec("values", "clear", "<f4", 2),)
    values: npt.NDArray[np.float32] = field(repr=False)
    round: int


@dataclass(frozen=True, slots=True)
class PrivatisedResidual(Residual):
    """Step 7 under `residuals = "dp"` or `"ip"`: a residual that saw released labels only."""

    KIND: ClassVar[str] = "privatised-residual"
    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (FieldSpec("values", "privatised", "<f4", 2),)


@dataclass(frozen=True, slots=True)
class Fitted:
    """Step 8, assistor to sponsor: fitted values f_m^t of all aligned rows, float32 (N, K)."""

    KIND: ClassVar[str] = "fitted"
    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (FieldSpec("values", "clear", "<f4", 2),)
    values: npt.NDArray[np.float32] = field(repr=False)
    round: int


@dataclass(frozen=True, slots=True)
class NoisedFitted(Fitted):
    """Step 8 under `predictions = "noise"`: clipped fitted values with Gaussian noise."""

    KIND: ClassVar[str] = "noised-fitted"
    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (FieldSpec("values", "noised", "<f4", 2),)


@dataclass(frozen=True, slots=True)
class Finish:
    """Step 10, sponsor to assistor: the learning stage is over.

    `coefficients` float64 (T_kept,) are eta^t * w_m^t of the kept rounds for this assistor alone; with them it
    answers a prediction with one collapsed value a row (clear studies only).
    """

    KIND: ClassVar[str] = "finish"
    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (
        FieldSpec("coefficients", "clear", "<f8", 1),
        FieldSpec("ending", "public", "json", json_type=Ending),
    )
    coefficients: npt.NDArray[np.float64] = field(repr=False)
    ending: Ending
    round: int = 0


@dataclass(frozen=True, slots=True)
class Finished:
    """Step 11, assistor to sponsor: the end of the learning stage is on this party's disk."""

    KIND: ClassVar[str] = "finished"
    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (FieldSpec("ending", "public", "json", json_type=Ending),)
    ending: Ending
    round: int = 0
