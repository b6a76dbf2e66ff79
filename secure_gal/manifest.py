"""The manifest: the readable form of a study, with one table of who learns what.

The table is generated from the study's settings, never written by hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from secure_gal.study import Study


@dataclass(frozen=True, slots=True)
class Disclosure:
    """One line of who-learns-what."""

    message: str
    sender: str
    receiver: str
    content: str
    protection: str
    inference: str


def who_learns_what(study: Study) -> tuple[Disclosure, ...]:
    """Every message kind that carries data about persons, and what its receiver can infer from it."""
    label = "class" if study.task == "classification" else "target value"
    return (
        Disclosure("ids", "assistor", "sponsor", "all ids of its table", "clear",
                   "every entity the assistor holds, in common or not"),
        Disclosure("rows", "sponsor", "assistor", "which of its ids take part, and which validate", "clear",
                   "which of its entities every other party holds too"),
        Disclosure("residual", "sponsor", "assistor", "pseudo-residual of the training rows, every round",
                   "clear", f"the labels of all training rows: the first residual shows each row's {label}"),
        Disclosure("fitted", "assistor", "sponsor", "fitted values of all rows, every round", "clear",
                   "the assistor's features: a single column up to scale in round 1, p columns after ~p/K rounds"),
        Disclosure("finish", "sponsor", "assistor", "eta * w of the kept rounds", "clear",
                   "how much the assistor helped, and functions of the labels"),
        Disclosure("predict-request", "sponsor", "assistor", "ids to predict", "clear", "who is being scored"),
        Disclosure("predict-reply", "assistor", "sponsor", "its part of each prediction", "clear",
                   "a function of the new rows' features, and which ids the assistor holds"),
    )  # fmt: skip


def manifest(study: Study, fingerprints: Mapping[str, str]) -> str:
    """Plain text of everything a security officer signs off: parties and keys, settings, who learns what."""
    lines = [f"study      {study.name}", f"digest     {study.digest(fingerprints)}", ""]
    for name in study.parties:
        role = "sponsor" if name == study.sponsor else "assistor"
        lines.append(f"{role:<10} {name:<16} {fingerprints[name]}")
    rate = study.learning_rate
    lines += [
        "",
        f"task       {study.task}, loss {study.loss_name}, at most {study.rounds} rounds",
        f"weights    {study.weights}; learning rate {rate}; validation {study.validation:g} of the rows; "
        f"patience {study.patience} rounds, {study.patience_seconds:g} s; seed {study.seed}",
        f"protected  ids: {study.protect.ids}; residuals: {study.protect.residuals}; "
        f"predictions: {study.protect.predictions}",
        "",
        "Who learns what (channels are encrypted and authenticated; this is what the RECEIVER sees)",
    ]
    for item in who_learns_what(study):
        lines.append(f"- {item.message}: {item.sender} -> {item.receiver}, {item.protection}: {item.content}.")
        lines.append(f"    the {item.receiver} can infer: {item.inference}.")
    return "\n".join(lines)
