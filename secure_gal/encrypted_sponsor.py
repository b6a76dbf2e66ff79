"""The sponsor where residuals travel as CKKS ciphertexts (PROTOCOL.md steps 6a to 11 under encryption).

What differs from the clear protocol: assistors declare a width and get evaluation keys, residuals leave encrypted, fits
come back encrypted, and the learning stage ends with one `Enc(R_m)` an assistor instead of its coefficients.
"""

from __future__ import annotations

from typing import Protocol, cast

import numpy as np
import numpy.typing as npt

from crypto.ckks.ciphertexts import check_replies
from crypto.ckks.sets import named
from crypto.ckks.slots import Table
from crypto.errors import Malformed
from secure_gal import events, messages, protocol_sponsor
from secure_gal.effects import Compute, Effect, Send, State
from secure_gal.encrypted_rows import study_order, to_unit
from secure_gal.errors import PeerViolation, blamed
from secure_gal.messages import EncryptedFitted, Features, Message
from secure_gal.protocol_sponsor import SponsorProtocol
from secure_gal.roles import Context, SponsorModel

Bytes = npt.NDArray[np.uint8]
NORM_SLACK = 1.01
"""A ridge fit is no longer than its residual, ||f||_2 <= ||r||_2; this much more is left to CKKS's error."""


class Cipher(Protocol):
    """The sponsor's secret key (`crypto.ckks.secret.SecretContext`); every method may take long."""

    def public_keys(self, padded: int) -> bytes: ...
    def encrypt(self, values: npt.NDArray[np.float64]) -> Bytes: ...
    def decrypt(self, replies: Bytes, rows: int, outputs: int, source: str) -> npt.NDArray[np.float64]: ...
    def refuse(self, source: str, rule: str) -> Malformed: ...


class EncryptedSponsor(SponsorProtocol):
    """`SponsorProtocol` with `residuals = "ckks"`."""

    TRANSITIONS = protocol_sponsor.TRANSITIONS | {
        "declaring": frozenset({"features"}),
        "learning": frozenset({"encrypted-fitted"}),
    }

    def __init__(
        self, context: Context, model: SponsorModel, state: State, nonce: bytes, cipher: Cipher, widest: int
    ) -> None:
        super().__init__(context, model, state, nonce)
        self._cipher, self._widest = cipher, widest
        self._parameters = named(context.study.protect.parameter_set)

    def computed(self, tag: str, result: object) -> list[Effect]:
        """Take the result of a job that an earlier effect asked for."""
        kind, _, rest = tag.partition("/")
        if kind == "keys":
            return self._keyed(rest, cast(bytes, result))
        if kind == "encrypt":
            return self._encrypted(cast("dict[str, Bytes]", result))
        if kind == "decrypt":
            self.state.put(f"fitted/{rest}", cast(npt.NDArray[np.float32], result))
            self.state.drop(f"cipher/{rest}")
            return [events.PeerFitted(rest, self.round), *self._commit_if_complete()]
        if kind == "conclude":
            return self._concluded(cast("dict[str, tuple[Bytes, float]]", result))
        return super().computed(tag, result)

    # steps 6a and 6b: widths and keys

    def _set_up(self) -> list[Effect]:
        self._enter("declaring")
        return []

    def _on_learning(self, peer: str, message: Message) -> list[Effect]:
        match message:
            case Features():
                return self._on_features(peer, message)
            case EncryptedFitted():
                return self._on_fitted(peer, message)
            case _:
                raise PeerViolation(peer, f"{message.KIND} is not for a sponsor")

    def _on_features(self, peer: str, message: Features) -> list[Effect]:
        padded = message.width.padded
        if not 1 <= padded <= self._widest or padded & (padded - 1):
            raise PeerViolation(peer, f"a padded width must be a power of two, at most {self._widest}")
        self.state.put(f"width/{peer}", str(padded).encode())
        return [events.Width(peer, padded), self._make_keys(peer)]

    def _make_keys(self, peer: str) -> Compute:
        padded = int(self.state.text(f"width/{peer}"))
        return Compute(f"keys/{peer}", lambda: self._cipher.public_keys(padded))

    def _keyed(self, peer: str, keys: bytes) -> list[Effect]:
        self.state.put(f"keyed/{peer}", b"1")
        send = Send(peer, messages.EvaluationKeys(np.frombuffer(keys, dtype=np.uint8)))
        if not all(f"keyed/{p}" in self.state for p in self._study.assistors):
            return [send]
        self._enter("learning")
        return [send, *self._next()]

    # steps 7 to 9: rounds

    @property
    def _over(self) -> bool:
        """Every agreed round is run, those after the end of learning with eta = 0: how many were run says nothing."""
        return len(self._ensemble.history) >= self._study.rounds

    def _next(self) -> list[Effect]:
        if not self._ensemble.finished or self._over or "hiding" in self.state:
            return super()._next()
        self.state.put("hiding", b"1")
        return [events.Hiding(), *super()._next()]

    def _send_residual(self) -> list[Effect]:
        residual, masks = self._ensemble.residual(), self._masks()
        return [Compute(f"encrypt/{self.round}", lambda: self._encrypt_parts(residual, masks))]

    def _masks(self) -> dict[str, npt.NDArray[np.bool_]]:
        return {peer: self._held_training_rows(peer) for peer in self._study.assistors}

    def _encrypt_parts(
        self, residual: npt.NDArray[np.float32], masks: dict[str, npt.NDArray[np.bool_]]
    ) -> dict[str, Bytes]:
        """By assistor, the residual of the training rows that it holds; one encryption serves all that hold the
        same."""
        unit, _ = to_unit(residual)
        done: dict[bytes, Bytes] = {}
        for mask in masks.values():
            if mask.tobytes() not in done:
                done[mask.tobytes()] = self._cipher.encrypt(unit[mask])
        return {peer: done[mask.tobytes()] for peer, mask in masks.items()}

    def _encrypted(self, parts: dict[str, Bytes]) -> list[Effect]:
        """Once this step is on disk, the round's ciphertexts are only ever sent again as they are."""
        self.state.put("sent", str(self.round).encode())
        self.state.put(f"residual/{self.round:04d}", self._ensemble.residual())
        return [Send(p, messages.EncryptedResidual(ciphertexts, self.round)) for p, ciphertexts in parts.items()]

    def _on_fitted(self, peer: str, message: EncryptedFitted) -> list[Effect]:
        self._check_round(peer, message)
        if f"cipher/{peer}" in self.state:
            raise PeerViolation(peer, "encrypted fitted values came twice")
        table = Table(self._parameters, len(self.state.array(f"coverage/{peer}")), self._ensemble.F.shape[1])
        with blamed(peer):
            check_replies(self._parameters, message.ciphertexts, table.ciphertexts)
        self.state.put(f"cipher/{peer}", message.ciphertexts)
        return [self._decrypt(peer)]

    def _decrypt(self, peer: str) -> Compute:
        ciphertexts, residual = self.state.array(f"cipher/{peer}"), self._ensemble.residual()
        coverage, held = self.state.array(f"coverage/{peer}"), self._held_training_rows(peer)
        train = self._train()[coverage]

        def job() -> npt.NDArray[np.float32]:
            return self._over_all_rows(peer, self._open(peer, ciphertexts, residual, held, train))

        return Compute(f"decrypt/{peer}", job)

    def _open(
        self,
        peer: str,
        ciphertexts: Bytes,
        residual: npt.NDArray[np.float32],
        held: npt.NDArray[np.bool_],
        train: npt.NDArray[np.bool_],
    ) -> npt.NDArray[np.float32]:
        """Fitted values float32 (N_m, K) of the rows that this assistor holds, in study order.

        Args:
            held: mask (N_train,), the training rows that it holds; train: mask (N_m,), which of its rows train.

        Raises:
            PeerViolation: wrong count or length; values out of range, or longer than the residual, which ends the key.
        """
        unit, scale = to_unit(residual)
        unit = unit[held]
        with blamed(peer):
            values = self._cipher.decrypt(ciphertexts, len(train), residual.shape[1], peer)
            if np.linalg.norm(values[: len(unit)]) > NORM_SLACK * np.linalg.norm(unit) + 1.0:
                raise self._cipher.refuse(peer, "fitted values are longer than the residual: no ridge gives that")
        fitted = np.empty(values.shape, dtype=np.float32)
        fitted[study_order(train)] = values * scale
        return fitted

    # steps 10 and 11: the end of the learning stage

    @property
    def _concluding(self) -> bool:
        return "concluded" not in self.state

    def _conclude(self) -> list[Effect]:
        sums = {peer: self._combination(peer) for peer in self._study.assistors}

        def job() -> dict[str, tuple[Bytes, float]]:
            units = {peer: to_unit(values) for peer, values in sums.items()}
            return {peer: (self._cipher.encrypt(unit), scale) for peer, (unit, scale) in units.items()}

        return [Compute("conclude", job)]

    def _combination(self, peer: str) -> npt.NDArray[np.float64]:
        """R_m = sum_t eta^t w_m^t r^t over the kept rounds, (N_train, K)."""
        total = np.zeros(self._ensemble.residual().shape)
        for t, coefficient in enumerate(self._ensemble.coefficients(peer), start=1):
            total += coefficient * self.state.array(f"residual/{t:04d}")
        return total[self._held_training_rows(peer)]

    def _concluded(self, results: dict[str, tuple[Bytes, float]]) -> list[Effect]:
        sends: list[Effect] = []
        for peer, (ciphertexts, scale) in results.items():
            self.state.put(f"scale/{peer}", np.array([scale]))
            sends.append(Send(peer, messages.EncryptedFinish(ciphertexts, messages.Ending("finished"))))
        self.state.put("concluded", b"1")
        return sends

    def _resume(self) -> list[Effect]:
        if self.phase == "declaring":
            waiting = [
                p for p in self._study.assistors if f"width/{p}" in self.state and f"keyed/{p}" not in self.state
            ]
            return [self._make_keys(p) for p in waiting]
        if self.phase == "finishing":
            return [] if "concluded" in self.state else self._conclude()
        if self._over:
            return super()._resume()
        effects = [] if self.state.text("sent") == str(self.round) else self._send_residual()
        effects += [self._decrypt(p) for p in self._study.assistors if f"cipher/{p}" in self.state]
        return [*effects, *super()._resume()]
