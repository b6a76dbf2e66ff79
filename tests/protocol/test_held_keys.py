"""Evaluation keys of an earlier run of the study: used again if the sponsor made them, replaced if not."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from crypto.ckks.fits import SUM
from crypto.ckks.keys import keys_digest
from crypto.ckks.sets import PARAMETER_SETS
from secure_gal import events, messages
from secure_gal.effects import Compute
from secure_gal.errors import PeerViolation
from secure_gal.state import State
from tests.support import encrypted_in_memory as single
from tests.support import sums_in_memory as sums
from tests.support.hostile import Play
from tests.support.hostile_studies import MemoryKeys, build
from tests.support.study_in_memory import NAMES

MODES = ["ckks", "sums", "ckks sums"]
LABS = NAMES[1:]


def homes(mode: str = "", raw: bytes = b"") -> dict[str, MemoryKeys]:
    """The assistors' homes, with the keys that an earlier run of such a study left there, or with these."""
    made = {name: MemoryKeys() for name in LABS}
    for name, home in made.items():
        adds = mode != "ckks" and name == "lab"
        home.raw = raw or {"": b"", "ckks": single.KEYS}.get(mode, sums.COMBINERS if adds else sums.KEYS)
    return made


def play(mode: str, kept: dict[str, MemoryKeys], first_nonce: int = 1) -> Play:
    return Play(NAMES, build(mode, first_nonce, kept=kept))


def sizes(made: Play) -> list[int]:
    """Bytes of every evaluation key that was sent."""
    return [len(m.keys) for _, _, m in made.sent if isinstance(m, messages.EvaluationKeys)]


@pytest.mark.parametrize("mode", MODES)
def test_a_second_run_of_a_study_is_sent_no_keys(mode: str) -> None:
    kept = homes()
    first, second = play(mode, kept), play(mode, kept, 7)
    first.run()
    left = {name: home.raw for name, home in kept.items()}
    second.run()
    assert all(sizes(first)) and sizes(second) == [0] * len(LABS), "the second one began when the first had not ended"
    assert {name: home.raw for name, home in kept.items()} == left == {n: h.raw for n, h in homes(mode).items()}
    if "sums" not in mode or "ckks" not in mode:  # private ids have a random order of rows
        outputs = [made.disk["hospital"]["ensemble/F"] for made in (first, second)]
        np.testing.assert_array_equal(*outputs)


@pytest.mark.parametrize("mode", MODES)
def test_keys_that_the_sponsors_key_has_not_made_are_replaced(mode: str) -> None:
    """Of a key that has ended, of another width, or of a file that was damaged: they look alike."""
    kept = homes(raw=b"keys of another key")
    made = play(mode, kept)
    made.run()
    assert all(sizes(made)) and {n: h.raw for n, h in kept.items()} == {n: h.raw for n, h in homes(mode).items()}


def refused(made: Play, message: Any, rule: str) -> None:
    """The lab refuses this in place of its keys, is as it was, and goes on with what the sponsor sends."""
    lab = made.roles["lab"]
    lab.state.take_changes()
    with pytest.raises(PeerViolation, match=rule) as found:
        lab.receive("hospital", message)
    assert found.value.peer == "hospital" and lab.state.take_changes() == {}
    made.run()
    assert lab.phase == "serving"


@pytest.mark.parametrize("mode", MODES)
def test_no_keys_for_one_that_has_none(mode: str) -> None:
    made = play(mode, homes())
    good = made.until("lab", "evaluation-keys")
    refused(made, dataclasses.replace(good, keys=good.keys[:0]), "no keys came, and this party has none")


@pytest.mark.parametrize("mode", MODES)
def test_no_keys_for_one_that_has_others(mode: str) -> None:
    """Whoever says that they are its own answers for what is wrong with them."""
    made = play(mode, kept := homes(raw=b"keys of another key"))
    good = made.until("lab", "evaluation-keys")
    refused(made, dataclasses.replace(good, keys=good.keys[:0]), "other keys")
    assert kept["lab"].raw == good.keys.tobytes()


@pytest.mark.parametrize("mode", MODES)
def test_the_very_keys_that_are_held(mode: str) -> None:
    made = play(mode, kept := homes(mode))
    nothing = made.until("lab", "evaluation-keys")
    assert not len(nothing.keys)
    same = dataclasses.replace(nothing, keys=np.frombuffer(kept["lab"].raw, np.uint8))
    refused(made, same, "the very keys came that this party had said it has")


@pytest.mark.parametrize("mode", MODES)
def test_bad_keys_replace_none_at_home(mode: str) -> None:
    made = play(mode, kept := homes(raw=b"keys of another key"))
    good = made.until("lab", "evaluation-keys")
    refused(made, dataclasses.replace(good, keys=good.keys[:-1]), "other keys")
    assert kept["lab"].raw == good.keys.tobytes(), "after the good ones"


@pytest.mark.parametrize("digest", ["0" * 63, "0" * 65, "G" * 64, "0" * 64 + "\n", "A" * 64, "\x1b[2J"])
@pytest.mark.parametrize(("mode", "kind"), [("ckks", "features"), ("sums", "declared")])
def test_what_is_no_digest(mode: str, kind: str, digest: str) -> None:
    made = play(mode, homes())
    good, sender, hospital = made.until("hospital", kind), made.sender, made.roles["hospital"]
    hospital.state.take_changes()
    with pytest.raises(PeerViolation, match="is no digest of evaluation keys") as found:
        hospital.receive(sender, dataclasses.replace(good, held=messages.Held(digest)))
    assert found.value.peer == sender and hospital.state.take_changes() == {}
    made.run()


@pytest.mark.parametrize("mode", MODES)
def test_what_was_offered_is_found_after_a_crash_without_the_home(mode: str) -> None:
    """Another run of the study may have put other keys there, and a person may have cleared it."""
    made = play(mode, kept := homes(mode))
    nothing = made.until("lab", "evaluation-keys")
    kept["lab"].raw = b""
    lab = made.copy("lab", prepared=True)
    told = lab.receive("hospital", nothing)
    assert [e for e in told if isinstance(e, events.GotKeys)] == [events.GotKeys(0, len(homes(mode)["lab"].raw))]
    after = lab.state.take_changes()
    assert after["keys"] == homes(mode)["lab"].raw and after["offered-keys"] is None


@pytest.mark.parametrize("mode", MODES)
def test_a_sponsor_that_dies_before_it_answers_answers_the_same(mode: str) -> None:
    made = play(mode, homes(mode))
    job = made.until_job("hospital", "keys")
    effects = made.build("hospital", State(dict(made.disk["hospital"]))).start()
    while not any(isinstance(effect, Compute) and effect.work == "keys" for effect in effects):
        effect = effects.pop(0)
        effects += effect.then(effect.job()) if isinstance(effect, Compute) else []
    due = next(effect for effect in effects if isinstance(effect, Compute) and effect.work == "keys")
    assert due.job() == job.job() in (b"", dict.fromkeys(LABS, b""))


@pytest.mark.parametrize("mode", ["sums", "ckks sums"])
def test_no_other_assistor_learns_what_one_holds(mode: str) -> None:
    kept = homes(mode)
    made = play(mode, kept)
    made.run()
    told = {m.held.digest for a, _, m in made.sent if isinstance(m, messages.Declared)}
    assert len(told) == len(LABS) and "" not in told
    assert not any(digest in repr(m) for a, _, m in made.sent if a == "hospital" for digest in told)


def test_a_digest_is_that_of_the_study_parameters_and_the_declared_width() -> None:
    made = play("ckks", homes("ckks"))
    said = made.until("hospital", "features")
    assert said.held.digest == keys_digest(PARAMETER_SETS["standard"], said.width.padded, single.KEYS)
    assert said.held.digest != keys_digest(SUM, said.width.padded, single.KEYS)
