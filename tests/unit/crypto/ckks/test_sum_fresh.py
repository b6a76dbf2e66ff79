"""Fits and parts for the aggregator: under fresh features those of the clear learner, and cut where they run away."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from crypto import work_folder
from crypto.ckks.add import added
from crypto.ckks.fits import MAX_PART, ROWS, SUM, Layout
from crypto.ckks.ring import padded
from crypto.ckks.secret_sum import SumContext
from crypto.ckks.sum_calculator import SumCalculator
from crypto.ckks.sum_keys import EncryptionKey, ProductKeys
from secure_gal.errors import SettingsError
from secure_gal.gal.split import study_order
from secure_gal.holdings.assistor import AssistorData
from secure_gal.holdings.encrypted import EncryptedRidgeFits
from secure_gal.learners import ridge_features
from secure_gal.protection import assistor_data
from secure_gal.settings.party import DataSettings, LearnerSettings, PartySettings
from secure_gal.settings.study import Protect
from tests.support.study_in_memory import study

N, NEW, ROUNDS, OUTPUTS = 300, 40, 2, 2
FRESH = LearnerSettings(features="fourier", fresh_features=True, options={"ridge": 0.01})
"""A ridge of its own: `auto` leaves more freedom to several outputs in the clear than on ciphertexts (decision 4)."""


@pytest.fixture(autouse=True)
def few_features(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("secure_gal.features.fourier.WIDTH", 12)


@pytest.fixture(scope="module")
def cipher() -> SumContext:
    return SumContext.generate(SUM)


@pytest.fixture
def party(tmp_path: Path) -> PartySettings:
    x = np.random.default_rng(3).normal(size=(N + NEW, 4))
    frame = {f"c{j}": x[:, j] for j in range(4)} | {"id": [str(i) for i in range(len(x))]}
    pl.DataFrame(frame).write_csv(tmp_path / "lab.csv")
    (tmp_path / "run").mkdir()
    data = DataSettings(tmp_path / "lab.csv", "id")
    return PartySettings(tmp_path / "study.toml", "lab", tmp_path, tmp_path / "run", data, learner=FRESH)


def opened(cipher: SumContext, fit: np.ndarray, layout: Layout) -> np.ndarray:
    """What the sponsor decrypts of one party's fit or part, once the aggregator has passed it on with weight 1."""
    calculator = SumCalculator(ProductKeys(cipher.public_keys(0, combines=True)))
    replies = calculator.weighted_sum([layout.split(fit.tobytes())], [1 << 20])
    return cipher.decrypt_sum(replies, layout, "lab")


def test_fits_and_parts_agree_with_the_clear_learner_of_the_same_secret(
    cipher: SumContext, party: PartySettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (jobs := tmp_path / "jobs").mkdir()
    monkeypatch.setattr(work_folder, "places", lambda: [jobs])
    train, rows, rng = np.arange(N) % 5 > 0, np.arange(N), np.random.default_rng(5)
    layout = Layout(int(train.sum()), int((~train).sum()), OUTPUTS)
    settings = study(protect=Protect(ids="clear", residuals="ckks", predictions="sum"))
    clear = AssistorData(party, settings, tmp_path, lambda text: None)
    clear_encoder = clear.prepare(rows, train)
    lab = assistor_data(party, settings, tmp_path, lambda text: None)
    encoder, data = lab.prepare(rows, train), lab.keyed
    assert data.width == 4, "columns count, not features"
    keys = cipher.public_keys(data.padded, combines=True)  # this party adds up, too
    data.use_keys(keys, "hospital")
    residuals = [rng.uniform(-1, 1, (layout.train, OUTPUTS)).astype(np.float32) for _ in range(ROUNDS)]
    models = []
    for t, r in enumerate(residuals, start=1):
        fit = lab.encrypted.fit(t, cipher.encrypt(r.astype(np.float64)), OUTPUTS, "hospital")
        values = opened(cipher, fit, layout)
        saved, due = clear.fit_round(t, r)
        models.append(saved)
        assert np.abs(values - due[study_order(train)]).max() < SUM.error
    coefficients, ids = np.array([1.0, -0.5]), tuple(str(i) for i in range(N, N + NEW))
    terms = [cipher.encrypt(c * r.astype(np.float64)) for c, r in zip(coefficients, residuals, strict=True)]
    begun = set(jobs.iterdir())
    again = assistor_data(party, settings, tmp_path, lambda text: None)  # the process died before the end
    again.prepare(rows, train)
    again.keyed.use_keys(keys, "hospital")
    head = again.encrypted.head(np.concatenate(terms), OUTPUTS, "hospital")
    assert begun and set(jobs.iterdir()) == begun, "encoded features lie nowhere once the head is there"
    known, part = again.encrypted.answer(ids, encoder, keys, head, OUTPUTS, "hospital")
    _, due = clear.predict(ids, clear_encoder, models, coefficients, OUTPUTS)
    assert known.all() and np.abs(due).max() > 50 * SUM.error
    assert np.abs(opened(cipher, part, Layout(0, NEW, OUTPUTS)) - due).max() < SUM.error


def test_a_map_that_is_wider_than_the_keys_is_cut_to_them(party: PartySettings, tmp_path: Path) -> None:
    settings = study(protect=Protect(ids="clear", residuals="ckks", predictions="sum"))
    said: list[str] = []
    lab = assistor_data(party, settings, tmp_path, said.append)
    lab.prepare(np.arange(N), np.ones(N, dtype=bool))
    data = lab.encrypted
    assert any("drawn anew every round" in line for line in said), "the party is told what it fits"
    assert isinstance(data, EncryptedRidgeFits) and data.padded == padded(SUM, data.features.width)
    data._padded = 8
    data._begin(2)
    assert data.features.width == 8


def test_a_part_is_cut_beyond_its_limit_and_the_party_is_told_of_those_rows_alone(
    cipher: SumContext, party: PartySettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, said = study(protect=Protect(ids="clear", predictions="sum")), list[str]()
    limit = MAX_PART / len(settings.assistors)
    made = np.array([[limit], [-limit], [2 * limit], [-np.inf], [1.0]], dtype=np.float32)
    monkeypatch.setattr(AssistorData, "predict", lambda *_: (np.ones(len(made), np.uint8), made))
    data = assistor_data(party, settings, tmp_path, said.append)
    data.keyed.use_keys(cipher.public_keys(0, combines=True), "hospital")
    _, part = data.clear.predict(("a", "b", "c", "d", "e"), b"", [], np.ones(1), 1)
    found = opened(cipher, part, Layout(0, len(made), 1))
    assert np.allclose(found[:, 0], [limit, -limit, limit, -limit, 1.0], atol=SUM.error * MAX_PART)
    assert [line for line in said if line.startswith("2 rows extrapolate")] == said != []


def test_replies_add_up(cipher: SumContext) -> None:
    key, rng = EncryptionKey(cipher.public_keys(0)), np.random.default_rng(0)
    values = [rng.uniform(-1, 1, (ROWS.n + 10, 2)) for _ in range(3)]
    fits = [
        np.frombuffer(key.encrypt(np.zeros((0, 2)), v, 1.0), np.uint8).reshape(-1, ROWS.reply_bytes) for v in values
    ]
    total = opened(cipher, added(ROWS, fits).reshape(-1), Layout(0, ROWS.n + 10, 2))
    assert np.abs(total - sum(values)).max() < SUM.error
    assert np.array_equal(added(ROWS, fits[:1]), fits[0])


def test_fresh_features_with_individual_encrypted_predictions_are_refused(party: PartySettings, tmp_path: Path) -> None:
    settings = study(protect=Protect(ids="clear", residuals="ckks"))
    with pytest.raises(SettingsError, match=r"\[learner\] fresh_features.*one encrypted head serves all rounds"):
        assistor_data(party, settings, tmp_path, lambda text: None)
    with pytest.raises(SettingsError, match="fresh_features"):
        ridge_features(FRESH, np.zeros((5, 2)), tmp_path, 0)


def test_no_rows_add_up_to_no_rows() -> None:
    nothing = np.zeros((0, ROWS.reply_bytes), dtype=np.uint8)
    assert added(ROWS, [nothing, nothing]).shape == nothing.shape
