"""What `check`, `forecast` and `doctor` reckon and say before anything is sent, number by number."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from parties.commands import doctor, forecast, setup
from parties.commands.forecast import Known
from secure_gal.errors import SettingsError
from secure_gal.forecast.calibration import Measured
from secure_gal.forecast.reckoning import Costs, Forecast
from secure_gal.settings.party import LearnerSettings
from secure_gal.settings.study import Protect
from tests.support.study_in_memory import study

CKKS = study(protect=Protect(ids="clear", residuals="ckks"), rounds=5)
SUMS = study(protect=Protect(ids="clear", predictions="sum"), rounds=5)


def session(settings: Any = CKKS, party: str = "lab", **more: Any) -> Any:
    fields = {"party": party, "home": Path("keys"), "max_rows": None, "learner": LearnerSettings()} | more
    return SimpleNamespace(study=settings, party=SimpleNamespace(**fields), digest="ab" * 32)


# forecast


@pytest.mark.parametrize(
    ("known", "columns", "found"),
    [
        (Known(), 3, (9, 4)),
        (Known(), 4, (9, 8)),
        (Known(rows=2), 3, (2, 4)),
        (Known(rows=9, width=5), 3, (9, 8)),
        (Known(width=1), 3, (9, 1)),
        (Known(), 9_999, (9, 4096)),
    ],
)
def test_rows_and_width_are_this_partys_where_no_others_are_known(
    known: Known, columns: int, found: tuple[int, int]
) -> None:
    model: Any = SimpleNamespace(ids=range(9), table=SimpleNamespace(frame=SimpleNamespace(width=columns)))
    assert forecast._assumed(session(), model, known) == found
    assert forecast._assumed(session(study()), model, known) == (found[0], 0), "nothing is encrypted"


@pytest.mark.parametrize("rows", [0, 1, 10])
def test_rows_that_this_party_has_not_are_refused(rows: int) -> None:
    model: Any = SimpleNamespace(ids=range(9))
    with pytest.raises(SettingsError, match=rf"--rows: {rows}; accepted: 2 to 9, the rows of this party"):
        forecast._assumed(session(), model, Known(rows=rows))


@pytest.mark.parametrize(("known", "rows"), [(Known(), [4, 9]), (Known(rows=9), [9]), (Known(rows=3), [3])])
def test_both_ends_of_what_is_not_known_are_told(
    known: Known, rows: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forecast, "_assumed", lambda s, model, known: (known.rows or 9, 4))
    monkeypatch.setattr(forecast, "_measured", lambda s, model, padded, *, anew: (f"{padded} {anew}", "since"))
    monkeypatch.setattr(forecast, "_told", lambda party, measured, rows, padded: (measured, rows, padded))
    monkeypatch.setattr(forecast, "_as_json", str)
    monkeypatch.setattr(forecast, "in_words", lambda s, ends: str([end[1] for end in ends]))
    made = session()
    made.file = tmp_path / "p.toml"
    party: Any = SimpleNamespace(session=made, model=None)
    assert forecast.told(party, known) == f"{rows}\n  since"
    assert (tmp_path / "p.forecast.json").read_text() == str(("4 False", rows[-1], 4))
    forecast.told(party, known, measure=True)
    assert "4 True" in (tmp_path / "p.forecast.json").read_text()


def test_fewer_than_two_rows_are_never_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forecast, "_assumed", lambda *_: (3, 0))
    monkeypatch.setattr(forecast, "_measured", lambda *_, anew: (None, ""))
    monkeypatch.setattr(forecast, "_told", lambda party, measured, rows, padded: rows)
    monkeypatch.setattr(forecast, "_as_json", str)
    monkeypatch.setattr(forecast, "in_words", lambda s, ends: str(ends))
    made = session()
    made.file = tmp_path / "p.toml"
    assert forecast.told(SimpleNamespace(session=made, model=None)) == "[2, 3]\n  "  # type: ignore[arg-type]


def test_a_round_costs_what_one_more_would(monkeypatch: pytest.MonkeyPatch) -> None:
    def of_rounds(party: Any, measured: Any, volume: Any, rounds: int) -> Forecast:
        assert (volume.rows, volume.width) == (6, 4)
        seconds = {} if measured else {"fits": 2.0 * rounds}
        return Forecast("d", "lab", 6, 4, rounds, {"x": 100 * rounds}, {}, seconds, None if measured else 3.0 * rounds)

    monkeypatch.setattr(forecast, "_of_rounds", of_rounds)
    monkeypatch.setattr(
        forecast, "Volume", lambda study, rows, ids, padded: SimpleNamespace(rows=rows, width=padded, ids=ids)
    )
    party: Any = SimpleNamespace(session=session(), model=SimpleNamespace(ids=("ab", "cd", "ef")))
    told = forecast._told(party, None, 6, 4)  # type: ignore[arg-type]
    assert (told.rounds, told.a_round) == (5, Costs(100, 2.0, 3.0))
    assert forecast._told(party, True, 6, 4).a_round == Costs(100, None, None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("party", "seconds", "elapsed"), [("hospital", {"sponsor": 1.0}, 7.0), ("lab", {"adds": True}, None)]
)
def test_seconds_are_those_of_a_role(
    party: str, seconds: dict[str, Any], elapsed: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forecast, "foretold", lambda volume, reading, around: volume.study.rounds)
    monkeypatch.setattr(forecast, "reading", lambda canonical: "")
    monkeypatch.setattr(forecast, "ways", lambda flows, me: ({"x": flows}, {me: flows}))
    monkeypatch.setattr(forecast.reckoning, "of_sponsor", lambda *given: ({"sponsor": 1.0}, 7.0))
    monkeypatch.setattr(forecast.reckoning, "of_assistor", lambda *given, aggregates: {"adds": aggregates})
    made = session(SUMS, party)
    made.canonical = b""
    at_hand: Any = SimpleNamespace(session=made, start=0.5)
    volume = Volume(SUMS, 6, 4)
    timings = SimpleNamespace(pace=lambda rows: rows, epochs=3)
    measured: Any = SimpleNamespace(untold="", timings=timings, ciphers=None, sums=None)
    told = forecast._of_rounds(at_hand, measured, volume, 8)  # type: ignore[arg-type]
    assert (told.rounds, told.sent, told.received) == (8, {"x": 8}, {party: 8})
    assert (told.seconds, told.elapsed, told.epochs) == ({"start": 0.5} | seconds, elapsed, 3)
    untold = forecast._of_rounds(at_hand, Measured(untold="why"), volume, 8)  # type: ignore[arg-type]
    assert (untold.seconds, untold.elapsed, untold.untold) == ({}, None, "why")


@dataclasses.dataclass(frozen=True)
class Volume:
    """As much of `secure_gal.volume.Volume` as is looked at."""

    study: Any
    rows: int
    width: int


# budgets


SPENT = {"queries": 1_500, "rows": 20, "replies": 3, "sums": 0, "products": 0}


@pytest.mark.parametrize(
    ("settings", "max_rows", "lines"),
    [
        (study(), None, ["- rows predicted: 20; no max_rows is set"]),
        (study(), 1_000, ["- rows predicted: 20 of 1,000 (max_rows)"]),
        (CKKS, None, ["- rows predicted: 20; no max_rows is set", "- reply ciphertexts: 3 of 65,536 (tau)"]),
    ],
)
def test_what_is_left_of_this_data_is_said(
    settings: Any, max_rows: int | None, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("parties.run.budget.look", lambda home, table: SPENT)
    found = setup.budgets(session(settings, max_rows=max_rows), None)  # type: ignore[arg-type]
    assert found == [
        "budgets of this data over all keys, runs and studies (keys/budget.db; deleting it resets them):",
        f"- ids that were asked about: 1,500 of {settings.max_queries:,} (max_queries)",
        *lines,
    ]


@pytest.mark.parametrize(
    ("columns", "before", "says", "says_not"),
    [
        (25, 0, ["T*K = 5 equations, against 25 columns", "a ratio of 0.20, and", "other 1 assistors"], ["beyond it"]),
        (24, 0, ["a ratio of 0.21, which is beyond it, and"], ["released before"]),
        (100, 1_000, ["T*K = 1,005 equations, 1,000 of them released before, against", "10.05, which is beyond"], []),
        (0, 0, ["against 0 columns", "a ratio of 5.00"], ["fresh_features"]),
    ],
)
def test_what_sums_give_away_is_said(columns: int, before: int, says: list[str], says_not: list[str]) -> None:
    text, products = setup._sums(session(SUMS), columns, SPENT | {"sums": before, "products": 1 << 34})  # type: ignore[arg-type]
    assert all(part in text for part in says) and not any(part in text for part in says_not), text
    assert products == "- inner products: 1e+02% of what hides them"
    fresh = session(SUMS, learner=SimpleNamespace(fresh_features=True))
    assert "fresh_features: every round's sums" in setup._sums(fresh, columns, SPENT)[0]  # type: ignore[arg-type]


def test_what_rounds_take_of_the_replies_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("parties.run.ckks_key.released", lambda home, digest, params: 1_234)
    text = setup.replies_ahead(session(), 9_000)
    assert text == "replies: learning takes 10 of tau = 65,536 reply ciphertexts if all 9,000 rows here take part"
    both = setup.replies_ahead(session(party="hospital"), 9_000).splitlines()
    assert both == [
        text,
        "key: 1,234 of 65,536 ciphertexts decrypted so far under this study's key, over all its runs; learning "
        "decrypts 20",
    ]
    many = setup.replies_ahead(session(msgspec.structs.replace(CKKS, rounds=20_000)), 40_000)
    assert ", too many: " in many


# doctor


@pytest.mark.parametrize("broken", [None, "_home", "_run_dir", "require_open_files", "_network", "load_party"])
def test_every_finding_is_a_line_and_one_that_is_wrong_has_its_fix(
    broken: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    party = SimpleNamespace(party="lab", run_dir=Path("run"))
    found: dict[str, Any] = {
        "load_party": (party, SimpleNamespace(name="s")),
        "open_session": None,
        "_keys": "keys",
        "_home": "home",
        "_run_dir": "dir",
        "require_open_files": "files",
        "_network": "port",
        "_versions": "1.0",
        "_ciphertexts": "SEAL",
        "_gpu": "none",
    }

    def answer(name: str, value: Any) -> Any:
        if name == broken:
            raise OSError("wrong; mend it")
        return value

    for name, value in found.items():
        monkeypatch.setattr(doctor, name, lambda *given, name=name, value=value: answer(name, value))
    lines, healthy = doctor.examine(Path("p.toml"))
    assert healthy is (broken is None)
    if broken == "load_party":
        assert lines == ["FIX   settings: wrong; mend it"]
        return
    steps = {"home": "_home", "run_dir": "_run_dir", "open files": "require_open_files", "network": "_network"}
    wrong = [what for what, name in steps.items() if name == broken]
    expected = [
        "settings: s as lab",
        "keys and pins: keys",
        *(f"{what}: {found[name]}" for what, name in steps.items()),
    ]
    ok = [
        f"FIX   {line.split(':')[0]}: wrong; mend it" if line.split(":")[0] in wrong else f"ok    {line}"
        for line in expected
    ]
    assert lines == [*ok, "ok    versions: 1.0", "ok    ciphertexts: SEAL", "ok    gpu: none"]
