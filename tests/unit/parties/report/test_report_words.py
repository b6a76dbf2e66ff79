"""How the report writes numbers, bytes, times and intervals."""

from __future__ import annotations

import math

import pytest

from parties.report import foretold, page, results, worth
from secure_gal.gal.contributions import Contribution, Contributions, Estimate
from secure_gal.protocol.learned import Learned
from secure_gal.settings.study import Protect
from tests.support.report_sample import rounds, summary
from tests.support.study_in_memory import study


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        ("", "–"),
        (True, "yes"),
        (False, "no"),
        ("held-out", "held-out"),
        (math.nan, "nan"),
        (0, "0"),
        (1234567, "1,234,567"),
        ("-1234", "-1,234"),
        (10**17, "100,000,000,000,000,000"),
        (10**18, "1e+18"),
        (0.0, "0.0000"),
        (0.5, "0.5000"),
        (0.001, "0.0010"),
        (0.00099, "0.00099"),
        (-0.00099, "-0.00099"),
        (99_999.9, "99999.9000"),
        (100_000.0, "1e+05"),
        ("0.25", "0.2500"),
    ],
)
def test_a_cell_is_written_for_people(value: object, text: str) -> None:
    assert page._show(value) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (999_499, "999 kB"),
        (1_234_567, "1.23 MB"),
        (5 * 10**9, "5 GB"),
        (5 * 10**12, "5e+03 GB"),
    ],
)
def test_bytes_have_decimal_units(count: int, text: str) -> None:
    assert page._size(count) == text


def test_keys_are_headings() -> None:
    assert [page._words(key) for key in ("w_lab_a", "train_loss", "round")] == ["w lab_a", "train loss", "round"]
    assert page._columns([{"a": 1, "b": 2}, {"c": 3, "a": 4}]) == ["a", "b", "c"]


def test_times_are_shares_of_the_longest() -> None:
    shown = page._times({"total": 4.0, "from_ready": None, "sponsor_fit": 1.0, "cpu": 2.0})
    assert [(what.partition(",")[0], seconds, share) for what, seconds, share in shown] == [
        ("whole learning stage", 4.0, 1.0),
        ("the sponsor's computing: fit", 1.0, 0.25),
        ("CPU seconds of the sponsor", 2.0, 0.5),
    ]
    assert page._times({"cpu": 0.0}) == [("CPU seconds of the sponsor", 0.0, 0.0)]
    assert page._times({}) == []


def test_the_own_learners_fits_are_a_range() -> None:
    own = {"kind": "linear", "device": "CPU", "seconds": {"prepare": 0.5, "fit": [0.25, 0.125, 1.0]}}
    assert page._computing(own) == {
        "kind": "linear",
        "device": "CPU",
        "seconds, prepare": "0.5",
        "seconds, fit of a round": "0.125 to 1.000",
    }
    assert page._computing({"kind": "none", "seconds": {"fit": []}}) == {"kind": "none"}


def test_bytes_are_summed_by_peer_and_by_kind() -> None:
    counts = {"sent": {"b": {"rows": 1, "residual": 10}, "a": {"rows": 100}}, "received": {"b": {"fitted": 1000}}}
    assert page._links(counts) == {"a": (100, 0), "b": (11, 1000)}
    assert list(page._links(counts)) == ["a", "b"] and page._links({}) == {}
    other = page._traffic({"sent": {"a": {"novel": 4}}, "received": {"a": {"rows": 1}}})
    assert other["Other"] == [("novel", 4, 0, 1.0)] and other["Alignment of rows"] == [("rows", 0, 1, 0.25)]


def test_the_first_picture_is_of_what_judges_the_study() -> None:
    shown = [row | {"train_metric": f"{row['round']}"} for row in rounds()]
    for judged, history, alt in (
        ("held-out", [], "AUC, held-out rows over 4 rounds: GAL from 0.981 in round 1 to 0.984 in round 4"),
        (
            "out-of-fold",
            [{"out_of_fold": True}],
            "AUC, out-of-fold values of training rows over 4 rounds: GAL from 1 in",
        ),
    ):
        made = page._charts(summary() | {"judged": judged, "history": history}, shown)
        assert made[0].alt.startswith(alt)
        assert ("out-of-fold values of the training rows" in made[1].alt) is bool(history)


@pytest.mark.parametrize(
    ("metric", "gal", "alone", "gain"),
    [("auc", 0.75, 0.5, 0.25), ("mad", 0.75, 0.5, -0.25), ("auc", None, 0.5, None), ("auc", 0.5, math.nan, None)],
)
def test_a_gain_is_positive_where_gal_is_better(
    metric: str, gal: float | None, alone: float | None, gain: float | None
) -> None:
    assert page._gain({"metric": metric, "gal": gal, "alone": alone}) == gain


def test_a_forecast_stands_beside_what_it_took() -> None:
    found = {
        "rows": {"foretold": 1200, "actual": 1000},
        "cpu": {"foretold": 1234.5, "actual": None},
        "bytes": {"foretold": None, "actual": 7},
        "rounds": {"foretold": 3, "actual": 0},
        "from_ready": {"foretold": 0.5, "actual": 2.0},
    }
    assert foretold.shown(found) == [
        ("rows in common", "1,200", "1,000", "+20%"),
        ("CPU seconds of the sponsor", "1,234.50", "not known", ""),
        ("bytes sent and received", "not known", "7", ""),
        ("rounds", "3", "0", ""),
        ("seconds from the last party's greeting", "0.50", "2.00", "-75%"),
    ]
    assert foretold.shown(None) == [] and (foretold._short(None), foretold._short(1.23456)) == (None, 1.235)


def test_an_estimate_has_its_interval() -> None:
    assert worth.interval(None) == worth.interval({"value": None, "low": 1.0, "high": 2.0}) == "–"
    assert worth.interval({"value": 0.12345, "low": None, "high": None}) == "0.123"
    assert worth.interval({"value": 0.5, "low": 0.25, "high": 0.75}) == "0.5 (0.25 to 0.75)"


def test_groups_are_gathered_by_column_and_pictures_are_those_of_the_task() -> None:
    groups = [{"column": "sex", "n": 1}, {"column": "site", "n": 2}, {"column": "sex", "n": 3}]
    found = worth.by_column({"groups": groups})
    assert {name: [g["n"] for g in listed] for name, listed in found.items()} == {"sex": [1, 3], "site": [2]}
    assert worth.by_column(None) == {} and worth.worth_charts(None) == []
    curve = {"x": [0.0, 1.0], "y": [0.0, 1.0]}
    bins = [{"said": 0.25, "seen": 0.5, "low": 0.0, "high": 1.0}]
    both = worth.worth_charts({"bins": bins, "roc": [curve, curve], "precision_recall": [curve, curve]})
    assert [[c.name for c in chart.curves] for chart in both] == [
        ["no difference", "GAL", "95% interval, low", "95% interval, high"],
        ["no difference", "GAL", "sponsor alone"],
        ["GAL", "sponsor alone"],
    ]
    assert worth.worth_charts({"bins": [], "roc": []}) == []


def test_protections_and_settings_are_those_of_the_study() -> None:
    shown = page.protections(study(protect=Protect(residuals="ckks", predictions="noise", noise=0.5, clip=3.0)))
    assert shown["noise"] == "deviation 0.5 on values clipped to 3" and shown["CKKS parameters"] == "standard"
    assert "epsilon" not in shown and "aggregator" not in shown
    shown = page.protections(study(protect=Protect(residuals="dp", epsilon=1.5, label_range=(0.0, 10.0))))
    assert (shown["epsilon"], shown["label range"]) == ("1.5", "0 to 10") and "noise" not in shown
    summed = page.protections(study(protect=Protect(predictions="sum")))
    assert summed["aggregator"] == study(protect=Protect(predictions="sum")).adder
    assert set(page.protections(study(protect=Protect()))) == {"ids", "residuals", "predictions"}
    told = page.settings(study(rounds=7, patience=3, validation=0.25, seed=5))
    assert told["rounds"] == "at most 7, patience 3" and told["held out"] == "0.25 of the rows, seed 5"


def test_who_helped_is_in_the_labels_own_unit_and_of_sums_it_is_said_what_is_hidden() -> None:
    share = Estimate(0.5, 0.25, 1.0)
    found = Contributions(7, 0.125, 2.0, True, (Contribution("lab", share, share),))
    learned = Learned(3, "mad", 1.0, 2.0, 10.0, contributions=found)
    shown = results._contributions(learned, False)
    assert shown is not None and (shown["none"], shown["all"], shown["rows"], shown["note"]) == (1.25, 20.0, 7, "")
    own = {"value": 5.0, "low": 2.5, "high": 10.0}
    assert shown["parties"][0]["leave_one_out"] == shown["parties"][0]["shapley"] == own
    summed = results._contributions(learned, True)
    assert summed is not None and summed["note"] == results.SUMS_ONLY
    assert results._contributions(Learned(3, "mad", 1.0, 2.0, 10.0), True) is None


def test_numbers_have_six_digits_where_they_were_decrypted() -> None:
    value = {"a": 1.23456789, "b": [0.000123456789, 7, "text", None], "c": (12345678.9,)}
    assert results._shortened(value) == {"a": 1.23457, "b": [0.000123457, 7, "text", None], "c": [12345700.0]}
    assert results._digits(1.23456789) == 1.23457
