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

from secure_gal.data.log_codec import fit_codec
from secure_gal.errors import DataError, StateError
from secure_gal.gal.ensemble import Ensemble
from secure_gal.gal.losses import default_local_loss, get_loss
from secure_gal.gal.split import derive_seed, split_rows
from secure_gal.holdings.local import LocalParty, collapse
from secure_gal.learners import make_learner
from secure_gal.learners.cross_fit import folds_for
from secure_gal.reference.input import Array, BlockForm, list_blocks, read_blocks, read_labels
from secure_gal.reference.settings import (
    check_fitted,
    checked_learners,
    checked_names,
    checked_study,
    of_party,
    with_outputs,
)
from secure_gal.settings.party import LearnerSettings

if TYPE_CHECKING:
    from secure_gal.holdings.encrypted_local import EncryptedLocal
    from secure_gal.learners.base import Learner, Model


class GAL:
    """Gradient Assisted Learning over feature blocks of the same rows, scikit-learn flavoured.

    Args:
        task: `classification` or `regression`.
        loss: `auto`, or cross_entropy, l2, l1, huber, quantile (`quantile_level`), poisson, gamma.
        learners: for all parties, or a list of one each: a kind by name, `LearnerSettings`, a scikit-learn regressor,
            or an object with `fit` as in `secure_gal.learners.base.Learner`.
        names: party names, sponsor first; seeds derive from them.
        rounds, weights, learning_rate, validation, patience, seed, quantile_level: as in study.toml.
        residuals: `none`, or `ckks`, which sends every residual but the first party's own through real ciphertexts of
            the parameter set `parameters`; learners of the others are then `linear` with any features. Call `close`
            when done.
    """

    def __init__(
        self,
        task: str = "classification",
        loss: str = "auto",
        rounds: int = 10,
        learners: Any = "linear",
        names: Sequence[str] | None = None,
        weights: str = "fitted",
        learning_rate: str | float = "search",
        validation: float = 0.0,
        patience: int = 3,
        seed: int = 0,
        residuals: str = "none",
        parameters: str = "standard",
        quantile_level: float = 0.5,
    ) -> None:
        self.residuals, self.parameters = residuals, parameters
        self.task, self.loss, self.rounds, self.learners, self.names = task, loss, rounds, learners, names
        self.weights, self.learning_rate, self.validation = weights, learning_rate, validation
        self.patience, self.seed, self.quantile_level = patience, seed, quantile_level
        self._encrypted: dict[str, EncryptedLocal] | None = None
        self._closed = False
        self._forms: list[BlockForm] | None = None

    def fit(self, blocks: Sequence[Any], y: Any) -> GAL:
        """Learn from one (N, p_m) block a party, the sponsor's first, and labels (N,).

        Blocks and labels are arrays, lists or frames of finite numbers; labels of a classification may be text.

        Raises:
            SettingsError: a setting or learner that is not accepted.
            DataError: blocks or labels that do not fit together, or cannot be learnt from.
        """
        if self._encrypted:
            self.close()
        self._encrypted, self._closed, self._forms = {}, False, None
        self._study = checked_study(
            self.residuals,
            self.parameters,
            task=self.task,
            loss=self.loss,
            rounds=self.rounds,
            weights=self.weights,
            learning_rate=self.learning_rate,
            validation=self.validation,
            patience=self.patience,
            seed=self.seed,
            quantile_level=self.quantile_level,
        )
        listed, labels = list_blocks(blocks), read_labels(y)
        self._names = checked_names(self.names, len(listed))
        self._learners = checked_learners(self.learners, self._names, self._study.protect.encrypted)
        forms, x = read_blocks(listed, self._names, len(labels))
        for form, learner in zip(forms, self._learners, strict=True):
            form.check_learner(learner)
        try:
            self._learn(x, labels)
        except BaseException:
            self.close()
            raise
        self._forms = forms
        return self

    def _learn(self, blocks: list[Array], labels: npt.NDArray[Any]) -> None:
        study, names = self._study, self._names
        self.train_mask_ = split_rows(len(labels), study.validation, study.seed)
        self.codec_ = fit_codec(study.task, study.loss_name, list(labels), self.train_mask_)
        self._study = study = with_outputs(study, self.codec_.outputs)
        coded = self.codec_.encode(list(labels))
        if study.task == "classification":
            self.classes_ = np.asarray(labels[np.unique(coded, return_index=True)[1]])
        loss = get_loss(study.loss_name, study.k, study.quantile_level)
        self.ensemble_ = Ensemble(
            loss,
            coded,
            self.train_mask_,
            study.task,
            names,
            study.weights,
            study.learning_rate,
            study.patience,
            study.rounds,
            default_local_loss(study.loss_name),
            study.cross_fitted,
            doubted=names[1:],
            partly_withheld=study.partly_withheld,
        )
        self._encrypted = encrypted = self._encrypted_parties(names, blocks)
        parties = {
            name: LocalParty(
                name, x, self.train_mask_, learner := self._learner(m), study.seed, self._folds(m, learner)
            )
            for m, (name, x) in enumerate(zip(names, blocks, strict=True))
            if name not in encrypted
        }
        self.models_: dict[str, list[Model]] = {name: [] for name in parties}
        self._residuals: list[npt.NDArray[np.float32]] = []
        while not self.ensemble_.finished:
            residual, round_ = self.ensemble_.residual(), len(self.ensemble_.history) + 1
            fitted = {name: party.fit_round(residual) for name, party in encrypted.items()}
            for name, party in parties.items():
                with of_party(name):
                    model, fitted[name] = party.fit_round(round_, residual, self.ensemble_.withheld(name))
                check_fitted(name, fitted[name], len(labels), residual.shape[1])
                self.models_[name].append(model)
            if encrypted:
                self._residuals.append(residual)
            self.ensemble_.commit(fitted)

    def _encrypted_parties(self, names: Sequence[str], blocks: Sequence[Array]) -> dict[str, EncryptedLocal]:
        made: dict[str, EncryptedLocal] = {}
        if not self._study.protect.encrypted:
            return made
        from crypto.ckks.secret import SecretContext
        from crypto.ckks.sets import PARAMETER_SETS
        from secure_gal.holdings.encrypted_local import EncryptedLocal

        cipher = SecretContext.generate(PARAMETER_SETS[self.parameters])
        self._encrypted = made  # so that the first ones' processes end if a later one cannot be made
        for name, x, learner in list(zip(names, blocks, self._learners, strict=True))[1:]:
            made[name] = EncryptedLocal(
                name, x, self.train_mask_, learner, self._study.seed, cipher, leave_one_out=self._study.cross_fitted
            )
        return made

    def close(self) -> None:
        """End the worker processes of encrypted parties, if there are any; what was learnt stays, predictions end.

        Raises:
            StateError: before `fit`.
        """
        if self._encrypted is None:
            raise StateError("there is nothing to close before `fit`")
        for party in self._encrypted.values():
            party.close()
        self._closed = True

    def _learner(self, m: int) -> Learner:
        chosen: LearnerSettings | Learner = self._learners[m]
        if not isinstance(chosen, LearnerSettings):
            return chosen
        seed = derive_seed("features", self._study.seed, self._names[m])
        return make_learner(chosen, Path.cwd(), default_local_loss(self._study.loss_name), seed)

    def _folds(self, m: int, learner: Learner) -> int | None:
        if not self._study.cross_fitted:
            return None
        chosen = self._learners[m]
        return folds_for(learner, chosen.folds if isinstance(chosen, LearnerSettings) else None)

    def _fitted(self) -> list[BlockForm]:
        if self._forms is None:
            raise StateError("nothing is learnt yet: call `fit` first")
        return self._forms

    @property
    def F_(self) -> Array:
        """F^T on all rows, (N, K)."""
        self._fitted()
        return self.ensemble_.F

    @property
    def history_(self) -> list[Any]:
        """One record a round."""
        self._fitted()
        return self.ensemble_.history

    def decision_function(self, blocks: Sequence[Any]) -> Array:
        """F^0 plus every party's part, (n, K), over the kept rounds, for blocks of new rows like those of `fit`.

        Raises:
            StateError: before `fit`, or after `close` of an encrypted one; here and in all predictions.
            DataError: blocks that differ from those of `fit` in number, width or columns, or from each other in rows.
        """
        return self._outputs(self._read(blocks), self.ensemble_.kept)

    def _read(self, blocks: Sequence[Any]) -> list[Array]:
        trained, listed = self._fitted(), list_blocks(blocks)
        if self._encrypted and self._closed:
            raise StateError("encrypted parties answer no more after `close`: predict first, or call `fit` again")
        if len(listed) != len(trained):
            raise DataError("blocks", f"{len(listed)} of them; accepted: {len(trained)}, of {', '.join(self._names)}")
        forms, x = read_blocks(listed, self._names)
        for form, new in zip(trained, forms, strict=True):
            form.check_new(new)
        return x

    def _outputs(self, blocks: Sequence[Array], kept: int) -> Array:
        total = np.tile(self.ensemble_.F0, (len(blocks[0]), 1))
        history = self.ensemble_.history[:kept]
        encrypted = self._encrypted or {}
        for name, x in zip(self._names, blocks, strict=True):
            coefficients = np.array([r.eta * r.weights[name] for r in history], dtype=np.float64)
            if kept and name in encrypted:
                combination = np.tensordot(coefficients, np.stack(self._residuals[:kept]).astype(np.float64), 1)
                total = total + encrypted[name].part(combination, x)
            elif kept:
                total = total + collapse(self.models_[name][:kept], coefficients, x).astype(np.float64)
        return total

    def predict(self, blocks: Sequence[Any]) -> npt.NDArray[Any]:
        """Classes, in the type of the labels of `fit`, or values in the label's own unit; raises as above."""
        return self._decode(self.decision_function(blocks))

    def _decode(self, f: Array) -> npt.NDArray[Any]:
        if self._study.task == "regression":
            return self.codec_.values(f)
        return np.asarray(self.classes_[self.codec_.probabilities(f).argmax(axis=1)])

    def predict_proba(self, blocks: Sequence[Any]) -> Array:
        """Probabilities (n, classes) in ascending order of `classes_`; raises as above, StateError in a regression."""
        self._fitted()
        if self._study.task == "regression":
            raise StateError("a regression has no classes and so no probabilities; use `predict`")
        return self.codec_.probabilities(self.decision_function(blocks))

    def staged_predict(self, blocks: Sequence[Any]) -> Iterator[npt.NDArray[Any]]:
        """Predictions after 0, 1, ... kept rounds; raises as above, before the first."""
        x = self._read(blocks)
        return (self._decode(self._outputs(x, kept)) for kept in range(self.ensemble_.kept + 1))
