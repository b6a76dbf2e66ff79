"""`mlp`: a multi-layer perceptron on a table's encoded columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from secure_gal.learners.base import Learner
from secure_gal.learners.declare import EVERY_POWER, TABLE, Asked, learner
from secure_gal.learners.torch_options import TorchOptions
from secure_gal.options import Number, Whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Options(TorchOptions):
    """Two hidden layers by default."""

    hidden: Annotated[int, Whole(1, 65_536)] = 64
    layers: Annotated[int, Whole(1, 64)] = 2
    dropout: Annotated[float, Number(0, below=1)] = 0.0


@learner("mlp", options=Options, losses=EVERY_POWER, shapes=(TABLE,), torch=True)
def make(asked: Asked, options: Options) -> Learner:
    """A perceptron, or one extractor with a new head a round."""
    from secure_gal.learners.extractor import shared_or_not
    from secure_gal.learners.mlp import body

    return shared_or_not(body(options.hidden, options.layers, options.dropout), asked, options)
