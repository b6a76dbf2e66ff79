"""A party's own models as bytes: tables of numbers, and a description of what they belong to. Nothing in them is run.

The form is one safetensors file: tensors `0`, `1` and so on, and `tree`, canonical JSON that says what is made of them
(`storage_tree`). Estimators of scikit-learn are in skops' form (`storage_estimators`), networks are their layers and
weights (`storage_modules`). Whoever reads says whose classes may be named: those of this package and of scikit-learn,
NumPy, SciPy and PyTorch always, others by the start of their module's name.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from secure_gal.errors import SettingsError
from secure_gal.learners.storage_tree import Reader, Unreadable, Unstorable, Writer

FORMAT = b"secure-gal model 4\n"
EVERYTHING = ("",)
"""Starts every module's name: for what this process, or code that the party's own file names, has written."""
TREE = "tree"
WRONG_NODES = (LookupError, TypeError, ValueError, AttributeError, RecursionError)
"""What Python raises where a node has parts that its kind cannot be made of, or nodes lie in each other without end."""


def dump(value: object) -> bytes:
    """A model, encoder or label coding as bytes, with the format version in front.

    Raises:
        SettingsError: it holds something that is no data, such as a function or an open file.
    """
    from safetensors.numpy import save

    writer = Writer()
    try:
        tree = writer.write(value)
    except Unstorable as error:
        raise SettingsError("[learner]", f"cannot be kept: {error}") from error
    tensors = {str(number): array for number, array in enumerate(writer.arrays)}
    tensors[TREE] = np.frombuffer(msgspec.json.encode(tree, order="deterministic"), dtype=np.uint8)
    return FORMAT + bytes(save(tensors))


def load(raw: bytes, trusted: tuple[str, ...] = ()) -> Any:
    """What `dump` wrote.

    Args:
        trusted: starts of modules' names whose classes may be named besides the usual ones.

    Raises:
        SettingsError: another format version, damaged, or a class that is not trusted.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load as read

    if not raw.startswith(FORMAT):
        raise SettingsError(
            "run_dir",
            f"a saved model has another format (expected {FORMAT.decode().strip()!r}); use "
            "the version that wrote it, or train anew in an empty run_dir",
        )
    try:
        tensors = read(raw[len(FORMAT) :])
        tree = msgspec.json.decode(tensors.pop(TREE).tobytes())
        return Reader(tensors, trusted).read(tree)
    except Unreadable as error:
        raise SettingsError("run_dir", f"a saved model is not read: {error}") from error
    except (SafetensorError, msgspec.DecodeError, *WRONG_NODES) as error:
        raise SettingsError("run_dir", f"a saved model is damaged: {error}") from error
