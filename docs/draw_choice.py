"""The picture of docs/PROTECTION.md: `python -m docs.draw_choice` writes docs/choice.svg, `--check` compares.

Three questions, each with its answers and the line of study.toml that follows; a test holds them against the settings.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from docs import drawing

FILE = Path(__file__).parent / "choice.svg"
LEFT, ASKED, ANSWER, WIDE, HEIGHT, GAP, TOP = 20, 300, 420, 470, 58, 14, 20
WIDTH = ANSWER + WIDE + 20


@dataclass(frozen=True)
class Answer:
    """What someone says, the setting that follows, what it costs, and how well it hides (`good`, `some`, `none`)."""

    said: str
    setting: str
    cost: str
    hides: str


@dataclass(frozen=True)
class Question:
    """Two lines of a question, and its answers from the most protective one on."""

    asked: tuple[str, str]
    answers: tuple[Answer, ...]


COLOURS = {"good": "#dcebfa", "some": "#f4f4f4", "none": "#fff4d6"}
QUESTIONS = (
    Question(
        ("May the sponsor see", "all ids of an assistor?"),
        (
            Answer("no, only those that it has too", 'ids = "psi"', "seconds for 100,000 ids", "good"),
            Answer("yes", 'ids = "clear"', "nothing", "none"),
        ),
    ),
    Question(
        ("May the assistors read", "the training labels?"),
        (
            Answer("no", 'residuals = "ckks"', "up to 3 times the time; assistors' learners are linear heads", "good"),
            Answer("no, and they need other learners", 'residuals = "dp"', "an epsilon, and accuracy", "some"),
            Answer("yes", 'residuals = "none"', "nothing", "none"),
        ),
    ),
    Question(
        ("May the sponsor work out", "the assistors' columns?"),
        (
            Answer(
                "no; two or more assistors, the aggregator is not in league with the sponsor",
                'predictions = "sum"',
                "1.2 to 2.5 times the time; few rounds",
                "good",
            ),
            Answer("rather not", 'predictions = "noise"', "accuracy; blurs, proves nothing", "some"),
            Answer("yes", 'predictions = "none"', "nothing", "none"),
        ),
    ),
)


def svg() -> str:
    """The whole picture."""
    body, y = [], TOP
    for question in QUESTIONS:
        height = len(question.answers) * (HEIGHT + GAP) - GAP
        body += _question(question, y, height)
        y += height + 3 * GAP
    return drawing.picture(WIDTH, y, "Three questions and the settings that follow from their answers", body)


def _question(question: Question, y: int, height: int) -> list[str]:
    middle, centre = y + height / 2, LEFT + ASKED / 2
    found = [
        f'<rect x="{LEFT}" y="{middle - 34:g}" width="{ASKED}" height="68" rx="8" fill="white" stroke="black"/>',
        drawing.text(centre, middle - 6, question.asked[0], 17, ' font-weight="bold"'),
        drawing.text(centre, middle + 16, question.asked[1], 17, ' font-weight="bold"'),
    ]
    for place, answer in enumerate(question.answers):
        top = y + place * (HEIGHT + GAP)
        found += _answer(answer, top)
        found.append(drawing.line(f"{LEFT + ASKED},{middle:g} {ANSWER},{top + HEIGHT / 2:g}", drawing.TIP))
    return found


def _answer(answer: Answer, y: int) -> list[str]:
    centre = ANSWER + WIDE / 2
    return [
        f'<rect x="{ANSWER}" y="{y}" width="{WIDE}" height="{HEIGHT}" rx="8" fill="{COLOURS[answer.hides]}" '
        'stroke="#666"/>',
        drawing.text(centre, y + 18, answer.said, 12),
        drawing.text(centre, y + 36, answer.setting, 15, ' font-family="monospace" font-weight="bold"'),
        drawing.text(centre, y + 52, f"costs: {answer.cost}", 12, ' fill="#444"'),
    ]


if __name__ == "__main__":
    sys.exit(drawing.main(FILE, svg, "docs.draw_choice"))
