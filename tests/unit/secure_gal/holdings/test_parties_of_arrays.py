"""Whole parties over images and series: learners that fit them, and one map for all rounds over a crash."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from crypto.ckks.secret import SecretContext
from crypto.ckks.sets import PARAMETER_SETS
from secure_gal.errors import DataError, SettingsError, StateError
from secure_gal.features.encoder_kmeans import KMeansPatches
from secure_gal.holdings.assistor import AssistorData
from secure_gal.holdings.sponsor import SponsorData
from secure_gal.learners import storage
from secure_gal.learners.shared import linked
from secure_gal.learners.torch_trainer import TorchLearner
from secure_gal.protection import assistor_data
from secure_gal.settings.party import LearnerSettings
from secure_gal.settings.study import Protect, Study
from tests.support.arrays import IDS, SMALL_CNN, STUDY, N, assistor, images, party, read, series, write

# --- parties ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("learner", [SMALL_CNN, LearnerSettings(features="encoder")])
def test_a_party_with_images_fits_saves_and_predicts_what_it_fitted(tmp_path: Path, learner: LearnerSettings) -> None:
    model = assistor(tmp_path, learner)
    train = np.arange(N) % 4 != 0
    encoder = model.prepare(np.arange(N), train)
    residual = np.where(np.arange(N) % 2, 0.5, -0.5)[train, None].astype(np.float32)
    saved, fitted = model.fit_round(1, residual)
    assert fitted.shape == (N, 1)
    known, part = model.predict(("p04", "nobody", "p08"), encoder, [saved], np.array([2.0]), 1)
    assert known.tolist() == [1, 0, 1]
    np.testing.assert_allclose(part[[0, 2], 0], 2 * fitted[[4, 8], 0], rtol=1e-4, atol=1e-6)
    assert part[1, 0] == 0


def test_a_sponsor_with_mapped_images_takes_labels_from_the_table(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", images())
    pl.DataFrame({"id": IDS, "y": [i % 2 for i in range(N)]}).write_csv(tmp_path / "a.csv")
    settings = party(tmp_path, "hospital", tmp_path / "a.npy", LearnerSettings(features="encoder"))
    model = SponsorData(settings, STUDY, tmp_path, lambda text: None)
    model.prepare(np.arange(N), np.ones(N, dtype=np.bool_))
    alone = model.alone()
    assert ((alone.F[:, 0] > 0) == (np.arange(N) % 2 == 1)).mean() > 0.95


@pytest.mark.parametrize(
    ("learner", "x", "message"),
    [
        (LearnerSettings(kind="lstm"), images(), "'lstm' does not take images .* accepted for it: cnn, linear"),
        (LearnerSettings(kind="cnn"), series(), "accepted for it: gru, linear, lstm"),
        (LearnerSettings(kind="gb"), images(), "'gb' does not take images"),
        (LearnerSettings(), images(), "'standardized' does not take images"),
        (LearnerSettings(features=("fourier", "encoder")), images(), "'fourier' does not take images"),
    ],
)
def test_learners_that_do_not_fit_the_arrays(
    tmp_path: Path, learner: LearnerSettings, x: np.ndarray, message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        assistor(tmp_path, learner, x=x)


def test_a_cnn_on_a_table_is_refused(tmp_path: Path) -> None:
    pl.DataFrame({"id": IDS, "a": np.arange(N)}).write_csv(tmp_path / "lab.csv")
    with pytest.raises(SettingsError, match="'cnn' does not take a table"):
        AssistorData(party(tmp_path, "lab", tmp_path / "lab.csv", SMALL_CNN), STUDY, tmp_path, lambda text: None)


def test_a_table_where_the_model_was_trained_on_arrays(tmp_path: Path) -> None:
    model = assistor(tmp_path)
    encoder = model.prepare(np.arange(N), np.ones(N, dtype=np.bool_))
    saved, _ = model.fit_round(1, np.ones((N, 1), dtype=np.float32))
    pl.DataFrame({"id": IDS, "a": np.arange(N)}).write_csv(tmp_path / "lab.csv")
    table = read(tmp_path / "lab.csv")
    with pytest.raises(DataError, match="holds a table, but the model was trained on arrays"):
        model.part(table, ("p01",), storage.load(encoder), [saved], np.ones(1), 1)


# --- one map for all rounds, over a crash -----------------------------------------------------------------------------

SHARED = LearnerSettings(
    kind="cnn", device="cpu", options={"blocks": 1, "width": 4, "epochs": 2, "share_extractor": True}
)
HEADS = LearnerSettings(features="encoder", options={"encoder_width": 31})
SMOOTH_HEADS = LearnerSettings(loss="l4", features="encoder", options={"encoder_width": 31, "ridge": 0.1})


@pytest.mark.parametrize("learner", [SHARED, HEADS, SMOOTH_HEADS])
def test_a_map_survives_the_process_and_is_saved_once(
    tmp_path: Path, learner: LearnerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    residuals = np.random.default_rng(0).normal(size=(3, 45, 1)).astype(np.float32)

    def fresh() -> tuple[AssistorData, bytes]:
        model = assistor(tmp_path, learner)
        return model, model.prepare(np.arange(N), train)

    train = np.arange(N) % 4 != 0
    model, encoder = fresh()
    whole = [model.fit_round(t + 1, residuals[t]) for t in range(3)]
    saved = [raw for raw, _ in whole]
    assert len(saved[0]) > 3 * len(saved[1])
    monkeypatch.setattr(KMeansPatches, "fit", lambda *_: pytest.fail("features were computed anew"))
    monkeypatch.setattr(TorchLearner, "fit", lambda *_: pytest.fail("an extractor was trained anew"))
    resumed, _ = fresh()
    again = resumed.fit_round(3, residuals[2])
    np.testing.assert_array_equal(again[1], whole[2][1])
    assert again[0] == saved[2]
    _, part = resumed.predict(tuple(IDS), encoder, saved, np.ones(3), 1)
    expected = sum(fitted for _, fitted in whole)
    np.testing.assert_allclose(part[~train], expected[~train], rtol=1e-4, atol=1e-5)
    with pytest.raises(StateError, match="without the map"):
        storage.load(saved[1]).predict(images().astype(np.float32))


def test_heads_of_two_maps_do_not_mix(tmp_path: Path) -> None:
    saved = []
    for width in (31, 15):
        model = assistor(tmp_path, LearnerSettings(features="encoder", options={"encoder_width": width}))
        model.prepare(np.arange(N), np.ones(N, dtype=np.bool_))
        saved.append([model.fit_round(t, np.ones((N, 1), dtype=np.float32))[0] for t in (1, 2)])
    assert len(linked(saved[0])) == 2
    with pytest.raises(SettingsError, match="another feature map"):
        linked([saved[0][0], saved[1][1]])


@pytest.mark.parametrize("learner", [SHARED, HEADS])
def test_a_missing_or_foreign_map_is_an_error(tmp_path: Path, learner: LearnerSettings) -> None:
    model = assistor(tmp_path, learner)
    model.prepare(np.arange(N), np.ones(N, dtype=np.bool_))
    with pytest.raises(SettingsError, match="train anew"):
        model.fit_round(2, np.ones((N, 1), dtype=np.float32))
    (tmp_path / "lab" / "shared.model").write_bytes(b"secure-gal model 1\n of another version")
    with pytest.raises(SettingsError, match="another format"):
        model.fit_round(2, np.ones((N, 1), dtype=np.float32))


def test_a_sponsor_that_died_after_its_last_round_finds_its_map(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a.npz", y=np.arange(N) % 2)
    settings = party(tmp_path, "hospital", path, HEADS)

    def fresh() -> SponsorData:
        model = SponsorData(settings, STUDY, tmp_path, lambda text: None)
        model.prepare(np.arange(N), np.ones(N, dtype=np.bool_))
        return model

    model = fresh()
    model.fit_round(1, model.ensemble(("hospital",)).residual())
    expected = model.alone().F
    monkeypatch.setattr(KMeansPatches, "fit", lambda *_: pytest.fail("features were computed anew"))
    np.testing.assert_array_equal(fresh().alone().F, expected)


# --- encrypted heads over arrays --------------------------------------------------------------------------------------


def test_an_encrypted_assistor_answers_from_images_what_ridge_answers(tmp_path: Path) -> None:
    study = Study(
        "s",
        "classification",
        "hospital",
        "tcp://x:1",
        ("lab",),
        protect=Protect(ids="clear", residuals="ckks", parameters="standard"),
    )
    learner = LearnerSettings(features="encoder", options={"encoder_width": 31, "encoder_file": "lab.encoder"})
    path = write(tmp_path / "lab.npz")
    model = assistor_data(party(tmp_path, "lab", path, learner), study, tmp_path, lambda text: None)
    train = np.arange(N) % 4 != 0
    saved = model.prepare(np.arange(N), train)
    assert (tmp_path / "lab.encoder").exists()
    cipher = SecretContext.generate(PARAMETER_SETS["standard"])
    keys = cipher.public_keys(model.keyed.padded)
    model.keyed.use_keys(keys, "hospital")
    combination = np.random.default_rng(0).uniform(-1, 1, (int(train.sum()), 1))
    head = model.encrypted.head(cipher.encrypt(combination), 1, "hospital")
    known, replies = model.encrypted.answer(("p03", "nobody", "p08"), saved, keys, head, 1, "hospital")
    encoder, features = storage.load(saved)
    u = features.transform(encoder.transform(model.table.frame)[0])
    assert known.tolist() == [1, 0, 1]
    expected = (u @ (u[train].T @ combination))[[3, 8]]
    np.testing.assert_allclose(cipher.decrypt(replies, 3, 1, "lab")[[0, 2]], expected, atol=2e-3)
