"""The circuit of the ridge fit on noise-free phases: what a reply would be if key switching and rounding cost nothing.

`Exact` has the methods of `Calculator`, but its "ciphertexts" are phases c0 + c1 s mod the primes. Run beside the real
circuit from the same requests, it isolates the noise that the circuit added, which is the noise that depends on the
assistor's data.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from tenseal import sealapi

from crypto.ckks import sealapi_files
from crypto.ckks.calculator import Calculator
from crypto.ckks.params import ParameterSet
from crypto.ckks.ridge_blocks import Encodings
from crypto.ckks.sealapi_files import Bytes
from crypto.ckks.secret import SecretContext
from crypto.ckks.slots import Slots

Phase = npt.NDArray[np.object_]


class Undithered(Encodings):
    """U rounded to the nearest: every encoding of the same U is the same."""

    def _dithered(self, slots: Slots) -> Slots:
        return slots


def phase(calculator: Calculator, secret: SecretContext, ciphertext: sealapi.Ciphertext) -> Phase:
    """c0 + c1 s of a ciphertext on all primes of a request, (levels, n)."""
    params = calculator.params
    saved = sealapi_files.save(ciphertext)
    c0, c1 = sealapi_files.split_ciphertext(saved, params.levels, params.n, seeded=False)[0].astype(object)
    return (c0 + c1 * secret_residues(secret)) % moduli(params)


def secret_residues(secret: SecretContext) -> Phase:
    """s in transformed form, (levels, n)."""
    words = sealapi_files.save(secret._secret)[-8 * (secret.params.levels + 1) * secret.params.n :]
    return np.frombuffer(words, dtype="<u8").reshape(-1, secret.params.n)[: secret.params.levels].astype(object)


def plain_residues(plain: sealapi.Plaintext, params: ParameterSet) -> Phase:
    """A plaintext's residues in transformed form, (levels, n)."""
    words = sealapi_files.save(plain)[-8 * params.levels * params.n :]
    return np.frombuffer(words, dtype="<u8").reshape(params.levels, params.n).astype(object)


def moduli(params: ParameterSet) -> Phase:
    return np.array(params.primes[: params.levels], dtype=object)[:, None]


def coefficients(calculator: Calculator, residues: Phase) -> Phase:
    """Transformed residues to centred coefficients, by SEAL's inverse transform and the Chinese remainder theorem."""
    params = calculator.params
    words = np.stack([residues.astype(np.uint64), np.ones_like(residues, dtype=np.uint64)])
    carrier = calculator._rebuild(words, 1.0)
    calculator._evaluator.transform_from_ntt_inplace(carrier)
    saved = sealapi_files.save(carrier)
    rows = sealapi_files.split_ciphertext(saved, params.levels, params.n, seeded=False)[0][0].astype(object)
    primes = params.primes[: params.levels]
    whole = math.prod(primes)
    total = sum(row * (whole // q) * pow(whole // q, -1, q) for row, q in zip(rows, primes, strict=True)) % whole
    return np.where(total > whole // 2, total - whole, total)


class Exact(Calculator):
    """Phases for ciphertexts: a phase is SEAL's first polynomial, and what stands in the second is never looked at.
    `sanitise` keeps what it is given in `results`."""

    def __init__(self, real: Calculator, secret: SecretContext) -> None:
        self.__dict__ |= real.__dict__
        self.real, self.secret, self.results = real, secret, list[Phase | None]()
        bits = self.params.n.bit_length() - 1
        reverse = np.array([int(f"{i:0{bits}b}"[::-1], 2) for i in range(self.params.n)])
        self._exponents = 2 * reverse + 1  # SEAL's transform puts the value at psi**(2 bitrev(i) + 1) at position i
        self._positions = np.empty(2 * self.params.n, dtype=int)
        self._positions[self._exponents] = np.arange(self.params.n)

    def read_request(self, row: Bytes) -> sealapi.Ciphertext:
        request = self.real.read_request(row)
        return self._carried(phase(self.real, self.secret, request).astype(np.uint64), request.scale)

    def read_sum(self, packed, bits):  # type: ignore[no-untyped-def]
        packed.scale = 2.0**bits  # of g twice that of z, whose values it has
        return packed

    def write_sum(self, ciphertext):  # type: ignore[no-untyped-def]
        return ciphertext

    def _carried(self, first: sealapi_files.Residues, scale: float) -> sealapi.Ciphertext:
        return self._rebuild(np.stack([first, np.ones_like(first)]), scale)

    def _first(self, ciphertext: sealapi.Ciphertext) -> sealapi_files.Residues:
        params = self.params
        return sealapi_files.split_ciphertext(sealapi_files.save(ciphertext), params.levels, params.n, seeded=False)[0][
            0
        ]

    def phase(self, ciphertext: sealapi.Ciphertext) -> Phase:
        """What `phase` gives of a real one."""
        return self._first(ciphertext).astype(object)

    def _apply(self, ciphertext: sealapi.Ciphertext, element: int) -> sealapi.Ciphertext:
        turned = self._positions[self._exponents * element % (2 * self.params.n)]
        return self._carried(self._first(ciphertext)[:, turned], ciphertext.scale)

    def sanitise(self, fitted, bits):  # type: ignore[no-untyped-def]
        self.results.append(None if fitted is None else self.phase(fitted))
        return np.zeros(self.params.reply_bytes, dtype=np.uint8)


class Unsanitised(Calculator):
    """The real circuit up to, and not including, sanitising; `results` has the phases."""

    def __init__(self, real: Calculator, secret: SecretContext) -> None:
        self.__dict__ |= real.__dict__
        self.secret, self.results = secret, list[Phase]()

    def sanitise(self, fitted, bits):  # type: ignore[no-untyped-def]
        self.results.append(phase(self, self.secret, fitted))
        return np.zeros(self.params.reply_bytes, dtype=np.uint8)
