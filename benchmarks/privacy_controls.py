"""Negative controls on real ciphertexts: what a sponsor would learn from careless replies (decision 0003).

Two attacks by the sponsor, who has the key, on what the encrypted ridge computes below `Calculator.sanitise`:

*Recovery of U.* A partial sum of the first stage is sum_b u_b * a_b, with a_b the request rotated by b and u_b
diagonals of U. The sponsor can rotate its own request, so as many requests as babies give a linear system for the u_b.
*Signs of columns.* Whole replies, both stages. Turning a column's sign turns one of U's and changes no fitted value, so
a study's results do not tell it. The sponsor, who knows all data but the sign, repeats the circuit with either sign,
without noise or dither, and compares second polynomials; where neither fits, all decrypted slots. Without dither
(`crypto.ckks.dithering`) fits of U *as encoded* do differ, by what was rounded off: on sanitised replies that scores
above chance, more so with more rows. Whole replies do not give U by a linear system, because their other factor, the
first stage's result, is unknown too.

The product cannot leave sanitising or dither out; the classes here override single steps of it.

    python -m benchmarks.privacy_controls --data DIR [--repeats N] [--out FILE]
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from tenseal import sealapi
from threadpoolctl import threadpool_limits

from benchmarks.harness import machine
from benchmarks.privacy_data import CLASSES, Array, People, load, people
from benchmarks.privacy_report import Report, as_json
from benchmarks.privacy_transcripts import LEARNER, PARAMETERS, new_ensemble
from crypto.ckks import ridge_blocks, ring, sealapi_files
from crypto.ckks.calculator import Calculator
from crypto.ckks.ciphertexts import write_reply
from crypto.ckks.embedding import slot_values
from crypto.ckks.keys import PublicKeys
from crypto.ckks.ridge_blocks import Encodings, Split
from crypto.ckks.secret import SecretContext
from crypto.ckks.sets import PARAMETER_SETS
from crypto.ckks.slots import Slots
from secure_gal.attacks.ciphertexts import unsanitised_plaintexts
from secure_gal.attacks.finding import Finding, resampled
from secure_gal.gal.split import to_unit
from secure_gal.learners import ridge_features

PEER = "party-0"
PARAMS = PARAMETER_SETS[PARAMETERS]
GAMES = 64
"""Signs that are played for in a repetition."""
REPLIES = 8
ROOM = 2**30
"""Memory for the encodings of one U."""


def controls(dealt: People) -> dict[str, list[Finding]]:
    """Findings without and with sanitising, about the first assistor's U over its first n training rows."""
    x = dealt.blocks[1][dealt.train]
    u = ridge_features(LEARNER, x, Path.cwd(), 0).transform(x)[: PARAMS.n]
    residual = new_ensemble(dealt, dealt.training(), 1).residual()[: PARAMS.n, :1]
    cipher, width = SecretContext.generate(PARAMS), ring.padded(PARAMS, u.shape[1])
    keys, unit = PublicKeys(PARAMS, width, cipher.public_keys(width)), to_unit(residual)[0]
    replies = {
        "control: not sanitised": (_Careless(keys), _Rounded),
        "control: sanitised, not dithered": (Calculator(keys), _Rounded),
        "control: sanitised": (Calculator(keys), Encodings),
    }
    found = {
        mode: signs(u, unit, cipher, calculator, encodings, _Repeated(keys), dealt.seed)
        for mode, (calculator, encodings) in replies.items()
    }
    found["control: not sanitised"] += recovery(u, unit, cipher, _FirstSums(keys), dealt.seed)
    found["control: sanitised"] += recovery(u, unit, cipher, _FreshSums(keys), dealt.seed)
    return found


class _Rounded(Encodings):
    """U rounded to the nearest, without dither."""

    def _dithered(self, slots: Slots) -> Slots:
        return slots


class _FirstSums(Calculator):
    """Keeps the second polynomials of the first stage's partial sums, (n,) on the first prime; None for zero."""

    def __init__(self, keys: PublicKeys) -> None:
        super().__init__(keys)
        self.kept: list[Array | None] = []

    def horner(self, terms: Any, step: int) -> Any:
        self.kept = [None if term is None else self._second(self._leaving(term)) for term in terms]
        return super().horner(terms, step)

    def _leaving(self, term: Any) -> Any:
        return term

    def _second(self, ciphertext: Any) -> Array:
        return second_polynomial(ciphertext, self.params.levels)


class _FreshSums(_FirstSums):
    """With the first step of sanitising, a fresh encryption of zero, and none of the others."""

    def _leaving(self, term: Any) -> Any:
        fresh = self.zero(ridge_blocks.scale_bits(self.params, "z"), self.params.levels)
        return self.add(fresh, term)


class _Careless(Calculator):
    """Floods and rounds, without a fresh encryption of zero; nor does it toss a coin, which the sponsor would only have
    to try out."""

    flooded = True

    def _apply(self, ciphertext: Any, element: int) -> Any:
        out = sealapi.Ciphertext()
        self._evaluator.apply_galois(ciphertext, element, self._galois, out)
        return out

    def sanitise(self, fitted: Any, bits: int) -> Array:
        kept = self.params.reply_levels
        for _ in range(self.params.levels - kept):
            self._evaluator.rescale_to_next_inplace(fitted)
        self._evaluator.transform_from_ntt_inplace(fitted)
        residues, _ = sealapi_files.split_ciphertext(sealapi_files.save(fitted), kept, self.params.n, seeded=False)
        return write_reply(self.params, residues, flooded=self.flooded)


class _Repeated(_Careless):
    """The sponsor's own computation with a guess: no noise either."""

    flooded = False


def second_polynomial(ciphertext: Any, levels: int) -> Array:
    """Residues (n,) on the first prime."""
    saved = sealapi_files.save(ciphertext)
    second: Array = sealapi_files.split_ciphertext(saved, levels, PARAMS.n, seeded=False)[0][1, 0]
    return second


def recovery(u: Array, unit: Array, cipher: SecretContext, calculator: _FirstSums, seed: int) -> list[Finding]:
    """U float64 (N, p), N at most n, from partial sums; one finding a column, without the intercept, the last."""
    width, prime = ring.padded(PARAMS, u.shape[1]), PARAMS.primes[0]
    split = Split.first(width)
    encodings = Encodings(calculator, u.astype(np.float32), width, split, True, 2**26)
    asked, sums = [], []
    for _ in range(split.babies):
        requests = cipher.encrypt(unit)
        turned = calculator.rotations(calculator.read_request(requests[0]), split.babies)
        asked.append([second_polynomial(ciphertext, PARAMS.levels) for ciphertext in turned])
        ridge_blocks.inner_products(calculator, encodings, requests, range(width), 1)
        sums.append(calculator.kept)
    guess = np.zeros((PARAMS.n, width))
    for giant in range(split.giants):
        replies = [row[giant] for row in sums]
        if all(reply is not None for reply in replies):
            plains = unsanitised_plaintexts(np.array(asked), np.array(replies), prime)
            for baby, plain in enumerate(plains):
                _place(guess, _slots(plain.astype(np.uint64), calculator), giant * split.babies, baby)
    return [
        resampled(
            "R2",
            u[:, j],
            guess[: len(u), j],
            np.zeros(len(u)),
            seed=seed,
            attack="recovery of U",
            target=str(j),
            rounds="all",
            knows="its own requests and keys",
        )
        for j in range(u.shape[1] - 1)
    ]


def _slots(plain: Array, calculator: Calculator) -> Array:
    """Values (n,) of a plaintext's slots, real parts first, from residues in transformed form on the first prime."""
    context, carrier, prime = ring.context(PARAMS), sealapi.Ciphertext(), PARAMS.primes[0]
    both = np.stack([plain, np.ones_like(plain)])[:, None, :]  # SEAL refuses a second polynomial of zeros
    parms = tuple(context.last_parms_id())
    sealapi_files.load(carrier, context, sealapi_files.ciphertext_members(parms, PARAMS.n, 1.0, both))
    sealapi.Evaluator(context).transform_from_ntt_inplace(carrier)
    back = sealapi_files.split_ciphertext(sealapi_files.save(carrier), 1, PARAMS.n, seeded=False)[0][0, 0]
    centred = np.where(back > prime // 2, back.astype(np.int64) - prime, back.astype(np.int64))
    return slot_values(centred.astype(np.float64)) / 2.0**PARAMS.first_bits


def _place(guess: Array, values: Array, back: int, ahead: int) -> None:
    """Put conj(U[s + ahead, s - back]) of all slots s where it belongs (`ridge_blocks`)."""
    slots, width = PARAMS.slots, guess.shape[1]
    index = np.arange(slots)
    rows, columns = (index + ahead) % slots, (index - back) % width
    guess[rows, columns], guess[rows + slots, columns] = values[:slots], -values[slots:]


def signs(
    u: Array,
    unit: Array,
    cipher: SecretContext,
    calculator: Calculator,
    encodings: type[Encodings],
    repeat: Calculator,
    seed: int,
) -> list[Finding]:
    """Signs of columns of U, from whole replies by `calculator` and `encodings`; the sponsor repeats the circuit with
    `repeat`.

    It takes the candidate whose second polynomial is the reply's. Where none is, the one whose decrypted slots lie
    nearer to the mean of the replies, which under Gaussian noise is the likelier one. One finding from one reply, one
    from all REPLIES to the same residual, which is more than as many rounds would tell.
    """
    rng, requests = np.random.default_rng(seed), cipher.encrypt(unit)
    plain, truth, guesses = next(_replies(repeat, _Rounded, u, requests)), [], []
    for game in range(GAMES):
        turned = u.copy()
        turned[:, rng.integers(u.shape[1] - 1)] *= -1.0  # not the intercept
        truth.append(game % 2)
        candidates = np.stack([plain, next(_replies(repeat, _Rounded, turned, requests))])
        sent = np.stack(list(islice(_replies(calculator, encodings, turned if truth[-1] else u, requests), REPLIES)))
        guesses.append([_guess(candidates, sent[:count], cipher) for count in (1, REPLIES)])
    return [
        resampled(
            "balanced accuracy",
            np.array(truth),
            found,
            np.zeros(GAMES, dtype=np.int64),
            seed=seed,
            attack="signs of columns",
            target="one column",
            rounds=rounds,
            knows="all data but the sign",
        )
        for rounds, found in zip(("1", "all"), np.array(guesses).T, strict=True)
    ]


def _guess(candidates: Array, sent: Array, cipher: SecretContext) -> int:
    """Which of two replies (2, reply_bytes) those that were sent (r, reply_bytes) come from."""
    same = [bool((_carrier(c) == _carrier(sent[0])).all()) for c in candidates]
    if any(same):
        return same.index(True)
    values = [cipher.decrypt(row[None], PARAMS.n, 1, PEER) for row in (*candidates, *sent)]
    distances = [np.linalg.norm(np.mean(values[2:], axis=0) - candidate) for candidate in values[:2]]
    return int(np.argmin(distances))


def _replies(calculator: Calculator, encodings: type[Encodings], u: Array, requests: Array) -> Iterator[Array]:
    """Whole replies, uint8 (reply_bytes,) each, as rounds give them: U is encoded once."""
    width, rows = ring.padded(PARAMS, u.shape[1]), u.astype(np.float32)
    first, second = (
        encodings(calculator, rows, width, split, stage == 0, ROOM)
        for stage, split in enumerate((Split.first(width), Split.second(PARAMS, width, 1)))
    )
    while True:
        shares = ridge_blocks.inner_products(calculator, first, requests, range(width), 1)
        head = ridge_blocks.fold(calculator, width, shares)
        yield ridge_blocks.fitted(calculator, second, [head], range(1))[0]


def _carrier(reply: Array) -> Array:
    """What travels of a reply's second polynomial."""
    return reply[PARAMS.reply_kept[0] * PARAMS.n :]


def main() -> None:
    """Parse arguments, run on every set with classes, print tables to stderr and one JSON object to stdout or --out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of data sets (fate/)")
    parser.add_argument("--repeats", type=int, default=3, help="repetitions, at least 2")
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    result: dict[str, Any] = {}
    for name in CLASSES:
        report, source, began = Report(name, {}), load(name, chosen.data), time.process_time()
        for seed in range(max(2, chosen.repeats)):
            with threadpool_limits(1):
                for mode, findings in controls(people(source, seed)).items():
                    report.add(mode, findings, {})
            print(f"{name}: repetition {seed + 1} of {chosen.repeats}", file=sys.stderr, flush=True)
        for table in report.tables():
            Console(file=sys.stderr, width=190).print(table)
        content = report.content()["findings"]
        result[name] = {"cpu_seconds": round(time.process_time() - began, 1), "findings": content}
        text = as_json({"machine": machine(), "data": result})
        if chosen.out:
            chosen.out.write_text(text)
    if not chosen.out:
        print(text, end="")


if __name__ == "__main__":
    main()
