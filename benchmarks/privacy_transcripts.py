"""Data sets of the privacy benchmark, and what each party receives in a study over them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_digits, load_wine

from benchmarks import accuracy_data
from crypto.ckks import PARAMETER_SETS
from secure_gal.attacks.requests import readable
from secure_gal.reference import GAL
from secure_gal.study import LearnerSettings

ROUNDS = 10
PARAMETERS = "fast"
"""The weaker parameter set: less flooding, and the same ring-LWE assumption as the other."""
LEARNER = LearnerSettings()
Release = Callable[[np.ndarray, int, np.random.Generator], np.ndarray]
"""Class codes (N,), number of classes and generator to the codes that the sponsor learns from."""


def load(name: str, folder: Path) -> tuple[np.ndarray, int, np.ndarray]:
    """(standardised columns (N, p), how many of them are the sponsor's, class codes (N,))."""
    if name in ("breast", "default_credit"):
        frames, y = accuracy_data.vertical(name, folder)
        x, own = np.hstack([frame.to_numpy().astype(np.float64) for frame in frames]), frames[0].width
    else:
        x, y = (load_wine if name == "wine" else load_digits)(return_X_y=True)
        own = x.shape[1] // 3
    told = x.std(axis=0) > 0
    own = int(told[:own].sum())
    x = x[:, told]
    return (x - x.mean(axis=0)) / x.std(axis=0), own, y.astype(np.int64)


@dataclass(frozen=True)
class Transcript:
    """One study, sponsor first, and all that travelled.

    Attributes:
        blocks: columns of the training and validation rows by party, (N, p_m) each.
        labels: the truth (N,); train: mask (N,), rows that residuals were sent of.
        received: by round, numbers a person that every assistor got: (T, N_train, K) residuals, or what is
            readable of ciphertexts (T, N_train, d).
        residuals: what the sponsor fitted, (T, N_train, K).
        fitted: by assistor, as the sponsor reads them, (T, N, K).
        weights: by round and assistor, (T, M - 1).
        accuracy: share of held-out rows whose true class is predicted.
    """

    blocks: list[np.ndarray]
    labels: np.ndarray
    train: np.ndarray
    received: np.ndarray
    residuals: np.ndarray
    fitted: list[np.ndarray]
    weights: np.ndarray
    accuracy: float


def record(
    blocks: list[np.ndarray],
    y: np.ndarray,
    seed: int,
    *,
    encrypted: bool,
    release: Release | None,
    rounds: int = ROUNDS,
) -> Transcript:
    """Run one study on 80% of the rows and keep everything that was sent."""
    test, rows = accuracy_data.split(len(y), seed)
    used = [block[rows] for block in blocks]
    learnt = y[rows] if release is None else release(y[rows], int(y.max()) + 1, np.random.default_rng(seed))
    gal = (_Encrypted if encrypted else _Clear)(rounds=rounds, seed=seed, patience=rounds, learners=LEARNER)
    gal.fit(used, learnt)
    residuals = np.stack(gal.heard)
    received = residuals
    if isinstance(gal, _Encrypted):
        rows_and_outputs = residuals.shape[1:]
        received = np.stack(
            [readable(sent, PARAMETER_SETS[PARAMETERS], *rows_and_outputs) for sent in gal.wires[0].sent]
        )
    accuracy = float(np.mean(gal.predict([block[test] for block in blocks]) == y[test]))
    names = [f"party-{m}" for m in range(1, len(blocks))]
    transcript = Transcript(
        used, y[rows], gal.train_mask_, received, residuals, gal.fitted(used),
        np.array([[r.weights[name] for name in names] for r in gal.history_]), accuracy,
    )  # fmt: skip
    gal.close()
    return transcript


class _Clear(GAL):
    """Keeps residuals as they travelled; every assistor gets the same."""

    def fit(self, blocks: Any, y: Any) -> GAL:
        self.heard: list[np.ndarray] = []
        return super().fit(blocks, y)

    def _learner(self, m: int) -> Any:
        return _Listener(super()._learner(m), self.heard) if m == 1 else super()._learner(m)

    def fitted(self, blocks: list[np.ndarray]) -> list[np.ndarray]:
        """By assistor, what it sent."""
        return [
            np.stack([model.predict(block).astype(np.float32) for model in self.models_[name]])
            for name, block in zip(self._names[1:], blocks[1:], strict=True)
        ]


class _Listener:
    def __init__(self, learner: Any, heard: list[np.ndarray]) -> None:
        self._learner, self._heard = learner, heard

    def fit(self, x: np.ndarray, residual: np.ndarray, seed: int) -> Any:
        self._heard.append(residual)
        return self._learner.fit(x, residual, seed)


class _Encrypted(GAL):
    """Keeps requests as they travelled, and fitted values as they were decrypted."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(residuals="ckks", parameters=PARAMETERS, **settings)

    def _encrypted_parties(self, names: Any, blocks: Any) -> Any:
        parties = super()._encrypted_parties(names, blocks)
        self.wires = [_Wire(party) for party in parties.values()]
        return dict(zip(parties, self.wires, strict=True))

    @property
    def heard(self) -> list[np.ndarray]:
        """What the sponsor encrypted."""
        return self._residuals

    def fitted(self, blocks: list[np.ndarray]) -> list[np.ndarray]:
        """By assistor, what the sponsor decrypted."""
        return [np.stack(wire.fitted) for wire in self.wires]


class _Wire:
    """An encrypted party with a listener on the requests that it gets; predictions are not listened to."""

    def __init__(self, party: Any) -> None:
        self._party, self._cipher = party, party._cipher
        self.sent: list[np.ndarray] = []
        self.fitted: list[np.ndarray] = []
        self.part, self.close = party.part, party.close

    def fit_round(self, residual: np.ndarray) -> np.ndarray:
        self._party._cipher = self
        self.fitted.append(self._party.fit_round(residual))
        self._party._cipher = self._cipher
        return self.fitted[-1]

    def encrypt(self, values: np.ndarray) -> np.ndarray:
        self.sent.append(self._cipher.encrypt(values))
        return self.sent[-1]

    def decrypt(self, *arguments: Any) -> np.ndarray:
        return self._cipher.decrypt(*arguments)
