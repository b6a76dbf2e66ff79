"""What one bad assistor does to a study, with the checks of `secure_gal.gal.doubt` and without.

`python -m benchmarks.bad_party --data DIR [--sets ...] [--splits N] [--out FILE]`: every set is dealt in columns to
three parties, the last of which is bad, and split 80/20; all fit linear heads, ten rounds. Reported is the AUC of new
rows, beside those of the sponsor alone and of the two honest ones. By `mode`: `clear`; and `ckks`, where some training
rows are kept back from the assistors as in the product (with checks), the honest assistor's fits go through real
ciphertexts and a bad one can answer with an encryption of anything, but cannot read a residual: it is
simulated by what the sponsor decrypts, and what is longer than a fit can be is refused, which ends the study. `honest`
in place of the bad one counts false alarms, over more learners.
"""

from __future__ import annotations

import argparse
import platform
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks import generalise_data as data
from benchmarks import output
from benchmarks.encrypted_local import EncryptedLocal
from benchmarks.generalise import KINDS, area
from crypto.ckks.leave_one_out import growth
from crypto.ckks.secret import SecretContext
from crypto.ckks.sets import PARAMETER_SETS
from secure_gal import GAL
from secure_gal.gal.doubt import beyond, credible, told_rows
from secure_gal.gal.ensemble import Ensemble
from secure_gal.gal.losses import get_loss
from secure_gal.gal.split import split_rows, to_unit
from secure_gal.holdings.local import LocalParty, collapse
from secure_gal.learners.base import Model
from secure_gal.learners.cross_fit import folds_for
from secure_gal.learners.linear import LinearLearner
from secure_gal.protection.ckks.sponsor import longest_fit
from secure_gal.settings.party import LearnerSettings

ROUNDS, PARTIES = 10, 3
NAMES = ("sponsor", "honest", "bad")
SETS = ("breast_cancer", "biodeg", "default_credit", "bank")
MODES = ("clear", "ckks")
HELD_OUT = (0.0, 0.2)
"""`validation`: without held-out rows a copy is found, and not what is a little different."""
Values = np.ndarray


class Member(Protocol):
    """A party: values of the study's rows (N, K) for the residual of training rows, and its part of new rows."""

    def answer(self, round_: int, residual: Values, withheld: float) -> Values: ...
    def part(self, coefficients: Values, x: Values) -> Values: ...


class Clear:
    """An honest party, in the clear."""

    def __init__(self, name: str, x: Values, train: Values, encrypted: bool) -> None:
        learner = LinearLearner()
        folds = folds_for(learner, None, int(train.sum()))
        self._local = LocalParty(name, x, train, learner, 0, folds, encrypted)
        self._models: list[Model] = []

    def answer(self, round_: int, residual: Values, withheld: float) -> Values:
        model, values = self._local.fit_round(round_, residual, withheld)
        self._models.append(model)
        return values

    def part(self, coefficients: Values, x: Values) -> Values:
        return collapse(self._models[: len(coefficients)], coefficients, x).astype(np.float64)


class Ciphertexts:
    """An honest party whose fits and parts go through ciphertexts."""

    def __init__(self, name: str, x: Values, train: Values, cipher: SecretContext) -> None:
        learner = LearnerSettings(kind="linear")
        self._party = EncryptedLocal(name, x, train, learner, 0, cipher, leave_one_out=True)
        self._residuals: list[Values] = []

    def answer(self, round_: int, residual: Values, withheld: float) -> Values:
        self._residuals.append(residual)
        return self._party.fit_round(residual)

    def part(self, coefficients: Values, x: Values) -> Values:
        kept = np.stack(self._residuals[: len(coefficients)]).astype(np.float64)
        return self._party.part(np.tensordot(coefficients, kept, 1), x)

    def close(self) -> None:
        self._party.close()


class Bad:
    """A bad party: what it answers is made of the honest answer, the residual and noise.

    Args:
        answer: (honest values (N, K), residual (N_train, K), training mask, generator) to what it sends.
        part: (honest part (n, K), generator) to what it sends of new rows.
    """

    def __init__(
        self, honest: Member, train: Values, answer: Callable[..., Values], part: Callable[..., Values]
    ) -> None:
        self._honest, self._train, self._answer, self._part = honest, train, answer, part
        self._rng = np.random.default_rng(1)

    def answer(self, round_: int, residual: Values, withheld: float) -> Values:
        honest = self._honest.answer(round_, residual, withheld)
        return self._answer(honest, residual, self._train, self._rng).astype(np.float32)

    def part(self, coefficients: Values, x: Values) -> Values:
        return self._part(self._honest.part(coefficients, x), self._rng)


def _noise(honest: Values, residual: Values, train: Values, rng: np.random.Generator) -> Values:
    noise: Values = rng.standard_normal(honest.shape) * residual.std()
    return noise


def _copy(honest: Values, residual: Values, train: Values, rng: np.random.Generator) -> Values:
    values = honest.copy()
    values[train] = residual
    return values


def _near(honest: Values, residual: Values, train: Values, rng: np.random.Generator) -> Values:
    """A copy with a tenth of noise, and noise of rows that it was not told of."""
    values = _noise(honest, residual, train, rng)
    values[train] = residual + 0.1 * values[train]
    return values


def same(honest: Values, *_: Any) -> Values:
    return honest


BAD: dict[str, tuple[Callable[..., Values], Callable[..., Values]]] = {
    "noise": (_noise, same),
    "10^6 noise": (lambda *a: 1e6 * _noise(*a), same),
    "residual": (_copy, lambda part, rng: rng.standard_normal(part.shape)),
    "residual, noised": (_near, lambda part, rng: rng.standard_normal(part.shape)),
    "flipped fits": (lambda honest, *_: -honest, same),
    "wrong prediction, 100 times": (same, lambda part, rng: 100 * part.std() * rng.standard_normal(part.shape)),
    "wrong prediction, same spread": (same, lambda part, rng: rng.permutation(part)),
    "wrong prediction, flipped": (same, lambda part, rng: -part),
}


def study(x: list[Values], y: Values, new: list[Values], truth: Values, how: dict[str, Any]) -> dict[str, Any]:
    """One study of the parties of `x`; the last of three is bad as `how` says."""
    train = split_rows(len(y), how["held_out"], 0)
    names = NAMES[: len(x)]
    loss = get_loss("cross_entropy", 1)
    doubted = names[1:] if how["checked"] else ()
    rule: dict[str, Any] = {"cross_fitted": True, "doubted": doubted, "partly_withheld": how["mode"] == "clear"}
    rule["told"] = told_rows(train, 0) if how["mode"] == "ckks" and how["checked"] else None
    made = Ensemble(loss, y, train, "classification", names, "fitted", "search", 3, ROUNDS, "l2", **rule)
    cipher = SecretContext.generate(PARAMETER_SETS["standard"]) if how["mode"] == "ckks" else None
    members: dict[str, Member] = {n: Clear(n, b, train, how["mode"] == "ckks") for n, b in zip(names, x, strict=True)}
    sealed = Ciphertexts("honest", x[1], train, cipher) if cipher is not None and "honest" in members else None
    if sealed is not None:
        members["honest"] = sealed
    if len(x) == PARTIES:
        members["bad"] = Bad(members["bad"], train, *BAD[how["bad"]])
    try:
        return _learnt(made, members, new, truth, train, how)
    finally:
        if sealed is not None:
            sealed.close()


def _learnt(
    made: Ensemble, members: Any, new: Any, truth: Values, train: Values, how: dict[str, Any]
) -> dict[str, Any]:
    while not made.finished:
        round_, told = len(made.history) + 1, made.told()
        shown = {n: made.residual() if n == "sponsor" else told for n in members}
        fits = {n: m.answer(round_, shown[n], made.withheld(n)) for n, m in members.items()}
        if how["mode"] == "ckks" and "bad" in fits and _too_long(fits["bad"], told, train):
            return {"refused": len(made.history) + 1}
        made.commit(fits)
    worth = {n for n in members if made.coefficients(n).any()}  # the part of another is 0, as in `Prediction.combine`
    pairs = zip(members.items(), new, strict=True)
    parts = {n: m.part(made.coefficients(n), b) for (n, m), b in pairs if n in worth}
    believed = how["checked"]
    counted = {n: credible(made.parts_kept[n], v) if believed and n != "sponsor" else v for n, v in parts.items()}
    f = np.tile(made.F0, (len(truth), 1)) + sum(counted.values())
    marked = beyond(made.parts_kept["bad"], parts["bad"]).mean() if "bad" in parts else 0.0
    aside = {why for r in made.history for why in r.set_aside.values()}
    return {
        "auc": area(truth, f),
        "kept": made.kept,
        "weight": float(np.mean([r.weights.get("bad", 0.0) for r in made.history])),
        "set_aside": sorted(aside),
        "marked": float(marked),
    }


def _too_long(values: Values, residual: Values, train: Values) -> bool:
    """Whether the sponsor refuses these decrypted values, as `DecryptedFits` does."""
    unit, scale = to_unit(residual)
    bound = longest_fit(unit, growth(PARAMETER_SETS["standard"], len(unit), len(train)))
    return bool(np.linalg.norm(values[train] / scale) > bound)


def one_split(name: str, folder: Path, seed: int) -> dict[str, Any]:
    """All kinds of bad party on one split: by mode, held-out share, and with the checks and without."""
    table = data.load(name, folder, seed)
    y = np.unique(table.y, return_inverse=True)[1]
    order = np.random.default_rng(seed).permutation(len(y))
    test, train = np.split(order, [round(data.TEST_SHARE * len(y))])
    blocks = data.encoded(table, train, PARTIES, seed)
    x, new = [b[train] for b in blocks], [b[test] for b in blocks]
    found: dict[str, Any] = {"set": name, "seed": seed, "runs": []}
    for mode in MODES:
        for held_out in HELD_OUT:
            plain = {"mode": mode, "held_out": held_out, "checked": True}
            for parties, name_of in ((1, "alone"), (2, "not there")):
                without = study(x[:parties], y[train], new[:parties], y[test], plain)
                found["runs"].append(plain | {"bad": name_of} | without)
            for bad in BAD:
                for checked in (False, True):
                    how = plain | {"bad": bad, "checked": checked}
                    found["runs"].append(how | study(x, y[train], new, y[test], how))
    return found


def false_alarms(name: str, folder: Path, seed: int) -> list[dict[str, Any]]:
    """Rounds in which an honest assistor was set aside, by learner; with a fifth of the rows held out."""
    table = data.load(name, folder, seed)
    rows = np.random.default_rng(seed).permutation(len(table.y))[:2000]
    blocks = data.encoded(table, rows, PARTIES, seed)
    found = []
    for kind in ("linear", "gb", "forest", "1-NN"):
        made = GAL(rounds=5, learners=KINDS[kind](), validation=0.2, seed=seed).fit(
            [b[rows] for b in blocks], table.y[rows]
        )
        aside = sum(len(r.set_aside) for r in made.history_)
        found.append({"set": name, "seed": seed, "learner": kind, "fits": 2 * len(made.history_), "set_aside": aside})
    return found


def show(result: dict[str, Any]) -> None:
    """Means over sets and splits, to standard error."""
    console = Console(file=sys.stderr, width=150)
    runs = [run for split in result["splits"] for run in split["runs"]]
    table = Table(title="AUC of new rows: mean (least); `refused`: the study ended, naming the party")
    for column in ("mode", "held out", "bad party", "without checks", "with checks", "set aside", "rows marked"):
        table.add_column(column)
    for mode in MODES:
        for held_out in HELD_OUT:
            for bad in ("alone", "not there", *BAD):
                of = [r for r in runs if (r["mode"], r["held_out"], r["bad"]) == (mode, held_out, bad)]
                cells = [_mean([r for r in of if r["checked"] is checked]) for checked in (False, True)]
                checked = [r for r in of if r["checked"] and "auc" in r]
                aside = sum(bool(r["set_aside"]) for r in checked)
                marked = np.mean([r["marked"] for r in checked]) if checked else float("nan")
                table.add_row(mode, f"{held_out:g}", bad, *cells, f"{aside} of {len(checked)}", f"{marked:.3f}")
    console.print(table)
    alarms = result["honest"]
    console.print(f"honest fits set aside: {sum(a['set_aside'] for a in alarms)} of {sum(a['fits'] for a in alarms)}")


def _mean(runs: list[dict[str, Any]]) -> str:
    aucs = [r["auc"] for r in runs if "auc" in r]
    refused = f"{len(runs) - len(aucs)} refused" if len(aucs) < len(runs) else ""
    return " ".join(filter(None, [f"{np.mean(aucs):.3f} ({min(aucs):.3f})" if aucs else "", refused])) or "-"


def main() -> None:
    """Parse arguments, run, print a table to stderr and one JSON object to stdout or --out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of data sets (tabular/, uci/)")
    parser.add_argument("--sets", nargs="+", choices=SETS, help="default: all that are there")
    parser.add_argument("--splits", type=int, default=2)
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()

    warnings.filterwarnings("ignore")
    names = chosen.sets or [name for name in SETS if data.there(name, chosen.data)]
    result = {
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
        "splits": [one_split(n, chosen.data, seed) for n in names for seed in range(chosen.splits)],
        "honest": [
            found for n in names for seed in range(chosen.splits) for found in false_alarms(n, chosen.data, seed)
        ],
    }
    output.write(result, chosen.out)
    show(result)


if __name__ == "__main__":
    main()
