"""What is compared, on what, and what each system needs: the one place where a system is added."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.peers import launch, ours, sets
from benchmarks.peers.environments import Environment

SECRETFLOW = Environment(
    "secretflow",
    # Newer releases that were tried want sdc-sdk 0.1.0.dev240320, which the registry does not have. Left alone, the
    # resolver tries every release of jax from the newest on.
    (
        "secretflow-lite==1.5.0.dev20240321",
        "numpy==1.23.5",
        "setuptools<80",
        "jax[cpu]==0.4.26",
        "jaxlib==0.4.26",
        "scipy==1.11.4",
        "ml_dtypes==0.4.0",
    ),
    python="3.11",
)
HEU = Environment("heu", ("sf-heu==0.5.2b0", "numpy"), python="3.11")
OPENMINED = Environment("openmined", ("openmined-psi==2.0.6",))
XGBOOST = Environment("xgboost", ("xgboost==3.2.0", "pandas"))

IDS, RESIDUALS = 30_000, 24_000
"""As default_credit has rows, and training rows."""
ALIGN, SUM = f"{IDS:,} ids", f"{RESIDUALS:,} residuals"


class Given(NamedTuple):
    """What a run gets.

    Attributes:
        python: of its environment. case: a set of `sets.SETS`, ALIGN or SUM. data: folder of data sets.
        folder: an empty one. limit: seconds that it may take.
    """

    python: Path
    case: str
    data: Path
    folder: Path
    limit: float

    def rows(self) -> sets.Rows:
        """Of its set."""
        return sets.load(self.case, self.data)


@dataclass(frozen=True, slots=True)
class Peer:
    """A system with its settings.

    Attributes:
        name: as `--only` takes it, and in the table. what: its settings, for readers.
        cases: what it is run on. environment: None for this one.
        run: gives `bytes` between parties (None: there are none), and `auc`, `common` or `error`.
    """

    name: str
    what: str
    cases: tuple[str, ...]
    environment: Environment | None
    run: Callable[[Given], Mapping[str, Any]]


def _study(mode: str, features: str) -> Callable[[Given], Mapping[str, Any]]:
    return lambda given: ours.study(mode, features, given.rows(), given.folder)


def _secretflow(model: str) -> Callable[[Given], Mapping[str, Any]]:
    return lambda given: launch.secretflow(given.python, model, given.rows(), given.folder, given.limit)


STANDARDISED = '["standardized"]'
PEERS = (
    Peer("ours, clear", "linear models, at most 10 rounds", sets.SETS, None, _study("clear", STANDARDISED)),
    Peer(
        "ours, standard", "the same, residuals encrypted, 10 rounds", sets.SETS, None, _study("standard", STANDARDISED)
    ),
    Peer("ours, strict", "the same", sets.SETS, None, _study("strict", STANDARDISED)),
    Peer("ours, standard, auto", '`features = "auto"`', sets.SETS, None, _study("standard", '"auto"')),
    Peer(
        "SecretFlow SS-LR",
        "secret shares, 10 epochs, batches of 1,024 (a quarter of the rows where that is less)",
        sets.SETS,
        SECRETFLOW,
        _secretflow("ss-lr"),
    ),
    Peer("SecretFlow SGB", "Okamoto-Uchiyama 2048, 10 trees of depth 5", sets.SETS, SECRETFLOW, _secretflow("sgb")),
    Peer(
        "XGBoost, pooled",
        "no protection, 10 trees of depth 5",
        sets.SETS,
        XGBOOST,
        lambda given: launch.xgboost(given.python, given.rows(), given.folder, given.limit),
    ),
    Peer("ours, PSI", "one core a party", (ALIGN,), None, lambda given: ours.align(IDS)),
    Peer(
        "OpenMined PSI",
        "exact data structure",
        (ALIGN,),
        OPENMINED,
        lambda given: launch.openmined(given.python, IDS, given.folder, given.limit),
    ),
    Peer(
        "ours, one column", "encrypted, ridge on 10 columns, decrypted", (SUM,), None, lambda _: ours.column(RESIDUALS)
    ),
    Peer(
        "HEU",
        "Paillier 2048: encrypted, added up, decrypted",
        (SUM,),
        HEU,
        lambda given: launch.heu(given.python, RESIDUALS, given.folder, given.limit),
    ),
)
CASES = (*sets.SETS, ALIGN, SUM)
