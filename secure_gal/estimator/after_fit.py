"""What an estimator does once it has learnt: predict, be measured, be kept, be drawn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from secure_gal.estimator import predicting, saving
from secure_gal.estimator.blocks import Block, read_blocks
from secure_gal.estimator.checked import checked_by, refuse_other_blocks
from secure_gal.estimator.errors import in_words_of_the_caller
from secure_gal.estimator.labels import by_keys, read_weights
from secure_gal.estimator.listener import listener_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = npt.NDArray[np.float64]


def classifies(estimator: AfterFit) -> bool:
    """Whether its task is a classification."""
    return bool(estimator.task == "classification")


class AfterFit(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """`GAL` without its parameters and `fit`."""

    def _outputs(self, X: object) -> Array:
        """F (n, K) of new rows."""
        check_is_fitted(self, "fitted_")
        with in_words_of_the_caller():
            return self._outputs_of(self._new(X))

    def _outputs_of(self, blocks: list[Block]) -> Array:
        with predicting.whole_state():
            return predicting.outputs(self.fitted_, blocks, self.beyond, listener_of(self.verbose))

    def _new(self, X: object) -> list[Block]:
        blocks = read_blocks(X, self.parties, checked_by(self, X, reset=False))
        refuse_other_blocks(self.fitted_, blocks)
        return blocks

    @available_if(classifies)  # type: ignore[untyped-decorator]
    def decision_function(self, X: object) -> Array:
        """Log-odds of the second of two classes (n,), or scores (n, classes); raises as `predict`."""
        f = self._outputs(X)
        return f[:, 0] * self._sign if f.shape[1] == 1 else f[:, self._columns_]

    @property
    def _sign(self) -> float:
        """Whether the study has two classes in the order of `classes_`, or the other way round."""
        return 1.0 if self._columns_[0] == 0 else -1.0

    @available_if(classifies)  # type: ignore[untyped-decorator]
    def predict_proba(self, X: object) -> Array:
        """Probabilities (n, classes) in the order of `classes_`; raises as `predict`."""
        return self._probabilities(self._outputs(X))

    def _probabilities(self, f: Array) -> Array:
        return predicting.encoder_and_codec(self.fitted_)[1].probabilities(f)[:, self._columns_]

    def predict(self, X: object) -> npt.NDArray[Any]:
        """Classes in the type of y, or values in its unit, (n,), for rows like those of `fit`.

        Raises:
            NotFittedError: before `fit`.
            InputError: blocks that differ from those of `fit` in number or columns, or from each other in rows.
            ConsentError: a party's limit is reached.
        """
        return self._decoded(self._outputs(X))

    def _decoded(self, f: Array) -> npt.NDArray[Any]:
        if classifies(self):
            return np.asarray(self.classes_[self._probabilities(f).argmax(axis=1)])
        return predicting.encoder_and_codec(self.fitted_)[1].values(f)

    def staged_predict(self, X: object) -> Iterator[npt.NDArray[Any]]:
        """Predictions after 0, 1, ... kept rounds, of a study in which all parties keep their models; raises as
        `predict`, and ParameterError of another study."""
        check_is_fitted(self, "fitted_")
        with in_words_of_the_caller(), predicting.whole_state():
            for f in predicting.staged(self.fitted_, self._new(X), listener_of(self.verbose).warn):
                yield self._decoded(f)

    def score(self, X: object, y: object, sample_weight: object = None) -> float:
        """Accuracy, or R^2 of a regression; y and weights belong to rows as in `fit`. Raises as `predict`."""
        from sklearn.metrics import accuracy_score, r2_score

        check_is_fitted(self, "fitted_")
        measure = accuracy_score if classifies(self) else r2_score
        with in_words_of_the_caller():
            blocks = self._new(X)
            true = by_keys(y, np.asarray(y), blocks[0], "y")
            weights = read_weights(sample_weight, blocks[0])
            found = self._decoded(self._outputs_of(blocks))
        return float(measure(true, found, sample_weight=weights))

    def save(self, path: str | Path) -> None:
        """Write what was learnt to one file (mode 0600), never over another: it holds every party's models, and the
        sponsor's secret key where there is one. `transcript_` is kept without the messages of `keep_messages`, which
        hold residuals.

        Raises:
            NotFittedError: before `fit`.
            ParameterError: the file exists, or a learner's models cannot be written without pickle.
        """
        check_is_fitted(self, "fitted_")
        with in_words_of_the_caller():
            saving.save(self, Path(path))

    @classmethod
    def load(cls, path: str | Path, trusted: Sequence[str] = ()) -> Self:
        """Read what `save` wrote; nothing in the file is run.

        Args:
            trusted: modules of one's own whose classes the file may name, such as "my_learners".

        Raises:
            ParameterError: not such a file, of another format, or it names what is not known.
        """
        with in_words_of_the_caller():
            found: Self = saving.load(cls, Path(path), tuple(trusted))
            return found

    def plot_rounds(self, ax: Axes | None = None) -> Any:
        """Loss of the training and held-out rows by round, on matplotlib axes, which are returned."""
        from secure_gal.estimator.plots import rounds

        check_is_fitted(self, "fitted_")
        return rounds(self.history_, self.n_rounds_, ax)

    def plot_weights(self, ax: Axes | None = None) -> Any:
        """The parties' weights by round, stacked, on matplotlib axes, which are returned."""
        from secure_gal.estimator.plots import weights

        check_is_fitted(self, "fitted_")
        return weights(self.history_, self.n_rounds_, ax)
