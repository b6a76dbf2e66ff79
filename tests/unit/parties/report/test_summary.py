"""What readers of summary.json take is what is written there, also by another release."""

from __future__ import annotations

import json
from typing import Any, get_type_hints

import msgspec
import pytest

from parties.report import summary as told
from secure_gal.gal import contributions
from secure_gal.gal.verdict import Finding, Verdict
from secure_gal.measures import bootstrap, calibration, evaluation, groups
from secure_gal.protocol.sponsor_records import Counts
from tests.support.report_sample import summary


@pytest.mark.parametrize(
    ("row", "kind", "beside"),
    [
        (told.Worth, evaluation.Evaluation, {"worth"}),
        (told.Compared, evaluation.Compared, set()),
        (told.Points, evaluation.Points, set()),
        (told.Group, groups.Group, set()),
        (told.Bin, calibration.Bin, set()),
        (told.Interval, bootstrap.Estimate, set()),
        (told.Interval, contributions.Estimate, set()),
        (told.Share, contributions.Contribution, set()),
        (told.Shares, contributions.Contributions, {"note"}),
        (told.Judged, Verdict, {"word", "gain"}),
        (told.Found, Finding, {"text"}),
        (told.Rows, Counts, set()),
    ],
)
def test_a_row_has_the_fields_of_what_it_is_written_from(
    row: type, kind: type[msgspec.Struct], beside: set[str]
) -> None:
    assert get_type_hints(row).keys() == set(kind.__struct_fields__) | beside


def test_a_summary_is_read_as_it_was_written() -> None:
    whole = summary(gal=1, seconds={"total": 2, "from_ready": None})
    found = told.read(json.dumps(whole))
    assert json.dumps(found) == json.dumps(whole), "in its order, and a whole number stays one"


def test_keys_of_another_release_are_left_out_and_some_may_be_missing() -> None:
    changed: dict[str, Any] = summary(novel={"a": 1})
    del changed["evaluation"], changed["format"]
    found = told.read(json.dumps(changed))
    assert "novel" not in found and "evaluation" not in found and found["kept"] == 3


@pytest.mark.parametrize("text", ["", "{", "[]", json.dumps(summary(kept="three"))])
def test_what_is_no_summary_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        told.read(text)


def test_what_was_kept_of_rounds_comes_back_as_it_was() -> None:
    text = json.dumps([{"round": 1, "seconds": 0.25, "bytes_sent": 7, "bytes_received": 9}])
    assert json.dumps(told.measured(text)) == text and told.measured("") == []
