"""SEAL's view of a parameter set: context, levels, and the Galois elements in use.

A context is rebuilt from the *name* of a parameter set. Of what arrives only residues are read: degree, primes, level,
scale and form are put around them here, so they cannot be wrong.
"""

from __future__ import annotations

import functools

from tenseal import sealapi

from crypto.ckks.params import ParameterSet, moduli
from crypto.errors import Misuse

FOLD = 4
"""How many repeats of a sum are added up under one key."""


@functools.cache
def context(params: ParameterSet) -> sealapi.SEALContext:
    """SEAL's context of a parameter set; SEAL refuses less than 128-bit security itself."""
    parms = sealapi.EncryptionParameters(sealapi.SCHEME_TYPE.CKKS)
    parms.set_poly_modulus_degree(params.n)
    parms.set_coeff_modulus(list(moduli(params.n, params.levels)))
    built = sealapi.SEALContext(parms, True, sealapi.SEC_LEVEL_TYPE.TC128)
    if not built.parameters_set():
        raise Misuse(f"SEAL refuses the parameter set {params.name}: {built.parameters_error_message()}")
    return built


def level(params: ParameterSet, kept: int) -> tuple[int, ...]:
    """SEAL's `parms_id` of the level with so many primes."""
    data = context(params).first_context_data()
    for _ in range(params.levels - kept):
        data = data.next_context_data()
    return tuple(data.parms_id())


def padded(params: ParameterSet, features: int) -> int:
    """P: the least power of two that holds so many columns of U.

    Raises:
        Misuse: there are none, or more than `max_features`.
    """
    if not 1 <= features <= params.max_features:
        raise Misuse(f"an encrypted fit takes 1 to {params.max_features} columns, not {features}")
    return 1 << (features - 1).bit_length()


def giant_steps(params: ParameterSet, padded: int) -> list[int]:
    """How far a giant step may go: what babies there may be before it, by which a fit chooses its split.

    All of P, or about the square root of it, or 1; where copies of a request are limited, that many too.
    """
    root = 1 << padded.bit_length() // 2
    return sorted({1, padded, *((root, min(root, params.max_babies)) if root < padded // 2 else ())})


def steps(params: ParameterSet, padded: int) -> list[int]:
    """The rotations that have a key of their own: babies go one by one, giants and folds by these steps.

    A fold by FOLD has one key where doubling twice would need two, for one rotation more and the same noise.
    """
    _check_width(params, padded)
    folds, step = [], padded
    while step < params.slots:
        folds.append(step)
        step *= FOLD
    return sorted({step for step in (*giant_steps(params, padded), *folds) if step < padded} | set(folds))


def galois_elements(params: ParameterSet, padded: int) -> list[int]:
    """The Galois elements in use: conjugation (2n - 1), then the rotations of `steps`."""
    return [2 * params.n - 1, *(rotation(params, step) for step in steps(params, padded))]


def rotation(params: ParameterSet, step: int) -> int:
    """The Galois element that moves slot i + step to slot i."""
    return pow(3, step, 2 * params.n)


def _check_width(params: ParameterSet, padded: int) -> None:
    if not 1 <= padded <= params.max_features or padded & (padded - 1):
        raise Misuse(f"a padded width is a power of two up to {params.max_features}, not {padded}")
