"""Learning from labels that were released once: the corrected loss, the schemes, and the memory of releases."""

from __future__ import annotations

import json
import math
import stat

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from crypto.label_privacy import EPSILON_RANGE, RandomizedResponse
from secure_gal.errors import DataError, EnvironmentFailure, SettingsError
from secure_gal.gal.ensemble import Ensemble
from secure_gal.gal.losses import Loss, get_loss
from secure_gal.labels.corrected_loss import CorrectedCrossEntropy
from secure_gal.labels.release import release_once, release_path
from secure_gal.labels.schemes import ClassResponse, RangeInterval, RangeResponse


@pytest.mark.parametrize("epsilon", [0.5, 3.0])
def test_targets_have_exactly_the_value_of_the_true_bin_as_expectation(epsilon):
    scheme = RangeResponse(epsilon, 10.0, 30.0)
    k, rr = scheme.bins.count, scheme.mechanism
    chances = np.full((k, k), rr.flip) + np.eye(k) * rr.retention
    targets = scheme.targets(np.arange(k, dtype=float))
    np.testing.assert_allclose(chances @ targets, scheme.bins.values, rtol=1e-12)
    assert np.abs(chances @ scheme.bins.values - scheme.bins.values).max() > 0.3  # uncorrected: drawn inwards


# the corrected loss


def corrected(k, epsilon=1.0):
    classes = max(2, k)
    return CorrectedCrossEntropy("cross_entropy", k, RandomizedResponse(classes, epsilon).flip)


@pytest.mark.parametrize("k", [1, 3])
def test_the_residual_is_the_negative_gradient(k):
    rng, loss = np.random.default_rng(0), corrected(k)
    y, f = rng.integers(0, max(2, k), 20), rng.normal(size=(20, k))
    numeric = -approx_fprime(f.ravel(), lambda v: 20 * loss.value(y, v.reshape(f.shape)), 1e-7).reshape(f.shape)
    np.testing.assert_allclose(loss.residual(y, f), numeric, atol=1e-5)
    assert np.abs(loss.residual(y, 1e3 * f)).max() <= 1


@pytest.mark.parametrize("k", [1, 3])
def test_with_next_to_no_changes_it_is_plain_cross_entropy(k):
    rng, plain = np.random.default_rng(0), get_loss("cross_entropy", k)
    loss = CorrectedCrossEntropy("cross_entropy", k, 1e-12)
    y, f = rng.integers(0, max(2, k), 50), rng.normal(size=(50, k))
    np.testing.assert_allclose(loss.value(y, f), plain.value(y, f), rtol=1e-9)
    np.testing.assert_allclose(loss.residual(y, f), plain.residual(y, f), atol=1e-9)
    np.testing.assert_allclose(loss.initial(y), plain.initial(y), atol=1e-9)


@pytest.mark.parametrize("shares", [[0.7, 0.3], [0.5, 0.3, 0.2]])
def test_f0_gives_the_true_shares_and_expected_releases_are_stationary_there(shares):
    """Expected counts of releases, so there is no chance in it. Plain cross-entropy is the control."""
    k = 1 if len(shares) == 2 else len(shares)
    loss = corrected(k)
    expected = loss.flip + loss.retention * np.array(shares)
    y = np.repeat(np.arange(len(shares)), np.round(1e5 * expected).astype(int))
    f0 = loss.initial(y)
    logs = np.log(shares)
    truth = logs[1:] - logs[:1] if k == 1 else logs
    np.testing.assert_allclose(f0, truth, atol=1e-3)
    assert np.abs(loss.residual(y, np.tile(f0, (len(y), 1))).mean(axis=0)).max() < 1e-6
    assert np.abs(get_loss("cross_entropy", k).initial(y) - truth).max() > 0.1


def test_a_class_released_less_often_than_by_chance_gets_a_small_finite_prior():
    loss = corrected(3)
    f0 = loss.initial(np.repeat([0, 1], [60, 40]))
    assert np.isfinite(f0).all() and f0[2] == f0.min() < math.log(0.01)
    assert f0[0] > f0[1]


class Stump:
    """Least squares on a column, as a local model."""

    def fit(self, x, r, seed):
        b = np.linalg.lstsq(np.column_stack([np.ones(len(x)), x]), r.astype(float), rcond=None)[0]
        return lambda new: np.column_stack([np.ones(len(new)), new]) @ b


def run(loss: Loss, y, columns, rounds=8):
    ensemble = Ensemble(
        loss, y, np.arange(len(y)) % 5 > 0, "classification", tuple(columns), "fitted", "search", rounds, rounds, "l2"
    )
    sent = []
    while not ensemble.finished:
        sent.append(ensemble.residual())
        train = np.arange(len(y)) % 5 > 0
        fitted = {n: Stump().fit(x[train], sent[-1], 0)(x).astype(np.float32) for n, x in columns.items()}
        ensemble.commit(fitted)
    return ensemble, sent


def noisy_problem(epsilon, n=20_000, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2))
    truth = 1.5 * x[:, 0] - x[:, 1] - 1
    y = (rng.random(n) < 1 / (1 + np.exp(-truth))).astype(np.int64)
    scheme = ClassResponse(epsilon, (0, 1))
    released = scheme.mechanism.respond(y, rng.integers(0, 2**64, n, dtype=np.uint64))
    return {"a": x[:, :1], "b": x[:, 1:]}, truth, y, released, scheme


def test_learning_from_releases_finds_the_true_log_odds_and_without_correction_it_does_not():
    columns, truth, _, released, scheme = noisy_problem(1.0)
    training = scheme.training(released.astype(float), np.ones(len(released), dtype=bool), "cross_entropy")
    good, _ = run(training.loss, training.y, columns)
    plain, _ = run(get_loss("cross_entropy", 1), training.y, columns)
    slope = [np.polyfit(truth, e.F[:, 0], 1)[0] for e in (good, plain)]
    assert abs(slope[0] - 1) < 0.15
    assert slope[1] < 0.5
    assert all(np.diff([r.train_loss for r in good.history]) <= 1e-12)


def test_everything_sent_depends_on_releases_alone(tmp_path):
    """Two label vectors, one kept release: equal residuals, weights and learning rates, byte for byte."""
    columns, _, y, _, scheme = noisy_problem(1.0, 2_000)
    ids, train = [str(i) for i in range(len(y))], np.ones(len(y), dtype=bool)
    runs = []
    for labels in (y, 1 - y):
        released = release_once(tmp_path / "r", scheme, ids, labels.tolist(), AS)
        training = scheme.training(released, train, "cross_entropy")
        runs.append(run(training.loss, training.y, columns, 3))
    (one, sent), (two, again) = runs
    assert [r.tobytes() for r in sent] == [r.tobytes() for r in again]
    assert one.history == two.history and len(one.history) == 3
    control, _ = run(get_loss("cross_entropy", 1), 1 - y, columns, 3)
    assert control.history != one.history


# schemes


def test_classes_are_public_and_sorted_and_a_strange_label_is_refused():
    scheme = ClassResponse(20.0, ("no", "yes", "maybe"))
    assert scheme.codec.classes == ("maybe", "no", "yes")
    assert scheme.release(["yes", "no", "maybe"]).tolist() == [2, 1, 0]  # a change: 1 in 10**8
    training = scheme.training(np.array([2.0, 1.0]), np.array([True, True]), "cross_entropy")
    assert training.loss.n_outputs == 3 and training.y.dtype == np.int64
    with pytest.raises(DataError, match="other"):
        scheme.release(["yes", "other"])
    with pytest.raises(DataError):
        ClassResponse(1.0, ("only",))


def test_regression_codes_are_standardised_from_releases():
    scheme, train = RangeResponse(8.0, 0.0, 10.0), np.array([True] * 500 + [False] * 500)
    labels = np.random.default_rng(0).uniform(0, 10, 1000)
    training = scheme.training(scheme.release(labels.tolist()), train, "l2")
    assert abs(training.y[train].mean()) < 1e-9 and abs(training.y[train].std() - 1) < 1e-9
    assert np.corrcoef(training.y[:, 0], labels)[0, 1] > 0.9
    released = scheme.training(np.arange(4.0), np.ones(4, dtype=bool), "l1")
    assert np.ptp(released.y) * released.codec.scale == pytest.approx(np.ptp(scheme.bins.values[:4]))


def test_statements_name_everything_that_a_release_depends_on():
    classes = [ClassResponse(1.0, (0, 1)), ClassResponse(2.0, (0, 1)), ClassResponse(1.0, (0, 2))]
    ranges = [RangeResponse(1.0, 0, 1), RangeResponse(2.0, 0, 1), RangeResponse(1.0, 0, 2), RangeInterval(0, 1)]
    assert len({scheme.statement for scheme in (*classes, *ranges)}) == 7
    assert ClassResponse(1, (1, 0)).statement == ClassResponse(1.0, ("0", "1")).statement


# the memory


AS = "of id, compared as written"
IDS = [f"id{i}" for i in range(200)]
COINS = ClassResponse(EPSILON_RANGE[0], (0, 1))


def test_a_row_is_released_once_whatever_is_asked_later(tmp_path):
    file = tmp_path / "home" / "labels.json"
    first = release_once(file, COINS, IDS, [0] * 200, AS)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    again = release_once(file, COINS, [*IDS[::-1], "new"], [1] * 201, AS)  # other labels, other order, one row more
    assert (again[:200] == first[::-1]).all()
    assert (release_once(file, COINS, ["new"], [0], AS) == again[200:]).all()
    other = release_once(tmp_path / "other home" / "labels.json", COINS, IDS, [0] * 200, AS)
    assert (first != other).any()  # the control: without the file, new noise (false alarm 2**-200)


def test_releases_of_another_scheme_are_not_added_silently(tmp_path):
    release_once(tmp_path / "r", COINS, IDS, [0] * 200, AS)
    with pytest.raises(SettingsError, match="sum of both epsilons"):
        release_once(tmp_path / "r", ClassResponse(1.0, (0, 1)), IDS, [0] * 200, AS)


def test_another_way_of_writing_ids_is_not_a_new_person(tmp_path):
    release_once(tmp_path / "r", COINS, IDS, [0] * 200, AS)
    with pytest.raises(SettingsError, match="id_form"):
        release_once(tmp_path / "r", COINS, [name.upper() for name in IDS], [0] * 200, "of id, compared as lower")


def test_a_renamed_label_is_not_released_again(tmp_path):
    """Nor with a row more, an id less or another case; whoever names the old file after the new column draws
    nothing."""
    first = release_once(tmp_path / "benign.json", COINS, IDS, [0] * 200, AS)
    raw = (tmp_path / "benign.json").read_bytes()
    for ids in (IDS, [*IDS, "new"], IDS[:1], ["new", IDS[-1]]):
        with pytest.raises(SettingsError, match=r"\[data\] label: .* released before as 'benign' .*--beyond labels=2"):
            release_once(tmp_path / "Benign.json", COINS, ids, [0] * len(ids), AS)
    assert [file.name for file in tmp_path.glob("*.json")] == ["benign.json"]
    assert (tmp_path / "benign.json").read_bytes() == raw
    (tmp_path / "benign.json").rename(tmp_path / "Benign.json")
    assert (release_once(tmp_path / "Benign.json", COINS, IDS, [0] * 200, AS) == first).all()


def test_renamed_and_written_otherwise_at_once_is_not_released_again(tmp_path):
    release_once(tmp_path / "benign.json", COINS, IDS, [0] * 200, AS)
    with pytest.raises(SettingsError, match="of id, compared as written, which cannot be held against these"):
        release_once(tmp_path / "new.json", COINS, [i.upper() for i in IDS], [0] * 200, "of id, compared as lower")


def test_another_label_of_the_same_people_is_released_where_its_cost_is_accepted(tmp_path):
    first = release_once(tmp_path / "benign.json", COINS, IDS, [0] * 200, AS)
    second = release_once(tmp_path / "survival.json", COINS, IDS, [0] * 200, AS, most=2)
    assert (first != second).any()
    for name, kept in (("benign", first), ("survival", second)):  # neither is drawn again, so neither needs a word
        assert (release_once(tmp_path / f"{name}.json", COINS, IDS, [0] * 200, AS) == kept).all()
    with pytest.raises(SettingsError, match=r"as 'benign' .* as 'survival' .*--beyond labels=3"):
        release_once(tmp_path / "third.json", COINS, IDS[:1], [0], AS, most=2)


def test_people_who_share_no_id_are_others(tmp_path):
    release_once(tmp_path / "benign.json", COINS, IDS[:100], [0] * 100, AS)
    release_once(tmp_path / "survival.json", COINS, IDS[100:], [0] * 100, AS)


def test_text_numbers_and_the_order_of_classes_make_no_other_release(tmp_path):
    """And other names or case of the same classes are refused, for whoever compares the two has both releases."""
    first = release_once(tmp_path / "y.json", ClassResponse(0.5, (0, 1)), IDS, [0, 1] * 100, AS)
    for classes, labels in (((1, 0), [0, 1]), (("0", "1"), ["0", "1"]), (("1", "0"), ["1", "0"])):
        again = release_once(tmp_path / "y.json", ClassResponse(0.5, classes), IDS, labels * 100, AS)
        assert (again == first).all()
    release_once(tmp_path / "named" / "y.json", ClassResponse(0.5, ("No", "Yes")), IDS, ["No", "Yes"] * 100, AS)
    for classes in (("no", "yes"), ("No", "Yes", "Perhaps"), (0, 1)):
        with pytest.raises(SettingsError, match="sum of both epsilons"):
            release_once(tmp_path / "named" / "y.json", ClassResponse(0.5, classes), IDS, [classes[0]] * 200, AS)


@pytest.mark.parametrize(
    ("label", "file"),
    [("y", "y.json"), ("a b", "a b.json"), ("a/b", "a%2Fb.json"), ("../x", "..%2Fx.json"), ("a%2Fb", "a%252Fb.json")],
)
def test_a_label_is_kept_in_the_folder_of_releases_whatever_it_is_called(tmp_path, label, file):
    assert release_path(tmp_path, label) == tmp_path / "releases" / file


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: b"",
        lambda raw: raw[:-3],
        lambda raw: raw + b"x",
        lambda raw: b"\xff" * 50,
        lambda raw: json.dumps(json.loads(raw) | {"more": 1}).encode(),
        lambda raw: json.dumps(json.loads(raw) | {"format": 2}).encode(),
        lambda raw: json.dumps(json.loads(raw) | {"releases": {"id0": "1"}}).encode(),
    ],
)
def test_a_damaged_memory_is_refused_and_not_drawn_anew(tmp_path, change):
    file = tmp_path / "r"
    release_once(file, COINS, IDS, [0] * 200, AS)
    raw = change(file.read_bytes())
    file.write_bytes(raw)
    with pytest.raises(SettingsError):
        release_once(file, COINS, IDS, [0] * 200, AS)
    assert file.read_bytes() == raw


def test_nothing_is_released_that_could_not_be_kept(tmp_path):
    (tmp_path / "r.part").mkdir()
    with pytest.raises(EnvironmentFailure, match="nothing was released"):
        release_once(tmp_path / "r", COINS, IDS, [0] * 200, AS)
