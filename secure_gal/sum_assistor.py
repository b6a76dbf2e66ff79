"""The assistor where the sponsor sees sums only (PROTOCOL.md, "Sums only").

What differs: before the first round every assistor declares its width and checks everyone's; a fit leaves as
ciphertexts under the sponsor's key, sealed to the aggregator, never to the sponsor; and so does a part of a prediction.
One of the assistors is the aggregator besides. `SumAssistor` fits in the clear, its child in `sum_encrypted_assistor`
on ciphertexts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, cast

import msgspec
import numpy as np
import numpy.typing as npt

from crypto.ckks.fits import Layout
from crypto.ckks.products import MAX_PRODUCTS_COST, products_cost
from crypto.seal import seal
from secure_gal import events, messages, protocol_assistor
from secure_gal.budget import Charge
from secure_gal.effects import Compute, Effect, Send, State
from secure_gal.encrypted_assistor import EncryptedModel
from secure_gal.errors import ConsentError, PeerViolation
from secure_gal.limits import OWN_SUMS, SUMS
from secure_gal.messages import (
    Batch,
    Declaration,
    Declarations,
    EvaluationKeys,
    KnownRequest,
    Message,
    OwnDifference,
    PartKey,
    ProductKeys,
    RelayedFitted,
    RelayedPart,
    Rows,
    Weights,
)
from secure_gal.protocol_assistor import AssistorProtocol
from secure_gal.roles import AssistorModel, Context
from secure_gal.sum_aggregator import KINDS, Calculator, SumAggregator, open_calculator
from secure_gal.sum_declaration import check_declaration, digest_rows
from secure_gal.sum_exposure import LIMIT, OWN_LIMIT, equations, exposure, most_equations, reason, statement
from secure_gal.sum_sealing import FITTED, PART, bind, check_part_key

Bytes = npt.NDArray[np.uint8]


class SumModel(Protocol):
    """What both kinds of data behind this protocol have besides."""

    @property
    def width(self) -> int:
        """Number of features, for the limit on sums; only after `prepare`."""
        ...

    @property
    def padded(self) -> int:
        """P of the encrypted head, 0 where fits are made in the clear."""
        ...

    fresh: bool
    """Whether every round has a map, and so an encrypted head, of its own (`SumFreshData`)."""

    def begin_round(self, round_: int) -> None:
        """With `fresh`: fit with the map of this round from now on."""
        ...

    def check_keys(self, raw: bytes, peer: str) -> None:
        """Refuse keys that nothing could be computed with, before they are kept; PeerViolation."""
        ...

    def use_keys(self, raw: bytes, peer: str) -> None:
        """Check the sponsor's keys and use them from now on; PeerViolation."""
        ...


class SumAssistor(AssistorProtocol):
    """`AssistorProtocol` with `predictions = "sum"`: any learner, and public-key encryptions of what it fitted.

    `model.fit_round` and `model.predict` return ciphertexts (`Layout.fit_bytes`) where they return values in the clear.

    """

    TRANSITIONS = protocol_assistor.TRANSITIONS | {
        "declaring": frozenset({"declarations", "evaluation-keys", "product-keys"}),
    }
    AFTER_ROWS = "declaring"
    SERVES_WITH_KEYS = True

    def __init__(
        self,
        context: Context,
        model: AssistorModel | EncryptedModel,
        state: State,
        nonce: bytes,
        calculator: Callable[[bytes, str], Calculator] = open_calculator,
    ) -> None:
        super().__init__(context, model, state, nonce)  # type: ignore[arg-type]
        self._sums = cast(SumModel, model)
        self._name = context.identity.card.name
        self.aggregator = (
            SumAggregator(context, state, lambda: self.run, calculator) if context.study.adder == self._name else None
        )

    def _legal(self) -> frozenset[str]:
        kinds = super()._legal()
        if self.phase == "serving" and not self._private:
            kinds |= {"known-request"}
        if self.phase == "serving" and self.aggregator is None:
            kinds |= {"part-key"}
        if self.aggregator is not None:
            kinds |= {"learning": KINDS, "serving": frozenset({"relayed-part"})}.get(self.phase, frozenset())
        return kinds

    def start(self) -> list[Effect]:
        """Begin, or take up again from the saved state."""
        effects = super().start()
        if self.phase == "serving" and self.SERVES_WITH_KEYS:
            effects = [self._use_keys(), *effects]
        if self.aggregator is not None and self.phase in ("learning", "serving"):
            effects += self.aggregator.resume()
        return effects

    def _on_learning(self, message: Message) -> list[Effect]:
        match message:
            case Declarations():
                return self._on_declarations(message)
            case EvaluationKeys():
                return self._on_keys(message)
            case ProductKeys():
                return self._on_product_keys(message)
            case KnownRequest():
                return self._on_known(message)
            case PartKey():
                return self._on_part_key(message)
            case RelayedFitted() | OwnDifference() | Weights() | RelayedPart() if self.aggregator is not None:
                return self.aggregator.receive(message)
            case _:
                return super()._on_learning(message)

    def computed(self, tag: str, result: object) -> list[Effect]:
        """Take the result of a job that an earlier effect asked for."""
        kind, _, rest = tag.partition("/")
        if kind == "prepare":
            return self._prepared(cast(bytes, result))
        if kind == "keys":
            return []
        if kind in ("product-keys", "products", "sum", "batch") and self.aggregator is not None:
            return self.aggregator.computed(kind, rest, result)
        return super().computed(tag, result)

    # steps 6 to 6c: rows, declarations, keys

    def _check_budget(self, train: int, others: int) -> None:
        study = self._context.study
        layout = Layout(train, others, self._outputs)
        needed = self._account.replies(study.rounds * layout.ciphertexts)
        self._account.require_room(needed, f"{study.rounds} rounds of these rows")
        if self.aggregator is not None:
            self.aggregator.check_budget(layout, study.rounds)

    def _on_rows(self, message: Rows) -> list[Effect]:
        effects = AssistorProtocol._on_rows(self, message)
        ids = self._model.ids
        named = [ids[i] for i in self.state.array("positions").tolist()]
        self.state.put("sum/rows", digest_rows(named, message.train.tobytes()).encode())
        return effects

    def _prepared(self, encoder: bytes) -> list[Effect]:
        self.state.put("encoder", encoder)
        self.state.put("prepared", b"1")
        effects: list[Effect] = []
        if "declared" not in self.state:
            self.state.put("declared", b"1")
            effects = [events.Prepared(), Send(self._sponsor, messages.Declared(self._declaration()))]
        if "keys" in self.state:
            effects.append(self._use_keys())
        return [*effects, *self._pending()]

    def _pending(self) -> list[Effect]:
        """A fit that waits for its turn: nothing is fitted before everyone's widths were admitted."""
        return [self._fit()] if "residual" in self.state and "sum/widths" in self.state else []

    def _declaration(self) -> Declaration:
        digest, run, name = self._context.digest, self.run, self._name
        padded, width, fresh = self._sums.padded, self._sums.width, self._sums.fresh
        signature = self._context.identity.sign(statement(digest, run, name, padded, width, fresh)).hex()
        if self.aggregator is None:
            return Declaration(padded, width, signature, fresh=fresh)
        public, over_public = self.aggregator.announce_fitted()
        return Declaration(padded, width, signature, public.hex(), over_public.hex(), fresh)

    def _on_declarations(self, message: Declarations) -> list[Effect]:
        if "declared" not in self.state or "sum/widths" in self.state:
            raise PeerViolation(self._sponsor, "declarations came before this party's own, or twice")
        context, found = self._context, message.declarations
        if set(found) != set(context.study.assistors):
            raise PeerViolation(self._sponsor, "there must be one declaration of every assistor")
        for name, item in found.items():
            check_declaration(context, self.run, name, item, self._sponsor)
        widths = {name: item.width for name, item in found.items()}
        count = self._spend_run(widths)
        self.state.put("sum/widths", msgspec.json.encode(widths))
        self.state.put("sum/sealing-key", bytes.fromhex(found[context.study.adder].sealing_key))
        return [events.Exposure(count, round(exposure(count, widths), 3)), *self._pending()]

    def _spend_run(self, widths: Mapping[str, int]) -> int:
        """Count all of this run's sums and inner products, once; T*K of all runs on this party's data.

        Raises:
            ConsentError: they are beyond a limit; nothing was counted.
        """
        study, account = self._context.study, self._account
        limits = {
            "sums": self._context.beyond.get(SUMS, LIMIT),
            "own_sums": self._context.beyond.get(OWN_SUMS, OWN_LIMIT),
        }
        own = equations(study.rounds, self._outputs)
        charges = [Charge("sums", own, most_equations(widths, self._name, **limits))]
        if study.weights == "fitted":
            layout, assistors = self._layout(), len(study.assistors)
            cost = products_cost(layout, study.rounds, assistors, study.protect.encrypted)
            charges.append(Charge("products", cost, MAX_PRODUCTS_COST))
        short = account.refusal(charges, once=True)
        if short is None:
            return account.spent("sums")
        if short.kind == "products":
            raise ConsentError(account.shortage(short))
        raise ConsentError(
            f"{self._name} takes no part: {reason(account.spent('sums') + own, widths, self._name, **limits)}"
        )

    def _on_keys(self, message: EvaluationKeys) -> list[Effect]:
        if "sum/widths" not in self.state or "keys" in self.state:
            raise PeerViolation(self._sponsor, "keys came before the declarations, or twice")
        raw = message.keys.tobytes()
        self._sums.check_keys(raw, self._sponsor)
        self.state.put("keys", raw)
        if self.aggregator is None:
            self._enter("learning")
        return [events.GotKeys(len(message.keys)), self._use_keys()]

    def _on_product_keys(self, message: ProductKeys) -> list[Effect]:
        if self.aggregator is None or "keys" not in self.state:
            raise PeerViolation(self._sponsor, "product keys are for the aggregator, after its evaluation keys")
        self.aggregator.take_keys(message)
        self._enter("learning")
        return []

    def _use_keys(self) -> Compute:
        raw = self.state.raw("keys")
        return Compute("keys", lambda: self._sums.use_keys(raw, self._sponsor))

    # steps 7 and 8a: rounds

    def _check_round(self, round_: int) -> None:
        super()._check_round(round_)
        if self.aggregator is not None and round_ != self.aggregator.round:
            raise PeerViolation(
                self._sponsor, f"a residual of round {round_} before the sum of {self.aggregator.round}"
            )

    def _on_residual(self, message: messages.Residual) -> list[Effect]:
        super()._on_residual(message)  # the fit itself may have to wait
        return self._pending()

    def _spend_fit(self) -> None:
        """One sum more than `EncryptedAssistor` counts where validation rows have blocks of their own."""
        self._account.require(self._account.replies(self._layout().ciphertexts))

    def _fitted(self, round_: int, result: tuple[bytes, npt.NDArray[np.float32]]) -> list[Effect]:
        model, fit = result
        self.state.put(f"model/{round_:04d}", model)
        return self._leave(round_, fit.tobytes())

    def _leave(self, round_: int, fit: bytes) -> list[Effect]:
        """Seal a fit to the aggregator, or keep it if this party is that."""
        residual = self.state.array("residual")
        self.state.put("round", str(round_).encode())
        self.state.drop("residual")
        note = events.RoundFitted(round_)
        if self.aggregator is not None:
            return [note, *self.aggregator.own_fit(fit, residual)]
        sealed = self._seal(FITTED, round_, self.state.text("sum/rows"), fit, self.state.raw("sum/sealing-key"))
        return [note, Send(self._sponsor, messages.SealedFitted(sealed, round_))]

    def _seal(self, what: str, number: int, about: str, payload: bytes, public: bytes) -> Bytes:
        binding = bind(self._context, self.run, what, number, self._name, about)
        return np.frombuffer(seal(self._context.identity, public, binding.to_bytes(), payload), dtype=np.uint8)

    def _check_end(self) -> None:
        super()._check_end()
        if "sum/residual" in self.state:
            raise PeerViolation(self._sponsor, "the learning stage cannot end before the sum of its last round")

    def _enter(self, phase: str) -> None:
        super()._enter(phase)
        if self.aggregator is not None and phase in ("concluding", "serving"):
            self.aggregator.end_learning()

    # steps 12 and 13a: prediction

    def _on_part_key(self, message: PartKey) -> list[Effect]:
        number, context, name = message.batch.number, self._context, f"sum/part-key/{message.batch.number}"
        if name in self.state:
            raise PeerViolation(self._sponsor, f"a second key for the parts of batch {number}")
        card, item = context.cards[context.study.adder], message.announcement
        self.state.put(name, check_part_key(card, context.digest, self.run, number, item, self._sponsor))
        return []

    def _check_batch(self, number: int, rows: int) -> None:
        super()._check_batch(number, rows)
        if not rows:
            raise PeerViolation(self._sponsor, f"batch {number} has no rows to sum")
        if self.aggregator is None and f"sum/part-key/{number}" not in self.state:
            raise PeerViolation(self._sponsor, f"batch {number} before the key that its parts are sealed to")

    def _take(self, number: int, ids: tuple[str, ...]) -> list[Effect]:
        effects = super()._take(number, ids)
        if self.aggregator is None or f"request/{number}" not in self.state:
            return effects
        key = self.aggregator.announce_parts(number, digest_rows(ids, b""), len(ids))
        return [*effects, Send(self._sponsor, key)]

    def _on_known(self, message: KnownRequest) -> list[Effect]:
        if len(set(message.ids)) != len(message.ids) or not message.ids:
            raise PeerViolation(self._sponsor, "a prediction batch must hold ids without repeats")
        held = set(self._model.current_ids())
        self._account.ask(len(message.ids))
        known = np.array([entity in held for entity in message.ids], dtype=np.uint8)
        return [Send(self._sponsor, messages.KnownReply(message.batch, known))]

    def _price(self, rows: int) -> list[Charge]:
        return [*AssistorProtocol._price(self, rows), self._account.replies(self._cost(rows))]

    def _refuse(self, batch: Batch) -> Send:
        return Send(self._sponsor, messages.SealedPart(batch, np.zeros(0, dtype=np.uint8)))

    def _predicted(self, number: str, result: tuple[Bytes, npt.NDArray[np.float32]]) -> list[Effect]:
        return self._leave_part(int(number), *cast("tuple[Bytes, Bytes]", result))

    def _leave_part(self, number: int, known: Bytes, part: Bytes) -> list[Effect]:
        key = f"request/{number}"
        ids, public = (
            msgspec.json.decode(self.state.raw(key), type=tuple[str, ...]),
            self.state.raw(f"sum/part-key/{number}"),
        )
        self.state.drop(key)
        self.state.drop(f"sum/part-key/{number}")
        if not known.all():
            return [self._refuse(Batch(number, "this party does not know every id that was asked for"))]
        note = events.Predicted(len(known), int(known.sum()))
        if self.aggregator is not None:
            return [note, *self.aggregator.own_part(number, part.tobytes())]
        sealed = self._seal(PART, number, digest_rows(ids, b""), part.tobytes(), public)
        return [note, Send(self._sponsor, messages.SealedPart(Batch(number), sealed))]

    def _layout(self) -> Layout:
        train = self.state.array("train")
        return Layout(int(train.sum()), int(len(train) - train.sum()), self._outputs)

    def _cost(self, rows: int) -> int:
        """Sums that a part of so many rows counts as."""
        return Layout(0, rows, self._outputs).ciphertexts
