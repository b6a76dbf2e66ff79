"""A run directory restored from a backup: both sides are told, nobody is accused, and nothing of the run is lost."""

from __future__ import annotations

import copy
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from benchmarks import harness
from parties.commands import demo
from secure_gal import events
from secure_gal.errors import EnvironmentFailure
from tests.support.commands import cli, kill, until
from tests.support.simulation import MemoryStore, Network
from tests.support.study_in_memory import final_f, make_network

AT_LEAST = 5
"""Of 14 restored copies; the others are so early or so late that nothing was lost."""


def backup(store: MemoryStore) -> dict[str, object]:
    """What is on the party's disk now."""
    kept = {name: copy.copy(getattr(store, name)) for name in ("values", "link", "out", "rows")}
    return kept | {"files": {path.name: path.read_bytes() for path in store.folder.iterdir()}}


def restore(store: MemoryStore, kept: dict[str, object]) -> None:
    for path in store.folder.iterdir():
        path.unlink()
    for name, data in kept.pop("files").items():  # type: ignore[attr-defined]
        (store.folder / name).write_bytes(data)
    for name, value in kept.items():
        setattr(store, name, value)


def told(network: Network, name: str) -> list[tuple[str, type]]:
    """Who was told what when they heard of the party called `name`; the network runs on until nothing is left."""
    return [(party.name, type(event)) for party, event in network.events if getattr(event, "peer", "") == name]


@pytest.mark.parametrize("name", ["hospital", "lab"])
@pytest.mark.parametrize("seed", range(2))
def test_a_restored_copy_is_found_by_both_sides_or_lost_nothing(name: str, seed: int) -> None:
    """Copies at every sixteenth step, restored seven steps later and when the study has ended."""
    whole = make_network(seed)
    whole.run()
    found = 0
    for point in range(3, 115, 16):
        for later in (7, 10_000):
            network = make_network(seed)
            for _ in range(point):
                network.step()
            party = network.parties[name]
            kept = backup(party.store)
            for _ in range(later):
                if not network.step():
                    break
            restore(party.store, kept)
            try:
                network.crash(name)
                network.run()
            except EnvironmentFailure as failure:
                assert "restored from a backup" in str(failure) and "empty run_dir" in str(failure)
                others = {"lab", "insurer"} if name == "hospital" else {"hospital"}
                assert {who for who, what in told(network, name) if what is events.RolledBack} <= others
                found += 1
            else:
                assert np.array_equal(final_f(network), final_f(whole)), "nothing had been lost"
                assert not [what for _, what in told(network, name) if what is events.RolledBack]
    assert found >= AT_LEAST


@pytest.mark.parametrize("name", ["hospital", "lab"])
def test_the_other_side_is_told_and_goes_on_with_the_right_copy(name: str) -> None:
    network = make_network(1)
    while network.sponsor.store.values.get("phase") != b"learning":
        network.step()
    party = network.parties[name]
    old = backup(party.store)
    for _ in range(30):
        network.step()
    newest = backup(party.store)
    restore(party.store, old)
    with pytest.raises(EnvironmentFailure):
        network.crash(name)
        network.run()
    for other in network.others if name == "hospital" else [network.parties[name]]:
        first, second = network.sponsor, other
        listener, speaker = (second, first) if name == "hospital" else (first, second)
        outcome = listener.node.sync(speaker.name, speaker.node.attached(listener.name).transmit[0].frames[0])
        assert [type(event) for event in outcome.events] == [events.RolledBack] and not outcome.transmit
    restore(party.store, newest)
    network.crash(name)
    network.run()
    expected = make_network(1)
    expected.run()
    assert np.array_equal(final_f(network), final_f(expected))


@pytest.mark.processes
@pytest.mark.parametrize("name", ["p1", pytest.param("p0", marks=pytest.mark.slow)])
def test_real_parties_are_told(name: str, tmp_path: Path) -> None:
    case = harness.breast(tmp_path, 2, 0)
    harness.write_settings(
        tmp_path, case, study='rounds = 40\npatience = 40\nweights = "paper"\n[protect]\nids = "clear"'
    )
    commands = {"p0": ("train", "p0.toml"), "p1": ("assist", "p1.toml", *demo._consent(tmp_path / "p1"))}

    def run(who: str) -> subprocess.Popen[str]:
        return cli(tmp_path / who, *commands[who])

    running = {who: run(who) for who in commands}
    other = "p1" if name == "p0" else "p0"
    try:
        until(running["p0"], "round 2/40")
        kill(running[name])
        shutil.copytree(tmp_path / name / "run", tmp_path / "backup")
        running[name] = run(name)
        until(running["p0"], "round 8/40") if name == "p0" else until(running[name], "round 8")
        kill(running[name])
        shutil.rmtree(tmp_path / name / "run")
        shutil.copytree(tmp_path / "backup", tmp_path / name / "run")
        running[name] = run(name)
        err = running[name].communicate(timeout=60)[1]
        assert running[name].returncode == 5 and "restored from a backup" in err and "empty run_dir" in err
        until(running[other], f"{name}'s run directory is older than this run")
    finally:
        kill(*running.values())
