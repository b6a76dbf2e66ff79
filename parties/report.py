"""Results in the sponsor's run directory: rounds.csv as rounds commit, summary.json at the end."""

from __future__ import annotations

import csv
import io
import json
import platform
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from crypto.private_files import replace
from parties.progress import Progress
from parties.session import Session
from parties.store import RunStore
from parties.traffic import Traffic
from secure_gal import __version__
from secure_gal.assistance import Ensemble, RoundRecord
from secure_gal.effects import Note
from secure_gal.errors import EnvironmentFailure
from secure_gal.losses import metric_name
from secure_gal.protocol_sponsor import SponsorProtocol

if TYPE_CHECKING:
    from parties.computing import Computing

FORMAT = 1


def write_atomically(path: Path, text: str) -> None:
    """Replace a file whole, mode 0600: a reader sees the old one or the new one, and only its owner sees it.

    Raises:
        EnvironmentFailure: it cannot be written; the old one is as it was.
    """
    try:
        replace(path, text.encode())
    except OSError as error:
        raise EnvironmentFailure(f"{path} cannot be written: {error.strerror}") from error


class Report:
    """Follows the sponsor's notes and keeps the results on disk up to date."""

    def __init__(
        self, session: Session, store: RunStore, traffic: Traffic, role: SponsorProtocol, progress: Progress,
        began: float, computing: Computing,
    ) -> None:  # fmt: skip
        self._session, self._store, self._traffic = session, store, traffic
        self._role, self._progress, self._began = role, progress, began
        self._computing = computing
        self._since: float | None = None
        self._ready: float | None = None
        self._bytes = (0, 0)
        saved = store.meta("rounds")
        self._rounds: list[dict[str, Any]] = json.loads(saved) if saved else []
        self._before = float(store.meta("seconds") or 0.0)
        self._counts: dict[str, Any] = json.loads(store.meta("counts") or "{}")

    def on_note(self, note: Note) -> Note:
        """Add what only this side of the protocol knows (time and bytes) to a committed round."""
        if note.what == "aligned":
            self._counts = dict(note.fields)
            self._store.set_meta("counts", json.dumps(self._counts))
        if note.what == "run":
            self._ready = time.monotonic()
        if note.what == "round-begins":
            self._since = time.monotonic()
            self._bytes = (self._traffic.total("sent"), self._traffic.total("received"))
        if note.what != "committed":
            return note
        record = note.fields["record"]
        now = time.monotonic()
        sent, received = self._traffic.total("sent"), self._traffic.total("received")
        seconds = now - (self._since if self._since is not None else self._began)
        row: dict[str, Any] = {"round": record.round, "seconds": round(seconds, 4), "bytes_sent": sent - self._bytes[0],
               "bytes_received": received - self._bytes[1]}  # fmt: skip
        true = self._role.true_metric()
        if true is not None:
            row["true_metric"] = _finite(self._in_units(true))
        self._rounds = [r for r in self._rounds if r["round"] < record.round] + [row]
        self._store.set_meta("rounds", json.dumps(self._rounds))
        self._store.set_meta("seconds", repr(self._before + now - self._began))
        self._write_rounds()
        mean = sum(r["seconds"] for r in self._rounds) / len(self._rounds)
        left = mean * (self._session.study.rounds - record.round)
        return Note("committed", {"record": self._shown(record), "bytes": sent + received, "seconds_left": left})

    def _ensemble(self) -> Ensemble:
        assert self._role.ensemble is not None  # noqa: S101
        return self._role.ensemble

    def _write_rounds(self) -> None:
        parties = self._role.learners
        names = ["round", "train_loss", "valid_loss", "valid_metric", "eta", *(f"w_{p}" for p in parties), "seconds",
                 "bytes_sent", "bytes_received"]  # fmt: skip
        if any("true_metric" in row for row in self._rounds):
            names.append("true_metric")
        out = io.StringIO()
        writer = csv.DictWriter(out, names, lineterminator="\n")
        writer.writeheader()
        io_by_round = {row["round"]: row for row in self._rounds}
        for record in self._ensemble().history:
            shown = self._shown(record)
            row = {n: getattr(shown, n) for n in ("round", "train_loss", "valid_loss", "valid_metric", "eta")}
            row |= {f"w_{p}": record.weights[p] for p in parties} | io_by_round.get(record.round, {})
            writer.writerow(row)
        write_atomically(self._store.path / "rounds.csv", out.getvalue())

    def finish(self) -> None:
        """Write rounds.csv and summary.json of a finished learning stage."""
        session, ensemble = self._session, self._ensemble()
        self._write_rounds()
        summary = {
            "format": FORMAT,
            "study": session.study.name,
            "digest": session.digest,
            "run": self._role.run,
            "parties": dict(session.fingerprints),
            "rows": self._counts,
            "rounds": len(ensemble.history),
            "kept": ensemble.kept,
            "metric": metric_name(session.study.task, ensemble.F.shape[1]),
            "gal": _finite(self._in_units(ensemble.kept_metric())),
            "alone": _finite(self._in_units(self._alone())),
            "gal_on_true_labels": next((r.get("true_metric") for r in self._rounds if r["round"] == ensemble.kept), None),
            "history": msgspec.to_builtins([self._shown(record) for record in ensemble.history]),
            "seconds": {"total": round(self._before + time.monotonic() - self._began, 3),
                        "from_ready": self._from_ready(),
                        "rounds": round(sum(r["seconds"] for r in self._rounds), 3),
                        **{f"sponsor_{phase}": seconds for phase, seconds in self._computing.phases().items()}},
            "computing": self._computing.record(),
            "bytes": self._traffic.counts,
            "versions": _versions(),
        }  # fmt: skip
        write_atomically(self._store.path / "summary.json", json.dumps(summary, indent=2) + "\n")
        metric, gal, alone, true = (summary[key] for key in ("metric", "gal", "alone", "gal_on_true_labels"))
        if gal is not None and alone is not None:
            which = "" if true is None else " on released labels"
            truth = "" if true is None else f"; on true labels GAL {true:.4f}"
            self._progress.log(f"validation {metric}{which}: GAL {gal:.4f}, sponsor alone {alone:.4f}{truth}")
        self._progress.log(f"results: {self._store.path / 'summary.json'}")

    def _from_ready(self) -> float | None:
        """Seconds since the last party had greeted; None for a resumed run."""
        return None if self._ready is None or self._before else round(time.monotonic() - self._ready, 3)

    def _alone(self) -> float | None:
        state = self._role.state
        saved = {k.removeprefix("alone/"): state.array(k) for k in state.keys("alone/")}
        alone = self._role.new_ensemble((self._session.study.sponsor,))
        alone.restore(saved)
        return alone.kept_metric()

    def _shown(self, record: RoundRecord) -> RoundRecord:
        """A round with its metric in the label's own unit; losses stay those of the standardised target."""
        return msgspec.structs.replace(record, valid_metric=self._in_units(record.valid_metric))

    def _in_units(self, value: float | None) -> float | None:
        """A mean absolute deviation in the label's own unit; other metrics have none."""
        return value if value is None else value * self._role.metric_unit()


def _finite(value: float | None) -> float | None:
    return value if value is not None and value == value else None


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "secure-gal": __version__}
    for name in ("numpy", "scikit-learn", "torch", "tenseal", "pyzmq", "cryptography", "polars"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found
