"""A party's own workers by Dask: results, noise, deaths, and who is refused. One scheduler and its workers for all."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from distributed.protocol.pickle import dumps
from joblib import parallel_config

from crypto import pool, psi
from crypto.ckks import release
from crypto.ckks.encrypted_ridge import EncryptedRidge, predict
from crypto.ckks.sets import PARAMETER_SETS
from parties.workers import connect, dask_pool
from parties.workers.connect import at_work
from secure_gal.errors import EnvironmentFailure, SettingsError
from secure_gal.gal.split import fold_numbers
from secure_gal.learners import fold_workers
from secure_gal.learners.cross_fit import CrossFit, cross_fit
from secure_gal.learners.trees import EstimatorLearner, OwnKind
from secure_gal.settings.party import TlsFiles
from tests.support.ckks_keys import PEER, Array, error_bound, keys, ridge, secret
from tests.support.dask_cluster import Authority, Cluster, LeastSquares, cluster
from tests.support.party_files import party

pytestmark = [pytest.mark.dask, pytest.mark.processes, pytest.mark.filterwarnings("ignore::ResourceWarning")]
STANDARD = PARAMETER_SETS["standard"]
U, R = ridge(STANDARD.n + 100, 16, 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(scope="module")
def authority(folder: Path) -> Authority:
    return Authority(folder)


@pytest.fixture(scope="module")
def own(authority: Authority) -> TlsFiles:
    return authority.issue("party")


@pytest.fixture(scope="module")
def running(authority: Authority) -> Iterator[Cluster]:
    with cluster(authority.issue("node"), "a", "b") as made:
        yield made


@pytest.fixture
def workers(running: Cluster, own: TlsFiles, folder: Path) -> Iterator[dask_pool.DaskPool]:
    with at_work(running.learner(own), folder, lambda event: None):
        found = pool.current()
        assert isinstance(found, dask_pool.DaskPool)
        yield found


def decrypted(replies: Array, rows: int) -> Array:
    return secret("standard").decrypt(replies, rows, R.shape[1], PEER)


@pytest.mark.parametrize("shares", [1, 2, 4])
def test_any_number_of_shares_decrypts_to_the_clear_fit(workers: dask_pool.DaskPool, shares: int) -> None:
    job = EncryptedRidge.of(keys("standard", 16), U, U, cores=shares)
    requests = secret("standard").encrypt(R)
    first, second = job.fit(requests, 1), job.fit(requests, 1)
    job.close()
    assert job._basis.job.shards == shares
    for replies in (first, second):
        assert np.abs(decrypted(replies, len(U)) - U @ (U.T @ R)).max() < error_bound(STANDARD, U, U, R)
    assert (first != second).mean() > 0.9


def test_leave_one_out_values_and_a_head_for_predictions(workers: dask_pool.DaskPool) -> None:
    requests, found = secret("standard").encrypt(R), []
    job = EncryptedRidge.of(keys("standard", 16), U, U, leave_one_out=True, cores=2)
    found.append(decrypted(job.fit(requests, 1), len(U)))
    head = job.head(requests, 1)
    job.close()
    assert decrypted(predict(keys("standard", 16), head, 1, U), len(U)) == pytest.approx(U @ (U.T @ R), abs=1e-3)
    pool.use(None)
    job = EncryptedRidge.of(keys("standard", 16), U, U, leave_one_out=True, cores=1)
    found.append(decrypted(job.fit(requests, 1), len(U)))
    job.close()
    assert np.abs(found[0] - found[1]).max() < 2 * STANDARD.error


@pytest.mark.parametrize("shares", [1, 2, 4])
def test_noise_is_added_once_and_is_no_other_worker_s(workers: dask_pool.DaskPool, shares: int) -> None:
    """Of nothing but noise: every block has the size of one flooding and one release, and is like no other block.

    A correlation of h = n values beyond 6 / sqrt(n) has probability 2e-9 by chance; there are 8 pairs.
    """
    rows = 4 * STANDARD.n
    nothing, requests = np.zeros((rows, 16)), secret("standard").encrypt(np.ones((rows, 1)))
    job = EncryptedRidge.of(keys("standard", 16), nothing, nothing, cores=shares)
    blocks = secret("standard").decrypt(job.fit(requests, 1), rows, 1, PEER).reshape(4, STANDARD.n)
    job.close()
    assert blocks.std(axis=1) == pytest.approx(np.full(4, release.deviation(STANDARD)), rel=0.05)
    pairs = np.corrcoef(blocks)[np.triu_indices(4, 1)]
    assert np.abs(pairs).max() < 6 / np.sqrt(STANDARD.n)


class Sent:
    """Bytes of what a pool sends."""

    def __init__(self, workers: dask_pool.DaskPool, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bytes, send = 0, workers.send

        def counted(value: object) -> object:
            self.bytes += len(dumps(value))
            return send(value)

        monkeypatch.setattr(workers, "send", counted)

    def since(self) -> int:
        """Since this was asked last."""
        found, self.bytes = self.bytes, 0
        return found


def test_keys_and_u_are_sent_once(workers: dask_pool.DaskPool, monkeypatch: pytest.MonkeyPatch) -> None:
    sent, requests = Sent(workers, monkeypatch), secret("standard").encrypt(R)
    job = EncryptedRidge.of(keys("standard", 16), U, U, cores=2)
    job.fit(requests, 1)
    once = len(keys("standard", 16).raw) + U.size * 4
    first = sent.since()
    job.fit(requests, 1)
    later = sent.since()
    job.close()
    job = EncryptedRidge.of(keys("standard", 16), U, U, cores=2)
    job.fit(requests, 1)
    job.close()
    assert sent.since() < first - len(keys("standard", 16).raw) + 200, "another job has the same keys"
    assert later < first - once < 2 * requests.nbytes + 7 * STANDARD.sum_bytes


FOLDS = fold_numbers(300, 4, 0)
X, Y = U[:300, :3] * 100, R[:300].astype(np.float32)


def slow(monkeypatch: pytest.MonkeyPatch) -> OwnKind:
    """A learner whose folds are all worth sharing out."""
    monkeypatch.setattr(fold_workers, "WORTHWHILE", 0.0)
    return OwnKind(LeastSquares)


def test_folds_are_the_same_bit_for_bit_and_rows_are_sent_once(
    workers: dask_pool.DaskPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent, learner = Sent(workers, monkeypatch), slow(monkeypatch)
    found: list[CrossFit] = []
    for seed in (1, 2):
        found.append(cross_fit(learner, X, Y, seed, FOLDS))
        sizes = (X.nbytes + FOLDS.nbytes, 0)
        assert sizes[seed - 1] < sent.since() < sizes[seed - 1] + Y.nbytes + 3000
    pool.use(None)
    for seed in (1, 2):
        here = cross_fit(EstimatorLearner(LeastSquares), X, Y, seed, FOLDS)
        assert here.values.tobytes() == found[seed - 1].values.tobytes()
        assert here.model.predict(X).tobytes() == found[seed - 1].model.predict(X).tobytes()


def test_what_a_fit_refuses_is_said_as_here(workers: dask_pool.DaskPool, monkeypatch: pytest.MonkeyPatch) -> None:
    learner, bad = slow(monkeypatch), np.where(Y.max() == Y, np.nan, Y)
    with pytest.raises(SettingsError) as there:
        cross_fit(learner, X, bad, 1, FOLDS)
    pool.use(None)
    learner.timing.seconds = None
    with pytest.raises(SettingsError) as here:
        cross_fit(learner, X, bad, 1, FOLDS)
    assert str(there.value) == str(here.value)


def test_check_says_how_many_workers_there_are(running: Cluster, own: TlsFiles, tmp_path: Path) -> None:
    where = "".join(f'{name} = "{getattr(own, name)}"\n' for name in ("ca", "cert", "key"))
    file = party(tmp_path, learner=f'workers = "{running.address}"\n[learner.tls]\n{where}')
    said = connect.look(file)
    assert said.startswith(f"workers: 2 workers with 2 threads at {running.address}; everywhere python 3.")
    assert f"numpy {np.__version__}" in said


def double(number: int) -> bytes:
    return bytes([2 * number])


def test_an_alignment_shares_its_secret_scalar_with_no_worker(
    workers: dask_pool.DaskPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for method in ("send", "send_once", "keep", "run"):
        monkeypatch.setattr(workers, method, None)
    with parallel_config(backend="threading"):  # no more than would be taken elsewhere
        done = list(psi._run(double, iter([1, 2]), 10 * psi.BLOCK, 1, 2))  # type: ignore[type-var]
    assert [int(block[0, 0]) for block in done] == [2, 4]


def test_the_secret_key_cannot_be_sent(workers: dask_pool.DaskPool) -> None:
    context = secret("standard")
    for value in (context, context._secret, partial(context.encrypt, R)):
        with pytest.raises(TypeError):
            workers.send(value)


def test_work_goes_on_without_a_worker_that_died_and_ends_with_the_scheduler(
    running: Cluster, own: TlsFiles, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Last of all: nothing of the cluster is left after it."""
    requests = secret("standard").encrypt(R)
    job = EncryptedRidge.of(keys("standard", 16), U, U, cores=2)
    with at_work(running.learner(own), folder, lambda event: None):
        workers, learner = pool.current(), slow(monkeypatch)
        before = cross_fit(learner, X, Y, 1, FOLDS)
        job.fit(requests, 1)
        running.workers[0].kill()
        assert np.abs(decrypted(job.fit(requests, 1), len(U)) - U @ (U.T @ R)).max() < STANDARD.error
        assert cross_fit(learner, X, Y, 1, FOLDS).values.tobytes() == before.values.tobytes()
        monkeypatch.setattr(dask_pool, "PATIENCE_SECONDS", 0.1)
        running.workers[1].kill()
        running.workers[1].wait(timeout=60)
        with pytest.raises(EnvironmentFailure, match=f"{running.address} has had no workers .* start the same command"):
            job.fit(requests, 1)
        running.scheduler.kill()
        with pytest.raises(EnvironmentFailure, match=f"the scheduler at {running.address} is gone; start it"):
            job.fit(requests, 1)
        assert workers is pool.current()
    assert pool.current() is None
    job.close()
