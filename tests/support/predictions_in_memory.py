"""Finished studies in memory, in every mode, and prediction batches over the same link: for tests that kill parties."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from parties.run.node import Node
from secure_gal.holdings.local import collapse
from secure_gal.learners import storage
from secure_gal.protocol import agreement, roles
from secure_gal.settings.study import Protect, Study
from secure_gal.state import State
from tests.support import encrypted_in_memory as ckks
from tests.support import sums_in_memory as sums
from tests.support.overlapping_in_memory import Overlapping
from tests.support.simulation import MemoryStore, Network, Party
from tests.support.study_in_memory import FEW, NAMES, Arrays, N, context, make_node, study

ROUNDS = 2
"""A first one and one after it: what comes later is as the second one."""
IDS = ("r20", "r3", "r35", "nobody", "r27")
"""A batch: the lab lacks r3, the insurer r35, where tables overlap in part; nobody is known to none."""


class Known(Arrays):
    """An assistor in the clear that is asked for ids it does not have, too."""

    def predict(self, ids, encoder, models, coefficients, k):  # type: ignore[no-untyped-def]
        known = np.array([i in self.ids for i in ids], dtype=np.uint8)
        part = np.zeros((len(ids), k), dtype=np.float32)
        rows = [self.ids.index(i) for i in ids if i in self.ids]
        if rows:
            part[known == 1] = collapse([storage.load(m) for m in models], coefficients, self.x[rows])
        return known, part


class PartlyKnown(Overlapping, Known):
    """The same over tables that overlap in part."""


class PartlyHead(Overlapping, ckks.Head):
    """The stand-in of an encrypted head over tables that overlap in part."""


@dataclass(frozen=True)
class Mode:
    """How residuals, predictions, ids and rows of a study go."""

    protect: Protect
    rows: str = "common"

    @property
    def study(self) -> Study:
        validation = 0.2 if self.exact else 0.0  # a private alignment draws validation rows by its secret order
        return study(protect=self.protect, rows=self.rows, loss="l2", validation=validation, rounds=ROUNDS)

    @property
    def exact(self) -> bool:
        """Whether a batch's parts are the same bits whoever died: the secret order of a private alignment moves
        some."""
        return self.protect.ids == "clear"

    def party(self, name: str) -> Party:
        """Over the learning stage, and after it for the assistors."""
        fixed, protect, rows = context(name, self.study), self.protect, N if self.exact else FEW
        if protect.summed:
            return sums.make_party(name, self.study, rows=rows)

        def make(store: MemoryStore) -> Node:
            state, nonce = State(store.values), bytes([NAMES.index(name) + 1]) * 16
            if name == "hospital" and protect.encrypted:
                role: object = roles.sponsor(fixed, Overlapping(name, ROUNDS, rows), state, nonce, ckks.StandIn())  # type: ignore[arg-type]
            elif name == "hospital":
                role = roles.sponsor(fixed, Overlapping(name, ROUNDS, rows), state, nonce)  # type: ignore[arg-type]
            elif protect.encrypted:
                role = roles.assistor(fixed, PartlyHead(name, rows=rows), state, nonce)  # type: ignore[arg-type]
            else:
                role = roles.assistor(fixed, PartlyKnown(name, rows=rows), state, nonce)  # type: ignore[arg-type]
            return make_node(role, store, fixed)

        return Party(name, make)

    def prediction(self, ids: tuple[str, ...]) -> Callable[[MemoryStore], Node]:
        """What makes the sponsor's side of a batch from its store."""
        fixed, settings = context("hospital", self.study), self.study

        def make(store: MemoryStore) -> Node:
            state = State(store.values)

            def domain(peer: str, batch: int, attempt: int) -> bytes:
                return agreement.psi_domain(fixed.digest, state.text("run"), "hospital", peer, batch, attempt)

            private = domain if settings.protect.ids == "psi" else None
            cipher = sums.StandIn() if settings.protect.summed else ckks.StandIn()
            role = roles.prediction(fixed, state, ids, 1, cipher, private)
            return make_node(role, store, fixed)

        return make


MODES = {
    "clear": Mode(Protect(ids="clear")),
    "psi": Mode(Protect(ids="psi")),
    "psi, the sponsor's rows": Mode(Protect(ids="psi"), "sponsor"),
    "ckks": Mode(Protect(ids="clear", residuals="ckks")),
    "ckks, psi": Mode(Protect(ids="psi", residuals="ckks")),
    "ckks, psi, the sponsor's rows": Mode(Protect(ids="psi", residuals="ckks"), "sponsor"),
    "sum": Mode(Protect(ids="clear", predictions="sum")),
    "sum, psi": Mode(Protect(ids="psi", predictions="sum")),
    "ckks, sum": Mode(Protect(ids="clear", residuals="ckks", predictions="sum")),
    "ckks, sum, psi": Mode(Protect(ids="psi", residuals="ckks", predictions="sum")),
}


def beginning(name: str) -> Network:
    """A study in which nothing was said."""
    hospital, *others = [MODES[name].party(party) for party in NAMES]
    return Network(hospital, others)


def outputs_by_row(network: Network) -> tuple[np.ndarray, list[str]]:
    """F of a finished learning stage by the sponsor's own rows, and nobody missing; every certificate is there, too."""
    role, values = network.sponsor.node.role, network.sponsor.store.values
    assert role.phase == "finished", f"nothing moves any more while {role.phase}; waits for {role.waiting_for()}"
    certified = {party.store.values["certify/done"] for party in network.parties.values()}
    assert certified == {str(ROUNDS).encode()}, f"certificates up to {certified}"
    assert all(party.store.values["phase"] == b"serving" for party in network.others)
    return values["ensemble/F"][np.argsort(values["rows"])], []


@functools.cache
def learnt(name: str) -> dict[str, MemoryStore]:
    """The stores of a finished study, to be copied."""
    network = beginning(name)
    network.run()
    assert network.sponsor.store.values["phase"] == b"finished"
    return {party: network.parties[party].store for party in NAMES}


def copy_of(store: MemoryStore, name: str) -> MemoryStore:
    made = MemoryStore(name)
    made.values, made.link, made.out = dict(store.values), store.links(), dict(store.out)
    made.rows = list(store.rows)
    shutil.copytree(store.folder, made.folder, dirs_exist_ok=True)
    return made


def asking(name: str, ids: tuple[str, ...] = IDS, seed: int = 0, loss: float = 0.0) -> Network:
    """A finished study whose sponsor has just begun to ask for a batch."""
    mode, stores = MODES[name], learnt(name)
    hospital, *others = [Party(party, mode.party(party).make, copy_of(stores[party], party)) for party in NAMES]
    network = Network(hospital, others, seed, loss)
    network.run()
    ask(network, name, ids)
    return network


def ask(network: Network, name: str, ids: tuple[str, ...]) -> None:
    """The sponsor's process ends, if it has not, and `predict` is started for these ids."""
    network.sponsor.make = MODES[name].prediction(ids)
    network.crash("hospital")


def answer(network: Network) -> tuple[np.ndarray, list[str]]:
    """The batch's outputs without the sponsor's own part, and who is missing where."""
    role = network.sponsor.node.role
    assert not role.waiting_for(), f"nothing moves any more, and the sponsor waits for {role.waiting_for()}"
    total, missing = role.combine(np.zeros(1), np.zeros((len(role._ids), 1), np.float32))
    return total, missing
