"""What a run directory promises of its files: whose they are, what outlives a crash, what is gone once erased."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from parties.run.store import FIXES, LinkRecord, RunStore, ends_there
from secure_gal.errors import EnvironmentFailure, SettingsError
from secure_gal.state import ERASABLE
from transport.ledger import Row


@pytest.fixture
def store(tmp_path: Path) -> Any:
    made = RunStore(tmp_path / "a" / "run")
    yield made
    made.close()


def pragma(store: RunStore, name: str) -> Any:
    return store._db.execute(f"PRAGMA {name}").fetchone()[0]


def test_a_run_directory_is_its_owners_alone_whatever_it_was(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir(mode=0o755)
    (tmp_path / "run").chmod(0o755)
    before, fds = os.umask(0), len(os.listdir("/proc/self/fd"))
    try:
        store = RunStore(tmp_path / "run")
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o7777 for path in [store.path, *store.path.iterdir()]}
    assert modes.pop("run") == 0o700 and modes["run.db"] == modes["lock"] == 0o600
    store.close()
    assert len(os.listdir("/proc/self/fd")) == fds


def test_a_commit_waits_for_the_disk_and_what_is_deleted_is_overwritten(store: RunStore) -> None:
    assert (pragma(store, "journal_mode"), pragma(store, "synchronous"), pragma(store, "secure_delete")) == (
        "wal",
        2,
        2,
    )
    assert pragma(store, "user_version") == 4


def test_a_step_waits_for_the_disk_and_what_can_be_had_again_does_not(store: RunStore) -> None:
    done = list[tuple[str, int]]()
    store._db.set_trace_callback(lambda text: done.append((text, pragma(store, "synchronous"))))

    def levels() -> set[int]:
        found = {level for text, level in done if text in ("BEGIN IMMEDIATE", "COMMIT")}
        done.clear()
        return found

    full, normal = 2, 1
    for _ in range(2):
        store.commit({}, {}, [("lab", 1, [b"h"])], [])
        assert levels() == {full}
        store.acknowledge("lab", 1)
        assert levels() == {normal}
        store.note({"seconds": "1.5", "cpu": "0.5"})
        assert levels() == {normal}
        store.set_meta("budget", "x")
        assert levels() == {full}
    other = sqlite3.connect(store.path / "run.db")  # what a process finds that comes after one that was killed
    assert (
        dict(other.execute("SELECT key, value FROM meta").fetchall()).items()
        >= {"seconds": "1.5", "cpu": "0.5"}.items()
    )
    assert other.execute("SELECT count(*) FROM outbox").fetchone() == (0,)
    other.close()


def test_a_secret_that_was_erased_is_in_no_file(store: RunStore) -> None:
    key, secret = f"{ERASABLE[0]}x" if isinstance(ERASABLE, tuple) else f"{ERASABLE}x", b"\xa5\x5a" * 16
    store.commit({key: secret}, {}, [])
    assert store.state()[key] == secret
    store.commit({key: None}, {}, [])
    assert key not in store.state()
    assert not any(secret in path.read_bytes() for path in store.path.iterdir())


def test_a_step_is_found_again_as_it_was(store: RunStore) -> None:
    values = {"rows": np.arange(6, dtype=np.int64).reshape(2, 3), "flag": np.array([True, False]), "text": b"x"}
    store.with_every_step("traffic", lambda: "counted")
    assert not store.begun and store.meta("traffic") == "" and store.id == store.meta("store") and len(store.id) == 32
    store.commit(
        values, {"lab": LinkRecord("ab", 3, 2)}, [("lab", n, [b"h", b"s"]) for n in (1, 2, 3)], [Row(1, b"line")]
    )
    found = store.state()
    assert found.keys() == values.keys() and found["text"] == b"x" and store.meta("traffic") == "counted"
    for name in ("rows", "flag"):
        kept, was = found[name], values[name]
        assert isinstance(kept, np.ndarray) and isinstance(was, np.ndarray)
        assert kept.dtype == was.dtype and np.array_equal(kept, was) and kept.flags.writeable
    assert store.links() == {"lab": LinkRecord("ab", 3, 2)} and store.begun
    assert [seq for seq, _ in store.outbox("lab", 1)] == [2, 3] and store.outbox("lab", 2)[0][1] == [b"h", b"s"]
    assert (store.pending("lab"), store.pending("insurer"), list(store.ledger_lines())) == (3, 0, [b"line"])
    store.acknowledge("lab", 2)
    assert store.pending("lab") == 1


def test_keys_are_found_by_their_beginning(store: RunStore) -> None:
    assert not store.holds("ensemble/") and store.value("learned") == b"" and store.values("a/") == {}
    store.commit({"a/1": b"one", "a/2": b"two", "ab": b"three", "agreement": b""}, {}, [])
    assert store.values("a/") == {"1": b"one", "2": b"two"} and store.value("ab") == b"three"
    assert store.holds("a/") and store.holds("a") and not store.holds("b") and not store.begun
    store.commit({"a/1": None, "agreement": b"x"}, {}, [])
    assert store.values("a/") == {"2": b"two"} and store.begun


def test_begun_anew_nothing_of_before_is_left(store: RunStore) -> None:
    first = store.id
    store.commit({"rows": b"x"}, {"lab": LinkRecord("ab", 1, 1)}, [("lab", 1, [b"h"])], [Row(1, b"line")])
    store.set_meta("consent", "yes")
    store.reset()
    assert (store.state(), store.links(), store.pending("lab"), list(store.ledger_lines())) == ({}, {}, 0, [])
    assert store.meta("consent") == "" and store.id == store.meta("store") != first


def test_a_peer_that_is_forgotten_is_noted_and_others_stay(store: RunStore) -> None:
    links = {name: LinkRecord("ab", 1, 1) for name in ("lab", "insurer")}
    store.commit({}, links, [("lab", 1, [b"h"]), ("insurer", 1, [b"h"])])
    store.forget("lab", [Row(1, b"note")])
    assert store.links().keys() == {"insurer"} and (store.pending("lab"), store.pending("insurer")) == (0, 1)
    assert list(store.ledger_lines()) == [b"note"]


def test_a_step_that_fails_leaves_nothing_of_itself(store: RunStore) -> None:
    store.commit({}, {}, [], [Row(1, b"line")])
    with pytest.raises(EnvironmentFailure, match=r"run\.db could not be written: .*mend the disk and start"):
        store.commit({"rows": b"x"}, {"lab": LinkRecord("ab", 1, 1)}, [], [Row(1, b"again")])
    assert store.state() == {} and store.links() == {} and not store._db.in_transaction
    store.commit({"rows": b"x"}, {}, [])
    assert FIXES["SQLITE_FULL"] == "free some disk space"


@pytest.mark.parametrize(("version", "release", "named"), [(3, "0.2.0", "0.2.0"), (5, "", "0.1")])
def test_a_run_of_another_format_is_left_alone(tmp_path: Path, version: int, release: str, named: str) -> None:
    store = RunStore(tmp_path / "run")
    store.set_meta("release", release)
    store._db.execute(f"PRAGMA user_version={version}")
    store.close()
    before = sorted(os.listdir("/proc/self/fd"))
    with pytest.raises(SettingsError, match=rf"has format {version}, this version reads 4: .* secure-gal {named}"):
        RunStore(tmp_path / "run")
    assert sorted(os.listdir("/proc/self/fd")) == before
    with sqlite3.connect(tmp_path / "run" / "run.db") as db:
        assert db.execute("PRAGMA user_version").fetchone()[0] == version
    assert named in ends_there(named)


def test_what_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.db").write_bytes(b"not a database, though long enough to be looked at" * 100)
    before = sorted(os.listdir("/proc/self/fd"))
    with pytest.raises(EnvironmentFailure, match="is it a run directory of secure-gal, and the disk not full"):
        RunStore(tmp_path / "run")
    assert sorted(os.listdir("/proc/self/fd")) == before, "nor does this process hold its lock"
