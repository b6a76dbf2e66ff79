"""`encoder`: features of a network or of k-means patches, trained on the party's own rows without labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from secure_gal.features.base import MAX_WIDTH, FeatureMap
from secure_gal.features.declare import Asked, feature_map
from secure_gal.features.encoder_options import EncoderOptions
from secure_gal.learners.base import EncodedRows
from secure_gal.options import Choice, Text, Whole
from secure_gal.options import Options as Checked


@dataclass(frozen=True, slots=True, kw_only=True)
class Options(Checked):
    """`encoder_file` is relative to the party file."""

    encoder: Annotated[str, Choice(("auto", "denoising", "kmeans", "vicreg", "masked"))] = "auto"
    encoder_width: Annotated[int, Whole(8, MAX_WIDTH)] = 1023
    encoder_epochs: Annotated[int, Whole(0, 10_000)] = 0
    encoder_file: Annotated[str | None, Text("a path")] = None


@feature_map("encoder", options=Options, shapes=(2, 3, 4, 5), torch=True)
def fit(x: EncodedRows, asked: Asked, options: Options) -> FeatureMap:
    """Trained on encoded training rows x (N, ...), or read from `encoder_file`."""
    from secure_gal.features.encoder import Encoder

    file = None if options.encoder_file is None else asked.folder / options.encoder_file
    width, epochs = options.encoder_width, options.encoder_epochs
    return Encoder.fit(x, asked.seed, EncoderOptions(options.encoder, width, epochs, asked.device, file))
