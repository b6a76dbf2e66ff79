"""An alignment that leaves nothing to learn from: every party hears that the study is over, and nobody hears more."""

from __future__ import annotations

import pytest

from parties.run.node import Node
from secure_gal.errors import PeerViolation
from secure_gal.messages import NoRows
from secure_gal.protocol import roles
from secure_gal.protocol.sponsor_records import SponsorRecords
from secure_gal.settings.study import Protect, Study
from secure_gal.state import State
from tests.support.simulation import MemoryStore, Network, Party
from tests.support.study_in_memory import FEW, NAMES, Arrays, N, context, make_node, study
from transport import wire

IDS = {"clear": Protect(ids="clear"), "psi": Protect(ids="psi")}
Names = dict[str, tuple[str, ...]]
"""By party, its ids."""


def ids_of(rows: int = FEW, **unlike: str) -> Names:
    """Every party's ids: r0, r1, ..., or under the other names that are given."""
    return {name: tuple(f"{unlike.get(name, 'r')}{i}" for i in range(rows)) for name in NAMES}


NOBODY = ids_of(lab="x", insurer="y")
ONE_OF_TWO = ids_of(lab="x")
NO_ID_OF_ALL = ids_of() | {
    "lab": tuple(f"{'r' if i < FEW // 2 else 'x'}{i}" for i in range(FEW)),
    "insurer": tuple(f"{'y' if i < FEW // 2 else 'r'}{i}" for i in range(FEW)),
}


def network_of(ids: Names, settings: Study, seed: int = 0, loss: float = 0.0) -> Network:
    def party(name: str) -> Party:
        fixed = context(name, settings)

        def make(store: MemoryStore) -> Node:
            arrays, state, nonce = (
                Arrays(name, len(ids[name]) - N),
                State(store.values),
                bytes([NAMES.index(name) + 1]) * 16,
            )
            arrays.ids = ids[name]
            protocol = roles.sponsor if name == "hospital" else roles.assistor
            return make_node(protocol(fixed, arrays, state, nonce), store, fixed)  # type: ignore[arg-type]

        return Party(name, make)

    hospital, *others = [party(name) for name in NAMES]
    return Network(hospital, others, seed, loss)


def phases(network: Network) -> set[str]:
    return {party.node.role.phase for party in network.parties.values()}


def why(network: Network) -> str:
    """What the sponsor's person is told."""
    return SponsorRecords(network.sponsor.node.role.state).unmatched.get()


def last_messages(network: Network) -> dict[str, list[bytes]]:
    """By assistor, the frames of the last message to it."""
    return {to: frames for sender, to, frames in network.sent if sender == "hospital"}


@pytest.mark.parametrize("how", IDS)
@pytest.mark.parametrize("ids", [NOBODY, ONE_OF_TWO, NO_ID_OF_ALL], ids=["nobody", "one of two", "no id of all"])
def test_every_party_hears_that_alignment_found_no_rows(how: str, ids: Names) -> None:
    network = network_of(ids, study(protect=IDS[how], validation=0.0))
    network.run()
    assert phases(network) == {"unmatched"}
    assert "`secure-gal check`" in why(network) and "no id is common to all parties" in why(network)


def test_the_sponsors_own_rows_with_an_assistor_that_holds_none() -> None:
    network = network_of(ONE_OF_TWO, study(protect=IDS["psi"], validation=0.0, rows="sponsor"))
    network.run()
    assert phases(network) == {"unmatched"} and f"0 with lab, {FEW} with insurer" in why(network)


def test_an_assistor_without_training_rows_ends_the_study_for_everybody() -> None:
    def held(validation: float) -> set[str]:
        few = ids_of(N, lab="x") | {"lab": ("r0", "r1", "r2", *(f"x{i}" for i in range(3, N)))}
        network = network_of(few, study(rows="sponsor", validation=validation))
        network.run()
        return phases(network)

    assert held(0.99) == {"unmatched"}
    assert held(0.0) == {"finished", "serving"}, "the test can fail"


def test_an_assistor_cannot_tell_which_pair_had_nothing_in_common() -> None:
    """The one who shares every id is sent what the one who shares none is sent: a kind, and not a byte of payload."""
    seen = set()
    for ids in (NOBODY, ONE_OF_TWO, NO_ID_OF_ALL, ids_of(insurer="y")):
        network = network_of(ids, study(protect=IDS["psi"], validation=0.0))
        network.run()
        for frames in last_messages(network).values():
            header = wire._header("hospital", frames)[0]
            seen.add((header.kind, header.round, header.fields, len(frames), len(b"".join(frames[2:]))))
    assert seen == {(NoRows.KIND, 0, (), 3, 0)}


@pytest.mark.parametrize("how", IDS)
def test_kill_at_every_step_and_every_party_is_told(how: str) -> None:
    settings = study(protect=IDS[how], validation=0.0)
    network, steps = network_of(ONE_OF_TWO, settings), 0
    while network.step():
        steps += 1
    for at in range(steps):
        network = network_of(ONE_OF_TWO, settings, seed=at)
        for _ in range(at):
            network.step()
        network.crash(NAMES[at % 3])
        network.run()
        assert phases(network) == {"unmatched"}, f"step {at}"


def test_what_was_aligned_is_not_kept_of_a_study_that_ended_so() -> None:
    for how in IDS:
        network = network_of(ONE_OF_TWO, study(protect=IDS[how], validation=0.0))
        network.run()
        kept = {key.partition("/")[0] for party in network.parties.values() for key in party.store.values}
        assert not kept & {"ids", "match", "order", "ids-digest", "asked", "tagged", "untagged"}


def test_no_rows_after_rows_is_a_violation() -> None:
    network = network_of(ids_of(), study(validation=0.0))
    network.run()
    lab = network.parties["lab"].node.role
    assert lab.phase == "serving"
    with pytest.raises(PeerViolation, match="no-rows is not legal while serving"):
        lab.receive("hospital", NoRows())
