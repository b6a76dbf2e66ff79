"""Every learner's fits on one and two of a party's own workers: the same models, rows once, own code, failures."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from crypto import pool
from parties.workers import connect, dask_pool, own_code
from parties.workers.connect import at_work
from secure_gal.data.arrays import ArrayRows
from secure_gal.errors import EnvironmentFailure, SettingsError
from secure_gal.gal.split import fold_numbers
from secure_gal.holdings.local import LocalParty
from secure_gal.learners import fold_workers, make_learner
from secure_gal.learners.base import Learner
from secure_gal.learners.cross_fit import cross_fit
from secure_gal.settings.party import LearnerSettings
from tests.support.dask_cluster import Authority, Cluster, cluster
from tests.support.party_files import party
from tests.support.workers_code import Sent, write_own

pytestmark = [pytest.mark.dask, pytest.mark.processes, pytest.mark.filterwarnings("ignore::ResourceWarning")]
RNG = np.random.default_rng(0)
N = 80
TABLE = RNG.standard_normal((N, 3))
IMAGES = RNG.standard_normal((N, 1, 6, 6)).astype(np.float32)
SERIES = RNG.standard_normal((N, 5, 2)).astype(np.float32)
RESIDUALS = [RNG.standard_normal((N, 2)).astype(np.float32) for _ in range(2)]
FOLDS = fold_numbers(N, 3, 0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("party")
    write_own(made, "own_fits", slow=0.5)
    return made


@pytest.fixture(scope="module")
def authority(folder: Path) -> Authority:
    return Authority(folder)


@pytest.fixture(scope="module", params=[1, 2])
def running(authority: Authority, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    with cluster(authority.issue("node"), *"ab"[: request.param]) as made:
        yield made


@pytest.fixture(scope="module")
def own(authority: Authority) -> Any:
    return authority.issue("party")


@pytest.fixture
def workers(running: Cluster, own: Any, folder: Path) -> Iterator[dask_pool.DaskPool]:
    with at_work(running.learner(own), folder, lambda event: None):
        found = pool.current()
        assert isinstance(found, dask_pool.DaskPool)
        yield found


def secret() -> bytes:
    raise AssertionError("a secret is asked for")


def learner(folder: Path, kind: str, **more: Any) -> Learner:
    """Whoever pickles the secret, or the party that it is of, fails."""

    class Secret:
        def __call__(self) -> bytes:
            return secret()

        def __reduce__(self) -> Any:
            raise TypeError("a secret is sent")

    return make_learner(LearnerSettings(kind=kind, **more), folder, seed=1, secret=Secret())


def options(**given: Any) -> dict[str, Any]:
    return {"options": given}


CASES: dict[str, tuple[str, dict[str, Any], Any, int]] = {
    "boosted trees": ("gb", options(max_iter=3), TABLE, 6),
    "support vectors": ("svm", {}, TABLE, 6),
    "a perceptron": ("mlp", options(epochs=2, hidden=4), TABLE, 6),
    "images": ("cnn", options(epochs=1, blocks=1, width=2), ArrayRows(IMAGES), 6),
    "series": ("gru", options(epochs=1, hidden=3), SERIES, 6),
    "an extractor a fold, in the first round": ("mlp", options(epochs=2, share_extractor=True), TABLE, 3),
    "heads of another loss": ("linear", {"loss": "l1"}, TABLE, 6),
    "an estimator of one's own": ("python:own_fits:Least", {}, TABLE, 6),
    "a class made in a function": ("python:own_fits:scaled", options(by=2.0), TABLE, 6),
    "a module of one's own": ("python:own_fits:net", {}, TABLE, 6),
    "a forest, out of bag": (
        "python:sklearn.ensemble:RandomForestRegressor",
        options(n_estimators=20, max_depth=2),
        TABLE,
        2,
    ),
    "a forest, by folds": (
        "python:sklearn.ensemble:ExtraTreesRegressor",
        options(n_estimators=3, max_depth=2),
        TABLE,
        6,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_every_learner_s_fits_are_the_same_and_rows_go_out_once(
    case: str, workers: dask_pool.DaskPool, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, settings, x, calls = CASES[case]
    monkeypatch.setattr(fold_workers, "WORTHWHILE", 0.0)
    sent, there = Sent(workers, monkeypatch), learner(folder, kind, **settings)
    found = [cross_fit(there, x, residual, seed, FOLDS) for seed, residual in enumerate(RESIDUALS)]
    assert sent.calls == calls
    if case != "heads of another loss":  # these go by U
        rows = np.asarray(x)
        assert sent.bytes == rows.nbytes + (0 if case == "a forest, out of bag" else FOLDS.nbytes)
    assert sent.largest < 16_000, "code and options, and no rows"
    pool.use(None)
    here = learner(folder, kind, **settings)
    for seed, residual in enumerate(RESIDUALS):
        expected = cross_fit(here, x, residual, seed, FOLDS)
        assert expected.values.tobytes() == found[seed].values.tobytes()
        assert expected.how == found[seed].how
        assert expected.model.predict(x).tobytes() == found[seed].model.predict(x).tobytes()


def test_what_a_worker_made_is_kept_as_if_it_were_made_here(workers: dask_pool.DaskPool, folder: Path) -> None:
    from secure_gal.learners import storage

    for kind in ("python:own_fits:Least", "python:own_fits:net"):
        model = cross_fit(learner(folder, kind), TABLE, RESIDUALS[0], 1, FOLDS).model
        again = storage.load(storage.dump(model), storage.EVERYTHING)
        assert again.predict(TABLE).tobytes() == model.predict(TABLE).tobytes()
    first = cross_fit(learner(folder, "python:own_fits:Least"), TABLE, RESIDUALS[0], 1, FOLDS).model
    assert type(first.models[0].columns[0]) is sys.modules["own_fits"].Least


def test_fits_of_the_paper_s_rule_go_there_too(
    workers: dask_pool.DaskPool, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent, train = Sent(workers, monkeypatch), np.ones(N, dtype=np.bool_)

    def fitted() -> npt.NDArray[np.float32]:
        return LocalParty("lab", TABLE, train, learner(folder, "python:own_fits:Least"), 1).fit_round(1, RESIDUALS[0])[
            1
        ]

    there = fitted()
    assert sent.calls == 1 and sent.bytes == TABLE.nbytes
    pool.use(None)
    assert fitted().tobytes() == there.tobytes()


def test_short_fits_come_home_after_the_first_round(
    workers: dask_pool.DaskPool, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent, own_learner = Sent(workers, monkeypatch), learner(folder, "python:own_fits:Least")
    for round_ in (1, 2, 3):
        cross_fit(own_learner, TABLE, RESIDUALS[0], round_, FOLDS)
    assert sent.calls == 3


@pytest.mark.parametrize("name", ["Strict", "Locked"])
def test_what_goes_wrong_in_a_fit_is_said_as_here(name: str, workers: dask_pool.DaskPool, folder: Path) -> None:
    with pytest.raises(SettingsError) as there:
        cross_fit(learner(folder, f"python:own_fits:{name}"), TABLE, RESIDUALS[0], 1, FOLDS)
    if name == "Locked":  # here it is said when the model is saved
        assert str(there.value).startswith(
            "[learner] workers: what was fitted cannot be sent back: TypeError: cannot pickle '_thread.lock' object"
        )
        return
    pool.use(None)
    with pytest.raises(SettingsError) as here:
        cross_fit(learner(folder, f"python:own_fits:{name}"), TABLE, RESIDUALS[0], 1, FOLDS)
    assert str(there.value) == str(here.value)
    assert "fit of Strict failed: ArithmeticError: not these rows (own_fits.py, line 21)" in str(here.value)


def refused(running: Cluster, own: Any, folder: Path, kind: str) -> str:
    """By whoever starts, and in the same words by `check`."""
    with_kind = LearnerSettings(kind=kind, workers=running.address, tls=own)
    with pytest.raises(SettingsError) as found, at_work(with_kind, folder, lambda event: None):
        raise AssertionError("at work")
    assert pool.current() is None
    where = "".join(f'{name} = "{getattr(own, name)}"\n' for name in ("ca", "cert", "key"))
    file = party(folder, learner=f'kind = "{kind}"\nworkers = "{running.address}"\n[learner.tls]\n{where}')
    with pytest.raises(SettingsError) as checked:
        connect.look(file)
    assert str(found.value) == str(checked.value)
    return str(found.value)


def test_what_a_worker_cannot_read_is_refused_before_anything_is_sent(
    running: Cluster, own: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "only_here.py").write_text("NUMBER = 3\ndef slopes(x, y): return NUMBER\n")
    monkeypatch.syspath_prepend(str(elsewhere))
    names = [f"{name}_{len(running.workers)}" for name in ("uses_only_here", "holds_a_lock")]
    for name in names:
        (tmp_path / name).mkdir()
    write_own(tmp_path / names[0], names[0], more="from only_here import slopes")
    said = refused(running, own, tmp_path / names[0], f"python:{names[0]}:Least")
    assert "cannot read this party's learner: ModuleNotFoundError: No module named 'only_here'; install there" in said
    assert said.startswith("[learner] workers: the worker at tls://127.0.0.1:")
    write_own(tmp_path / names[1], names[1])
    said = refused(running, own, tmp_path / names[1], f"python:{names[1]}:Unsendable")
    assert said.startswith("[learner] workers: the learner cannot be sent: TypeError: cannot pickle '_thread.lock'")


def test_another_release_of_a_package_that_the_learner_names_is_refused(
    running: Cluster, own: Any, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "scikit-learn" in own_code._packages(
        pool.Packed.of(learner(folder, "python:sklearn.ensemble:RandomForestRegressor"))
    )
    name = f"names_joblib_{len(running.workers)}"
    write_own(tmp_path, name, more="import joblib\nslopes = joblib.hash and slopes")
    found = own_code._versions
    monkeypatch.setattr(own_code, "_versions", lambda names: {**found(names), "joblib": "0.1"})
    said = refused(running, own, tmp_path, f"python:{name}:Least")
    assert "joblib 1." in said and "(here 0.1); install there what is installed here" in said


def test_a_learner_whose_fits_stay_here_is_not_sent(running: Cluster, own: Any, folder: Path) -> None:
    with_kind = LearnerSettings(kind="linear", workers=running.address, tls=own)
    with at_work(with_kind, folder, lambda event: None):
        found: Any = pool.current()
        found.pack = None
        own_code.try_on_workers(found, make_learner(with_kind, folder))


def test_who_stops_in_the_middle_leaves_nothing_on_the_workers(running: Cluster, own: Any, folder: Path) -> None:
    def work() -> None:
        try:
            cross_fit(learner(folder, "python:own_fits:Slow"), TABLE, RESIDUALS[0], 1, FOLDS)
        except Exception as error:
            ended.append(error)

    ended: list[Exception] = []
    with at_work(running.learner(own), folder, lambda event: None):
        thread = threading.Thread(target=work)
        thread.start()
        while not_begun(pool.current()):
            pass
    thread.join(timeout=20)
    assert isinstance(ended[0], EnvironmentFailure)
    with at_work(running.learner(own), folder, lambda event: None):
        left: Any = pool.current()
        assert until(lambda: not any(left._client.has_what().values()) and not any(left._client.processing().values()))


def not_begun(workers: Any) -> bool:
    return not any(workers._client.processing().values())


def until(holds: Callable[[], bool], seconds: float = 20.0) -> bool:
    wait = threading.Event()
    for _ in range(int(10 * seconds)):
        if holds():
            return True
        wait.wait(0.1)
    return False


def test_a_worker_that_dies_in_a_fold_is_replaced_by_another(
    running: Cluster, own: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Last of all: the cluster lacks one after it."""
    monkeypatch.setattr(dask_pool, "LOOK_SECONDS", 1.0)
    with at_work(running.learner(own), folder, lambda event: None):
        victim, workers = running.workers[-1], pool.current()

        def kill() -> None:
            while not_begun(workers):
                pass
            victim.kill()
            if len(running.workers) == 1:
                running.add("c")

        thread = threading.Thread(target=kill)
        thread.start()
        found = cross_fit(learner(folder, "python:own_fits:Slow"), TABLE, RESIDUALS[0], 1, FOLDS)
        thread.join()
    here = cross_fit(learner(folder, "python:own_fits:Least"), TABLE, RESIDUALS[0], 1, FOLDS)
    assert found.values.tobytes() == here.values.tobytes()
