"""What a sponsor's process loads before the first round of a study in the clear: nothing that it needs at the end."""

from __future__ import annotations

import subprocess
import sys

LATER = ("tenseal", "joblib", "jinja2", "scipy", "sklearn", "secure_gal.forecast", "parties.report.results")
SCRIPT = """
import sys
import parties.cli, parties.commands.train, parties.report.rounds, parties.run.computing
import secure_gal.holdings.sponsor, transport.sponsor_socket
print(*(name for name in {later!r} if name in sys.modules))
"""


def test_a_sponsor_loads_what_it_needs_at_the_end_at_the_end() -> None:
    script = SCRIPT.format(later=LATER)
    loaded = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert loaded.stdout.split() == []
