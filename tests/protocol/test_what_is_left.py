"""What each party's disk holds after a study and after a batch: what was needed on the way is gone."""

from __future__ import annotations

import re

import pytest

from tests.support.predictions_in_memory import asking, learnt
from tests.support.simulation import MemoryStore

KEPT = {"certify/done", "encoder", "nonce", "phase", "run", "train"}
SPONSOR = {
    *("alone/F", "alone/F-kept", "alone/F0", "alone/history", "alone/stuck", "attempt/", "certify/due", "counts"),
    *("coverage/", "ensemble/F", "ensemble/F-kept", "ensemble/F0", "ensemble/history", "ensemble/part-kept/"),
    *("ensemble/part/", "ensemble/stuck", "finished/", "hello/", "learned", "model/", "own-coefficients"),
    *("residual/", "rows", "signature/"),
}
ASSISTOR = {"agreement", "positions", "prepared", "round"}
CLEAR_MODELS = {"coefficients", "model/", "withheld"}
TOGETHER = {"ensemble/part-kept/the assistors together", "ensemble/part/the assistors together"}
OF_KEYS = {"held/", "keyed/", "scale/"}
SUMS = {"declared", "keys", "sum/rows", "sum/sealing-key", "sum/widths"}
ADDER = {"sum/products", "sum/round"}
LEFT: dict[str, tuple[set[str], set[str]]] = {
    "psi": (set(), {"attempt"} | CLEAR_MODELS),
    "ckks, psi": ({"concluded", "sent", "width/"} | OF_KEYS, {"attempt", "declared", "head", "keys"}),
    "sum": ({"declared/", "evaluation", "unit/"} | OF_KEYS | TOGETHER, CLEAR_MODELS | SUMS),
    "ckks, sum, psi": (
        {"concluded", "declared/", "sent", "unit/"} | OF_KEYS | TOGETHER,
        {"attempt", "head"} | SUMS,
    ),
}
"""By mode: what the sponsor has besides, and each assistor."""


def families(store: MemoryStore) -> set[str]:
    """Entries without the names and numbers behind them."""
    return {re.sub(r"(/(\d+|lab|insurer|hospital))+$", "/", key) for key in store.values}


@pytest.mark.parametrize("mode", LEFT)
def test_what_is_left_of_a_study_and_of_a_batch(mode: str) -> None:
    sponsors, assistors = LEFT[mode]
    left = {
        "hospital": KEPT | SPONSOR | sponsors,
        "lab": KEPT | ASSISTOR | assistors | (ADDER if "sum" in mode else set()),
        "insurer": KEPT | ASSISTOR | assistors,
    }
    stores = learnt(mode)
    assert {name: families(store) for name, store in stores.items()} == left
    network = asking(mode)
    network.run()
    left["lab"] |= {"batch", "sum/batch"} if "sum" in mode else {"batch"}
    left["insurer"] |= {"batch"}
    for name in ("lab", "insurer"):
        assert families(network.parties[name].store) == left[name] and not network.parties[name].store.out
    role = network.sponsor.node.role
    role.close()  # type: ignore[attr-defined]
    changes = role.state.take_changes()
    assert {key for key in changes if changes[key] is not None} <= {"batches"}
    opened = {key for key in network.sponsor.store.values if key.startswith(("batch/", "match/"))}
    assert opened and opened <= {key for key, value in changes.items() if value is None}
