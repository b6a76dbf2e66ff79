"""Steps 5 and 6: which rows take part, in the clear or by private set intersection."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import msgspec
import numpy as np
import numpy.typing as npt

from secure_gal.messages.fields import MASKED, FieldSpec
from secure_gal.messages.kinds import DOWN, UP, Message, message


@message("ids", step="5", phase="Alignment of rows", route=UP)
@dataclass(frozen=True, slots=True)
class Ids(Message):
    """The ids of its rows, in its own order."""

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


@message("realign", step="5a", phase="Alignment of rows", route=DOWN, back=True, setting='ids = "psi"')
@dataclass(frozen=True, slots=True)
class Realign(Message):
    """Begin batch b (0: the learning stage), or begin it anew.

    Assistor to sponsor: it was restarted in the middle of this one, whose scalar is gone, and asks to begin it anew.
    """

    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (FieldSpec("step", "public", "json", json_type=Step),)
    step: Step
    round: int = 0


@message("masked-ids", step="5b", phase="Alignment of rows", route=UP, setting='ids = "psi"')
@dataclass(frozen=True, slots=True)
class MaskedIds(Message):
    """`a H(y)` of all its ids, in a secret order; uint8 (N_m, 32)."""

    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (
        FieldSpec("points", "psi", "|u1", 2, bounds=MASKED),
        FieldSpec("step", "public", "json", json_type=Step),
    )
    points: npt.NDArray[np.uint8] = field(repr=False)
    step: Step
    round: int = 0


@message("masked-query", step="5c", phase="Alignment of rows", route=DOWN, setting='ids = "psi"')
@dataclass(frozen=True, slots=True)
class MaskedQuery(Message):
    """`s H(x)` of the sponsor's ids, in a secret order; uint8 (N_1, 32)."""

    FIELDS: ClassVar[tuple[FieldSpec, ...]] = (
        FieldSpec("points", "psi", "|u1", 2, bounds=MASKED),
        FieldSpec("step", "public", "json", json_type=Step),
    )
    points: npt.NDArray[np.uint8] = field(repr=False)
    step: Step
    round: int = 0


@message("tags", step="5d", phase="Alignment of rows", route=UP, setting='ids = "psi"')
@dataclass(frozen=True, slots=True)
class Tags(Message):
    """Truncated hashes of `a s H(x)`, in the order of 5c, 9 to 11 bytes each; uint8 (N_1, b)."""

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


@message("rows", step="6", phase="Alignment of rows", route=DOWN)
@dataclass(frozen=True, slots=True)
class Rows(Message):
    """Positions (N,) in the id list of step 5 or 5b (and of which attempt), in the study's row order; training mask; K,
    which must be the study's.

    `train` (N,) is 1 for training rows and 0 for validation rows; it was drawn without looking at labels.
    """

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


@message("no-rows", step="6", phase="Alignment of rows", route=DOWN)
@dataclass(frozen=True, slots=True)
class NoRows(Message):
    """Instead of `rows`, to every assistor: alignment left nothing to learn from, and the study is over. No content.

    It says neither which party has nothing in common nor how much any other has, and is the same for all: an assistor
    learns that there are no rows, which without it the missing step 6 would tell.
    """

    FIELDS: ClassVar[tuple[FieldSpec, ...]] = ()
    round: int = 0
