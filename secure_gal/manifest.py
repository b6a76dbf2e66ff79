"""The manifest: the readable form of a study, with one table of who learns what.

The table is generated from the study's settings, never written by hand.
"""

from __future__ import annotations

from collections.abc import Mapping

from secure_gal import __version__
from secure_gal.protection.disclosure import Disclosure
from secure_gal.settings.digest import VERSION
from secure_gal.settings.study import Study


def who_learns_what(study: Study) -> tuple[Disclosure, ...]:
    """Every message kind that carries data about persons, and what its receiver can infer from it."""
    private = study.protect.ids == "psi"
    rounds = _encrypted_rounds(study) if study.protect.encrypted else _clear_rounds(study)
    if study.protect.summed:
        from secure_gal.protection.sums.manifest import summed_rounds

        rounds = summed_rounds(study, rounds)
    return (*(_private_alignment(study) if private else _clear_alignment()), *rounds)


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


def _clear_rounds(study: Study) -> tuple[Disclosure, ...]:
    noised, how, blurred = "", "clear", ""
    if study.protect.noise is not None:
        noised, blurred = "noised-", ", blurred by the noise, which averages out over rounds"
        how = f"clipped to {study.protect.clip:g}, Gaussian noise of deviation {study.protect.noise:g}; no epsilon"
    functions = "released labels" if study.protect.privatised else "labels"
    return (
        _privatised_residual(study) if study.protect.privatised else _clear_residual(study),
        Disclosure(
            f"{noised}fitted",
            "assistor",
            "sponsor",
            "fitted values of all rows, every round",
            how,
            f"{_FITTED}{blurred}",
            readable=True,
        ),
        Disclosure(
            "finish",
            "sponsor",
            "assistor",
            "eta * w of the kept rounds",
            "clear",
            f"how much the assistor helped, and functions of the {functions}",
        ),
        Disclosure(
            f"{noised}predict-reply",
            "assistor",
            "sponsor",
            "its part of each prediction",
            how,
            f"{_PART}{blurred}",
            readable=True,
        ),
    )


def _clear_residual(study: Study) -> Disclosure:
    label = "class" if study.task == "classification" else "target value"
    return Disclosure(
        "residual",
        "sponsor",
        "assistor",
        "pseudo-residual of the training rows, every round",
        "clear",
        f"the labels of all training rows: the first residual shows each row's {label}",
    )


def _privatised_residual(study: Study) -> Disclosure:
    from secure_gal.holdings.privatised import label_scheme

    epsilon = study.protect.epsilon
    worth = "of each target one interval, below or above a random threshold; no epsilon is claimed"
    if epsilon is not None:
        worth = f"of each label at most what epsilon {epsilon:g} allows, for all rounds and runs together"
    return Disclosure(
        "privatised-residual",
        "sponsor",
        "assistor",
        "pseudo-residual of the training rows, every round",
        f"privatised ({label_scheme(study.protect).statement})",
        worth,
        readable=True,
    )


_FITTED = "the assistor's features: a single column up to scale in round 1, p columns after ~p/K rounds"
_PART = "a function of the new rows' features, and which ids the assistor holds"


def _encrypted_rounds(study: Study) -> tuple[Disclosure, ...]:
    how = f"CKKS {study.protect.parameters}, the sponsor's key"
    flooded = f"{how}; re-randomised and flooded"
    return (
        Disclosure(
            "features",
            "assistor",
            "sponsor",
            "the width of its feature map, rounded up to a power of two",
            "clear",
            "the size class of the assistor's model",
        ),
        Disclosure(
            "encrypted-residual",
            "sponsor",
            "assistor",
            "pseudo-residual of the training rows, every round",
            how,
            "nothing about a label while CKKS is secure: every agreed round is run, kept or not",
        ),
        Disclosure(
            "encrypted-fitted",
            "assistor",
            "sponsor",
            "fitted values of all rows, every round",
            flooded,
            f"after decryption, {_FITTED}; nothing more of its data from the ciphertexts",
            readable=True,
        ),
        Disclosure(
            "encrypted-finish",
            "sponsor",
            "assistor",
            "R_m = sum of eta * w * residual over the kept rounds",
            how,
            "nothing: no weight, no learning rate, not how many rounds were kept",
        ),
        Disclosure(
            "encrypted-predict-reply",
            "assistor",
            "sponsor",
            "its part of each prediction",
            flooded,
            f"after decryption, {_PART}",
            readable=True,
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
        f"weights    {study.weights}; learning rate {rate}; validation {study.validation:g} of the rows; "
        f"patience {study.patience} rounds, {study.patience_seconds:g} s; seed {study.seed}",
        f"protected  ids: {study.protect.ids}; residuals: {study.protect.residuals}; "
        f"predictions: {study.protect.predictions}",
        f"rows       {study.rows}; ids compared as {study.form or 'written'}; at most {study.max_ids:,} ids a party "
        f"and alignment, {study.max_queries:,} asked about in all runs on an assistor's data",
        *_parameter_lines(study),
        "",
        "Who learns what (channels are encrypted and authenticated; this is what the RECEIVER sees)",
    ]
    for item in who_learns_what(study):
        lines.append(f"- {item.message}: {item.sender} -> {item.receiver}, {item.protection}: {item.content}.")
        lines.append(f"    the {item.receiver} can infer: {item.inference}.")
    return "\n".join(lines)


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
