"""Consent to what a study reveals: asked once a digest, refused at once where nobody can be asked."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from parties.audit.ledger import verify_ledger
from parties.audit.policy import Policy
from parties.commands import consent, setup
from parties.commands.arguments import bare_consent
from parties.commands.consent import go_beyond, require_consent, write_down
from parties.run.session import open_store
from secure_gal.errors import ConsentError, SettingsError
from secure_gal.manifest import who_learns_what
from secure_gal.protection.disclosure import in_the_clear
from secure_gal.settings.limits import limits_of, read_beyond
from secure_gal.settings.study import Protect
from tests.support.lab_session import session_of
from tests.support.study_in_memory import study
from transport.ledger import Ledger
from transport.ledger_entries import BeyondEntry, ConsentEntry, Opening, decode, read_lines


def nobody(text: str) -> bool:
    raise AssertionError("nobody is to be asked")


def test_without_a_person_or_the_flag_nothing_is_sent(tmp_path: Path) -> None:
    session = session_of(tmp_path)
    store = open_store(session)
    with pytest.raises(ConsentError, match="the labels of all training rows") as refused:
        require_consent(session, store, None, None)
    assert refused.value.exit_code == 3 and session.digest in str(refused.value)
    with pytest.raises(ConsentError):
        require_consent(session, store, None, lambda _: False)
    assert store.meta(consent.KEY) == ""
    store.close()


def test_consent_is_kept_for_that_digest_only(tmp_path: Path) -> None:
    session = session_of(tmp_path)
    store = open_store(session)
    require_consent(session, store, None, lambda text: session.digest in text)
    require_consent(session, store, None, None)
    store.close()
    other = session_of(tmp_path, "rounds = 3\n")
    store = open_store(other)
    with pytest.raises(ConsentError):
        require_consent(other, store, None, None)
    require_consent(other, store, other.digest[:16], None)
    store.close()


@pytest.mark.parametrize("digits", [16, 17, 64])
def test_a_prefix_of_the_digest_is_consent(digits: int, tmp_path: Path) -> None:
    session = session_of(tmp_path)
    store = open_store(session)
    require_consent(session, store, session.digest[:digits].upper(), nobody)
    assert store.meta(consent.KEY) == session.digest
    store.close()


@pytest.mark.parametrize(
    "change", [lambda d: d[:15], lambda d: d + "0", lambda d: "0x" + d[:20], lambda d: "yes", lambda d: " "]
)
def test_what_is_no_prefix_of_a_digest_is_refused(change: Callable[[str], str], tmp_path: Path) -> None:
    session = session_of(tmp_path)
    store = open_store(session)
    with pytest.raises(SettingsError, match=r"--consent.*16 to 64 hexadecimal digits"):
        require_consent(session, store, change(session.digest), nobody)
    assert store.meta(consent.KEY) == ""
    store.close()


def test_consent_to_another_study_is_refused_even_where_this_one_has_it(tmp_path: Path) -> None:
    """A script that names last month's digest must not go on with this month's study."""
    session = session_of(tmp_path)
    store = open_store(session)
    require_consent(session, store, session.digest[:16], nobody)
    other = f"{int(session.digest[0], 16) ^ 1:x}" + session.digest[1:]
    for given in (other, other[:16]):
        with pytest.raises(ConsentError, match=f"to the study {given}.*this study's digest is {session.digest}"):
            require_consent(session, store, given, nobody)
    store.close()


def test_bare_consent_asks_and_is_refused_where_nobody_can_be_asked(tmp_path: Path) -> None:
    session = session_of(tmp_path)
    store = open_store(session)
    with pytest.raises(ConsentError, match=f"--consent {session.digest[:16]}"):
        require_consent(session, store, "", None)
    asked: list[str] = []
    require_consent(session, store, "", lambda text: bool(asked.append(text)) or True)
    assert len(asked) == 1 and store.meta(consent.KEY) == session.digest
    store.close()


@pytest.mark.processes
@pytest.mark.parametrize("given", [["--consent"], ["--consent", "--once"], []])
def test_a_process_without_a_terminal_needs_the_digest(given: list[str], tmp_path: Path) -> None:
    session = session_of(tmp_path)
    command = [sys.executable, "-m", "parties.cli", "assist", "lab.toml", *given]
    ended = subprocess.run(command, cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 3 and f"--consent {session.digest[:16]}" in ended.stderr
    assert "dialling" not in ended.stderr


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ([], []),
        (["assist", "l.toml", "--consent"], ["assist", "l.toml", "--consent="]),
        (["assist", "l.toml", "--consent", "--once"], ["assist", "l.toml", "--consent=", "--once"]),
        (["assist", "--consent", "ab", "l.toml"], ["assist", "--consent", "ab", "l.toml"]),
    ],
)
def test_consent_may_stand_without_a_digest(given: list[str], read: list[str]) -> None:
    assert bare_consent(given) == read


SUMS = 'predictions = "sum"\n'


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ("sums", "states no number"),
        ("sums=", "states no number"),
        ("sums=much", "states no number"),
        ("sums=0.1", "0.1 is not beyond the limit of 0.1"),
        ("sums=-3", "not beyond"),
        ("sums=nan", "not beyond"),
        ("sums=inf", "above 1e"),
        ("own-sums=0.2", "not beyond the limit of 0.2"),
        ("Sums=3", "one of queries, sums, own-sums, tau"),
        ("everything=1", "one of queries, sums, own-sums, tau"),
        ("", "one of queries, sums, own-sums, tau"),
    ],
)
def test_a_limit_is_gone_beyond_by_its_name_and_a_number(given: str, problem: str) -> None:
    limits = limits_of(study(protect=Protect(predictions="sum")), "lab")
    assert read_beyond(["sums=0.11", "own-sums=2.5", "sums=3"], limits) == {"sums": 3.0, "own-sums": 2.5}
    with pytest.raises(SettingsError, match=f"--beyond: .*{problem}"):
        read_beyond(["own-sums=2", given], limits)


def test_no_limit_where_a_study_has_none() -> None:
    with pytest.raises(SettingsError, match="NAME one of queries"):
        read_beyond(["sums=3"], limits_of(study(), "lab"))
    with pytest.raises(SettingsError, match="this study and party have no such limit"):
        read_beyond(["queries=30000000"], limits_of(study(protect=Protect(predictions="sum")), "hospital"))


def test_consent_and_what_goes_beyond_a_limit_enter_the_ledger_once(tmp_path: Path) -> None:
    """Stated at one start it holds at the next; another number is another entry; nothing is said without a word."""
    session = session_of(tmp_path, 'aggregator = "lab"\n[protect]\n' + SUMS, others=("insurer",))

    def start(given: str | None, beyond: list[str]) -> dict[str, float]:
        store = open_store(session)
        require_consent(session, store, given, None)
        found = go_beyond(session, store, beyond)
        ledger = Ledger.open(
            store.path, session.identity, session.canonical, session.digest, session.cards.values(), store
        )
        write_down(session, store, ledger)
        ledger.close()
        store.close()
        return found

    assert start(session.digest, []) == {}
    assert start(None, ["sums=0.3"]) == {"sums": 0.3}
    assert start(None, []) == {"sums": 0.3}
    assert start(None, ["own-sums=2", "sums=0.3"]) == {"sums": 0.3, "own-sums": 2.0}
    assert start(None, ["sums=0.2"]) == {"sums": 0.2, "own-sums": 2.0}
    path = tmp_path / "run" / "ledger.jsonl"
    entries = [decode(line, "", None) for line in read_lines(path)]
    assert isinstance(entries[1], ConsentEntry) and entries[1].digest == session.digest
    said = [(e.limit, e.usual, e.stated) for e in entries[2:] if isinstance(e, BeyondEntry)]
    assert said == [("sums", 0.1, 0.3), ("own-sums", 0.2, 2.0), ("sums", 0.1, 0.2)] and len(entries) == 5
    assert verify_ledger(path).beyond == {"sums": 0.3, "own-sums": 2.0}


@pytest.mark.processes
@pytest.mark.parametrize("given", [["--consent"], []])
def test_on_a_terminal_bare_consent_asks(given: list[str], tmp_path: Path) -> None:
    session = session_of(tmp_path)
    person, terminal = pty.openpty()
    command = [sys.executable, "-m", "parties.cli", "assist", "lab.toml", *given]
    process = subprocess.Popen(command, cwd=tmp_path, stdin=terminal, stdout=terminal, stderr=terminal)
    os.close(terminal)
    shown = b""
    while b"[y/N]" not in shown:
        shown += os.read(person, 4096)
    assert session.digest.encode() in shown
    os.write(person, b"n\n")
    assert process.wait(timeout=60) == 3
    os.close(person)


def test_encryption_of_residuals_still_reveals_fitted_values() -> None:
    encrypted = study(protect=Protect(residuals="ckks"))
    found = {item.message for item in who_learns_what(encrypted) if in_the_clear(item)}
    assert "encrypted-residual" not in found and {"encrypted-fitted", "encrypted-predict-reply"} <= found


@pytest.mark.parametrize("kind", ["gb", "svm", "mlp"])
def test_a_learner_that_cannot_be_fitted_on_ciphertexts_is_refused_by_check(kind: str, tmp_path: Path) -> None:
    encrypted = '[protect]\nresiduals = "ckks"\n'
    session_of(tmp_path, encrypted, f'[learner]\nkind = "{kind}"\n')
    with pytest.raises(SettingsError, match=r"must see the residual.*Choose one of"):
        setup.check_party(tmp_path / "lab.toml")
    session_of(tmp_path, encrypted, '[learner]\nkind = "linear"\nfeatures = "auto"\n')
    assert "standard: ring degree 8192" in setup.check_party(tmp_path / "lab.toml")


@pytest.mark.parametrize(
    ("stated", "problem"),
    [
        (30_000_000.0, ""),
        (5.0, "goes beyond queries: 5 is not beyond the limit of"),
        (30_000_000.5, "goes beyond queries: 3e+07 is no whole number"),
    ],
)
def test_a_limit_gone_beyond_in_a_ledger_is_one_that_could_be(stated: float, problem: str) -> None:
    now, settings = datetime(2026, 11, 28, tzinfo=UTC), study()
    opening = Opening(1, "", now, 2, "lab", "0" * 64, msgspec.Raw(b"{}"), ())
    entry = BeyondEntry(2, "0" * 64, now, "queries", float(settings.max_queries), stated)
    found = Policy(settings).agreed_problem(entry, opening)
    assert found.startswith(problem) and bool(found) == bool(problem)


@pytest.mark.parametrize(
    ("task", "said"), [("classification", "shows each row's class"), ("regression", "shows each row's target value")]
)
def test_the_manifest_says_what_a_clear_residual_shows(task: str, said: str) -> None:
    told = {item.message: item for item in who_learns_what(study(task=task, protect=Protect(ids="clear")))}
    assert told["residual"].inference.endswith(said)
