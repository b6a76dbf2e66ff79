"""Options of every network; nothing here imports torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from secure_gal.options import Choice, Either, Flag, Number, Options, Whole


@dataclass(frozen=True, slots=True, kw_only=True)
class TorchOptions(Options):
    """How a network is trained.

    Attributes:
        batch: rows of a step; `auto` as `torch_trainer.LARGE_BATCH` says.
        rate, weight_decay: of AdamW.
        patience: epochs without a better held-out loss; the best weights are kept.
        clip: largest gradient norm.
        schedule: `constant`, or `cosine` from `rate` to 0 over all epochs.
        precision: as `devices.uses_bfloat16` takes it.
        compile: run the module through `torch.compile`; off, since on a CPU it hardly pays (decision 9).
        cuda_graph: on a GPU, a step is recorded once and replayed (`cuda_graphs`); off, since no GPU was at hand.
        deterministic: on a GPU, kernels of cuDNN that give the same bits again; else those it finds fastest.
        share_extractor: round 1's network is kept, and every round fits a ridge head on it.
    """

    epochs: Annotated[int, Whole(1)] = 50
    batch: Annotated[int | str, Either(Whole(1), "auto")] = "auto"
    rate: Annotated[float, Number(0, above=True)] = 3e-3
    weight_decay: Annotated[float, Number(0)] = 1e-4
    patience: Annotated[int, Whole(1)] = 5
    clip: Annotated[float, Number(0, above=True)] = 5.0
    schedule: Annotated[str, Choice(("constant", "cosine"))] = "constant"
    precision: Annotated[str, Choice(("auto", "float32", "bfloat16"))] = "auto"
    compile: Annotated[bool, Flag()] = False
    cuda_graph: Annotated[bool, Flag()] = False
    deterministic: Annotated[bool, Flag()] = True
    share_extractor: Annotated[bool, Flag()] = False
