"""The sponsor that sees sums only (PROTOCOL.md, "Sums only"): it relays sealed fits, and decrypts what the aggregator
adds.

`SumSponsor` sends residuals as the clear protocol does, `SumEncryptedSponsor` as ciphertexts. In both, what it can read
in a round are the inner products from which the weights follow, and one weighted sum.
"""

from __future__ import annotations

from typing import Protocol, cast

import msgspec
import numpy as np
import numpy.typing as npt

from crypto.ckks.ciphertexts import check_replies
from crypto.ckks.fits import SUM, Layout
from crypto.ckks.products import Products, pairs, read_products
from crypto.seal import OVERHEAD_BYTES
from secure_gal import events, messages, protocol_sponsor
from secure_gal.effects import Compute, Effect, Send, State
from secure_gal.encrypted_rows import study_order, to_unit
from secure_gal.encrypted_sponsor import NORM_SLACK, Cipher, EncryptedSponsor
from secure_gal.errors import DataError, PeerViolation, blamed, setting
from secure_gal.messages import Declaration, Declared, InnerProducts, Message, SealedFitted, WeightedSum
from secure_gal.protocol_sponsor import SponsorProtocol
from secure_gal.roles import Context, SponsorModel
from secure_gal.sum_declaration import check_declaration
from secure_gal.sum_weights import constrained_weights, uniform_weights

Bytes = npt.NDArray[np.uint8]
Values = npt.NDArray[np.float64]


class SumCipher(Cipher, Protocol):
    """The sponsor's secret key (`crypto.ckks.secret_sum.SumContext`); every method may take long."""

    def public_key(self) -> bytes: ...
    def product_keys(self) -> bytes: ...
    def encrypt_difference(self, values: Values) -> Bytes: ...
    def decrypt_products(self, products: Bytes, count: int, scaling: Products) -> Values: ...
    def decrypt_sum(self, replies: Bytes, layout: Layout, source: str) -> Values: ...


class SumSponsor(SponsorProtocol):
    """`SponsorProtocol` with `predictions = "sum"`."""

    LEARNING = frozenset({"sealed-fitted", "inner-products", "weighted-sum"})
    TRANSITIONS = protocol_sponsor.TRANSITIONS | {"declaring": frozenset({"declared"}), "learning": LEARNING}
    _cipher: Cipher

    def __init__(self, context: Context, model: SponsorModel, state: State, nonce: bytes, cipher: SumCipher) -> None:
        super().__init__(context, model, state, nonce)
        self._cipher = cipher

    def waiting_for(self) -> list[str]:
        """The assistors whose message this phase still needs: in a round everyone's fit, then the aggregator."""
        if self.phase == "declaring":
            return [p for p in self._study.assistors if f"declared/{p}" not in self.state]
        if self.phase != "learning":
            return super().waiting_for()
        others = [p for p in self._study.assistors if p != self._adder]
        return [p for p in others if f"sealed/{p}" not in self.state] or [self._adder]

    def _on_learning(self, peer: str, message: Message) -> list[Effect]:
        match message:
            case Declared():
                return self._on_declared(peer, message)
            case SealedFitted():
                return self._on_sealed(peer, message)
            case InnerProducts():
                return self._on_products(peer, message)
            case WeightedSum():
                return self._on_sum(peer, message)
            case _:
                raise PeerViolation(peer, f"{message.KIND} is not for a sponsor of this study")

    def computed(self, tag: str, result: object) -> list[Effect]:
        """Take the result of a job that an earlier effect asked for."""
        kind = tag.partition("/")[0]
        if kind == "sum-keys":
            return self._all_keyed(*cast("tuple[dict[str, bytes], bytes]", result))
        if kind == "difference":
            self.state.put("sum/asked", b"1")
            return [Send(self._adder, messages.OwnDifference(cast(Bytes, result), self.round))]
        if kind == "weights":
            self.state.drop("sum/products")
            return self._send_weights(cast(Values, result))
        if kind == "open":
            return self._opened(cast(Values, result))
        return super().computed(tag, result)

    # steps 6a to 6c: declarations and keys

    def _set_up(self) -> list[Effect]:
        self._enter("declaring")
        return []

    def _on_declared(self, peer: str, message: Declared) -> list[Effect]:
        item, encrypted = message.declaration, self._study.protect.encrypted
        check_declaration(self._context, self.run, peer, item, peer)
        if item.fresh and not encrypted:
            raise PeerViolation(peer, "fresh features are declared under encrypted residuals only")
        if (item.padded > 0) != encrypted or item.padded & (item.padded - 1):
            raise PeerViolation(peer, "a padded width is a power of two under encrypted residuals, and 0 otherwise")
        self.state.put(f"declared/{peer}", msgspec.json.encode(item))
        return [events.Width(peer, item.padded or item.width), *self._key_if_complete()]

    def _key_if_complete(self) -> list[Effect]:
        if self.waiting_for():
            return []
        padded = {p: item.padded for p, item in self._declarations().items()}
        cipher = cast(SumCipher, self._cipher)

        def job() -> tuple[dict[str, bytes], bytes]:
            keys = {p: cipher.public_keys(width) if width else cipher.public_key() for p, width in padded.items()}
            return keys, cipher.product_keys()

        return [Compute("sum-keys", job)]

    def _declarations(self) -> dict[str, Declaration]:
        raw = {p: self.state.raw(f"declared/{p}") for p in self._study.assistors}
        return {p: msgspec.json.decode(item, type=Declaration) for p, item in raw.items()}

    def _all_keyed(self, keys: dict[str, bytes], product_keys: bytes) -> list[Effect]:
        sends: list[Effect] = []
        for peer, raw in keys.items():
            sends.append(Send(peer, messages.Declarations(self._declarations())))
            sends.append(Send(peer, messages.EvaluationKeys(np.frombuffer(raw, dtype=np.uint8))))
            self.state.put(f"keyed/{peer}", b"1")
        sends.append(Send(self._adder, messages.ProductKeys(np.frombuffer(product_keys, dtype=np.uint8))))
        self._enter("learning")
        return [*sends, *self._next()]

    # steps 8a to 9: rounds

    def _on_sealed(self, peer: str, message: SealedFitted) -> list[Effect]:
        self._check_round(peer, message)
        due = OVERHEAD_BYTES + self._layout().fit_bytes
        if peer == self._adder or len(message.sealed) != due:
            raise PeerViolation(
                peer, f"a sealed fit of {len(message.sealed)} bytes, where {due} are due, or of the aggregator"
            )
        self.state.put(f"sealed/{peer}", b"1")
        relayed = messages.RelayedFitted(messages.Author(peer), message.sealed, message.round)
        return [events.PeerFitted(peer, self.round), Send(self._adder, relayed)]

    def _commit_if_complete(self) -> list[Effect]:
        """What follows once the sponsor's own fit is there: also how an interrupted round goes on."""
        state = self.state
        if self._model.fits and "own" not in state:
            return []
        if "sum/opening" in state:
            return [self._open_sum()]
        if "sum/weights" in state:
            return []
        if "sum/products" in state:
            return [self._solve()]
        if self._study.weights == "uniform":
            return self._send_weights(uniform_weights(len(self.learners)))
        return [] if "sum/asked" in state else [self._ask()]

    def _ask(self) -> Compute:
        difference, cipher = self._own_difference(), cast(SumCipher, self._cipher)

        def job() -> Bytes:
            if not len(difference):
                return np.zeros((0, 0), dtype=np.uint8)
            with setting("[learner]: the sponsor's own fit has diverged", DataError):
                return cipher.encrypt_difference(difference)

        return Compute("difference", job)

    def _own_difference(self) -> Values:
        """(f_1 - r) / max|r| of the training rows, float64 (N_train, K); no rows without features."""
        residual = self._ensemble.residual()
        if not self._model.fits:
            return np.zeros((0, residual.shape[1]))
        unit, scale = to_unit(residual)
        return self.state.array("own")[self._train()].astype(np.float64) / scale - unit

    def _on_products(self, peer: str, message: InnerProducts) -> list[Effect]:
        self._check_round(peer, message)
        fresh = "sum/asked" in self.state and not any(key in self.state for key in ("sum/products", "sum/weights"))
        if not fresh:
            raise PeerViolation(peer, f"inner products of round {message.round} that were not asked for, or twice")
        with blamed(peer):
            read_products(message.ciphertexts, len(pairs(len(self._study.assistors), self._model.fits)))
        self.state.put("sum/products", message.ciphertexts)
        return [self._solve()]

    def _solve(self) -> Compute:
        products, own, peer = self.state.array("sum/products"), self._own_difference(), self._adder
        cipher, count = cast(SumCipher, self._cipher), len(self._study.assistors)
        scaling = Products.of(self._layout().training, self._study.protect.encrypted)

        def job() -> Values:
            listed = pairs(count, bool(len(own)))
            with blamed(peer):
                found = cipher.decrypt_products(products, len(listed), scaling)
            return self._solved(listed, found, own)

        return Compute("weights", job)

    def _solved(self, listed: list[tuple[int, int]], products: Values, own: Values) -> Values:
        """w over the parties that fit, the sponsor first: the Gram matrix of their differences decides."""
        size = len(self.learners)
        gram, count = np.zeros((size, size)), len(self._study.assistors)
        first = size - count  # 1 where the sponsor has features
        for (i, j), value in zip(listed, products, strict=True):
            a, b = (0 if i == count else i + first), j + first
            gram[a, b] = gram[b, a] = value
        if first:
            gram[0, 0] = float(np.sum(own * own))
        return constrained_weights(gram, list(range(first, size)))

    def _send_weights(self, weights: Values) -> list[Effect]:
        """Once this step is on disk, the round has these weights and no others."""
        self.state.put("sum/weights", weights)
        return [Send(self._adder, messages.Weights(weights[-len(self._study.assistors) :], self.round))]

    def _on_sum(self, peer: str, message: WeightedSum) -> list[Effect]:
        self._check_round(peer, message)
        if "sum/weights" not in self.state or "sum/opening" in self.state:
            raise PeerViolation(peer, f"a sum of round {message.round} that was not asked for, or twice")
        with blamed(peer):
            check_replies(SUM, message.ciphertexts, self._layout().ciphertexts)
        self.state.put("sum/opening", message.ciphertexts)
        return [self._open_sum()]

    def _open_sum(self) -> Compute:
        replies, weights = self.state.array("sum/opening"), self.state.array("sum/weights")
        residual, train, peer = self._ensemble.residual(), self._train(), self._adder
        cipher = cast(SumCipher, self._cipher)
        share, layout = float(weights[-len(self._study.assistors) :].sum()), self._layout()
        ridge = self._study.protect.encrypted

        def job() -> Values:
            unit, scale = to_unit(residual)
            with blamed(peer):
                values = cipher.decrypt_sum(replies, layout, peer)
                if ridge and np.linalg.norm(values[: len(unit)]) > NORM_SLACK * share * np.linalg.norm(unit) + 1.0:
                    rule = "the sum of fitted values is longer than the residual: no ridges give that"
                    raise cipher.refuse(peer, rule)
            out = np.empty(values.shape)
            out[study_order(train)] = values * scale
            return out

        return Compute("open", job)

    def _layout(self) -> Layout:
        train = self._train()
        return Layout(int(train.sum()), int((~train).sum()), self._ensemble.residual().shape[1])

    def _opened(self, total: Values) -> list[Effect]:
        weights, (_, unit) = self.state.array("sum/weights"), to_unit(self._ensemble.residual())
        self.state.put(f"unit/{self.round:04d}", np.array([unit]))
        if self._model.fits:
            total = total + weights[0] * self.state.array("own").astype(np.float64)
        record = self._ensemble.advance(weights, total)
        self._save_ensemble()
        for prefix in ("sum/", "sealed/"):
            self.state.drop_all(prefix)
        self.state.drop("own")
        return [events.Committed(record), *self._next()]

    def _conclude(self) -> list[Effect]:
        """Coefficients in units of one scale for all, so that no assistor's part of a prediction is far above 1.

        A part is sum_t c_t f_t, and a fit is of the size of its residual; the scale stays at the sponsor.
        """
        coefficients = {p: self._ensemble.coefficients(p) for p in self._study.assistors}
        units = np.array([float(self.state.array(f"unit/{t:04d}")[0]) for t in range(1, self._ensemble.kept + 1)])
        sizes = [float(np.abs(c) @ units) for c in coefficients.values()]
        scale, ending = len(sizes) * max(sizes) or 1.0, messages.Ending("finished")
        for peer in coefficients:
            self.state.put(f"scale/{peer}", np.array([scale]))
        return [Send(p, messages.Finish(c / scale, ending)) for p, c in coefficients.items()]

    def _resume(self) -> list[Effect]:
        return self._key_if_complete() if self.phase == "declaring" else super()._resume()

    @property
    def _adder(self) -> str:
        return self._study.adder


class SumEncryptedSponsor(SumSponsor, EncryptedSponsor):
    """`SumSponsor` with `residuals = "ckks"`."""

    def __init__(self, context: Context, model: SponsorModel, state: State, nonce: bytes, cipher: SumCipher) -> None:
        SponsorProtocol.__init__(self, context, model, state, nonce)
        self._cipher, self._widest, self._parameters = cipher, 0, SUM

    def _conclude(self) -> list[Effect]:
        """As `EncryptedSponsor`, with one scale for all, since their parts are added before they are decrypted."""
        fresh = {peer for peer, item in self._declarations().items() if item.fresh}
        combined = {p: self._terms(p) if p in fresh else [self._combination(p)] for p in self._study.assistors}

        def job() -> dict[str, tuple[Bytes, float]]:
            scale = max(sum(float(np.abs(v).max()) for v in terms) for terms in combined.values()) or 1.0
            sent = {p: [self._cipher.encrypt(v / scale) for v in terms] for p, terms in combined.items()}
            return {peer: (np.concatenate(ciphertexts), scale) for peer, ciphertexts in sent.items()}

        return [Compute("conclude", job)]

    def _terms(self, peer: str) -> list[Values]:
        """eta^t w_m^t r^t (N_train, K) of every round that was run, 0 in those that are not kept."""
        coefficients = np.zeros(len(self._ensemble.history))
        coefficients[: self._ensemble.kept] = self._ensemble.coefficients(peer)
        return [c * self.state.array(f"residual/{t:04d}") for t, c in enumerate(coefficients, start=1)]
