"""Deep model sharing (GAL, section on DMS): one extractor for all rounds, a new linear head a round.

Round 1 trains a network end to end on r^1 and keeps its body. That round and every later one fit a ridge head on the
frozen body's features, so a later round costs two matrix products, what is kept grows by one head a round, and
earlier rounds' predictions stay what they were. The head is `learners.ridge` in the clear: the encrypted heads of an
encrypted study differ only in that their extractor has not seen a residual.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from secure_gal.errors import EnvironmentFailure, SettingsError, StateError
from secure_gal.learners import storage
from secure_gal.learners.devices import choose_device, uses_bfloat16
from secure_gal.learners.ridge import Head, HeadLearner, RidgeBasis
from secure_gal.learners.torch_trainer import TorchLearner, forward_all

RIDGE = 1e-3
"""Of the mean squared error, as a share of the mean variance of the extractor's features."""


class Extractor:
    """A frozen body with its ridge basis: x (n, ...) to U (n, width); every round asks for the same rows, so U is kept."""

    def __init__(self, body: nn.Module, device: str, precision: str) -> None:
        self._body, self._device, self._precision = body.eval().requires_grad_(False), device, precision
        self._basis: RidgeBasis | None = None
        self._kept: list[tuple[Any, npt.NDArray[np.float64]]] = []

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_kept": []}  # a saved model holds no rows

    @classmethod
    def fit(cls, body: nn.Module, x: Any, device: str, precision: str) -> Extractor:
        """Freeze the body and learn the ridge basis of its features on training rows x."""
        extractor = cls(body, device, precision)
        features = extractor._features(x)
        extractor._basis = RidgeBasis.fit(features, RIDGE * float(features.var(axis=0).mean()))
        return extractor

    @property
    def digest(self) -> str:
        """SHA-256 over the body's weights."""
        digest = hashlib.sha256()
        for name, values in sorted(self._body.state_dict().items()):
            digest.update(name.encode() + values.cpu().numpy().tobytes())
        return digest.hexdigest()

    def transform(self, x: Any) -> npt.NDArray[np.float64]:
        """x (n, ...) to U float64 (n, width)."""
        for rows, u in self._kept:
            if rows is x:
                return u
        assert self._basis is not None  # noqa: S101  (`fit` sets it)
        u = self._basis.basis(self._features(x))
        self._kept = [*self._kept[-1:], (x, u)]  # training rows and all rows
        return u

    def _features(self, x: Any) -> npt.NDArray[np.float64]:
        device = choose_device(self._device)
        return forward_all(self._body, x, device, uses_bfloat16(self._precision, device)).astype(np.float64)


class SharedModel:
    """A head; the extractor is saved with round 1's alone and linked to the others after loading (`link`)."""

    def __init__(self, head: Head, digest: str, extractor: Extractor, carries: bool) -> None:
        self._head, self._digest, self._carries = head, digest, carries
        self._extractor: Extractor | None = extractor

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ if self._carries else self.__dict__ | {"_extractor": None}

    def predict(self, x: Any) -> npt.NDArray[np.float64]:
        """x (n, ...) to (n, K)."""
        if self._extractor is None:
            raise StateError("a shared model was used without the extractor that its first round saved")
        return self._head.predict(self._extractor.transform(x))

    def link(self, first: SharedModel) -> None:
        """Use the extractor that came with round 1's model.

        Raises:
            SettingsError: it is another one.
        """
        if first._digest != self._digest:
            raise SettingsError("run_dir", "the saved heads belong to another extractor than round 1's; train anew in an "
                                "empty run_dir")  # fmt: skip
        self._extractor = first._extractor


class SharedLearner:
    """`share_extractor = true`: trains as `inner` does in round 1, then fits heads.

    Args:
        inner: its modules are `torch_trainer.network`s; l2 loss.
    """

    def __init__(self, inner: TorchLearner) -> None:
        self._inner, self._head = inner, HeadLearner()
        self._for: Any = None
        self._extractor: Extractor | None = None
        self._digest = ""

    @property
    def description(self) -> str:
        """Device and precision in words."""
        return f"{self._inner.description}; one extractor for all rounds"

    def fit(self, x: Any, residual: npt.NDArray[np.float32], seed: int) -> SharedModel:
        """Fit x (n, ...) to the pseudo-residual (n, K)."""
        first = self._extractor is None or (self._for is not None and self._for is not x)
        if first:
            body = self._inner.fit(x, residual, seed).module.get_submodule("0")
            self._use(Extractor.fit(body, x, self._inner.device, self._inner.precision))
        assert self._extractor is not None  # noqa: S101
        self._for = x
        head = self._head.fit(self._extractor.transform(x), residual, seed)
        return SharedModel(head, self._digest, self._extractor, carries=first)

    def save(self, path: Path) -> None:
        """Write the extractor for a run that dies and goes on; only this party ever reads it (see `storage`)."""
        part = path.with_suffix(".part")
        try:
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(storage.dump(self._extractor))
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, path)
        except OSError as error:
            raise EnvironmentFailure(f"{path} could not be written: {error.strerror}") from error

    def resume(self, path: Path) -> None:
        """Go on after round 1 with the extractor that `save` wrote; nothing to do where this process trained it.

        Raises:
            SettingsError: the file is missing or of another version.
        """
        if self._extractor is not None:
            return
        try:
            raw = path.read_bytes()
        except OSError as error:
            raise SettingsError(str(path), f"the shared extractor of this run cannot be read ({error.strerror}); train anew "
                                "in an empty run_dir") from None  # fmt: skip
        self._use(storage.load(raw))

    def _use(self, extractor: Extractor) -> None:
        self._extractor, self._digest = extractor, extractor.digest
