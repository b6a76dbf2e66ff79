"""The aggregator's sealing keys: gone from the disk, and from what a later thief can use, once they have served."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from crypto.sealed_box import SealingKey
from parties.run.store import RunStore
from secure_gal import messages
from secure_gal.effects import Compute, Send
from secure_gal.errors import PeerViolation, StateError
from secure_gal.messages import Batch
from tests.support.disks import on_disk
from tests.support.simulation import MemoryStore, Network
from tests.support.sums_in_memory import CKKS, CLEAR, TRAIN, make, predict

KEY, OTHER = os.urandom(32), os.urandom(32)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RunStore]:
    """A run directory with two secrets, between much that came and went."""
    opened = RunStore(tmp_path / "run")
    opened.commit({"secret/fitted": KEY, "secret/part/1": OTHER, "phase": b"learning"}, {}, [])
    for i in range(40):
        opened.commit({f"fit/{i % 3}": np.arange(5000 * (i % 7 + 1)), f"small/{i}": bytes(300)}, {}, [])
    yield opened
    opened.close()


def test_a_dropped_secret_leaves_no_trace(store: RunStore) -> None:
    before = on_disk(store.path)
    assert KEY in before and OTHER in before, "or this test shows nothing"
    assert store.state()["secret/fitted"] == KEY
    store.commit({"secret/fitted": None, "phase": b"serving"}, {}, [])
    after = on_disk(store.path)
    assert KEY not in after and OTHER in after
    assert "secret/fitted" not in store.state() and store.state()["secret/part/1"] == OTHER


def test_an_ordinary_entry_does_leave_traces(store: RunStore) -> None:
    """The control for the test above: this is what a secret must not be kept as."""
    store.commit({"sealing": b"K" * 64}, {}, [])
    store.commit({"sealing": None}, {}, [])
    assert b"K" * 64 in on_disk(store.path)


def test_a_crash_between_erasing_and_emptying_the_log(
    store: RunStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "_empty_log", lambda: None)
    store.commit({"secret/fitted": None}, {}, [])
    shutil.copytree(store.path, tmp_path / "crashed")  # as `kill -9` leaves it
    assert KEY in on_disk(tmp_path / "crashed")
    again = RunStore(tmp_path / "crashed")
    assert KEY not in on_disk(tmp_path / "crashed") and again.state()["secret/part/1"] == OTHER
    again.close()


def secrets(store: MemoryStore) -> set[str]:
    return {key for key in store.values if key.startswith("secret/")}


def learning(network: Network) -> Iterator[MemoryStore]:
    """The aggregator's disk after every step of learning."""
    while network.step():
        yield network.parties["lab"].store


@pytest.mark.parametrize("protect", [CKKS, CLEAR], ids=["ckks", "clear"])
def test_the_key_for_fits_is_erased_with_the_step_that_ends_learning(protect: object) -> None:
    network, seen = make(protect), set()  # type: ignore[arg-type]
    for disk in learning(network):
        over = disk.values.get("phase") in (b"concluding", b"serving")
        assert secrets(disk) <= (set() if over else {"secret/fitted"})
        seen |= secrets(disk)
    assert seen == {"secret/fitted"} and network.parties["lab"].store.values["phase"] == b"serving"
    for name in ("hospital", "insurer"):
        assert not secrets(network.parties[name].store)


def test_what_others_sealed_lies_on_the_disk_sealed() -> None:
    """Else erasing the key would erase nothing: the stand-in's fits are mostly ones, which sealing hides."""
    network, found = make(CLEAR), 0
    for disk in learning(network):
        if "sum/fit/insurer" in disk.values:
            found += 1
            assert np.mean(disk.values["sum/fit/insurer"] == 1) < 0.1
        if "sum/fit/lab" in disk.values:
            assert np.mean(disk.values["sum/fit/lab"] == 1) > 0.9  # its own: not a secret of others
    assert found > TRAIN // 96


def test_the_key_of_a_batch_is_erased_with_the_step_that_answers_it() -> None:
    network = make(CLEAR)
    network.run()
    lab = network.parties["lab"].node.role
    for number in (1, 2):
        role, _, _ = predict(network, ("r1", "r2"), CLEAR)
        assert role.batch.number == number and not [k for k in lab.state.keys("") if "secret/" in k or "part" in k]
    job, key = lab.receive("hospital", messages.PredictRequest(Batch(3), ("r1",)))  # the sponsor gives this one up
    assert isinstance(job, Compute) and isinstance(key, Send) and lab.state.keys("secret/") == ["secret/part/3"]
    lab.receive("hospital", messages.PredictRequest(Batch(4), ("r1",)))
    assert lab.state.keys("secret/") == ["secret/part/4"], "and with it its key"


def test_a_batch_survives_a_crash_of_the_aggregator_with_its_key() -> None:
    network = make(CLEAR)
    network.run()
    party, insurer = network.parties["lab"], network.parties["insurer"].node.role
    lab = party.node.role
    _, key = lab.receive("hospital", messages.PredictRequest(Batch(1), ("r1",)))
    insurer.receive("hospital", key.message)
    (job,) = insurer.receive("hospital", messages.PredictRequest(Batch(1), ("r1",)))
    (sealed,) = [e.message for e in job.then(job.job()) if isinstance(e, Send)]
    party.store.commit(lab.state.take_changes(), {}, [])
    party.boot()
    again = party.node.role
    again._model.prepare(np.arange(120), network.sponsor.store.values["train"].astype(bool))
    for job in party.jobs:
        job.then(job.job())
    (batch,) = again.receive("hospital", messages.RelayedPart(Batch(1), messages.Author("insurer"), sealed.sealed))
    (summed,) = batch.then(batch.job())
    assert isinstance(summed.message, messages.SummedPart) and not again.state.keys("secret/")


def test_a_part_is_sealed_to_a_key_that_the_aggregator_signed_for_its_batch() -> None:
    network = make(CLEAR)
    network.run()
    lab, insurer = (network.parties[name].node.role for name in ("lab", "insurer"))
    with pytest.raises(PeerViolation, match="before the key"):
        insurer.receive("hospital", messages.PredictRequest(Batch(1), ("r1",)))
    _, key = lab.receive("hospital", messages.PredictRequest(Batch(1), ("r1",)))
    announced = key.message.announcement
    mine = messages.Announcement(SealingKey().public.hex(), announced.signature)
    for batch, item in ((2, announced), (1, mine), (1, messages.Announcement("zz", announced.signature))):
        with pytest.raises(PeerViolation, match=r"did not sign|not hex"):
            insurer.receive("hospital", messages.PartKey(Batch(batch), item))
    assert insurer.receive("hospital", key.message) == []
    with pytest.raises(PeerViolation, match="second key"):
        insurer.receive("hospital", key.message)
    with pytest.raises(PeerViolation, match="not legal"):
        lab.receive("hospital", key.message)


def test_an_erased_key_is_never_made_again() -> None:
    network = make(CLEAR)
    network.run()
    lab = network.parties["lab"].node.role
    with pytest.raises(StateError, match="no sealing key"):
        lab._fits.aggregator._keys.unseal("fitted", 1, "insurer", "", np.zeros(200, np.uint8))
    assert not lab.state.keys("secret/")
