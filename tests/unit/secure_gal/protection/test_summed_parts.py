"""A prediction batch of which the sponsor sees one sum, message by message: one order, and all else is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from crypto.ckks.fits import ROWS, SUM
from crypto.sealed_box import OVERHEAD_BYTES
from secure_gal import events, messages
from secure_gal.effects import Compute, Done, Send
from secure_gal.errors import PeerViolation
from secure_gal.messages import Announcement, Author, Batch
from secure_gal.protection.batch import Batched
from secure_gal.protection.sums.parts import SummedParts
from secure_gal.protection.sums.sealing import SealingKeys
from secure_gal.settings.study import Protect
from secure_gal.state import State
from tests.conftest import identity
from tests.support.batches import IDS, RUN, Pairs, batched
from tests.support.study_in_memory import context, study

SUMMED = study(protect=Protect(ids="clear", predictions="sum"))
FIT = messages.Fitted(np.zeros((3, 1), np.float32), 1)


class Opened:
    """Finds 2 and 5 in the sum of two rows."""

    def decrypt_sum(self, ciphertexts: Any, place: Any, peer: str) -> Any:
        assert (place.train, place.others, place.outputs, peer) == (0, 2, 1, "lab")
        return np.array([[2.0], [5.0]])


def summed(pairs: Any = None) -> tuple[Batched, SummedParts, SealingKeys]:
    """The lab is the aggregator."""
    fixed = context("lab", SUMMED)
    keys = SealingKeys(fixed, State({}), lambda: RUN)
    return batched(SUMMED, pairs), SummedParts(Opened(), fixed.digest, identity("lab").card), keys  # type: ignore[arg-type]


def known(*rows: int) -> messages.KnownReply:
    return messages.KnownReply(Batch(4), np.array(rows, np.uint8))


def part_key(keys: SealingKeys, number: int = 4) -> messages.PartKey:
    public, signature = keys.announce("part", number)
    return messages.PartKey(Batch(4), Announcement(public.hex(), signature.hex()))


SEALED = messages.SealedPart(Batch(4), np.ones(OVERHEAD_BYTES + ROWS.reply_bytes, np.uint8))
SUM_OF = messages.SummedPart(Batch(4), np.ones((1, SUM.reply_bytes), np.uint8))


def refused(batch: Batched, parts: SummedParts, *turns: tuple[str, Any]) -> None:
    """Each of them is out of turn, and changes nothing."""
    waited = parts.waiting_for(batch)
    for peer, message in turns:
        with pytest.raises(PeerViolation) as found:
            parts.receive(batch, peer, message)
        assert found.value.peer == peer
    assert parts.waiting_for(batch) == waited


def test_a_sum_goes_through_its_steps_in_one_order() -> None:
    batch, parts, keys = summed()
    key = part_key(keys)
    ask = messages.KnownRequest(Batch(4), IDS)
    assert parts.begin(batch) == [Send("lab", ask), Send("insurer", ask)] and parts.resume(batch) == []
    refused(
        batch, parts, ("lab", key), ("insurer", SEALED), ("lab", SUM_OF), ("lab", known(1, 1)), ("lab", known(1, 1, 2))
    )
    assert parts.waiting_for(batch) == ["lab", "insurer"]
    assert parts.receive(batch, "insurer", known(0, 1, 1)) == [] and parts.waiting_for(batch) == ["lab"]
    refused(batch, parts, ("insurer", known(0, 1, 1)), ("lab", key), ("insurer", SEALED), ("lab", SUM_OF))
    asked = messages.PredictRequest(Batch(4), ("b", "c"))
    assert parts.receive(batch, "lab", known(1, 1, 1)) == [Send("lab", asked)] and parts.waiting_for(batch) == ["lab"]
    refused(batch, parts, ("lab", known(1, 1, 1)), ("insurer", key), ("insurer", SEALED), ("lab", SEALED))
    refused(batch, parts, ("lab", part_key(keys, 5)), ("lab", SUM_OF), ("lab", FIT))
    assert parts.receive(batch, "lab", key) == [Send("insurer", key), Send("insurer", asked)]
    assert parts.waiting_for(batch) == ["insurer"]
    short = messages.SealedPart(Batch(4), SEALED.sealed[1:])
    refused(batch, parts, ("lab", key), ("lab", SEALED), ("insurer", short), ("lab", SUM_OF))
    relayed = messages.RelayedPart(Batch(4), Author("insurer"), SEALED.sealed)
    assert parts.receive(batch, "insurer", SEALED) == [Send("lab", relayed)] and parts.waiting_for(batch) == ["lab"]
    refused(batch, parts, ("insurer", SEALED), ("insurer", SUM_OF))
    with pytest.raises(PeerViolation):
        parts.receive(batch, "lab", messages.SummedPart(Batch(4), SUM_OF.ciphertexts[:, 1:]))
    (job,) = parts.receive(batch, "lab", SUM_OF)
    refused(batch, parts, ("lab", SUM_OF))
    again = batched(SUMMED, state=batch.state.take_changes())
    (resumed,) = SummedParts(Opened(), "", identity("lab").card).resume(again)  # type: ignore[arg-type]
    for made, effect in ((batch, job), (again, resumed)):
        assert isinstance(effect, Compute) and effect.work == "decrypt" and effect.then(effect.job()) == [Done()]
        found = parts.parts(made)
        assert found["lab"].values.tolist() == [[0.0], [6.0], [15.0]] and not found["insurer"].values.any()
        assert found["lab"].known.tolist() == found["insurer"].known.tolist() == [0, 1, 1]
        assert parts.waiting_for(made) == [] and parts.resume(made) == []
    refused(batch, parts, ("lab", key), ("insurer", SEALED), ("lab", SUM_OF))


def test_rows_of_a_sum_under_private_ids() -> None:
    pairs = Pairs("insurer")
    batch, parts, keys = summed(pairs)
    assert parts.waiting_for(batch) == ["insurer"] and parts.aligned(batch) == []
    refused(batch, parts, ("lab", known(1, 1, 1)))
    pairs.still = []
    (sent,) = parts.aligned(batch)
    assert isinstance(sent, Send) and sent.peer == "lab" and isinstance(sent.message, messages.PredictRows)
    assert sent.message.positions.tolist() == [5] and sent.message.step == messages.Step(4, 1)
    assert parts.aligned(batch) == [], "once"
    _, other = parts.receive(batch, "lab", part_key(keys))
    assert isinstance(other, Send) and isinstance(other.message, messages.PredictRows)
    assert (other.peer, other.message.positions.tolist()) == ("insurer", [3]) and other.message.step.attempt == 2


def test_a_row_that_not_all_know_has_no_assistors_part() -> None:
    batch, parts, _ = summed()
    parts.receive(batch, "lab", known(1, 0, 0))
    warned, done = parts.receive(batch, "insurer", known(0, 1, 0))
    assert isinstance(warned, events.Warned) and "no row is known to every assistor" in warned.text and done == Done()
    assert parts.waiting_for(batch) == []
    for part in parts.parts(batch).values():
        assert not part.known.any() and part.values.shape == (3, 1) and not part.values.any()


@pytest.mark.parametrize("peer", ["lab", "insurer"])
def test_one_that_refuses_ends_the_sum(peer: str) -> None:
    batch, parts, keys = summed()
    for name in ("lab", "insurer"):
        parts.receive(batch, name, known(1, 1, 1))
    if peer == "insurer":
        parts.receive(batch, "lab", part_key(keys))
    warned, done = parts.receive(batch, peer, messages.SealedPart(Batch(4, "why " * 99), np.ones(0, np.uint8)))
    assert done == Done() and isinstance(warned, events.Warned)
    assert warned.text == f"{peer} refuses this batch: {('why ' * 99)[:200]}; without it no assistor's part is used"
    assert not parts.parts(batch)["lab"].known.any() and parts.waiting_for(batch) == []


def test_a_key_for_parts_is_made_once_a_batch_and_erased_with_it() -> None:
    _, _, keys = summed()
    first, second, fits = (keys.announce(*about) for about in (("part", 3), ("part", 4), ("fitted", 0)))
    assert keys.announce("part", 3) == first != second and keys.announce("fitted", 0) == fits
    keys.erase_parts(3)
    assert keys.announce("part", 4) == second and keys.announce("part", 3)[0] != first[0]
    keys.erase_fitted()
    assert keys.announce("fitted", 0)[0] != fits[0] and keys.announce("part", 4) == second
