"""What a kind of learner says of itself, once, in its file under `kinds/`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from secure_gal.options import Options, of_kind
from secure_gal.registry import Registry

if TYPE_CHECKING:
    from secure_gal.features.encoded import RidgeFeatures
    from secure_gal.learners.base import EncodedRows, Learner
    from secure_gal.settings.party import LearnerSettings

POWERS = {"l1": 1.0, "l1.5": 1.5, "l2": 2.0, "l4": 4.0}
"""Local losses mean |r - f|^power of the paper's experiments."""
EVERY_POWER = tuple(POWERS)
TABLE, SERIES, IMAGES, VIEWS = 2, 3, 4, 5
SHAPES = {
    TABLE: "a table",
    SERIES: "series (N, L, d)",
    IMAGES: "images (N, C, H, W)",
    VIEWS: "images in views (N, V, C, H, W)",
}
"""What x holds, by its dimensions."""
O = TypeVar("O", bound=Options)  # noqa: E741


@dataclass(frozen=True, slots=True)
class Asked:
    """What a party asks a learner for.

    Attributes:
        settings: the party's own `[learner]`.
        loss: the local loss, after the default.
        folder: the party file's.
        seed: of the feature map.
        secret: of `fresh_features`.
        maps: the options of each feature map that the settings name, where the kind takes maps.
    """

    settings: LearnerSettings
    loss: str
    folder: Path
    seed: int
    secret: Callable[[], bytes]
    maps: Mapping[str, Options]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of learner.

    Attributes:
        name: of its file.
        options: of `[learner.options]`.
        losses: local losses that it takes; none where it has a loss of its own.
        shapes: dimensions of x that it takes.
        make: the learner, from what is asked and its options.
        torch: it needs PyTorch, and computes where `[learner] device` says.
        maps: it takes `[learner] features`.
        head: from what is asked, its options and x of the training rows to the features and ridge basis of a head
            that is fitted on ciphertexts; None where a fit must see the residual.
    """

    name: str
    options: type[Options]
    losses: tuple[str, ...]
    shapes: frozenset[int]
    make: Callable[[Asked, Options], Learner]
    torch: bool = False
    maps: bool = False
    head: Callable[[Asked, Options, EncodedRows], RidgeFeatures] | None = None


KINDS: Registry[Kind] = Registry("secure_gal.learners.kinds", "python:MODULE:FACTORY")


def learner(
    name: str,
    *,
    options: type[O],
    losses: tuple[str, ...],
    shapes: tuple[int, ...],
    torch: bool = False,
    maps: bool = False,
    head: Callable[[Asked, O, EncodedRows], RidgeFeatures] | None = None,
) -> Callable[[Callable[[Asked, O], Learner]], Callable[[Asked, O], Learner]]:
    """Register what makes a learner of this kind; arguments as `Kind` has them."""

    def register(make: Callable[[Asked, O], Learner]) -> Callable[[Asked, O], Learner]:
        def made(asked: Asked, given: Options) -> Learner:
            return make(asked, of_kind(options, given))

        fitted = None if head is None else _head_of(options, head)
        KINDS.register(Kind(name, options, losses, frozenset(shapes), made, torch, maps, fitted))
        return make

    return register


def _head_of(
    options: type[O], head: Callable[[Asked, O, EncodedRows], RidgeFeatures]
) -> Callable[[Asked, Options, EncodedRows], RidgeFeatures]:
    return lambda asked, given, x: head(asked, of_kind(options, given), x)
