"""One small study for each way in which residuals, fits and ids may travel, as `hostile.Play` wants them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from secure_gal.holdings.kept_keys import NothingKept
from secure_gal.protocol import agreement, roles
from secure_gal.protocol.prediction import Prediction
from secure_gal.settings.study import Protect, Study
from secure_gal.state import State
from tests.support import encrypted_in_memory as single
from tests.support import sums_in_memory as sums
from tests.support.hostile import Play
from tests.support.study_in_memory import ANY_SUMS, FEW, NAMES, Arrays, MemoryBudget, N, context, study

ROUNDS = 2
MODES = {
    "clear": Protect(ids="clear"),
    "private ids": Protect(ids="psi"),
    "rounded": Protect(ids="clear", residuals="rounded"),
    "privatised": Protect(ids="clear", residuals="dp", epsilon=1.0),
    "noised": Protect(ids="clear", predictions="noise", noise=0.1, clip=1.0),
    "ckks": Protect(ids="clear", residuals="ckks"),
    "sums": Protect(ids="clear", predictions="sum"),
    "ckks sums": Protect(ids="psi", residuals="ckks", predictions="sum"),
}


def settings(mode: str, rounds: int = ROUNDS) -> Study:
    # The same rows are trained on in all modes, so that one mode's fits can be held against another's; and private ids
    # have a random order, which would decide by validation rows which rounds are kept.
    return study(protect=MODES[mode], loss="l2", rounds=rounds, validation=0.0)


class MemoryKeys(NothingKept):
    """Evaluation keys in a party's home."""

    raw = b""

    def get(self) -> bytes:
        return self.raw

    def put(self, raw: bytes) -> None:
        self.raw = raw


def build(
    mode: str,
    first_nonce: int = 1,
    max_rows: int | None = None,
    kept: Mapping[str, MemoryKeys] | None = None,
    rounds: int = ROUNDS,
    rows: int = FEW,
) -> Any:
    """The protocol objects of a mode; ciphers are stand-ins, whose ciphertexts can be read.

    Args:
        first_nonce: another one makes another run; every party has its own.
        max_rows: an assistor's cap on predictions.
        kept: by assistor, its home's keys of earlier runs.
        rows: of the sponsor; an assistor has five more.
    """
    the_study = settings(mode, rounds)
    summed, encrypted = the_study.protect.summed, the_study.protect.encrypted

    budgets = {name: MemoryBudget() for name in NAMES}  # of the parties' homes: they outlive a restart

    def make(name: str, state: State) -> Any:
        keys = (kept or {}).get(name, NothingKept())
        fixed = context(name, the_study, ANY_SUMS, budgets[name])
        fixed = dataclasses.replace(fixed, max_rows=max_rows, kept_keys=keys)
        nonce = bytes([NAMES.index(name) + first_nonce]) * 16
        if name == "hospital":
            arrays = Arrays(name, rows - N, rounds)
            if the_study.protect.privatised:  # released labels are one of two bins
                arrays.y = np.where(arrays.y > np.median(arrays.y), 1.0, -1.0)
            if summed:
                return roles.sponsor(fixed, arrays, state, nonce, sums.StandIn())
            if encrypted:
                return roles.sponsor(fixed, arrays, state, nonce, single.StandIn())
            return roles.sponsor(fixed, arrays, state, nonce)
        model: Any = Arrays(name, rows - N + 5)
        if summed:
            model = (sums.Head if encrypted else sums.Model)(name, rows - N + 5)
        elif encrypted:
            model = single.Head(name, rows - N + 5)
        if "positions" in state:  # data that lie on the disk, to predict from
            model.prepare(state.array("positions"), state.array("train").astype(np.bool_))
        if summed:
            return roles.assistor(fixed, model, state, nonce, sums.Adder)
        return roles.assistor(fixed, model, state, nonce)

    return make


def play(mode: str, first_nonce: int = 1, max_rows: int | None = None, rounds: int = ROUNDS, rows: int = FEW) -> Play:
    return Play(NAMES, build(mode, first_nonce, max_rows, rounds=rounds, rows=rows))


def prediction(mode: str, state: State, ids: tuple[str, ...] = ("r3", "r7")) -> Prediction:
    """The sponsor's side of a batch."""
    the_study, fixed, domain = settings(mode), context("hospital", settings(mode)), None
    if the_study.protect.ids == "psi":

        def domain(peer: str, batch: int, attempt: int) -> bytes:
            return agreement.psi_domain(fixed.digest, state.text("run"), "hospital", peer, batch, attempt)

    cipher = sums.StandIn() if the_study.protect.summed else single.StandIn()
    return roles.prediction(fixed, state, ids, 1, cipher, domain)
