"""What the command line hands to each command, what it prints, and how it ends; the commands themselves stand still."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from parties import cli
from parties.commands import at_hand, forecast, setup
from parties.commands.forecast import Known
from parties.workers import connect
from secure_gal import __version__
from secure_gal.errors import SettingsError

FILE = Path("p.toml")


class Still:
    """Stands in for a command: keeps how it is called, and returns this."""

    def __init__(self, value: object = 0) -> None:
        self.value, self.called = value, list[tuple[tuple[Any, ...], dict[str, Any]]]()

    def __call__(self, *given: Any, **named: Any) -> object:
        self.called.append((given, named))
        return self.value


def run(command: list[str]) -> Any:
    return CliRunner().invoke(cli.app, command)


@pytest.mark.parametrize(
    ("where", "command", "given", "named"),
    [
        ("assist", ["assist", "p.toml"], (FILE,), {"once": False, "consent": None, "beyond": (), "json": False}),
        (
            "assist",
            ["assist", "p.toml", "--once", "--consent", "ab", "--beyond", "sums=1", "--beyond", "tau=9", "--json"],
            (FILE,),
            {"once": True, "consent": "ab", "beyond": ["sums=1", "tau=9"], "json": True},
        ),
        ("train", ["train", "p.toml"], (FILE,), {"beyond": (), "json": False, "require_gain": False}),
        (
            "train",
            ["train", "p.toml", "--json", "--require-gain", "--beyond", "sums=1"],
            (FILE,),
            {"beyond": ["sums=1"], "json": True, "require_gain": True},
        ),
        ("train.report", ["report", "p.toml"], (FILE,), {}),
        ("predict", ["predict", "p.toml", "--ids", "i", "--out", "o"], (FILE, Path("i"), Path("o")), {"json": False}),
        ("demo.run", ["demo"], (Path("demo"), False), {}),
        ("demo.run", ["demo", "--dir", "d", "--clear"], (Path("d"), True), {}),
    ],
)
@pytest.mark.parametrize("code", [0, 8])
def test_a_run_ends_with_its_code(
    where: str, command: list[str], given: Any, named: Any, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, _, name = where.partition(".")
    still = Still(code)
    monkeypatch.setattr(import_module(f"parties.commands.{module}"), name or module, still)
    assert run(command).exit_code == code and still.called == [(given, named)]


LEAK = SimpleNamespace(ok=True, threshold=0.5, rows=lambda: [{"attack": "a"}])
HEALTHY, ILL = (["a", "b"], True), (["a", "b"], False)


@pytest.mark.parametrize(
    ("where", "command", "returned", "given", "named", "said", "code"),
    [
        ("setup.keygen", ["keygen", "lab"], "text", ("lab", Path("keys")), {}, "text\n", 0),
        ("setup.keygen", ["keygen", "lab", "--home", "h"], "text", ("lab", Path("h")), {}, "text\n", 0),
        (
            "schema.schema_of",
            ["schema", "p.toml"],
            ("text", ""),
            (FILE,),
            {"renew": False, "export": None, "descriptor": None},
            "text\n",
            0,
        ),
        (
            "schema.schema_of",
            ["schema", "p.toml", "--renew", "--export", "e", "--import", "i"],
            ("text", "why"),
            (FILE,),
            {"renew": True, "export": Path("e"), "descriptor": Path("i")},
            "text\n",
            2,
        ),
        (
            "forecast.forecast",
            ["forecast", "p.toml"],
            "text",
            (FILE, Known(None, None)),
            {"measure": False},
            "text\n",
            0,
        ),
        (
            "forecast.forecast",
            ["forecast", "p.toml", "--rows", "2", "--width", "1", "--measure"],
            "text",
            (FILE, Known(2, 1)),
            {"measure": True},
            "text\n",
            0,
        ),
        ("doctor.examine", ["doctor", "p.toml"], HEALTHY, (FILE,), {}, "a\nb\n", 0),
        ("doctor.examine", ["doctor", "p.toml"], ILL, (FILE,), {}, "a\nb\n", 2),
    ],
)
def test_a_command_prints_what_it_found(
    where: str,
    command: list[str],
    returned: object,
    given: Any,
    named: Any,
    said: str,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module, _, name = where.partition(".")
    still = Still(returned)
    monkeypatch.setattr(import_module(f"parties.commands.{module}"), name, still)
    found = run(command)
    assert (found.output, found.exit_code) == (said, code) and still.called == [(given, named)]


@pytest.mark.parametrize("command", [["forecast", "p.toml", "--rows", "1"], ["forecast", "p.toml", "--width", "0"]])
def test_numbers_below_their_least_are_refused(command: list[str]) -> None:
    assert run(command).exit_code == 2


@pytest.mark.parametrize(
    ("name", "method", "more", "given", "plain"),
    [
        ("leakage", "measure", [], (FILE,), {"ok": True, "threshold": 0.5, "findings": [{"attack": "a"}]}),
        ("drift", "drift", [], (FILE, None), {"rows": 3}),
        ("drift", "drift", ["t.csv"], (FILE, Path("t.csv")), {"rows": 3}),
        ("importance", "measure", [], (FILE,), {"age": 0.5}),
    ],
)
def test_what_was_found_is_a_table_or_json(
    name: str, method: str, more: list[str], given: Any, plain: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    module: Any = import_module(f"parties.commands.{name}")
    found = LEAK if name == "leakage" else plain
    still = Still(found)
    monkeypatch.setattr(module, method, still)
    monkeypatch.setattr(module, "as_text", lambda asked: "table" if asked is found else "other")
    monkeypatch.setattr(module, "as_json", lambda asked: plain if asked is found else None, raising=False)
    shown, as_json = run([name, "p.toml", *more]), run([name, "p.toml", *more, "--json"])
    assert (shown.output, shown.exit_code) == ("table\n", 0)
    assert json.loads(as_json.output) == plain and as_json.exit_code == 0
    assert still.called == [(given, {})] * 2


def test_a_leak_beyond_the_threshold_ends_with_one(monkeypatch: pytest.MonkeyPatch) -> None:
    leakage: Any = import_module("parties.commands.leakage")
    monkeypatch.setattr(leakage, "measure", Still(SimpleNamespace(ok=False, threshold=0.5, rows=lambda: [])))
    assert run(["leakage", "p.toml", "--json"]).exit_code == 1


@pytest.mark.parametrize("workers", ["", "2 workers"])
def test_check_says_all_that_one_party_can_tell(workers: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On one reading of the table."""
    party, looked, told, checked = object(), Still(workers), Still("forecast"), Still("manifest")
    read = Still(party)
    monkeypatch.setattr(at_hand, "at_hand", read)
    monkeypatch.setattr(setup, "check_party", checked)
    monkeypatch.setattr(forecast, "told", told)
    monkeypatch.setattr(connect, "look", looked)
    assert run(["check", "p.toml"]).output == "manifest\n\nforecast\n" + (f"\n{workers}\n" if workers else "")
    assert read.called == [((FILE,), {})] and checked.called == [((FILE, party), {})]
    assert told.called == [((party,), {})] and looked.called == [((FILE,), {})]


def test_the_release_and_what_is_missing() -> None:
    assert run(["--version"]).output == f"secure-gal {__version__}\n"
    for empty in ([], ["audit"]):
        found = run(empty)
        assert "Usage: " in found.output and "Commands" in found.output
    found = run(["trust"])
    assert found.exit_code == 2 and "name a card file, or use --list or --remove NAME" in found.output


@pytest.mark.parametrize(("more", "files"), [([], ["lab.toml"]), (["--role", "sponsor"], ["study.toml", "lab.toml"])])
def test_new_files_are_named(
    more: list[str], files: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["new", "lab", *more]).output.splitlines() == [f"wrote {tmp_path / file}" for file in files]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(files)
    with_it = run(["new", "lab", *more]).exception
    assert isinstance(with_it, SettingsError) and "is already there and is never overwritten" in str(with_it)
