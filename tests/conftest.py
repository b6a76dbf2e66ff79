"""Shared helpers: keys made once, a party file writer."""

from __future__ import annotations

import functools
import gc
import logging
from collections.abc import Generator, Iterator

import pytest

from crypto.identity import Identity


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Nothing is garbage of what collecting the tests makes: looking for some there took a quarter of its CPU, in every
    worker, and again whenever a test looks for its own."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@functools.cache
def identity(name: str) -> Identity:
    return Identity.generate(name)


@pytest.fixture(autouse=True)
def _log_of_a_command_ends_with_its_test() -> Iterator[None]:
    """A command follows the learners' log until its process ends, on a standard error that is this test's alone."""
    yield
    logging.getLogger("secure_gal").handlers = []


@pytest.fixture
def ids() -> dict[str, Identity]:
    return {name: identity(name) for name in ("hospital", "lab", "insurer")}
