"""The sponsor's secret key as ports use it: `crypto.ckks.secret.SecretContext`, or that of sums."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from secure_gal.errors import StateError

if TYPE_CHECKING:
    from crypto.ckks.fits import Layout
    from crypto.ckks.products import Products
    from crypto.errors import Malformed

Bytes = npt.NDArray[np.uint8]
Values = npt.NDArray[np.float64]


@runtime_checkable
class Cipher(Protocol):
    """Where residuals or fits are ciphertexts; every method may take long."""

    def issue(self, padded: int, held: str, *, combines: bool = False) -> bytes: ...
    def encrypt(self, values: Values) -> Bytes: ...
    def decrypt(self, replies: Bytes, rows: int, outputs: int, source: str) -> Values: ...
    def refuse(self, source: str, rule: str) -> Malformed: ...


@runtime_checkable
class SumCipher(Cipher, Protocol):
    """Where sums are (`crypto.ckks.secret_sum.SumContext`); every method may take long."""

    def encrypt_difference(self, values: Values) -> Bytes: ...
    def decrypt_products(self, products: Bytes, count: int, scaling: Products) -> Values: ...
    def decrypt_sum(self, replies: Bytes, layout: Layout, source: str) -> Values: ...


def given(cipher: Cipher | None) -> Cipher:
    """The key of a study that has one; StateError where its ports were given none."""
    if cipher is None:
        raise StateError("a study that decrypts needs its secret key")
    return cipher


def of_sums(cipher: Cipher | None) -> SumCipher:
    """The same of a study of sums; StateError for a key that opens none."""
    if not isinstance(cipher, SumCipher):
        raise StateError(f"a study of sums needs a secret key that opens them, not {cipher!r}")
    return cipher
