"""Steps 7 to 11 with residuals and fitted values that their receiver can read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from secure_gal.messages.fields import FieldSpec
from secure_gal.messages.kinds import DOWN, UP, Message, message


class Ending(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why the learning stage ended: `finished`, `stopped` by a person, or `failed`; no detail goes to peers."""

    reason: Literal["finished", "stopped", "failed"]


@message("residual", step="7", phase="Assistance rounds", route=DOWN)
@dataclass(frozen=True, slots=True)
class Residual(Message):
    """r^t of the training rows, float32 (N_train, K).

    `withheld` is the share of a row's own residual that leave-one-out values of this round leave out, 0.2 to 1; 1 in
    round 1.
    """

    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (
        FieldSpec("values", "clear", "<f4", 2),
        FieldSpec("withheld", "clear", "json", json_type=float),
    )
    values: npt.NDArray[np.float32] = field(repr=False)
    round: int
    withheld: float = 1.0


@message("privatised-residual", step="7", phase="Assistance rounds", route=DOWN, setting='residuals = "dp" or "ip"')
@dataclass(frozen=True, slots=True)
class PrivatisedResidual(Residual):
    """A residual that saw released labels only; replaces `residual`."""

    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (
        FieldSpec("values", "privatised", "<f4", 2),
        FieldSpec("withheld", "privatised", "json", json_type=float),
    )


@message("fitted", step="8", phase="Assistance rounds", route=UP)
@dataclass(frozen=True, slots=True)
class Fitted(Message):
    """f_m^t of all rows, float32 (N, K)."""

    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (FieldSpec("values", "clear", "<f4", 2),)
    values: npt.NDArray[np.float32] = field(repr=False)
    round: int


@message("noised-fitted", step="8", phase="Assistance rounds", route=UP, setting='predictions = "noise"')
@dataclass(frozen=True, slots=True)
class NoisedFitted(Fitted):
    """Clipped fitted values with Gaussian noise; replaces `fitted`."""

    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (FieldSpec("values", "noised", "<f4", 2),)


@message("finish", step="10", phase="End of learning", route=DOWN)
@dataclass(frozen=True, slots=True)
class Finish(Message):
    """eta^t w_m^t of the kept rounds for this assistor alone, float64 (T_kept,); the learning stage is over.

    `coefficients` float64 (T_kept,) are eta^t * w_m^t of the kept rounds for this assistor alone; with them it
    answers a prediction with one collapsed value a row (clear studies only).
    """

    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (
        FieldSpec("coefficients", "clear", "<f8", 1),
        FieldSpec("ending", "public", "json", json_type=Ending),
    )
    coefficients: npt.NDArray[np.float64] = field(repr=False)
    ending: Ending
    round: int = 0


@message("finished", step="11", phase="End of learning", route=UP)
@dataclass(frozen=True, slots=True)
class Finished(Message):
    """The end of the learning stage is on its disk."""

    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (FieldSpec("ending", "public", "json", json_type=Ending),)
    ending: Ending
    round: int = 0
