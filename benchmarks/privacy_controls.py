"""Negative control on real ciphertexts: what a sponsor would learn if replies were not sanitised (decision 0003).

Two attacks by the sponsor, who has the key, on what the encrypted ridge computes below `Calculator.sanitise`:

*Recovery of U.* A partial sum of the first stage is sum_b u_b * a_b, with a_b the request rotated by b and u_b diagonals
of U. The sponsor can rotate its own request, so as many requests as babies give a linear system for the u_b.
*Signs of columns.* Whole replies, both stages. Turning a column's sign turns one of U's and changes no fitted value, so a
study's results do not tell it. The sponsor, who knows all data but the sign, repeats the circuit with either sign, without
noise, and compares second polynomials; where neither fits, all decrypted slots. Fits of U *as encoded* do differ, by the
rounding that decision 0003 names and kappa does not cover: so on sanitised replies of `fast` this scores above chance,
more so with more rows. Whole replies do not give U by a linear system, because their other factor, the first stage's
result, is unknown too.

The product cannot leave sanitising out; the classes here override single steps of it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.privacy_data import Array, People
from benchmarks.privacy_transcripts import LEARNER, PARAMETERS, new_ensemble
from crypto import ckks, ridge_blocks, seal_files
from crypto.ckks import PARAMETER_SETS, PublicKeys
from crypto.ckks_public import Calculator
from crypto.ckks_secret import SecretContext
from crypto.ridge_blocks import Encodings, Split
from secure_gal.attacks.ciphertexts import slot_values, unsanitised_plaintexts
from secure_gal.attacks.finding import Finding, resampled
from secure_gal.encrypted_rows import to_unit
from secure_gal.learners import ridge_features

PEER = "party-0"
PARAMS = PARAMETER_SETS[PARAMETERS]
GAMES = 16
"""Signs that are played for in a repetition."""


def controls(people: People) -> dict[str, list[Finding]]:
    """Findings without and with sanitising, about the first assistor's U over its first n training rows."""
    x = people.blocks[1][people.train]
    u = ridge_features(LEARNER, x, Path.cwd(), 0).transform(x)[: PARAMS.n]
    residual = new_ensemble(people, people.training(), 1).residual()[: PARAMS.n, :1]
    cipher, width = SecretContext.generate(PARAMS), ckks.padded(PARAMS, u.shape[1])
    keys, unit = PublicKeys(PARAMS, width, cipher.public_keys(width)), to_unit(residual)[0]
    return {
        mode: [
            *recovery(u, unit, cipher, first, people.seed),
            signs(u, unit, cipher, whole, _Repeated(keys), people.seed),
        ]
        for mode, first, whole in (
            ("control: not sanitised", _FirstSums(keys), _Careless(keys)),
            ("control: sanitised", _FreshSums(keys), Calculator(keys)),
        )
    }


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
    """Drops primes and floods, without a fresh encryption of zero."""

    def sanitise(self, fitted: Any, bits: int) -> Array:
        for _ in range(self.params.levels - self.params.reply_levels):
            self._evaluator.rescale_to_next_inplace(fitted)
        self._evaluator.transform_from_ntt_inplace(fitted)
        residues, _ = seal_files.split_ciphertext(seal_files.save(fitted), 1, self.params.n, seeded=False)
        return seal_files.pack(self._flood(residues))


class _Repeated(_Careless):
    """The sponsor's own computation with a guess: no noise either."""

    def _flood(self, residues: Array) -> Array:
        return residues[:, 0]


def second_polynomial(ciphertext: Any, levels: int) -> Array:
    """Residues (n,) on the first prime."""
    saved = seal_files.save(ciphertext)
    return seal_files.split_ciphertext(saved, levels, PARAMS.n, seeded=False)[0][1, 0]


def recovery(u: Array, unit: Array, cipher: SecretContext, calculator: _FirstSums, seed: int) -> list[Finding]:
    """U float64 (N, p), N at most n, from partial sums; one finding a column, without the intercept, the last."""
    width, prime = ckks.padded(PARAMS, u.shape[1]), ckks.primes(PARAMS)[0]
    split = Split.first(PARAMS, width, 1)
    encodings = Encodings(calculator, u.astype(np.float32), width, split, True, 2**26)
    asked, sums = [], []
    for _ in range(split.babies):
        requests = cipher.encrypt(unit)
        turned = calculator.rotations(calculator.read_request(requests[0], PEER), split.babies)
        asked.append([second_polynomial(ciphertext, PARAMS.levels) for ciphertext in turned])
        ridge_blocks.inner_products(calculator, encodings, requests, range(1), 1, PEER)
        sums.append(calculator.kept)
    guess = np.zeros((PARAMS.n, width))
    for giant in range(split.giants):
        replies = [row[giant] for row in sums]
        if all(reply is not None for reply in replies):
            plains = unsanitised_plaintexts(np.array(asked), np.array(replies), prime)
            for baby, plain in enumerate(plains):
                _place(guess, _slots(plain.astype(np.uint64), calculator), giant * split.babies, baby)
    return [
        resampled("R2", u[:, j], guess[: len(u), j], np.zeros(len(u)), seed=seed, attack="recovery of U",
                  target=str(j), rounds="all", knows="its own requests and keys")
        for j in range(u.shape[1] - 1)
    ]  # fmt: skip


def _slots(plain: Array, calculator: Calculator) -> Array:
    """Values (n,) of a plaintext's slots, real parts first, from residues in transformed form on the first prime."""
    from tenseal import sealapi

    context, carrier, prime = ckks.context(PARAMS), sealapi.Ciphertext(), ckks.primes(PARAMS)[0]
    both = np.stack([plain, np.ones_like(plain)])[:, None, :]  # SEAL refuses a second polynomial of zeros
    parms = tuple(context.last_parms_id())
    seal_files.load(carrier, context, seal_files.ciphertext_members(parms, PARAMS.n, 1.0, both))
    sealapi.Evaluator(context).transform_from_ntt_inplace(carrier)
    back = seal_files.split_ciphertext(seal_files.save(carrier), 1, PARAMS.n, seeded=False)[0][0, 0]
    centred = np.where(back > prime // 2, back.astype(np.int64) - prime, back.astype(np.int64))
    return slot_values(centred.astype(np.float64)) / 2.0**PARAMS.first_bits


def _place(guess: Array, values: Array, back: int, ahead: int) -> None:
    """Put conj(U[s + ahead, s - back]) of all slots s where it belongs (`ridge_blocks`)."""
    slots, width = PARAMS.slots, guess.shape[1]
    index = np.arange(slots)
    rows, columns = (index + ahead) % slots, (index - back) % width
    guess[rows, columns], guess[rows + slots, columns] = values[:slots], -values[slots:]


def signs(
    u: Array, unit: Array, cipher: SecretContext, calculator: Calculator, repeat: Calculator, seed: int
) -> Finding:
    """Signs of columns of U, from whole replies by `calculator`; the sponsor repeats the circuit with `repeat`.

    It takes the candidate whose second polynomial is the reply's. Where none is, the one whose decrypted slots lie nearer
    to the reply's, which under Gaussian noise is the likelier one.
    """
    rng, requests = np.random.default_rng(seed), cipher.encrypt(unit)
    plain, truth, guess = _reply(repeat, u, requests), [], []
    for game in range(GAMES):
        turned = u.copy()
        turned[:, rng.integers(u.shape[1] - 1)] *= -1.0  # not the intercept
        truth.append(game % 2)
        candidates = (plain, _reply(repeat, turned, requests))
        sent = _reply(calculator, turned if truth[-1] else u, requests)
        same = [bool((_carrier(c) == _carrier(sent)).all()) for c in candidates]
        values = [cipher.decrypt(row[None], PARAMS.n, 1, PEER) for row in (sent, *candidates)]
        nearer = int(np.linalg.norm(values[0] - values[2]) < np.linalg.norm(values[0] - values[1]))
        guess.append(same.index(True) if any(same) else nearer)
    return resampled(
        "balanced accuracy", np.array(truth), np.array(guess), np.zeros(GAMES, dtype=np.int64), seed=seed,
        attack="signs of columns", target="one column", rounds="1", knows="all data but the sign",
    )  # fmt: skip


def _reply(calculator: Calculator, u: Array, requests: Array) -> Array:
    """One whole reply, uint8 (reply_bytes,)."""
    width, rows = ckks.padded(PARAMS, u.shape[1]), u.astype(np.float32)
    first, second = (
        Encodings(calculator, rows, width, split, stage == 0, 0)
        for stage, split in enumerate((Split.first(PARAMS, width, 1), Split.second(PARAMS, width, 1)))
    )
    shares = ridge_blocks.inner_products(calculator, first, requests, range(1), 1, PEER)
    head = ridge_blocks.fold(calculator, width, shares)
    return ridge_blocks.fitted(calculator, second, [head], range(1))[0]


def _carrier(reply: Array) -> Array:
    """A reply's second polynomial (n,)."""
    return seal_files.unpack(reply).reshape(2, PARAMS.n)[1]
