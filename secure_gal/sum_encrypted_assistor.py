"""The assistor whose fits are made on ciphertexts and seen by the sponsor as sums only."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from secure_gal import messages
from secure_gal.effects import Compute, Effect
from secure_gal.encrypted_assistor import EncryptedAssistor
from secure_gal.sum_assistor import SumAssistor

Bytes = npt.NDArray[np.uint8]


class SumEncryptedAssistor(SumAssistor, EncryptedAssistor):
    """`SumAssistor` with `residuals = "ckks"`: the fit itself is made on ciphertexts."""

    TRANSITIONS = EncryptedAssistor.TRANSITIONS | {"declaring": SumAssistor.TRANSITIONS["declaring"]}
    SERVES_WITH_KEYS = False  # `EncryptedModel.answer` gets them

    def _prepared(self, encoder: bytes) -> list[Effect]:
        effects = super()._prepared(encoder)
        return [*effects, *([self._make_head()] if "combination" in self.state else [])]

    def _on_encrypted(self, message: messages.EncryptedResidual) -> list[Effect]:
        super()._on_encrypted(message)  # the fit itself may have to wait
        return self._pending()

    def _fit(self) -> Compute:
        job, round_ = super()._fit(), self.rounds + 1

        def fit() -> object:
            self._sums.begin_round(round_)
            return job.job()

        return Compute(job.tag, fit) if self._sums.fresh else job

    @property
    def _heads(self) -> int:
        return self.rounds if self._sums.fresh else 1

    def _cost(self, rows: int) -> int:
        """The noise that depends on this party's data adds up over heads, and replies count by its square (tau)."""
        return super()._cost(rows) * self._heads**2

    def _fitted_encrypted(self, round_: int, replies: Bytes) -> list[Effect]:
        return self._leave(round_, replies.tobytes())

    def _answered(self, number: str, result: tuple[Bytes, Bytes]) -> list[Effect]:
        return self._leave_part(int(number), *result)
