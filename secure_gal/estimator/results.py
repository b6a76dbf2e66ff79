"""What a study came to, as values that a notebook makes frames of."""

from __future__ import annotations

import msgspec
import numpy as np

from secure_gal.estimator.exchange import Delivery, Exchange, payload_bytes
from secure_gal.estimator.fitted import Fitted
from secure_gal.estimator.house import Learnt
from secure_gal.estimator.predicting import rounds_of
from secure_gal.gal.contributions import Contributions
from secure_gal.gal.verdict import Verdict
from secure_gal.manifest import manifest
from secure_gal.measures.evaluation import Evaluation
from secure_gal.protocol.sponsor_records import SponsorRecords
from secure_gal.state import State

ALONE = "One party learns alone: nothing is sent to anybody."
Found = dict[str, object]
"""By attribute of the estimator."""


def of_one(fitted: Fitted) -> Found:
    """Of a party that learnt alone."""
    return _rounds(fitted) | {
        "evaluation_": {},
        "calibration_": [],
        "contributions_": [],
        "verdict_": ALONE,
        "findings_": [],
        "transcript_": [],
        "manifest_": ALONE,
        "cost_": {"bytes": {}, "seconds": {}},
    }


def of_several(learnt: Learnt, keep_messages: bool) -> Found:
    """Of a study; `keep_messages`: with every message in the transcript."""
    fitted, exchange = learnt.fitted, learnt.exchange
    kept = SponsorRecords(State(fitted.sponsor.state))
    learned, evaluation = kept.learned.get(), kept.evaluation.get_or(None)  # type: ignore[arg-type]
    return _rounds(fitted) | {
        "evaluation_": _evaluation(evaluation),
        "calibration_": [] if evaluation is None else [msgspec.structs.asdict(found) for found in evaluation.bins],
        "contributions_": _contributions(learned.contributions),
        "verdict_": _verdict(learned.verdict),
        "findings_": [finding.text for finding in learned.findings],
        "transcript_": [_row(each, keep_messages) for each in exchange.delivered],
        "manifest_": manifest(fitted.study, learnt.fingerprints),
        "cost_": _cost(exchange),
    }


def _rounds(fitted: Fitted) -> Found:
    state = State(fitted.sponsor.state)
    kept = SponsorRecords(state)
    rows, f = kept.rows.get(), kept.ensemble["F"]
    outputs, train = np.empty_like(f), np.empty(len(rows), dtype=np.bool_)
    outputs[rows], train[rows] = f, kept.train.get().astype(np.bool_)
    return {
        "F_": outputs,
        "train_mask_": train,
        "history_": rounds_of(fitted),
        "n_rounds_": len(kept.own_coefficients.get()),
    }


def _evaluation(found: Evaluation | None) -> Found:
    """Metric to its values: with assistance, alone, and the difference, each with a 95% interval."""
    if found is None:
        return {}
    return {
        each.name: {name: msgspec.structs.asdict(getattr(each, name)) for name in ("gal", "alone", "difference")}
        for each in found.metrics
    }


def _contributions(found: Contributions | None) -> list[Found]:
    """A row a party."""
    if found is None:
        return []
    return [
        {"party": each.party}
        | {f"leave_one_out_{k}": v for k, v in msgspec.structs.asdict(each.leave_one_out).items()}
        | {f"shapley_{k}": v for k, v in msgspec.structs.asdict(each.shapley).items()}
        for each in found.parties
    ]


def _verdict(found: Verdict | None) -> str:
    if found is None:
        return "not judged: no row says what it is worth; set validation above 0"
    return (
        f"{found.word}: mean loss {found.gal:.4f} with assistance and {found.alone:.4f} alone, on {found.rows} rows; "
        f"the difference is {found.gain:.4f} (95%: {found.low:.4f} to {found.high:.4f})"
    )


def _row(delivery: Delivery, keep: bool) -> Found:
    message = delivery.message
    protections = sorted({spec.protection for spec in message.FIELDS} - {"public"})
    row: Found = {
        "sender": delivery.sender,
        "receiver": delivery.receiver,
        "message": message.KIND,
        "round": message.round,
        "step": message.ABOUT.step,
        "protection": ", ".join(protections) or "public",
        "bytes": payload_bytes(message),
    }
    return row | {"content": message} if keep else row


def _cost(exchange: Exchange) -> Found:
    """Bytes of what was sent, by (sender, receiver), and seconds of computing, by (party, work)."""
    sent: dict[tuple[str, str], int] = {}
    for sender, receiver, message in exchange.delivered:
        sent[sender, receiver] = sent.get((sender, receiver), 0) + payload_bytes(message)
    return {"bytes": sent, "seconds": {key: round(value, 6) for key, value in exchange.seconds.items()}}
