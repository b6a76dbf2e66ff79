"""Errors of the estimator: the product's own, which are also the `ValueError` that scikit-learn's tools expect."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from secure_gal.errors import DataError, SettingsError

WORDS = (
    ("[data] label", "y"),
    ("[data] weight", "sample_weight"),
    ("[data]", "X"),
    ("alignment", "X"),
)
"""Of the files of a study, and what a caller calls the same."""


class ParameterError(SettingsError, ValueError):
    """A parameter is not accepted, or a learner failed; the message names it."""


class InputError(DataError, ValueError):
    """X, y or weights cannot be used as they are; the message names the block, row and column, and the fix."""


@contextmanager
def in_words_of_the_caller() -> Iterator[None]:
    """What a study's own code refuses is told of X, y and parameters instead of files.

    Raises:
        ParameterError, InputError: instead of SettingsError and DataError.
    """
    try:
        yield
    except (ParameterError, InputError):
        raise
    except SettingsError as error:
        where = error.where
        for ours, theirs in WORDS:
            if where.startswith(ours):
                where = theirs + where.removeprefix(ours)
                break
        kind = InputError if isinstance(error, DataError) else ParameterError
        raise kind(where, error.problem) from error
