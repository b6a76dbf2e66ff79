"""Commands without a run: what they find on this machine, at the edge of what is well, and how they write it."""

from __future__ import annotations

import errno
import re
import socket
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from parties import cli
from parties.audit import views
from parties.commands import ahead, audit, doctor, predict
from parties.commands.consent import _check_digest
from parties.commands.leakage import _sample, as_text
from parties.commands.predict import _places, _written
from parties.commands.train import NO_GAIN
from secure_gal.attacks.finding import Estimate, Finding
from secure_gal.attacks.meter import Leakage
from secure_gal.errors import ConsentError, DataError, SettingsError
from secure_gal.settings.study import Protect
from secure_gal.state import State
from secure_gal.volume import Flow
from tests.support.study_in_memory import study

DIGEST = "0123456789abcdef" * 4


# doctor


@pytest.mark.parametrize(
    ("devices", "says"), [((), "none; torch uses the CPU"), (("H100",), "H100"), (("A", "B"), "A, B")]
)
def test_doctor_names_the_gpus(devices: tuple[str, ...], says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: bool(devices))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(devices))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda number: devices[number])
    assert doctor._gpu() == says


@pytest.mark.parametrize("mode", [0o701, 0o702, 0o704, 0o710, 0o720, 0o740])
def test_doctor_refuses_a_run_directory_that_others_reach(mode: int, tmp_path: Path) -> None:
    path = tmp_path / "run"
    assert doctor._run_dir(path) == f"{path} (will be made)" and not path.exists()
    path.mkdir(mode=0o700)
    assert doctor._run_dir(path) == f"{path} (there)" and not list(path.iterdir())
    path.chmod(mode)
    with pytest.raises(OSError, match=f"can be read by others; chmod 700 {path}"):
        doctor._run_dir(path)


def test_doctor_says_what_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file is a file; name a folder as `run_dir`"):
        doctor._run_dir(tmp_path / "file")
    session: Any = SimpleNamespace(party=SimpleNamespace(home=tmp_path))
    assert doctor._home(session) == f"{tmp_path} can be written"

    def refuse(dir: Path) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    with pytest.raises(OSError, match="Read-only file system; what is given away could not be counted"):
        doctor._home(session)
    with pytest.raises(OSError, match=f"{tmp_path / 'a' / 'b'} cannot be made or written: {tmp_path}: Read-only"):
        doctor._run_dir(tmp_path / "a" / "b")


def looked(monkeypatch: pytest.MonkeyPatch, **party: Any) -> str:
    fields = {"bind": None, "proxy": None, "address": None} | party
    found = (SimpleNamespace(**fields), SimpleNamespace(address="tcp://127.0.0.1:1"))
    monkeypatch.setattr(doctor, "load_party", lambda file: found)
    return doctor._network(Path("p.toml"))


def test_doctor_probes_the_port_or_the_sponsor(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=rf"tcp://127\.0\.0\.1:{port}: .*; stop what uses the port, or change `bind`"):
            looked(monkeypatch, bind=f"tcp://127.0.0.1:{port}")
        assert looked(monkeypatch, address=f"tcp://127.0.0.1:{port}") == f"tcp://127.0.0.1:{port} answers"
    for host in ("127.0.0.1", "*"):
        assert looked(monkeypatch, bind=f"tcp://{host}:{port}") == f"tcp://{host}:{port} is free"
    assert looked(monkeypatch, proxy="p:9050") == "through the SOCKS5 proxy p:9050; not probed"
    with pytest.raises(OSError, match=r"tcp://127\.0\.0\.1:1: .*; is the sponsor running"):
        looked(monkeypatch)


# consent


@pytest.mark.parametrize("given", [DIGEST[:16], DIGEST[:16].upper(), DIGEST[:40], DIGEST])
def test_consent_is_to_the_beginning_of_the_digest(given: str) -> None:
    _check_digest(SimpleNamespace(digest=DIGEST, file="p.toml"), given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "error", "rule"),
    [
        (DIGEST[:15], SettingsError, "accepted: the first 16 to 64 hexadecimal digits"),
        (DIGEST + "0", SettingsError, "accepted: the first 16 to 64 hexadecimal digits"),
        ("g" * 16, SettingsError, "accepted: the first 16 to 64 hexadecimal digits"),
        (DIGEST[1:17], ConsentError, "nothing was sent"),
        (DIGEST[:15] + "0", ConsentError, "nothing was sent"),
    ],
)
def test_consent_to_anything_else_is_none(given: str, error: type[Exception], rule: str) -> None:
    with pytest.raises(error, match=rule):
        _check_digest(SimpleNamespace(digest=DIGEST, file="p.toml"), given)  # type: ignore[arg-type]


# leakage


def test_leakage_is_scored_on_at_most_20000_rows_the_same_every_time() -> None:
    assert _sample(7).tolist() == list(range(7)) and len(_sample(20_000)) == 20_000
    chosen = _sample(20_001)
    assert len(chosen) == len(set(chosen.tolist())) == 20_000 and (np.diff(chosen) > 0).all()
    assert np.array_equal(chosen, _sample(20_001)) and chosen[-1] > 19_000


def finding(target: str, leak: float) -> Finding:
    estimate = Estimate(leak, leak, leak)
    return Finding("guess", target, "1", "nothing", "AUC", estimate, Estimate(0.0, 0.0, 0.0), estimate)


def test_the_worst_leak_comes_first_and_what_exceeds_is_marked() -> None:
    found = (finding("small", 0.1), finding("x" * 30, 0.9), finding("middle", 0.5))
    lines = as_text(Leakage(found, 0.5)).splitlines()
    assert [line.split()[1] for line in lines[1:4]] == ["x" * 22, "middle", "small"]
    assert ["EXCEEDS" in line for line in lines[1:4]] == [True, False, False]
    assert lines[4] == "threshold 0.5: EXCEEDED"
    assert as_text(Leakage(found, 0.9)).endswith("threshold 0.9: kept")
    assert len(as_text(Leakage(found)).splitlines()) == 4


# what check and predict say


def test_bytes_ahead_are_summed_by_purpose_and_written_for_people() -> None:
    flows = [
        Flow("residual", "hospital", "lab", 49_999, "residuals"),
        Flow("keys", "hospital", "lab", 1, "keys"),
        Flow("fitted", "lab", "hospital", 5, "fits"),
        Flow("residual", "hospital", "lab", 1, "residuals"),
        Flow("residual", "hospital", "insurer", 7, "residuals"),
    ]
    (to, sent), (from_, got) = ahead._ways(flows, "hospital", "lab")
    assert (
        (to, from_) == ("to", "from") and [f.nbytes for f in sent] == [49_999, 1, 1] and [f.nbytes for f in got] == [5]
    )
    assert ahead._sums(sent) == "residuals 0.1 MB, keys 0.0 kB"
    assert (ahead._mb(49_999), ahead._mb(50_000), ahead._mb(1_234_567_890)) == ("50.0 kB", "0.1 MB", "1,234.6 MB")


@pytest.mark.parametrize(
    ("protect", "scales", "unit", "places"),
    [
        (Protect(), [1.0], 1.0, None),
        (Protect(residuals="ckks"), [1.0], 1.0, 3),
        (Protect(residuals="ckks"), [1.0, 9.0], 1.0, 2),
        (Protect(predictions="sum"), [1.0, 9.0], 1.0, 3),
        (Protect(residuals="ckks"), [1.0], 1e6, 0),
    ],
)
def test_as_many_decimals_as_mean_something(
    protect: Protect, scales: list[float], unit: float, places: int | None
) -> None:
    state = State({f"scale/{i}": np.array([scale]) for i, scale in enumerate(scales)})
    session: Any = SimpleNamespace(study=study(protect=protect))
    assert _places(session, state, SimpleNamespace(scale=unit)) == places  # type: ignore[arg-type]


def test_rows_to_look_at_are_counted() -> None:
    found = _written(Path("p.csv"), {"missing": ["lab", "", "lab"], "unusual": ["", "", "lab"]}, True)
    assert (found.rows, found.lacking, found.unusual, found.summed) == (3, 2, 1, True)


class Frame:
    """Columns of a table, by number of rows."""

    def __init__(self, width: int) -> None:
        self.width = width

    def __getitem__(self, rows: list[int]) -> list[int]:
        return rows


@pytest.mark.parametrize(
    ("width", "fits", "looked_up"), [(2, True, False), (2, False, False), (0, False, False), (0, True, True)]
)
def test_rows_to_predict_have_their_own_features_or_are_looked_up(
    width: int, fits: bool, looked_up: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = SimpleNamespace(frame=Frame(width), ids=["c", "a"], notes=("a note",), written="as written")
    monkeypatch.setattr(predict, "read_table", lambda asked, form, schema, labelled: found)
    monkeypatch.setattr(predict.msgspec.structs, "replace", lambda data, **changes: (data, changes))
    model: Any = SimpleNamespace(fits=fits, ids=["a", "b", "c"], schema=None, table=SimpleNamespace(frame=Frame(2)))
    session: Any = SimpleNamespace(party=SimpleNamespace(data=SimpleNamespace(where="own.csv")), study=study())
    said: list[str] = []
    rows: Any = predict._rows(session, Path("new.csv"), model, said.append)
    assert said == ["a note"]
    if not looked_up:
        assert rows is found
        return
    assert (rows.ids, rows.frame) == (["c", "a"], [2, 0])
    found.ids = ["c", "x", "y"]
    with pytest.raises(DataError, match=r"2 of them are not in own.csv \(first: 'x'\); add the feature columns"):
        predict._rows(session, Path("new.csv"), model, said.append)


def test_predict_ends_with_its_code_and_closes_its_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[Any] = []
    data = SimpleNamespace(path=tmp_path / "own.csv")
    session: Any = SimpleNamespace(party=SimpleNamespace(party="hospital", data=data), study=study())
    monkeypatch.setattr(predict, "open_session", lambda file: session)
    monkeypatch.setattr(predict, "open_store", lambda session: SimpleNamespace(close=lambda: done.append("closed")))
    monkeypatch.setattr(predict, "require_finished", lambda session, store: done.append("finished"))
    monkeypatch.setattr(predict, "_predict", lambda *given: done.append(given[2:4]) or 6)
    (ids := tmp_path / "ids.csv").write_text("")
    assert predict.predict(Path("p.toml"), ids, tmp_path / "out.csv") == 6
    assert done == ["finished", (ids, tmp_path / "out.csv"), "closed"]


def test_the_guide_says_how_a_study_that_gains_nothing_ends() -> None:
    guide = (Path(__file__).parents[4] / "docs" / "GUIDE.md").read_text()
    (code,) = re.findall(r"^\| (\d+) \| `train --require-gain`", guide, re.MULTILINE)
    assert int(code) == NO_GAIN


@pytest.mark.parametrize(
    ("command", "as_json"),
    [
        (["assist", "p.toml"], False),
        (["assist", "p.toml", "--json"], True),
        (["train", "p.toml"], False),
        (["train", "p.toml", "--json"], True),
        (["report", "p.toml"], False),
        (["predict", "p.toml", "--ids", "i.csv", "--out", "o.csv"], False),
        (["predict", "p.toml", "--ids", "i.csv", "--out", "o.csv", "--json"], True),
    ],
)
def test_an_error_is_told_as_it_was_asked_for(
    command: list[str], as_json: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[Path, bool]] = []
    monkeypatch.setattr(cli, "guarded", lambda run, file, json: told.append((file, json)) or 0)
    assert CliRunner().invoke(cli.app, command).exit_code == 0
    assert told == [(Path("p.toml"), as_json)]


def test_what_a_manifest_says_is_no_markup(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name in it may hold brackets."""
    contents = SimpleNamespace(agreed=True, totals={})
    verdict = SimpleNamespace(owner="lab", study="s", digest="ab")
    monkeypatch.setattr(views, "read_contents", lambda path, chosen: (verdict, contents))
    monkeypatch.setattr(views, "totals_table", lambda contents, direction: direction)
    for name in ("agreements", "inferences"):
        monkeypatch.setattr(views, name, lambda *_: ["the [bold]text[/bold] of it"])
    shown = CliRunner().invoke(audit.audit_app, ["show", "ledger.jsonl"], catch_exceptions=False).output
    assert shown.count("the [bold]text[/bold] of it") == 3
