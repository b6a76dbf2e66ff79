"""summary.json, rounds.csv, model_card.json and report.html of a finished learning stage, from what the sponsor keeps.

The last step of learning and what its results need are committed together; the files are written after it. So whoever
comes next (`train`, `predict`, `report`) writes what a process that died, or a full disk, left out.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import msgspec

from parties.report.foretold import against
from parties.report.model_card import CARD, model_card
from parties.report.rounds import DIGITS, ROUNDS, in_units, rounds_csv, times, true_metrics, versions, write_atomically
from parties.report.summary import Interval, Shares, Summary, Worth, measured, read
from parties.run import computing, learnt_from
from parties.run.progress import Progress
from parties.run.session import Session
from parties.run.store import RunStore
from parties.run.traffic import counts_of
from secure_gal import events
from secure_gal.data import distributions
from secure_gal.events import RoundRecord
from secure_gal.gal.contributions import Estimate
from secure_gal.measures.evaluation import Evaluation
from secure_gal.protocol.learned import Learned
from secure_gal.settings.report import cut_of
from transport.ledger import LEDGER
from transport.ledger_entries import LedgerError

FORMAT = 1
SUMMARY = "summary.json"
SUMS_ONLY = (
    'with predictions = "sum" the sponsor knows the assistors\' parts as one sum, so nothing can be said of each: '
    "only of its own part, where it has features, and of theirs together"
)


def write_results(session: Session, store: RunStore) -> list[str]:
    """Write the results of a finished learning stage that are missing or not this run's; returns their names.

    The ledger's file must be complete (`open_node`): the report says whether it verifies.

    Raises:
        EnvironmentFailure: the disk is full or failing; whatever is missing then can be written later.
    """
    from parties.report.page import REPORT

    learned = msgspec.json.decode(store.value("learned"), type=Learned)
    history = msgspec.msgpack.decode(store.value("ensemble/history"), type=list[RoundRecord])
    summary = _summary(session, store, history, learned)
    texts = {
        computing.FILE: computing.as_text(store),
        ROUNDS: rounds_csv(store, history, learned.unit, session.study.protect.keyed),
        SUMMARY: summary,
        CARD: _card(session, store, read(summary)),
    }
    written = [name for name, text in texts.items() if _read(store.path / name) != text.encode()]
    for name in written:
        write_atomically(store.path / name, texts[name])
    if written or not (store.path / REPORT).exists() or not store.meta("reported"):
        written.append(write_final_report(session, store).name)
        store.set_meta("reported", "yes")  # one that lay there before is another run's
    return written


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def write_final_report(session: Session, store: RunStore) -> Path:
    """report.html of a finished run, with the verdict on its ledger and what was measured; returns its path."""
    from parties.audit.ledger import verify_ledger
    from parties.report.page import write_report

    try:
        verdict = verify_ledger(session.party.run_dir / LEDGER, session.digest)
        audit = {"ok": True} | msgspec.to_builtins(verdict) | {"beyond": verdict.beyond_in_words()}
    except LedgerError as error:  # the results are there all the same; the report says what is wrong
        audit = {"ok": False, "where": error.where, "line": error.line, "rule": error.rule}
    measured = store.meta("leakage")
    return write_report(session.party.run_dir, session.study, audit, json.loads(measured) if measured else None)


def announce(store: RunStore, progress: Progress) -> None:
    """Say what came out and where it is."""
    summary = read(store.meta("summary"))
    gal, alone, judged = summary["gal"], summary["alone"], summary["judged"] or ""
    if (v := summary["verdict"]) is not None:
        progress.show(events.Judged(v["word"], judged, v["rows"], v["gal"], v["alone"], v["low"], v["high"]))
    if gal is not None and alone is not None:
        progress.show(events.Scored(summary["metric"], gal, alone, summary["gal_on_true_labels"], judged))
    for finding in summary["findings"]:
        progress.show(events.Found(**finding))
    evaluation = evaluation_of(store)
    if evaluation is not None and evaluation.rule and evaluation.threshold is not None:
        progress.show(events.ThresholdChosen(evaluation.rule, evaluation.threshold))
    progress.show(events.ResultsWritten(str(store.path / SUMMARY)))


def evaluation_of(store: RunStore) -> Evaluation | None:
    """What the study is worth; None where no row judges it."""
    kept = store.value("evaluation")
    return msgspec.json.decode(kept, type=Evaluation) if kept else None


def threshold_of(session: Session, store: RunStore, progress: Progress) -> float:
    """Above which probability of the second of two classes it is predicted: kept with the model when it was learnt.

    A file that asks for another one by now is told so. Where no row judged the study none was kept: the file's holds.
    """
    found, asked = evaluation_of(store), session.party.report.threshold
    if found is None:
        cut = cut_of(asked)
        return cut if isinstance(cut, float) else 0.5  # a rule is refused where there is nothing to choose on
    learnt = 0.5 if found.threshold is None else found.threshold
    rule = found.rule
    if (str(asked) if rule else cut_of(asked)) != (rule or learnt):
        progress.warn(
            f"[report] threshold is {asked!r} now, and this model was learnt with {rule or learnt!r}: `prediction` "
            f"follows {learnt:g}, which is kept with the model"
        )
    return learnt


def gained(store: RunStore) -> bool:
    """Whether the verdict of a finished learning stage is that assistance is better."""
    verdict = read(store.meta("summary"))["verdict"]
    return verdict is not None and verdict["word"] == "better"


def _card(session: Session, store: RunStore, summary: Summary) -> str:
    """model_card.json: made once, as the summary is."""
    from parties.report.page import protections

    if store.meta("model-card"):
        return store.meta("model-card")
    learnt = learnt_from.read(store.meta(learnt_from.META))
    typed = (store.path / distributions.FILE).exists()  # not where the sponsor learnt from arrays, or has no learner
    schema = distributions.read(store.path).schema if typed else ""
    card = model_card(summary, session.study, protections(session.study), learnt, schema)
    text = json.dumps(card, indent=2) + "\n"
    store.set_meta("model-card", text)
    return text


def _shown(evaluation: Evaluation | None, keyed: bool) -> Worth | None:
    """As summary.json has it; keyed: as `in_units`."""
    if evaluation is None:
        return None
    found: Worth = msgspec.to_builtins(evaluation) | {"worth": evaluation.worth}
    return msgspec.convert(_shortened(found), Worth) if keyed else found


def _shortened(value: object) -> object:
    """Every number in it with the digits that mean something."""
    if isinstance(value, dict):
        return {key: _shortened(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_shortened(part) for part in value]
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def _contributions(learned: Learned, summed: bool) -> Shares | None:
    """Who helped how much, in the label's own unit; None where it cannot be measured."""
    if learned.contributions is None:
        return None
    c, unit = learned.contributions, learned.unit

    def own(of: Estimate) -> Interval:
        return {"value": _digits(of.value * unit), "low": _digits(of.low * unit), "high": _digits(of.high * unit)}

    return {
        "rows": c.rows,
        "none": _digits(c.none * unit),
        "all": _digits(c.all * unit),
        "exact": c.exact,
        "parties": tuple(
            {"party": one.party, "leave_one_out": own(one.leave_one_out), "shapley": own(one.shapley)}
            for one in c.parties
        ),
        "note": SUMS_ONLY if summed else "",
    }


def _digits(value: float) -> float:
    """As many as mean something, also where decrypted values went in."""
    return float(f"{value:.{DIGITS}g}")


def _summary(session: Session, store: RunStore, history: Sequence[RoundRecord], learned: Learned) -> str:
    """summary.json: made once, and kept as it is while predictions go on."""
    if store.meta("summary"):
        return store.meta("summary")
    ready = store.meta("seconds-from-ready")
    evaluation = evaluation_of(store)
    keyed, found = session.study.protect.keyed, learned.verdict
    made: Summary = {
        "format": FORMAT,
        "study": session.study.name,
        "digest": session.digest,
        "run": store.value("run").decode(),
        "parties": dict(session.fingerprints),
        "rows": json.loads(store.value("counts")),
        "rounds": len(history),
        "kept": learned.kept,
        "metric": learned.metric,
        "judged": learned.judged,
        "verdict": None if found is None else msgspec.to_builtins(found) | {"word": found.word, "gain": found.gain},
        "evaluation": _shown(evaluation, keyed),
        "findings": [{"kind": f.kind, "about": f.about, "text": f.text} for f in learned.findings],
        "contributions": _contributions(learned, session.study.protect.summed),
        "gal": times(learned.gal, learned.unit),
        "alone": times(learned.alone, learned.unit),
        "gal_on_true_labels": true_metrics(store, learned.unit).get(learned.kept),
        "history": msgspec.to_builtins([in_units(record, learned.unit, keyed) for record in history]),
        "seconds": {
            "total": round(float(store.meta("seconds") or 0.0), 3),
            "from_ready": float(ready) if ready else None,
            "cpu": round(float(store.meta("cpu") or 0.0), 3),
            "rounds": round(sum(row["seconds"] for row in measured(store.meta("rounds"))), 3),
            **{f"sponsor_{phase}": seconds for phase, seconds in computing.phases(store).items()},
        },
        "computing": computing.record(store),
        "bytes": counts_of(store),
        "versions": versions(),
    }
    text = json.dumps({**made, "forecast": against(session, made)}, indent=2) + "\n"
    store.set_meta("summary", text)
    return text
