"""What a party notes about its own computing: device, precision, and seconds that add up over restarts."""

from __future__ import annotations

import io
import json
from pathlib import Path

import msgspec
import numpy as np
import pytest

from crypto.ckks import faster
from parties.run.computing import FILE, Computing, phases, record
from parties.run.progress import Progress
from parties.run.store import RunStore
from secure_gal.effects import Compute, Work
from secure_gal.holdings.assistor import AssistorData
from secure_gal.settings.party import DataSettings, LearnerSettings, PartySettings
from secure_gal.settings.study import Protect, Study

IDS = np.array([f"p{i:02d}" for i in range(60)])
STUDY = Study("s", "regression", "hospital", "tcp://x:1", ("lab",), rounds=3, protect=Protect(ids="clear"))


def prepared(folder: Path, learner: LearnerSettings) -> AssistorData:
    x = np.random.default_rng(0).normal(size=(60, 1, 6, 4))
    np.savez(folder / "lab.npz", x=x, id=IDS)
    settings = PartySettings(
        folder / "study.toml", "lab", folder, folder, DataSettings(folder / "lab.npz", "id", None), learner=learner
    )
    model = AssistorData(settings, STUDY, folder, lambda text: None)
    model.prepare(np.arange(60), np.ones(60, dtype=np.bool_))
    return model


def job(work: Work, round_: int = 0) -> Compute[None]:
    return Compute(work, lambda: None, lambda _: [], round_)


def done(computing: Computing, job: Compute[None], seconds: float) -> None:
    computing.add(job, seconds)
    computing.tell(job)


def test_a_network_names_device_and_precision_before_it_fits(tmp_path: Path) -> None:
    options = {"blocks": 1, "width": 4, "epochs": 1, "precision": "bfloat16"}
    model = prepared(tmp_path, LearnerSettings(kind="cnn", device="cpu", options=options))
    assert model.computed_with["kind"] == "cnn"
    assert model.computed_with["device"].startswith("CPU, ") and model.computed_with["device"].endswith(" threads")
    assert model.computed_with["precision"] == "bfloat16 autocast"


def test_features_are_named_and_timed_apart_from_later_fits(tmp_path: Path) -> None:
    model = prepared(tmp_path, LearnerSettings(features="encoder", options={"encoder_width": 15}))
    store, shown = RunStore(tmp_path), io.StringIO()
    computing = Computing(store, model, Progress(stream=shown))
    done(computing, job("prepare"), 0.5)
    model.fit_round(1, np.ones((60, 1), dtype=np.float32))
    done(computing, job("fit", 1), 4.0)
    done(computing, job("fit", 2), 0.25)
    done(computing, job("decrypt"), 9.0)
    own = json.loads((tmp_path / FILE).read_text())
    assert own == record(store)
    assert own["features"].startswith("15 features of k-means features of 6x6 patches")
    assert (own["device"], own["precision"]) == ("CPU", "float32")
    assert own["seconds"]["fit"] == [4.0, 0.25] and 0 < own["seconds"]["features"] < 4
    assert phases(store) == {"prepare": 0.5, "fit": 4.25, "decrypt": 9.0}
    assert shown.getvalue().count("\n") == 2, "what is known is said once: before the fit, and when there are features"
    store.close()


def test_a_fits_seconds_are_noted_before_it_is_sent_and_written_for_people_after(tmp_path: Path) -> None:
    model = prepared(tmp_path, LearnerSettings(features="encoder", options={"encoder_width": 15}))
    store = RunStore(tmp_path)
    computing = Computing(store, model, Progress(stream=io.StringIO()))
    computing.add(job("fit", 1), 4.0)
    assert phases(store) == {"fit": 4.0} and not (tmp_path / FILE).exists()
    computing.tell(job("decrypt"))
    assert not (tmp_path / FILE).exists()
    computing.tell(job("fit", 1))
    assert json.loads((tmp_path / FILE).read_text()) == record(store)
    store.close()


def test_seconds_add_up_over_restarts(tmp_path: Path) -> None:
    model = prepared(tmp_path, LearnerSettings(features="encoder", options={"encoder_width": 15}))
    for jobs in ((job("prepare"), job("fit", 1)), (job("prepare"), job("fit", 2), job("alone"))):
        store = RunStore(tmp_path)
        computing = Computing(store, model, Progress(stream=io.StringIO()))
        for each in jobs:
            done(computing, each, 1.0)
        seconds = record(store)["seconds"]
        store.close()
    assert seconds == {"prepare": 2.0, "alone": 1.0, "fit": [1.0, 1.0]}


def test_a_sponsor_without_features_computes_nothing(tmp_path: Path) -> None:
    model = prepared(tmp_path, LearnerSettings(features="encoder"))
    model.party = PartySettings(
        tmp_path / "study.toml", "lab", tmp_path, tmp_path, model.party.data, learner=LearnerSettings(kind="none")
    )
    assert model.computed_with == {"kind": "none"} and model.seconds_for_features == 0.0


@pytest.mark.parametrize("encrypted", [True, False])
def test_a_study_of_ciphertexts_names_the_seal_that_computes(
    encrypted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = prepared(tmp_path, LearnerSettings(features="encoder", options={"encoder_width": 15}))
    model.study = msgspec.structs.replace(
        STUDY, protect=Protect(ids="clear", residuals="ckks" if encrypted else "none")
    )
    monkeypatch.setattr(faster, "_chosen", faster.Choice(True))
    store = RunStore(tmp_path)
    done(Computing(store, model, Progress(stream=io.StringIO())), job("prepare"), 0.5)
    assert record(store).get("ciphertexts") == ("SEAL with Intel HEXL (secure_gal_hexl)" if encrypted else None)
    store.close()
