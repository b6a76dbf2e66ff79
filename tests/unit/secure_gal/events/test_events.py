"""Facts by type: each has a text and a stable form in JSON, and what follows from one follows from no text."""

from __future__ import annotations

import io
import json
import re
import typing
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from types import NoneType, UnionType
from typing import Any

import msgspec
import pytest

from parties.run import progress
from parties.run.json_lines import json_line
from parties.run.progress import Progress, text_of
from secure_gal import events
from secure_gal.events import Event, Fact, RoundRecord
from tests.support.study_in_memory import NAMES, ROUNDS, make_network

NOON = datetime(2026, 11, 28, 12, 0, 0, 5000, tzinfo=UTC)
EVENTS: tuple[type[Fact], ...] = typing.get_args(Event)
TABLE = Path(__file__).parents[4] / "docs" / "EVENTS.md"
WORDS = {str: "text", int: "integer", float: "number", bool: "boolean", NoneType: "null", RoundRecord: "record"}
"""Python's types as docs/EVENTS.md calls them."""


def strict(line: str) -> Any:
    """Parsed as nothing but JSON: Python would take NaN as well."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(line, parse_constant=refuse)


def in_words(hint: Any) -> str:
    if isinstance(hint, UnionType):
        return " or ".join(in_words(part) for part in typing.get_args(hint))
    if typing.get_origin(hint) is dict:
        key, value = typing.get_args(hint)
        assert key is str
        return f"{in_words(value)} by party"
    return WORDS[hint]


def described(kind: type[msgspec.Struct]) -> dict[str, str]:
    """By field its type in words."""
    return {name: in_words(hint) for name, hint in typing.get_type_hints(kind).items()}


def samples(kind: type[msgspec.Struct]) -> Iterator[msgspec.Struct]:
    """One with every field that there can be, one with null wherever it can be."""
    for least in (False, True):
        yield kind(*(sample(hint, least) for hint in typing.get_type_hints(kind).values()))


def sample(hint: Any, least: bool) -> Any:
    if isinstance(hint, UnionType):
        parts = typing.get_args(hint)
        return None if least and NoneType in parts else sample(parts[0], least)
    if typing.get_origin(hint) is dict:
        return {"lab": sample(typing.get_args(hint)[1], least)}
    if hint is RoundRecord:
        return list(samples(RoundRecord))[least]
    return {str: "words", int: 3, float: 0.25, bool: True}[hint]


def test_the_union_holds_every_fact_once() -> None:
    assert set(EVENTS) == set(Fact.__subclasses__()) and len(EVENTS) == len(set(EVENTS))


@pytest.mark.parametrize("kind", EVENTS)
def test_every_event_has_one_line_of_text_and_comes_back_from_its_json(kind: type[Fact]) -> None:
    for event in samples(kind):
        text = text_of(event)  # type: ignore[arg-type]
        assert text.strip() and "\n" not in text and "None" not in text
        shown = strict(json_line(event, NOON))  # type: ignore[arg-type]
        assert shown.pop("time") == "2026-11-28T12:00:00.005Z"
        assert list(shown) == ["event", *described(kind)]
        assert msgspec.convert(shown, Event, strict=True) == event


def test_names_and_fields_are_those_that_are_written_down() -> None:
    """docs/EVENTS.md is what scripts are written against: a name or field that goes is a change for all of them."""
    rows = re.findall(r"^\| `([a-z-]+)` \|([^|]*)\|", TABLE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    written = {name: dict(re.findall(r"`(\w+)`: ([^,]+?)(?=,|$)", fields.strip())) for name, fields in rows}
    assert len(rows) == len(written)
    assert written.pop("record") == described(RoundRecord)
    assert written == {str(kind.__struct_config__.tag): described(kind) for kind in EVENTS}


def test_json_has_no_word_for_what_is_not_finite_and_no_escape_for_a_terminal() -> None:
    record = RoundRecord(1, float("nan"), None, float("-inf"), 1.0, True, {"lab": float("inf")})
    shown = strict(json_line(events.Committed(record, 7, float("nan")), NOON))
    assert shown["record"]["train_loss"] is None and shown["record"]["valid_metric"] is None
    assert shown["record"]["weights"] == {"lab": None} and shown["seconds_left"] is None and shown["bytes"] == 7
    line = json_line(events.Warned("\x1b[2J\x9b \udcff ü\nsecond"), NOON)
    assert line.isascii() and "\n" not in line
    assert strict(line)["text"] == "\\x1b[2J\\x9b \\xdcff ü\nsecond"
    msgspec.json.decode(line)  # which takes no half of a surrogate pair


def test_the_time_is_the_given_clocks_in_utc() -> None:
    out = io.StringIO()
    there = NOON.astimezone(timezone(timedelta(hours=5, minutes=45)))
    Progress(True, out, clock=lambda: there).warn("x")
    assert strict(out.getvalue()) == {"time": "2026-11-28T12:00:00.005Z", "event": "warning", "text": "x"}


def test_a_metric_that_is_not_defined_is_shown_as_such() -> None:
    """Held-out rows of one class have a loss and no AUC."""
    event = events.Committed(RoundRecord(1, 0.5, 0.6, None, 1.0, True, {"lab": 1.0}))
    assert "train 0.50000  held-out 0.60000 (not measured)" in text_of(event)


def test_logs_that_are_kept_do_without_what_a_terminal_shows() -> None:
    for event, kept in ((events.Certified(1), ""), (events.Prepared(), "data prepared\n")):
        for tty in (False, True):
            out = io.StringIO()
            out.isatty = lambda tty=tty: tty  # type: ignore[method-assign, misc]
            Progress(stream=out).show(event)
            assert out.getvalue() == (f"{text_of(event)}\n" if tty else kept)


class Renamed(events.Committed, frozen=True, tag="another-name"):
    """A committed round under another name."""


class RenamedToo(events.Certified, frozen=True, tag="one-more"):
    """A certificate under another name."""


def test_certificates_and_what_is_synced_follow_types_and_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "Committed", Renamed)
    monkeypatch.setattr(events, "Certified", RenamedToo)
    for name in ("_milestone", "_committed"):
        monkeypatch.setattr(progress, name, lambda *_: "changed")
    out = io.StringIO()
    network = make_network()
    synced = dict.fromkeys(NAMES, 0)
    for name, party in network.parties.items():
        count_syncs(monkeypatch, party.node._ledger, name, synced)
    network.run()
    assert {name: p.store.values["certify/done"] for name, p in network.parties.items()} == dict.fromkeys(
        NAMES, str(ROUNDS).encode()
    )
    assert synced == dict.fromkeys(NAMES, ROUNDS)
    for _, event in network.events:
        Progress(stream=out).show(event)
    assert "changed" in out.getvalue() and "eta" not in out.getvalue()


def test_every_party_says_once_that_it_holds_the_certificate_of_a_round() -> None:
    network = make_network()
    network.run()
    said = {
        name: [e.round for who, e in network.events if who.name == name and isinstance(e, events.Certified)]
        for name in NAMES
    }
    assert said == {name: list(range(1, ROUNDS + 1)) for name in NAMES}


def count_syncs(monkeypatch: pytest.MonkeyPatch, ledger: Any, name: str, synced: dict[str, int]) -> None:
    sync = ledger.sync

    def counted() -> None:
        synced[name] += 1
        sync()

    monkeypatch.setattr(ledger, "sync", counted)


def test_every_line_of_a_study_is_json_with_numbers_as_numbers() -> None:
    network, out = make_network(), io.StringIO()
    network.run()
    for _, event in network.events:
        Progress(True, out, clock=lambda: NOON).show(event)
    lines = [strict(line) for line in out.getvalue().splitlines()]
    rounds = [line["record"] for line in lines if line["event"] == "committed"]
    assert [record["round"] for record in rounds] == list(range(1, ROUNDS + 1))
    assert all(isinstance(record["train_loss"], float) for record in rounds)
    assert {type(value) for record in rounds for value in record["weights"].values()} == {float}
