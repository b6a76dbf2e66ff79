"""A party's own code on its workers: which modules go along, and whether every worker can read a learner."""

from __future__ import annotations

import functools
import pickletools
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path
from types import ModuleType

from crypto.errors import Unsuitable
from crypto.pool import Packed, Pool
from secure_gal.errors import SettingsError
from secure_gal.learners.fold_workers import INSTALL, WHERE, packed, timing_of

OURS = frozenset({"secure_gal", "crypto", "transport", "parties"})
"""On every worker; also where they were not installed but lie in a folder."""


def own_modules(folder: Path) -> list[ModuleType]:
    """Those that were imported from a folder; not what is installed there, in an environment inside it."""
    others = {*_installed(), *sys.stdlib_module_names, *OURS, "__main__"}
    within = folder.resolve()
    return [
        module
        for name, module in [*sys.modules.items()]
        if name.partition(".")[0] not in others
        and (file := getattr(module, "__file__", None))
        and Path(file).resolve().is_relative_to(within)
    ]


def try_on_workers(pool: Pool, learner: object) -> None:
    """Have every worker read the learner, if its fits may go there.

    Raises:
        SettingsError: it cannot be sent, or a worker lacks a package that it names, or has another release.
    """
    if timing_of(learner) is None:
        return
    code = packed(pool, learner)
    here = _versions(_packages(code))
    for worker, found in pool.everywhere(_read, code, [*here]).items():
        if isinstance(found, str):
            raise SettingsError(WHERE, f"the worker at {worker} cannot read this party's learner: {found}; {INSTALL}")
        if unlike := [name for name in here if found[name] != here[name]]:
            named = ", ".join(f"{name} {found[name] or 'missing'} (here {here[name]})" for name in unlike)
            raise SettingsError(WHERE, f"the worker at {worker} has {named}; {INSTALL}")


@functools.cache
def _installed() -> Mapping[str, list[str]]:
    """Distributions by the modules that they bring; a quarter of a second."""
    return packages_distributions()


def _packages(code: Packed) -> set[str]:
    """Distributions of the modules that the bytes name."""
    texts = {text for _, text, _ in pickletools.genops(code.raw) if isinstance(text, str)}
    tops, installed = {part.partition(".")[0] for text in texts for part in text.split()}, _installed()
    return {name for top in tops - OURS for name in installed.get(top, ())}


def _read(code: Packed, names: list[str]) -> dict[str, str | None] | str:
    """On a worker: its releases of these, or why it cannot read the learner."""
    try:
        code.value()
    except Unsuitable as error:
        return error.problem
    return _versions(names)


def _versions(names: set[str] | list[str]) -> dict[str, str | None]:
    """Without what they were built for: a GPU's PyTorch is no other release."""
    found: dict[str, str | None] = {}
    for name in names:
        try:
            found[name] = version(name).partition("+")[0]
        except PackageNotFoundError:
            found[name] = None
    return found
