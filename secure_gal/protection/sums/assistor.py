"""The assistor where the sponsor sees sums only (PROTOCOL.md, "Sums only").

Before the first round every assistor declares its width and checks everyone's; a fit leaves as ciphertexts under the
sponsor's key, sealed to the aggregator, never to the sponsor; and so does a part of a prediction. One of the assistors
is the aggregator besides (`secure_gal.protection.sums.aggregator`).

Fits and parts are ciphertexts (`Layout.fit_bytes`), where residuals are in the clear too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from crypto.ckks.fits import SUM, Layout
from crypto.ckks.products import MAX_PRODUCTS_COST, products_cost
from crypto.sealed_box import seal
from secure_gal import events, messages
from secure_gal.effects import Effect, Send
from secure_gal.errors import ConsentError, PeerViolation
from secure_gal.holdings.budget import Charge
from secure_gal.holdings.roles import Fit
from secure_gal.messages import (
    Batch,
    Declaration,
    Declarations,
    EvaluationKeys,
    KnownRequest,
    Message,
    PartKey,
)
from secure_gal.protection.ckks.assistor import declared, encode, keys, use_keys
from secure_gal.protection.ckks.held_keys import keep_keys, keys_of, offer_keys
from secure_gal.protection.ports import FittedSide, Known, as_ciphertexts
from secure_gal.protection.stages import AssistorStage
from secure_gal.protection.sums.aggregator import SumAggregator
from secure_gal.protection.sums.declaration import check_declaration, digest_rows
from secure_gal.protection.sums.exposure import equations, exposure, most_equations, reason, statement
from secure_gal.protection.sums.sealing import FITTED, PART, bind, check_part_key
from secure_gal.settings.limits import LIMIT, OWN_LIMIT, OWN_SUMS, SUMS
from secure_gal.state import RAW, TEXT, Entries, Entry, State, json_of

Bytes = npt.NDArray[np.uint8]


class _Records:
    """What is kept besides the stage."""

    def __init__(self, state: State) -> None:
        self.rows = Entry(state, "sum/rows", TEXT)
        self.widths = Entry(state, "sum/widths", json_of(dict[str, int]))
        self.sealing_key = Entry(state, "sum/sealing-key", RAW)
        self.part_keys = Entries(state, "sum/part-key/", RAW)


class SealedFits(FittedSide):
    """At an assistor: fits and parts go to the aggregator, sealed. `aggregator` is this party if it adds, else None."""

    declares = True

    def __init__(self, aggregator: SumAggregator | None, keyed_answers: bool) -> None:
        self.aggregator, self._keyed_answers = aggregator, keyed_answers

    def check_rows(self, stage: AssistorStage, train: int, others: int) -> None:
        """All rounds must stay within tau, and within what inner products hide."""
        study, place = stage.study, Layout(train, others, stage.outputs)
        needed = stage.account.replies(study.rounds * place.ciphertexts, SUM.tau)
        stage.account.require_room(needed, f"{study.rounds} rounds of these rows")
        if self.aggregator is not None:
            self.aggregator.check_budget(place, study.rounds)

    def taken_rows(self, stage: AssistorStage, ids: Sequence[str]) -> None:
        """Fits are bound to the rows that they are about."""
        _Records(stage.state).rows.set(digest_rows(list(ids), stage.train.astype(np.uint8).tobytes()))

    def start(self, stage: AssistorStage) -> list[Effect]:
        """Keys to encrypt answers with, and the aggregator's jobs."""
        effects: list[Effect] = []
        if stage.phases.now == "serving" and self._keyed_answers:
            effects.append(use_keys(stage))
        if self.aggregator is not None and stage.phases.now in ("learning", "serving"):
            effects += self.aggregator.resume()
        return effects

    def prepared(self, stage: AssistorStage) -> list[Effect]:
        """Step 6a, once; then the keys again after a restart."""
        effects: list[Effect] = []
        if not declared(stage).there:
            declared(stage).set(None)
            said = messages.Declared(self._declaration(stage), offer_keys(stage, SUM))
            effects = [events.Prepared(), Send(stage.sponsor, said)]
            effects += [encode(stage)] if stage.model.keyed.padded else []
        return [*effects, *([use_keys(stage)] if keys(stage).there else [])]

    def _declaration(self, stage: AssistorStage) -> Declaration:
        context, model = stage.context, stage.model.keyed
        said = statement(context.digest, stage.run, stage.name, model.padded, model.width, model.fresh)
        signature = context.identity.sign(said).hex()
        if self.aggregator is None:
            return Declaration(model.padded, model.width, signature, fresh=model.fresh)
        public, over_public = self.aggregator.announce_fitted()
        return Declaration(model.padded, model.width, signature, public.hex(), over_public.hex(), model.fresh)

    def receive(self, stage: AssistorStage, message: Message) -> list[Effect]:
        """Steps 6b, 12a, 12c; the others are the aggregator's."""
        match message:
            case Declarations():
                return self._on_declarations(stage, message)
            case EvaluationKeys():
                return self._on_keys(stage, message)
            case KnownRequest():
                return self._on_known(stage, message)
            case PartKey():
                return self._on_part_key(stage, message)
            case _ if self.aggregator is not None:
                return self.aggregator.receive(message)
            case _:
                raise PeerViolation(stage.sponsor, f"{message.KIND} is not for an assistor of this study")

    # step 6b: declarations and keys

    def _on_declarations(self, stage: AssistorStage, message: Declarations) -> list[Effect]:
        kept, study, found = _Records(stage.state), stage.study, message.declarations
        if not declared(stage).there or kept.widths.there:
            raise PeerViolation(stage.sponsor, "declarations came before this party's own, or twice")
        if set(found) != set(study.assistors):
            raise PeerViolation(stage.sponsor, "there must be one declaration of every assistor")
        for name, item in found.items():
            check_declaration(stage.context, stage.run, name, item, stage.sponsor)
        widths = {name: item.width for name, item in found.items()}
        count = spend_run(stage, widths)
        kept.widths.set(widths)
        kept.sealing_key.set(bytes.fromhex(found[study.adder].sealing_key))
        return [events.Exposure(count, round(exposure(count, widths), 3)), *stage.fit_if_due()]

    def _on_keys(self, stage: AssistorStage, message: EvaluationKeys) -> list[Effect]:
        if not _Records(stage.state).widths.there or keys(stage).there:
            raise PeerViolation(stage.sponsor, "keys came before the declarations, or twice")
        raw = keys_of(stage, message)
        stage.model.keyed.check_keys(raw, stage.sponsor)
        if self.aggregator is not None:
            self.aggregator.check_keys(raw)
        keys(stage).set(raw)
        stage.enter("learning")
        return [keep_keys(stage, message, raw), use_keys(stage)]

    # steps 7 and 8a: rounds

    def may_fit(self, stage: AssistorStage) -> bool:
        """Not before everyone's widths were admitted."""
        return _Records(stage.state).widths.there

    def check_round(self, stage: AssistorStage, round_: int) -> None:
        """The aggregator has released the sum of the round before."""
        if self.aggregator is not None and round_ != self.aggregator.round:
            raise PeerViolation(
                stage.sponsor, f"a residual of round {round_} before the sum of {self.aggregator.round}"
            )

    def spend_fit(self, stage: AssistorStage) -> None:
        """The ciphertexts of a fit, training and validation rows in blocks of their own."""
        stage.account.require(stage.account.replies(_layout(stage).ciphertexts, SUM.tau))

    def leave(self, stage: AssistorStage, round_: int, fit: Fit, residual: npt.NDArray[Any]) -> list[Effect]:
        """To the aggregator, through the sponsor; or kept, if this party is that."""
        raw, kept = as_ciphertexts(fit).tobytes(), _Records(stage.state)
        if self.aggregator is not None:
            return self.aggregator.own_fit(raw, residual)
        sealed = _sealed(stage, FITTED, round_, kept.rows.get(), raw, kept.sealing_key.get())
        return [Send(stage.sponsor, messages.SealedFitted(sealed, round_))]

    def check_end(self, stage: AssistorStage) -> None:
        """Not before the aggregator has released the sum of the last round."""
        if self.aggregator is not None and self.aggregator.in_round:
            raise PeerViolation(stage.sponsor, "the learning stage cannot end before the sum of its last round")

    def end_learning(self, stage: AssistorStage) -> None:
        """The aggregator erases the key of this run's fits."""
        if self.aggregator is not None:
            self.aggregator.end_learning()

    # steps 12 and 13a: prediction

    def _on_part_key(self, stage: AssistorStage, message: PartKey) -> list[Effect]:
        number, context, part_keys = message.batch.number, stage.context, _Records(stage.state).part_keys
        if number in part_keys:
            raise PeerViolation(stage.sponsor, f"a second key for the parts of batch {number}")
        card, item = context.cards[stage.study.adder], message.announcement
        part_keys[number] = check_part_key(card, context.digest, stage.run, number, item, stage.sponsor)
        return []

    def _on_known(self, stage: AssistorStage, message: KnownRequest) -> list[Effect]:
        if len(set(message.ids)) != len(message.ids) or not message.ids:
            raise PeerViolation(stage.sponsor, "a prediction batch must hold ids without repeats")
        held = set(stage.model.current_ids())
        stage.account.ask(len(message.ids))
        known = np.array([entity in held for entity in message.ids], dtype=np.uint8)
        return [Send(stage.sponsor, messages.KnownReply(message.batch, known))]

    def check_batch(self, stage: AssistorStage, number: int, rows: int) -> None:
        """There is something to sum, and a key to seal it to."""
        if not rows:
            raise PeerViolation(stage.sponsor, f"batch {number} has no rows to sum")
        if self.aggregator is None and number not in _Records(stage.state).part_keys:
            raise PeerViolation(stage.sponsor, f"batch {number} before the key that its parts are sealed to")

    def price(self, stage: AssistorStage, rows: int, heads: int) -> list[Charge]:
        """Ciphertexts of a part. The noise that depends on this party's data adds up over heads, and replies count by
        its square (tau)."""
        return [stage.account.replies(Layout(0, rows, stage.outputs).ciphertexts * heads**2, SUM.tau)]

    def taken_batch(self, stage: AssistorStage, number: int, ids: tuple[str, ...]) -> list[Effect]:
        """Step 12c: the aggregator's key for the parts of this batch."""
        if self.aggregator is None:
            return []
        return [Send(stage.sponsor, self.aggregator.announce_parts(number, digest_rows(ids, b""), len(ids)))]

    def leave_part(
        self, stage: AssistorStage, number: int, ids: tuple[str, ...], known: Known, part: Fit
    ) -> list[Effect]:
        """To the aggregator, through the sponsor; or kept, if this party is that."""
        part_keys = _Records(stage.state).part_keys
        public = b"" if self.aggregator is not None else part_keys[number]
        part_keys.drop(number)
        if not known.all():
            why = "this party does not know every id that was asked for"
            return [Send(stage.sponsor, self.no_part(stage, Batch(number, why)))]
        note, raw = events.Predicted(len(known), int(known.sum())), as_ciphertexts(part).tobytes()
        if self.aggregator is not None:
            return [note, *self.aggregator.own_part(number, raw)]
        sealed = _sealed(stage, PART, number, digest_rows(ids, b""), raw, public)
        return [note, Send(stage.sponsor, messages.SealedPart(Batch(number), sealed))]

    def no_part(self, stage: AssistorStage, batch: Batch) -> Message:
        """A part without bytes."""
        return messages.SealedPart(batch, np.zeros(0, dtype=np.uint8))


def spend_run(stage: AssistorStage, widths: Mapping[str, int]) -> int:
    """Count all of this run's sums and inner products, once; T*K of all runs on this party's data.

    Raises:
        ConsentError: they are beyond a limit; nothing was counted.
    """
    study, account, beyond = stage.study, stage.account, stage.context.beyond
    limits = {"sums": beyond.get(SUMS, LIMIT), "own_sums": beyond.get(OWN_SUMS, OWN_LIMIT)}
    own = equations(study.rounds, stage.outputs)
    charges = [Charge("sums", own, most_equations(widths, stage.name, **limits))]
    if study.weights != "uniform":
        cost = products_cost(_layout(stage), study.rounds, len(study.assistors), study.protect.encrypted)
        charges.append(Charge("products", cost, MAX_PRODUCTS_COST))
    short = account.refusal(charges, once=True)
    if short is None:
        return account.spent("sums")
    if short.kind == "products":
        raise ConsentError(account.shortage(short))
    raise ConsentError(
        f"{stage.name} takes no part: {reason(account.spent('sums') + own, widths, stage.name, **limits)}"
    )


def _layout(stage: AssistorStage) -> Layout:
    train = stage.train
    return Layout(int(train.sum()), int((~train).sum()), stage.outputs)


def _sealed(stage: AssistorStage, what: str, number: int, about: str, payload: bytes, public: bytes) -> Bytes:
    binding = bind(stage.context, stage.run, what, number, stage.name, about)
    return np.frombuffer(seal(stage.context.identity, public, binding.to_bytes(), payload), dtype=np.uint8)
