"""The bytes that `check` foretells are those that a study moves."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks import harness
from parties.commands import setup
from secure_gal.protection.reply_counts import budget_problem
from secure_gal.settings.study import Protect, Study
from secure_gal.volume import Volume
from tests.support.study_in_memory import study


def test_what_check_prints_at_both_ends(tmp_path: Path) -> None:
    case = harness.synthetic(tmp_path, 1000, 2, parties=3, classes=3)
    harness.write_settings(tmp_path, case, study='[protect]\nresiduals = "ckks"')
    sponsor = setup.check_party(tmp_path / "p0" / "p0.toml")
    assert (
        "if every party holds these 1,000 rows and all rounds are run (about; keys as for the widest features)\n"
        in sponsor
    )
    for peer in ("p1", "p2"):
        assert re.search(rf"  to {peer}: .*alignment.*keys 3\.1 MB, residuals", sponsor)
        assert re.search(rf"  from {peer}: .*fits", sponsor) and f"from {peer}\n" in sponsor
    lab = setup.check_party(tmp_path / "p1" / "p1.toml")
    assert "p2:" not in lab
    assert re.search(r"  from p0: .*keys 3\.1 MB", lab) and re.search(
        r"at 1, 10, 100 Mbit/s at least \d+, \d+, \d+ s", lab
    )


def test_predictions_grow_with_ids_and_a_private_one_with_the_table() -> None:
    def told(protect: Protect, rows: int, ids: int) -> int:
        volume = Volume(Study("s", "regression", "a", "tcp://x:1", ("b", "c"), protect=protect), rows, 9 * rows)
        return sum(flow.nbytes for flow in volume.predicting(ids))

    assert told(Protect(ids="clear"), 10**6, 1000) == 2 * (9 * 1000 + 1000 + 4000)
    assert told(Protect(), 10**6, 1000) > 2 * 32 * 10**6
    for protect in (Protect(residuals="ckks"), Protect(predictions="sum"), Protect(ids="clear", predictions="sum")):
        assert told(protect, 1000, 100_000) > told(protect, 1000, 1000) > 0


@pytest.mark.parametrize(("rounds", "fits"), [(64, True), (65, False)])
def test_a_study_may_use_up_all_that_its_parameter_set_hides_data_for(rounds: int, fits: bool) -> None:
    """64 rounds of 1,024 outputs are 2^16 = tau replies."""
    protect = Protect(ids="clear", residuals="ckks")
    settings = study(task="classification", outputs=1024, rounds=rounds, protect=protect)
    assert (budget_problem(settings, 90, 10) == "") == fits
