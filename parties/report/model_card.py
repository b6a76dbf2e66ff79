"""model_card.json: what a person who is handed this model must know of it (Mitchell et al., Model Cards, FAT* 2019).

It names columns of the sponsor's own table, and neither a row's value nor a level of any column.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Final

import msgspec

from parties.report.summary import Found, Group, Summary, Worth
from parties.run.learnt_from import LearntFrom
from secure_gal.gal.verdict import Finding
from secure_gal.manifest import who_learns_what
from secure_gal.settings.study import Study

CARD = "model_card.json"
FORMAT = 1
Row = Mapping[str, object]
TOLD: Final = ("rows", "of", "worth", "metrics", "own_model", "threshold", "rule", "confusion", "calibration_error")
"""Of what a study is worth; groups and curves are left out."""
MEASURES: Final = ("selected", "found", "auc", "gap")
LIMITS = (
    "Intervals are over the rows that were measured: of another split, another seed, another year or another hospital "
    "they say nothing.",
    "Numbers are about rows that parties had in common, as their tables were then: hold new tables against them with "
    "`secure-gal drift`, at every party.",
    "A prediction needs every assistor: what one does not know of a row is left out of it, and the column `missing` of "
    "the predictions file names who.",
    "Weights and differences say what predicts, not what causes.",
    "What each message reveals is in `who_learns_what`; what is not defended against, in docs/THREAT_MODEL.md.",
)


def model_card(summary: Summary, study: Study, protections: Mapping[str, str], learnt: LearntFrom, schema: str) -> Row:
    """The card of a finished study.

    Args:
        summary: what summary.json holds.
        protections: as the report shows them.
        learnt: what the sponsor remembers of its table; its digests are keyed by a secret of the run directory.
        schema: digest of the sponsor's schema; empty where its data have none.
    """
    evaluation = summary["evaluation"]
    return {
        "format": FORMAT,
        "model": {
            "study": study.name,
            "study_digest": summary["digest"],
            "run": summary["run"],
            "parties": list(study.parties),
            "task": study.task,
            "loss": study.loss_name,
            "weights": study.weights,
            "rounds_kept": summary["kept"],
            "sponsors_learner": {k: v for k, v in summary["computing"].items() if k in ("kind", "features", "values")},
        },
        "data": {
            "rows": {name: count for name, count in summary["rows"].items() if isinstance(count, int)},
            "sponsors_table_digest": hashlib.sha256(msgspec.json.encode(learnt)).hexdigest(),
            "sponsors_columns": {
                name: {"holds": held, "digest": learnt.values[name]} for name, held in learnt.columns.items()
            },
            "sponsors_schema_digest": schema or None,
        },
        "protections": dict(protections),
        "who_learns_what": [asdict(line) for line in who_learns_what(study)],
        "worth": None if evaluation is None else _worth(evaluation),
        "limits": [*_of_this_study(summary), *LIMITS],
        "versions": summary["versions"],
    }


def _worth(evaluation: Worth) -> Row:
    """Metrics, and of groups how far apart they are: their names are levels."""
    columns = dict.fromkeys(group["column"] for group in evaluation["groups"])
    groups = {column: _apart([g for g in evaluation["groups"] if g["column"] == column]) for column in columns}
    return {key: evaluation[key] for key in TOLD} | {"groups": groups}


def _apart(groups: Sequence[Group]) -> Row:
    """Largest less smallest of each measure, among groups large enough to be measured."""
    measured = [group for group in groups if group["selected"] is not None]
    spread: dict[str, float | None] = {}
    for name in MEASURES:
        known = [of["value"] for g in measured if (of := g[name]) is not None and of["value"] is not None]
        spread[name] = max(known) - min(known) if len(known) > 1 else None
    return {"groups": len(groups), "measured": len(measured), "largest_less_smallest": spread}


def _of_this_study(summary: Summary) -> list[str]:
    evaluation = summary["evaluation"]
    first = ["No row says what this model is worth: every row was fitted."]
    if evaluation is not None:
        first = [evaluation["worth"]]
    return [*first, *(_without_level(finding) for finding in summary["findings"])]


def _without_level(finding: Found) -> str:
    """A class is a level of the label."""
    of_class = finding["kind"].startswith("class-")
    if not of_class:
        return finding["text"]
    return msgspec.convert({"kind": finding["kind"], "about": "(of the label)"}, Finding).text
