"""What is chosen from a closed set ends in an error for anything else; nothing is made for a name that nobody knows."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from secure_gal.data import ids
from secure_gal.data.align import Match, combine
from secure_gal.data.encode import LabelCodec
from secure_gal.errors import StateError
from secure_gal.features.encoder import Encoder
from secure_gal.features.encoder_options import EncoderOptions
from secure_gal.gal.coefficients import line_search, simplex_weights
from secure_gal.gal.ensemble import Ensemble
from secure_gal.gal.losses import Loss, get_loss, metric
from secure_gal.holdings.privatised import label_scheme
from secure_gal.labels.residual_rules import residual_problem
from secure_gal.learners.recurrent import RecurrentBody
from secure_gal.protection.reply_counts import learning_decryptions
from secure_gal.settings.study import Protect
from secure_gal.state import State
from tests.support.hostile_studies import build, play
from tests.support.study_in_memory import study

ROOT = Path(__file__).parents[2]
CODE = [path for name in ("secure_gal", "crypto", "transport", "parties") for path in (ROOT / name).rglob("*.py")]
Y = np.array([[1.0], [2.0], [4.0]])
F = np.zeros((3, 1))
F32 = F.astype(np.float32)
ALL = np.ones(3, dtype=np.bool_)
UNKNOWN: Any = "something-new"


def ensemble() -> Ensemble:
    return Ensemble(get_loss("l2", 1), Y, ALL, "regression", ("a", "b"), UNKNOWN, "search", 3, 3, "l2")


def resumed(name: str) -> Any:
    """A party that left off in a phase of another release."""
    disk = dict(play("clear").disk[name])
    return build("clear")(name, State(disk | {"phase": b"something-new"}))


MADE: dict[str, Callable[[], object]] = {
    "F^0 of a loss": lambda: Loss(UNKNOWN, 1).initial(Y),
    "value of a loss": lambda: Loss(UNKNOWN, 1).value(Y, F),
    "residual of a loss": lambda: Loss(UNKNOWN, 1).residual(Y, F),
    "learning rate of a loss": lambda: line_search(Loss(UNKNOWN, 1), Y, F, Y),
    "weights of a local loss": lambda: simplex_weights(F32, [F32, F32 + 1], UNKNOWN),
    "weights of a round": lambda: ensemble().commit({"a": F32, "b": F32}),
    "metric": lambda: metric(UNKNOWN, Y, F),
    "coding of labels": lambda: LabelCodec.fit(UNKNOWN, [1, 2, 4], ALL),
    "coded labels": lambda: LabelCodec(UNKNOWN).encode([1, 2, 4]),
    "probabilities": lambda: LabelCodec(UNKNOWN).probabilities(F),
    "decoded outputs": lambda: LabelCodec(UNKNOWN).decode(F),
    "rows": lambda: combine(2, {"lab": Match(np.arange(2), np.arange(2))}, UNKNOWN, None, 0.0, 0),
    "form of ids": lambda: ids.write("A", UNKNOWN),
    "rules of a residual": lambda: residual_problem(study(task=UNKNOWN), 1, F32),
    "loss of a task": lambda: study(task=UNKNOWN).loss_name,
    "decryptions": lambda: learning_decryptions(
        study(weights=UNKNOWN, protect=Protect(ids="clear", predictions="sum")), 5, 5
    ),
    "encrypted or not": lambda: Protect(residuals=UNKNOWN).encrypted,
    "privatised or not": lambda: Protect(residuals=UNKNOWN).privatised,
    "summed or not": lambda: Protect(predictions=UNKNOWN).summed,
    "compared how": lambda: study(protect=Protect(ids=UNKNOWN)).form,
    "released labels": lambda: label_scheme(Protect(residuals=UNKNOWN, epsilon=1.0, label_range=(0.0, 1.0))),
    "output of a recurrent network": lambda: RecurrentBody("gru", 2, 3, 1, 0.0, UNKNOWN)(torch.zeros(2, 4, 2)),
    "encoder": lambda: Encoder._train(UNKNOWN, (2,), Y, 0, EncoderOptions()),
    "phase of a sponsor": lambda: resumed("hospital").start(),
    "phase of an assistor": lambda: resumed("lab").start(),
}


@pytest.mark.parametrize("what", MADE)
def test_nothing_is_made_for_a_name_that_nobody_knows(what: str) -> None:
    with pytest.raises((StateError, AssertionError), match=r"something-new"):
        MADE[what]()


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_match_says_what_it_does_with_the_rest(path: Path) -> None:
    """Its last case is the rest, and refuses it, hands it to the class above or the next step, or, where the set is
    open, gives it back as it came."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Match):
            last = node.cases[-1]
            wild = isinstance(last.pattern, ast.MatchAs) and last.pattern.pattern is None and last.guard is None
            end, same = ast.unparse(last.body[-1]), f"return {ast.unparse(node.subject)}"
            known = ("raise ", "assert_never(", "return self._fits.receive(", "return self._fitted.receive(")
            assert wild and (end.startswith(known) or end == same), f"line {node.lineno}: {end}"


ASKED_OF_A_MODE = """
noised = "noised-" if protect.predictions == "noise" else ""
if study.protect.residuals in ("dp", "ip") or protect.residuals != "none":
    pass
"""


def modes_named(text: str) -> list[str]:
    """Comparisons of `protect.residuals` or `protect.predictions` with a name other than "none"."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Compare) and isinstance(node.left, ast.Attribute):
            of = ast.unparse(node.left)
            names = {one.value for one in ast.walk(node) if isinstance(one, ast.Constant)} - {"none"}
            if names and of.endswith(("protect.residuals", "protect.predictions")):
                found.append(ast.unparse(node))
    return found


def test_nobody_asks_for_the_name_of_a_mode_and_takes_all_others_for_one() -> None:
    """What depends on a mode is told by the mode, or by a match in the settings, which alone compare names."""
    assert modes_named(ASKED_OF_A_MODE) == ["protect.predictions == 'noise'", "study.protect.residuals in ('dp', 'ip')"]
    for path in CODE:
        if path.parent.name != "settings":
            assert not modes_named(path.read_text()), path.relative_to(ROOT)
