"""One party's own file: its data, its learner, its port; nobody else sees it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

LocalLoss = Literal["l1", "l1.5", "l2", "l4"]
"""Of a party's own fits, and of the sponsor's weights."""


class LearnerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[learner]`: the party's own local model; nobody else sees it."""

    kind: str = "linear"
    loss: LocalLoss | None = None
    device: str = "auto"
    features: str | tuple[str, ...] = ("standardized",)
    """For `linear`: one feature map of `secure_gal.features`, or a union of several."""
    fresh_features: bool = False
    """For `linear` on random maps: every round draws its map anew (`secure_gal.features.fresh`)."""
    folds: int | None = None
    """In cross-fitted rounds: models a round, each of which has not seen its fold of the rows; None: the learner's
    default. Learners with a way of their own (leave-one-out, out of bag) need none."""
    options: dict[str, float | int | str | bool] = {}

    @property
    def maps(self) -> tuple[str, ...]:
        """`features` as a tuple, whether the file gives one name or a list."""
        return (self.features,) if isinstance(self.features, str) else tuple(self.features)


class DataSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[data]`: where the party's table lies and which columns are not features."""

    path: Path
    id: str | tuple[str, ...]
    label: str | None = None
    categorical: tuple[str, ...] = ()


class AuditSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[audit]`: `archive` keeps every payload, encrypted at rest under a key of the party's own."""

    archive: bool = False


class PartySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One party's private file; paths are absolute after loading."""

    study: Path
    party: str
    home: Path
    run_dir: Path
    data: DataSettings
    bind: str | None = None
    address: str | None = None
    proxy: str | None = None
    max_rows: int | None = None
    learner: LearnerSettings = LearnerSettings()
    audit: AuditSettings = AuditSettings()
