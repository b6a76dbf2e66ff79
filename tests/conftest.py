"""Shared helpers: keys made once, a party file writer."""

from __future__ import annotations

import functools

import pytest

from crypto.identity import Identity


@functools.cache
def identity(name: str) -> Identity:
    return Identity.generate(name)


@pytest.fixture
def ids() -> dict[str, Identity]:
    return {name: identity(name) for name in ("hospital", "lab", "insurer")}
