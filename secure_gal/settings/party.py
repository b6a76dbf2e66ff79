"""One party's own file: its data, its learner, its port; nobody else sees it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from secure_gal.settings.report import ReportSettings

LocalLoss = Literal["l1", "l1.5", "l2", "l4"]
"""Of a party's own fits, and of the sponsor's weights."""


Repeated = Literal["first", "mean"]
"""What becomes of an id's rows: the first of them stands for it, or one row is made of all."""


ARRAY_SUFFIXES = (".npz", ".npy")
ROW = "#row"
"""As `[data] id`: a row's number is its id, for tables without ids whose rows stand in the same order everywhere."""


class TlsFiles(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[learner.tls]`: PEM files for the party's own workers. The certificate authority is of these machines alone:
    whoever has a certificate of its may run code on them."""

    ca: Path
    cert: Path
    key: Path


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
    workers: str | None = None
    """The scheduler of the party's own Dask workers, tls://HOST:PORT; None: the cores of this machine."""
    tls: TlsFiles | None = None

    @property
    def maps(self) -> tuple[str, ...]:
        """`features` as a tuple, whether the file gives one name or a list."""
        return (self.features,) if isinstance(self.features, str) else tuple(self.features)


class DataSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[data]`: where the party's table lies, which columns take part, and how it is written where that is not found.

    The words from `delimiter` on are those of Frictionless Table Schema. They steer how the schema is made, once; from
    then on the schema rules (`secure_gal.data.schema`).
    """

    path: Path = Path()
    id: str | tuple[str, ...] = ()
    label: str | None = None
    categorical: tuple[str, ...] = ()
    columns: tuple[str, ...] | None = None
    """The features that may take part; None for all."""
    schema: Path | None = None
    """Where the schema lies; beside the party file if it names none."""
    source: str = ""
    """A database instead of a file, with `query`."""
    query: str = ""
    sheet: str | None = None
    repeated: Repeated | None = None
    """What becomes of an id that stands in several rows; None refuses it."""
    delimiter: str | None = None
    encoding: str | None = None
    header_row: int | None = None
    comment_char: str | None = None
    decimal_char: str | None = None
    group_char: str | None = None
    date_format: str | None = None
    missing_values: tuple[str, ...] = ()
    weight: str | None = None
    """The sponsor's column of row weights, no feature; the study says `row_weights = "sponsor"`."""
    class_weights: Literal["balanced"] | dict[str, float] | None = None
    """The same for classes: one number each, or as much for each class in all."""

    @property
    def ids(self) -> tuple[str, ...]:
        """The columns that make an id."""
        return (self.id,) if isinstance(self.id, str) else self.id

    @property
    def where(self) -> str:
        """The table in words, for messages: a database without user and parameters."""
        if not self.source:
            return str(self.path)
        scheme, _, rest = self.source.partition("://")
        return f"{scheme}://{rest.rpartition('@')[2].partition('?')[0]}"

    @property
    def arrays(self) -> bool:
        """Whether the file holds images or series instead of a table."""
        return not self.source and self.path.suffix.lower() in ARRAY_SUFFIXES


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
    report: ReportSettings = ReportSettings()
