"""`python:module:factory`: what a party's own settings file names to be imported; nothing that arrives ever does."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from secure_gal.errors import SettingsError


def load_factory(name: str, folder: Path, where: str) -> Callable[..., Any]:
    """The callable that `name` means; its module is looked up in `folder` first.

    Args:
        where: the setting, for messages.

    Raises:
        SettingsError: malformed name, module that cannot be imported, or nothing callable of that name.
    """
    _, module_name, factory_name = [*name.split(":"), "", ""][:3]
    if name.count(":") != 2 or not module_name or not factory_name:
        raise SettingsError(where, f"{name!r}; accepted: python:MODULE:FACTORY")
    sys.path.insert(0, str(folder))
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise SettingsError(where, f"{name!r}: module {module_name!r} cannot be imported: {error}") from error
    finally:
        sys.path.remove(str(folder))
    factory = getattr(module, factory_name, None)
    if not callable(factory):
        raise SettingsError(where, f"{name!r}: {module_name} has no function or class {factory_name!r}")
    return factory  # type: ignore[no-any-return]
