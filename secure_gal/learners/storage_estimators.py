"""Estimators of scikit-learn in skops' form, which runs no code of the file."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from zipfile import BadZipFile

from secure_gal.learners.storage import Unstorable
from secure_gal.learners.storage_classes import Unreadable, class_named

KNOWN = ("sklearn.", "numpy.", "scipy.")
"""Modules whose classes an estimator's parts may be of; skops asks about some of them. Their functions are another
matter: `predict` might call one, and some open files or run text."""


def _skops() -> ModuleType:
    """skops imports all of scikit-learn, a part of which imports PyTorch: not where nobody has asked for that yet."""
    if "skops.io" not in sys.modules and "torch" not in sys.modules:
        sys.modules["torch"] = None  # type: ignore[assignment]  # Python's word for: do not import it
        try:
            pass
        finally:
            del sys.modules["torch"]
    return importlib.import_module("skops.io")


def write(estimator: object) -> bytes:
    """An estimator of scikit-learn, or by its rules; Unstorable."""
    io = _skops()
    try:
        return bytes(io.dumps(estimator))
    except (io.exceptions.UnsupportedTypeException, TypeError, AttributeError) as error:
        raise Unstorable(f"{type(estimator).__name__}: {error}") from error


def read(raw: bytes, trusted: tuple[str, ...]) -> object:
    """The estimator.

    Raises:
        Unreadable: damaged, a class that is not trusted, or a function that skops does not know as harmless.
    """
    io = _skops()
    try:
        asked = io.get_untrusted_types(data=raw)
        for name in asked:
            module, _, place = name.rpartition(".")
            if not trusted or not name.startswith(trusted):
                class_named(f"{module}:{place}", KNOWN)
        return io.loads(raw, trusted=asked)
    except (BadZipFile, KeyError, ValueError, TypeError) as error:
        raise Unreadable(f"an estimator is damaged: {error}") from error
