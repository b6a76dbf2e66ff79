"""The aggregator: the assistor that adds up what the sponsor may see only as a sum (PROTOCOL.md steps 8b to 8f, 13b).

It holds ciphertexts under the sponsor's key and no key. It releases, for each round once, the inner products and one
sum over *all* assistors; for each prediction batch once, one sum over all of them. What a round released is never
computed again: it is on disk before it is sent, and only ever sent again as the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, assert_never, cast

import numpy as np
import numpy.typing as npt

from crypto.ckks.fits import WEIGHT_BITS, Layout
from crypto.ckks.products import products_problem
from crypto.ckks.sum_calculator import NoDifference
from secure_gal import events
from secure_gal.effects import Compute, Effect, Send
from secure_gal.errors import PeerViolation, SettingsError, blamed
from secure_gal.gal.split import to_unit
from secure_gal.holdings.roles import Context
from secure_gal.messages import (
    Announcement,
    Batch,
    InnerProducts,
    Message,
    OwnDifference,
    PartKey,
    RelayedFitted,
    RelayedPart,
    SummedPart,
    WeightedSum,
    Weights,
)
from secure_gal.protection.sums.aggregator_records import AggregatorRecords
from secure_gal.protection.sums.combiner import Bytes, Combiner, _split, open_combiner
from secure_gal.protection.sums.sealing import FITTED, PART, SealingKeys
from secure_gal.protection.sums.weights import weights_problem
from secure_gal.state import State

Residual = npt.NDArray[Any]
"""As it arrived: requests, or values (N_train, K)."""


class SumAggregator:
    """Part of an assistor's protocol object.

    Args:
        calculator: makes the calculator for the keys (bytes) that arrived; jobs alone call it.
    """

    def __init__(
        self, context: Context, state: State, calculator: Callable[[bytes, str], Combiner] = open_combiner
    ) -> None:
        self._kept = kept = AggregatorRecords(state)
        self._keys = SealingKeys(context, state, lambda: kept.run.get_or(""))
        study = context.study
        self._name, self._sponsor, self._assistors = context.identity.card.name, study.sponsor, study.assistors
        self._fitted_weights, self._ridge, self._outputs = study.weights != "uniform", study.protect.encrypted, study.k
        self._make = calculator
        self._calculator: Combiner | None = None

    # set-up

    def announce_fitted(self) -> tuple[bytes, bytes]:
        """Step 6a: the public key that fits are sealed to, and the signature over it."""
        return self._keys.announce(FITTED, 0)

    def end_learning(self) -> None:
        """Erase the key of this run's fits: from now on nobody can open one that was recorded."""
        self._keys.erase_fitted()
        self._kept.fits.clear()

    def check_budget(self, layout: Layout, rounds: int) -> None:
        """Refuse a study whose inner products would wrap or exceed their budget; SettingsError."""
        why = products_problem(layout, rounds, len(self._assistors), self._ridge)
        if why and self._fitted_weights:
            raise SettingsError("study.toml", f'{why}: use weights = "uniform", or fewer rounds')

    def check_keys(self, raw: bytes) -> None:
        """Step 6b: what sums need is loaded, which is its check, before it is kept; PeerViolation."""
        self._load(raw)

    def _load(self, raw: bytes) -> Combiner:
        if self._calculator is None:
            self._calculator = self._make(raw, self._sponsor)
        return self._calculator

    # rounds

    @property
    def round(self) -> int:
        """The round whose sum has not been released, from 1."""
        return self._kept.round.get_or(0) + 1

    @property
    def in_round(self) -> bool:
        """Whether this party's own fit waits to be added."""
        return self._kept.residual.there

    def receive(self, message: Message) -> list[Effect]:
        """Take one message of the sponsor's.

        Raises:
            PeerViolation: out of turn, a second one, or a content that breaks a rule; the state is unchanged.
        """
        if isinstance(message, RelayedPart):
            return self._on_part(message)
        if not isinstance(message, RelayedFitted | OwnDifference | Weights) or message.round != self.round:
            raise PeerViolation(self._sponsor, f"{message.KIND} of round {message.round} in round {self.round}")
        match message:
            case RelayedFitted():
                self._on_fitted(message)
            case OwnDifference():
                self._on_difference(message)
            case Weights():
                self._on_weights(message)
            case _:
                assert_never(message)
        return self._advance()

    def own_fit(self, fit: bytes, residual: Residual) -> list[Effect]:
        """This assistor's own fit, and the residual that it was made for."""
        self._kept.fits[self._name] = np.frombuffer(fit, dtype=np.uint8)
        self._kept.residual.set(residual)
        return self._advance()

    def _on_fitted(self, message: RelayedFitted) -> None:
        author, fits = message.author.name, self._kept.fits
        if author not in self._assistors or author == self._name or author in fits:
            raise PeerViolation(
                self._sponsor, f"a fit of {author[:40]!r}, who is no other assistor or has sent it already"
            )
        fit = self._unseal_fit(author, message.sealed)
        with blamed(author):
            self._layout().check(fit)
        fits[author] = message.sealed  # sealed, so that erasing the key erases it too

    def _unseal_fit(self, author: str, sealed: Bytes) -> bytes:
        return self._keys.unseal(FITTED, self.round, author, self._kept.rows.get(), sealed)

    def _on_difference(self, message: OwnDifference) -> None:
        kept = self._kept
        if not self._fitted_weights or kept.difference.there or kept.products.get_or(0) == self.round:
            raise PeerViolation(self._sponsor, "inner products were asked for twice, or by a study that needs none")
        if len(message.ciphertexts):
            with blamed(self._sponsor):
                self._layout().check_difference(message.ciphertexts)
        kept.difference.set(message.ciphertexts)

    def _on_weights(self, message: Weights) -> None:
        kept = self._kept
        early = self._fitted_weights and kept.products.get_or(0) != self.round
        if early or kept.weights.there:
            raise PeerViolation(self._sponsor, "weights came before the inner products, or twice in a round")
        if message.weights.shape != (len(self._assistors),):
            raise PeerViolation(self._sponsor, "there must be one weight for each assistor")
        problem = weights_problem(message.weights, uniform=not self._fitted_weights)
        if problem:
            raise PeerViolation(self._sponsor, problem)
        kept.weights.set(message.weights)

    def _advance(self) -> list[Effect]:
        """The next job of this round once every assistor's fit is here; called when something new has come."""
        kept = self._kept
        due = kept.weights.there or kept.difference.there
        if not due or any(name not in kept.fits for name in self._assistors):
            return []
        layout, raw, round_ = self._layout(), kept.keys.get(), self.round
        fits = {n: self._fit(n, kept.fits[n]) for n in self._assistors}
        if kept.weights.there:
            steps = np.round(kept.weights.get() * 2.0**WEIGHT_BITS).astype(np.int64).tolist()
            parts = {name: (layout, fit) for name, fit in fits.items()}
            return [
                Compute("sum", lambda: self._sum(raw, parts, steps), lambda done: self._summed(round_, done), round_)
            ]
        residual, difference = kept.residual.get(), kept.difference.get()
        job = lambda: self._products(raw, layout, fits, residual, difference)  # noqa: E731
        return [Compute("products", job, lambda done: self._multiplied(round_, done), round_)]

    def _fit(self, name: str, kept: Bytes) -> bytes:
        return kept.tobytes() if name == self._name else self._unseal_fit(name, kept)

    def resume(self) -> list[Effect]:
        """The jobs that a crash interrupted."""
        raw = self._kept.keys.get_or(b"")
        load: list[Effect] = [Compute("keys", lambda: self._load(raw), lambda _: [])] if raw else []
        adding = [job for number in self._kept.own_parts.names() for job in self._add(int(number))]
        return [*load, *self._advance(), *adding]

    def _products(
        self, raw: bytes, layout: Layout, fits: dict[str, bytes], residual: Residual, difference: Bytes
    ) -> Bytes:
        given: Bytes | npt.NDArray[np.float64] = cast(Bytes, residual)
        if residual.dtype != np.uint8:
            given, _ = to_unit(residual)
        training = [_split(name, layout, fit)[0] for name, fit in fits.items()]
        with blamed(self._sponsor):
            try:
                return self._load(raw).products(training, given, difference, layout.training)
            except NoDifference as error:
                raise PeerViolation(list(fits)[error.author], "its fit is the residual's own ciphertext") from None

    def _multiplied(self, round_: int, products: Bytes) -> list[Effect]:
        self._kept.products.set(round_)
        self._kept.difference.drop()
        return [Send(self._sponsor, InnerProducts(products, round_))]

    def _sum(self, raw: bytes, parts: dict[str, tuple[Layout, bytes]], steps: list[int]) -> Bytes:
        split = [_split(name, layout, part) for name, (layout, part) in parts.items()]
        with blamed(self._sponsor):
            return self._load(raw).weighted_sum(split, steps)

    def _summed(self, round_: int, total: Bytes) -> list[Effect]:
        kept = self._kept
        kept.round.set(round_)
        kept.weights.drop()
        kept.residual.drop()
        kept.fits.clear()
        return [events.Summed(round_), Send(self._sponsor, WeightedSum(total, round_))]

    # prediction

    def announce_parts(self, number: int, about: str, rows: int) -> PartKey:
        """Step 12c, for a batch of so many rows; `about` is the digest of their ids."""
        self._forget_before(number)
        self._kept.about[number] = f"{about} {rows}"
        public, signature = self._keys.announce(PART, number)
        return PartKey(Batch(number), Announcement(public.hex(), signature.hex()))

    def _on_part(self, message: RelayedPart) -> list[Effect]:
        number, author, kept = message.batch.number, message.author.name, self._kept
        if author not in self._assistors or author == self._name or message.batch.refused:
            raise PeerViolation(self._sponsor, f"a part of {author[:40]!r}, who is no other assistor or has refused")
        if number <= kept.batch.get_or(0) or f"{number}/{author}" in kept.parts:
            raise PeerViolation(self._sponsor, f"a part of batch {number} that was answered already, or a second one")
        if number not in kept.about:
            raise PeerViolation(self._sponsor, f"a part of batch {number}, which was not asked for")
        layout, part = self._unseal_part(number, author, message.sealed)
        with blamed(author):
            layout.check(part)
        kept.parts[f"{number}/{author}"] = message.sealed
        return self._add(number)

    def _unseal_part(self, number: int, author: str, sealed: Bytes) -> tuple[Layout, bytes]:
        about, rows = self._kept.about[number].split()
        return Layout(0, int(rows), self._outputs), self._keys.unseal(PART, number, author, about, sealed)

    def own_part(self, number: int, part: bytes) -> list[Effect]:
        """This assistor's own part of a batch: encrypted rows."""
        if number not in self._kept.about:
            return []  # the sponsor gave it up
        self._kept.own_parts[number] = part
        return self._add(number)

    def _add(self, number: int) -> list[Effect]:
        """The sum of a batch, once the set of assistors is complete; an incomplete one is never summed."""
        kept, others = self._kept, [name for name in self._assistors if name != self._name]
        if number not in kept.own_parts or any(f"{number}/{name}" not in kept.parts for name in others):
            return []
        sealed = {name: self._unseal_part(number, name, kept.parts[f"{number}/{name}"]) for name in others}
        layout, raw = next(iter(sealed.values()))[0], kept.keys.get()
        parts, steps = (
            {self._name: (layout, kept.own_parts[number]), **sealed},
            [1 << WEIGHT_BITS] * len(self._assistors),
        )
        return [Compute("sum", lambda: self._sum(raw, parts, steps), lambda total: self._added(number, total))]

    def _added(self, number: int, total: Bytes) -> list[Effect]:
        self._kept.batch.set(number)
        self._forget_before(number + 1)
        return [Send(self._sponsor, SummedPart(Batch(number), total))]

    def _forget_before(self, number: int) -> None:
        """Parts of earlier batches, which the sponsor gave up, can never become complete any more; keys go with
        them."""
        self._keys.erase_parts(number - 1)
        for entries in (self._kept.parts, self._kept.own_parts, self._kept.about):
            for name in entries.names():
                if int(name.split("/")[0]) < number:
                    entries.drop(name)

    def _layout(self) -> Layout:
        train = self._kept.train.get()
        return Layout(int(train.sum()), int((~train).sum()), self._outputs)
