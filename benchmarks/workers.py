"""A party's fits on its own cores against one and two of its own workers: a local cluster of processes, over TLS.

    python -m benchmarks.workers
    python -m benchmarks.workers --ciphertexts 30000x12x1 --folds gb:100000x20 --out workers.json

`here` is one process of one thread, without workers. `first` is the first round, which sends what workers keep and
makes encodings, and `later` the mean of the others. Seconds of CPU are the party's process and its workers' together; a
busy machine disturbs them less than the wall clock. Bytes are those between party and scheduler, counted on the line;
each worker has a copy of what it needs from there or from another. Every answer is compared with the clear fit, or with
the same fit here, bit for bit.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import psutil

from benchmarks import harness
from benchmarks.encrypted_fit import problem
from benchmarks.line import Line
from crypto import pool
from crypto.ckks.encrypted_ridge import EncryptedRidge
from crypto.ckks.keys import PublicKeys
from crypto.ckks.ring import padded
from crypto.ckks.secret import SecretContext
from crypto.ckks.sets import PARAMETER_SETS
from parties.workers.connect import at_work
from secure_gal.gal.split import fold_numbers
from secure_gal.learners import make_learner
from secure_gal.learners.base import Learner
from secure_gal.learners.cross_fit import cross_fit, folds_for
from secure_gal.learners.fold_workers import WORTHWHILE, timing_of
from secure_gal.settings.party import LearnerSettings
from tests.support.dask_cluster import LOOPBACK, Authority, Cluster, cluster

SET = "standard"
ROUNDS = 3
WORKERS = (1, 2)
Round = Callable[[], Any]


def main() -> None:
    """Parse arguments, measure, print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ciphertexts", default="30000x12x1,30000x64x1", help="rows x columns x outputs; or empty")
    parser.add_argument("--folds", default="gb:100000x20,mlp:50000x10", help="kind:rows x columns; or empty")
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    os.environ |= {"LOKY_MAX_CPU_COUNT": "1", "OMP_NUM_THREADS": "1"}
    found: dict[str, Any] = {"machine": harness.machine(), "set": SET, "results": []}
    with tempfile.TemporaryDirectory() as name:
        authority = Authority(Path(name))
        for size in filter(None, chosen.ciphertexts.split(",")):
            found["results"].append({"ciphertexts": size} | _measured(authority, _ciphertexts(size)))
        for size in filter(None, chosen.folds.split(",")):
            found["results"].append({"folds": size} | _measured(authority, _folds(size)))
    print(json.dumps(found, indent=2))
    if chosen.out:
        chosen.out.write_text(json.dumps(found, indent=2) + "\n")


def _measured(authority: Authority, begin: Callable[[], contextlib.AbstractContextManager[Round]]) -> dict[str, Any]:
    """The same rounds here and on so many workers; `begin` makes a round and checks its answers."""
    result = {"here": _rounds(begin, None, None)}
    for count in WORKERS:
        with cluster(authority.issue("node"), *map(str, range(count))) as made, Line((LOOPBACK, made.port)) as line:
            own = msgspec.structs.replace(
                made.learner(authority.issue("party")), workers=f"tls://{LOOPBACK}:{line.port}"
            )
            with at_work(own, Path(), lambda event: None):
                result[f"{count} workers"] = _rounds(begin, line, made)
    return result


def _rounds(
    begin: Callable[[], contextlib.AbstractContextManager[Round]], line: Line | None, made: Cluster | None
) -> dict[str, Any]:
    taken = []
    with begin() as one_round:
        for _ in range(ROUNDS):
            before, began, carried = _cpu(made), time.perf_counter(), _carried(line)
            one_round()
            wall, after = time.perf_counter() - began, _carried(line)
            bytes_ = {way: after[way] - carried[way] for way in after}
            taken.append({"wall": wall, "cpu": _cpu(made) - before} | bytes_)
    later = {what: sum(round_[what] for round_ in taken[1:]) / (ROUNDS - 1) for what in taken[0]}
    return {
        when: {what: round(value, 3) for what, value in of.items()}
        for when, of in (("first", taken[0]), ("later", later))
    }


def _carried(line: Line | None) -> dict[str, int]:
    return {} if line is None else {"bytes_sent": line.carried["up"], "bytes_back": line.carried["down"]}


def _cpu(made: Cluster | None) -> float:
    """Seconds of CPU of this process and the workers so far."""
    total = time.process_time()
    for worker in made.workers if made else ():
        times = psutil.Process(worker.pid).cpu_times()
        total += times.user + times.system
    return total


def _ciphertexts(size: str) -> Callable[[], contextlib.AbstractContextManager[Round]]:
    rows, columns, outputs = map(int, size.split("x"))
    params, (u, r) = PARAMETER_SETS[SET], problem(rows, columns, outputs)
    secret, width = SecretContext.generate(params), padded(params, columns)
    keys, requests = PublicKeys.from_bytes(params, width, secret.public_keys(width)), secret.encrypt(r)

    @contextlib.contextmanager
    def begin() -> Iterator[Round]:
        job = EncryptedRidge.of(keys, u, u, cores=pool.processes())
        yield lambda: job.fit(requests, outputs)
        found = secret.decrypt(job.fit(requests, outputs), rows, outputs, "benchmark")
        job.close()
        assert np.abs(found - u @ (u.T @ r)).max() < params.error

    return begin


def _fit_seconds(learner: Learner) -> float:
    """Of its last fit, which there was."""
    timing = timing_of(learner)
    assert timing is not None and timing.seconds is not None
    return timing.seconds


def _folds(size: str) -> Callable[[], contextlib.AbstractContextManager[Round]]:
    kind, _, shape = size.partition(":")
    rows, columns = map(int, shape.split("x"))
    rng = np.random.default_rng(0)
    number_of = folds_for(make_learner(LearnerSettings(kind=kind), Path()), None, rows)
    x, folds = rng.standard_normal((rows, columns)), fold_numbers(rows, number_of, 0)
    seen: dict[int, bytes] = {}
    residual = (np.sin(x[:, :1]) + x[:, 1:2] * x[:, 2:3] + rng.standard_normal((rows, 1))).astype(np.float32)

    @contextlib.contextmanager
    def begin() -> Iterator[Round]:
        learner, number = make_learner(LearnerSettings(kind=kind), Path()), iter(range(ROUNDS))

        def one_round() -> None:
            seed = next(number)
            assert seed == 0 or pool.current() is None or _fit_seconds(learner) * number_of > WORTHWHILE, "too short"
            values = cross_fit(learner, x, residual, seed, folds).values.tobytes()
            assert seen.setdefault(seed, values) == values, "workers fit something else"

        yield one_round

    return begin


if __name__ == "__main__":
    main()
