"""The privacy benchmark runs studies as the product does, and its attacks and controls can fail."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer
from threadpoolctl import threadpool_limits

from benchmarks import privacy, privacy_attacks, privacy_sums
from benchmarks.paper_noise import quantile_clipped_laplace
from benchmarks.privacy_controls import controls
from benchmarks.privacy_data import RANGES, People, Source, load, people
from benchmarks.privacy_numbers import numbers
from benchmarks.privacy_report import Report, as_json
from benchmarks.privacy_sums import record_sums
from benchmarks.privacy_transcripts import LEARNER, local, names, new_ensemble, record_clear
from crypto.ckks.fits import TRAINING
from crypto.ckks.slots import Packing
from secure_gal.attacks import labels
from secure_gal.attacks.finding import Estimate, Finding
from secure_gal.labels.corrected_loss import CorrectedCrossEntropy
from secure_gal.labels.schemes import RangeResponse
from secure_gal.learners import make_learner
from secure_gal.protection.sums.weights import commit_in_the_clear
from tests.support.paper import learn
from tests.support.study_in_memory import study


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """These fits are so small that threads only wait for each other."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="module")
def breast() -> People:
    x, y = load_breast_cancer(return_X_y=True)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    return people(Source("breast", x, tuple(f"c{j}" for j in range(30)), 10, y.astype(np.int64)), 0)


@pytest.fixture(scope="module")
def diabetes() -> People:
    return people(load("diabetes", Path()), 0)


# studies


def test_a_clear_study_is_algorithm_1(breast: People) -> None:
    seen = record_clear(breast, rounds=4)
    blocks = dict(zip(names(breast), breast.blocks, strict=True))
    settings = study(
        task="classification",
        sponsor=names(breast)[0],
        assistors=names(breast)[1:],
        rounds=4,
        patience=4,
        seed=breast.seed,
    )
    learners = {name: make_learner(LEARNER, Path(), "l2", 0) for name in blocks}
    learnt = learn(settings, blocks, list(breast.y), learners)
    assert len(learnt.ensemble.history) == len(seen.received)
    for name, fitted in zip(names(breast)[1:], seen.fitted, strict=True):
        due = [model.predict(blocks[name]).astype(np.float32) for model in learnt.models[name]]
        assert (fitted == np.stack(due)).all()


def test_released_labels_come_with_the_products_loss(breast: People, diabetes: People) -> None:
    training = privacy.release(breast, 1.0)
    assert isinstance(training.loss, CorrectedCrossEntropy)
    assert 0.6 < np.mean(training.y == breast.y) < 0.85 and (privacy.release(breast, 1.0).y == training.y).all()
    stretched = privacy.release(diabetes, 1.0)
    values = stretched.y[:, 0] * stretched.codec.scale + stretched.codec.mean
    bins = RangeResponse(1.0, *RANGES["diabetes"]).bins.values
    assert values.min() < bins.min() - 50 and values.max() > bins.max() + 50, (
        "unbiased targets lie beyond the bins' values"
    )
    interval = privacy.release(diabetes, None)
    estimates = interval.y[:, 0] * interval.codec.scale + interval.codec.mean
    assert abs(estimates.mean() - diabetes.y.mean()) < 4 * estimates.std() / math.sqrt(len(estimates))


def test_sums_are_those_of_the_clear_reference(diabetes: People) -> None:
    seen = record_sums(diabetes, rounds=2)
    ensemble = new_ensemble(diabetes, diabetes.training(), 2)
    parties = {name: local(diabetes, m) for m, name in enumerate(names(diabetes))}
    for total, weights in zip(seen.sums, seen.weights, strict=True):
        residual, round_ = ensemble.residual(), len(ensemble.history) + 1
        fits = {name: party.fit_round(round_, residual) for name, party in parties.items()}
        record = commit_in_the_clear(ensemble, fits, diabetes.train, names(diabetes)[1:])
        due = sum(record.weights[name] * fits[name] for name in names(diabetes)[1:])
        # Inner products carry the noise at decryption (decision 17): at 283 rows it moves a weight by some 1e-3.
        assert np.abs(total - due).max() < 1e-2 * np.abs(residual).max()
        assert np.abs(weights - [record.weights[name] for name in names(diabetes)[1:]]).max() < 1e-2
    # A request on 4 primes in two readings; the other's fit, 2 polynomials on 2 primes; a seeded difference on 2.
    assert seen.aggregator.shape == (2, int(diabetes.train.sum()), 8 + 3 + 2)
    gains = [f.gain.value for f in privacy_attacks.on_other_columns(seen)]
    assert float(np.mean(gains)) < 0.05


def test_numbers_lie_at_their_persons_places() -> None:
    """Outputs that share a ciphertext, in requests of their own and together."""
    rng = np.random.default_rng(0)
    table, values = Packing(TRAINING, 100, 3), rng.standard_normal((100, 3))

    def apart(slots: np.ndarray) -> np.ndarray:
        return np.concatenate([slots.real, slots.imag])

    asked = np.stack([apart(table.request(values, row)) for row in range(table.requests)])
    assert table.packed > 1 and np.array_equal(privacy_sums._alone(table, asked), values)
    shared = np.stack([apart(table.slots(values, index)) for index in range(table.ciphertexts)])
    assert np.array_equal(table.values(privacy_sums._complex(shared)), values)


def test_weights_depend_on_a_single_label(breast: People) -> None:
    turned = breast.y.copy()
    turned[np.flatnonzero(breast.train)[0]] ^= 1
    for summed in (False, True):
        first = numbers(breast, breast.y, summed)
        assert np.array_equal(first, numbers(breast, breast.y, summed), equal_nan=True)
        assert not np.array_equal(first, numbers(breast, turned, summed), equal_nan=True)


# attacks


SIGN = "sign of the residual"


def score(findings: list[Finding], attack: str, rounds: str = "all") -> float:
    (found,) = (f.score.value for f in findings if f.attack == attack and f.rounds == rounds)
    return found


def test_the_papers_noise_leaves_most_labels_and_released_labels_what_they_say(breast: People) -> None:
    spoilt = record_clear(breast, spoil=lambda r, rng: quantile_clipped_laplace(r, 4, rng))
    assert not np.array_equal(spoilt.received[0], record_clear(breast, rounds=1).received[0])
    assert 0.85 < score(labels.direct(breast.y[breast.train], spoilt.received, seed=0), SIGN, "1") < 0.95
    seen = record_clear(breast, privacy.release(breast, 1.0))
    released = labels.direct(breast.y[breast.train], seen.received, seed=0)
    kept = np.mean(privacy.release(breast, 1.0).y == breast.y)
    assert abs(score(released, SIGN) - kept) < 0.06 and score(released, SIGN, "1") < 0.85


def test_reports_on_two_class_codes_are_the_labels(breast: People) -> None:
    assert score(privacy_attacks.on_code_reports(breast), "codes that a report leaves", "1") == 1.0


def test_directions_above_the_noise_are_the_planted_ones() -> None:
    rng = np.random.default_rng(0)
    planted, noise = np.linalg.qr(rng.standard_normal((400, 3)))[0], 0.1 * rng.standard_normal((400, 30))
    found = privacy_attacks.above_noise(20 * planted @ rng.standard_normal((3, 30)) + noise, 0.1)
    assert found.shape[1] == 3 and np.linalg.norm(found.T @ planted) ** 2 > 2.8
    assert privacy_attacks.above_noise(noise, 0.1).shape[1] == 1


def test_a_space_that_says_nothing_holds_no_more_than_own_columns(breast: People) -> None:
    rng = np.random.default_rng(0)
    block, own = breast.blocks[1], breast.blocks[0]
    inside = privacy_attacks.in_space(block, np.linalg.qr(block)[0], own, breast.names[0], 0)
    assert min(f.score.value for f in inside) > 0.999
    outside = privacy_attacks.in_space(block, rng.standard_normal((len(block), 5)), own, breast.names[0], 0)
    assert max(f.gain.value for f in outside) < 0.02


@pytest.mark.slow
def test_real_replies_that_were_not_sanitised_are_the_data(diabetes: People, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exactly, but for float32 and the encoding; a fresh encryption of zero alone prevents it."""
    monkeypatch.setattr("benchmarks.privacy_controls.GAMES", 16)
    monkeypatch.setattr("benchmarks.privacy_controls.REPLIES", 2)
    found = controls(diabetes)
    first, both, *recovered = found["control: not sanitised"]
    assert len(recovered) == diabetes.blocks[1].shape[1]
    assert min(f.score.value for f in recovered) > 1 - 1e-6
    assert (first.score.value, both.score.value) == (1.0, 1.0)
    first, both, *recovered = found["control: sanitised"]
    assert max(f.score.value for f in recovered) == 0.0
    assert first.score.value < 1.0 and both.score.value < 1.0  # 16 coins each: a false alarm with 1 in 32,768


# report


def test_a_report_puts_repetitions_together() -> None:
    def finding(target: str, rounds: str, score: float) -> Finding:
        value, base = Estimate(score, math.nan, math.nan), Estimate(0.25, math.nan, math.nan)
        gain = Estimate(score - 0.25, math.nan, math.nan)
        return Finding("regression on known rows", target, rounds, "20 rows", "R2", value, base, gain)

    report = Report("toy", {"noise, scale 1": ("noise", 1.0)})
    for shift in (0.0, 0.2):
        rows = [finding("a", "all", 0.3 + shift), finding("b", "all", 0.5 + shift), finding("b", "2", 1.0)]
        report.add("none", rows, {"accuracy": 0.9})
        report.add("noise, scale 1", rows[:2], {"accuracy": 0.8})
    content = json.loads(as_json(report.content()))
    mean, worst = (f for f in content["findings"] if f["mode"] == "none")
    assert (mean["target"], mean["score"][0]) == ("mean column", 0.5) and worst["score"][0] == 0.6
    assert content["r2_by_column_score_low_high_baseline"]["none"]["a"][0] == 0.4
    assert [point["noise"] for point in content["curves"]["noise"]] == [None, 1.0]
    assert len(list(report.tables())) == 2
    once = Report("toy", {})
    once.add("none", [finding("a", "all", 0.3)], {})
    assert json.loads(as_json(once.content()))["findings"][0]["score"] == [0.3, None, None]
