"""A study whose parties are all in this process: the real roles, ports and holdings, and no wire between them."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Never

import numpy as np
import numpy.typing as npt

from crypto.identity import Identity
from secure_gal.errors import StateError
from secure_gal.estimator.account import MemoryBudget
from secure_gal.estimator.blocks import Block
from secure_gal.estimator.exchange import Exchange, Role, require_phase
from secure_gal.estimator.fitted import Fitted, PartyFitted
from secure_gal.estimator.holding import NOWHERE, Target, in_memory, settings_for
from secure_gal.estimator.key import Key, temporary_home
from secure_gal.events import Event
from secure_gal.holdings.assistor import AssistorData
from secure_gal.holdings.check import check_data
from secure_gal.holdings.in_memory import InMemory
from secure_gal.holdings.party import PartyHolding
from secure_gal.holdings.roles import Context
from secure_gal.holdings.sponsor import SponsorData
from secure_gal.learners.base import EncodedRows, Learner
from secure_gal.protection import assistor_data, sponsor_data
from secure_gal.protocol import roles
from secure_gal.protocol.agreement import NONCE_BYTES
from secure_gal.settings.limits import Beyond
from secure_gal.settings.party import LearnerSettings, PartySettings
from secure_gal.settings.study import Study
from secure_gal.state import State


class Listener(NamedTuple):
    """Who is told what happens: facts with the party that they are of, and words for a person."""

    event: Callable[[str, Event], None]
    warn: Callable[[str], None]


class Chosen(NamedTuple):
    """A party's learner, by settings or as an object, and the limits that it goes beyond."""

    settings: LearnerSettings
    own: Learner | None
    beyond: Beyond


@dataclass(frozen=True, slots=True)
class Cast:
    """Who takes part: fresh keys, and what they say of each other."""

    study: Study
    identities: Mapping[str, Identity]
    budgets: Mapping[str, MemoryBudget]

    @classmethod
    def of(cls, study: Study, budgets: Mapping[str, MemoryBudget]) -> Cast:
        """Keys for one run."""
        return cls(study, {name: Identity.generate(name) for name in study.parties}, budgets)

    @property
    def fingerprints(self) -> dict[str, str]:
        """Of every party's card."""
        return {name: identity.card.fingerprint for name, identity in self.identities.items()}

    def context(self, name: str, beyond: Beyond) -> Context:
        """What the party's role is given."""
        prints, cards = self.fingerprints, {n: identity.card for n, identity in self.identities.items()}
        study = self.study
        return Context(
            study,
            study.digest(prints),
            study.canonical(prints),
            self.identities[name],
            cards,
            beyond=beyond,
            budget=self.budgets[name],
        )


class Learnt(NamedTuple):
    """A finished study, and the exchange that led there; `fingerprints` of the keys that it ran with."""

    fitted: Fitted
    exchange: Exchange
    fingerprints: dict[str, str]


def learn(
    study: Study, blocks: Sequence[Block], chosen: Mapping[str, Chosen], target: Target, listener: Listener
) -> Learnt:
    """Run the learning stage to its end.

    Raises:
        SecureGalError: as the roles raise it.
    """
    with ExitStack() as open_:
        home = open_.enter_context(temporary_home())
        key = Key.generate(study, home)
        models = {b.party: _model_to_learn(study, b, chosen[b.party], target, listener, home) for b in blocks}
        for model in models.values():
            open_.callback(model.close)
        cast = Cast.of(study, {name: MemoryBudget({}) for name in models})
        states = {name: State() for name in models}
        parts: dict[str, Role] = {}
        for name, model in models.items():
            context, nonce = cast.context(name, chosen[name].beyond), secrets.token_bytes(NONCE_BYTES)
            if isinstance(model, SponsorData):
                parts[name] = roles.sponsor(context, model, states[name], nonce, key.cipher)
            else:
                parts[name] = roles.assistor(context, model, states[name], nonce)
        exchange = Exchange(parts, listener.event)
        exchange.run()
        for name, role in parts.items():
            require_phase(role, "finished" if name == study.sponsor else "serving", name)
        fitted = Fitted(study, _kept(blocks, models, states, cast), key.files())
        return Learnt(fitted, exchange, cast.fingerprints)


def _kept(
    blocks: Sequence[Block], models: Mapping[str, PartyHolding], states: Mapping[str, State], cast: Cast
) -> tuple[PartyFitted, ...]:
    return tuple(
        PartyFitted(
            b.party,
            models[b.party].learner,
            models[b.party].schema,
            b.inner,
            states[b.party].rows,
            cast.budgets[b.party].totals,
        )
        for b in blocks
    )


def _model_to_learn(
    study: Study, block: Block, chosen: Chosen, target: Target, listener: Listener, home: Path
) -> SponsorData | AssistorData:
    sponsor = block.party == study.sponsor
    party = settings_for(block, chosen.settings, study, home)
    memory = in_memory(block, party, study, learner=chosen.own, target=target if sponsor else None, to_learn=True)
    make: Callable[..., SponsorData | AssistorData] = sponsor_data if sponsor else assistor_data
    model = make(party, study, Path.cwd(), listener.warn, memory=memory)
    for text in check_data(model.table, party, study):
        listener.warn(text)
    return model


def sponsor_to_predict(fitted: Fitted, block: Block, warn: Callable[[str], None]) -> SponsorData:
    """The sponsor's holding of new rows."""
    party, memory = _to_predict(fitted, fitted.sponsor, block)
    return SponsorData(party, fitted.study, NOWHERE, warn, memory=memory)


def assistor_to_predict(fitted: Fitted, part: PartyFitted, block: Block, warn: Callable[[str], None]) -> AssistorData:
    """An assistor's holding of new rows."""
    party, memory = _to_predict(fitted, part, block)
    return assistor_data(party, fitted.study, NOWHERE, warn, memory=memory)


def _to_predict(fitted: Fitted, part: PartyFitted, block: Block) -> tuple[PartySettings, InMemory]:
    party = settings_for(block, part.learner, fitted.study)
    return party, in_memory(block, party, fitted.study, schema=part.schema, learner=Loaded(), to_learn=False)


class Loaded:
    """Stands where a learner is due and nothing is learnt any more."""

    def fit(self, x: EncodedRows, residual: npt.NDArray[np.float32], seed: int) -> Never:
        """Never called: a finished study predicts only."""
        raise StateError("a finished study predicts only")
