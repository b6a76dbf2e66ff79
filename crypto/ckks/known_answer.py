"""A known answer of SEAL's bindings: every kind of arithmetic that is in use, from fixed seeds, in some 30 ms.

SEAL draws from a seeded generator here, so keys and encryptions are the same every time: they are public, made of this
file's constants, and protect nothing. What SEAL computes is exact, so every build must hold the same residues. Ring and
primes are those of `standard`; `tests/vectors/ckks-known-answer.json` has each step, computed with TenSEAL's wheel.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from types import ModuleType

import numpy as np

from crypto.ckks import sealapi_files

DEGREE, PRIMES = 8192, 3
SCALE = 2.0**25
ELEMENT = 3
"""The Galois element of a rotation by one slot."""
_SEED = tuple(range(1, 9))
_VALUES = b"secure-gal known answer"
ANSWER = "05f021890d92b09f7a56bb930d03003db7b76aab074860647e7c60781027636a"
"""`digest` of `steps`, by the module in TenSEAL's wheel."""


def digest(steps: dict[str, str]) -> str:
    """SHA-256 over the steps' digests, in order."""
    return hashlib.sha256("".join(steps.values()).encode()).hexdigest()


def steps(module: ModuleType) -> dict[str, str]:
    """SHA-256 of what SEAL holds after each step.

    Args:
        module: the bindings `_sealapi_cpp`, of whichever build.
    """
    found: dict[str, str] = {}
    context, keys = _context(module), _keys(module)
    generator = module.KeyGenerator(context)
    public, relin, galois = keys["public"], keys["relin"], keys["galois"]
    generator.create_public_key(public)
    generator.create_relin_keys(relin)
    generator.create_galois_keys([ELEMENT], galois)
    for name, key in keys.items():
        found[name] = _sha256(key)
    plain, ciphertext = module.Plaintext(), module.Ciphertext()
    module.CKKSEncoder(context).encode(_values(), SCALE, plain)
    found["encode"] = _sha256(plain)
    module.Encryptor(context, public).encrypt(plain, ciphertext)
    found["encrypt"] = _sha256(ciphertext)
    evaluator = module.Evaluator(context)
    in_place: dict[str, Callable[[sealapi_files.SealObject], None]] = {
        "rotate": lambda c: evaluator.apply_galois_inplace(c, ELEMENT, galois),
        "subtract plain": lambda c: evaluator.sub_plain_inplace(c, plain),
        "negate": evaluator.negate_inplace,
        "multiply plain": lambda c: evaluator.multiply_plain_inplace(c, plain),
        "add": lambda c: evaluator.add_inplace(c, c),
        "square": evaluator.square_inplace,
        "relinearise": lambda c: evaluator.relinearize_inplace(c, relin),
        "rescale": evaluator.rescale_to_next_inplace,
        "to coefficients": evaluator.transform_from_ntt_inplace,
        "to the NTT": evaluator.transform_to_ntt_inplace,
    }
    for name, step in in_place.items():
        step(ciphertext)
        found[name] = _sha256(ciphertext)
    module.Decryptor(context, generator.secret_key()).decrypt(ciphertext, plain)
    return found | {"decrypt": _sha256(plain)}


def _context(module: ModuleType) -> object:
    parms = module.EncryptionParameters(module.SCHEME_TYPE.CKKS)
    parms.set_poly_modulus_degree(DEGREE)
    parms.set_coeff_modulus(list(module.CoeffModulus.Create(DEGREE, [sealapi_files.PRIME_BITS] * PRIMES)))
    parms.set_random_generator(module.Blake2xbPRNGFactory(list(_SEED)))
    return module.SEALContext(parms, True, module.SEC_LEVEL_TYPE.TC128)


def _keys(module: ModuleType) -> dict[str, sealapi_files.SealObject]:
    return {"public": module.PublicKey(), "relin": module.RelinKeys(), "galois": module.GaloisKeys()}


def _values() -> list[complex]:
    """As many as there are slots, with real and imaginary parts in [-1, 1), multiples of 2**-15."""
    raw = np.frombuffer(hashlib.shake_256(_VALUES).digest(2 * DEGREE), dtype="<i2") / 2**15
    found: list[complex] = (raw[::2] + 1j * raw[1::2]).tolist()
    return found


def _sha256(thing: sealapi_files.SealObject) -> str:
    return hashlib.sha256(sealapi_files.save(thing)).hexdigest()
