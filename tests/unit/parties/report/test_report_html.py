"""report.html: what it says, and that nothing from outside becomes markup."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

from parties.report.charts import MAX_SHARES
from parties.report.page import _traffic, render, write_report
from parties.report.worth import interval
from secure_gal.errors import SettingsError
from secure_gal.manifest import who_learns_what
from secure_gal.protection.disclosure import Disclosure, in_the_clear
from tests.support.report_sample import (
    AUDIT,
    ENCRYPTED,
    EVALUATION,
    LEAKAGE,
    STUDY,
    Document,
    contrast,
    page,
    rounds,
    summary,
    write_results,
)

HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7*7 }}&amp;</style></svg>"


def references(document: Document, text: str) -> list[str]:
    """Everything that could make a browser load something, or run something."""
    loading = {"src", "srcset", "href", "xlink:href", "data", "poster", "action", "formaction", "background", "style"}
    found = [
        f"{tag} {key}"
        for tag, attributes in document.elements
        for key in attributes
        if key in loading or key.startswith("on")
    ]
    active = {"script", "link", "iframe", "object", "embed", "base", "img"}
    found += [tag for tag, _ in document.elements if tag in active]
    return found + re.findall(r"https?://|url\(|@import|image-set\(", text)


# What it says


def test_every_number_of_the_run_is_there() -> None:
    document = Document(page())
    for value in ("0.9931", "0.9712", "GAL is 0.0219 better", "3 of 4", "3.5 s", "34 kB", "4a" * 32, "14" * 32, "455"):
        assert value in document.text, value
    for fingerprint in summary()["parties"].values():
        assert fingerprint in document.cells
    for cell in ("0.4000", "0.2500", "0.9840", "24.0000", "0.6000", "13,886", "14,610", "3 (kept)"):
        assert cell in document.cells, cell
    assert {"3.518", "1.820", "0.873"} <= set(document.cells)  # seconds; from_ready is not known and not shown
    assert {"15,545", "18,441", "7,783", "7,772"} - set(document.cells) == {"7,772"}  # kinds and peers are summed
    assert {"novelty", "Other"} <= set(document.cells)  # a kind that no phase names is not lost


def test_what_a_study_is_worth_is_there() -> None:
    document = Document(page())
    assert "Test part: 91 rows that no fit has seen and that chose nothing." in document.text
    assert "Chosen by f1 on out-of-fold values" in document.text and "none: told so" in document.text
    metric = next(m for m in EVALUATION["metrics"] if m["name"] == "roc_auc")
    for estimate in (metric["gal"], metric["alone"], metric["difference"]):
        assert interval(estimate) in document.cells and " to " in interval(estimate)
    assert {str(n) for n in EVALUATION["confusion"].values()} <= set(document.cells)
    assert "ill is predicted where its probability is above it" in document.text
    small = document.cells.index("rare")
    assert document.cells[small + 1 : small + 3] == ["5", "fewer than 20 rows: not computed"]
    assert {"female", "male", "A"} <= set(document.cells)
    labels = [str(a.get("aria-label")) for tag, a in document.elements if tag == "svg"]
    assert [any(label.startswith(title) for label in labels) for title in ("Calibration", "ROC", "Precision")] == [
        True
    ] * 3


def test_a_study_that_no_row_judges_says_so() -> None:
    bare = render(summary(evaluation=None), rounds(), [], {})
    assert "No row says what this study is worth" in Document(bare).text


def test_the_sponsors_own_learner_is_there() -> None:
    text = Document(page()).text
    for words in ("kind cnn", "device CPU, 3 threads", "precision float32", "fit of a round 0.401 to 0.612"):
        assert words in text, words


def test_who_helped_how_much_is_there_and_what_a_sum_hides_is_said() -> None:
    cells = [cell.strip() for cell in Document(page()).cells]
    start = cells.index("Shapley value") + 4
    assert cells[start + 5 : start + 10] == ["lab-a", "0.1643", "0.1100 to 0.2200", "0.0100", "-0.0200 to 0.0600"]
    shared = summary()["contributions"]
    for changed, said in ((shared | {"note": "nothing of each"}, True), (shared, False), (None, False)):
        text = Document(render(summary(contributions=changed), rounds(), (), {})).text
        assert ("In this study, nothing of each." in text) is said
        assert ("Who helped how much" in text) is (changed is not None)


def test_who_learns_what_is_there_line_by_line() -> None:
    for study in (STUDY, ENCRYPTED):
        cells = [cell.strip() for cell in Document(page(study)).cells]
        for item in who_learns_what(study):
            start = cells.index(item.message)
            decrypted = in_the_clear(item) and item.protection != "clear"
            protection = item.protection + (f" decrypted by the {item.receiver}" if decrypted else "")
            row = [item.message, f"{item.sender} → {item.receiver}", item.content, protection, item.inference]
            assert cells[start : start + 5] == row


def test_what_is_unprotected_is_marked() -> None:
    def marked(text: str) -> list[str]:
        return re.findall(r'<span class="badge warn">([^<]*)</span>', text)

    clear, encrypted = marked(page()), marked(page(ENCRYPTED))
    assert clear.count("none") == 2 and encrypted.count("none") == 1  # predictions are open in both
    assert clear.count("clear") > encrypted.count("clear") > 0
    assert "CKKS parameters" not in page() and "CKKS parameters" in page(ENCRYPTED)


def test_audit_and_leakage_say_what_was_and_was_not_done() -> None:
    neither = Document(page(audit=None, leakage=None)).text
    assert "not audited" in neither and "not measured" in neither
    both = Document(page()).text
    assert "Every line of the ledger was checked" in both and "98,765" in both and "not audited" not in both
    assert "0.9973" in both and "0.5011" in both and "R2" in both and "not measured" not in both
    broken = Document(page(audit={"ok": False, "where": "ledger.jsonl", "line": 7, "rule": "was changed"})).text
    assert "not verified" in broken and "was changed" in broken and "Every line" not in broken


def test_lower_is_better_turns_the_comparison_round() -> None:
    def text(**changes: Any) -> str:
        return Document(render(summary(**changes), rounds(), (), {})).text

    assert "GAL is 17.0000 better" in text(metric="mad", gal=42.7, alone=59.7)
    assert "GAL is 0.0100 worse" in text(gal=0.96, alone=0.97)
    assert "all data pooled" not in text() and "all data pooled 0.995" in text(pooled=0.995)
    assert "GAL is" not in text(gal=None, alone=None)


def test_the_verdict_and_what_was_found_stand_on_the_page() -> None:
    page = render(summary(), rounds(), (), {})
    assert "<b>better than alone</b>: held-out loss of 91 rows 0.1100, alone 0.2100" in page
    assert "lab-b had weight 0 &lt;in&gt; every kept round" in page
    bare = render(summary() | {"verdict": None, "judged": None, "findings": []}, rounds(), (), {})
    assert "not judged" in bare and "<li>lab-b" not in bare


def test_out_of_fold_values_are_called_so() -> None:
    shown = [row | {"train_metric": "0.75"} for row in rounds()]
    history = [{"out_of_fold": True}]
    page = render(summary() | {"judged": "out-of-fold", "history": history}, shown, (), {})
    assert "AUC, out-of-fold values of training rows" in page and "training rows, as fitted" not in page


def test_a_run_without_validation_or_alignment_counts_is_shown() -> None:
    bare = [row | {"valid_metric": "", "valid_loss": "nan"} for row in rounds()]
    document = Document(render(summary(gal=None, alone=None, kept=0, rows={}, evaluation=None), bare, (), {}))
    figures = [svg["aria-label"] for svg in document.named("svg") if svg.get("role") == "img"]
    assert [str(label).split(" over ")[0] for label in figures] == ["Loss", "Learning rate", "Weights of the parties"]
    assert "kept up to here" not in document.text


# Form


def test_it_is_small_accessible_and_complete_in_itself() -> None:
    text = page()
    document = Document(text)
    assert len(text) < 52_000
    assert references(document, text) == []
    assert references(Document('<img src="x"><p onclick="y"></p>'), "url(x)") == ["img src", "p onclick", "img", "url("]
    policy = next(m["content"] for m in document.named("meta") if m.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None and policy.startswith("default-src 'none'")
    assert document.named("html")[0]["lang"] == "en"
    for svg in document.named("svg"):
        assert svg.get("aria-hidden") == "true" or (svg["role"] == "img" and len(str(svg["aria-label"])) > 20)
    ids = [str(a["id"]) for _, a in document.elements if "id" in a]
    assert len(ids) == len(set(ids))
    assert {a["aria-labelledby"] for _, a in document.elements if "aria-labelledby" in a} <= set(ids)


def test_nothing_from_outside_becomes_markup() -> None:
    def filled(word: str) -> Document:
        run = summary(
            study=word,
            digest=word,
            run=word,
            metric=word,
            parties={word: word},
            versions={word: word},
            rows={word: word, "held": {word: word}},
            seconds={"total": 1.0, word: 1.0},
            bytes={"sent": {word: {word: 1}}, "received": {}},
        )
        lines = [{**row, f"w_{word}": "0.5", word: word} for row in rounds()]
        line = Disclosure(word, word, word, word, word, word)
        return Document(
            render(run, lines, [line], {word: word}, {"ok": True, word: word}, [{word: word}], {word: word})
        )

    def shape(document: Document) -> list[tuple[str, list[str]]]:
        return [(tag, sorted(attributes)) for tag, attributes in document.elements]

    hostile, harmless = filled(HOSTILE), filled("x" * len(HOSTILE))
    assert shape(hostile) == shape(harmless)
    assert hostile.text.count(HOSTILE) == harmless.text.count("x" * len(HOSTILE)) > 20
    assert shape(Document("<p>" + HOSTILE.removesuffix("</style></svg>") + "</p>")) != [
        ("p", [])
    ]  # unescaped, it bites


def test_the_template_switches_escaping_off_nowhere() -> None:
    template = (Path(__file__).parents[4] / "parties" / "report" / "report.html.jinja").read_text()
    assert not re.search(r"\|\s*safe|autoescape\s+false|<script|xmlattr", template)


def test_bytes_that_are_no_text_do_not_stop_the_report(tmp_path: Path) -> None:
    text = page(audit={"ok": False, "where": os.fsdecode(b"caf\xe9/ledger.jsonl")})
    (tmp_path / "report.html").write_text(text, encoding="utf-8")
    assert "caf?/ledger.jsonl" in text


def test_both_colour_schemes_can_be_read() -> None:
    assert contrast("#000", "#ffffff") == pytest.approx(21)
    blocks = re.findall(r":root \{(.*?)\}", page(), re.S)
    schemes = [dict(re.findall(r"--(\w[\w-]*): (#\w+)", block)) for block in blocks]
    assert len(schemes) == 3  # light, dark, print
    for colours in schemes:
        pairs = [
            ("ink", "page"),
            ("ink", "card"),
            ("soft", "card"),
            ("soft", "page"),
            ("good", "good-tint"),
            ("warn", "warn-tint"),
            ("good", "card"),
        ]
        assert all(contrast(colours[a], colours[b]) >= 4.5 for a, b in pairs)
        assert [i for i in range(MAX_SHARES) if contrast(colours[f"s{i}"], colours["card"]) < 2.8] == []


# Files


def test_the_report_is_made_of_the_files_of_a_finished_run(tmp_path: Path) -> None:
    write_results(tmp_path)
    path = write_report(tmp_path, STUDY, AUDIT, LEAKAGE)
    assert path == tmp_path / "report.html"
    assert path.read_text(encoding="utf-8") == page()


def test_a_run_directory_without_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="holds no results"):
        write_report(tmp_path, STUDY)
    write_results(tmp_path)
    (tmp_path / "summary.json").write_text("{")
    with pytest.raises(SettingsError, match="holds no results"):
        write_report(tmp_path, STUDY)
    assert not (tmp_path / "report.html").exists()


def test_traffic_is_shown_by_phase_and_as_a_share_of_the_largest_kind() -> None:
    counts = {"sent": {"lab": {"residual": 300, "rows": 60}}, "received": {"lab": {"fitted": 100, "residual": 100}}}
    found = {
        kind: (sent, received, share) for rows in _traffic(counts).values() for kind, sent, received, share in rows
    }
    assert found == {"residual": (300, 100, 1.0), "rows": (60, 0, 0.15), "fitted": (0, 100, 0.25)}
    assert _traffic({"sent": {"lab": {"rows": 0}}, "received": {}})["Alignment of rows"] == [("rows", 0, 0, 0.0)]
