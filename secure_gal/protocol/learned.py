"""What a learning stage came to, kept with its last step: results are made from it whenever they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module

import msgspec

from secure_gal.effects import Compute, Effect
from secure_gal.gal.contributions import Contributions, contributions
from secure_gal.gal.ensemble import Ensemble, Evidence
from secure_gal.gal.losses import metric_name
from secure_gal.gal.verdict import Finding, Verdict, findings, verdict
from secure_gal.holdings.roles import SponsorHolding
from secure_gal.measures.evaluation import Evaluation
from secure_gal.protection.stages import SponsorStage
from secure_gal.settings.study import Study


class Learned(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The end of a learning stage as the sponsor saw it; metrics are in the ensemble's unit, None where not measured.

    Attributes:
        kept: rounds kept; 0 is F^0.
        metric: what `gal` and `alone` are.
        gal: of the kept rounds on the judged rows.
        alone: of the sponsor's own features with the same learner and rounds.
        unit: what one unit of the metric is worth in the label's own.
        judged: which rows `gal` and `alone` are of; None where there were none to judge by.
        verdict: on these rows, whether assistance was worth it.
        findings: what a person would not notice in numbers alone.
        contributions: who helped how much, on the judged rows; in the ensemble's unit.
    """

    kept: int
    metric: str
    gal: float | None
    alone: float | None
    unit: float
    judged: Evidence | None = None
    verdict: Verdict | None = None
    findings: tuple[Finding, ...] = ()
    contributions: Contributions | None = None


def meanwhile(stage: SponsorStage) -> list[Effect]:
    """What `judge` needs of the sponsor alone, beside the rounds. A sponsor that dies before the end has it then.

    Libraries are imported by the thread that computes for rounds, one after the other as it has nothing else to do.
    """
    model = stage.model
    if stage.ensemble.judged is None or not model.own_libraries:
        return []

    def load(libraries: Sequence[str]) -> list[Effect]:
        if not libraries:
            return [Compute("own", model.by_itself, lambda _: [], aside=True)]
        first, *others = libraries
        return [Compute("own", lambda: import_module(first), lambda _: load(others))]

    return load(model.own_libraries)


def judge(
    stage: SponsorStage, then: Callable[[Ensemble, Learned, Evaluation | None], list[Effect]]
) -> Compute[tuple[Ensemble, Evaluation | None]]:
    """What a stage came to that is over: beside the sponsor alone by the same rule, and who helped how much."""
    made, study, model = stage.ensemble, stage.study, stage.model

    def alone() -> tuple[Ensemble, Evaluation | None]:
        by_itself = model.alone()
        return by_itself, model.evaluate(made, by_itself)

    def compared(found: tuple[Ensemble, Evaluation | None]) -> list[Effect]:
        by_itself, evaluation = found
        learnt = Compute(
            "contributions",
            lambda: _learned(made, by_itself, study, model),
            lambda learned: then(by_itself, learned, evaluation),
        )
        return [learnt]

    return Compute("alone", alone, compared)


def _learned(made: Ensemble, alone: Ensemble, study: Study, model: SponsorHolding) -> Learned:
    name = metric_name(study.task, made.F.shape[1])
    return Learned(
        made.kept,
        name,
        made.kept_metric(),
        alone.kept_metric(),
        model.metric_unit(),
        None if made.judged is None else made.judged.how,
        verdict(made.kept_losses(), alone.kept_losses()),
        findings(made, name, model.class_names()),
        contributions(made, study.seed),
    )
