"""What a person is told while a study runs in this process."""

from __future__ import annotations

import warnings

import msgspec

from secure_gal import events
from secure_gal.estimator.house import Listener
from secure_gal.events import Event, RoundRecord


class DataNote(UserWarning):
    """What a person should know of the data or of a fit; nothing is wrong with it."""


def listener_of(verbose: int) -> Listener:
    """By `verbose`; warnings are always given."""

    def on_event(party: str, event: Event) -> None:
        if isinstance(event, events.Warned):
            _warn(f"{party}: {event.text}")
        elif verbose == 1 and isinstance(event, events.Committed):
            print(in_words(event.record))
        elif verbose > 1:
            print(f"{party}: {msgspec.json.encode(event).decode()}")

    return Listener(on_event, _warn)


def _warn(text: str) -> None:
    warnings.warn(text, DataNote, stacklevel=2)


def in_words(record: RoundRecord) -> str:
    """A round as one line."""
    shares = ", ".join(f"{party} {weight:.2f}" for party, weight in record.weights.items())
    held = "" if record.valid_loss is None else f", held-out {record.valid_loss:.5f}"
    return f"round {record.round}: loss {record.train_loss:.5f}{held}, rate {record.eta:.3g}, weights {shares}"
