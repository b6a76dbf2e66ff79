"""The aggregator: the assistor that adds up what the sponsor may see only as a sum (PROTOCOL.md steps 8b to 8f, 13b,
13c).

It holds ciphertexts under the sponsor's key and no key. It releases, for each round once, the inner products and one
sum over *all* assistors; for each prediction batch once, one sum over all of them. What a round released is never
computed again: it is on disk before it is sent, and only ever sent again as the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, assert_never, cast

import numpy as np
import numpy.typing as npt

from crypto.ckks.fits import WEIGHT_BITS, Layout
from crypto.ckks.products import products_problem
from crypto.ckks.slots import Table
from crypto.ckks.sum_calculator import NoDifference, SumCalculator
from crypto.ckks.sum_keys import ProductKeys as LoadedKeys
from secure_gal import events
from secure_gal.effects import Compute, Effect, Send, State
from secure_gal.encrypted_rows import to_unit
from secure_gal.errors import PeerViolation, SettingsError, StateError, blamed
from secure_gal.messages import (
    Announcement,
    Batch,
    InnerProducts,
    Message,
    OwnDifference,
    PartKey,
    ProductKeys,
    RelayedFitted,
    RelayedPart,
    SummedPart,
    WeightedSum,
    Weights,
)
from secure_gal.roles import Context
from secure_gal.sum_sealing import FITTED, PART, SealingKeys
from secure_gal.sum_weights import weights_problem

Bytes = npt.NDArray[np.uint8]
KINDS = frozenset({"relayed-fitted", "own-difference", "weights"})
"""What the aggregator takes besides while learning."""


class Calculator(Protocol):
    """What computes on ciphertexts (`crypto.ckks.sum_calculator.SumCalculator`)."""

    def products(
        self,
        fits: Sequence[Bytes],
        residual: Bytes | npt.NDArray[np.float64],
        difference: Bytes,
        table: Table,
    ) -> Bytes: ...
    def weighted_sum(self, fits: Sequence[tuple[Bytes, Bytes]], weights: Sequence[int]) -> Bytes: ...


def open_calculator(raw: bytes, peer: str) -> Calculator:
    """The calculator of the product keys that arrived; PeerViolation."""
    with blamed(peer):
        return SumCalculator(LoadedKeys.from_bytes(raw))


class SumAggregator:
    """Part of an assistor's protocol object, with a share of its state under `sum/`.

    Args:
        calculator: makes the calculator for the keys (bytes) that arrived; jobs alone call it.
        run: the agreed run.
    """

    def __init__(
        self,
        context: Context,
        state: State,
        run: Callable[[], str],
        calculator: Callable[[bytes, str], Calculator] = open_calculator,
    ) -> None:
        self._state, self._keys = state, SealingKeys(context, state, run)
        study = context.study
        self._name, self._sponsor, self._assistors = context.identity.card.name, study.sponsor, study.assistors
        self._fitted_weights, self._ridge, self._outputs = study.weights == "fitted", study.protect.encrypted, study.k
        self._make = calculator
        self._calculator: Calculator | None = None

    # set-up

    def announce_fitted(self) -> tuple[bytes, bytes]:
        """Step 6a: the public key that fits are sealed to, and the signature over it."""
        return self._keys.announce(FITTED, 0)

    def end_learning(self) -> None:
        """Erase the key of this run's fits: from now on nobody can open one that was recorded."""
        self._keys.erase_fitted()
        self._state.drop_all("sum/fit/")

    def check_budget(self, layout: Layout, rounds: int) -> None:
        """Refuse a study whose inner products would wrap or exceed their budget; SettingsError."""
        why = products_problem(layout, rounds, len(self._assistors), self._ridge)
        if why and self._fitted_weights:
            raise SettingsError("study.toml", f'{why}: use weights = "uniform", or fewer rounds')

    def take_keys(self, message: ProductKeys) -> None:
        """Step 6c: they are loaded, which is their check, before they are kept; PeerViolation."""
        raw = message.keys.tobytes()
        self._load(raw)
        self._state.put("sum/keys", raw)

    def _load(self, raw: bytes) -> Calculator:
        if self._calculator is None:
            self._calculator = self._make(raw, self._sponsor)
        return self._calculator

    # rounds

    @property
    def round(self) -> int:
        """The round whose sum has not been released, from 1."""
        return int(self._state.text("sum/round", "0")) + 1

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

    def own_fit(self, fit: bytes, residual: npt.NDArray[np.generic]) -> list[Effect]:
        """This assistor's own fit, and the residual as it arrived: requests, or values (N_train, K)."""
        self._state.put(f"sum/fit/{self._name}", np.frombuffer(fit, dtype=np.uint8))
        self._state.put("sum/residual", residual)
        return self._advance()

    def _on_fitted(self, message: RelayedFitted) -> None:
        author = message.author.name
        if author not in self._assistors or author == self._name or f"sum/fit/{author}" in self._state:
            raise PeerViolation(
                self._sponsor, f"a fit of {author[:40]!r}, who is no other assistor or has sent it already"
            )
        fit = self._unseal_fit(author, message.sealed)
        with blamed(author):
            self._layout().check(fit)
        self._state.put(f"sum/fit/{author}", message.sealed)  # sealed, so that erasing the key erases it too

    def _unseal_fit(self, author: str, sealed: Bytes) -> bytes:
        return self._keys.unseal(FITTED, self.round, author, self._state.text("sum/rows"), sealed)

    def _on_difference(self, message: OwnDifference) -> None:
        again = "sum/difference" in self._state or self._state.text("sum/products") == str(self.round)
        if not self._fitted_weights or again:
            raise PeerViolation(self._sponsor, "inner products were asked for twice, or by a study that needs none")
        if len(message.ciphertexts):
            with blamed(self._sponsor):
                self._layout().check_difference(message.ciphertexts)
        self._state.put("sum/difference", message.ciphertexts)

    def _on_weights(self, message: Weights) -> None:
        early = self._fitted_weights and self._state.text("sum/products") != str(self.round)
        if early or "sum/weights" in self._state:
            raise PeerViolation(self._sponsor, "weights came before the inner products, or twice in a round")
        if message.weights.shape != (len(self._assistors),):
            raise PeerViolation(self._sponsor, "there must be one weight for each assistor")
        problem = weights_problem(message.weights, uniform=not self._fitted_weights)
        if problem:
            raise PeerViolation(self._sponsor, problem)
        self._state.put("sum/weights", message.weights)

    def _advance(self) -> list[Effect]:
        """The next job of this round once every assistor's fit is here; called when something new has come."""
        due = "sum/weights" in self._state or "sum/difference" in self._state
        if not due or any(f"sum/fit/{name}" not in self._state for name in self._assistors):
            return []
        layout, raw, round_ = self._layout(), self._state.raw("sum/keys"), self.round
        kept = {name: self._state.array(f"sum/fit/{name}") for name in self._assistors}
        fits = {n: f.tobytes() if n == self._name else self._unseal_fit(n, f) for n, f in kept.items()}
        if "sum/weights" in self._state:
            steps = np.round(self._state.array("sum/weights") * 2.0**WEIGHT_BITS).astype(np.int64).tolist()
            return [Compute(f"sum/{round_}", lambda: self._sum(raw, layout, fits, steps))]
        residual, difference = self._state.array("sum/residual"), self._state.array("sum/difference")
        return [Compute(f"products/{round_}", lambda: self._products(raw, layout, fits, residual, difference))]

    def resume(self) -> list[Effect]:
        """The jobs that a crash interrupted."""
        raw = self._state.raw("sum/keys")
        load: list[Effect] = [Compute("product-keys", lambda: self._load(raw))] if raw else []
        return [*load, *self._advance(), *(job for key in self._state.keys("sum/own/") for job in self._add(key[8:]))]

    def _products(
        self, raw: bytes, layout: Layout, fits: dict[str, bytes], residual: npt.NDArray[np.generic], difference: Bytes
    ) -> Bytes:
        given: Bytes | npt.NDArray[np.float64] = cast(Bytes, residual)
        if residual.dtype != np.uint8:
            given, _ = to_unit(cast(npt.NDArray[np.floating], residual))
        training = [part for part, _ in self._split(layout, fits)]
        with blamed(self._sponsor):
            try:
                return self._load(raw).products(training, given, difference, layout.training)
            except NoDifference as error:
                raise PeerViolation(list(fits)[error.author], "its fit is the residual's own ciphertext") from None

    def _sum(self, raw: bytes, layout: Layout, fits: dict[str, bytes], steps: list[int]) -> Bytes:
        parts = self._split(layout, fits)
        with blamed(self._sponsor):
            return self._load(raw).weighted_sum(parts, steps)

    def _split(self, layout: Layout, fits: dict[str, bytes]) -> list[tuple[Bytes, Bytes]]:
        parts = []
        for name, fit in fits.items():
            with blamed(name):
                parts.append(layout.split(fit))
        return parts

    def computed(self, kind: str, rest: str, result: object) -> list[Effect]:
        """Take the result of one of this object's jobs."""
        state = self._state
        if kind == "product-keys":
            return []
        if kind == "products":
            state.put("sum/products", rest.encode())
            state.drop("sum/difference")
            return [Send(self._sponsor, InnerProducts(cast(Bytes, result), int(rest)))]
        if kind == "sum":
            state.put("sum/round", rest.encode())
            for key in ("sum/weights", "sum/residual"):
                state.drop(key)
            state.drop_all("sum/fit/")
            return [
                events.Summed(int(rest)),
                Send(self._sponsor, WeightedSum(cast(Bytes, result), int(rest))),
            ]
        if kind == "batch":
            self._forget(int(rest))
            return [Send(self._sponsor, SummedPart(Batch(int(rest)), cast(Bytes, result)))]
        raise StateError(f"no job of the aggregator is called {kind}")

    # prediction

    def announce_parts(self, number: int, about: str, rows: int) -> PartKey:
        """Step 12c, for a batch of so many rows; `about` is the digest of their ids."""
        self._forget_before(number)
        self._state.put(f"sum/about/{number}", f"{about} {rows}".encode())
        public, signature = self._keys.announce(PART, number)
        return PartKey(Batch(number), Announcement(public.hex(), signature.hex()))

    def _on_part(self, message: RelayedPart) -> list[Effect]:
        number, author = message.batch.number, message.author.name
        if author not in self._assistors or author == self._name or message.batch.refused:
            raise PeerViolation(self._sponsor, f"a part of {author[:40]!r}, who is no other assistor or has refused")
        done = int(self._state.text("sum/batch", "0"))
        key = f"sum/part/{number}/{author}"
        if number <= done or key in self._state:
            raise PeerViolation(self._sponsor, f"a part of batch {number} that was answered already, or a second one")
        if f"sum/about/{number}" not in self._state:
            raise PeerViolation(self._sponsor, f"a part of batch {number}, which was not asked for")
        layout, part = self._unseal_part(number, author, message.sealed)
        with blamed(author):
            layout.check(part)
        self._state.put(key, message.sealed)
        return self._add(str(number))

    def _unseal_part(self, number: int, author: str, sealed: Bytes) -> tuple[Layout, bytes]:
        about, rows = self._state.text(f"sum/about/{number}").split()
        return Layout(0, int(rows), self._outputs), self._keys.unseal(PART, number, author, about, sealed)

    def own_part(self, number: int, part: bytes) -> list[Effect]:
        """This assistor's own part of a batch: encrypted rows."""
        if f"sum/about/{number}" not in self._state:
            return []  # the sponsor gave it up
        self._state.put(f"sum/own/{number}", part)
        return self._add(str(number))

    def _add(self, number: str) -> list[Effect]:
        """The sum of a batch, once the set of assistors is complete; an incomplete one is never summed."""
        others = [name for name in self._assistors if name != self._name]
        keys = [f"sum/own/{number}", *(f"sum/part/{number}/{name}" for name in others)]
        if any(key not in self._state for key in keys):
            return []
        raw, parts = self._state.raw("sum/keys"), {self._name: self._state.raw(f"sum/own/{number}")}
        for name in others:
            sealed = self._state.array(f"sum/part/{number}/{name}")
            layout, parts[name] = self._unseal_part(int(number), name, sealed)
        steps = [1 << WEIGHT_BITS] * len(parts)
        return [Compute(f"batch/{number}", lambda: self._sum(raw, layout, parts, steps))]

    def _forget_before(self, number: int) -> None:
        """Parts of earlier batches, which the sponsor gave up, can never become complete any more; keys go with
        them."""
        self._keys.erase_parts(number - 1)
        for prefix in ("sum/part/", "sum/own/", "sum/about/"):
            for key in self._state.keys(prefix):
                if int(key.split("/")[2]) < number:
                    self._state.drop(key)

    def _forget(self, number: int) -> None:
        self._state.put("sum/batch", str(number).encode())
        self._forget_before(number + 1)

    def _layout(self) -> Layout:
        train = self._state.array("train")
        return Layout(int(train.sum()), int(len(train) - train.sum()), self._outputs)
