"""One class is one kind of message: what is said of it once holds everywhere, and on the wire."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import ClassVar, get_args

import pytest

from crypto.identity import Identity
from docs import tables
from parties.report.page import PHASES
from secure_gal.errors import StateError
from secure_gal.messages import DOWN, MESSAGES, UP, FieldSpec, Message, Phase, in_step_order, kinds_of, message
from secure_gal.state import State
from tests.support.hostile_studies import MODES, play, prediction, settings
from transport import wire

SPONSOR = "hospital"


@pytest.fixture
def pause() -> Iterator[type[Message]]:
    """A kind that nobody knew of: this class is all there is."""

    @message("pause", step="8g", phase="Assistance rounds", route=UP)
    @dataclass(frozen=True, slots=True)
    class Pause(Message):
        """Nothing for a while."""

        FIELDS: ClassVar[tuple[FieldSpec, ...]] = (FieldSpec("why", "public", "json", json_type=str),)
        why: str
        round: int

    yield Pause
    del MESSAGES["pause"]


def test_a_new_kind_of_message_is_one_class(pause: type[Message]) -> None:
    lab, made = Identity.generate("lab"), pause("no power", 3)  # type: ignore[call-arg]
    frames = wire.encode(made, study="00" * 32, run="", sender="lab", recipient="h", seq=1, identity=lab)
    assert wire.decode(frames, sender=lab.card, recipient="h", limits=wire.Limits()).message == made
    assert "pause" in kinds_of("Assistance rounds")
    assert in_step_order(("weighted-sum", "finish", "pause")) == ("weighted-sum", "pause", "finish")
    assert "| 8g | `pause` | assistor -> sponsor | Nothing for a while |" in tables.TABLES["steps"]()
    assert tables.stale() == [tables.FOLDER / "PROTOCOL.md"], "which is what `make lint` says until it is written"


def test_a_kind_is_registered_once(pause: type[Message]) -> None:
    with pytest.raises(StateError, match="two kinds of message are called 'pause': Pause, Finish"):
        message("pause", step="1", phase="Agreement", route=DOWN)(MESSAGES["finish"])


def test_a_class_sends_the_fields_that_it_has() -> None:
    @dataclass(frozen=True, slots=True)
    class Odd(Message):
        FIELDS: ClassVar[tuple[FieldSpec, ...]] = (FieldSpec("values", "clear", "<f4", 2),)
        round: int

    with pytest.raises(StateError, match="Odd has the fields"):
        message("odd", step="1", phase="Agreement", route=DOWN)(Odd)
    assert "odd" not in MESSAGES


def test_every_kind_belongs_to_one_phase_of_the_report() -> None:
    assert tuple(PHASES) == get_args(Phase)
    assert sorted(kind for kinds in PHASES.values() for kind in kinds) == sorted(MESSAGES)


def test_the_tables_of_the_documents_are_what_the_code_says() -> None:
    assert tables.stale() == []


def test_every_kind_stands_in_one_table_of_the_protocol() -> None:
    text = (Path(tables.__file__).parent / "PROTOCOL.md").read_text()
    rows = [row.split("|")[2].strip(" `") for name in tables.named(text) for row in tables.TABLES[name]().splitlines()]
    assert sorted(row for row in rows if row not in ("message", "---")) == sorted(MESSAGES)


@pytest.mark.parametrize("mode", MODES)
def test_messages_go_from_whom_to_whom_their_class_says(mode: str) -> None:
    def roles(party: str) -> set[str]:
        return {"sponsor"} if party == SPONSOR else {"assistor", *(["aggregator"] if party == adder else [])}

    made, adder = play(mode), settings(mode).adder
    made.run()
    made.add(SPONSOR, prediction(mode, State(dict(made.disk[SPONSOR]))))
    made.run()
    for sender, receiver, sent in made.sent:
        about = type(sent).ABOUT
        links = {*pairwise(about.route), *(pairwise(about.route[::-1]) if about.back else ())}
        assert any(one in roles(sender) and other in roles(receiver) for one, other in links), sent.KIND
        assert about.senders & roles(sender), sent.KIND
