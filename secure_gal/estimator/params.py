"""The estimator's parameters as a study and as learners, by the rules of the settings files."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

import numpy as np

from crypto.names import NAME_PATTERN, NAME_RULE
from secure_gal.errors import SettingsError
from secure_gal.learners import encryptable
from secure_gal.learners.base import Learner
from secure_gal.learners.trees import EstimatorLearner
from secure_gal.settings.checks import check_study
from secure_gal.settings.explanations import RETIRED
from secure_gal.settings.limits import Beyond, beyond_problem, limits_of
from secure_gal.settings.load import convert
from secure_gal.settings.party import LearnerSettings
from secure_gal.settings.study import Protect, Study

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

WHERE = Path("GAL")
"""Stands in messages where a study's file name would."""
NOBODY = "nobody"
"""Stands in the settings of a party that learns alone, where a study has an assistor; it has no role."""
SHARED = ("task", "loss", "rounds", "weights", "learning_rate", "validation", "patience", "seed", "quantile_level")
PROTECT = ("ids", "residuals", "predictions", "parameters", "epsilon", "classes", "label_range", "noise", "clip")
"""Parameters that are fields of `Study` and of `Protect` under their own names."""
ACCEPTED = (
    "a kind by name, LearnerSettings, a scikit-learn regressor, or an object with fit(x, residual, seed) that returns "
    "one with predict(x)"
)


def study_of(given: Mapping[str, object], names: Sequence[str], outputs: int, weighted: bool) -> Study:
    """The parameters as a study, by the rules of study.toml; numpy's scalars become Python's.

    Args:
        given: the estimator's parameters.
        names: of the parties, the sponsor first.
        outputs: K.
        weighted: whether rows have weights.

    Raises:
        SettingsError: names the parameter and what is accepted.
    """
    plain = {name: _plain(given[name]) for name in (*SHARED, *PROTECT)}
    for kind, fields in ((Study, ("task", "loss", "weights")), (Protect, ("residuals", "predictions", "parameters"))):
        hints = get_type_hints(kind)
        for name in fields:
            _one_of(name, plain[name], get_args(hints[name]))
    rate = plain["learning_rate"]
    if isinstance(rate, str) and rate != "search":
        raise SettingsError("learning_rate", f"{rate!r}; accepted: 'search' or a number above 0")
    body = {name: plain[name] for name in SHARED} | {
        "name": "estimator",
        "address": "tcp://nowhere:1",
        "sponsor": names[0],
        "assistors": list(names[1:]) or [NOBODY],
        "aggregator": given["aggregator"] or "",
        "outputs": outputs,
        "row_weights": "sponsor" if weighted else "equal",
        "protect": {name: plain[name] for name in PROTECT},
    }
    study = convert(body, Study, WHERE)
    check_study(study, WHERE)
    return study


def _plain(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value


def _one_of(name: str, value: object, accepted: tuple[str, ...]) -> None:
    if isinstance(value, str) and (retired := RETIRED.get((f"protect.{name}", value))):
        raise SettingsError(name, f"{value!r}; {retired}")
    if not isinstance(value, str) or value not in accepted:
        raise SettingsError(name, f"{value!r}; accepted: {', '.join(map(repr, accepted))}")


def beyond_of(given: Mapping[str, float] | None, study: Study, name: str) -> Beyond:
    """The limits that party `name` goes beyond, of those that are asked for.

    Raises:
        SettingsError: a limit that no party of this study has, or a number that is not beyond it.
    """
    asked, limits = dict(given or {}), limits_of(study, name)
    known = {limit for party in study.parties for limit in limits_of(study, party)}
    if stray := sorted(asked.keys() - known):
        raise SettingsError("beyond", f"{stray[0]!r}; accepted in this study: {', '.join(sorted(known)) or 'none'}")
    found = {limit: float(stated) for limit, stated in asked.items() if limit in limits}
    for limit, stated in found.items():
        if problem := beyond_problem(limits[limit], stated):
            raise SettingsError("beyond", f"{limit!r}: {problem}")
    return found


def check_names(names: Sequence[str]) -> None:
    """SettingsError for names of parties that a study could not have."""
    for name in names:
        if not isinstance(name, str) or not NAME_PATTERN.fullmatch(name):
            raise SettingsError("parties", f"{name!r}; accepted: {NAME_RULE}")
    if len(set(names)) < len(names):
        raise SettingsError("parties", f"{list(names)!r}; accepted: names that differ from each other")


def learners_of(given: object, names: Sequence[str], encrypted: bool) -> list[LearnerSettings | Learner]:
    """Settings or a `Learner` by party, from one for all, a list of one each, or a dictionary by name.

    Raises:
        SettingsError: not one a party, nothing that can learn, or an assistor's that ciphertexts cannot fit.
    """
    if isinstance(given, Mapping):
        if stray := [name for name in given if name not in names]:
            raise SettingsError("learners", f"{stray[0]!r} is no party; accepted: {', '.join(names)}")
        given = [given.get(name, "linear") for name in names]
    several = list(given) if isinstance(given, list | tuple) else [given] * len(names)
    if len(several) != len(names):
        raise SettingsError("learners", f"{len(several)} for {len(names)} parties; accepted: one for all, or one each")
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


def _adapted(estimator: BaseEstimator, where: str) -> Learner:
    from sklearn.base import BaseEstimator, clone, is_classifier

    if isinstance(estimator, BaseEstimator) and is_classifier(estimator):
        raise SettingsError(
            where,
            f"{type(estimator).__name__} is a classifier, and what a party fits is the "
            "pseudo-residual, a number, for any task; accepted: a regressor",
        )

    def fresh(seed: int) -> BaseEstimator:
        open_ = [key for key, value in estimator.get_params().items() if key.endswith("random_state") and value is None]
        return clone(estimator).set_params(**dict.fromkeys(open_, seed))

    return EstimatorLearner(fresh)


def settings_of(learner: LearnerSettings | Learner) -> LearnerSettings:
    """What a party's file would say; of an object, that it is one of one's own."""
    if isinstance(learner, LearnerSettings):
        return learner
    return LearnerSettings(kind=f"python:{type(learner).__module__}:{type(learner).__name__}")
