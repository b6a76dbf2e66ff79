"""One study over `People`, and all that its parties received: in the clear, with noise, or by way of ciphertexts.

The loop is algorithm 1 of the paper; what is privatised goes through the product's own schemes, losses and
noise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.encrypted_local import EncryptedLocal
from benchmarks.privacy_data import Array, People
from crypto.ckks.secret import SecretContext
from crypto.ckks.sets import PARAMETER_SETS
from crypto.gaussian_noise import clipped_with_noise
from secure_gal.attacks.finding import r2
from secure_gal.attacks.requests import readable
from secure_gal.gal.ensemble import Ensemble
from secure_gal.gal.losses import metric
from secure_gal.holdings.local import LocalParty, collapse
from secure_gal.labels.schemes import Training
from secure_gal.learners import make_learner
from secure_gal.learners.base import Model
from secure_gal.settings.party import LearnerSettings
from secure_gal.settings.study import Protect

ROUNDS = 10
PARAMETERS = "standard"
"""The weaker parameter set: less flooding, and the same ring-LWE assumption as the other."""
LEARNER = LearnerSettings()
CLIP = Protect().clip
"""Bound of fitted values that get noise, as in a study file without one."""
Names = tuple[str, ...]
Spoil = Callable[[Array, np.random.Generator], Array]
"""Residuals (N_train, K) to what is sent in their place."""


@dataclass(frozen=True)
class Transcript:
    """What travelled.

    Attributes:
        people: who took part.
        received: by round what an assistor got, (T, N_train, K) residuals or (T, N_train, d) numbers of ciphertexts.
        fitted: by assistor what the sponsor read, (T, N, K).
        held_out: metrics on the true labels of held-out rows: accuracy (and auc for two classes), or R2.
    """

    people: People
    received: Array
    fitted: list[Array]
    held_out: dict[str, float]


def names(people: People) -> Names:
    """Parties, the sponsor first."""
    return tuple(f"party-{m}" for m in range(len(people.blocks)))


def new_ensemble(people: People, training: Training, rounds: int) -> Ensemble:
    """At F^0; every round is run, since patience would only shorten transcripts."""
    return Ensemble(
        training.loss,
        training.y,
        people.train,
        people.source.task,
        names(people),
        "fitted",
        "search",
        rounds,
        rounds,
        "l2",
    )


@dataclass
class Clear:
    """A party that fits in the clear; an assistor's fitted values may get noise."""

    party: LocalParty
    noise: float | None = None
    models: list[Model] = field(default_factory=list)

    def fit_round(self, round_: int, residual: Array) -> Array:
        """Fitted values as the sponsor gets them, float32 (N, K)."""
        model, fitted = self.party.fit_round(round_, residual)
        self.models.append(model)
        return fitted if self.noise is None else clipped_with_noise(fitted, CLIP, self.noise)

    def part(self, coefficients: Array, x: Array) -> Array:
        """Its part of a prediction, with the noise that sum_t c_t (clipped f_t + noise) has (PROTOCOL.md)."""
        part = collapse(self.models[: len(coefficients)], coefficients, x)
        if self.noise is None:
            return part
        clip, scale = CLIP * np.abs(coefficients).sum(), self.noise * np.linalg.norm(coefficients)
        return clipped_with_noise(part, float(clip), float(scale)) if scale else part


def local(people: People, m: int, noise: float | None = None) -> Clear:
    """Party m with the default learner."""
    learner = make_learner(LEARNER, Path.cwd(), "l2", m)
    return Clear(LocalParty(names(people)[m], people.blocks[m], people.train, learner, people.seed), noise)


def record_clear(
    people: People,
    training: Training | None = None,
    *,
    spoil: Spoil | None = None,
    noise: float | None = None,
    rounds: int = ROUNDS,
) -> Transcript:
    """A study without ciphertexts.

    Args:
        training: what the sponsor learns from; the true labels by default.
        spoil: changes the residuals that assistors get; the sponsor fits and weighs by the true ones.
        noise: standard deviation of the noise on assistors' fitted values.
    """
    training, rng = training or people.training(), np.random.default_rng([people.seed, 1])
    ensemble = new_ensemble(people, training, rounds)
    parties = {name: local(people, m, noise if m else None) for m, name in enumerate(names(people))}
    received, fitted = [], []
    while not ensemble.finished:
        residual, round_ = ensemble.residual(), len(ensemble.history) + 1
        received.append(residual if spoil is None else spoil(residual, rng).astype(np.float32))
        fits = {
            name: party.fit_round(round_, received[-1] if m else residual)
            for m, (name, party) in enumerate(parties.items())
        }
        ensemble.commit(fits)
        fitted.append([fits[name] for name in names(people)[1:]])
    outputs = np.tile(ensemble.F0, (len(people.y_new), 1))
    for (name, party), x in zip(parties.items(), people.new, strict=True):
        if ensemble.kept:
            outputs = outputs + party.part(ensemble.coefficients(name), x)
    return Transcript(
        people,
        np.stack(received),
        [np.stack(rows) for rows in zip(*fitted, strict=True)],
        held_out(people, training, outputs),
    )


def record_encrypted(people: People, *, rounds: int = ROUNDS) -> Transcript:
    """A study with `residuals = "ckks"`, predictions of held-out rows too."""
    training, cipher = people.training(), Listener(SecretContext.generate(PARAMETER_SETS[PARAMETERS]))
    ensemble, own = new_ensemble(people, training, rounds), local(people, 0)
    assistors = {
        name: EncryptedLocal(name, x, people.train, LEARNER, people.seed, cipher, leave_one_out=False)
        for name, x in zip(names(people)[1:], people.blocks[1:], strict=True)
    }
    received, residuals, fitted = [], [], []
    while len(ensemble.history) < rounds:  # all of them: under encryption the end of learning does not show
        residual = ensemble.residual()
        residuals.append(residual)
        fits = {name: party.fit_round(residual) for name, party in assistors.items()}
        fitted.append(list(fits.values()))
        received.append(readable(cipher.sent[-1], PARAMETER_SETS[PARAMETERS], *residual.shape))
        ensemble.commit(fits | {names(people)[0]: own.fit_round(len(residuals), residual)})
    outputs = np.tile(ensemble.F0, (len(people.y_new), 1))
    if ensemble.kept:
        outputs = outputs + own.part(ensemble.coefficients(names(people)[0]), people.new[0])
    for (name, party), x in zip(assistors.items(), people.new[1:], strict=True):
        if ensemble.kept:
            outputs = outputs + party.part(combination(ensemble, name, residuals), x)
        party.close()
    return Transcript(
        people,
        np.stack(received),
        [np.stack(rows) for rows in zip(*fitted, strict=True)],
        held_out(people, training, outputs),
    )


class Listener:
    """The sponsor's key, with a record of the requests that left."""

    def __init__(self, cipher: SecretContext) -> None:
        self._cipher, self.params, self.public_keys = cipher, cipher.params, cipher.public_keys
        self.decrypt = cipher.decrypt
        self.sent: list[Array] = []

    def encrypt(self, values: Array) -> Array:
        """Requests uint8 (blocks * K, request_bytes)."""
        self.sent.append(self._cipher.encrypt(values))
        return self.sent[-1]


def combination(ensemble: Ensemble, name: str, residuals: list[Array]) -> Array:
    """R_m = sum_t eta^t w_m^t r^t over the kept rounds, (N_train, K)."""
    return np.tensordot(ensemble.coefficients(name), np.stack(residuals[: ensemble.kept]).astype(np.float64), 1)


def held_out(people: People, training: Training, outputs: Array) -> dict[str, float]:
    """Metrics of outputs (n, K) on the true labels of held-out rows."""
    codec, truth = training.codec, people.y_new
    if not people.source.classes:
        return {"r2": r2(truth, outputs[:, 0] * codec.scale + codec.mean)}
    accuracy = {"accuracy": float(np.mean(np.array(codec.decode(outputs)) == truth))}
    return accuracy | ({"auc": metric("classification", truth, outputs)} if outputs.shape[1] == 1 else {})
