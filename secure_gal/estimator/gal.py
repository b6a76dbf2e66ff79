"""`GAL`: Gradient Assisted Learning behind scikit-learn's interface."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from sklearn.utils import ClassifierTags, RegressorTags, Tags

from secure_gal.estimator import predicting, results
from secure_gal.estimator.after_fit import AfterFit, classifies
from secure_gal.estimator.alone import learn_alone
from secure_gal.estimator.blocks import Block, read_blocks
from secure_gal.estimator.checked import checked_by, remember_features
from secure_gal.estimator.errors import in_words_of_the_caller
from secure_gal.estimator.holding import Target
from secure_gal.estimator.house import Chosen, learn
from secure_gal.estimator.labels import Labels, class_columns, read_labels, read_weights
from secure_gal.estimator.listener import listener_of
from secure_gal.estimator.params import beyond_of, learners_of, settings_of, study_of
from secure_gal.learners.base import Learner
from secure_gal.settings.classes import Class
from secure_gal.settings.party import LearnerSettings
from secure_gal.settings.study import Study

if TYPE_CHECKING:
    from secure_gal.estimator.foretelling import Foretold

Array = npt.NDArray[np.float64]


class GAL(AfterFit):
    """Gradient Assisted Learning: parties that hold other columns of the same rows learn together.

    The first party is the sponsor, who has the labels. In every round it gives the others (the assistors) the
    pseudo-residual of its loss, each fits its own model to it on its own columns, and the sponsor weighs the fits
    (Diao, Ding and Tarokh, NeurIPS 2022). What runs here is a study of `secure-gal` with all parties in this process:
    the same roles, messages and ciphers, and therefore the same numbers, without machines and keys to set up. It is
    for research and teaching. **It protects nothing by itself**: one process holds everybody's columns. `manifest_` and
    `transcript_` say what a study between machines with these settings would show to whom.

    Parameters
    ----------
    task : {"classification", "regression"}
        What `score` is goes with it: accuracy, or R^2.
    loss : str
        "auto" (cross-entropy, or l2), or for a regression "l2", "l1", "huber", "quantile", "poisson", "gamma".
    rounds : int
        At most so many assistance rounds; `patience` without a better out-of-fold loss end them.
    learners : str, LearnerSettings, regressor, object, list or dict
        What a party fits to a residual: a kind by name ("linear", "gb", "svm", "mlp", "cnn", "lstm", "gru"), settings,
        a scikit-learn regressor, or an object with `fit(x, residual, seed)`. One for all, a list of one each, or a
        dictionary by party.
    parties : dict, list of str, or None
        For one table, whose columns are whose: `{"hospital": ["age"], "lab": ["hb", "wbc"]}`, places of columns for
        an array; columns that are nobody's take no part. For a list of blocks, the parties' names. The sponsor's first.
    weights : {"fitted", "uniform", "paper"}
        How fits are weighed: by values that have not seen the row, all alike, or by the paper's own rule.
    learning_rate : "search" or float
    validation : float
        Share of the rows that no fit sees.
    patience, seed : int
    quantile_level : float
        Of `loss="quantile"`.
    residuals : {"none", "rounded", "dp", "ip", "ckks"}
        What assistors see of the residual: all of it, one of few levels, one of labels that were released once with
        differential privacy (`epsilon`; `classes` or `label_range`) or as intervals, or ciphertexts.
    predictions : {"none", "noise", "sum"}
        What the sponsor sees of a fit: all of it, a clipped one with noise (`noise`, `clip`), or sums of all alone.
    parameters : {"standard", "strict"}
        The CKKS parameter set; "strict" has a ring of 192-bit security, and takes more time and bytes.
    ids : {"clear", "psi"}
        Whether rows are matched by a private set intersection. It changes no result, and takes time.
    epsilon, classes, label_range, noise, clip, aggregator
        As in `[protect]` of study.toml.
    beyond : dict or None
        Limits that every party goes beyond, by name with the number accepted instead: `{"sums": 2.0}`.
    keep_messages : bool
        Whether `transcript_` holds the messages themselves, for attacks, and not only what they were.
    verbose : int
        1 prints a line a round, 2 everything that happens at any party.

    Attributes
    ----------
    classes_ : ndarray
        Of a classification.
    n_features_in_, feature_names_in_
        As in scikit-learn; of a list of blocks all columns, named "party: column" where all blocks are frames.
    history_ : list of RoundRecord
        Losses, metrics, learning rate and weights of each round. `n_rounds_` of them are kept.
    F_ : ndarray (N, K)
        Outputs of the training rows after the last round; `train_mask_` says which of them no fit has seen.
    evaluation_, calibration_, contributions_ : dict, list, list
        What it is worth with 95% intervals, beside the sponsor alone; whether probabilities are what they say; who
        helped how much. They are of out-of-fold values, or of the validation rows. Each makes a frame:
        `pandas.DataFrame(gal.contributions_)`. Empty where no row judges, and of one party.
    verdict_ : str; findings_ : list of str
        Whether assistance was worth it, in words, and what numbers alone do not show.
    transcript_ : list of dict
        Every message with its sender, receiver, kind, round, protection and bytes.
    manifest_ : str
        Who learns what in such a study.
    cost_ : dict
        Bytes by sender and receiver, and seconds by party and work.
    fitted_ : Fitted
        Every party's own state, as its run directory would hold it.

    Examples
    --------
    >>> import numpy as np
    >>> from secure_gal import GAL
    >>> rng = np.random.default_rng(0)
    >>> hospital, lab = rng.normal(size=(200, 2)), rng.normal(size=(200, 2))
    >>> y = np.where(hospital[:, 0] + lab[:, 0] > 0, "ill", "well")
    >>> gal = GAL(rounds=3, parties=["hospital", "lab"]).fit([hospital, lab], y)
    >>> gal.predict([hospital[:2], lab[:2]]).shape
    (2,)
    >>> gal.score([hospital, lab], y) > 0.9
    True
    >>> print(gal.verdict_.split(":")[0])
    better
    >>> sorted({(row["sender"], row["message"]) for row in gal.transcript_ if row["round"] == 1})
    [('hospital', 'residual'), ('lab', 'fitted')]

    One table for a search over settings; the columns of `parties` go to each party:

    >>> from sklearn.model_selection import cross_val_score
    >>> table = np.hstack([hospital, lab])
    >>> whole = GAL(rounds=2, parties={"hospital": [0, 1], "lab": [2, 3]})
    >>> bool(cross_val_score(whole, table, y, cv=2, scoring="roc_auc").mean() > 0.9)
    True
    """

    def __init__(
        self,
        task: str = "classification",
        loss: str = "auto",
        rounds: int = 10,
        learners: object = "linear",
        parties: object = None,
        weights: str = "fitted",
        learning_rate: str | float = "search",
        validation: float = 0.0,
        patience: int = 3,
        seed: int = 0,
        quantile_level: float = 0.5,
        residuals: str = "none",
        predictions: str = "none",
        parameters: str = "standard",
        ids: str = "clear",
        epsilon: float | None = None,
        classes: Sequence[Class] | None = None,
        label_range: tuple[float, float] | None = None,
        noise: float | None = None,
        clip: float = 1.0,
        aggregator: str | None = None,
        beyond: Mapping[str, float] | None = None,
        keep_messages: bool = False,
        verbose: int = 0,
    ) -> None:
        self.task, self.loss, self.rounds, self.learners, self.parties = task, loss, rounds, learners, parties
        self.weights, self.learning_rate, self.validation = weights, learning_rate, validation
        self.patience, self.seed, self.quantile_level = patience, seed, quantile_level
        self.residuals, self.predictions, self.parameters, self.ids = residuals, predictions, parameters, ids
        self.epsilon, self.classes, self.label_range = epsilon, classes, label_range
        self.noise, self.clip, self.aggregator, self.beyond = noise, clip, aggregator, beyond
        self.keep_messages, self.verbose = keep_messages, verbose

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        if classifies(self):
            tags.estimator_type, tags.classifier_tags = "classifier", ClassifierTags()
        else:
            tags.estimator_type, tags.regressor_tags = "regressor", RegressorTags()
        tags.target_tags.required = True
        tags.input_tags.allow_nan = tags.input_tags.string = tags.input_tags.categorical = True
        return tags

    def fit(self, X: object, y: object, sample_weight: object = None) -> GAL:
        """Learn from X of N rows and labels y (N,).

        Args:
            X: a list of one block a party, or one table whose columns `parties` divides. Frames of pandas or polars may
                hold categories, dates and missing values; they are joined by a column `id`, else by their index.
                Arrays hold numbers; (N, L, d) are series, (N, C, H, W) images.
            y, sample_weight: (N,); of pandas, by the index of the first block where that has no column `id`. Weights
                are 0 or more; rows of weight 0 take no part.

        Raises:
            ParameterError, InputError: name what is not accepted; both are ValueErrors.
            ConsentError: a party's limit is reached (`beyond`).
        """
        for name in [name for name in vars(self) if name.endswith("_")]:
            delattr(self, name)  # nothing of an earlier fit outlives one that fails
        with in_words_of_the_caller():
            blocks = read_blocks(X, self.parties, checked_by(self, X, reset=True))
            labels = read_labels(y, "classification" if classifies(self) else "regression", blocks[0])
            weights = read_weights(sample_weight, blocks[0])
            self._learn(blocks, labels, weights)
            remember_features(self, X, blocks)
        return self

    def forecast(self, X: object, y: object, sample_weight: object = None) -> Foretold:
        """What `fit` of the same arguments will take, from two seconds of every party's own work; nothing is learnt.

        Returns:
            For all rounds: `bytes` by (sender, receiver), as in `cost_`; `seconds` of CPU by (party, work), messages
            at the price of a study between machines; `budgets`, what is taken and of how much.

        Raises:
            ParameterError, InputError: as `fit`.
        """
        from secure_gal.estimator.foretelling import foretell

        with in_words_of_the_caller():
            blocks = read_blocks(X, self.parties, checked_by(copy.copy(self), X, reset=True))  # this one stays unfitted
            labels = read_labels(y, "classification" if classifies(self) else "regression", blocks[0])
            study, blocks, target = self._study(blocks, labels, read_weights(sample_weight, blocks[0]))
            if len(blocks) == 1:
                return {"bytes": {}, "seconds": {}, "budgets": {}}  # as cost_ of one party
            names = [block.party for block in blocks]
            learners = learners_of(self.learners, names, study.protect.encrypted)
            return foretell(study, blocks, self._chosen(study, blocks, learners), target)

    def _study(self, blocks: list[Block], labels: Labels, weights: Array | None) -> tuple[Study, list[Block], Target]:
        """The study, and the rows that take part in it."""
        column = labels.column
        if weights is not None and not weights.all():
            taken = np.flatnonzero(weights)
            blocks, weights = [block.taken(taken) for block in blocks], weights[taken]
            column = [column[i] for i in taken.tolist()]
        names = [block.party for block in blocks]
        study = study_of(self.get_params(deep=False), names, labels.outputs, weights is not None)
        return study, blocks, Target(column, weights)

    def _learn(self, blocks: list[Block], labels: Labels, weights: Array | None) -> None:
        study, blocks, target = self._study(blocks, labels, weights)
        learners = learners_of(self.learners, [block.party for block in blocks], study.protect.encrypted)
        listener = listener_of(self.verbose)
        if len(blocks) == 1:
            fitted = learn_alone(study, blocks[0], *_both(learners[0], blocks[0]), target, listener.warn)
            found = results.of_one(fitted)
        else:
            chosen_by = self._chosen(study, blocks, learners)
            learnt = learn(study, blocks, chosen_by, target, listener)
            fitted, found = learnt.fitted, results.of_several(learnt, bool(self.keep_messages))
        coded = predicting.encoder_and_codec(fitted)[1].classes
        if classifies(self):
            self.classes_, self._columns_ = labels.classes, class_columns(labels.classes, coded)
        for name, value in found.items():
            setattr(self, name, value)
        self.fitted_ = fitted

    def _chosen(
        self, study: Study, blocks: Sequence[Block], learners: Sequence[LearnerSettings | Learner]
    ) -> dict[str, Chosen]:
        return {
            block.party: Chosen(*_both(learner, block), beyond_of(self.beyond, study, block.party))
            for block, learner in zip(blocks, learners, strict=True)
        }


def _both(learner: LearnerSettings | Learner, block: Block) -> tuple[LearnerSettings, Learner | None]:
    """Settings and object of a party's learner; a party without columns has none."""
    if not block.inner or not block.inner[0]:
        return LearnerSettings(kind="none"), None
    settings = settings_of(learner)
    return settings, None if settings is learner else learner  # type: ignore[return-value]
