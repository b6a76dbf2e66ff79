"""What a person sees while a study runs: plain lines, or one JSON object a line."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from typing import Any, TextIO

from secure_gal.effects import Note
from secure_gal.errors import printable

_LINES = {
    "listening": "listening on {bind}",
    "dialling": "dialling {address}",
    "attached": "{peer} is connected",
    "lost": "{peer} is gone; waiting for it to come back",
    "greeted": "{peer} has greeted",
    "study-differs": "{peer} has another study: {how}",
    "unlike-release": "{how}",
    "run": "run {run} agreed and signed by every party",
    "resumed": "resuming a saved run (phase: {phase})",
    "waiting": "waiting for {names} (up to {seconds:.0f} s more)",
    "warning": "warning: {text}",
    "refused-peer": "refused {peer}: {why}",
    "rolled-back": "{peer}'s run directory is older than this run: it was restored from a backup, or another copy of "
    "it is in use. Nothing more is sent to it; the study goes on when it comes back with its newest copy. If there is "
    "none, all parties start anew with an empty run_dir",
    "refused": "refused to predict {rows} rows: {why}",
    "width": "{peer} encrypts with a padded width of {padded}",
    "keys": "got evaluation keys: {bytes:,} bytes",
    "finished-encrypted": "learning stage finished after {rounds} rounds",
    "prepared": "data prepared",
    "fitted": "round {round}: {peer} has fitted",
    "round": "round {round}: fitted and sent",
    "predicted": "answered a prediction batch: {rows} rows, {known} known here",
    "masking": "private alignment: masking {rows:,} ids",
    "tagged": "private alignment: answered for {rows:,} masked ids",
    "pair-aligned": "private alignment with {peer}: {common:,} ids in common, it holds {held:,}",
    "hiding": "learning has ended; the rounds left are run all the same, so that no assistor learns how many are kept",
    "certified": "round {round}: every party signed every ledger's head",
    "transport": "{text}",
}
_QUIET = frozenset({"fitted", "round-begins", "greeted", "certified"})


class _Follower(logging.Handler):
    """Hands log records of the learners to a person."""

    def __init__(self, progress: Progress) -> None:
        super().__init__()
        self._progress = progress

    def emit(self, record: logging.LogRecord) -> None:
        """Show one record."""
        self._progress.log(record.getMessage())


class Progress:
    """Writes notes to standard error; standard output is for results."""

    def __init__(self, as_json: bool = False, stream: TextIO | None = None, rounds: int = 0) -> None:
        self._json = as_json
        self._stream = stream if stream is not None else sys.stderr
        self._rounds = rounds
        self._last = ""

    def note(self, note: Note) -> None:
        """Show one note."""
        if self._json:
            fields = {
                k: asdict(v) if is_dataclass(v) and not isinstance(v, type) else v for k, v in note.fields.items()
            }
            self._write(json.dumps({"event": note.what, **fields}, default=str))
            return
        if note.what in _QUIET and not self._stream.isatty():
            return
        text = self._text(note)
        if text and text != self._last:
            self._write(text)
            self._last = text

    def follow_logging(self) -> None:
        """Show what long fits log as they go (an epoch's loss, device and precision)."""
        logger = logging.getLogger("secure_gal")
        logger.setLevel(logging.INFO)
        logger.handlers = [_Follower(self)]

    def log(self, text: str) -> None:
        """A line from the transport (refused clients, reconnects)."""
        self.note(Note("transport", {"text": text}))

    def _write(self, text: str) -> None:
        print(printable(text), file=self._stream, flush=True)

    def _text(self, note: Note) -> str:
        if note.what == "committed":
            return self._round(note.fields["record"], note.fields)
        if note.what == "aligned":
            return _aligned(note.fields)
        if note.what in ("learned", "finished"):
            return f"learning stage finished: {note.fields['rounds']} rounds, {note.fields['kept']} kept"
        line = _LINES.get(note.what)
        return line.format(**note.fields) if line else ""

    def _round(self, record: Any, fields: Any) -> str:
        weights = " ".join(f"{name} {w:.2f}" for name, w in record.weights.items())
        valid = "" if record.valid_loss is None else f"  valid {record.valid_loss:.5f} ({record.valid_metric:.4f})"
        end = "" if record.attained else "  (no finite best eta: separable; stopped where the slope vanishes)"
        left = f"  ~{fields['seconds_left']:.0f} s left" if fields.get("seconds_left") else ""
        sent = f"  {fields['bytes'] / 1e6:.1f} MB" if fields.get("bytes") else ""
        of = f"/{self._rounds}" if self._rounds else ""
        return (
            f"round {record.round}{of}  train {record.train_loss:.5f}{valid}  eta {record.eta:.3g}  "
            f"weights {weights}{sent}{left}{end}"
        )


def _aligned(fields: Mapping[str, Any]) -> str:
    if "aligned" not in fields:
        return f"aligned: {fields['rows']:,} rows of this party take part, {fields['train']:,} of them for training"
    held = ", ".join(f"{name} {count:,}" for name, count in fields["held"].items())
    return (
        f"aligned: {fields['aligned']:,} common rows ({fields['train']:,} train, {fields['validation']:,} validation); "
        f"held by {held}"
    )
