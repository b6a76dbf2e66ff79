"""What a study in this process has come to: every party's own state, as its run directory would hold it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from secure_gal.data.schema import Schema
from secure_gal.holdings.budget import Kind
from secure_gal.settings.party import LearnerSettings
from secure_gal.settings.study import Study
from secure_gal.state import Value


@dataclass(frozen=True, slots=True)
class PartyFitted:
    """One party's part.

    Attributes:
        learner: as its file would name it.
        schema: how its tables are read; None for arrays.
        inner: the shape of one row.
        state: rows by key.
        spent: what its data has given away.
    """

    name: str
    learner: LearnerSettings
    schema: Schema | None = field(repr=False)
    inner: tuple[int, ...]
    state: Mapping[str, Value] = field(repr=False)
    spent: Mapping[Kind, int]


@dataclass(frozen=True, slots=True)
class Fitted:
    """A finished study.

    Attributes:
        parties: the sponsor first.
        key: the sponsor's CKKS key and the account of what it has decrypted, by file name; empty where nothing is
            encrypted.
    """

    study: Study
    parties: tuple[PartyFitted, ...]
    key: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    @property
    def sponsor(self) -> PartyFitted:
        """Who has the labels."""
        return self.parties[0]
