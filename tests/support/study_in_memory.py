"""A small study whose parties hold arrays: protocol objects, real messages, no sockets."""

from __future__ import annotations

import functools
import secrets
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from parties.run.budget import DataBudget
from parties.run.certifier import Certifier
from parties.run.codec import Codec
from parties.run.node import Node
from secure_gal.data.table import Table
from secure_gal.gal.ensemble import Ensemble
from secure_gal.gal.losses import get_loss
from secure_gal.holdings.budget import Kind
from secure_gal.holdings.local import LocalParty, collapse
from secure_gal.holdings.roles import Context
from secure_gal.learners import storage
from secure_gal.learners.linear import LinearLearner
from secure_gal.measures.evaluation import Evaluation, Judging, evaluate
from secure_gal.protocol import roles
from secure_gal.settings.limits import Beyond
from secure_gal.settings.study import Protect, Study
from secure_gal.state import State
from tests.conftest import identity
from tests.support.simulation import SHM, MemoryStore, Network, Party, folder_of
from transport.ledger import Ledger

NAMES = ("hospital", "lab", "insurer")
N, ROUNDS = 120, 3
FEW = 40
"""Rows where nothing hangs on how many there are: a private alignment takes four X25519 of every row, a walk thousands
of alignments."""
ANY_SUMS = {"sums": 1e3, "own-sums": 1e3}
"""Limits of sums that no test reaches."""


def study(**changes: object) -> Study:
    base = {
        "name": "s",
        "task": "regression",
        "sponsor": "hospital",
        "address": "tcp://x:1",
        "assistors": ("lab", "insurer"),
        "rounds": ROUNDS,
        "patience": 10,
        "validation": 0.2,
        "weights": "paper",
        "protect": Protect(ids="clear"),
    }
    return Study(**(base | changes))  # type: ignore[arg-type]


class Arrays:
    """Sponsor or assistor model over one array; rows are named r0, r1, ..."""

    fits = True
    fresh = False
    rounds = ROUNDS
    cross_fitted = False
    fixed_share = False

    def __init__(self, name: str, offset: int = 0, rounds: int = ROUNDS) -> None:
        self.name, self.rounds = name, rounds
        self.ids, self.x, self.y = drawn(NAMES.index(name), N + offset)

    def current_ids(self) -> tuple[str, ...]:
        return self.ids

    @property
    def clear(self) -> Arrays:
        """It is all of an assistor's parts itself."""
        return self

    encrypted = keyed = clear

    def prepare(self, rows: np.ndarray, train: np.ndarray) -> bytes:
        self.rows, self.train = rows, train
        folds = 5 if self.cross_fitted else None
        self.local = LocalParty(self.name, self.x[rows], train, LinearLearner(), 0, folds, self.fixed_share)
        return storage.dump((rows, train))

    def reload(self, encoder: bytes) -> None:
        """Take up from what `prepare` gave, as after a restart."""
        if not hasattr(self, "local"):
            self.prepare(*storage.load(encoder))

    def ensemble(self, parties: tuple[str, ...]) -> Ensemble:
        y = self.y[self.rows]
        spread = y[self.train].std() or 1.0  # of one training row, as a hostile peer may leave it, there is none
        return Ensemble(
            get_loss("l2", 1),
            (y - y[self.train].mean()) / spread,
            self.train,
            "regression",
            parties,
            "fitted",
            "search",
            10,
            self.rounds,
            "l2",
            self.cross_fitted,
        )

    def fit_round(self, round_: int, residual: np.ndarray, withheld: float = 1.0) -> tuple[bytes, np.ndarray]:
        model, fitted = self.local.fit_round(round_, residual, withheld)
        return storage.dump(model), fitted

    def true_metric(self, outputs: np.ndarray) -> None:
        return None

    def class_names(self) -> tuple[str, ...]:
        return ()

    def metric_unit(self) -> float:
        return 1.0

    def alone(self) -> Ensemble:
        ensemble = self.ensemble((self.name,))
        while self.fits and not ensemble.finished:
            ensemble.commit({self.name: self.fit_round(1, ensemble.residual())[1]})
        return ensemble

    def encode(self) -> None:
        """Nothing is made before keys are there."""

    own_libraries: tuple[str, ...] = ("scipy.optimize",)

    def by_itself(self) -> None:
        """There is none: `evaluated`."""

    def evaluate(self, made: Ensemble, alone: Ensemble) -> Evaluation | None:
        judged = made.judged
        if judged is None:
            return None
        return evaluated(*(v[judged.mask][:, 0].tobytes() for v in (self.y[self.rows], made.F_kept, alone.F_kept)))

    def predict(self, ids, encoder, models, coefficients, k):  # type: ignore[no-untyped-def]
        known, loaded = np.array([i in self.ids for i in ids], dtype=np.uint8), [storage.load(m) for m in models]
        part = np.zeros((len(ids), k), dtype=np.float32)
        if known.any() and len(coefficients):
            rows = [self.ids.index(i) for i in ids if i in self.ids]
            part[known == 1] = collapse(loaded, coefficients, self.x[rows])
        return known, part


@functools.lru_cache(maxsize=256)
def evaluated(y: bytes, gal: bytes, other: bytes) -> Evaluation:
    """Of float64 values (n,) each: a thousand draws, made once for a study that is run from all points of a kill."""
    judging = Judging(*(np.frombuffer(values) for values in (y, gal, other)), None, "test")
    return evaluate(judging, ["r2"], None, "", "none", {}, 0)


@functools.cache
def drawn(number: int, rows: int) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    """Ids, columns (rows, 3) and labels (rows, 1) of the party of this number; read only, as all its objects have
    them."""
    x = np.random.default_rng(number + 1).standard_normal((rows, 3))
    y = np.random.default_rng(9).standard_normal((rows, 1)) + x[:, :1]
    x.flags.writeable = y.flags.writeable = False
    return tuple(f"r{i}" for i in range(rows)), x, y


class MemoryBudget(DataBudget):
    """The real budget of a party whose rows are called r0, r1, ...; it survives the party's simulated crashes."""

    def __init__(self) -> None:
        super().__init__(folder_of(self))
        made, raw = admitted(N)
        self.id = secrets.token_hex(len(made.id) // 2)
        self.path.write_bytes(raw.replace(made.id.encode(), self.id.encode()))
        self._data, self._last = made._data, made._last


@functools.cache
def admitted(rows: int) -> tuple[DataBudget, bytes]:
    """A budget that counts for so many rows, and its file, of which every party gets a copy with an id of its own."""
    with tempfile.TemporaryDirectory(dir=SHM) as folder:
        made = DataBudget(Path(folder))
        made.admit(table_of([f"r{i}" for i in range(rows)], Path("rows.csv")))
        raw = made.path.read_bytes()
    assert raw.count(made.id.encode()) == 1
    return made, raw


def table_of(ids: list[str], path: Path) -> Table:
    """A table of which only ids and file matter."""
    return Table(ids, pl.DataFrame(), None, path, pl.DataFrame({"id": ids}))


def make_node(role: object, store: MemoryStore, fixed: Context) -> Node:
    codec = Codec(fixed.identity, fixed.cards, fixed.digest)
    ledger = Ledger.open(store.folder, fixed.identity, fixed.canonical, fixed.digest, fixed.cards.values(), store)
    certifier = Certifier(
        fixed.study, fixed.digest, fixed.identity, fixed.cards, role.state, lambda: ledger.head, lambda: role.run
    )  # type: ignore[attr-defined]
    return Node(role, store, codec, lambda *_: None, ledger, certifier)  # type: ignore[arg-type]


def context(name: str, settings: Study, beyond: Beyond | None = None, budget: DataBudget | None = None) -> Context:
    """Of one party; an assistor's budget is a fresh one unless it is given."""
    everyone = {other: identity(other).card for other in NAMES}
    prints = {n: c.fingerprint for n, c in everyone.items()}
    return Context(
        settings,
        settings.digest(prints),
        settings.canonical(prints),
        identity(name),
        everyone,
        beyond=beyond or {},
        budget=budget or MemoryBudget(),
    )


def make_party(name: str, the_study: Study | None = None, fits: bool = True, budget: DataBudget | None = None) -> Party:
    fixed = context(name, the_study or study(), budget=budget)

    def make(store: MemoryStore) -> Node:
        state, nonce = State(store.values), bytes([NAMES.index(name) + 1]) * 16
        if name == "hospital":
            arrays = Arrays(name, rounds=fixed.study.rounds)
            arrays.fits = fits
            role: object = roles.sponsor(fixed, arrays, state, nonce)
        else:
            role = roles.assistor(fixed, Arrays(name, 5), state, nonce)
        return make_node(role, store, fixed)

    return Party(name, make)


def make_network(seed: int = 0, loss: float = 0.0, rounds: int = ROUNDS) -> Network:
    hospital, *others = [make_party(name, study(rounds=rounds)) for name in NAMES]
    return Network(hospital, others, seed, loss)


def party_in(phase: bytes, network: Network, name: str) -> Any:
    """The role of a party as soon as it is in this phase; the network is run as far."""
    while network.parties[name].store.values.get("phase") != phase:
        assert network.step()
    return network.parties[name].node.role


def spent(party: Party, kind: Kind) -> int:
    """What an assistor's data has given away of a kind."""
    found: int = party.node.role._context.budget.spent(kind)  # type: ignore[attr-defined]
    return found


def final_f(network: Network) -> np.ndarray:
    values = network.sponsor.store.values
    assert values["phase"] == b"finished"
    return np.asarray(values["ensemble/F"])
