"""A made-up finished run and its report, and a strict reader of HTML."""

from __future__ import annotations

import csv
import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from parties.report.model_card import CARD, model_card
from parties.report.page import protections, render, settings
from parties.run.learnt_from import LearntFrom
from secure_gal.manifest import who_learns_what
from secure_gal.measures.evaluation import Judging, evaluate
from secure_gal.settings.study import Protect, Study

PARTIES = ("hospital", "lab-a", "lab-b")
STUDY = Study("demo", "classification", PARTIES[0], "tcp://127.0.0.1:1", PARTIES[1:])
ENCRYPTED = msgspec.structs.replace(STUDY, protect=Protect(residuals="ckks"))
AUDIT = {"ok": True, "owner": "hospital", "entries": 98765, "certificates": 4, "root": "9f" * 32}
LEAKAGE = [
    {"attack": "labels from the residual", "score": 0.9973, "baseline": 0.5011, "within": False},
    {"attack": "columns from fitted values", "score": 0.1234, "baseline": 0.1, "note": "R2"},
]


def _evaluation() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    y = np.arange(91) % 2
    gal, alone = (1 / (1 + np.exp(-(s * (y - 0.5) + rng.standard_normal(91)))) for s in (4, 2))
    two = (np.stack([1 - p, p], axis=1) for p in (gal, alone))
    sexes = ["female" if i % 3 else "male" for i in range(91)]
    judging, groups = Judging(y, *two, None, "test"), {"sex": sexes, "ward": ["rare"] * 5 + ["A"] * 86}
    found = evaluate(judging, ["roc_auc", "log_loss"], 0.31, "f1", "none: told so", groups, 0)
    return msgspec.to_builtins(found) | {"worth": found.worth, "positive": "ill"}


EVALUATION = _evaluation()
CONTRIBUTIONS: dict[str, Any] = {
    "rows": 91,
    "none": 0.5,
    "all": 0.9931,
    "exact": True,
    "note": "",
    "parties": [
        {
            "party": name,
            "leave_one_out": {"value": 0.01 * i, "low": -0.02, "high": 0.06},
            "shapley": {"value": 0.1643, "low": 0.11, "high": 0.22},
        }
        for i, name in enumerate(PARTIES)
    ],
}


def summary(**changes: Any) -> dict[str, Any]:
    """As parties/report/results.py writes it."""
    return {
        "format": 1,
        "study": "demo",
        "digest": "4a" * 32,
        "run": "14" * 32,
        "parties": {name: "-".join([f"{i}c0d"] * 16) for i, name in enumerate(PARTIES)},
        "rows": {"aligned": 455, "train": 364, "validation": 91, "held": {"hospital": 455, "lab-a": 569, "lab-b": 570}},
        "rounds": 4,
        "kept": 3,
        "metric": "auc",
        "gal": 0.9931,
        "alone": 0.9712,
        "judged": "held-out",
        "verdict": {
            "rows": 91,
            "gal": 0.11,
            "alone": 0.21,
            "low": 0.04,
            "high": 0.16,
            "word": "better",
            "gain": 0.1,
        },
        "contributions": CONTRIBUTIONS,
        "findings": [{"kind": "no-weight", "about": "lab-b", "text": "lab-b had weight 0 <in> every kept round"}],
        "history": [],
        "evaluation": EVALUATION,
        "seconds": {"total": 3.518, "from_ready": None, "rounds": 1.82, "sponsor_prepare": 0.873},
        "computing": {
            "kind": "cnn",
            "device": "CPU, 3 threads",
            "precision": "float32",
            "seconds": {"prepare": 0.873, "alone": 1.25, "fit": [0.401, 0.612]},
        },
        "bytes": {
            "sent": {"lab-a": {"hello": 11, "residual": 7772}, "lab-b": {"residual": 7773}},
            "received": {"lab-a": {"fitted": 9220}, "lab-b": {"fitted": 9221, "novelty": 5}},
        },
        "versions": {"python": "3.11.7", "secure-gal": "0.3.0"},
    } | changes


LEARNT = LearntFrom({}, {"age": "numbers"}, {"age": "5d" * 16}, b"ids", b"labels")
A_CARD = model_card(summary(), STUDY, protections(STUDY), LEARNT, "7e" * 32)


def rounds(count: int = 4) -> list[dict[str, str]]:
    """As csv.DictReader gives them; round 2 has no validation metric."""
    return [
        {
            "round": str(r),
            "train_loss": repr(0.4 / r),
            "valid_loss": repr(0.5 / r),
            "valid_metric": "" if r == 2 else repr(0.98 + r / 1000),
            "eta": repr(20.0 + r),
            "w_hospital": "0.0",
            "w_lab-a": repr(0.1 * (r % 9)),
            "w_lab-b": repr(1 - 0.1 * (r % 9)),
            "seconds": "0.0128",
            "bytes_sent": "13886",
            "bytes_received": "14610",
        }
        for r in range(1, count + 1)
    ]


def page(study: Study = STUDY, **changes: Any) -> str:
    """A report of this study with its audit and leakage results."""
    given_ = {"audit": AUDIT, "leakage": LEAKAGE, "card": A_CARD} | changes
    return render(summary(), rounds(), who_learns_what(study), protections(study), settings=settings(study), **given_)


class Document(HTMLParser):
    """Elements with their attributes, the text between them, and the cells of every table."""

    VOID = frozenset({"meta", "img", "br", "link", "input"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.cells: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self._open.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" in self._open:
            return
        self.words.append(data)
        if "td" in self._open or "th" in self._open:
            self.cells[-1] += data

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def write_results(run_dir: Path, count: int = 4) -> None:
    """The files that a finished run leaves for its report."""
    (run_dir / "summary.json").write_text(json.dumps(summary()))
    (run_dir / CARD).write_text(json.dumps(A_CARD))
    with (run_dir / "rounds.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rounds()[0]))
        writer.writeheader()
        writer.writerows(rounds(count))


def luminance(colour: str) -> float:
    """Relative luminance of #rrggbb or #rgb (WCAG 2.2)."""
    digits = colour.removeprefix("#")
    digits = digits if len(digits) == 6 else "".join(2 * d for d in digits)
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)
