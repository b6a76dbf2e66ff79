"""The whole protocol in one process: the oracle of the tests, and the researcher's API.

It rounds where messages do (float32 residuals, fitted values and parts; float64 sums), so a networked run of the same
parties gives the same F bit for bit on one machine with CPU learners.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from secure_gal.assistance import Ensemble
from secure_gal.encode import LabelCodec
from secure_gal.learners import make_learner
from secure_gal.local import LocalParty, collapse
from secure_gal.losses import default_local_loss, get_loss
from secure_gal.split import derive_seed, split_rows
from secure_gal.study import LearnerSettings

if TYPE_CHECKING:
    from secure_gal.encrypted_local import EncryptedLocal
    from secure_gal.learners.base import Learner, Model

Array = npt.NDArray[np.float64]


class GAL:
    """Gradient Assisted Learning over feature blocks of the same rows, scikit-learn flavoured.

    Args:
        task: `classification` or `regression`.
        loss: `auto`, or cross_entropy, l2, l1, huber.
        learners: one learner or settings or kind for all parties, or a list of one each.
        names: party names, sponsor first; seeds derive from them.
        rounds, weights, learning_rate, validation, patience, seed: as in study.toml.
        residuals: `ckks` sends every residual but the first party's own through real ciphertexts of the parameter set
            `parameters`; learners of the others are then `linear` with any features. Call `close` when done.
    """

    def __init__(
        self, task: str = "classification", loss: str = "auto", rounds: int = 10, learners: Any = "linear",
        names: Sequence[str] | None = None, weights: str = "fitted", learning_rate: str | float = "search",
        validation: float = 0.2, patience: int = 3, seed: int = 0, residuals: str = "none", parameters: str = "strict",
    ) -> None:  # fmt: skip
        self.residuals, self.parameters = residuals, parameters
        self.task, self.rounds, self.learners, self.names = task, rounds, learners, names
        self.loss = ("cross_entropy" if task == "classification" else "l2") if loss == "auto" else loss
        self.weights, self.learning_rate, self.validation = weights, learning_rate, validation
        self.patience, self.seed = patience, seed

    def fit(self, blocks: Sequence[Array], y: Sequence[Any] | npt.NDArray[Any]) -> GAL:
        """Learn from one (N, p_m) block a party, the sponsor's first, and labels (N,)."""
        names = tuple(self.names or [f"party-{m}" for m in range(len(blocks))])
        labels = list(y)
        self._names = names
        self.train_mask_ = split_rows(len(labels), self.validation, self.seed)
        self.codec_ = LabelCodec.fit(self.task, labels, self.train_mask_)
        loss = get_loss(self.loss, self.codec_.outputs)
        self.ensemble_ = Ensemble(
            loss, self.codec_.encode(labels), self.train_mask_, self.task, names, self.weights, self.learning_rate,
            self.patience, self.rounds, default_local_loss(self.loss),
        )  # fmt: skip
        self._encrypted = self._encrypted_parties(names, blocks)
        parties = {
            name: LocalParty(name, np.asarray(x, dtype=np.float64), self.train_mask_, self._learner(m), self.seed)
            for m, (name, x) in enumerate(zip(names, blocks, strict=True))
            if name not in self._encrypted
        }
        self.models_: dict[str, list[Model]] = {name: [] for name in parties}
        self._residuals: list[npt.NDArray[np.float32]] = []
        while not self.ensemble_.finished:
            residual, round_ = self.ensemble_.residual(), len(self.ensemble_.history) + 1
            fitted = {name: party.fit_round(residual) for name, party in self._encrypted.items()}
            for name, party in parties.items():
                model, fitted[name] = party.fit_round(round_, residual)
                self.models_[name].append(model)
            if self._encrypted:
                self._residuals.append(residual)
            self.ensemble_.commit(fitted)
        return self

    def _encrypted_parties(self, names: Sequence[str], blocks: Sequence[Array]) -> dict[str, EncryptedLocal]:
        if self.residuals == "none":
            return {}
        from crypto.ckks import PARAMETER_SETS
        from crypto.ckks_secret import SecretContext
        from secure_gal.encrypted_local import EncryptedLocal

        cipher = SecretContext.generate(PARAMETER_SETS[self.parameters])
        return {
            name: EncryptedLocal(name, np.asarray(x, dtype=np.float64), self.train_mask_, self._settings(m), self.seed, cipher)
            for m, (name, x) in enumerate(zip(names, blocks, strict=True))
            if m > 0
        }  # fmt: skip

    def close(self) -> None:
        """End the worker processes of encrypted parties, if there are any."""
        for party in self._encrypted.values():
            party.close()

    def _learner(self, m: int) -> Learner:
        chosen = self.learners[m] if isinstance(self.learners, (list, tuple)) else self.learners
        if hasattr(chosen, "fit"):
            return chosen  # type: ignore[no-any-return]
        seed = derive_seed("features", self.seed, self._names[m])
        return make_learner(self._settings(m), Path.cwd(), default_local_loss(self.loss), seed)

    def _settings(self, m: int) -> LearnerSettings:
        chosen = self.learners[m] if isinstance(self.learners, (list, tuple)) else self.learners
        return LearnerSettings(kind=chosen) if isinstance(chosen, str) else chosen

    @property
    def F_(self) -> Array:
        """F^T on all rows, (N, K)."""
        return self.ensemble_.F

    @property
    def history_(self) -> list[Any]:
        """One record a round."""
        return self.ensemble_.history

    def decision_function(self, blocks: Sequence[Array]) -> Array:
        """F^0 plus every party's part, (n, K), over the kept rounds."""
        return self._outputs(blocks, self.ensemble_.kept)

    def _outputs(self, blocks: Sequence[Array], kept: int) -> Array:
        total = np.tile(self.ensemble_.F0, (len(blocks[0]), 1))
        history = self.ensemble_.history[:kept]
        for name, x in zip(self._names, blocks, strict=True):
            coefficients = np.array([r.eta * r.weights[name] for r in history], dtype=np.float64)
            if kept and name in self._encrypted:
                combination = np.tensordot(coefficients, np.stack(self._residuals[:kept]).astype(np.float64), 1)
                total = total + self._encrypted[name].part(combination, np.asarray(x, dtype=np.float64))
            elif kept:
                part = collapse(self.models_[name][:kept], coefficients, np.asarray(x, dtype=np.float64))
                total = total + part.astype(np.float64)
        return total

    def predict(self, blocks: Sequence[Array]) -> npt.NDArray[Any]:
        """Classes, or values in the label's own unit."""
        return self._decode(self.decision_function(blocks))

    def _decode(self, f: Array) -> npt.NDArray[Any]:
        if self.task == "regression":
            return np.asarray(f[:, 0] * self.codec_.scale + self.codec_.mean)
        return np.array(self.codec_.decode(f))

    def predict_proba(self, blocks: Sequence[Array]) -> Array:
        """Class probabilities (n, classes) in ascending class order."""
        return self.codec_.probabilities(self.decision_function(blocks))

    def staged_predict(self, blocks: Sequence[Array]) -> Iterator[npt.NDArray[Any]]:
        """Predictions after 0, 1, ... kept rounds."""
        for kept in range(self.ensemble_.kept + 1):
            yield self._decode(self._outputs(blocks, kept))
