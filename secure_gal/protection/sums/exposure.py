"""How many equations the released sums are for the assistors' features, against how many features there are.

Every round releases K sums sum_m w_m^t f_m^t, each a combination of everyone's features, for residuals and weights that
the sponsor chose. Two ratios say how far T*K of them go (measured: benchmarks/sum_exposure.py, decision 0010):

- T*K / sum_m p_m. As it comes near 1 the sums span all features, and with one map for all rounds, f_m^t = H_m r^t, they
  can be solved for each assistor's H_m.
- T*K / p_m of one assistor. Where it dominates the sum, the others' features hide little, and only its own count. An
  assistor with fewer than five features is beyond this limit after one sum: that sum is a noisy copy of one of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from secure_gal.settings.limits import LIMIT, OWN_LIMIT

STATEMENT_LABEL = b"secure-gal/1 declared width\0"


def equations(rounds: int, outputs: int) -> int:
    """T*K, for all the rounds that a study may run."""
    return rounds * outputs


def exposure(count: int, widths: Mapping[str, int]) -> float:
    """T*K / sum p_m."""
    return count / sum(widths.values())


def statement(digest: str, run: str, name: str, padded: int, width: int, fresh: bool) -> bytes:
    """The bytes that an assistor signs about its features, so that whoever relays cannot change it."""
    return STATEMENT_LABEL + f"{digest} {run} {name} {padded} {width} {int(fresh)}".encode()


def most_equations(widths: Mapping[str, int], name: str, sums: float = LIMIT, own_sums: float = OWN_LIMIT) -> int:
    """The largest T*K that is within both limits of assistor `name`."""
    return math.floor(min(sums * sum(widths.values()), own_sums * widths[name]) + 1e-9)


def reason(count: int, widths: Mapping[str, int], name: str, sums: float = LIMIT, own_sums: float = OWN_LIMIT) -> str:
    """Why assistor `name` takes no part, in words for the person who may decide otherwise; empty within both limits."""
    own, ratio, listed = count / widths[name], exposure(count, widths), ", ".join(f"{n} {p}" for n, p in widths.items())
    if count <= most_equations(widths, name, sums, own_sums):
        return ""
    few = f". With {widths[name]} features no ratio is low enough: the first sum is a noisy copy of one of them"
    return (
        f"the sums of all runs on this data are T*K = {count} equations for the assistors' {sum(widths.values())} "
        f"features ({listed}): a ratio of {ratio:.2f} (limit {sums:g}), and of {own:.2f} for its own features (limit "
        f"{own_sums:.2f})"
        f"{few if OWN_LIMIT * widths[name] < 1 else ''}. Above a limit the sponsor may reconstruct features from the "
        f"sums. Use fewer rounds or more columns, or go beyond on purpose: {_flags(ratio, own)}"
    )


def _flags(ratio: float, own: float) -> str:
    """What a person states to go as far as these two ratios, rounded up; consent to the study says nothing of them."""
    needed = {"sums": (ratio, LIMIT), "own-sums": (own, OWN_LIMIT)}
    return " ".join(
        f"--beyond {n}={math.ceil(100 * r - 1e-9) / 100:g}" for n, (r, usual) in needed.items() if r > usual
    )
