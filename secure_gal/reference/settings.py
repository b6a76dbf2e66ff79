"""The settings of `secure_gal.reference.gal.GAL`, checked before anything is learnt and by the rules of a study
file."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec
import numpy as np
import numpy.typing as npt

from crypto.names import NAME_PATTERN, NAME_RULE
from secure_gal.errors import DataError, SettingsError
from secure_gal.learners import encryptable
from secure_gal.learners.base import Learner
from secure_gal.learners.trees import EstimatorLearner
from secure_gal.settings.checks import check_study
from secure_gal.settings.explanations import RETIRED
from secure_gal.settings.load import convert
from secure_gal.settings.party import LearnerSettings
from secure_gal.settings.study import Protect, Study

WHERE = Path("GAL")
"""Stands in messages where a study's file name would."""
ACCEPTED = (
    "a kind by name, LearnerSettings, a scikit-learn regressor, or an object with fit(x, residual, seed) that returns "
    "one with predict(x)"
)


def checked_study(residuals: str, parameters: str, **shared: Any) -> Study:
    """The settings as a study, by the rules of study.toml; numpy's scalars become Python's.

    Args:
        shared: fields of `Study` under their own names. Who takes part is left to `checked_names`: here a party may be
            alone, and nobody dials an address.

    Raises:
        SettingsError: names the argument and what is accepted.
    """
    given = {name: value.item() if isinstance(value, np.generic) else value for name, value in shared.items()}
    hints = get_type_hints(Study)
    for argument in ("task", "loss", "weights"):
        _one_of(argument, given[argument], get_args(hints[argument]))
    _one_of("parameters", parameters, get_args(get_type_hints(Protect)["parameters"]), "protect.parameters")
    _one_of("residuals", residuals, ("none", "ckks"))
    rate = given["learning_rate"]
    if isinstance(rate, str) and rate != "search":
        raise SettingsError("learning_rate", f"{rate!r}; accepted: 'search' or a number above 0")
    placeholders = {"name": "reference", "sponsor": "a", "assistors": ["b"], "address": "tcp://nowhere:1"}
    protect = {"residuals": residuals, "parameters": parameters}
    study = convert(placeholders | given | {"protect": protect}, Study, WHERE)
    check_study(study, WHERE)
    return study


def with_outputs(study: Study, outputs: int) -> Study:
    """The study whose labels take so many outputs, which a study file would have to say.

    Raises:
        SettingsError: more than a study may have.
    """
    study = msgspec.structs.replace(study, outputs=outputs)
    check_study(study, WHERE)
    return study


def _one_of(argument: str, value: object, accepted: tuple[str, ...], place: str = "") -> None:
    """`place` is that of the setting in study.toml."""
    if isinstance(value, str) and (place, value) in RETIRED:
        raise SettingsError(argument, f"{value!r}; {RETIRED[place, value]}")
    if not isinstance(value, str) or value not in accepted:
        raise SettingsError(argument, f"{value!r}; accepted: {', '.join(map(repr, accepted))}")


def checked_names(names: Sequence[str] | None, count: int) -> tuple[str, ...]:
    """One name a block, the sponsor's first; `party-0`, `party-1` and so on where none are given.

    Raises:
        SettingsError: a name that a study could not have, twice the same, or not one a block.
    """
    if names is None:
        return tuple(f"party-{m}" for m in range(count))
    if not isinstance(names, list | tuple) or len(names) != count:
        raise SettingsError("names", f"{names!r} for {count} blocks; accepted: a list of one name a block")
    for name in names:
        if not isinstance(name, str) or not NAME_PATTERN.fullmatch(name):
            raise SettingsError("names", f"{name!r}; accepted: {NAME_RULE}")
    if len(set(names)) < len(names):
        raise SettingsError("names", f"{names!r}; accepted: names that differ from each other")
    return tuple(names)


def checked_learners(learners: object, names: Sequence[str], encrypted: bool) -> list[Any]:
    """Settings or a `Learner` by party, from one for all or a list of one each.

    Raises:
        SettingsError: not one a party, nothing that can learn, or an assistor's that ciphertexts cannot fit.
    """
    several = list(learners) if isinstance(learners, list | tuple) else [learners] * len(names)
    if len(several) != len(names):
        raise SettingsError("learners", f"{len(several)} for {len(names)} blocks; accepted: one for all, or one each")
    chosen = [_check_learner(learner, f"learners ({name})") for learner, name in zip(several, names, strict=True)]
    if encrypted:
        for learner, name in zip(chosen[1:], names[1:], strict=True):
            _refuse_unencryptable(learner, f"learners ({name})")
    return chosen


def _refuse_unencryptable(learner: LearnerSettings | Learner, where: str) -> None:
    if not isinstance(learner, LearnerSettings):
        raise SettingsError(
            where,
            "an object must see the residual; accepted with residuals='ckks': 'linear', or "
            "LearnerSettings of it with any features",
        )
    if why := encryptable(learner):
        raise SettingsError(where, why)


def _check_learner(chosen: Any, where: str) -> LearnerSettings | Learner:
    """Settings of a learner by name, or a learner.

    Raises:
        SettingsError: nothing that can fit a pseudo-residual, a class instead of an object, or a classifier.
    """
    if isinstance(chosen, LearnerSettings):
        return chosen
    if isinstance(chosen, str):
        return LearnerSettings(kind=chosen)
    if isinstance(chosen, type):
        raise SettingsError(where, f"{chosen.__name__} is a class; accepted: an object of it, {chosen.__name__}()")
    if hasattr(chosen, "get_params"):
        return _adapted(chosen, where)
    try:
        inspect.signature(chosen.fit).bind("x", "residual", "seed")
    except (AttributeError, TypeError, ValueError) as error:
        why = f"{type(chosen).__name__} cannot fit a residual: {error}"
        raise SettingsError(where, f"{why}; accepted: {ACCEPTED}") from error
    return chosen  # type: ignore[no-any-return]


def _adapted(estimator: Any, where: str) -> Learner:
    from sklearn.base import BaseEstimator, clone, is_classifier

    if isinstance(estimator, BaseEstimator) and is_classifier(estimator):
        raise SettingsError(
            where,
            f"{type(estimator).__name__} is a classifier, and what a party fits is the "
            "pseudo-residual, a number, for any task; accepted: a regressor",
        )

    def fresh(seed: int) -> Any:
        open_ = [key for key, value in estimator.get_params().items() if key.endswith("random_state") and value is None]
        return clone(estimator).set_params(**dict.fromkeys(open_, seed))

    return EstimatorLearner(fresh)


@contextmanager
def of_party(name: str) -> Iterator[None]:
    """SettingsError of a fit says whose learner it was."""
    try:
        yield
    except DataError:
        raise
    except SettingsError as error:
        raise SettingsError(f"learners ({name})", error.problem) from error


def check_fitted(name: str, fitted: npt.NDArray[np.float32], rows: int, outputs: int) -> None:
    """SettingsError unless a party's own model answered with finite values (N, K)."""
    if fitted.shape != (rows, outputs):
        raise SettingsError(
            f"learners ({name})",
            f"predict returned shape {fitted.shape}; accepted: {(rows, outputs)}, one column for each of the residual",
        )
    if not np.isfinite(fitted).all():
        raise SettingsError(f"learners ({name})", "predict returned values that are infinite or not a number")
