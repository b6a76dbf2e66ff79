"""Modes of protection: a file a row of `[protect]`, found here by the name that the settings give it.

A mode of `residuals` is how r^t leaves the sponsor and is fitted, one of `predictions` how fits and parts come back.
The file of each ends with the `ResidualMode` or `FittedMode` that puts its ports together. A mode is added by a file of
its own, its name below, and its name in the settings (CONTRIBUTING.md).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from secure_gal.phases import Step, common
from secure_gal.settings.party import PartySettings
from secure_gal.settings.study import Study

if TYPE_CHECKING:
    from secure_gal.holdings.assistor import AssistorData
    from secure_gal.holdings.in_memory import InMemory
    from secure_gal.holdings.sponsor import SponsorData
    from secure_gal.protection.modes import FittedMode, ResidualMode

RESIDUALS: Mapping[str, str] = {
    "none": "clear.mode",
    "rounded": "rounded",
    "dp": "privatised",
    "ip": "privatised",
    "ckks": "ckks.mode",
}
"""The file by `[protect] residuals`."""
FITS: Mapping[str, str] = {"none": "clear.mode", "noise": "noised", "sum": "sums.mode"}
"""The file by `[protect] predictions`; with "none" a fit to ciphertexts comes back as ciphertexts."""


def residual_mode(study: Study) -> ResidualMode:
    """How this study's residuals travel."""
    mode: ResidualMode = _module(RESIDUALS[study.protect.residuals]).RESIDUALS
    return mode


def fitted_mode(study: Study) -> FittedMode:
    """How this study's fits and parts travel."""
    named = study.protect.predictions
    mode: FittedMode = _module("ckks.mode" if named == "none" and study.protect.encrypted else FITS[named]).FITS
    return mode


def sponsor_data(
    party: PartySettings,
    study: Study,
    folder: Path,
    warn: Callable[[str], None],
    *,
    memory: InMemory | None = None,
    most: int = 1,
) -> SponsorData:
    """The sponsor's holding, of the labels that its study learns from.

    Args:
        most: labels of one person that may ever be released, where a study releases them.

    Raises:
        DataError, SettingsError: as `SponsorData`.
    """
    from secure_gal.holdings.sponsor import SponsorData

    make = residual_mode(study).labels
    labels = None if make is None else make(party, study, most)
    return SponsorData(party, study, folder, warn, memory=memory, labels=labels)


def admit(party: PartySettings, study: Study) -> None:
    """Refuse an assistor whose learner cannot be fitted as its study says; SettingsError names the alternatives."""
    check = residual_mode(study).admit
    if check is not None:
        check(party, study)


def assistor_data(
    party: PartySettings, study: Study, folder: Path, warn: Callable[[str], None], *, memory: InMemory | None = None
) -> AssistorData:
    """An assistor's holding, with the parts that its study's ports compute with.

    Raises:
        DataError, SettingsError: as `AssistorData` and `admit`.
    """
    from secure_gal.holdings.assistor import AssistorData

    admit(party, study)
    return AssistorData(party, study, folder, warn, memory=memory, parts=fitted_mode(study).holding)


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"{__name__}.{name}")


def table(study: Study, name: str) -> tuple[Step, ...]:
    """All steps that are legal in a study, at the party of this name."""
    fits = fitted_mode(study)
    outside = common(private=study.protect.ids == "psi", declares=fits.declares)
    return (*outside, *residual_mode(study).steps, *fits.steps(study, name))
