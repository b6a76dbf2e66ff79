"""What a study and a party file may say: ranges, and settings that go together."""

from __future__ import annotations

import math
from pathlib import Path
from typing import get_args

from crypto.names import NAME_PATTERN, NAME_RULE
from secure_gal.errors import SettingsError
from secure_gal.settings.caps import MAX_FOLDS, MAX_OUTPUTS, MAX_ROWS
from secure_gal.settings.classes import class_of, outputs_of
from secure_gal.settings.party import PartySettings
from secure_gal.settings.report import ACCEPTED, BinaryMetric, ClassMetric, ReportSettings, TargetMetric, cut_of
from secure_gal.settings.study import MAX_ASSISTORS, MAX_ROUNDS, Protect, Study
from secure_gal.settings.workers import check_workers


def _require(ok: bool, path: Path, field: str, value: object, accepted: str) -> None:
    if not ok:
        raise SettingsError(str(path), f"`{field}` is {value!r}; accepted: {accepted}")


def check_study(study: Study, path: Path) -> None:
    """Refuse a value outside its range, or settings that do not go together; `path` is named in the error.

    Raises:
        SettingsError: names the field and what is accepted.
    """
    _require(bool(NAME_PATTERN.fullmatch(study.name)), path, "name", study.name, NAME_RULE)
    for field, names in (("sponsor", (study.sponsor,)), ("assistors", study.assistors)):
        for name in names:
            _require(bool(NAME_PATTERN.fullmatch(name)), path, field, name, NAME_RULE)
    count = len(study.assistors)
    _require(1 <= count <= MAX_ASSISTORS, path, "assistors", study.assistors, f"1 to {MAX_ASSISTORS} names")
    distinct = len(set(study.parties)) == len(study.parties)
    _require(distinct, path, "assistors", study.assistors, "names that differ from each other and the sponsor")
    _require(_is_tcp(study.address), path, "address", study.address, "tcp://HOST:PORT")
    _require(1 <= study.rounds <= MAX_ROUNDS, path, "rounds", study.rounds, f"1 to {MAX_ROUNDS}")
    rate = study.learning_rate
    rate_ok = rate == "search" or (isinstance(rate, float) and math.isfinite(rate) and 0 < rate <= 1000)
    _require(rate_ok, path, "learning_rate", rate, '"search" or a number above 0, at most 1000')
    _require(0 <= study.validation <= 0.5, path, "validation", study.validation, "0 to 0.5 (share of the rows)")
    _require(1 <= study.patience <= MAX_ROUNDS, path, "patience", study.patience, f"1 to {MAX_ROUNDS} rounds")
    seconds = study.patience_seconds
    _require(1 <= seconds <= 7 * 86400, path, "patience_seconds", seconds, "1 to 604800 seconds")
    most = MAX_ROWS
    _require(1 <= study.max_ids <= most, path, "max_ids", study.max_ids, f"1 to {most} ids a party and alignment")
    _require(
        study.max_queries >= 1, path, "max_queries", study.max_queries, "1 or more ids that an assistor is asked about"
    )
    gate = study.leakage_threshold
    _require(gate is None or 0 <= gate <= 1, path, "leakage_threshold", gate, "0 to 1, or nothing")
    _require(0 <= study.seed < 2**32, path, "seed", study.seed, "0 to 4294967295")
    _check_loss(study, path)
    _check_outputs(study, path)
    _check_protect(study, path)


def _check_loss(study: Study, path: Path) -> None:
    classifies, level = study.task == "classification", study.quantile_level
    fits = study.loss == "auto" or classifies == (study.loss == "cross_entropy")
    regression = "l2, l1, huber, quantile, poisson or gamma"
    accepted = f"{'cross_entropy' if classifies else regression} for task {study.task!r}, or auto"
    _require(fits, path, "loss", study.loss, accepted)
    if study.protect.privatised:
        why = f'with residuals = "{study.protect.residuals}": releases are corrected for these losses only'
        corrected = study.loss not in ("quantile", "poisson", "gamma")
        _require(corrected, path, "loss", study.loss, f"l2, l1 or huber {why}")
    quantile = study.loss == "quantile"
    _require(0.001 <= level <= 0.999, path, "quantile_level", level, "0.001 to 0.999")
    _require(quantile or level == 0.5, path, "quantile_level", level, 'nothing, unless loss = "quantile"')


def _check_outputs(study: Study, path: Path) -> None:
    most, classes = MAX_OUTPUTS, study.protect.classes
    if study.task == "regression":
        _require(study.k == 1, path, "outputs", study.k, "1 for a regression")
        return
    _require(
        study.k == 1 or 3 <= study.k <= most,
        path,
        "outputs",
        study.k,
        f"1 for two classes, which share one output, else the number of classes, at most {most}",
    )
    distinct = classes is None or len({class_of(label) for label in classes}) == len(classes)
    _require(distinct, path, "protect.classes", classes, 'classes that differ from each other; 1 and "1" are the same')
    named = outputs_of(len(classes)) if classes else study.k
    _require(study.k == named, path, "outputs", study.k, f"{named}, as [protect] classes names them; or leave it out")


def _check_protect(study: Study, path: Path) -> None:
    protect, classifies = study.protect, study.task == "classification"
    _require(
        study.row_weights == "equal" or not protect.privatised,
        path,
        "row_weights",
        study.row_weights,
        f'"equal" with residuals = "{protect.residuals}": a weight would scale the residual of whoever it belongs '
        "to, and say what the released label hides",
    )
    _check_released(protect, classifies, path)
    _check_noise(protect, path)
    _check_sum(study, path)


def _check_released(protect: Protect, classifies: bool, path: Path) -> None:
    """What is learnt from instead of the labels."""
    epsilon, range_ = protect.epsilon, protect.label_range
    dp, ip = protect.residuals == "dp", protect.residuals == "ip"
    _require(
        dp == (epsilon is not None), path, "protect.epsilon", epsilon, 'a number with residuals = "dp", else nothing'
    )
    _require(epsilon is None or 0.01 <= epsilon <= 20, path, "protect.epsilon", epsilon, "0.01 to 20")
    _require(
        not (ip and classifies),
        path,
        "protect.residuals",
        "ip",
        '"dp" for classification: half of the class labels would be named exactly by an interval',
    )
    needs = dp and classifies
    _require(
        needs == (protect.classes is not None),
        path,
        "protect.classes",
        protect.classes,
        'the list of all classes with residuals = "dp" and task = "classification", else nothing',
    )
    needs = protect.privatised and not classifies
    _require(
        needs == (range_ is not None),
        path,
        "protect.label_range",
        range_,
        '[low, high] with residuals = "dp" or "ip" and task = "regression", else nothing',
    )


def _check_noise(protect: Protect, path: Path) -> None:
    noise, noised = protect.noise, protect.predictions == "noise"
    _require(
        noised == (noise is not None), path, "protect.noise", noise, 'a number with predictions = "noise", else nothing'
    )
    positive = all(v is None or (math.isfinite(v) and v > 0) for v in (noise, protect.clip))
    _require(positive, path, "protect.noise", (noise, protect.clip), "noise and clip above 0")
    _require(
        not (noised and protect.encrypted),
        path,
        "protect.predictions",
        "noise",
        'residuals other than "ckks": an assistor cannot add noise to fitted values that it cannot see',
    )


def _check_sum(study: Study, path: Path) -> None:
    named = study.aggregator
    if not study.protect.summed:
        _require(not named, path, "aggregator", named, 'nothing, unless [protect] predictions = "sum"')
        return
    if len(study.assistors) < 2:
        raise SettingsError(
            str(path),
            f'`protect.predictions` is "sum" with the one assistor {study.assistors[0]}: a sum of one '
            'is the value itself, so it would hide nothing; accepted: two or more assistors, or "none"',
        )
    _require(named in ("", *study.assistors), path, "aggregator", named, f"one of {', '.join(study.assistors)}")
    _require(
        study.rows == "common",
        path,
        "rows",
        study.rows,
        '"common" with predictions = "sum": a row that fewer than two assistors hold would have a sum of one',
    )


def _check_weights(party: PartySettings, study: Study, path: Path) -> None:
    data, may = party.data, party.party == study.sponsor and study.row_weights == "sponsor"
    where = 'nothing; only for the sponsor of a study with row_weights = "sponsor"'
    _require(data.weight is None or may, path, "data.weight", data.weight, where)
    _require(data.class_weights is None or may, path, "data.class_weights", data.class_weights, where)
    other = data.weight is None or not (data.arrays or data.weight in (*data.ids, data.label))
    _require(other, path, "data.weight", data.weight, "a column of a table, other than id and label")
    if data.class_weights is None:
        return
    classifies = study.task == "classification"
    _require(classifies, path, "data.class_weights", data.class_weights, "nothing for a regression; use `weight`")
    numbers = () if isinstance(data.class_weights, str) else data.class_weights.values()
    positive = all(math.isfinite(v) and v > 0 for v in numbers)
    _require(positive, path, "data.class_weights", data.class_weights, "numbers above 0")


def _check_folds(party: PartySettings, study: Study, path: Path) -> None:
    folds = party.learner.folds
    ok = folds is None or 2 <= folds <= MAX_FOLDS
    _require(ok, path, "learner.folds", folds, f"2 to {MAX_FOLDS} models a round, or nothing: the learner's default")
    head = study.protect.encrypted and party.party != study.sponsor
    used = party.learner.kind != "none" and study.cross_fitted and not head
    which = 'a learner that is cross-fitted (not with weights = "paper", nor an assistor\'s with residuals = "ckks")'
    _require(folds is None or used, path, "learner.folds", folds, f"nothing; it is for {which}")


def _check_report(party: PartySettings, study: Study, path: Path) -> None:
    asked, sponsor = party.report, party.party == study.sponsor
    _require(sponsor or asked == ReportSettings(), path, "report", asked, "nothing: only a sponsor has results")
    two = study.task == "classification" and study.k == 1
    of_classes = (*(get_args(BinaryMetric) if two else ()), *get_args(ClassMetric))
    fit = get_args(TargetMetric) if study.task == "regression" else of_classes
    for name in asked.metrics or ():
        _require(name in fit, path, "report.metrics", name, f"for this study's task: {', '.join(fit)}")
    which = "a classification of two classes, which alone has"
    _require(two or not asked.groups, path, "report.groups", asked.groups, f"nothing; {which} a selection rate")
    _require(two or asked.threshold == 0.5, path, "report.threshold", asked.threshold, f"nothing; {which} a threshold")
    try:
        cut = cut_of(asked.threshold)
    except ValueError:
        raise SettingsError(str(path), f"`report.threshold` is {asked.threshold!r}; accepted: {ACCEPTED}") from None
    _require(
        isinstance(cut, float) or study.cross_fitted,
        path,
        "report.threshold",
        asked.threshold,
        'a number with weights = "paper", which has no out-of-fold values to choose one on',
    )


def _is_tcp(address: str) -> bool:
    host, _, port = address.removeprefix("tcp://").rpartition(":")
    return address.startswith("tcp://") and bool(host) and port.isdigit() and 1 <= int(port) <= 65535


def _check_party(party: PartySettings, study: Study, path: Path) -> None:
    several, data = not isinstance(party.data.id, str), party.data
    if data.source:
        _require(bool(data.query.strip()), path, "data.query", data.query, "one SELECT, with `source`")
    else:
        _require(data.path != path.resolve().parent, path, "data.path", "", "a file, or `source` and `query`")
        _require(not data.query, path, "data.query", data.query, "nothing without `source`")
    _require(
        not several or study.protect.ids == "psi",
        path,
        "data.id",
        party.data.id,
        'one column; several make an id together only with ids = "psi"',
    )
    _require(bool(party.data.id), path, "data.id", party.data.id, "a column, or a list of columns")
    _require(party.party in study.parties, path, "party", party.party, f"one of {', '.join(study.parties)}")
    kind, fresh = party.learner.kind, party.learner.fresh_features
    _require(not fresh or kind != "none", path, "learner.fresh_features", fresh, 'false with kind "none"')
    check_workers(party.learner, path)
    _check_folds(party, study, path)
    _check_report(party, study, path)
    _check_weights(party, study, path)
    if party.party == study.sponsor:
        bind = party.bind
        _require(bind is not None and _is_tcp(bind), path, "bind", bind, "tcp://*:PORT (the sponsor's one port)")
        label = party.data.label
        _require(label is not None, path, "data.label", label, "the sponsor's label column")
        for field in ("address", "proxy", "max_rows"):
            _require(getattr(party, field) is None, path, field, getattr(party, field), "only for an assistor")
        return
    _require(party.bind is None, path, "bind", party.bind, "only for the sponsor; an assistor opens no port")
    _require(party.data.label is None, path, "data.label", party.data.label, "only for the sponsor")
    _require(kind != "none", path, "learner.kind", kind, "a learner; only a sponsor may go without")
    for field in ("address", "proxy"):
        value = getattr(party, field)
        ok = value is None or _is_tcp(value if field == "address" else f"tcp://{value}")
        _require(ok, path, field, value, "tcp://HOST:PORT" if field == "address" else "HOST:PORT (SOCKS5)")
    cap = party.max_rows
    _require(cap is None or cap >= 1, path, "max_rows", cap, "1 or more rows")
