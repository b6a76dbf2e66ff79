"""Options of recurrent networks; nothing here imports torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from secure_gal.learners.torch_options import TorchOptions
from secure_gal.options import Choice, Either, Number, Whole


@dataclass(frozen=True, slots=True, kw_only=True)
class RecurrentOptions(TorchOptions):
    """GAL, appendix: one layer of 128 units, Adam at 1e-3. `output`: the state at the last step, or the mean over
    steps."""

    epochs: Annotated[int, Whole(1)] = 20
    batch: Annotated[int | str, Either(Whole(1), "auto")] = 128
    rate: Annotated[float, Number(0, above=True)] = 1e-3
    hidden: Annotated[int, Whole(1, 8192)] = 128
    layers: Annotated[int, Whole(1, 16)] = 1
    dropout: Annotated[float, Number(0, below=1)] = 0.0
    output: Annotated[str, Choice(("last", "mean"))] = "last"
