"""What the sponsor's run directory shows as rounds commit: rounds.csv; and the times that its results need later."""

from __future__ import annotations

import csv
import io
import json
import os
import platform
import time
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

import msgspec
import numpy as np

from crypto.private_files import replace_in_parts
from parties.report.summary import Measured, measured
from parties.run.progress import Progress
from parties.run.session import Session
from parties.run.store import RunStore
from parties.run.traffic import Traffic
from secure_gal import __version__, events
from secure_gal.errors import EnvironmentFailure
from secure_gal.events import RoundRecord

if TYPE_CHECKING:
    from secure_gal.protocol.sponsor import Sponsor

ROUNDS = "rounds.csv"
DIGITS = 6
"""Of losses, rates and weights that are made of decrypted values."""


def write_atomically(path: Path, text: str | Iterable[str]) -> None:
    """Replace a file whole, mode 0600: a reader sees the old one or the new one, and only its owner sees it.

    Args:
        text: the whole of it, or parts that are made as they are written.

    Raises:
        EnvironmentFailure: it cannot be written; the old one is as it was.
    """
    parts = [text] if isinstance(text, str) else text
    try:
        replace_in_parts(path, (part.encode() for part in parts))
    except OSError as error:
        raise EnvironmentFailure(f"{path} cannot be written: {error.strerror}") from error


class Report:
    """Follows the sponsor's events and keeps rounds.csv and the run's times on disk."""

    def __init__(
        self,
        session: Session,
        store: RunStore,
        traffic: Traffic,
        role: Sponsor,
        progress: Progress,
        began: float,
    ) -> None:
        self._session, self._store, self._traffic = session, store, traffic
        self._role, self._progress, self._began = role, progress, began
        self._since: float | None = None
        self._ready: float | None = None
        self._bytes = (0, 0)
        self._rounds = measured(store.meta("rounds"))
        self._before, self._computed = (float(store.meta(key) or 0.0) for key in ("seconds", "cpu"))

    def on_event(self, event: events.Event) -> events.Event:
        """Add what only this side of the protocol knows (time and bytes) to a committed round."""
        if not isinstance(event, events.Milestone):
            return event
        match event:
            case events.RunAgreed():
                self._ready = time.monotonic()
            case events.RoundBegun():
                self._since = time.monotonic()
                self._bytes = (self._traffic.total("sent"), self._traffic.total("received"))
            case events.Learned():
                self.save_times()
            case events.Committed(record):
                return self._committed(record)
            case events.Certified():
                pass
            case _:
                assert_never(event)
        return event

    def _committed(self, record: RoundRecord) -> events.Committed:
        now = time.monotonic()
        sent, received = self._traffic.total("sent"), self._traffic.total("received")
        seconds = now - (self._since if self._since is not None else self._began)
        row: Measured = {
            "round": record.round,
            "seconds": round(seconds, 4),
            "bytes_sent": sent - self._bytes[0],
            "bytes_received": received - self._bytes[1],
        }
        self._rounds = [r for r in self._rounds if r["round"] < record.round] + [row]
        self.save_times(rounds=json.dumps(self._rounds))
        unit = self._role.metric_unit()
        write_atomically(
            self._store.path / ROUNDS, rounds_csv(self._store, self._history, unit, self._session.study.protect.keyed)
        )
        mean = sum(r["seconds"] for r in self._rounds) / len(self._rounds)
        left = mean * (self._session.study.rounds - record.round)
        return events.Committed(in_units(record, unit), sent + received, left)

    def save_times(self, **others: str) -> None:
        """Note seconds of the learning stage so far, elapsed and of the CPU (of worker processes that have ended, too),
        over restarts; those since all had greeted only where there was none. `others` are noted with them."""
        now = time.monotonic()
        times = {"seconds": self._before + now - self._began, "cpu": self._computed + sum(os.times()[:4])}
        if self._ready is not None and not self._before:
            times["seconds-from-ready"] = round(now - self._ready, 3)
        self._store.note({key: repr(seconds) for key, seconds in times.items()} | others)

    @property
    def _history(self) -> list[RoundRecord]:
        assert self._role.ensemble is not None  # noqa: S101
        return self._role.ensemble.history


def rounds_csv(store: RunStore, history: Sequence[RoundRecord], unit: float, keyed: bool) -> str:
    """One row a committed round; what was not measured, or was lost with a process that died, is left empty.

    Args:
        unit: what one unit of the metric is worth in the label's own.
        keyed: as `in_units`.
    """
    true = true_metrics(store, unit)
    names = [
        "round",
        "train_loss",
        "train_metric",
        "valid_loss",
        "valid_metric",
        "eta",
        *(f"w_{p}" for p in history[0].weights),
        "seconds",
        "bytes_sent",
        "bytes_received",
        *(["true_metric"] if true else []),
    ]
    out = io.StringIO()
    writer = csv.DictWriter(out, names, lineterminator="\n")
    writer.writeheader()
    by_round = {row["round"]: row for row in measured(store.meta("rounds"))}
    for record in history:
        shown = in_units(record, unit, keyed)
        row = {
            n: getattr(shown, n) for n in ("round", "train_loss", "train_metric", "valid_loss", "valid_metric", "eta")
        }
        row |= {f"w_{p}": w for p, w in shown.weights.items()} | by_round.get(record.round, {})
        writer.writerow(row | ({"true_metric": true.get(record.round)} if true else {}))
    return out.getvalue()


def in_units(record: RoundRecord, unit: float, keyed: bool = False) -> RoundRecord:
    """A round with its metric in the label's own unit; losses stay those of the standardised target.

    Args:
        keyed: it was made of decrypted values, so numbers have the digits that mean something.
    """
    metrics = {n: times(getattr(record, n), unit) for n in ("train_metric", "valid_metric")}
    shown = msgspec.structs.replace(record, **metrics)
    if not keyed:
        return shown
    numbers = {n: getattr(shown, n) for n in ("train_loss", "train_metric", "valid_loss", "valid_metric", "eta")}
    short = {n: None if v is None else float(f"{v:.{DIGITS}g}") for n, v in numbers.items()}
    return msgspec.structs.replace(shown, **short, weights={p: round(w, DIGITS) for p, w in shown.weights.items()})


def times(value: float | None, unit: float) -> float | None:
    """A mean absolute deviation in the label's own unit (other metrics have none); None where it was not measured."""
    return None if value is None or value != value else value * unit


def true_metrics(store: RunStore, unit: float) -> dict[int, float | None]:
    """By round the metric on true labels, where the study learns from released ones."""
    saved = store.values("true-metric/")
    return {int(t): times(float(np.frombuffer(raw)[0]), unit) for t, raw in sorted(saved.items()) if int(t)}


def versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "secure-gal": __version__}
    for name in ("numpy", "scikit-learn", "torch", "tenseal", "pyzmq", "cryptography", "polars"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found
