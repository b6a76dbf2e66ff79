"""The comparison with other systems: what is counted, what fails by name, and the table made of the JSON alone."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from benchmarks.peers import __main__ as program
from benchmarks.peers import environments, launch, table
from benchmarks.peers.catalogue import CASES, PEERS, Peer
from benchmarks.peers.environments import Environment, NotInstalled
from benchmarks.peers.relay import Relay, free_ports
from benchmarks.peers.usage import Seen, Usage, parse

ROOT = Path(__file__).parent.parent.parent
WAITS = [sys.executable, "-c", "input()"]
FOREVER = [sys.executable, "-c", "import threading; threading.Event().wait()"]


def test_every_system_has_a_name_of_its_own_and_known_cases() -> None:
    assert len({peer.name for peer in PEERS}) == len(PEERS)
    assert all(set(peer.cases) <= set(CASES) for peer in PEERS)


def test_a_relay_counts_the_bytes_of_both_ways() -> None:
    port = free_ports(1)[0]

    def answer() -> None:
        with socket.create_server(("127.0.0.1", port)) as server:
            listening.set()
            end, _ = server.accept()
            with end:
                while end.recv(4096):
                    pass
                end.sendall(b"b" * 70_000)

    listening = threading.Event()
    thread = threading.Thread(target=answer)
    thread.start()
    assert listening.wait(30)
    with Relay(port) as relay, socket.create_connection(("127.0.0.1", relay.port)) as near:
        near.sendall(b"a" * 300_000)
        near.shutdown(socket.SHUT_WR)
        received = 0
        while part := near.recv(1 << 16):
            received += len(part)
        assert (received, relay.carried) == (70_000, 370_000)
    thread.join()


def test_a_process_is_read_whatever_its_name_holds() -> None:
    stat = "71 (ray::a) S (b) Z 7 71 71 0 -1 4194560 1 2 3 4 250 50 9 9 20 0 1 0 123456 1 2"
    found = parse(stat)
    assert (found.seen, found.parent, found.ticks, found.zombie) == (Seen(71, 123456), 7, 300, True)


@pytest.mark.processes
def test_only_what_was_started_in_the_block_is_ended() -> None:
    before = subprocess.Popen(WAITS, stdin=subprocess.PIPE)
    usage = Usage()
    with usage:
        within = subprocess.Popen(WAITS, stdin=subprocess.PIPE)
    usage.end_what_is_left()
    assert within.wait(timeout=30) == -9
    assert before.poll() is None
    before.communicate(b"\n", timeout=30)
    assert usage.wall_seconds > 0


def test_what_pip_says_is_what_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        failed = "pip" in command
        return subprocess.CompletedProcess(command, int(failed), "", "WARNING: old\nERROR: No match for x\nhint\n")

    monkeypatch.setattr(environments.subprocess, "run", run)
    with pytest.raises(NotInstalled, match=r"^No match for x$"):
        Environment("x", ("x==1",)).interpreter(tmp_path)


def test_a_python_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotInstalled, match=r"Python 9\.9"):
        Environment("x", ("x==1",), python="9.9").interpreter(tmp_path)


def test_an_environment_is_kept_until_it_is_to_hold_something_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr(environments, "_finish", lambda command: commands.append(command))
    for requirement in ("x==1", "x==1", "x==2"):
        (tmp_path / "x" / "bin").mkdir(parents=True, exist_ok=True)  # venv is not run here
        (tmp_path / "x" / "bin" / "python").touch()
        monkeypatch.setattr(environments.shutil, "rmtree", lambda *_, **__: None)
        assert Environment("x", (requirement,)).interpreter(tmp_path) == tmp_path / "x" / "bin" / "python"
    assert [command[-1] for command in commands if "pip" in command] == ["x==1", "x==2"]


def test_an_environment_whose_python_has_gone_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr(environments, "_finish", lambda command: commands.append(command))
    monkeypatch.setattr(environments.shutil, "rmtree", lambda *_, **__: None)
    (tmp_path / "x" / "bin").mkdir(parents=True)
    (tmp_path / "x" / "bin" / "python").symlink_to(tmp_path / "removed")
    (tmp_path / "x" / "requirements.txt").write_text("x==1")
    Environment("x", ("x==1",)).interpreter(tmp_path)
    assert [command[1:3] for command in commands] == [["-m", "venv"], ["-m", "pip"]]


def test_a_command_that_does_not_start_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environments.sys, "executable", str(tmp_path / "nothing"))
    with pytest.raises(NotInstalled, match="No such file or directory"):
        Environment("x", ("x==1",)).interpreter(tmp_path)


@pytest.mark.processes
def test_a_program_that_does_not_start_is_named_and_the_other_one_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def start(command: list[str], **streams: Any) -> subprocess.Popen[bytes]:
        started.append(popen(command, **streams))
        return started[-1]

    monkeypatch.setattr(launch.subprocess, "Popen", start)
    with pytest.raises(launch.Failed, match=r"No such file or directory.*no-python"):
        launch.finish([FOREVER, [str(tmp_path / "no-python")]], tmp_path, limit=60)
    assert [process.poll() for process in started] == [-9]


def test_what_does_not_install_is_a_row_and_the_others_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: Any) -> Path:
        raise NotInstalled("No match for x==1")

    monkeypatch.setattr(Environment, "interpreter", refuse)
    peers = (
        Peer("absent", "w", ("breast",), Environment("x", ("x==1",)), lambda _: pytest.fail("it was run")),
        Peer("here", "w", ("breast",), None, lambda _: {"bytes": None, "auc": 0.9}),
    )
    monkeypatch.setattr(program, "PEERS", peers)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    out = tmp_path / "peers.json"
    monkeypatch.setattr(sys, "argv", ["peers", "--data", str(tmp_path), "--out", str(out)])
    program.main()
    absent, here = json.loads(out.read_text())["runs"]
    assert absent["failed"] == "not installed: No match for x==1"
    assert here["auc"] == 0.9
    assert "| breast | absent | w |  |  |  | not installed: No match for x==1 | 0 |" in capsys.readouterr().out


@pytest.mark.processes
def test_a_program_that_fails_is_named_by_its_last_line_and_the_other_one_is_ended(tmp_path: Path) -> None:
    with pytest.raises(launch.Failed, match="no such column"):
        launch.finish([FOREVER, [sys.executable, "-c", "raise SystemExit('no such column')"]], tmp_path, limit=60)


@pytest.mark.processes
def test_a_program_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    with pytest.raises(launch.Failed, match="not finished within 0 s"):
        launch.finish([FOREVER], tmp_path, limit=0)


def run(peer: str, **found: Any) -> dict[str, Any]:
    return {
        "case": "breast",
        "peer": peer,
        "what": "w",
        "cpu_seconds": 2.0,
        "wall_seconds": 3.0,
        "bytes": 10**6,
    } | found


def test_the_table_has_medians_and_what_failed() -> None:
    runs = [run("a", auc=0.9, cpu_seconds=cpu) for cpu in (1.0, 5.0, 2.0)]
    runs.append(run("b", common=7, bytes=None))
    runs.append({"case": "breast", "peer": "c", "what": "w", "failed": "not installed: x | y"})
    assert table.markdown(runs).splitlines()[2:] == [
        "| breast | a | w | 2.0 | 3.0 | 1.00 | AUC 0.9000 | 3 |",
        "| breast | b | w | 2.0 | 3.0 | none | 7 in common | 1 |",
        r"| breast | c | w |  |  |  | not installed: x \| y | 0 |",
    ]


def test_the_documentation_has_the_table_of_the_results() -> None:
    runs = json.loads((ROOT / "benchmarks" / "results" / "peers.json").read_text())["runs"]
    assert table.markdown(runs) in (ROOT / "docs" / "MEASURED.md").read_text()
