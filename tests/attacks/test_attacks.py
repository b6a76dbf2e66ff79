"""Attacks find what is there, and find nothing where nothing is: every attack has a control on which it must fail.

Controls are messages with their rows permuted: as many numbers, distributed alike, about the wrong people. A 95%
interval of a control misses 0 with one seed in twenty; seeds are fixed, and gains are held to 0 by their lower end.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_wine
from tenseal import sealapi
from threadpoolctl import threadpool_limits

from crypto.ckks import embedding, ring, seal_files
from crypto.ckks.sets import PARAMETER_SETS
from secure_gal import GAL
from secure_gal.attacks import aggregator, ciphertexts, columns, labels, meter, sums
from secure_gal.attacks.finding import (
    Estimate,
    Finding,
    balanced_accuracy,
    interval,
    r2,
    resampled,
    squared_correlation,
)
from secure_gal.attacks.known_rows import KNOWN_SHARE, draws
from secure_gal.attacks.requests import readable
from secure_gal.errors import DataError, SettingsError
from secure_gal.gal.losses import get_loss

Array = np.ndarray
REPEATS = 4


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """These fits are so small that threads only wait for each other."""
    with threadpool_limits(1):
        yield


class Recorder:
    """Ridge that keeps what it received and answered."""

    def __init__(self) -> None:
        self.residuals: list[Array] = []
        self.fitted: list[Array] = []

    def fit(self, x: Array, residual: Array, seed: int) -> Recorder:
        self.residuals.append(residual)
        design = np.column_stack([x, np.ones(len(x))])
        self.head = np.linalg.solve(design.T @ design + 1e-4 * len(x) * np.eye(design.shape[1]), design.T @ residual)
        return self

    def predict(self, x: Array) -> Array:
        fitted = np.column_stack([x, np.ones(len(x))]) @ self.head
        self.fitted.append(fitted.astype(np.float32))
        return fitted


def transcript(x: Array, y: Array, cut: int, task: str = "classification") -> tuple[Array, Array]:
    """(residuals (T, N, K), fitted values (T, N, K)) of the assistor that holds the columns from `cut`."""
    seen = Recorder()
    GAL(task=task, rounds=5, weights="paper", learners=[Recorder(), seen]).fit([x[:, :cut], x[:, cut:]], y)
    return np.stack(seen.residuals), np.stack(seen.fitted)


def permuted(messages: Array, seed: int = 0) -> Array:
    return messages[:, np.random.default_rng(seed).permutation(messages.shape[1])]


def standardised(load: Callable[..., tuple[Array, Array]]) -> tuple[Array, Array]:
    x, y = load(return_X_y=True)
    return (x - x.mean(axis=0)) / x.std(axis=0), y


@pytest.fixture(scope="module")
def wine() -> tuple[Array, Array, Array, Array]:
    x, y = standardised(load_wine)
    return x, y, *transcript(x, y, 6)


@pytest.fixture(scope="module")
def breast() -> tuple[Array, Array, Array, Array]:
    x, y = standardised(load_breast_cancer)
    return x, y, *transcript(x, y, 26)


def nothing(finding: Finding, slack: float = 0.0) -> None:
    assert finding.gain.low <= slack, f"{finding.attack} found something where nothing is: {finding}"
    assert finding.gain.value < 0.15


# labels


def test_cross_entropy_residuals_give_every_label_of_two_classes(breast: tuple[Array, ...]) -> None:
    _, y, residuals, _ = breast
    found = labels.direct(y, residuals, seed=0)
    assert all(f.score.value == 1.0 and f.baseline.value == 0.5 for f in found)


def test_cross_entropy_residuals_give_every_label_of_three_classes(wine: tuple[Array, ...]) -> None:
    x, y, residuals, _ = wine
    found = labels.label_attacks(y, residuals, x[:, 6:], seed=0, repeats=REPEATS)
    by_sign = [f for f in found if f.attack == "sign of the residual"]
    assert [f.rounds for f in by_sign] == ["1", "2", "3", "4", "5", "all"]
    assert all(f.score == Estimate(1.0, 1.0, 1.0) and f.leak.value == 1.0 for f in by_sign)
    assert all(f.baseline.value == pytest.approx(1 / 3) for f in by_sign)
    assert next(f for f in found if f.attack.startswith("clusters") and f.rounds == "1").score.value == 1.0
    model = found[-1]
    assert model.score.value > 0.97 and model.gain.low > 0


def test_residuals_of_the_wrong_people_give_the_baseline(wine: tuple[Array, ...]) -> None:
    x, y, residuals, _ = wine
    for finding in labels.label_attacks(y, permuted(residuals), x[:, 6:], seed=1, repeats=REPEATS):
        nothing(finding)


def test_flipped_labels_leave_what_randomised_response_leaves(breast: tuple[Array, ...]) -> None:
    x, y, _, _ = breast
    flipped = np.where(np.random.default_rng(0).random(len(y)) < 0.25, 1 - y, y)
    residuals, _ = transcript(x, flipped, 26)
    first = labels.direct(y, residuals, seed=0)[0]
    assert first.score.low < 0.75 < first.score.high


def test_regression_residuals_are_the_targets() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((200, 4)), rng.standard_normal(200)
    residuals, _ = transcript(x, y, 2, "regression")
    found = labels.label_attacks(y, residuals, x[:, 2:], seed=0, repeats=REPEATS)
    assert found[0].score.value > 0.9999 and found[-1].score.value > 0.99
    for finding in labels.label_attacks(y, permuted(residuals), x[:, 2:], seed=0, repeats=REPEATS):
        nothing(finding)


def test_an_attacker_without_columns_may_have_messages_only(wine: tuple[Array, ...]) -> None:
    _, y, residuals, _ = wine
    assert labels.with_known_labels(y, residuals[0], None, seed=0, repeats=2).score.value > 0.97
    nothing(labels.with_known_labels(y, permuted(residuals)[0], None, seed=0, repeats=REPEATS))


# columns


def test_one_column_is_received_in_round_one() -> None:
    rng = np.random.default_rng(0)
    x, y = standardised(load_breast_cancer)
    _, fitted = transcript(x[:, :21], y, 20)
    for finding in columns.column_attacks(x[:, 20:21], fitted[:1], x[:, :5], ["radius"], seed=0, repeats=REPEATS):
        assert finding.score.value > 0.999 and finding.gain.low > 0
    noise = rng.standard_normal(fitted.shape)
    for finding in columns.column_attacks(x[:, 20:21], noise, x[:, :5], ["radius"], seed=0, repeats=REPEATS):
        nothing(finding)


def test_four_columns_after_four_rounds_and_not_before(breast: tuple[Array, ...]) -> None:
    x, _, _, fitted = breast
    names, truth = ["a", "b", "c", "d"], x[:, 26:]
    assert columns.column_space(columns.stacked(fitted[:4])).shape[1] == 4
    assert columns.column_space(columns.stacked(fitted)).shape[1] == 4
    late = columns.with_known_rows(truth, columns.column_space(columns.stacked(fitted)), None, names, seed=0, repeats=2)
    early = columns.with_known_rows(
        truth, columns.column_space(columns.stacked(fitted[:1])), None, names, seed=0, repeats=2
    )
    assert min(f.score.value for f in late) > 0.999
    assert min(f.score.value for f in early) < 0.9


def test_independent_columns_are_told_apart_blindly() -> None:
    rng = np.random.default_rng(3)
    x = np.column_stack([rng.exponential(size=600), rng.integers(0, 2, 600), rng.uniform(size=600)])
    y = (x.sum(axis=1) + rng.standard_normal(600) > 2).astype(int)
    _, fitted = transcript(np.hstack([rng.standard_normal((600, 2)), x]), y, 2)
    space = columns.column_space(columns.stacked(fitted))
    found = columns.blind(x, space, None, ["wait", "sex", "share"], seed=0)
    assert min(f.score.value for f in found) > 0.9
    for finding in columns.blind(x, space[rng.permutation(600)], None, ["wait", "sex", "share"], seed=0):
        assert finding.score.value < 0.03


# sums over rounds


def weighted_sums(widths: tuple[int, ...], rounds: int, rows: int = 300) -> tuple[list[Array], Array, Array, Array]:
    """(columns by assistor, sums, residuals, weights) of boosting towards random targets with random weights."""
    rng = np.random.default_rng(5)
    blocks = [rng.standard_normal((rows, p)) for p in widths]
    fits = [b @ np.linalg.solve(b.T @ b + 0.01 * rows * np.eye(b.shape[1]), b.T) for b in blocks]
    residual, seen, asked = rng.standard_normal((rows, 1)) + sum(b.sum(axis=1, keepdims=True) for b in blocks), [], []
    weights = rng.dirichlet(np.ones(len(widths)), rounds)
    for w in weights:
        seen.append(sum(share * (fit @ residual) for share, fit in zip(w, fits, strict=True)).astype(np.float32))
        asked.append(residual.astype(np.float32))
        residual = residual - seen[-1]
    return blocks, np.stack(seen), np.stack(asked), weights


def sum_scores(widths: tuple[int, ...], rounds: int, prefix: str) -> list[float]:
    blocks, seen, asked, weights = weighted_sums(widths, rounds)
    names = [[f"{m}.{j}" for j in range(p)] for m, p in enumerate(widths)]
    found = sums.sum_attacks(blocks, seen, asked, weights, widths, None, names, seed=0, repeats=2)
    return [f.score.value for f in found if f.attack.startswith(prefix)]


def test_one_column_assistors_are_told_apart_after_a_few_sums() -> None:
    assert min(sum_scores((1, 1), 5, "spaces")) > 0.999
    assert max(sum_scores((1, 1), 1, "spaces")) < 0.95  # one sum of two columns is neither


def test_wide_assistors_are_known_in_part_only_while_rounds_are_few() -> None:
    assert sums.exposure(10, 1, (10, 10)) == 0.5
    assert np.mean(sum_scores((4, 4), 2, "regression")) < 0.7
    assert min(sum_scores((2, 2), 8, "regression")) > 0.99


def test_sums_of_the_wrong_people_say_nothing() -> None:
    blocks, seen, asked, weights = weighted_sums((1, 2), 6)
    names = [["a"], ["b", "c"]]
    for finding in sums.sum_attacks(
        blocks, permuted(seen), asked, weights, (1, 2), None, names, seed=0, repeats=REPEATS
    ):
        assert finding.score.value < 0.05


# small numbers


def test_enough_inner_products_are_the_residual() -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 60)
    residual = get_loss("cross_entropy", 1).residual(y, np.zeros((60, 1)))
    vectors = rng.standard_normal((60, 60))
    all_of_it = aggregator.labels_from_products(y, vectors, vectors @ residual / 60, seed=0)
    assert all_of_it.score.value == 1.0
    few = aggregator.labels_from_products(y, vectors[:3], vectors[:3] @ residual / 60, seed=0)
    assert few.score.value < 0.8
    noise = aggregator.labels_from_products(y, vectors[:3], rng.standard_normal((3, 1)), seed=0)
    nothing(noise)


def test_weights_and_rates_tell_a_single_unknown_label() -> None:
    x, y = standardised(load_breast_cancer)
    x, y = x[:60], y[:60]

    def numbers(labels_: Array) -> Array:
        gal = GAL(rounds=3, weights="paper").fit([x[:, :4], x[:, 4:8]], labels_)
        rates = np.array([r.eta * r.weights["party-1"] for r in gal.history_[: gal.n_rounds_]])
        return np.append(rates, np.full(3 - len(rates), np.nan))

    targets = np.concatenate([np.flatnonzero(y == c)[:4] for c in (0, 1)])
    simulated = np.array([[numbers(np.where(np.arange(60) == i, c, y)) for c in (0, 1)] for i in targets])
    observed = np.stack([numbers(y)] * len(targets))
    assert aggregator.labels_by_simulation(y[targets], observed, simulated, seed=0).score.value == 1.0
    blinded = np.repeat(simulated[:, :1], 2, axis=1)
    assert aggregator.labels_by_simulation(y[targets], observed, blinded, seed=0).gain.value == 0.0


# ciphertexts


def test_the_embedding_is_the_one_of_the_encoder() -> None:
    values = np.random.default_rng(0).standard_normal((2, 64))
    assert np.allclose(embedding.slot_values(embedding.coefficients(values)), values)
    one = np.zeros(64)
    one[0] = 3.0  # a constant polynomial: the same number in every slot
    assert np.allclose(embedding.slot_values(one), np.repeat([3.0, 0.0], 32))


def test_a_row_is_read_where_seal_puts_it() -> None:
    """A message that SEAL encoded and nobody masked is read back; n values a block, the second half imaginary."""
    params, rng = PARAMETER_SETS["fast"], np.random.default_rng(0)
    context, scale = ring.context(params), 2.0**40
    parms, values = tuple(context.first_parms_id()), rng.uniform(-1, 1, params.n)
    plain, carrier = sealapi.Plaintext(), sealapi.Ciphertext()
    half = params.n // 2
    sealapi.CKKSEncoder(context).encode((values[:half] + 1j * values[half:]).tolist(), parms, scale, plain)
    residues = np.zeros((2, params.levels, params.n), dtype=np.uint64)
    residues[1] = 1  # SEAL refuses a ciphertext that is nothing but a message
    seal_files.load(carrier, context, seal_files.ciphertext_members(parms, params.n, scale, residues))
    sealapi.Evaluator(context).add_plain_inplace(carrier, plain)
    saved = seal_files.save(carrier)
    raw = seal_files.split_ciphertext(saved, params.levels, params.n, seeded=False)[0][:1]
    request = np.concatenate([seal_files.pack(raw[0]), np.zeros(seal_files.SEED_BYTES, dtype=np.uint8)])
    features = readable(request[None], params, params.n, 1)
    assert np.allclose(features[:, params.levels] * params.primes[0] / scale, values, atol=1e-6)


@pytest.mark.parametrize("masked", [False, True])
def test_a_forgotten_mask_gives_the_labels_and_a_mask_gives_none(wine: tuple[Array, ...], masked: bool) -> None:
    x, y, residuals, _ = wine
    prime, n, rng = (1 << 60) - 93, 256, np.random.default_rng(0)
    padded = np.zeros((3, n))
    padded[:, : len(y)] = residuals[0].T
    message = np.round(embedding.coefficients(padded) * 2**40).astype(np.int64)
    mask = rng.integers(0, prime, message.shape) if masked else 0
    polynomial = ((message + mask) % prime).astype(np.uint64)[:, None, :]
    features = ciphertexts.row_features(polynomial, polynomial, [prime], len(y), 3)
    assert features.shape == (len(y), 6)
    finding = labels.with_known_labels(y, features, x[:, 12:], seed=0, repeats=REPEATS)
    if masked:
        nothing(finding)
    else:
        assert finding.score.value > 0.95 and finding.gain.low > 0


@pytest.mark.parametrize("sanitised", [False, True])
def test_replies_that_were_not_sanitised_are_the_assistors_data(sanitised: bool) -> None:
    rng, prime, n = np.random.default_rng(0), (1 << 60) - 93, 32
    data = rng.integers(0, 1000, (2, n)).astype(object)
    requests = rng.integers(1, prime, (3, 2, n)).astype(object)
    requests[0, 0, :4] = 0  # a pivot that must be looked for further down
    replies = (requests * data).sum(axis=1) % prime
    if sanitised:
        replies = (replies + rng.integers(0, prime, replies.shape)) % prime
    found = ciphertexts.unsanitised_plaintexts(requests, replies, prime)
    assert bool((found == data).all()) is not sanitised
    assert not sanitised or (found == data).mean() < 0.1
    with pytest.raises(ValueError, match="need as many"):
        ciphertexts.unsanitised_plaintexts(requests[:1], replies[:1], prime)


# the meter


def test_the_gate_closes_on_clear_residuals_and_opens_on_others(breast: tuple[Array, ...]) -> None:
    _, y, residuals, _ = breast
    clear = meter.label_leakage(y, residuals, threshold=0.3, repeats=2)
    assert not clear.ok and clear.rows()[0]["leak"] == 1.0 and clear.rows()[0]["exceeds"] is True
    other = meter.label_leakage(y, permuted(residuals), threshold=0.3, repeats=REPEATS)
    assert other.ok and not any(row["exceeds"] for row in other.rows())
    assert meter.label_leakage(y, residuals, repeats=2).rows()[0]["exceeds"] is None
    json.dumps(clear.rows(), allow_nan=False)


def test_the_meter_at_an_assistor(breast: tuple[Array, ...]) -> None:
    x, _, _, fitted = breast
    table = np.column_stack([x[:, 26:], np.ones(len(x))])
    found = meter.column_leakage(table, fitted, ["a", "b", "c", "d", "constant"], threshold=0.5, repeats=2)
    assert {f.target for f in found.findings} == {"a", "b", "c", "d"}
    assert not found.ok


def test_bytes_are_searched_too(wine: tuple[Array, ...]) -> None:
    _, y, residuals, _ = wine
    noise = np.random.default_rng(0).integers(0, 256, (4, len(y), 8))
    assert meter.byte_leakage(y, noise, threshold=0.4, repeats=REPEATS).ok
    assert not meter.byte_leakage(y, residuals, threshold=0.4, repeats=REPEATS).ok


def test_the_meter_refuses_what_does_not_fit() -> None:
    y, sent = np.arange(40) % 2, np.zeros((2, 40, 1))
    with pytest.raises(DataError, match="shape"):
        meter.label_leakage(y[:30], sent)
    with pytest.raises(DataError, match="fewer than"):
        meter.label_leakage(y[:10], sent[:, :10])
    with pytest.raises(DataError, match="finite"):
        meter.label_leakage(y, np.full_like(sent, np.nan))
    with pytest.raises(SettingsError, match="0 to 1"):
        meter.label_leakage(y, sent, threshold=1.5)
    with pytest.raises(DataError, match="names"):
        meter.column_leakage(np.zeros((40, 2)), sent, ["one"])


def test_an_interval_that_is_not_known_does_not_pass_the_gate() -> None:
    unknown = Estimate(0.0, math.nan, math.nan)
    finding = Finding("attack", "labels", "all", "nothing", "R2", unknown, unknown, unknown)
    assert meter.Leakage((finding,), 1.0).exceeded == (finding,)


# scores


def test_measures() -> None:
    truth = np.array([0, 0, 0, 1])
    assert balanced_accuracy(truth, np.zeros(4, dtype=int)) == 0.5
    values = np.array([1.0, 2.0, 3.0])
    assert squared_correlation(values, 5 * values + 1) == pytest.approx(1.0)
    assert squared_correlation(values, -values) == pytest.approx(-1.0)
    assert r2(values, -values) == 0.0 and r2(values, values) == 1.0
    assert squared_correlation(values, np.ones(3)) == 0.0


def test_student_interval_covers_as_often_as_it_says() -> None:
    """False alarm of this test: coverage of 2,000 intervals is 0.95 with deviation 0.005; 0.93 is four of them."""
    rng = np.random.default_rng(0)
    covers = [(e.low <= 1.0 <= e.high) for e in (interval(rng.normal(1.0, 2.0, 8)) for _ in range(2000))]
    assert 0.93 < np.mean(covers) < 0.97


def test_the_bootstrap_is_paired() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 200)
    guess = np.where(rng.random(200) < 0.8, truth, 1 - truth)
    same = resampled("balanced accuracy", truth, guess, guess, seed=0, attack="", target="", rounds="", knows="")
    assert same.gain == Estimate(0.0, 0.0, 0.0)
    assert same.score.low < same.score.value < same.score.high


def test_known_rows_are_few_stratified_and_never_scored() -> None:
    truth = np.array([0] * 180 + [1] * 20)
    first, second = draws(truth, 2, 0)
    assert len(first.known) == round(KNOWN_SHARE * 200) and truth[first.known].sum() == 2
    assert not np.intersect1d(first.known, first.unknown).size
    assert not np.array_equal(first.known, second.known)
