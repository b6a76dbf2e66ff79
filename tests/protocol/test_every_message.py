"""Every message at every moment: for each role and phase, what is accepted stands in a table, and nothing else breaks
anything.

At every moment of an honest run, each role is rebuilt from its disk and given every message of that run, of the other
modes' runs, and each of them with one field at the edge of what the wire lets through. Whatever is refused is refused
as the peer's violation (or as settings that differ) and changes nothing; whatever is accepted can be computed with.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from typing import Any

import pytest

from secure_gal.effects import Compute
from secure_gal.messages import MESSAGES, Message, NoRows
from secure_gal.state import State
from tests.support.hostile import Play, attack, variants
from tests.support.hostile_studies import MODES, play, prediction
from tests.support.legal import ASSISTOR, SPONSOR, STALE
from tests.support.study_in_memory import NAMES

HEADS = {"head-request", "ledger-head", "ledger-heads", "heads-signature", "ledger-certificate"}
"""Kinds that the certifier takes: test_hostile_certifier.py."""


@functools.cache
def honest(mode: str) -> tuple[Play, tuple[tuple[str, str, Message], ...]]:
    """A finished run with one batch predicted, and all its messages."""
    made = play(mode)
    made.run()
    made.add("hospital", prediction(mode, State(dict(made.disk["hospital"]))))
    made.run()
    return made, tuple(made.sent)


@functools.cache
def arsenal() -> dict[str, tuple[Message, ...]]:
    """The first and the last message of each kind over all modes."""
    found: dict[str, list[Message]] = {}
    for mode in MODES:
        for _, _, message in honest(mode)[1]:
            found.setdefault(message.KIND, []).append(message)
    found[NoRows.KIND] = [NoRows()]  # of a study that ends without rows: test_no_rows.py
    assert found.keys() == MESSAGES.keys() - HEADS
    return {kind: (sent[0], sent[-1]) if len(sent) > 1 else (sent[0],) for kind, sent in found.items()}


def situation(name: str, disk: dict[str, Any]) -> tuple[object, ...]:
    return name, disk.get("phase"), *sorted(key.rstrip("0123456789") for key in disk)


def storm(rebuilt: Callable[[], Any], peers: tuple[str, ...], legal: set[str]) -> None:
    """Every message of the arsenal from every peer, those of legal kinds in all variants: no other kind is accepted."""
    role = rebuilt()
    for peer in peers:
        for kind, samples in arsenal().items():
            for message in itertools.chain.from_iterable(map(variants, samples)) if kind in legal else samples:
                if attack(role, peer, message) == "accepted":
                    assert kind in legal, f"{kind} from {peer} while {role.phase}"
                    role = rebuilt()


REPLIES = {
    "clear": "predict-reply",
    "private ids": "predict-reply",
    "rounded": "predict-reply",
    "privatised": "predict-reply",
    "noised": "noised-predict-reply",
    "ckks": "encrypted-predict-reply",
}

EVERY = [pytest.param(mode, marks=[pytest.mark.slow] if mode == "ckks sums" else []) for mode in MODES]
"""Both halves of "ckks sums" are walked by default as "ckks" and as "sums"."""


@pytest.mark.parametrize("mode", EVERY)
def test_what_a_role_takes_in_each_phase(mode: str) -> None:
    made, seen = play(mode), set()
    while made.step():
        for name in NAMES:
            key = situation(name, made.disk[name])
            if key in seen:
                continue
            seen.add(key)
            sponsor = name == "hospital"
            # A party that is taken up again prepares before it goes online; only at first do messages come while it
            # does.
            for prepared in {True, "encoder" in made.disk[name]}:
                rebuilt = functools.partial(made.copy, name, prepared=prepared)
                legal = (SPONSOR if sponsor else ASSISTOR)[mode][rebuilt().phase]
                if sponsor and MODES[mode].ids == "psi":
                    legal = legal | STALE
                storm(rebuilt, NAMES[1:] if sponsor else ("hospital",), legal)


@pytest.mark.parametrize("mode", EVERY)
def test_what_a_prediction_takes(mode: str) -> None:
    made = play(mode)
    made.run()
    learned, begun = dict(made.disk["hospital"]), len(made.log)
    made.add("hospital", prediction(mode, State(dict(learned))))
    made.run()
    events = [event[1:] for event in made.log[begun:] if event[0] == "hospital"]
    legal = {"known-reply", "part-key", "sealed-part", "summed-part"} if MODES[mode].summed else {REPLIES[mode]}
    legal |= STALE if MODES[mode].ids == "psi" else set()

    def after(count: int) -> Any:
        role = prediction(mode, State(dict(learned)))
        jobs = [effect for effect in role.start() if isinstance(effect, Compute)]
        for what, whose, value in events[:count]:
            if what == "receive":
                effects = role.receive(whose, value)
            else:
                job = next(job for job in jobs if job.work == whose)
                jobs.remove(job)
                effects = job.then(value)
            jobs += [effect for effect in effects if isinstance(effect, Compute)]
        return role

    for count in range(len(events) + 1):
        storm(functools.partial(after, count), NAMES[1:], legal)
