"""Files of estimators that somebody has changed, with a digest that fits: refused by name, when they are read."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load as tensors_in
from safetensors.numpy import save as tensors_of

from crypto import work_folder
from secure_gal import GAL
from secure_gal.errors import SettingsError
from secure_gal.estimator import saving
from tests.support.estimator_blocks import data

BLOCKS, Y = data(80)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "study.gal"
    GAL("regression", rounds=1, parties=["hospital", "lab"], keep_messages=True).fit(BLOCKS[:2], Y).save(path)
    return path


def doctored(saved: Path, to: Path, change: Callable[[Any], None]) -> Path:
    tensors = tensors_in(saved.read_bytes()[len(saving.FORMAT) + 32 :])
    head = msgspec.json.decode(tensors[saving.HEAD].tobytes())
    change(head)
    tensors[saving.HEAD] = np.frombuffer(msgspec.json.encode(head, order="deterministic"), dtype=np.uint8)
    to.write_bytes(saving.framed(bytes(tensors_of(tensors))))
    return to


@pytest.mark.parametrize(
    ("place", "entry"),
    [
        (0, "encoder"),
        (0, "ensemble/F0"),
        (0, "ensemble/history"),
        (0, "own-coefficients"),
        (0, "model/0001"),
        (1, "encoder"),
        (1, "coefficients"),
        (1, "model/0001"),
        (1, "phase"),
    ],
)
@pytest.mark.parametrize("renamed", [True, False])
def test_an_entry_that_predictions_read_is_missed_when_the_file_is_read(
    saved: Path, tmp_path: Path, place: int, entry: str, renamed: bool
) -> None:
    def change(head: Any) -> None:
        part = head["parties"][place]
        held = part["arrays"] if entry in part["arrays"] else part["texts"]
        number = held.pop(entry)
        if renamed:
            held[entry + "x"] = number

    name = ("hospital", "lab")[place]
    with pytest.raises(SettingsError, match=rf"doctored\.gal: has no entry {name}, {entry}, which predictions read"):
        GAL.load(doctored(saved, tmp_path / "doctored.gal", change))


def test_an_assistor_that_does_not_serve_is_refused(saved: Path, tmp_path: Path) -> None:
    def change(head: Any) -> None:
        texts = head["parties"][1]["texts"]
        texts["phase"] = texts["run"]

    with pytest.raises(SettingsError, match=r"has no entry lab, phase 'serving'"):
        GAL.load(doctored(saved, tmp_path / "doctored.gal", change))


def test_what_the_reader_does_not_know_of_is_named_when_it_is_missed(saved: Path) -> None:
    gal = GAL.load(saved)
    del gal.fitted_.parties[1].state["train"], gal.fitted_.parties[1].state["round"]  # type: ignore[attr-defined]
    gal.fitted_.parties[0].state.pop("own-coefficients")  # type: ignore[attr-defined]
    with pytest.raises(SettingsError, match=r"has no entry 'own-coefficients'; take the file as it was saved"):
        gal.predict(BLOCKS[:2])


def test_messages_are_not_written_and_what_they_were_is(saved: Path) -> None:
    again = GAL.load(saved)
    assert again.keep_messages and {row["message"] for row in again.transcript_} >= {"residual", "fitted"}
    assert not any(saving.CONTENT in row for row in again.transcript_)
    assert sum(again.cost_["bytes"].values()) == sum(row["bytes"] for row in again.transcript_)


@pytest.mark.parametrize("unit", ["datetime64[D]", "datetime64[us]", "timedelta64[s]"])
def test_classes_that_are_days_come_back(tmp_path: Path, unit: str) -> None:
    days = np.where(Y > 0, 3, 1).astype(unit)
    gal = GAL(rounds=1).fit(BLOCKS[:2], days)
    gal.save(tmp_path / "study.gal")
    again = GAL.load(tmp_path / "study.gal")
    assert again.classes_.dtype == days.dtype
    np.testing.assert_array_equal(again.predict(BLOCKS[:2]), gal.predict(BLOCKS[:2]))


def test_columns_of_a_party_may_be_an_array_of_names(tmp_path: Path) -> None:
    table = pd.DataFrame(np.hstack(BLOCKS[:2]), columns=list("abcd"))
    gal = GAL(rounds=1, parties={"hospital": np.array(["a", "b"]), "lab": np.array(["c", "d"])}).fit(table, Y > 0)
    gal.save(tmp_path / "study.gal")
    again = GAL.load(tmp_path / "study.gal")
    np.testing.assert_array_equal(again.predict(table), gal.predict(table))


class Odd:
    """Equal to what it is made of, and no data of ours."""

    def __getitem__(self, limit: str) -> float:
        return {"sums": 2.0}[limit]


def test_what_could_not_be_read_again_is_not_written(tmp_path: Path) -> None:
    gal = GAL(rounds=1).fit(BLOCKS[:2], Y > 0).set_params(beyond=Odd())
    with pytest.raises(SettingsError, match=r"Odd', whose module is not trusted"):
        gal.save(tmp_path / "study.gal")
    assert not [*tmp_path.iterdir()]


KILLED = """
import os, signal, sys
from pathlib import Path
import numpy as np
from crypto import work_folder
from secure_gal import GAL
from secure_gal.estimator.exchange import Exchange
work_folder.places = lambda: [Path(sys.argv[1])]
Exchange.run = lambda self: os.kill(os.getpid(), signal.SIGKILL)
x = np.random.default_rng(0).normal(size=(40, 2))
GAL(rounds=1, residuals="ckks").fit([x, x], x[:, 0] > 0)
"""


def test_the_key_of_a_fit_that_was_killed_is_gone_with_the_next_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A notebook that was stopped left the sponsor's secret key in /tmp for ever."""
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)])
    (left,) = tmp_path.iterdir()
    assert done.returncode == -signal.SIGKILL and (left / "ckks.key").exists() and left.stat().st_mode & 0o077 == 0
    monkeypatch.setattr(work_folder, "places", lambda: [tmp_path])
    GAL(rounds=1).fit(BLOCKS[:2], Y > 0).predict(BLOCKS[:2])
    assert not [*tmp_path.iterdir()]
