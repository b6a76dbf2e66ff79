"""The manifest: the readable form of a study, with one table of who learns what.

The table is generated from the study's settings, never written by hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_never

from secure_gal import __version__, protection
from secure_gal.messages import MESSAGES, in_step_order
from secure_gal.protection.disclosure import Disclosure
from secure_gal.settings.digest import VERSION
from secure_gal.settings.study import Study


def who_learns_what(study: Study) -> tuple[Disclosure, ...]:
    """Every message kind that carries data about persons, and what its receiver can infer from it."""
    private = study.protect.ids == "psi"
    rounds = (*protection.residual_mode(study).lines(study), *protection.fitted_mode(study).lines(study))
    return (*(_private_alignment(study) if private else _clear_alignment()), *sorted(rounds, key=_step))


def _step(item: Disclosure) -> int:
    """Where a message comes in the protocol."""
    return in_step_order(MESSAGES).index(item.message)


def _clear_alignment() -> tuple[Disclosure, ...]:
    return (
        Disclosure(
            "ids",
            "assistor",
            "sponsor",
            "all ids of its table",
            "clear",
            "every entity the assistor holds, in common or not",
        ),
        Disclosure(
            "rows",
            "sponsor",
            "assistor",
            "which of its ids take part, and which validate",
            "clear",
            "which of its entities every other party holds too",
        ),
        Disclosure("predict-request", "sponsor", "assistor", "ids to predict", "clear", "who is being scored"),
    )


def _private_alignment(study: Study) -> tuple[Disclosure, ...]:
    masked = "psi (each id masked by a secret scalar of this run, in a secret order)"
    takes_part = "the sponsor and every other party hold" if study.rows == "common" else "the sponsor holds"
    return (
        Disclosure(
            "masked-ids",
            "assistor",
            "sponsor",
            "all ids of its table, for learning and for each prediction batch",
            masked,
            "how many ids the assistor holds; not which",
        ),
        Disclosure(
            "masked-query",
            "sponsor",
            "assistor",
            f"the sponsor's ids, at most {study.max_ids:,} at once",
            masked,
            "how many ids the sponsor asks about; not which",
        ),
        Disclosure(
            "tags",
            "assistor",
            "sponsor",
            f"the answer, for at most {study.max_queries:,} ids in all runs",
            masked,
            "which of the sponsor's ids this assistor holds (every pairwise intersection, not only the "
            "common one); a sponsor that invents ids can test that many for membership",
        ),
        Disclosure(
            "rows",
            "sponsor",
            "assistor",
            "which of its ids take part, and which validate",
            "clear",
            f"which of its entities {takes_part} too",
        ),
        Disclosure(
            "predict-rows",
            "sponsor",
            "assistor",
            "which of its ids are to be predicted",
            "clear",
            "who of its own entities is being scored",
        ),
    )


def manifest(study: Study, fingerprints: Mapping[str, str]) -> str:
    """Plain text of everything a security officer signs off: parties and keys, settings, who learns what."""
    lines = [
        f"study      {study.name}",
        f"digest     {study.digest(fingerprints)} (version {VERSION}, secure-gal {__version__})",
        "",
    ]
    for name in study.parties:
        role = "sponsor" if name == study.sponsor else "assistor"
        lines.append(f"{role:<10} {name:<16} {fingerprints[name]}")
    rate = study.learning_rate
    lines += [
        "",
        f"task       {study.task}, K = {study.k}, loss {study.loss_name}, at most {study.rounds} rounds",
        f"weights    {study.weights}, on {_values(study)}; learning rate {rate}; {study.validation:g} of the rows held "
        f"out; patience {study.patience} rounds, {study.patience_seconds:g} s; seed {study.seed}",
        f"protected  ids: {study.protect.ids}; residuals: {study.protect.residuals}; "
        f"predictions: {study.protect.predictions}",
        f"rows       {study.rows}; ids compared as {study.form or 'written'}; at most {study.max_ids:,} ids a party "
        f"and alignment, {study.max_queries:,} asked about in all runs on an assistor's data",
        *_weight_lines(study),
        *_parameter_lines(study),
        "",
        "Who learns what (channels are encrypted and authenticated; this is what the RECEIVER sees)",
    ]
    for item in who_learns_what(study):
        lines.append(f"- {item.message}: {item.sender} -> {item.receiver}, {item.protection}: {item.content}.")
        lines.append(f"    the {item.receiver} can infer: {item.inference}.")
    return "\n".join(lines)


def _values(study: Study) -> str:
    return "values from fits that have not seen the row" if study.cross_fitted else "fitted values"


def _weight_lines(study: Study) -> list[str]:
    match study.row_weights:
        case "equal":
            return []
        case "sponsor":
            return [
                "weighted   rows weigh what the sponsor says, which it tells nobody; whoever sees a residual sees it "
                "times the weight of its row, and in round 1 of a classification the weight itself, but for a factor"
            ]
        case _:
            assert_never(study.row_weights)


def _parameter_lines(study: Study) -> list[str]:
    if not study.protect.keyed:
        return []
    from crypto.ckks.sets import named

    params = named(study.protect.parameter_set)
    lines = [
        f"ckks       {params.describe()}",
        "released   predictions must not be shown to whoever computed them: parties that follow the protocol face "
        f"{params.secrecy} bits, but one that forges a single reply reads the sponsor's key, and with it every label, "
        f"from about {params.n:,} values that it is shown",
    ]
    if study.protect.summed:
        from secure_gal.protection.sums.weights import W_MIN
        from secure_gal.settings.limits import LIMIT, OWN_LIMIT

        lines.append(
            f"sums       by {study.adder}, who holds no key; weights by least squares, at least {W_MIN:g} for two of "
            f"the assistors; at most {LIMIT:g} of them (T*K) for each feature of all assistors, {OWN_LIMIT:g} for each "
            f"of one's own; an assistor goes beyond either only by name, and its ledger says so"
        )
    return lines
