"""How a command ends: exit codes, one line, a log without data."""

from __future__ import annotations

import atexit
import concurrent.futures.process
import errno
import json
import os
import re
import sqlite3
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zmq

from benchmarks import harness
from crypto import work_folder, workers
from parties import cli
from parties.run import ending, loop
from secure_gal import errors
from secure_gal.errors import Bug, EnvironmentFailure, PeerViolation, SecureGalError, StateError

SECRET = "4711.0815"


def sqlite(name: str) -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError("text")
    error.sqlite_errorname = name
    return error


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (MemoryError("Unable to allocate 8 EiB"), "memory was refused (Unable to allocate 8 EiB)"),
        (
            OSError(errno.ENOSPC, "No space left on device", "/data/x"),
            "/data/x: No space left on device: free some disk",
        ),
        (
            OSError(errno.EROFS, "Read-only file system", "/x"),
            "/x: Read-only file system: the disk is mounted read-only",
        ),
        (OSError(errno.EMFILE, "Too many open files"), "ulimit -n"),
        (zmq.ZMQError(errno.EMFILE), "Too many open files: this process may open more files with a larger `ulimit -n`"),
        (sqlite("SQLITE_IOERR_READ"), "run.db in run_dir: text"),
        (sqlite("SQLITE_CORRUPT"), "restore the newest copy of run_dir"),
        (concurrent.futures.process.BrokenProcessPool(), "a worker process was ended from outside"),
    ],
)
def test_what_the_machine_refuses_is_named_with_its_fix(error: Exception, says: str, tmp_path: Path) -> None:
    known = ending.explained(error, tmp_path)
    assert isinstance(known, EnvironmentFailure) and known.exit_code == 5
    assert says in str(known) and "start the same command again" in str(known) and "\n" not in str(known)
    assert not list(tmp_path.iterdir()), "nobody needs a log of it"


@pytest.mark.parametrize(
    "error", [ValueError(), KeyError(), FileNotFoundError(), sqlite("SQLITE_ERROR"), AssertionError()]
)
def test_anything_else_is_a_bug(error: Exception, tmp_path: Path) -> None:
    assert ending.known_as(error) is None
    assert isinstance(ending.explained(error, tmp_path), Bug)


def fail(values: np.ndarray) -> None:
    raise ValueError(f"cannot use {values}")


def caught(work: Callable[[], object]) -> Exception:
    try:
        work()
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


class RemoteTraceback(Exception):
    def __str__(self) -> str:
        where = 'Traceback (most recent call last):\n  File "/x/far.py", line 3, in away\n    f(x)'
        return f'"""\n{where}\nValueError: {SECRET}\n"""'


def test_a_bug_is_one_line_and_a_log_without_data(tmp_path: Path) -> None:
    def wrapped() -> None:
        try:
            fail(np.array([float(SECRET)]))
        except ValueError as error:
            error.__cause__ = RemoteTraceback()
            raise RuntimeError(SECRET) from error

    known = ending.explained(caught(wrapped), tmp_path)
    assert isinstance(known, Bug) and known.exit_code == 70
    log = tmp_path / ending.ERROR_LOG
    assert str(log) in str(known) and "RuntimeError" in str(known)
    assert "\n" not in str(known) and SECRET not in str(known)
    text = log.read_text()
    assert log.stat().st_mode & 0o777 == 0o600 and SECRET not in text and "4711" not in text
    for place in ("builtins.RuntimeError", "in wrapped", "builtins.ValueError", "in fail: raise ValueError", "far.py"):
        assert place in text


def test_a_log_of_what_names_code_only_says_what(tmp_path: Path) -> None:
    ending.explained(caught(lambda: np.zeros(1).nothing), tmp_path)  # type: ignore[attr-defined]
    assert "'numpy.ndarray' object has no attribute 'nothing'" in (tmp_path / ending.ERROR_LOG).read_text()


def test_logs_are_added_up_to_a_limit(tmp_path: Path) -> None:
    log = tmp_path / ending.ERROR_LOG
    for count in (1, 2):
        ending.explained(ValueError(), tmp_path)
        assert log.read_text().count("builtins.ValueError") == count
    log.write_text("x" * (ending.MAX_LOG_BYTES + 1))
    ending.explained(ValueError(), tmp_path)
    assert "xx" not in log.read_text() and log.read_text().count("builtins.ValueError") == 1


def test_a_log_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    assert "no log could be written" in str(ending.explained(ValueError(), tmp_path / "none"))


def test_an_illegal_step_of_ours_keeps_its_code_and_has_a_log(tmp_path: Path) -> None:
    known = ending.explained(StateError("no job is called x"), tmp_path)
    assert known.exit_code == 7 and "no job is called x" in str(known) and str(tmp_path) in str(known)


def ends(monkeypatch: pytest.MonkeyPatch, app: Callable[[], object]) -> object:
    monkeypatch.setattr(cli, "app", lambda args: app())
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code


def test_no_traceback_reaches_the_terminal(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert ends(monkeypatch, lambda: fail(np.ones(2))) == 70
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("error: a bug of secure-gal (ValueError)") and len(err.splitlines()) == 1
    assert (tmp_path / ending.ERROR_LOG).exists()


def test_a_reader_that_has_gone_is_no_failed_audit(monkeypatch: pytest.MonkeyPatch) -> None:
    def piped() -> None:
        try:
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")
        except BrokenPipeError:
            sys.exit(1)  # as Typer does

    assert ends(monkeypatch, piped) == 141
    assert ends(monkeypatch, lambda: sys.exit(1)) == 1


def test_with_json_an_error_is_an_event(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def violate() -> int:
        raise PeerViolation("lab", "too\x1bmuch")

    file = tmp_path / "p.toml"
    assert ending.guarded(violate, file, as_json=True) == 4
    event = json.loads(capsys.readouterr().err)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", event.pop("time"))
    assert event == {"event": "error", "exit_code": 4, "text": "lab broke a rule of the protocol: too\\x1bmuch"}
    with pytest.raises(PeerViolation):
        ending.guarded(violate, file, as_json=False)


def test_a_partys_log_is_in_its_run_directory(tmp_path: Path) -> None:
    case = harness.breast(tmp_path, 2, 0)
    harness.write_settings(tmp_path, case)
    (tmp_path / "p1" / "run").mkdir()
    with pytest.raises(Bug):
        ending.guarded(lambda: 1 // 0, tmp_path / "p1" / "p1.toml", as_json=False)
    assert "ZeroDivisionError" in (tmp_path / "p1" / "run" / ending.ERROR_LOG).read_text()


def test_the_table_of_exit_codes_is_complete() -> None:
    guide = (Path(__file__).parents[4] / "docs" / "GUIDE.md").read_text()
    table = dict(re.findall(r"^\| (\d+) \| (.+) \|$", guide, flags=re.MULTILINE))
    classes = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, SecureGalError)]
    assert {kind.exit_code for kind in classes} <= {int(code) for code in table}
    assert {int(code) for code in table} == {0, 1, 2, 3, 4, 5, 6, 7, 8, 70, 130, 141, 143}


@pytest.mark.parametrize("cut_off", [True, False])
def test_a_process_whose_job_was_cut_off_ends_at_once_and_leaves_nothing(
    cut_off: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers would go on, and large files of theirs would stay in memory."""
    done: list[object] = []
    monkeypatch.setattr(loop, "cut_off", cut_off)
    monkeypatch.setattr(work_folder, "release_all", lambda: done.append("files"))

    def end_all() -> None:
        done.append("workers")
        stumbles = threading.Thread(target=lambda: {}["a worker that has gone"])
        stumbles.start()
        stumbles.join()

    monkeypatch.setattr(workers, "end_all", end_all)
    monkeypatch.setattr(atexit, "_run_exitfuncs", lambda: done.append("atexit"))
    monkeypatch.setattr(sys.stdout, "flush", lambda: done.append("flush"))
    monkeypatch.setattr(os, "_exit", lambda code: done.append(code))
    monkeypatch.setattr(threading, "excepthook", lambda told: done.append("traceback"))
    if cut_off:
        ending.end(3)
    else:
        with pytest.raises(SystemExit) as ended:
            ending.end(4)
        assert ended.value.code == 4
    assert done == (["files", "workers", "atexit", "flush", 3] if cut_off else [])
