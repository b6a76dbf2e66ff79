"""`residuals = "ckks"`: residuals travel as ciphertexts under the sponsor's key, and fits come back as ciphertexts.

Assistors declare a width and get evaluation keys; the learning stage ends with one Enc(R_m) an assistor instead of its
coefficients. An assistor sees ciphertexts and nothing else of the labels: no residual, weight, learning rate or number
of kept rounds. Every reply ciphertext is counted against tau before it is computed, over all runs on the same data.
"""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

from crypto.ckks.ciphertexts import check_replies
from crypto.ckks.leave_one_out import growth
from crypto.ckks.params import ParameterSet
from crypto.ckks.slots import Packing
from secure_gal import events
from secure_gal.effects import Compute, Effect, Send
from secure_gal.errors import PeerViolation, blamed
from secure_gal.gal.split import study_order, to_unit
from secure_gal.messages import (
    EncryptedFinish,
    EncryptedFitted,
    EncryptedResidual,
    Ending,
    EvaluationKeys,
    Held,
    Message,
    PaddedWidth,
)
from secure_gal.protection.ciphers import Cipher
from secure_gal.protection.stages import SponsorStage
from secure_gal.state import ARRAY, MARK, NUMBER, TEXT, Entries, Entry

Bytes = npt.NDArray[np.uint8]
Values = npt.NDArray[np.float64]
NORM_SLACK = 1.01
"""A ridge fit is no longer than its residual, ||f||_2 <= ||r||_2, and leave-one-out values are `growth` times as long
at most; this much more is left to CKKS's error."""


def longest_fit(residual: Values, grown: float) -> float:
    """||f||_2 of an honest answer for the training rows, at most; the residual is at most 1 in size."""
    return NORM_SLACK * grown * float(np.linalg.norm(residual)) + 1.0


class EncryptedResiduals:
    """At the sponsor: Enc(r^t / max|r^t|), and Enc(R_m / scale) at the end, R_m = sum_t eta^t w_m^t r^t."""

    hides_rounds = True

    def __init__(self, cipher: Cipher) -> None:
        self._cipher = cipher

    def send(self, stage: SponsorStage) -> list[Effect]:
        """One encryption serves all assistors that hold the same training rows."""
        residual, masks, round_ = stage.ensemble.told(), {p: stage.held(p) for p in stage.assistors}, stage.round

        def encrypted() -> dict[str, Bytes]:
            unit, _ = to_unit(residual)
            done = {mask.tobytes(): mask for mask in masks.values()}
            made = {key: self._cipher.encrypt(unit[mask]) for key, mask in done.items()}
            return {peer: made[mask.tobytes()] for peer, mask in masks.items()}

        def sent(parts: dict[str, Bytes]) -> list[Effect]:
            """Once this step is on disk, the round's ciphertexts are only ever sent again as they are."""
            _sent(stage).set(round_)
            stage.residuals[round_] = residual
            return [Send(p, EncryptedResidual(ciphertexts, round_)) for p, ciphertexts in parts.items()]

        return [Compute("encrypt", encrypted, sent, round_)]

    def resume(self, stage: SponsorStage) -> list[Effect]:
        """Encrypt anew what never left."""
        return [] if _sent(stage).get_or(0) == stage.round else self.send(stage)

    def conclude(self, stage: SponsorStage, *, one_unit: bool, by_round: frozenset[str]) -> list[Effect]:
        """Enc(R_m), or its terms for whom `by_round` names; in one unit where parts are added before decryption."""
        terms = {p: _terms(stage, p) if p in by_round else [_combination(stage, p)] for p in stage.assistors}

        def encrypted() -> dict[str, tuple[Bytes, float]]:
            sizes = {p: sum(float(np.abs(v).max(initial=0.0)) for v in values) or 1.0 for p, values in terms.items()}
            largest = max(sum(float(np.abs(v).max(initial=0.0)) for v in values) for values in terms.values()) or 1.0
            units = {p: largest if one_unit else size for p, size in sizes.items()}
            return {
                p: (np.concatenate([self._cipher.encrypt(v / units[p]) for v in values]), units[p])
                for p, values in terms.items()
            }

        return [Compute("conclude", encrypted, lambda made: self._concluded(stage, made))]

    def _concluded(self, stage: SponsorStage, made: dict[str, tuple[Bytes, float]]) -> list[Effect]:
        sends: list[Effect] = []
        for peer, (ciphertexts, scale) in made.items():
            stage.scales[peer] = scale
            sends.append(Send(peer, EncryptedFinish(ciphertexts, Ending("finished"))))
        _concluded(stage).set(None)
        return sends

    def concluding(self, stage: SponsorStage) -> bool:
        """Until the combinations are encrypted."""
        return not _concluded(stage).there


def _sent(stage: SponsorStage) -> Entry[int]:
    """The last round whose residual was encrypted."""
    return Entry(stage.state, "sent", NUMBER)


def _concluded(stage: SponsorStage) -> Entry[None]:
    return Entry(stage.state, "concluded", MARK)


def _combination(stage: SponsorStage, peer: str) -> Values:
    """R_m over the kept rounds, (N_m,train, K)."""
    total = np.zeros(stage.ensemble.residual().shape)
    for t, coefficient in enumerate(stage.ensemble.coefficients(peer), start=1):
        total += coefficient * stage.residuals[t]
    return total[stage.held(peer)]


def _terms(stage: SponsorStage, peer: str) -> list[Values]:
    """eta^t w_m^t r^t (N_train, K) of every round that was run, 0 in those that are not kept."""
    coefficients = np.zeros(len(stage.ensemble.history))
    coefficients[: stage.ensemble.kept] = stage.ensemble.coefficients(peer)
    return [c * stage.residuals[t] for t, c in enumerate(coefficients, start=1)]


class DecryptedFits:
    """At the sponsor: each assistor's fit is decrypted, checked against its residual, and weighted with all others."""

    declares, one_unit = True, False

    def __init__(self, cipher: Cipher, parameters: ParameterSet, *, leave_one_out: bool) -> None:
        self._cipher, self._parameters, self._widest = cipher, parameters, parameters.max_features
        self._leave_one_out = leave_one_out

    def by_round(self, stage: SponsorStage) -> frozenset[str]:
        """Nobody: `fresh_features` is for sums."""
        return frozenset()

    def set_up(self, stage: SponsorStage) -> list[Effect]:
        """Assistors speak first, of their widths."""
        return []

    def waiting_for(self, stage: SponsorStage) -> list[str]:
        """Whose width, or fit, has not come or is being computed with."""
        there = _widths(stage) if stage.phase.get() == "declaring" else stage.fits
        return [p for p in stage.assistors if p not in there]

    def receive(self, stage: SponsorStage, peer: str, message: Message) -> list[Effect]:
        """A width (step 6a), or a fit (step 8)."""
        match message:
            case PaddedWidth():
                return self._on_features(stage, peer, message)
            case EncryptedFitted():
                return self._on_fitted(stage, peer, message)
            case _:
                raise PeerViolation(peer, f"{message.KIND} is not for a sponsor of this study")

    def _on_features(self, stage: SponsorStage, peer: str, message: PaddedWidth) -> list[Effect]:
        padded = message.width.padded
        if not 1 <= padded <= self._widest or padded & (padded - 1):
            raise PeerViolation(peer, f"a padded width must be a power of two, at most {self._widest}")
        held(stage)[peer] = checked_digest(peer, message.held)
        _widths(stage)[peer] = padded
        return [events.Width(peer, padded), self._make_keys(stage, peer)]

    def _make_keys(self, stage: SponsorStage, peer: str) -> Compute[bytes]:
        padded, digest = _widths(stage)[peer], held(stage)[peer]
        return Compute("keys", lambda: self._cipher.issue(padded, digest), lambda raw: self._keyed(stage, peer, raw))

    def _keyed(self, stage: SponsorStage, peer: str, raw: bytes) -> list[Effect]:
        stage.keyed[peer] = None
        send = Send(peer, EvaluationKeys(np.frombuffer(raw, dtype=np.uint8)))
        return [send, *(stage.begin() if all(p in stage.keyed for p in stage.assistors) else [])]

    def _on_fitted(self, stage: SponsorStage, peer: str, message: EncryptedFitted) -> list[Effect]:
        stage.check_round(peer, message)
        unread = _unread(stage)
        if peer in unread:
            raise PeerViolation(peer, "encrypted fitted values came twice")
        table = Packing(self._parameters, len(stage.coverage[peer]), stage.ensemble.F.shape[1])
        with blamed(peer):
            check_replies(self._parameters, message.ciphertexts, table.ciphertexts)
        unread[peer] = message.ciphertexts
        return [self._decrypt(stage, peer)]

    def _decrypt(self, stage: SponsorStage, peer: str) -> Compute[npt.NDArray[np.float32]]:
        unread, round_ = _unread(stage), stage.round
        ciphertexts, residual = unread[peer], stage.residuals[round_]
        held, train = stage.held(peer), stage.train_of(peer)

        def opened(fitted: npt.NDArray[np.float32]) -> list[Effect]:
            unread.drop(peer)
            return stage.take_fit(peer, stage.over_all_rows(peer, fitted))

        return Compute("decrypt", lambda: self._open(peer, ciphertexts, residual, held, train), opened, round_)

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
        grown = growth(self._parameters, len(unit), len(train)) if self._leave_one_out else 1.0
        with blamed(peer):
            values = self._cipher.decrypt(ciphertexts, len(train), residual.shape[1], peer)
            if np.linalg.norm(values[: len(unit)]) > longest_fit(unit, grown):
                rule = "fitted values are longer than the residual allows: no ridge gives that"
                raise self._cipher.refuse(peer, rule)
        fitted = np.empty(values.shape, dtype=np.float32)
        fitted[study_order(train)] = values * scale
        return fitted

    def ready(self, stage: SponsorStage) -> list[Effect]:
        """Commit the round once every fit is read."""
        return stage.commit_if_complete()

    def resume(self, stage: SponsorStage) -> list[Effect]:
        """Keys that were not made, or fits that were not read."""
        if stage.phase.get() == "declaring":
            due = [p for p in stage.assistors if p in _widths(stage) and p not in stage.keyed]
            return [self._make_keys(stage, p) for p in due]
        return [self._decrypt(stage, p) for p in stage.assistors if p in _unread(stage)]


def held(stage: SponsorStage) -> Entries[str]:
    """Which evaluation keys an assistor says that it has, by digest; empty: none."""
    return Entries(stage.state, "held/", TEXT)


def checked_digest(peer: str, message: Held) -> str:
    """What an assistor says of keys that it has; PeerViolation."""
    if not re.fullmatch("([0-9a-f]{64})?", message.digest):
        raise PeerViolation(
            peer, f"{message.digest[:80]!r} is no digest of evaluation keys: 64 hexadecimal digits are due"
        )
    return message.digest


def _widths(stage: SponsorStage) -> Entries[int]:
    return Entries(stage.state, "width/", NUMBER)


def _unread(stage: SponsorStage) -> Entries[Bytes]:
    """Fits of this round as they came."""
    return Entries(stage.state, "cipher/", ARRAY)
