"""What a prediction batch costs by its number of ids, beside a floor: two real processes over CURVE on this machine.

    python -m benchmarks.predict                                # 1 to 1,000,000 ids; clear, encrypted, ids private
    python -m benchmarks.predict --sizes 1,1000 --modes clear --out predict.json

A study of 2,000 rows and 8 columns a party is learnt once a mode; then the assistor's table is given as many new rows
as are asked for, and `secure-gal predict` is run. CPU seconds are those of the whole command at the sponsor, its start
included, and those that the assistor's process tree took meanwhile; memory is the largest of each tree.

`floor` is CPU of what cannot be left out, each timed alone just before in the shortest way there is: a process that
imports the libraries, reading both tables (polars), finding the ids (a join), the values of two linear models (NumPy),
writing the file (polars), hashing every byte twice; where it applies, the primitives of a CKKS answer and its
decryption, and masking every id of both tables twice (hash to the curve once, X25519 twice). `over` is the cost over
it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from rich.console import Console
from rich.table import Table

from benchmarks import encrypted_fit, harness
from crypto.ckks.keys import PublicKeys
from crypto.ckks.ridge_blocks import Split
from crypto.ckks.ring import padded
from crypto.ckks.secret import SecretContext
from crypto.ckks.sets import named
from crypto.psi import BLOCK, PsiSide, derive_domain
from parties.commands import demo
from parties.run.store import RunStore
from parties.run.traffic import Traffic

ROWS, COLUMNS = 2000, 8
SIZES = "1,1000,100000,1000000"
CKKS = 'residuals = "ckks"\nparameters = "strict"'
MODES = {
    "clear": 'rounds = 5\n[protect]\nids = "clear"',
    "encrypted": f'rounds = 5\n[protect]\nids = "clear"\n{CKKS}',
    "private": f'rounds = 5\n[protect]\nids = "psi"\n{CKKS}',
}
"""Lines of study.toml; the last is what `secure-gal new` writes."""
LIBRARIES = "import numpy, polars, scipy.special, sklearn.pipeline, zmq, cryptography, msgspec"


def main() -> None:
    """Parse arguments, run every mode and size, print a table, write JSON where `--out` says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default=SIZES, help="numbers of ids")
    parser.add_argument("--modes", default=",".join(MODES))
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    sizes, results = [int(size) for size in chosen.sizes.split(",")], []
    for mode in chosen.modes.split(","):
        with tempfile.TemporaryDirectory() as name:
            for row in measure(Path(name), mode, sizes):
                results.append(row)
                print(json.dumps(row), flush=True)
    show(results)
    if chosen.out:
        chosen.out.write_text(json.dumps({"machine": harness.machine(), "results": results}, indent=2) + "\n")


def measure(folder: Path, mode: str, sizes: list[int]) -> list[dict[str, Any]]:
    """Learn once, then one batch of every size."""
    case = harness.synthetic(folder, ROWS, COLUMNS, parties=2)
    harness.write_settings(folder, case, study=MODES[mode], learner='kind = "linear"\nfeatures = ["standardized"]')
    sponsor, helper = (folder / name for name in case.names)
    assistor = demo._start(helper, "assist", f"{case.names[1]}.toml", *demo._consent(helper))
    try:
        demo._finish(demo._start(sponsor, "train", f"{case.names[0]}.toml"), "train", [assistor])
        return [{"mode": mode, "ids": n, **batch(sponsor, helper, assistor.pid, mode, n)} for n in sizes]
    finally:
        assistor.terminate()
        assistor.wait(timeout=60)


def batch(sponsor: Path, helper: Path, assistor: int, mode: str, n: int) -> dict[str, Any]:
    """One batch of n new ids, which the assistor knows, and its floor."""
    _new_rows(sponsor, helper, n)
    before, sent = _tree_seconds(assistor), _bytes(sponsor)
    memory, began = harness.PeakMemory(), time.monotonic()
    memory.watch("assistor", assistor)
    asked = demo._start(sponsor, "predict", "p0.toml", "--ids", "new.parquet", "--out", "out.csv")
    memory.watch("sponsor", asked.pid)
    _, status, used = os.wait4(asked.pid, 0)
    memory.close()
    if status:
        raise SystemExit(f"predict ended with {status}: {(sponsor / 'predict.log').read_text()}")
    with (sponsor / "out.csv").open() as file:
        assert sum(1 for _ in file) == n + 1
    seconds = {"sponsor": used.ru_utime + used.ru_stime, "assistor": _tree_seconds(assistor) - before}
    size = _bytes(sponsor) - sent
    needed = floor(sponsor, helper, mode, n, size)
    return {
        "wall": round(time.monotonic() - began, 2),
        "cpu": {name: round(value, 2) for name, value in seconds.items()},
        "floor": {name: round(value, 3) for name, value in needed.items()},
        "over": round(sum(seconds.values()) / sum(needed.values()), 2),
        "bytes": size,
        "bytes_an_id": round(size / n, 1),
        "peak_memory_mb": {name: round(peak / 1e6) for name, peak in memory.peaks.items()},
    }


def _new_rows(sponsor: Path, helper: Path, n: int) -> None:
    """The sponsor's new.parquet, and the assistor's table of the training rows with the same new ids in another
    order."""
    rng = np.random.default_rng(n)
    old = pl.read_parquet(helper / "data.parquet").head(ROWS)
    ids = np.arange(ROWS, ROWS + n).astype(str)

    def table(order: np.ndarray) -> pl.DataFrame:
        x = rng.standard_normal((n, COLUMNS), dtype=np.float32)
        return pl.DataFrame({"id": ids[order]} | {f"c{j}": x[:, j] for j in range(COLUMNS)})

    table(np.arange(n)).write_parquet(sponsor / "new.parquet")
    pl.concat([old, table(rng.permutation(n))]).write_parquet(helper / "data.parquet")


def _bytes(sponsor: Path) -> int:
    """Bytes of all messages so far, both ways."""
    store = RunStore(sponsor / "run")
    traffic = Traffic(store)
    store.close()
    return traffic.total("sent") + traffic.total("received")


def _tree_seconds(pid: int) -> float:
    """CPU seconds of a process with its descendants, those that have ended included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    own = sum(int(field) for field in fields[11:15]) / os.sysconf("SC_CLK_TCK")
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return own + sum(_tree_seconds(int(child)) for child in children)


def cpu(work: Callable[[], Any]) -> float:
    """CPU seconds of one run, all threads and children that were waited for."""
    before = os.times()
    work()
    after = os.times()
    return sum(after[:4]) - sum(before[:4])


def floor(sponsor: Path, helper: Path, mode: str, n: int, size: int) -> dict[str, float]:
    """CPU seconds of each part of the floor."""
    paths = sponsor / "new.parquet", helper / "data.parquet"
    own, other = (pl.read_parquet(path) for path in paths)
    model, names = np.ones((COLUMNS, 1)), [f"c{j}" for j in range(COLUMNS)]
    result = own.select("id").with_columns(p=pl.lit(0.123456789), q=pl.lit(0.987654321))
    raw = np.zeros(size, dtype=np.uint8)
    found = {
        "start": cpu(lambda: subprocess.run([sys.executable, "-c", LIBRARIES], check=True)),
        "read": cpu(lambda: [pl.read_parquet(path) for path in paths]),
        "find": cpu(lambda: own.select("id").join(other.select("id"), on="id")),
        "values": cpu(lambda: [frame.select(names).to_numpy() @ model for frame in (own, other)]),
        "write": cpu(lambda: result.write_csv(sponsor / "floor.csv")),
        "hash": cpu(lambda: [hashlib.sha256(raw.data) for _ in range(2)]),
    }
    if mode != "clear":
        found |= _ckks_floor(n)
    if mode == "private":
        found["psi"] = _psi_seconds() * (2 * n + ROWS)
    return found


def _ckks_floor(n: int) -> dict[str, float]:
    """Encoding U once, and the second half of a fit on n rows; and its decryption, as the sponsor does it."""
    params = named("strict")
    width, blocks = padded(params, COLUMNS + 1), -(-n // params.n)
    secret = SecretContext.generate(params)
    keys = PublicKeys.from_bytes(params, width, secret.public_keys(width))
    timed = encrypted_fit.primitives(keys, secret.encrypt(np.zeros((1, 1))))
    split = Split.second(params, width, blocks)
    replies = np.tile(_reply(secret, keys), (blocks, 1))
    return {
        "encode": timed["encode"] * blocks * width,
        "products": timed["product"] * blocks * width,
        "rotations": timed["rotation"] * (split.babies - 1 + blocks * (split.giants - 1)),
        "sanitise": timed["sanitise"] * blocks,
        "decrypt": cpu(lambda: secret.decrypt(replies, n, 1, "assistor")),
    }


def _reply(secret: SecretContext, keys: PublicKeys) -> np.ndarray:
    """A reply of one block, to be decrypted."""
    from crypto.ckks.encrypted_ridge import EncryptedRidge

    ridge = EncryptedRidge.of(keys, np.eye(16, COLUMNS), np.eye(16, COLUMNS), cores=1)
    try:
        return ridge.fit(secret.encrypt(np.zeros((16, 1))), 1)[:1]
    finally:
        ridge.close()


def _psi_seconds() -> float:
    """CPU seconds of one id: hashed and masked at home, masked again and tagged by the peer."""
    side, ids = PsiSide(derive_domain(b"benchmark")), [secrets.token_hex(8) for _ in range(BLOCK)]

    def once() -> None:
        _, blocks = side.mask(ids, cores=1)
        side.tags(np.concatenate(list(blocks)), 10, cores=1)

    return cpu(once) / BLOCK


def show(results: list[dict[str, Any]]) -> None:
    """One line a batch."""
    table = Table(title="one prediction batch")
    names = "mode,ids,wall s,CPU s: sponsor,assistor,floor,over,MB,peak MB: sponsor,assistor"
    for column in names.split(","):
        table.add_column(column, justify="left" if column == "mode" else "right")
    for row in results:
        cpu_, peak = row["cpu"], row["peak_memory_mb"]
        table.add_row(
            row["mode"],
            f"{row['ids']:,}",
            f"{row['wall']:.2f}",
            f"{cpu_['sponsor']:.2f}",
            f"{cpu_['assistor']:.2f}",
            f"{sum(row['floor'].values()):.2f}",
            f"{row['over']:.2f}x",
            f"{row['bytes'] / 1e6:.2f}",
            str(peak.get("sponsor", 0)),
            str(peak.get("assistor", 0)),
        )
    Console(width=130).print(table)


if __name__ == "__main__":
    main()
