"""`python:module:factory`: a user's own scikit-learn transformer or frozen torch module as a feature map."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from secure_gal.errors import SettingsError
from secure_gal.factories import load_factory
from secure_gal.features.base import BLOCK_ROWS, Array, check_width
from secure_gal.learners.base import EncodedRows, Placement, foreign

if TYPE_CHECKING:
    from torch import nn
    from typing_extensions import TypeIs

WHERE = "[learner] features"


class Transformer(Protocol):
    """What scikit-learn's transformers are once they are fitted, and users' own."""

    def transform(self, x: Array, /) -> object:
        """x (n, ...) to features (n, p), dense or sparse."""
        ...


class Custom:
    """A fitted transformer, or a module in evaluation mode whose weights stay as they came."""

    def __init__(self, name: str, inner: Transformer | nn.Module, x: EncodedRows) -> None:
        self._name, self._inner = name, inner
        self.width = 0
        self.width = self.transform(x[: min(len(x), BLOCK_ROWS)]).shape[1]
        check_width(self.width, name)

    @property
    def description(self) -> str:
        """In words."""
        return f"{self.width} features of {self._name}"

    @property
    def placement(self) -> Placement:
        """A torch module runs on the CPU in float32; a transformer does as it likes."""
        return Placement("CPU", "float32") if _is_module(self._inner) else foreign(self._name)

    def transform(self, rows: EncodedRows) -> Array:
        """Rows (n, q), images or series to Phi (n, p); SettingsError where the user's object returns something else."""
        x = np.asarray(rows)
        raw = _run(self._inner, x) if _is_module(self._inner) else self._inner.transform(x)
        raw = raw.toarray() if hasattr(raw, "toarray") else raw
        phi = np.asarray(raw, dtype=np.float64)
        if phi.ndim != 2 or len(phi) != len(x) or (self.width and phi.shape[1] != self.width):
            wanted = f"({len(x)}, {self.width or 'p'})"
            raise SettingsError(WHERE, f"{self._name} returned shape {phi.shape}; expected {wanted}")
        if not np.isfinite(phi).all():
            raise SettingsError(WHERE, f"{self._name} returned infinite values or nan; mend it in the module")
        return phi


def fit(name: str, x: EncodedRows, folder: Path, seed: int) -> Custom:
    """Make the user's object and, if it is a transformer, fit it to the training rows; it is given no label.

    A row's features must depend on that row alone: rows are mapped in blocks, and new ones by themselves.
    """
    factory, torch = load_factory(name, folder, WHERE), sys.modules.get("torch")
    if torch is None:
        inner = factory()
    else:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)  # a resumed run must find the same random weights
            inner = factory()
        if isinstance(inner, torch.nn.Module):
            return Custom(name, inner.eval().requires_grad_(False), x)
    if not (hasattr(inner, "fit") and hasattr(inner, "transform")):
        raise SettingsError(
            WHERE,
            f"{name!r} returned {type(inner).__name__}; expected a transformer with fit and "
            "transform, or a torch.nn.Module",
        )
    if "random_state" in getattr(inner, "get_params", dict)():
        inner.set_params(random_state=seed)
    return Custom(name, inner.fit(np.asarray(x)), x)


def _is_module(inner: Transformer | nn.Module) -> TypeIs[nn.Module]:
    """Asked by attribute: `isinstance` of a protocol looks past `__getattr__` from Python 3.12 on, which a user's
    wrapper may answer by."""
    return not hasattr(inner, "transform")


def _run(module: nn.Module, x: Array) -> Array:
    """A frozen module on the CPU, float32 in, block by block."""
    import torch

    with torch.inference_mode():
        parts = [
            module(torch.from_numpy(x[start : start + BLOCK_ROWS].astype(np.float32)))
            for start in range(0, len(x), BLOCK_ROWS)
        ]
    return np.concatenate([part.reshape(len(part), -1).double().numpy() for part in parts])
