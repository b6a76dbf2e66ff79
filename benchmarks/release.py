"""What decrypted values tell of the key: at the budget of an honest study, and against replies that are forged.

    python -m benchmarks.release --replies 4000 --out release.json

`pooled`: least squares over so many replies of full blocks, by an attacker who knows everything but the key, with the
noise at decryption, without it, and with noise of one unit of what is rounded off (decision 0017). `forged`: one reply
(0, delta) through the product's own decryption, for growing delta: the share of the key that its values show, how large
they are, and whether it is noticed; padding left as an honest reply has it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import output
from benchmarks.harness import machine
from crypto.ckks import embedding, release, ring, sealapi_files, wide
from crypto.ckks.ciphertexts import write_reply
from crypto.ckks.params import ParameterSet
from crypto.ckks.secret import SecretContext
from crypto.ckks.sets import PARAMETER_SETS, SUM_SETS
from crypto.errors import Malformed
from secure_gal.attacks.secret_key import chance, hits, in_ring, least_squares

RELEASED = (*PARAMETER_SETS.values(), SUM_SETS["sum"])


def pooled(params: ParameterSet, replies: int, sigma: float, seed: int = 0) -> float:
    """Share of the key's coefficients that are found from so many replies with noise of deviation `sigma`."""
    rng, unit = np.random.default_rng(seed), release.rounding_unit(params)
    key = rng.integers(-1, 2, params.n).astype(float)

    def pairs() -> Any:
        for _ in range(replies):
            delta = rng.uniform(-unit / 2, unit / 2, params.n)
            yield delta, in_ring(delta, key) + sigma * rng.standard_normal(params.n)

    return hits(least_squares(pairs()), key)


def forged(params: ParameterSet, bits: int) -> dict[str, Any]:
    """One reply whose second polynomial is 2**bits, decrypted and shown whole."""
    cipher = SecretContext.generate(params)
    zero, one = (
        np.zeros((params.reply_levels, params.n), np.uint64),
        np.zeros((params.reply_levels, params.n), np.uint64),
    )
    one[:, 0] = [2**bits % prime for prime in params.reply_primes]
    row = write_reply(params, np.stack([zero, one]), flooded=False)
    try:
        values = cipher.decrypt(row[None], params.n, 1, "forger")[:, 0]
    except Malformed:
        return {"log2_delta": bits, "noticed": True}
    phase = embedding.coefficients(values) * params.reply_scale
    half = [
        np.full(params.n, 2.0 ** (8 * (wide.whole_bytes(params.reply_primes) - kept) - 1)) for kept in params.reply_kept
    ]
    key = _key(cipher)
    known = half[0] + in_ring(half[1], key)  # what was left out is taken to be the middle: the same for every reply
    return {
        "log2_delta": bits,
        "noticed": False,
        "right": hits((phase - known) / 2.0**bits, key),
        "deviation_of_values": float(np.std(values)),
        "deviation_of_noise": release.deviation(params),
    }


def _key(cipher: SecretContext) -> np.ndarray:
    """The truth, -1, 0 or 1 a coefficient."""
    params, prime = cipher.params, cipher.params.primes[0]
    words = sealapi_files.save(cipher._secret)[-8 * (params.levels + 1) * params.n :]
    first = np.frombuffer(words, dtype="<u8")[: params.n]
    from tenseal import sealapi

    carrier, last = sealapi.Ciphertext(), ring.level(params, 1)
    members = sealapi_files.ciphertext_members(last, params.n, 1.0, np.stack([first, np.ones_like(first)])[:, None])
    sealapi_files.load(carrier, ring.context(params), members)
    sealapi.Evaluator(ring.context(params)).transform_from_ntt_inplace(carrier)
    back = sealapi_files.split_ciphertext(sealapi_files.save(carrier), 1, params.n, seeded=False)[0][0, 0]
    key: np.ndarray = np.where(back > prime // 2, back.astype(np.int64) - prime, back.astype(np.int64)).astype(float)
    return key


def main() -> None:
    """Run, print a table to stderr and JSON to stdout or --out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replies", type=int, default=1000, help="honest replies pooled (default 1000)")
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    result: dict[str, Any] = {"machine": machine(), "replies": chosen.replies}
    for params in RELEASED:
        unit = release.rounding_unit(params)
        found: dict[str, Any] = {
            "bits": round(release.secrecy(params), 1),
            "chance": chance(params.n),
            "with_noise": pooled(params, chosen.replies, 2.0**params.release_bits),
            "without": pooled(params, 2, 0.0),
            "with_one_unit": pooled(params, chosen.replies, unit),
            "forged": [forged(params, params.release_bits + step) for step in range(-4, 30, 2)],
        }
        result[params.name] = found
        print(
            f"{params.name}: {found['bits']} bits; {chosen.replies} replies: {found['with_noise']:.4f} of the key "
            f"right (chance at most {found['chance']:.4f}), without noise {found['without']:.4f} of two replies, "
            f"with one unit {found['with_one_unit']:.4f}",
            file=sys.stderr,
        )
        for row in found["forged"]:
            told = "noticed" if row["noticed"] else f"{row['right']:.4f} right, values {row['deviation_of_values']:.1e}"
            print(f"    forged with delta 2^{row['log2_delta']}: {told}", file=sys.stderr)
    output.write(result, chosen.out)


if __name__ == "__main__":
    main()
