"""What a party without files is given instead: its rows and its learner in this process's memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from secure_gal.data.schema import Schema
from secure_gal.data.table import Table
from secure_gal.learners.base import Learner


@dataclass(frozen=True, slots=True)
class InMemory:
    """Rows and learner in this process's memory, in place of the files that a party's settings name.

    Attributes:
        read: the rows by a schema; by None they are read for the first time, and their schema is decided.
        schema: what was decided before; None where nothing was, and for arrays.
        learner: None for the one that `[learner]` names.
        secret: 32 bytes that `fresh_features` draws from.
    """

    read: Callable[[Schema | None], Table]
    schema: Schema | None = None
    learner: Learner | None = None
    secret: bytes = field(default=b"", repr=False)
