"""The picture of docs/architecture.md: `python -m docs.draw_house` writes docs/house.svg, `--check` compares.

What is drawn stands below as boxes and arrows; tests check the folders and steps
that it names (tests/repository/test_docs.py).
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Literal

from docs import drawing

FILE = Path(__file__).parent / "house.svg"
LEFT, RIGHT, BOX, HEIGHT, ROW, TOP = 20, 620, 320, 74, 104, 64
WIDTH = RIGHT + BOX + 60
COLOURS = {"clear": "#fff4d6", "cipher": "#dcebfa", "ours": "#f4f4f4"}
Side = Literal["assistor", "sponsor"]


@dataclass(frozen=True)
class Box:
    """What one side has at a moment: its name, what it is, and where the code is that makes it.

    `colour`: whether labels or residuals are readable in it (`clear`), only ciphertexts are (`cipher`), or it is the
    party's own features alone (`ours`).
    """

    side: Side
    row: int
    title: str
    what: str
    where: tuple[str, ...]
    colour: str


@dataclass(frozen=True)
class Message:
    """What travels at the height of a row: steps of PROTOCOL.md, what it is, and to whom; `both` ways or one."""

    row: int
    steps: str
    what: str
    to: Side
    both: bool = False


BOXES = (
    Box("assistor", 0, "table", "features of its people", ("secure_gal/data/table.py",), "ours"),
    Box("sponsor", 0, "table", "features, and the labels", ("secure_gal/data/table.py",), "clear"),
    Box("assistor", 1, "rows", "its rows, in the study's order", ("crypto/psi.py", "secure_gal/data/align.py"), "ours"),
    Box(
        "sponsor",
        1,
        "rows",
        "the study's rows, and their order",
        ("crypto/psi.py", "secure_gal/data/align.py"),
        "clear",
    ),
    Box("assistor", 2, "features U", "from its own columns alone", ("secure_gal/features/",), "ours"),
    Box("sponsor", 2, "residual r", "what F leaves of the labels", ("secure_gal/gal/losses.py",), "clear"),
    Box("assistor", 3, "fit U (U' r)", "computed on ciphertexts", ("crypto/ckks/encrypted_ridge.py",), "cipher"),
    Box("sponsor", 3, "ciphertext Enc(r)", "under the sponsor's key", ("crypto/ckks/secret.py",), "cipher"),
    Box("assistor", 4, "reply", "randomised anew and flooded", ("crypto/ckks/calculator.py",), "cipher"),
    Box("sponsor", 4, "fit f", "decrypted, counted, with noise", ("crypto/ckks/releases.py",), "clear"),
    Box("sponsor", 5, "F", "weights w, learning rate eta", ("secure_gal/gal/ensemble.py",), "clear"),
    Box("assistor", 6, "head G", "one for all rounds", ("secure_gal/holdings/encrypted.py",), "cipher"),
    Box(
        "sponsor", 6, "Enc(R)", "R: the kept residuals, weighted", ("secure_gal/protection/ckks/sponsor.py",), "cipher"
    ),
    Box("assistor", 7, "part of a prediction", "U_new G, for new rows", ("secure_gal/protection/",), "cipher"),
    Box("sponsor", 7, "prediction", "F of new rows: predictions.csv", ("secure_gal/protocol/prediction.py",), "clear"),
)
MESSAGES = (
    Message(1, "5a to 6", "masked ids, then positions", "assistor", both=True),
    Message(3, "7", "Enc(r)", "assistor"),
    Message(4, "8", "Enc(f)", "sponsor"),
    Message(6, "10", "Enc(R)", "assistor"),
    Message(7, "12, 13", "which rows; Enc(part)", "sponsor", both=True),
)
DOWN = (
    *((side, row) for side in ("assistor", "sponsor") for row in (0, 1, 2)),
    ("assistor", 3),
    ("assistor", 6),
    ("sponsor", 4),
    ("sponsor", 5),
)
"""From which box an arrow leads to the next one below."""
BELOW = "Every message is signed, travels by CURVE, and is a line of both ledgers: transport/, parties/run/node.py"
LEGEND = (("ours", "own features only"), ("clear", "labels or residuals readable"), ("cipher", "ciphertexts only"))


def svg() -> str:
    """The whole picture."""
    height = TOP + 8 * ROW + 56
    body = [
        _heading(LEFT, "an assistor"),
        _heading(RIGHT, "the sponsor"),
        *(_box(box) for box in BOXES),
        *(_down(_x(side) + BOX / 2, row) for side, row in DOWN),
        *(_message(message) for message in MESSAGES),
        _next_round(),
        *_foot(TOP + 8 * ROW),
    ]
    return drawing.picture(WIDTH, height, "Data through the house, from tables to a prediction", body)


def _x(side: str) -> int:
    return LEFT if side == "assistor" else RIGHT


def _y(row: int) -> int:
    return TOP + row * ROW


def _heading(x: int, text: str) -> str:
    return drawing.text(x + BOX / 2, TOP - 24, text, 20, ' font-weight="bold"')


def _box(box: Box) -> str:
    x, y = _x(box.side), _y(box.row)
    middle, fill = x + BOX / 2, COLOURS[box.colour]
    return "\n".join(
        (
            f'<rect x="{x}" y="{y}" width="{BOX}" height="{HEIGHT}" rx="8" fill="{fill}" stroke="#666"/>',
            drawing.text(middle, y + 23, box.title, 17, ' font-weight="bold"'),
            drawing.text(middle, y + 43, box.what, 14),
            drawing.text(middle, y + 63, ", ".join(box.where), 12, ' font-family="monospace" fill="#444"'),
        )
    )


def _down(x: float, row: int) -> str:
    return drawing.line(f"{x:g},{_y(row) + HEIGHT} {x:g},{_y(row + 1)}", drawing.TIP)


def _message(message: Message) -> str:
    y = _y(message.row) + HEIGHT / 2
    inner, outer = LEFT + BOX, RIGHT
    ends = drawing.TIP + (' marker-start="url(#tip)"' if message.both else "")
    start, end = (outer, inner) if message.to == "assistor" else (inner, outer)
    middle = (inner + outer) / 2
    return "\n".join(
        (
            drawing.line(f"{start},{y:g} {end},{y:g}", ends),
            drawing.text(middle, y - 8, message.what, 14),
            drawing.text(middle, y + 18, f"step{'s' if not message.steps.isdigit() else ''} {message.steps}", 12),
        )
    )


def _next_round() -> str:
    right, start, end = RIGHT + BOX, _y(5) + HEIGHT / 2, _y(2) + HEIGHT / 2
    turned = f' transform="rotate(-90 {right + 44} {(start + end) / 2:g})"'
    return "\n".join(
        (
            drawing.line(
                f"{right},{start:g} {right + 28},{start:g} {right + 28},{end:g} {right},{end:g}",
                drawing.TIP,
            ),
            drawing.text(right + 44, (start + end) / 2, "next round", 14, turned),
        )
    )


def _foot(y: int) -> list[str]:
    found = [drawing.text(WIDTH / 2, y + 10, BELOW, 13)]
    for place, (colour, text) in enumerate(LEGEND):
        x = 130 + place * 270
        found.append(f'<rect x="{x}" y="{y + 26}" width="18" height="14" fill="{COLOURS[colour]}" stroke="#666"/>')
        found.append(f'<text x="{x + 26}" y="{y + 38}" font-size="13">{escape(text)}</text>')
    return found


if __name__ == "__main__":
    sys.exit(drawing.main(FILE, svg, "docs.draw_house"))
