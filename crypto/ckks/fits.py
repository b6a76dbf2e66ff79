"""Fitted values on their way to the combiner, who adds up those of several evaluators, and its keys (decision 0010).

One ring, `sum`. Training rows and all other rows have ciphertexts of their own: a fit of training rows keeps three
primes, because it is multiplied by another one; every other row keeps two. Nothing here needs the secret key.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from crypto.ckks import sealapi_files
from crypto.ckks.ciphertexts import check_replies, checked
from crypto.ckks.sealapi_files import SEED_BYTES, Bytes
from crypto.ckks.sets import SUM_SETS
from crypto.ckks.slots import Packing
from crypto.errors import Malformed

SUM, TRAINING, ROWS = (SUM_SETS[name] for name in ("sum", "sum-training", "sum-rows"))
"""What the key owner gets; fits of training rows; validation rows and predictions."""
WEIGHT_BITS = 20
"""Weights are multiples of 2**-20."""
MAX_VALUE = 8.0
"""Largest |fitted value|, in units of the largest residual, that is encrypted."""
MAX_PART = 16.0
"""Largest |sum of all parts| of a prediction in the key owner's unit, so each of A evaluators may encrypt 16 / A."""
DIFFERENCE_BYTES = sealapi_files.packed_bytes(1, TRAINING.reply_levels, TRAINING.n) + SEED_BYTES
"""The key owner's own f_1 - r: encrypted with the secret key, so its second polynomial is a seed."""


@dataclass(frozen=True)
class Layout:
    """How N rows lie in ciphertexts: training rows in theirs, then the others in theirs.

    Attributes:
        train: training rows.
        others: validation rows, or rows to predict.
        outputs: K.
    """

    train: int
    others: int
    outputs: int

    @property
    def training(self) -> Packing:
        """Of fits of the training rows, also of the key owner's own and of what is released about them."""
        return Packing(TRAINING, self.train, self.outputs)

    @property
    def rest(self) -> Packing:
        """Of all other rows."""
        return Packing(ROWS, self.others, self.outputs)

    @property
    def ciphertexts(self) -> int:
        """Ciphertexts of one sum."""
        return self.training.ciphertexts + self.rest.ciphertexts

    @property
    def fit_bytes(self) -> int:
        """Bytes of one evaluator's fit."""
        return self.training.ciphertexts * TRAINING.reply_bytes + self.rest.ciphertexts * ROWS.reply_bytes

    def split(self, fit: bytes) -> tuple[Bytes, Bytes]:
        """(training, others) of a fit, uint8 (ciphertexts, reply_bytes) each.

        Raises:
            Malformed: another length; residues are for `check`.
        """
        if len(fit) != self.fit_bytes:
            raise Malformed(f"a fit of {len(fit)} bytes; {self.fit_bytes} are due")
        body = np.frombuffer(fit, dtype=np.uint8)
        cut = self.training.ciphertexts * TRAINING.reply_bytes
        return body[:cut].reshape(-1, TRAINING.reply_bytes), body[cut:].reshape(-1, ROWS.reply_bytes)

    def check(self, fit: bytes) -> None:
        """Refuse a fit that nothing could be computed with; raises as `crypto.ckks.check_replies`, and for its
        length."""
        for params, table, part in zip((TRAINING, ROWS), (self.training, self.rest), self.split(fit), strict=True):
            check_replies(params, part, table.ciphertexts)

    def check_difference(self, array: Bytes) -> None:
        """Refuse what is not the key owner's own difference, uint8 (ciphertexts, DIFFERENCE_BYTES); Malformed."""
        due = (self.training.ciphertexts, DIFFERENCE_BYTES)
        if array.dtype != np.uint8 or array.shape != due:
            raise Malformed(f"the key owner's own difference must have the shape {due}, not {array.shape}")
        for row in array:
            checked(TRAINING, row[:-SEED_BYTES], TRAINING.reply_levels)
