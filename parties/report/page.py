"""report.html: one self-contained page about a finished run, for people: what came out, what it cost, who learned what.

The page loads nothing and runs nothing (its content security policy forbids both); every value is escaped by the
template engine. It is the sponsor's own: weights and learning rates are functions of the labels.
"""

from __future__ import annotations

import csv
import functools
import importlib.resources
import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import get_args

import jinja2
import msgspec

from parties.report.charts import Chart, line_chart, share_chart
from parties.report.foretold import shown
from parties.report.model_card import CARD
from parties.report.rounds import write_atomically
from parties.report.summary import Number, Summary, read
from parties.report.worth import by_column, interval, worth_charts
from parties.run.traffic import Counts
from secure_gal.errors import SettingsError
from secure_gal.manifest import who_learns_what
from secure_gal.messages import Phase, in_step_order, kinds_of
from secure_gal.protection.disclosure import Disclosure, in_the_clear
from secure_gal.settings.study import Study

TEMPLATE = "report.html.jinja"
REPORT = "report.html"
LOWER_IS_BETTER = frozenset({"mad"})
METRICS = {"auc": "AUC", "mad": "mean absolute deviation"}
EVIDENCE = {"held-out": "held-out rows", "out-of-fold": "out-of-fold values of training rows", None: "not measured"}
"""What `gal` and `alone` were measured on."""
UNPROTECTED = frozenset({"clear", "none"})
"""Values of a protection, in settings and in who-learns-what, that mean there is none."""

PHASES = {phase: in_step_order(kinds_of(phase)) for phase in get_args(Phase)}
"""Message kinds by the phase that their classes name, in the order of their steps."""
OTHER_PHASE = "Other"
SECONDS = {
    "total": "whole learning stage, waiting for parties included",
    "from_ready": "from the last party's greeting to the end",
    "cpu": "CPU seconds of the sponsor",
    "rounds": "all assistance rounds",
}

Row = Mapping[str, object]


def write_report(run_dir: Path, study: Study, audit: Row | None = None, leakage: Sequence[Row] | None = None) -> Path:
    """Write report.html beside the summary.json and rounds.csv of a finished run; returns its path.

    Args:
        audit, leakage: as for `render`.

    Raises:
        SettingsError: the run directory holds no results that can be read.
    """
    try:
        summary = read((run_dir / "summary.json").read_text(encoding="utf-8"))
        card = json.loads((run_dir / CARD).read_text(encoding="utf-8"))
        with (run_dir / "rounds.csv").open(encoding="utf-8", newline="") as file:
            rounds = list(csv.DictReader(file))
    except (OSError, ValueError) as error:
        raise SettingsError(str(run_dir), f"holds no results of a finished run: {error}") from error
    page = render(summary, rounds, who_learns_what(study), protections(study), audit, leakage, settings(study), card)
    write_atomically(run_dir / REPORT, page)
    return run_dir / REPORT


def protections(study: Study) -> dict[str, str]:
    """`[protect]` of a study as the report shows it: the modes, and the numbers that those modes use."""
    protect = study.protect
    shown: dict[str, str] = {"ids": protect.ids, "residuals": protect.residuals, "predictions": protect.predictions}
    if protect.keyed:
        shown["CKKS parameters"] = protect.parameter_set
    if protect.summed:
        shown["aggregator"] = study.adder
    if protect.epsilon is not None:
        shown["epsilon"] = f"{protect.epsilon:g}"
    if protect.label_range is not None:
        shown["label range"] = "{:g} to {:g}".format(*protect.label_range)
    if protect.noise is not None:
        shown["noise"] = f"deviation {protect.noise:g} on values clipped to {protect.clip:g}"
    return shown


def settings(study: Study) -> dict[str, str]:
    """The settings that shape the result, in words."""
    return {
        "task": f"{study.task}, loss {study.loss_name}",
        "rounds": f"at most {study.rounds}, patience {study.patience}",
        "weights": study.weights,
        "learning rate": str(study.learning_rate),
        "held out": f"{study.validation:g} of the rows, seed {study.seed}",
        "values of training rows": "from fits that have not seen them" if study.cross_fitted else "as fitted",
    }


def render(
    summary: Summary,
    rounds: Sequence[Row],
    disclosures: Sequence[Disclosure],
    protections: Mapping[str, str],
    audit: Row | None = None,
    leakage: Sequence[Row] | None = None,
    settings: Mapping[str, str] | None = None,
    card: Row | None = None,
) -> str:
    """The page as text.

    Args:
        summary: what summary.json holds; a number under `pooled`, if there is one, is shown beside `gal` and `alone`.
        rounds: the rows of rounds.csv, as numbers or as the texts that a CSV reader gives.
        audit: what `audit verify --json` prints (`ok`, then the verdict or the broken rule); None if not audited.
        leakage: one mapping an attack, all columns shown as they come; None if not measured.
        settings: name -> value of further settings for the header.
        card: what model_card.json holds.
    """
    page = _template().render(
        s=summary,
        parties=summary["parties"],
        settings=settings or {},
        protections=protections,
        disclosures=disclosures,
        audit=audit,
        leakage=leakage,
        leakage_columns=_columns(leakage or ()),
        metric=METRICS.get(summary["metric"], summary["metric"]),
        lower=summary["metric"] in LOWER_IS_BETTER,
        evidence=EVIDENCE[summary["judged"]],
        gain=_gain(summary),
        charts=_charts(summary, rounds),
        card=card,
        worth=summary.get("evaluation"),
        worth_charts=worth_charts(summary.get("evaluation")),
        by_column=by_column(summary.get("evaluation")),
        rounds=rounds,
        round_columns=_columns(rounds),
        times=_times(summary["seconds"]),
        computing=_computing(summary["computing"]),
        foretold=shown(summary.get("forecast")),
        traffic=_traffic(summary["bytes"]),
        links=_links(summary["bytes"]),
    )
    return page.encode("utf-8", "replace").decode()  # a path in a message may hold bytes that are no text


@functools.cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_source),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"show": _show, "size": _size, "words": _words, "interval": interval}
    environment.tests |= {"unprotected": UNPROTECTED.__contains__, "in_the_clear": in_the_clear}
    return environment.get_template(TEMPLATE)


def _source(name: str) -> str:
    return importlib.resources.files("parties.report").joinpath(name).read_text(encoding="utf-8")


def _charts(summary: Summary, rounds: Sequence[Row]) -> list[Chart]:
    name = METRICS.get(summary["metric"], summary["metric"])
    kept = int(summary["kept"])
    levels = {
        label: value
        for label, key in (("sponsor alone", "alone"), ("all data pooled", "pooled"))
        if (value := _number(summary.get(key))) is not None
    }

    def column(key: str) -> list[float | None]:
        return [_number(row.get(key)) for row in rounds]

    weights = {key.removeprefix("w_"): column(key) for key in _columns(rounds) if key.startswith("w_")}
    held_out = summary["judged"] != "out-of-fold"
    judged = column("valid_metric" if held_out else "train_metric")
    out_of_fold = any(record["out_of_fold"] for record in summary["history"])
    training = "out-of-fold values of the training rows" if out_of_fold else "training rows, as fitted"
    charts = (
        line_chart(f"{name}, {EVIDENCE[summary['judged']]}", {"GAL": judged}, levels, kept),
        line_chart("Loss", {training: column("train_loss"), "held-out rows": column("valid_loss")}, {}, kept),
        line_chart("Learning rate", {"eta": column("eta")}, {}, kept, from_zero=True),
        share_chart("Weights of the parties", weights, kept),
    )
    return [chart for chart in charts if chart]


def _gain(summary: Summary) -> float | None:
    """GAL against the sponsor alone, positive where GAL is better."""
    gal, alone = _number(summary["gal"]), _number(summary["alone"])
    if gal is None or alone is None:
        return None
    return alone - gal if summary["metric"] in LOWER_IS_BETTER else gal - alone


def _times(seconds: Mapping[str, Number | None]) -> list[tuple[str, float, float]]:
    """(what, seconds, share of the longest), the wall clock first and then the sponsor's own computing."""
    known = {name: value for name, value in seconds.items() if value is not None}
    longest = max(known.values(), default=0.0) or 1.0
    words = {name: SECONDS.get(name, f"the sponsor's computing: {name.removeprefix('sponsor_')}") for name in known}
    return [(words[name], value, value / longest) for name, value in known.items()]


def _computing(own: Mapping[str, object]) -> dict[str, str]:
    """The sponsor's own learner: what it is, where it ran, and the seconds of its parts."""
    shown = {name: str(own[name]) for name in ("kind", "features", "device", "precision", "values") if name in own}
    for name, seconds in msgspec.convert(own["seconds"], dict[str, Number | list[Number]]).items():
        if not isinstance(seconds, list):
            shown[f"seconds, {name}"] = str(seconds)
        elif seconds:
            shown[f"seconds, {name} of a round"] = f"{min(seconds):.3f} to {max(seconds):.3f}"
    return shown


def _traffic(counts: Counts) -> dict[str, list[tuple[str, int, int, float]]]:
    """Phase -> (message kind, bytes sent, bytes received, share of the largest kind)."""
    totals: dict[str, dict[str, int]] = {"sent": {}, "received": {}}
    for direction, peers in counts.items():
        for kinds in peers.values():
            for kind, size in kinds.items():
                totals[direction][kind] = totals[direction].get(kind, 0) + size
    sent, received = totals["sent"], totals["received"]
    sizes = {kind: sent.get(kind, 0) + received.get(kind, 0) for kind in sent | received}
    known = {kind for kinds in PHASES.values() for kind in kinds}
    phases = PHASES | {OTHER_PHASE: tuple(kind for kind in sizes if kind not in known)}
    largest = max(sizes.values(), default=0) or 1
    rows = {
        phase: [
            (kind, sent.get(kind, 0), received.get(kind, 0), sizes[kind] / largest) for kind in kinds if kind in sizes
        ]
        for phase, kinds in phases.items()
    }
    return {phase: kinds for phase, kinds in rows.items() if kinds}


def _links(counts: Counts) -> dict[str, tuple[int, int]]:
    """Peer -> bytes sent to it and received from it."""
    peers = sorted({peer for way in counts.values() for peer in way})
    sent, received = counts.get("sent", {}), counts.get("received", {})
    return {peer: (sum(sent.get(peer, {}).values()), sum(received.get(peer, {}).values())) for peer in peers}


def _columns(rows: Sequence[Row]) -> list[str]:
    """The keys of all rows, in the order in which they first appear."""
    return list(dict.fromkeys(key for row in rows for key in row))


def _number(value: object) -> float | None:
    """A finite number from a number or a CSV field; None for anything else."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _show(value: object) -> str:
    """A table cell: whole numbers grouped, others with four decimals or in powers of ten, None as a dash."""
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    number = _number(value)
    if number is None:
        return str(value)
    if re.fullmatch(r"-?[0-9]{1,18}", str(value)):
        return f"{int(str(value)):,}"
    return f"{number:.3g}" if 0 < abs(number) < 1e-3 or abs(number) >= 1e5 else f"{number:.4f}"


def _size(count: int) -> str:
    """Bytes in decimal units."""
    size, unit = float(count), "B"
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            break
        size /= 1000
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.3g} {unit}"


def _words(name: str) -> str:
    """A key as a heading."""
    return f"w {name.removeprefix('w_')}" if name.startswith("w_") else name.replace("_", " ")
