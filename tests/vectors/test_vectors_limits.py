"""Vectors of named limits: what a peer, a file of an earlier release, a budget or a person counts on.

A limit that moves by one refuses what the other end still sends, or lets in what it was to keep out. What only decides
how work is split has no place here.
"""

from __future__ import annotations

from importlib import import_module

import pytest

from tests.support.frozen import Vector

LIMITS = Vector("limits")


@pytest.mark.parametrize("name", LIMITS.frozen)
def test_limits(name: str) -> None:
    module = vars(import_module(name))
    for limit, frozen in LIMITS.frozen[name].items():
        found = module[limit]
        found = list(found) if isinstance(found, tuple) else found
        assert (found, type(found)) == (frozen, type(frozen)), f"layer {LIMITS.layer!r}: {name}.{limit}"
