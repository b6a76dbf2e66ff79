"""`cnn`: the paper's convolutional network for images (GAL, appendix: four blocks of 64, 128, 256 and 512 channels)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from secure_gal.learners.base import Learner
from secure_gal.learners.declare import EVERY_POWER, IMAGES, VIEWS, Asked, learner
from secure_gal.learners.torch_options import TorchOptions
from secure_gal.options import Choice, Either, Number, Whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Options(TorchOptions):
    """`blocks` blocks, the first `width` channels wide and each next one twice that; the paper's ten local epochs in
    batches of 512."""

    epochs: Annotated[int, Whole(1)] = 10
    batch: Annotated[int | str, Either(Whole(1), "auto")] = 512
    rate: Annotated[float, Number(0, above=True)] = 1e-3
    schedule: Annotated[str, Choice(("constant", "cosine"))] = "cosine"
    blocks: Annotated[int, Whole(1, 8)] = 4
    width: Annotated[int, Whole(1, 4096)] = 64


@learner("cnn", options=Options, losses=EVERY_POWER, shapes=(IMAGES, VIEWS), torch=True)
def make(asked: Asked, options: Options) -> Learner:
    """A convolutional network, or one extractor with a new head a round."""
    from secure_gal.learners.cnn import body
    from secure_gal.learners.extractor import shared_or_not

    return shared_or_not(body(options.blocks, options.width), asked, options)
