"""One assistor's encrypted round, beside the same job by other libraries and beside the sum of its primitives.

    python -m benchmarks.encrypted_fit
    python -m benchmarks.encrypted_fit --sizes 30000x12x1 --out encrypted_fit.json

A size is rows x columns of U x outputs. Everything is measured in one run on one machine. Seconds on one core are of
CPU, which a busy machine disturbs less; on all cores they are of the wall clock. `round` is the best of several after
the first, which encodes (`first`). `leave_one_out` is the same round with leave-one-out values of the training rows,
beside fitted ones, one after the other by turns (`over_fitted`: the ratio). `floor` adds up the primitives that a round
of fitted values needs, each timed alone just before: plaintext products with their additions, rotations, reading
requests, and sanitising replies.

Peers do the same products in the way a user would write first, and are *extrapolated* from a sample of each primitive:
CKKSVector (TenSEAL; a dot product a column for g, then its product with the column for f: the encrypted scalar that
`dot` gives takes `mm` with the column as a one-row matrix, since `*` refuses vectors of different sizes), HEU (OU-2048)
and python-paillier (2048 bits) by scalar products. A peer that is not installed is reported and left out.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from crypto.ckks.calculator import Calculator
from crypto.ckks.encrypted_ridge import EncryptedRidge
from crypto.ckks.keys import PublicKeys
from crypto.ckks.params import ParameterSet
from crypto.ckks.ridge_blocks import Split, scale_bits
from crypto.ckks.ring import padded
from crypto.ckks.secret import SecretContext
from crypto.ckks.sets import PARAMETER_SETS

SIZES = "30000x12x1,30000x128x1,50000x64x10"
CHUNK = 4096
"""Values in a CKKSVector at its usual ring degree, 8192."""


def best(work: Callable[[], Any], times: int = 5, clock: Callable[[], float] = time.process_time) -> float:
    """Seconds of the fastest of several runs: of CPU, unless another clock is given."""
    seconds = []
    for _ in range(times):
        began = clock()
        work()
        seconds.append(clock() - began)
    return min(seconds)


def problem(rows: int, columns: int, outputs: int) -> tuple[np.ndarray, np.ndarray]:
    """U (rows, columns) with orthonormal columns, and residuals in [-1, 1] that correlate with them."""
    rng = np.random.default_rng(0)
    u = np.linalg.qr(rng.standard_normal((rows, columns)))[0]
    signal = u @ rng.standard_normal((columns, outputs)) * np.sqrt(rows / columns)
    return u * 0.999, np.clip(0.4 * signal + 0.3 * rng.standard_normal((rows, outputs)), -1, 1)


def primitives(keys: PublicKeys, requests: np.ndarray) -> dict[str, float]:
    """Seconds of each primitive alone, one core."""
    params, calculator = keys.params, Calculator(keys)
    request = calculator.read_request(requests[0])
    slots = np.exp(1j * np.arange(params.slots)) / 100
    plain = calculator.encode(slots, params.first_bits)
    copies = [request] * 17
    total = calculator.zero(scale_bits(params, "z"), params.levels)
    products = best(lambda: calculator.add_products(total, copies, [plain] * 17), 9) / 17
    fitted = [calculator.zero(scale_bits(params, "f"), params.levels) for _ in range(5)]
    return {
        "product": products,
        "rotation": best(lambda: calculator.rotate(request, 1), 9),
        "request": best(lambda: calculator.read_request(requests[0])),
        "sanitise": best(lambda: calculator.sanitise(fitted.pop(), scale_bits(params, "f"))),
        "encode": best(lambda: calculator.encode(slots, params.first_bits)),
    }


def counts(params: ParameterSet, rows: int, columns: int, outputs: int) -> dict[str, int]:
    """How many of each a round on one core needs."""
    blocks, width = -(-rows // params.n), padded(params, columns)
    split = Split.second(params, width, blocks)
    folds = (params.slots // width).bit_length()  # doublings, and one conjugation
    rotations = width - 1 + folds + split.babies - 1 + blocks * (split.giants - 1)
    return {
        "product": 2 * blocks * width * outputs,
        "rotation": rotations * outputs,
        "request": blocks * outputs,
        "sanitise": blocks * outputs,
    }


def ours(name: str, rows: int, columns: int, outputs: int) -> dict[str, Any]:
    """Both sides of a round with one parameter set."""
    params = PARAMETER_SETS[name]
    u, r = problem(rows, columns, outputs)
    secret = SecretContext.generate(params)
    width = padded(params, columns)
    raw = secret.public_keys(width)
    keys = PublicKeys.from_bytes(params, width, raw)
    requests = secret.encrypt(r)
    result: dict[str, Any] = {"set": name, "encrypt": best(lambda: secret.encrypt(r), 2)}
    for cores in dict.fromkeys((1, os.cpu_count() or 1)):
        job = EncryptedRidge.of(keys, u, u, cores=cores)
        clock = time.process_time if cores == 1 else time.perf_counter
        first = best(partial(job.fit, requests, outputs), 1, clock)
        again = best(partial(job.fit, requests, outputs), 5, clock)
        if cores == 1:
            timed, needed = primitives(keys, requests), counts(params, rows, columns, outputs)
            floor = sum(timed[what] * number for what, number in needed.items())
            result |= {
                "floor": floor,
                "over_floor": again / floor,
                "counts": needed,
                "primitive_ms": {what: 1e3 * seconds for what, seconds in timed.items()},
            }
            result |= left_out(keys, requests, u, outputs)
        result |= {f"first_{cores}": first, f"round_{cores}": again}
        replies = job.fit(requests, outputs)
        job.close()
    fitted = secret.decrypt(replies, rows, outputs, "assistor")
    result["decrypt"] = best(lambda: secret.decrypt(replies, rows, outputs, "assistor"), 2)
    result["error"] = float(np.abs(fitted - u @ (u.T @ r)).max() / np.abs(r).max())
    result["bytes_out_a_value"] = requests.nbytes / (-(-rows // params.n) * params.n * outputs)
    result["bytes_back_a_value"] = replies.nbytes / (-(-rows // params.n) * params.n * outputs)
    result["key_megabytes"] = len(raw) / 1e6
    return result


def left_out(keys: PublicKeys, requests: np.ndarray, u: np.ndarray, outputs: int) -> dict[str, float]:
    """CPU seconds of a round of fitted and of leave-one-out values, by turns, one core."""
    jobs = [EncryptedRidge.of(keys, u, u, leave_one_out=left, cores=1) for left in (False, True)]
    seconds: list[list[float]] = [[], []]
    for job in jobs:
        job.fit(requests, outputs)
    for _ in range(5):
        for job, taken in zip(jobs, seconds, strict=True):
            taken.append(best(partial(job.fit, requests, outputs), 1))
    for job in jobs:
        job.close()
    fitted, left = map(min, seconds)
    return {"fitted": fitted, "leave_one_out": left, "over_fitted": left / fitted}


def ckks_vector() -> Callable[[int, int, int], float]:
    """Extrapolated seconds of a round by TenSEAL's CKKSVector."""
    import tenseal

    context = tenseal.context(tenseal.SCHEME_TYPE.CKKS, 2 * CHUNK, coeff_mod_bit_sizes=[60, 40, 40, 60])
    context.global_scale = 2**40
    context.generate_galois_keys()
    values = np.random.default_rng(0).uniform(-1, 1, CHUNK).tolist()
    vector = tenseal.ckks_vector(context, values)
    g = vector.dot(values)
    each = best(lambda: vector.dot(values)) + best(lambda: g.mm([values]))
    return lambda rows, columns, outputs: each * -(-rows // CHUNK) * columns * outputs


def heu() -> Callable[[int, int, int], float]:
    """Extrapolated seconds by HEU: two scalar products and additions a value and column."""
    from heu import phe

    kit = phe.setup(phe.SchemaType.OU, 2048)
    value, factor = kit.encryptor().encrypt_raw(123456), phe.Plaintext(phe.SchemaType.OU, 2**40 - 1)
    evaluator = kit.evaluator()
    each = best(lambda: [evaluator.mul(value, factor) for _ in range(200)]) / 200
    each += best(lambda: [evaluator.add(value, value) for _ in range(200)]) / 200
    return lambda rows, columns, outputs: 2 * each * rows * columns * outputs


def paillier() -> Callable[[int, int, int], float]:
    """Extrapolated seconds by python-paillier."""
    import phe

    public, _ = phe.generate_paillier_keypair(n_length=2048)
    value = public.encrypt(0.5)
    each = best(lambda: [value * 0.123456789 + value for _ in range(5)], 3) / 5
    return lambda rows, columns, outputs: 2 * each * rows * columns * outputs


PEERS = {"CKKSVector": ("tenseal", ckks_vector), "HEU": ("heu", heu), "python-paillier": ("phe.paillier", paillier)}


def peers() -> dict[str, Callable[[int, int, int], float] | str]:
    """Every peer's cost by size, or why there is none."""
    found: dict[str, Callable[[int, int, int], float] | str] = {}
    for name, (module, make) in PEERS.items():
        try:
            found[name] = make() if find_spec(module.split(".")[0]) else "not installed"
        except (ImportError, OSError, RuntimeError, AttributeError) as error:
            found[name] = f"cannot be used here: {error}"
    return found


def table(results: list[dict[str, Any]]) -> str:
    """One line a size and parameter set."""
    cores = os.cpu_count() or 1
    lines = [
        f"{'size':>14} {'set':>8} {'1 core':>8} {f'{cores} cores':>8} {'floor':>8} {'left out':>8} {'first':>7} "
        f"{'error':>8}  others (s)"
    ]
    for row in results:
        others = ", ".join(
            f"{name}: {cost}" if isinstance(cost, str) else f"{name} {cost:.0f} ({cost / row['round_1']:.0f}x)"
            for name, cost in row["peers"].items()
        )
        lines.append(
            f"{row['size']:>14} {row['set']:>8} {row['round_1']:8.3f} {row[f'round_{cores}']:8.3f} "
            f"{row['over_floor']:7.2f}x {row['over_fitted']:7.2f}x"
            f" {row['first_1']:7.2f} {row['error']:8.1e}  {others}"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default=SIZES)
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    results = []
    for size in chosen.sizes.split(","):
        rows, columns, outputs = map(int, size.split("x"))
        costs = {k: v if isinstance(v, str) else v(rows, columns, outputs) for k, v in peers().items()}
        for name in PARAMETER_SETS:
            results.append({"size": size, **ours(name, rows, columns, outputs), "peers": costs})
    for row in results:
        standard = next(r for r in results if r["size"] == row["size"] and r["set"] == "standard")
        row["over_standard"] = row["round_1"] / standard["round_1"]
    print(table(results))
    if chosen.out:
        machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
        chosen.out.write_text(
            json.dumps({"machine": machine, "extrapolated": list(PEERS), "results": results}, indent=1)
        )


if __name__ == "__main__":
    main()
