"""The bytes that are foretold are those that a study moves, kind by kind, in every mode."""

from __future__ import annotations

from collections import Counter

import msgspec
import pytest

from secure_gal.forecast.traffic import foretold
from secure_gal.protocol.agreement import reading
from secure_gal.state import State
from secure_gal.volume import Volume
from tests.support.hostile_studies import MODES, build, settings
from tests.support.simulation import Network, Party
from tests.support.study_in_memory import NAMES, Arrays, N, context, make_node
from transport import wire

OF_MORE_ROWS = frozenset({"ids", "masked-ids", "tags"})
"""The assistors of these studies hold five rows more than the sponsor knows of."""
STAND_INS = frozenset({"evaluation-keys", "product-keys"})
"""Of these studies they can be read, and are short; `test_encrypted_processes` holds real ones against the forecast."""
Key = tuple[str, str, str]


def moved(mode: str) -> Counter[Key]:
    """Bytes of a whole learning stage by kind, sender and receiver."""
    make, the_study = build(mode, rows=N), settings(mode)

    def party(name: str) -> Party:
        return Party(name, lambda store: make_node(make(name, State(store.values)), store, context(name, the_study)))

    network = Network(party("hospital"), [party(name) for name in NAMES[1:]])
    network.run()
    found: Counter[Key] = Counter()
    for a, b, frames in {(a, b, frames[0]): (a, b, frames) for a, b, frames in network.sent}.values():
        kind = msgspec.json.decode(bytes(frames[0]), type=wire.Header).kind
        found[kind, a, b] += sum(map(len, frames))
    return found


@pytest.mark.parametrize("mode", MODES)
def test_every_kind_between_every_pair_is_foretold_within_three_percent(mode: str) -> None:
    the_study = settings(mode)
    volume = Volume(the_study, N, len(msgspec.json.encode(Arrays("lab").ids)))
    told: Counter[Key] = Counter()
    for flow in foretold(volume, reading(context("hospital", the_study).canonical), wire.around):
        told[flow.message, flow.sender, flow.receiver] += flow.nbytes
    found = moved(mode)
    found.update({key: told[key] - size for key, size in found.items() if key[0] in STAND_INS})
    assert told.keys() == found.keys()
    wrong = {
        key: (told[key], size)
        for key, size in found.items()
        if abs(told[key] - size) > (0.10 if key[0] in OF_MORE_ROWS else 0.03) * size
    }
    assert not wrong
    assert sum(told.values()) == pytest.approx(sum(found.values()), rel=0.02)
