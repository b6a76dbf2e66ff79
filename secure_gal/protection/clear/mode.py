"""`residuals = "none"`, `predictions = "none"`: their steps, their ports and who learns what of them.

`privatised`, `rounded` and `noised` are these with other message types, or with other values in them.
"""

from __future__ import annotations

from secure_gal.messages import Finish, Fitted, PredictReply, Residual
from secure_gal.phases import Step
from secure_gal.protection.clear.assistor import ClearResidualSide, SeenFitsSide, Shown
from secure_gal.protection.clear.parts import SeenParts
from secure_gal.protection.clear.sponsor import ClearResiduals, SeenFits
from secure_gal.protection.disclosure import Disclosure, Lines
from secure_gal.protection.modes import FittedMode, MakeLabels, ResidualMode
from secure_gal.settings.study import Study

FITTED = "the assistor's features: a single column up to scale in round 1, p columns after ~p/K rounds"
PART = "a function of the new rows' features, and which ids the assistor holds"
"""What fits, and parts of a prediction, tell whoever reads them."""


def steps_of(kind: type[Residual]) -> tuple[Step, ...]:
    """Of residuals as float32 values, in messages of this kind."""
    return (
        Step("assistor", "learning", kind.KIND, ("learning",)),
        Step("assistor", "learning", Finish.KIND, ("serving",)),
    )


def residuals_of(kind: type[Residual], lines: Lines, labels: MakeLabels | None = None) -> ResidualMode:
    """Residuals as they are, in messages of this kind; of these labels, where not of the true ones."""
    port, side = ClearResiduals(kind), ClearResidualSide(kind)
    return ResidualMode(steps_of(kind), lambda cipher: port, lambda study: side, lines, labels)


def fits_of(fitted: type[Fitted], reply: type[PredictReply], lines: Lines, shown: Shown | None = None) -> FittedMode:
    """Fits and parts as float32 values, in messages of these kinds: as they are, or as `shown` makes them."""
    side = SeenFitsSide(fitted, reply, shown)
    steps = (
        Step("sponsor", "learning", fitted.KIND, ("learning", "finishing")),
        Step("prediction", "open", reply.KIND, ("open",)),
    )
    return FittedMode(
        declares=False,
        steps=lambda study, name: steps,
        port=lambda study, cipher: SeenFits(fitted),
        side=lambda context, state, calculator: side,
        parts=lambda context, cipher: SeenParts(reply),
        lines=lines,
    )


def finish_line(functions: str) -> Disclosure:
    """What the end of learning tells, as functions of labels or of what stands for them."""
    inference = f"how much the assistor helped, and functions of the {functions}"
    return Disclosure("finish", "sponsor", "assistor", "eta * w of the kept rounds", "clear", inference)


def fitted_lines(fitted: str, reply: str, how: str, blurred: str = "") -> tuple[Disclosure, ...]:
    """What fits and parts in messages of these kinds tell, protected in this way."""
    content = "fitted values of all rows, every round"
    return (
        Disclosure(fitted, "assistor", "sponsor", content, how, f"{FITTED}{blurred}", readable=True),
        Disclosure(reply, "assistor", "sponsor", "its part of each prediction", how, f"{PART}{blurred}", readable=True),
    )


def residual_lines(study: Study) -> tuple[Disclosure, ...]:
    """What residuals as they are tell."""
    label = "class" if study.task == "classification" else "target value"
    residual = Disclosure(
        Residual.KIND,
        "sponsor",
        "assistor",
        "pseudo-residual of the training rows, every round, and about how much of the assistor's fits was used",
        "clear",
        f"the labels of all training rows: the first residual shows each row's {label}",
    )
    return (residual, finish_line("labels"))


RESIDUALS = residuals_of(Residual, residual_lines)
FITS = fits_of(Fitted, PredictReply, lambda study: fitted_lines(Fitted.KIND, PredictReply.KIND, "clear"))
