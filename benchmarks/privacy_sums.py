"""A study with encrypted residuals and sum-only predictions by real ciphertexts, without sockets and sealing.

The rounds are those of `real_sums`; the first assistor is the aggregator. Held-out rows are predicted in the clear from
the same heads.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.privacy_data import Array, People
from benchmarks.privacy_transcripts import LEARNER, ROUNDS, combination, held_out, local, names, new_ensemble
from benchmarks.real_sums import SPONSOR, SumParties, SumRound
from crypto.ckks.fits import SUM, TRAINING
from crypto.ckks.sealapi_files import SEED_BYTES, unpack
from crypto.ckks.slots import Packing
from secure_gal.attacks.requests import readable


@dataclass(frozen=True)
class SumTranscript:
    """What travelled.

    Attributes:
        people: who took part.
        sums: as the sponsor decrypted them, without its own part, (T, N, K).
        residuals: what it had asked for, (T, N_train, K).
        weights: of the assistors by round, (T, M - 1); the aggregator gets them too.
        widths: features of each assistor, the intercept included.
        aggregator: by round every number that its ciphertexts have at a person's place, (T, N_train, d): requests,
            the other's fit (after unsealing) and the sponsor's own difference.
        held_out: as in `Transcript`.
    """

    people: People
    sums: Array
    residuals: Array
    weights: Array
    widths: list[int]
    aggregator: Array
    held_out: dict[str, float]


def record_sums(people: People, *, rounds: int = ROUNDS, listen: bool = True) -> SumTranscript:
    """Run the study; `listen` False leaves `aggregator` empty."""
    training, own = people.training(), local(people, 0)
    parties = SumParties(names(people), people.blocks, people.train, people.seed, [LEARNER] * len(people.blocks))
    ensemble = new_ensemble(people, training, rounds)
    residuals, sums, weights, heard = [], [], [], []
    while len(ensemble.history) < rounds:  # all of them, as under encryption
        residuals.append(ensemble.residual())
        mine = own.fit_round(len(residuals), residuals[-1]).astype(np.float64)
        played = parties.round(residuals[-1], mine)
        ensemble.advance(played.weights, {"sum": played.total + played.weights[0] * mine})
        sums.append(played.total)
        weights.append(played.weights[1:])
        heard.append(_heard(played) if listen else np.zeros((len(residuals[-1]), 0)))
    outputs = np.tile(ensemble.F0, (len(people.y_new), 1))
    if ensemble.kept:
        outputs = outputs + own.part(ensemble.coefficients(SPONSOR), people.new[0])
        for name, assistor, x in zip(names(people)[1:], parties.assistors, people.new[1:], strict=True):
            outputs = outputs + assistor.part(combination(ensemble, name, residuals), x)
    parties.close()
    return SumTranscript(
        people,
        np.stack(sums),
        np.stack(residuals),
        np.stack(weights),
        [assistor.features.width for assistor in parties.assistors],
        np.stack(heard),
        held_out(people, training, outputs),
    )


def _heard(played: SumRound) -> Array:
    """Numbers (N_train, d) at each person's place in what the aggregator, the first assistor, holds of the others."""
    table, requests = played.table, played.requests
    asked = readable(requests, SUM, len(requests) * SUM.n, 1).reshape(len(requests), SUM.n, -1)
    found = [_alone(table, asked[:, :, reading]) for reading in range(asked.shape[2])]
    own = played.difference[:, :-SEED_BYTES]  # by ciphertext the residues of one polynomial, n a prime
    readings = [np.stack([unpack(row) for row in own]).reshape(len(own), -1, SUM.n) / 2.0**60]
    readings += [np.stack([_upper(row) for row in fit]) for fit in played.fits[1:]]
    for body in readings:
        found += [table.values(_complex(body[:, reading])) for reading in range(body.shape[1])]
    return np.hstack(found)


def _upper(reply: Array) -> Array:
    """The upper eight bytes of the coefficients of a fit's two polynomials, (2, n), as parts of the modulus."""
    cut = TRAINING.reply_kept[0] * SUM.n
    parts = [part.reshape(SUM.n, -1)[:, -8:] for part in (reply[:cut], reply[cut:])]
    return np.stack([np.ascontiguousarray(part).view("<u8")[:, 0] / 2.0**64 for part in parts])


def _alone(table: Packing, numbers: Array) -> Array:
    """As `Packing.values`, of requests (blocks * K, n), which carry one output each."""
    out, slots = np.empty((table.rows, table.outputs)), _complex(numbers)
    for k in range(table.outputs):
        wanted = [[r for r in table.sharing(index) if r % table.outputs == k] for index in range(table.ciphertexts)]
        out[:, k] = table.values(slots[r[0]] if r else np.zeros_like(slots[0]) for r in wanted)[:, k]
    return out


def _complex(numbers: Array) -> Array:
    """(C, n) to (C, n / 2): the first half real parts, the second imaginary."""
    return numbers[:, : SUM.slots] + 1j * numbers[:, SUM.slots :]
