"""What was measured of this machine for a party's study, and when it may stand for another measurement.

It holds times, sizes of samples and digests; no value and no name of the table.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal

import msgspec

from secure_gal.forecast.ciphertexts import Ciphers
from secure_gal.forecast.sums import Sums
from secure_gal.forecast.timings import Timings
from secure_gal.settings.address import one_machine
from secure_gal.settings.party import PartySettings
from secure_gal.settings.study import Study

MAX_ENTRIES = 16
"""Studies, or settings of one, that are remembered at a time; the oldest gives way."""
PACKAGES = ("numpy", "polars", "scipy", "scikit-learn", "secure-gal-hexl", "tenseal", "torch")
"""Whose versions change what a step takes."""
Short = Annotated[str, msgspec.Meta(max_length=200)]


class Machine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where something was measured, and with which release; another one is measured anew."""

    release: Short
    cpu: Short
    cores: Annotated[int, msgspec.Meta(ge=1, le=2**16)]
    python: Short
    packages: Annotated[dict[Short, Short], msgspec.Meta(max_length=len(PACKAGES))]


class Measured(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """CPU seconds of this party's steps; `untold` says why there are none."""

    timings: Timings | None = None
    ciphers: Ciphers | None = None
    sums: Sums | None = None
    untold: Annotated[str, msgspec.Meta(max_length=1000)] = ""


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A measurement of one kind of work."""

    work: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    when: Annotated[str, msgspec.Meta(pattern=r"^\d{4}-\d\d-\d\d \d\d:\d\d UTC$")]
    measured: Measured


class Calibration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All measurements of a machine, the newest last."""

    version: Literal[1]
    machine: Machine
    entries: Annotated[tuple[Entry, ...], msgspec.Meta(max_length=MAX_ENTRIES)] = ()

    def find(self, work: str) -> Entry | None:
        """The measurement of this work; None where there is none."""
        return next((entry for entry in self.entries if entry.work == work), None)

    def with_entry(self, entry: Entry) -> Calibration:
        """With a measurement in place of an older one of the same work."""
        others = [one for one in self.entries if one.work != entry.work]
        return msgspec.structs.replace(self, entries=(*others[1 - MAX_ENTRIES :], entry))


def work_of(study: Study, party: PartySettings, columns: tuple[str, ...], rows: int, padded: int) -> str:
    """SHA-256 (64 hex digits) of everything that a measurement follows from.

    Args:
        columns: types of the table's columns, or the shape of a row of arrays.
        rows: of the table; only their power of two counts.
        padded: P of the encrypted heads that are reckoned with.
    """
    settings = msgspec.to_builtins(study)
    for name in ("name", "address", "assistors", "sponsor", "seed", "patience_seconds", "max_ids", "max_queries"):
        del settings[name]
    about = {
        "study": settings,
        "assistors": len(study.assistors),
        "one machine": one_machine(study.address),
        "sponsor": party.party == study.sponsor,
        "learner": msgspec.to_builtins(party.learner),
        "report": msgspec.to_builtins(party.report),
        "columns": columns,
        "rows": rows.bit_length(),
        "padded": padded,
    }
    return hashlib.sha256(msgspec.json.encode(about, order="deterministic")).hexdigest()
