"""`residuals = "ckks"` in a prediction batch: a part comes as Enc(part / scale), scale from the end of learning."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from crypto.ckks.ciphertexts import check_replies
from crypto.ckks.params import ParameterSet
from crypto.ckks.slots import Packing
from secure_gal.effects import Compute, Effect
from secure_gal.errors import PeerViolation, blamed
from secure_gal.messages import EncryptedPredictReply, Message
from secure_gal.protection.batch import Batched, Part
from secure_gal.protection.ciphers import Cipher
from secure_gal.protection.clear.parts import ask_by_id, ask_by_row, know_what_was_asked, refusal
from secure_gal.state import ARRAY, Entries

Bytes = npt.NDArray[np.uint8]


class DecryptedParts:
    """At the sponsor: every assistor's part of a batch, decrypted."""

    def __init__(self, cipher: Cipher, parameters: ParameterSet) -> None:
        self._cipher, self._parameters = cipher, parameters

    def begin(self, batch: Batched) -> list[Effect]:
        """Ask everyone for all ids."""
        return ask_by_id(batch)

    def aligned(self, batch: Batched) -> list[Effect]:
        """Ask for the rows that have become known."""
        return ask_by_row(batch)

    def resume(self, batch: Batched) -> list[Effect]:
        """What was decrypted is on disk, what came is decrypted, with the same noise as before."""
        know_what_was_asked(batch)
        batch.resume()
        return [self._decrypt(batch, peer) for peer in batch.assistors if peer in _replies(batch)]

    def waiting_for(self, batch: Batched) -> list[str]:
        """Who has not answered, or whose part is not decrypted yet."""
        return [peer for peer in batch.assistors if peer not in batch.parts]

    def receive(self, batch: Batched, peer: str, message: Message) -> list[Effect]:
        """Check what can be checked before decryption, which is a job."""
        if not isinstance(message, EncryptedPredictReply) or peer in _replies(batch):
            raise PeerViolation(peer, f"{message.KIND} is not legal during an encrypted prediction, or came twice")
        if (refused := refusal(batch, peer, message.batch)) is not None:
            return refused
        batch.check_known(peer, message.known)
        table = Packing(self._parameters, len(message.known), batch.outputs)
        with blamed(peer):
            check_replies(self._parameters, message.ciphertexts, table.ciphertexts)
        _replies(batch)[peer] = message.ciphertexts
        _replied(batch)[peer] = message.known
        return [self._decrypt(batch, peer)]

    def _decrypt(self, batch: Batched, peer: str) -> Compute[Part]:
        ciphertexts, known, scale = _replies(batch)[peer], _replied(batch)[peer], batch.scales[peer]

        def opened() -> Part:
            with blamed(peer):
                values = self._cipher.decrypt(ciphertexts, len(known), batch.outputs, peer) * scale
            values[known == 0] = 0.0
            return batch.over_all_ids(peer, known, values)

        def taken(part: Part) -> list[Effect]:
            _replies(batch).drop(peer)
            _replied(batch).drop(peer)
            return batch.take(peer, part)

        return Compute("decrypt", opened, taken)

    def parts(self, batch: Batched) -> dict[str, Part]:
        """As they were decrypted."""
        return batch.parts


def _replies(batch: Batched) -> Entries[Bytes]:
    """Ciphertexts that were not decrypted yet."""
    return Entries(batch.state, "batch/reply/", ARRAY)


def _replied(batch: Batched) -> Entries[Bytes]:
    """Which rows they say they know."""
    return Entries(batch.state, "batch/replied/", ARRAY)
