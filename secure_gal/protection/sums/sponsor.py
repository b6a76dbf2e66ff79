"""The sponsor that sees sums only (PROTOCOL.md, "Sums only"): it relays sealed fits, and decrypts what is added.

What it can read in a round are the inner products from which the weights follow, and one weighted sum.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from crypto.ckks.ciphertexts import check_replies
from crypto.ckks.fits import SUM, Layout
from crypto.ckks.leave_one_out import growth
from crypto.ckks.products import Products, pairs, read_products
from crypto.sealed_box import OVERHEAD_BYTES
from secure_gal import events, messages
from secure_gal.effects import Compute, Effect, Send
from secure_gal.errors import DataError, PeerViolation, blamed, setting
from secure_gal.gal.contributions import TOGETHER
from secure_gal.gal.split import study_order, to_unit
from secure_gal.messages import Declaration, Declared, InnerProducts, Message, SealedFitted, WeightedSum
from secure_gal.protection.ciphers import SumCipher
from secure_gal.protection.ckks.sponsor import checked_digest, held, longest_fit
from secure_gal.protection.stages import SponsorStage
from secure_gal.protection.sums.declaration import check_declaration
from secure_gal.protection.sums.weights import constrained_weights, uniform_weights
from secure_gal.state import ARRAY, MARK, Entries, Entry, State, json_of

Bytes = npt.NDArray[np.uint8]
Values = npt.NDArray[np.float64]


class SumRecords:
    """Of one round, but for the declarations; all are dropped with it."""

    def __init__(self, state: State) -> None:
        self.declared = Entries(state, "declared/", json_of(Declaration))
        self.sealed = Entries(state, "sealed/", MARK)
        self.asked = Entry(state, "sum/asked", MARK)
        self.products = Entry(state, "sum/products", ARRAY)
        self.weights = Entry(state, "sum/weights", ARRAY)
        self.opening = Entry(state, "sum/opening", ARRAY)

    def end_round(self) -> None:
        """Forget what only this round needed."""
        for entry in (self.asked, self.products, self.weights, self.opening):
            entry.drop()
        self.sealed.clear()


class SummedFits:
    """At the sponsor: weights from inner products of differences, then one sum over all assistors.

    Args:
        ridge: whether fits are ridges on ciphertexts, so that there is a limit to their length.
        leave_one_out: whether such fits are leave-one-out values of the training rows.
    """

    declares, one_unit = True, True

    def __init__(self, cipher: SumCipher, ridge: bool, *, leave_one_out: bool) -> None:
        self._cipher, self._ridge, self._leave_one_out = cipher, ridge, leave_one_out

    def by_round(self, stage: SponsorStage) -> frozenset[str]:
        """Assistors whose features are drawn anew every round, under encrypted residuals."""
        declared = SumRecords(stage.state).declared
        return frozenset(p for p in stage.assistors if declared[p].fresh)

    def set_up(self, stage: SponsorStage) -> list[Effect]:
        """Assistors declare first."""
        return []

    def waiting_for(self, stage: SponsorStage) -> list[str]:
        """Everyone's declaration; in a round everyone's fit, then the aggregator."""
        kept, adder = SumRecords(stage.state), stage.study.adder
        if stage.phase.get() == "declaring":
            return [p for p in stage.assistors if p not in kept.declared]
        return [p for p in stage.assistors if p != adder and p not in kept.sealed] or [adder]

    def receive(self, stage: SponsorStage, peer: str, message: Message) -> list[Effect]:
        """Steps 6a, 8a, 8c and 8f."""
        match message:
            case Declared():
                return self._on_declared(stage, peer, message)
            case SealedFitted():
                return self._on_sealed(stage, peer, message)
            case InnerProducts():
                return self._on_products(stage, peer, message)
            case WeightedSum():
                return self._on_sum(stage, peer, message)
            case _:
                raise PeerViolation(peer, f"{message.KIND} is not for a sponsor of this study")

    # steps 6a and 6b: declarations and keys

    def _on_declared(self, stage: SponsorStage, peer: str, message: Declared) -> list[Effect]:
        item, encrypted = message.declaration, self._ridge
        check_declaration(stage.context, stage.run.get(), peer, item, peer)
        if item.fresh and not encrypted:
            raise PeerViolation(peer, "fresh features are declared under encrypted residuals only")
        if (item.padded > 0) != encrypted or item.padded & (item.padded - 1):
            raise PeerViolation(peer, "a padded width is a power of two under encrypted residuals, and 0 otherwise")
        held(stage)[peer] = checked_digest(peer, message.held)
        SumRecords(stage.state).declared[peer] = item
        return [events.Width(peer, item.padded or item.width), *self._key_if_complete(stage)]

    def _key_if_complete(self, stage: SponsorStage) -> list[Effect]:
        if self.waiting_for(stage):
            return []
        declared = SumRecords(stage.state).declared
        found, digests = {p: declared[p] for p in stage.assistors}, {p: held(stage)[p] for p in stage.assistors}
        adder = stage.study.adder

        def made() -> dict[str, bytes]:
            issue = self._cipher.issue
            return {p: issue(item.padded, digests[p], combines=p == adder) for p, item in found.items()}

        return [Compute("keys", made, lambda keys: self._all_keyed(stage, found, keys))]

    def _all_keyed(self, stage: SponsorStage, found: dict[str, Declaration], keys: dict[str, bytes]) -> list[Effect]:
        sends: list[Effect] = []
        for peer, raw in keys.items():
            sends.append(Send(peer, messages.Declarations(found)))
            sends.append(Send(peer, messages.EvaluationKeys(np.frombuffer(raw, dtype=np.uint8))))
            stage.keyed[peer] = None
        return [*sends, *stage.begin()]

    # steps 8a to 9: rounds

    def _on_sealed(self, stage: SponsorStage, peer: str, message: SealedFitted) -> list[Effect]:
        stage.check_round(peer, message)
        due = OVERHEAD_BYTES + layout(stage).fit_bytes
        if peer == stage.study.adder or len(message.sealed) != due:
            raise PeerViolation(
                peer, f"a sealed fit of {len(message.sealed)} bytes, where {due} are due, or of the aggregator"
            )
        SumRecords(stage.state).sealed[peer] = None
        relayed = messages.RelayedFitted(messages.Author(peer), message.sealed, message.round)
        return [events.PeerFitted(peer, stage.round), Send(stage.study.adder, relayed)]

    def ready(self, stage: SponsorStage) -> list[Effect]:
        """What follows once the sponsor's own fit is there: also how an interrupted round goes on."""
        kept = SumRecords(stage.state)
        if stage.own_fit_due:
            return []
        if kept.opening.there:
            return [self._open_sum(stage)]
        if kept.weights.there:
            return []
        if kept.products.there:
            return [self._solve(stage)]
        if stage.study.weights == "uniform":
            return self._send_weights(stage, uniform_weights(len(stage.learners)))
        return [] if kept.asked.there else [self._ask(stage)]

    def _ask(self, stage: SponsorStage) -> Compute[Bytes]:
        difference = own_difference(stage)

        def encrypted() -> Bytes:
            if not len(difference):
                return np.zeros((0, 0), dtype=np.uint8)
            with setting("[learner]: the sponsor's own fit has diverged", DataError):
                return self._cipher.encrypt_difference(difference)

        def asked(ciphertexts: Bytes) -> list[Effect]:
            SumRecords(stage.state).asked.set(None)
            return [Send(stage.study.adder, messages.OwnDifference(ciphertexts, stage.round))]

        return Compute("encrypt", encrypted, asked)

    def _on_products(self, stage: SponsorStage, peer: str, message: InnerProducts) -> list[Effect]:
        stage.check_round(peer, message)
        kept = SumRecords(stage.state)
        if not kept.asked.there or kept.products.there or kept.weights.there:
            raise PeerViolation(peer, f"inner products of round {message.round} that were not asked for, or twice")
        with blamed(peer):
            read_products(message.ciphertexts, len(pairs(len(stage.assistors), stage.model.fits)))
        kept.products.set(message.ciphertexts)
        return [self._solve(stage)]

    def _solve(self, stage: SponsorStage) -> Compute[Values]:
        products, own, peer = SumRecords(stage.state).products.get(), own_difference(stage), stage.study.adder
        count, size = len(stage.assistors), len(stage.learners)
        scaling = Products.of(layout(stage).training, self._ridge)

        def solved() -> Values:
            listed = pairs(count, bool(len(own)))
            with blamed(peer):
                opened = self._cipher.decrypt_products(products, len(listed), scaling)
            return weights_of(listed, opened, own, size, count)

        def found(weights: Values) -> list[Effect]:
            SumRecords(stage.state).products.drop()
            return self._send_weights(stage, weights)

        return Compute("weights", solved, found, stage.round)

    def _send_weights(self, stage: SponsorStage, weights: Values) -> list[Effect]:
        """Once this step is on disk, the round has these weights and no others."""
        SumRecords(stage.state).weights.set(weights)
        return [Send(stage.study.adder, messages.Weights(weights[-len(stage.assistors) :], stage.round))]

    def _on_sum(self, stage: SponsorStage, peer: str, message: WeightedSum) -> list[Effect]:
        stage.check_round(peer, message)
        kept = SumRecords(stage.state)
        if not kept.weights.there or kept.opening.there:
            raise PeerViolation(peer, f"a sum of round {message.round} that was not asked for, or twice")
        with blamed(peer):
            check_replies(SUM, message.ciphertexts, layout(stage).ciphertexts)
        kept.opening.set(message.ciphertexts)
        return [self._open_sum(stage)]

    def _open_sum(self, stage: SponsorStage) -> Compute[Values]:
        kept, residual, train, peer = SumRecords(stage.state), stage.ensemble.residual(), stage.train, stage.study.adder
        replies, weights, place = kept.opening.get(), kept.weights.get(), layout(stage)
        share, rows = float(weights[-len(stage.assistors) :].sum()), place.train
        grown = share * (growth(SUM, rows, rows) if self._leave_one_out else 1.0)

        def opened() -> Values:
            unit, scale = to_unit(residual)
            with blamed(peer):
                values = self._cipher.decrypt_sum(replies, place, peer)
                if self._ridge and np.linalg.norm(values[: len(unit)]) > longest_fit(unit, grown):
                    rule = "the sum of fitted values is longer than the residual allows: no ridges give that"
                    raise self._cipher.refuse(peer, rule)
            out = np.empty(values.shape)
            out[study_order(train)] = values * scale
            return out

        return Compute("decrypt", opened, lambda total: self._opened(stage, weights, total), stage.round)

    def _opened(self, stage: SponsorStage, weights: Values, total: Values) -> list[Effect]:
        terms = {TOGETHER: total}
        if stage.model.fits:
            terms[stage.study.sponsor] = weights[0] * stage.own.get().astype(np.float64)
        stage.units[stage.round] = to_unit(stage.ensemble.residual())[1]
        record = stage.ensemble.advance(weights, terms)
        SumRecords(stage.state).end_round()
        return stage.committed(record)

    def resume(self, stage: SponsorStage) -> list[Effect]:
        """Keys that were not made; a round goes on with `ready`."""
        return self._key_if_complete(stage) if stage.phase.get() == "declaring" else []


def layout(stage: SponsorStage) -> Layout:
    """Where rows and outputs lie in the ciphertexts of a fit."""
    train = stage.train
    return Layout(int(train.sum()), int((~train).sum()), stage.ensemble.F.shape[1])


def own_difference(stage: SponsorStage) -> Values:
    """(f_1 - r) / max|r| of the training rows, float64 (N_train, K); no rows without features."""
    residual = stage.ensemble.residual()
    if not stage.model.fits:
        return np.zeros((0, residual.shape[1]))
    unit, scale = to_unit(residual)
    difference: Values = stage.own.get()[stage.train].astype(np.float64) / scale - unit
    return difference


def weights_of(listed: list[tuple[int, int]], products: Values, own: Values, size: int, count: int) -> Values:
    """w over the parties that fit, the sponsor first: the Gram matrix of their differences decides.

    Args:
        listed: pairs (i, j) of assistors, `count` standing for the sponsor; products: <d_i, d_j> of each.
        own: the sponsor's difference (N_train, K), without rows where it has no features.
        size: parties that fit; count: assistors.
    """
    gram = np.zeros((size, size))
    first = size - count  # 1 where the sponsor has features
    for (i, j), value in zip(listed, products, strict=True):
        a, b = (0 if i == count else i + first), j + first
        gram[a, b] = gram[b, a] = value
    if first:
        gram[0, 0] = float(np.sum(own * own))
    return constrained_weights(gram, list(range(first, size)))
