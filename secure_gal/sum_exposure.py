"""How many equations the released sums are for the assistors' features, against how many features there are.

With fixed features an assistor's fit is one symmetric matrix, f_m^t = H_m r^t, of rank p_m. Every round releases K sums
sum_m w_m^t H_m r^t for residuals and weights that the sponsor chose: linear equations in the H_m. As T*K comes near
sum_m p_m they can be solved (`secure_gal/attacks/sums.py` does it). So the ratio of the two is limited.
"""

from __future__ import annotations

from collections.abc import Mapping

LIMIT = 0.5
"""T*K / sum p_m above which consent is needed. Measured in tests/test_sum_attacks.py and benchmarks."""
STATEMENT_LABEL = b"secure-gal/1 declared width\0"


def equations(rounds: int, outputs: int) -> int:
    """T*K, for all the rounds that a study may run."""
    return rounds * outputs


def exposure(count: int, widths: Mapping[str, int]) -> float:
    """T*K / sum p_m."""
    return count / sum(widths.values())


def statement(digest: str, run: str, name: str, padded: int, width: int) -> bytes:
    """The bytes that an assistor signs about its width, so that whoever relays cannot change it."""
    return STATEMENT_LABEL + f"{digest} {run} {name} {padded} {width}".encode()


def reason(count: int, widths: Mapping[str, int]) -> str:
    """Why a study above the limit needs consent, in words for a person."""
    listed = ", ".join(f"{name} {width}" for name, width in widths.items())
    return (
        f"the sums of all runs on this data are T*K = {count} equations for the assistors' {sum(widths.values())} features "
        f"({listed}): a ratio of {exposure(count, widths):.2f}, above the limit of {LIMIT:g}. Over rounds the sums are linear "
        "equations in the assistors' features, and the sponsor may begin to solve them. Use fewer rounds, or richer "
        "features, or consent with --consent"
    )
