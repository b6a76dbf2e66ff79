"""`python:module:factory`: what a party's own settings file names to be imported; nothing that arrives ever does."""

from __future__ import annotations

import importlib
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from secure_gal.errors import SecureGalError, SettingsError


def load_factory(name: str, folder: Path, where: str) -> Callable[..., Any]:
    """The callable that `name` means; its module is looked up in `folder` first.

    Args:
        where: the setting, for messages.

    Returns:
        A callable of keyword options, which raises SettingsError for options that the factory does not take and for
        whatever goes wrong inside it.

    Raises:
        SettingsError: malformed name, module that cannot be imported, or nothing callable of that name.
    """
    _, module_name, factory_name = [*name.split(":"), "", ""][:3]
    if name.count(":") != 2 or not module_name or not factory_name:
        raise SettingsError(where, f"{name!r}; accepted: python:MODULE:FACTORY")
    sys.path.insert(0, str(folder))
    try:
        with own_code(where, f"{name!r}: module {module_name!r} cannot be imported"):
            module = importlib.import_module(module_name)
    finally:
        sys.path.remove(str(folder))
    factory = getattr(module, factory_name, None)
    if not callable(factory):
        raise SettingsError(where, f"{name!r}: {module_name} has no function or class {factory_name!r}")

    def make(**options: object) -> object:
        _check_options(factory, name, options, where)
        with own_code(where, f"{name!r} failed"):
            return factory(**options)

    return make


def _check_options(factory: Callable[..., object], name: str, options: dict[str, object], where: str) -> None:
    try:
        signature = inspect.signature(factory)
    except ValueError:  # written in C: the call itself will tell
        return
    try:
        signature.bind(**options)
    except TypeError as error:
        at = "[learner.options]" if options else where
        raise SettingsError(
            at, f"{name!r} does not take these options: {error}; it is defined as {signature}"
        ) from error


@contextmanager
def own_code(where: str, what: str) -> Iterator[None]:
    """Run a person's own code, or a library with a person's own options: what it raises is a setting to be mended.

    Raises:
        SettingsError: naming the setting, the error and the line it came from; the cause is kept.
        MemoryError: as it was raised.
    """
    try:
        yield
    except (SecureGalError, MemoryError):  # what the machine refuses is no setting
        raise
    except Exception as error:  # whatever that code raises
        raise SettingsError(where, f"{what}: {type(error).__name__}: {error}{_line(error)}") from error


def _line(error: Exception) -> str:
    if isinstance(error, SyntaxError):  # says so itself
        return ""
    package = str(Path(__file__).parent)
    skip = (package, str(Path(importlib.__file__).parent), "<")  # ours, the import machinery, frozen modules
    lines = [
        f" ({Path(frame.filename).name}, line {frame.lineno})"
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith(skip) and "site-packages" not in frame.filename
    ]
    return lines[-1] if lines else ""
