"""Every line that a command prints, whole: a line that is left out, or says another number, is another command."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
import typer
from typer.testing import CliRunner

from parties import cli
from parties.audit import ledger as ledgers
from parties.audit import proof, reconcile
from parties.audit.ledger import Verdict
from parties.audit.proof import Proven
from parties.audit.reconcile import Agreement
from parties.commands import consent
from parties.commands.forecast import in_words
from parties.run.keys import Pins, make_identity
from secure_gal.errors import EnvironmentFailure, SettingsError
from secure_gal.forecast.reckoning import Costs, Forecast
from tests.support.study_in_memory import study


def said(command: list[str], code: int = 0, typed: str | None = None) -> list[str]:
    """The lines of a command's both streams."""
    found = CliRunner().invoke(cli.app, command, input=typed)
    assert found.exit_code == code, found.output
    return found.output.splitlines()


def test_a_card_is_trusted_once_its_fingerprint_is_confirmed(tmp_path: Path) -> None:
    home, card = str(tmp_path / "own"), make_identity("lab", tmp_path / "lab").card
    file, shown = str(tmp_path / "lab" / "lab.card"), ["name        lab", f"fingerprint {card.fingerprint}"]
    assert said(["trust", "--list", "--home", home]) == [f"no cards are pinned in {home}"]
    assert said(["trust", file, "--home", home], 1, "n\n")[:2] == shown
    assert Pins(Path(home)).all() == {}
    assert said(["trust", file, "--home", home, "--yes"]) == [*shown, "lab is trusted"]
    assert said(["trust", "--list", "--home", home]) == [f"lab              {card.fingerprint}"]
    assert said(["trust", "--remove", "lab", "--home", home]) == ["lab is no longer trusted"]
    asked = said(["trust", file, "--home", home], typed="y\n")
    assert asked[:2] == shown and asked[-3:] == [*shown, "lab is trusted"]
    assert Pins(Path(home)).all() == {"lab": card}


def test_a_question_without_an_answer_ends_its_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def nobody(text: str, err: bool) -> bool:
        assert err, "standard output is for results"
        raise typer.Abort

    monkeypatch.setattr(typer, "confirm", nobody)
    assert consent.confirmed("well?") is False
    assert capsys.readouterr() == ("", "\n")


FIRST = Forecast("d", "p0", 150, 16, 10, {"p1": 400_000}, {"p1": 20_000}, {"start": 0.25, "fits": 1.0}, 2.0)
LAST = Forecast("d", "p0", 300, 16, 10, {"p1": 1_000_000}, {"p1": 49_999}, {"start": 0.25, "fits": 2.0}, 3.0)
LINE = [
    "  p0 to p1: 0.40 MB to 1.00 MB; p1 to p0: 20.0 kB to 50.0 kB",
    "  in all at most 1.05 MB; at 1, 10, 100 Mbit/s at least 8, 1, 0 s",
]


@pytest.mark.parametrize(
    ("ends", "text"),
    [
        (
            [FIRST, LAST],
            [
                "forecast: 10 rounds, 150 to 300 rows in common (--rows where you know better), assistors' features of "
                "up to 16 columns (--width where they have others)",
                *LINE,
                "  CPU seconds of p0: 1.2 to 2.2 (start 0.25, fits 2.00)",
                "  from the last greeting to the results: 2.0 to 3.0 s and what the line takes, if the others' "
                "machines are like this one and do nothing else",
            ],
        ),
        (
            [msgspec.structs.replace(LAST, padded=0, elapsed=None)],
            [
                "forecast: at most 10 rounds, 300 rows in common",
                "  p0 to p1: 1.00 MB; p1 to p0: 50.0 kB",
                LINE[1],
                "  CPU seconds of p0: 2.2 (start 0.25, fits 2.00)",
            ],
        ),
        (
            [msgspec.structs.replace(LAST, padded=0, untold="no seconds: why")],
            [
                "forecast: at most 10 rounds, 300 rows in common",
                "  p0 to p1: 1.00 MB; p1 to p0: 50.0 kB",
                LINE[1],
                "  no seconds: why",
            ],
        ),
    ],
)
def test_a_forecast_in_words(ends: list[Forecast], text: list[str]) -> None:
    session: Any = SimpleNamespace(study=study(rounds=10), party=SimpleNamespace(party="p0"))
    assert in_words(session, ends).splitlines() == text


def test_costs_of_a_study_that_ends_early() -> None:
    told = msgspec.structs.replace(LAST, a_round=Costs(1_000, 0.25, 0.5))
    assert told.costs == Costs(1_049_999, 2.25, 3.0)
    assert told.after(10) == told.costs and told.after(6) == Costs(1_045_999, 1.25, 1.0)
    assert msgspec.structs.replace(told, seconds={}, elapsed=None).after(6) == Costs(1_045_999, None, None)


PROVEN = Proven(
    "lab", "cd", 7, 9, "sent", "lab", "hospital", "fitted", 3, "ab", "2026", ("hospital", "lab"), ("values",)
)
PLACE = [
    "verified: lab signed fitted to hospital, round 3; it is line 7 of 9 in lab's ledger, sent 2026 by lab's clock",
    "study cd",
]


@pytest.mark.parametrize(
    ("proven", "lines"),
    [
        (
            PROVEN,
            [
                "run   ab",
                "its place is certified by hospital, lab (signatures checked; give more cards to check more)",
                "payload values: the bytes that were signed",
            ],
        ),
        (
            msgspec.structs.replace(PROVEN, certified_by=(), payloads=(), run=""),
            [
                "run   (before a run was agreed)",
                "its place is vouched for by lab alone: no certificate covers it",
            ],
        ),
    ],
)
def test_what_a_proof_proves(proven: Proven, lines: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof, "verify_proof", lambda path, cards, payloads: proven)
    make_identity("lab", tmp_path)
    command = ["audit", "verify-proof", "x.proof", "--card", str(tmp_path / "lab.card")]
    assert said(command) == [*PLACE, *lines]
    (line,) = said([*command, "--json"])
    assert json.loads(line) == {"ok": True} | json.loads(msgspec.json.encode(proven))


def test_what_a_ledger_and_two_of_them_say(monkeypatch: pytest.MonkeyPatch) -> None:
    beyond: dict[str, float] = {"sums": 0.3}
    verdict = Verdict("lab", "s", "cd", "", 1234, 1000, 2000, 2, 30, 1, "ef", beyond)
    monkeypatch.setattr(ledgers, "verify_ledger", lambda path, digest: verdict)
    lines = [
        "verified: 1,234 lines of lab's ledger; 1,000 messages sent, 2,000 received, all signatures good",
        "study s, digest cd",
        "run   (none was agreed)",
        "2 certificates; the last one fixes lines 1 to 30; 1 repairs after a crash noted",
    ]
    assert said(["audit", "verify", "l.jsonl"]) == [*lines, f"lab went beyond limits: {verdict.beyond_in_words()}"]
    verdict = msgspec.structs.replace(verdict, beyond={}, run="ab")
    assert said(["audit", "verify", "l.jsonl"]) == [*lines[:2], "run   ab", lines[3]]
    agreement = Agreement(("hospital", "lab"), "cd", "ab", 1234, 3, ("lab sent 2",), ("insurer",))
    monkeypatch.setattr(reconcile, "reconcile", lambda paths: agreement)
    assert said(["audit", "reconcile", "a", "b"]) == [
        "the ledgers of hospital, lab agree: 1,234 messages sent and received, 3 certificates",
        "not compared, no ledger given: insurer",
        "on its way: lab sent 2",
    ]
    (line,) = said(["audit", "reconcile", "a", "b", "--json"])
    assert json.loads(line) == {"ok": True} | json.loads(msgspec.json.encode(agreement))
    agreement = msgspec.structs.replace(agreement, absent=(), tail=())
    assert len(said(["audit", "reconcile", "a", "b"])) == 1


def test_a_proof_is_written_where_it_was_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    asked: list[object] = []

    def made(path: Path, seq: int, salt: bool) -> bytes:
        asked.append((path, seq, salt))
        return b"x" * 1000

    monkeypatch.setattr(proof, "prove", made)
    assert said(["audit", "prove", "l", "--seq", "3"]) == ["wrote entry-3.proof, 1,000 bytes"]
    assert said(["audit", "prove", "l", "--seq", "4", "--salt", "--out", "p"]) == ["wrote p, 1,000 bytes"]
    assert asked == [(Path("l"), 3, False), (Path("l"), 4, True)]
    assert (tmp_path / "entry-3.proof").read_bytes() == (tmp_path / "p").read_bytes() == b"x" * 1000
    found = CliRunner().invoke(cli.app, ["audit", "prove", "l", "--seq", "3", "--out", "nowhere/p"])
    assert isinstance(found.exception, EnvironmentFailure) and "could not be written: No such" in str(found.exception)
    found = CliRunner().invoke(cli.app, ["audit", "prove", "l", "--seq", "3", "--out", str(tmp_path)])
    assert isinstance(found.exception, SettingsError) and "is a folder; name a file in it" in str(found.exception)
