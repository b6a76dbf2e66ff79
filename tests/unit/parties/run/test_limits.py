"""What the machine must allow a party is found out before it goes online."""

from __future__ import annotations

import resource
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import harness
from parties.commands import demo, doctor
from parties.run.limits import require_open_files
from parties.run.store import RunStore
from secure_gal.errors import EnvironmentFailure
from secure_gal.settings.study import Protect
from tests.support.study_in_memory import study

REFUSED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
from parties.cli import main
main()
"""


@pytest.mark.processes
def test_too_few_open_files_are_named_before_a_party_goes_online(tmp_path: Path) -> None:
    harness.write_settings(tmp_path, harness.breast(tmp_path, 2, 0))
    command = [sys.executable, "-c", REFUSED, "assist", "p1.toml", "--consent"]
    done = subprocess.run(command, cwd=tmp_path / "p1", capture_output=True, text=True, timeout=60)
    assert done.returncode == 5 and "ulimit -n" in done.stderr and len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("soft", "hard", "after"), [(50, 500, 76), (50, 76, 76), (76, 76, 76), (80, 500, 80), (50, -1, 76), (-1, -1, -1)]
)
def test_a_soft_limit_of_open_files_is_raised(
    soft: int, hard: int, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = [soft, hard]
    monkeypatch.setattr(resource, "getrlimit", lambda what: tuple(limits))
    monkeypatch.setattr(resource, "setrlimit", lambda what, new: limits.__setitem__(slice(2), new))
    text = require_open_files(study(protect=Protect(ids="clear")))
    assert limits == [after, hard] and "76 needed" in text and ("any number" in text) == (soft == -1)


@pytest.mark.parametrize(("cores", "protect", "need"), [(8, "ckks", 108), (None, "ckks", 80), (8, "none", 76)])
def test_worker_processes_need_open_files_of_their_own(
    cores: int | None, protect: str, need: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: cores)
    settings = study(protect=Protect(ids="clear", residuals=protect))  # type: ignore[arg-type]
    assert f"{need} needed" in require_open_files(settings)


def test_a_disk_that_became_read_only_is_named(tmp_path: Path) -> None:
    store = RunStore(tmp_path / "run")
    store._db.execute("PRAGMA query_only=1")
    with pytest.raises(
        EnvironmentFailure, match=r"run\.db could not be written: .*readonly.*mount the disk for writing"
    ):
        store.commit({"phase": b"x"}, {}, [])
    store._db.execute("PRAGMA query_only=0")
    store._db.execute(f"PRAGMA max_page_count={store._db.execute('PRAGMA page_count').fetchone()[0]}")
    with pytest.raises(EnvironmentFailure, match=r"full; free some disk space"):
        store.commit({"large": bytes(100_000)}, {}, [])
    assert store.state() == {}, "all of a step or nothing"
    store.close()


def test_a_machine_without_a_free_port_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class Taken(socket.socket):
        def bind(self, address: object) -> None:
            raise OSError("in use")

    monkeypatch.setattr(demo.socket, "socket", Taken)
    with pytest.raises(EnvironmentFailure, match="no port from"):
        demo._free_port()


def test_doctor_examines_a_party_that_is_well(tmp_path: Path) -> None:
    harness.write_settings(tmp_path, harness.breast(tmp_path, 2, 0))
    lines, healthy = doctor.examine(tmp_path / "p0" / "p0.toml")
    assert healthy, lines
    whats = [line.partition(":")[0].removeprefix("ok    ") for line in lines]
    assert whats == [
        "settings",
        "keys and pins",
        "home",
        "run_dir",
        "open files",
        "network",
        "versions",
        "ciphertexts",
        "gpu",
    ]


@pytest.mark.parametrize(
    ("clear", "studies"), [(False, ["demo ckks psi", "in-the-clear none clear"]), (True, ["demo none clear"])]
)
def test_the_demo_shows_an_encrypted_study_and_the_same_in_the_clear(
    clear: bool, studies: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []
    monkeypatch.setattr(demo, "_write_tables", lambda folder: {})
    monkeypatch.setattr(demo, "_study", lambda folder, residuals, data, ids: f"{folder.name} {residuals} {ids}")
    monkeypatch.setattr(demo, "_print_results", lambda folder, data, results: shown.extend(results))
    assert demo.run(tmp_path / "demo", clear) == 0 and shown == studies
