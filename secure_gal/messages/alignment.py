"""Steps 5 and 6: which rows take part, in the clear or by private set intersection."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import msgspec
import numpy as np
import numpy.typing as npt

from secure_gal.messages.fields import MASKED, FieldSpec


@dataclass(frozen=True, slots=True)
class Ids:
    """Step 5, assistor to sponsor: the ids of its rows, in its own order (`ids = "clear"`)."""

    KIND: ClassVar[str] = "ids"
    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (
        FieldSpec("ids", "clear", "json", json_type=tuple[str, ...], many_ids=True),
    )
    ids: tuple[str, ...] = field(repr=False)
    round: int = 0


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which private alignment a message belongs to.

    `batch` is 0 for the learning stage, else a prediction batch. `attempt` counts the assistor's fresh scalars over all
    of them; 0 where one is asked for.
    """

    batch: int
    attempt: int


IN_THE_CLEAR = Step(0, 0)
"""The step of rows that were aligned in the clear."""


@dataclass(frozen=True, slots=True)
class Realign:
    """Step 5a (`ids = "psi"`), sponsor to assistor: begin a private alignment, or begin it anew.

    Assistor to sponsor: it was restarted in the middle of this one, whose scalar is gone, and asks to begin it anew.
    """

    KIND: ClassVar[str] = "realign"
    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (FieldSpec("step", "public", "json", json_type=Step),)
    step: Step
    round: int = 0


@dataclass(frozen=True, slots=True)
class MaskedIds:
    """Step 5b, assistor to sponsor: its ids masked by its scalar, in a secret order; uint8 (N_m, 32)."""

    KIND: ClassVar[str] = "masked-ids"
    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (
        FieldSpec("points", "psi", "|u1", 2, bounds=MASKED),
        FieldSpec("step", "public", "json", json_type=Step),
    )
    points: npt.NDArray[np.uint8] = field(repr=False)
    step: Step
    round: int = 0


@dataclass(frozen=True, slots=True)
class MaskedQuery:
    """Step 5c, sponsor to assistor: the sponsor's ids masked by its scalar, in a secret order; uint8 (N_1, 32)."""

    KIND: ClassVar[str] = "masked-query"
    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (
        FieldSpec("points", "psi", "|u1", 2, bounds=MASKED),
        FieldSpec("step", "public", "json", json_type=Step),
    )
    points: npt.NDArray[np.uint8] = field(repr=False)
    step: Step
    round: int = 0


@dataclass(frozen=True, slots=True)
class Tags:
    """Step 5d, assistor to sponsor: short tags of the doubly masked query, in its order; uint8 (N_1, b)."""

    KIND: ClassVar[str] = "tags"
    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (
        FieldSpec("tags", "psi", "|u1", 2, bounds=MASKED),
        FieldSpec("step", "public", "json", json_type=Step),
    )
    tags: npt.NDArray[np.uint8] = field(repr=False)
    step: Step
    round: int = 0


class Shape(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Number of outputs K of every residual in this run."""

    outputs: int


@dataclass(frozen=True, slots=True)
class Rows:
    """Step 6, sponsor to assistor: positions (N,) in the id list it sent (masked or not), in the study's row order.

    `train` (N,) is 1 for training rows and 0 for validation rows; it was drawn without looking at labels.
    """

    KIND: ClassVar[str] = "rows"
    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (
        FieldSpec("positions", "clear", "<u4", 1),
        FieldSpec("train", "public", "|u1", 1),
        FieldSpec("shape", "public", "json", json_type=Shape),
        FieldSpec("step", "public", "json", json_type=Step),
    )
    positions: npt.NDArray[np.uint32] = field(repr=False)
    train: npt.NDArray[np.uint8] = field(repr=False)
    shape: Shape
    step: Step = IN_THE_CLEAR
    round: int = 0
