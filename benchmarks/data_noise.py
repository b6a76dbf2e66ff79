"""The noise of key switching in replies, which the assistor's data shape, against its bound (decision 0003).

    python -m benchmarks.data_noise [--sets standard,strict] [--keys 20] [--out FILE]

For every key: the circuit on real ciphertexts less the same circuit on noise-free phases, one block of n rows and 14
columns, whose work is shared by 1, 4 and 16. `random`: fitted rows of norm 1 in all directions; `parallel`: all in the
direction of (1, ..., 1), in which a mean of the noise would add up; `leverage`: moreover one training row, the second,
has all the leverage. Figures are bits below the bound: log2 of `switching_noise` over what was measured. A figure is
one run, with the coins that its switches drew; the bound is on the root of the mean square over coins, so a run may be
above it.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

import numpy as np

from benchmarks.harness import machine
from crypto.ckks import ridge_blocks, ring
from crypto.ckks.calculator import Calculator
from crypto.ckks.keys import PublicKeys
from crypto.ckks.ridge_blocks import Encodings, Split
from crypto.ckks.secret import SecretContext
from crypto.ckks.sets import PARAMETER_SETS
from tests.support.ckks_keys import Array, ridge
from tests.support.exact_ring import Exact, Unsanitised, coefficients, moduli

COLUMNS = 14
SHARES = (1, 4, 16)
ROOM = 2**30


def rows(case: str, n: int, seed: int) -> tuple[Array, Array]:
    """U of the training rows and of the rows that are fitted, (n, COLUMNS) each."""
    u, new = ridge(n, COLUMNS, 1)[0], np.full((n, COLUMNS), COLUMNS**-0.5)
    if case == "random":
        new = np.random.default_rng(seed).standard_normal((n, COLUMNS))
        new /= np.linalg.norm(new, axis=1)[:, None]
    if case == "leverage":
        u = np.zeros((n, COLUMNS))
        u[1] = new[1]
    return u, new


class Key:
    """A fresh key, and the noise of replies under it."""

    def __init__(self, name: str) -> None:
        self.owner = SecretContext.generate(PARAMETER_SETS[name])
        params = self.owner.params
        self._width = ring.padded(params, COLUMNS)
        keys = PublicKeys(params, self._width, self.owner.public_keys(self._width))
        self._real = Calculator(keys)

    def noise(self, u: Array, new: Array, shares: int, seed: int) -> float:
        """L2 norm over a reply's coefficients, before primes are dropped."""
        params, width = self.owner.params, self._width
        r = np.random.default_rng(seed).uniform(-1, 1, (params.n, 1))
        requests, each = self.owner.encrypt(r), width // shares
        first = Encodings(self._real, u.astype(np.float32), width, Split.first(width), True, ROOM)
        second = Encodings(self._real, new.astype(np.float32), width, Split.second(params, width, 1), False, ROOM)
        phases = []
        for calculator in (Exact(self._real, self.owner), Unsanitised(self._real, self.owner)):
            parts = [range(start, start + each) for start in range(0, width, each)]
            read = [ridge_blocks.inner_products(calculator, first, requests, part, 1)[0] for part in parts]
            head = ridge_blocks.fold(calculator, width, read)
            ridge_blocks.fitted(calculator, second, [head], range(1))
            result = calculator.results[0]
            assert result is not None
            phases.append(result)
        difference = coefficients(self._real, (phases[1] - phases[0]) % moduli(params))
        return float(np.linalg.norm(difference.astype(float)))


def measured(name: str, keys: int) -> dict[str, list[float]]:
    """Bits below the bound by case and number of shares, one a key."""
    params, found = PARAMETER_SETS[name], dict[str, list[float]]()
    for seed in range(keys):
        key = Key(name)
        for case in ("random", "parallel", "leverage"):
            u, new = rows(case, params.n, seed)
            for shares in SHARES:
                noise = key.noise(u, new, shares, seed)
                found.setdefault(f"{case}, {shares}", []).append(math.log2(params.switching_noise / noise))
    return found


def main() -> None:
    """Parse arguments, print a table, write JSON where --out says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", default=",".join(PARAMETER_SETS))
    parser.add_argument("--keys", type=int, default=20)
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    results = {name: measured(name, chosen.keys) for name in chosen.sets.split(",")}
    for name, found in results.items():
        for case, bits in found.items():
            least, middle, most = np.quantile(bits, (0.0, 0.5, 1.0))
            print(f"{name:>9} {case:>13}: {least:5.1f} at least, {middle:5.1f} median, {most:5.1f} at most")
    if chosen.out:
        rounded = {name: {case: [round(b, 2) for b in bits] for case, bits in f.items()} for name, f in results.items()}
        chosen.out.write_text(json.dumps({"machine": machine(), "bits_below_the_bound": rounded}, indent=1) + "\n")


if __name__ == "__main__":
    main()
