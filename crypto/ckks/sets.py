"""The parameter sets that there are, by name. docs/decisions/0003 and 0010 derive their numbers."""

from __future__ import annotations

from crypto.ckks.params import ParameterSet

_SUM_SECURITY = "128-bit security (ePrint 2024/463: 300 of at most 430 bits)"
PARAMETER_SETS = {
    "standard": ParameterSet(
        name="standard",
        n=8192,
        levels=2,
        request_bits=60,
        first_bits=24,
        second_bits=28,
        flooding_bits=94,
        release_bits=93,
        request_kept=10,
        reply_kept=(4, 9),
        kappa=35,
        secrecy=41,
        error=1e-3,
        security="128-bit security (ePrint 2024/463: 180 of at most 214 bits)",
    ),
    "strict": ParameterSet(
        name="strict",
        n=16384,
        levels=3,
        request_bits=94,
        first_bits=38,
        second_bits=40,
        flooding_bits=90,
        release_bits=86,
        request_kept=14,
        reply_kept=(4, 10),
        kappa=71,
        secrecy=46,
        error=1e-4,
        security="192-bit security (ePrint 2024/463: 240 of at most 305 bits)",
    ),
}
"""By name, for encrypted fits that the key owner decrypts one by one; `standard` is the default."""
SUM_SETS = {
    # Decision 0010: one ring, and three stages of what is made from one request. `sum` is what the key's owner gets;
    # the other two go to the combiner, who multiplies by up to 2**64 and 2**20 to get there.
    "sum": ParameterSet(
        name="sum",
        n=16384,
        levels=4,
        request_bits=90,
        first_bits=39,
        second_bits=103,
        flooding_bits=90,
        release_bits=86,
        request_kept=22,
        reply_kept=(4, 10),
        max_packed=16,
        kappa=71,
        secrecy=43,
        error=2e-4,
        security=_SUM_SECURITY,
    ),
    "sum-training": ParameterSet(
        name="sum-training",
        n=16384,
        levels=4,
        request_bits=90,
        first_bits=39,
        second_bits=39,
        flooding_bits=0,
        release_bits=0,
        request_kept=22,
        reply_kept=(14, 19),
        max_packed=16,
        kappa=0,
        secrecy=0,
        error=0.0,
        reply_levels=3,
        security=_SUM_SECURITY,
    ),
    "sum-rows": ParameterSet(
        name="sum-rows",
        n=16384,
        levels=4,
        request_bits=90,
        first_bits=39,
        second_bits=83,
        flooding_bits=0,
        release_bits=0,
        request_kept=22,
        reply_kept=(8, 13),
        max_packed=16,
        kappa=0,
        secrecy=0,
        error=0.0,
        security=_SUM_SECURITY,
    ),
}
"""By name, for sum-only predictions."""


def named(name: str) -> ParameterSet:
    """The parameter set of that name; KeyError if there is none."""
    return PARAMETER_SETS[name] if name in PARAMETER_SETS else SUM_SETS[name]
