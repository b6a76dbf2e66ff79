"""Cases on the UCI sets: the paper's table of linear models, and what its other tables and figures vary."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from benchmarks.paper import published
from benchmarks.paper.case import CLEAR, Case, Method, Mode
from benchmarks.paper.data.sources import UCI
from secure_gal.settings.party import LocalLoss

SETS = published.SETS
TWICE = {"seeds": 2}
CIPHERS_IN_SHORT = ("Wine", "Diabetes")
"""Sets whose encrypted runs `--quick` has."""
OURS: dict[str, Any] = {"learner": "linear", "local_loss": "l2"}
"""What ciphertexts can fit, and so what the clear study beside them has."""
CIPHERS: tuple[Mode, ...] = ("ckks", "sum")
BY_RULE: tuple[tuple[Mode, dict[str, Any]], ...] = (("paper", {"learner": "sgd"}), ("product", OURS))
"""A linear model by each rule."""
WEIGHTS: tuple[tuple[Literal["fitted", "uniform"], str], ...] = (("fitted", "w fitted"), ("uniform", "w = 1/M"))
LOCAL_LOSSES: tuple[LocalLoss, ...] = ("l1", "l1.5", "l2", "l4")
COMPARED: tuple[tuple[str, Method], ...] = (("Alone", "alone"), ("AL", "al"), ("GAL", "gal"))
NOISED: tuple[tuple[Literal["dp", "ip"], str], ...] = (
    ("dp", "Laplace, alpha = 1"),
    ("ip", "intervals, one threshold"),
)
"""What is varied, and what lines say of it."""


def _parties(name: str) -> int:
    return 4 if name == "Iris" else 8  # Iris has four columns


def linear() -> Iterator[Case]:
    """The table of linear models, and ablations of eta and w."""
    lines: dict[str, dict[str, Any]] = {
        "Joint": {"method": "joint"},
        "Alone": {"method": "alone"},
        "AL": {"method": "al"},
        "GAL": {"method": "gal"},
        "GAL, eta = 1": {"method": "gal", "rate": 1.0},
        "GAL, w = 1/M": {"method": "gal", "weights": "uniform"},
    }
    for name in UCI:
        base: dict[str, Any] = {"group": "uci", "data": name, "parties": _parties(name), "quick": TWICE}
        known = {line: values.get(name) for line, values in published.LINEAR.items()}
        yield Case(**base, row="Late", method="late", learner="sgd", published=known["Late"])
        for line, settings in lines.items():
            for mode, learner in BY_RULE:
                yield Case(**base, **settings, **learner, row=line, mode=mode, published=known.get(line))
        base["quick"] = {"seeds": 1} if name in CIPHERS_IN_SHORT else None
        for mode in CIPHERS:
            yield Case(**base, **OURS, row="GAL", method="gal", mode=mode, published=known.get("GAL"))


def noisy() -> Iterator[Case]:
    """Half of the parties add noise to all they predict; weights fitted, and 1/M."""
    for name in SETS:
        for sigma in (1.0, 5.0):
            for weights, line in WEIGHTS:
                for mode, learner in BY_RULE:
                    yield Case(
                        group="noise",
                        row=f"sigma = {sigma:g}, {line}",
                        data=name,
                        method="gal",
                        mode=mode,
                        noise=sigma,
                        weights=weights,
                        quick={"seeds": 1},
                        **learner,
                    )


def learners() -> Iterator[Case]:
    """Boosted trees, support vectors, and both; the paper's local models of a regression are fitted by least
    squares."""
    for name in SETS:
        for line, known in published.OTHERS.items():
            for mode in CLEAR:
                yield Case(
                    group="learners",
                    row=f"GAL, {line}",
                    data=name,
                    method="gal",
                    mode=mode,
                    learner=line.lower(),
                    local_loss="l2",
                    published=known[name],
                    quick={"seeds": 1} if name in ("BostonHousing", "Wine") else None,
                )


def local_losses() -> Iterator[Case]:
    """Every party's own loss, and the sponsor's for the weights as ever."""
    for name in ("Diabetes", "BostonHousing"):
        for loss in LOCAL_LOSSES:
            for mode in CLEAR:
                yield Case(
                    group="local-loss",
                    row=f"GAL, local loss {loss}",
                    data=name,
                    method="gal",
                    mode=mode,
                    local_loss=loss,
                    quick={"seeds": 1},
                )


def sizes() -> Iterator[Case]:
    """M = 2, 4 and 8."""
    for name in SETS:
        for parties in (2, 4, 8):
            for line, method in COMPARED:
                for mode, learner in BY_RULE:
                    yield Case(
                        group="parties",
                        row=f"{line}, M = {parties}",
                        data=name,
                        method=method,
                        mode=mode,
                        parties=parties,
                        quick={"seeds": 1} if name in ("Wine", "QSAR") else None,
                        **learner,
                    )


def noised_residuals() -> Iterator[Case]:
    """Residuals noised as in the paper's code, which is no differential privacy (`benchmarks.paper_noise`)."""
    for name in SETS:
        for kind, line in NOISED:
            yield Case(
                group="privacy",
                row=f"GAL, residuals noised: {line}",
                data=name,
                method="gal",
                learner="sgd",
                residual_noise=kind,
                quick={"seeds": 1},
            )
