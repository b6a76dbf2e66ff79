"""The sponsor's side of a prediction batch whose parts come as CKKS ciphertexts (PROTOCOL.md steps 12 and 13)."""

from __future__ import annotations

from typing import cast

import numpy as np
import numpy.typing as npt

from crypto.ckks.ciphertexts import check_replies
from crypto.ckks.sets import named
from crypto.ckks.slots import Table
from secure_gal.effects import Compute, Effect, State
from secure_gal.encrypted_sponsor import Cipher
from secure_gal.errors import PeerViolation, blamed
from secure_gal.messages import EncryptedPredictReply, Message
from secure_gal.protocol_predict import Domain, Part, PredictionProtocol
from secure_gal.study import Study

Bytes = npt.NDArray[np.uint8]


class EncryptedPrediction(PredictionProtocol):
    """`PredictionProtocol` with `residuals = "ckks"`: a part is Enc(part / scale), scale from the end of training."""

    REPLY = EncryptedPredictReply

    def __init__(
        self,
        study: Study,
        state: State,
        ids: tuple[str, ...],
        outputs: int,
        cipher: Cipher,
        domain: Domain | None = None,
    ) -> None:
        super().__init__(study, state, ids, outputs, domain)
        self._cipher, self._parameters = cipher, named(study.protect.parameter_set)
        self._opening: set[str] = set()

    def _on_reply(self, peer: str, message: Message) -> list[Effect]:
        """Check what can be checked before decryption, which is a job."""
        if not isinstance(message, EncryptedPredictReply) or peer in self._opening:
            raise PeerViolation(peer, f"{message.KIND} is not legal during an encrypted prediction, or came twice")
        self._check_known(peer, message.known)
        table = Table(self._parameters, len(message.known), self._outputs)
        with blamed(peer):
            check_replies(self._parameters, message.ciphertexts, table.ciphertexts)
        self.state.put(f"batch/reply/{peer}", message.ciphertexts)
        self.state.put(f"batch/replied/{peer}", message.known)
        return [self._decrypt(peer)]

    def _take_up(self) -> list[Effect]:
        effects = super()._take_up()
        return effects + [self._decrypt(p) for p in self._study.assistors if f"batch/reply/{p}" in self.state]

    def _decrypt(self, peer: str) -> Compute:
        self._opening.add(peer)
        ciphertexts, known = self.state.array(f"batch/reply/{peer}"), self.state.array(f"batch/replied/{peer}")
        scale = float(self.state.array(f"scale/{peer}")[0])
        return Compute(f"decrypt/{peer}", lambda: self._open(peer, ciphertexts, known, scale))

    def computed(self, tag: str, result: object) -> list[Effect]:
        """Take a decrypted part."""
        if not tag.startswith("decrypt/"):
            return super().computed(tag, result)
        peer = tag.partition("/")[2]
        self._opening.discard(peer)
        for key in ("reply", "replied"):
            self.state.drop(f"batch/{key}/{peer}")
        return self._take(peer, cast(Part, result))

    def _open(self, peer: str, ciphertexts: Bytes, known: Bytes, scale: float) -> Part:
        with blamed(peer):
            values = self._cipher.decrypt(ciphertexts, len(known), self._outputs, peer) * scale
        values[known == 0] = 0.0
        return self._over_all_ids(peer, known, values)
