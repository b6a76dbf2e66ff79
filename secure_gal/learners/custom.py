"""`python:module:factory`: the user's own estimator or torch module."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from secure_gal.errors import SettingsError
from secure_gal.factories import load_factory, own_code
from secure_gal.learners.base import EncodedRows, Learner, foreign
from secure_gal.learners.trees import Estimator, EstimatorLearner


def custom(name: str, loss: str, device: str, options: Mapping[str, object], folder: Path) -> Learner:
    """The learner that `python:module:factory` names; the module is looked up in `folder` first.

    The factory is called with the keyword options, once a fit, and returns an object with scikit-learn's `fit(X, y)`
    and `predict(X)`, or a `torch.nn.Module` from (n, p), or images or series, to (n, K), which is trained as `mlp` is.

    Raises:
        SettingsError: as `load_factory`; whatever the object raises when it is made, fitted or asked; options that the
            factory does not take.
    """
    where = "[learner] kind"
    factory = load_factory(name, folder, where)
    sample = factory(**options)
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(sample, torch.nn.Module):
        from secure_gal.learners.torch_trainer import TorchLearner, TorchModel

        class OwnModule(TorchLearner):
            def fit(self, x: EncodedRows, residual: npt.NDArray[np.float32], seed: int) -> TorchModel:
                with own_code(where, f"training {name!r} failed"):
                    return super().fit(x, residual, seed)

        return OwnModule(lambda inner, k: factory(**options), loss, device)
    if not (hasattr(sample, "fit") and hasattr(sample, "predict")):
        raise SettingsError(where, f"{name!r} returned {type(sample).__name__}, which has no fit and predict")

    def fresh(seed: int) -> Estimator:
        made = factory(**options)
        if "random_state" in getattr(made, "get_params", dict)():
            made.set_params(random_state=seed)
        estimator: Estimator = made
        return estimator

    return EstimatorLearner(fresh, foreign(name))
