"""What a party's process loads before its first fit in the clear: nothing that it needs at the end, or never."""

from __future__ import annotations

import gc
import subprocess
import sys

import pytest

from parties.run.ending import end
from parties.run.loading import loading

LATER = (
    "charset_normalizer",
    "jinja2",
    "joblib",
    "parties.report.results",
    "pydantic",
    "rich",
    "scipy",
    "secure_gal.forecast",
    "sklearn",
    "tenseal",
    "torch",
)
BEGIN = """
import contextlib, io, sys
import parties.cli
with contextlib.redirect_stdout(io.StringIO()):
    parties.cli.app(["assist", "--help"], standalone_mode=False)
from parties.run.progress import Progress
Progress(False, rounds=1)
"""
FIT = """
import numpy, pathlib, polars
from secure_gal.data.encode_table import TableEncoder
from secure_gal.learners import make_learner, storage
from secure_gal.learners.cross_fit import cross_fit
from secure_gal.settings.party import LearnerSettings
frame = polars.DataFrame({"age": [1.0, 2.0, None, 4.0] * 10, "town": ["a", "b", "a", None] * 10})
encoder = TableEncoder.fit(frame)
learner = make_learner(LearnerSettings(), pathlib.Path("."))
x = encoder.transform(frame)[0]
found = learner.cross_fit(x, numpy.ones((40, 1), "f4"), 0, numpy.arange(40) % 5)
storage.dump((encoder, found.model))
"""
SPONSOR = """
import parties.commands.train, parties.report.rounds, parties.run.computing
import secure_gal.holdings.sponsor, transport.sponsor_socket
"""
ASSISTOR = "import parties.commands.assist, secure_gal.holdings.assistor, transport.assistor_socket\n"
END = "print(*(name for name in {never!r} if name in sys.modules))"


@pytest.mark.parametrize(
    ("loaded", "never"),
    [(SPONSOR, LATER), (ASSISTOR, (*LATER, "asyncio", "ssl"))],  # a sponsor's refusals of unknown keys run in asyncio
    ids=["sponsor", "assistor"],
)
def test_a_first_fit_waits_for_nothing_that_is_needed_later(loaded: str, never: tuple[str, ...]) -> None:
    script = BEGIN + loaded + FIT + END.format(never=never)
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout.split() == []


def test_imports_are_not_searched_for_garbage_and_what_comes_after_them_is() -> None:
    with pytest.raises(ImportError), loading():
        assert not gc.isenabled()
        raise ImportError
    assert gc.isenabled()
    gc.disable()
    try:
        with loading():
            pass
        assert not gc.isenabled(), "whoever wants none looked for gets none"
    finally:
        gc.enable()


def test_an_end_searches_nothing_for_garbage() -> None:
    kept = [[] for _ in range(100)]
    before = gc.get_freeze_count()
    with pytest.raises(SystemExit):
        end(0)
    assert gc.get_freeze_count() >= before + len(kept)
