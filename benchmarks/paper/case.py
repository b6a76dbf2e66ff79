"""One experiment, declared: what it is called, and everything that its result depends on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from benchmarks.paper.data.sources import SOURCES, Source
from benchmarks.paper.data.split import Asked
from secure_gal.settings.party import LocalLoss
from secure_gal.settings.study import LossName

Method = Literal["gal", "alone", "last", "joint", "al", "late", "interm", "central", "boosting", "optimum"]
Mode = Literal["paper", "product", "ckks", "sum"]
CLEAR: tuple[Mode, ...] = ("paper", "product")
"""Both rules, without ciphertexts."""
MODES: Mapping[Mode, str] = {
    "paper": "the paper's rule: weights and rate from fitted values",
    "product": "the product's default: weights and rate from values that no fit has seen",
    "ckks": "the same, residuals encrypted",
    "sum": "the same, and of fitted values only the weighted sum is decrypted",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What one cell of a table is.

    Attributes:
        group: the table. row: its line. data: a name of `SOURCES`. mode: its column, a key of `MODES`.
        method: `gal`; `alone` (the sponsor), `last` (the last party) and `joint` (one party that has everything) play
            GAL's rounds; `al`, `late`, `interm`, `central`, `boosting` and `optimum` are in `methods`.
        learner: of every party, a name of `learners`.
        parties: M. rounds: T. seeds: 0, 1, ..., each of which draws split and columns.
        loss: L_1; `auto` is l1 for a regression, as in the paper, else cross-entropy.
        local_loss: of every party; None: by the paper's rule l1 where L_1 is l1, else l2.
        weights: fitted, or 1/M. rate: eta, searched or constant.
        noise: sigma of what the second half of the parties add to all they predict; 0: none.
        residual_noise: `dp` or `ip`: residuals are noised as in the paper's code; empty: not at all.
        turns: of `al`: fits a round; 0: M.
        even: columns are dealt out by `array_split`.
        validation, patience: rows held out that choose the kept round, and rounds without a better loss that end
            learning; patience 0: all rounds are played.
        rows, test_rows, jpeg: as `Asked`.
        options: of the learner. published: (mean, standard deviation) in the paper. quick: what `--quick` replaces;
            None: it leaves the case out.
    """

    group: str
    row: str
    data: str
    method: Method
    mode: Mode = "paper"
    learner: str = "linear"
    parties: int = 8
    rounds: int = 10
    seeds: int = 4
    loss: LossName | Literal["auto"] = "auto"
    local_loss: LocalLoss | None = None
    weights: Literal["fitted", "uniform"] = "fitted"
    rate: str | float = "search"
    noise: float = 0.0
    residual_noise: Literal["", "dp", "ip"] = ""
    turns: int = 0
    even: bool = False
    validation: float = 0.0
    patience: int = 0
    rows: int = 0
    test_rows: int = 0
    jpeg: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)
    published: tuple[float, float] | None = None
    quick: Mapping[str, Any] | None = None

    @property
    def name(self) -> str:
        """As `--run` takes it."""
        return "/".join((self.group, self.data, re.sub("[^A-Za-z0-9.]+", "-", self.row), self.mode))

    @property
    def source(self) -> Source:
        """Its data set."""
        return SOURCES[self.data]

    @property
    def loss_name(self) -> LossName:
        """L_1 by name."""
        if self.loss != "auto":
            return self.loss
        return "l1" if self.source.task == "regression" else "cross_entropy"

    @property
    def default_loss(self) -> Literal["l1", "l2"]:
        """The local loss where none is named, as a study has it."""
        return "l1" if self.mode == "paper" and self.loss_name == "l1" else "l2"

    def asked(self, seed: int) -> Asked:
        """What it wants of its data set."""
        return Asked(self.parties, seed, self.even, self.rows, self.test_rows, self.jpeg)

    def in_short(self) -> Case | None:
        """As `--quick` runs it."""
        if self.quick is None:
            return None
        merged = dict(self.options) | dict(self.quick.get("options", {}))
        return replace(self, **{"seeds": 1, **self.quick, "options": merged, "quick": None})

    def declared(self) -> dict[str, Any]:
        """All that the result depends on, as JSON has it."""
        left_out = ("seeds", "quick", "published")
        return {key: value for key, value in asdict(self).items() if key not in left_out}
