"""What a feature map says of itself, once, in its file under `kinds/`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from secure_gal.options import Options, of_kind
from secure_gal.registry import Registry

if TYPE_CHECKING:
    import numpy as np

    from secure_gal.features.base import Array, FeatureMap
    from secure_gal.learners.base import EncodedRows

TABLE_ONLY = (2,)
O = TypeVar("O", bound=Options)  # noqa: E741


@dataclass(frozen=True, slots=True)
class Asked:
    """What a map is fitted with beside the rows: its own seed, the party file's folder, `[learner] device`."""

    seed: int
    folder: Path
    device: str


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of feature map.

    Attributes:
        name: of its file.
        options: of `[learner.options]`.
        shapes: dimensions of x that it takes.
        fit: the map, from x of the training rows, what is asked and its options.
        draw: the map, from x (N_train, q) and a stream of bits; None for what is the same whatever is drawn.
        torch: it may need PyTorch, and computes where `[learner] device` says.
        alone: it stands in no union.
    """

    name: str
    options: type[Options]
    shapes: frozenset[int]
    fit: Callable[[EncodedRows, Asked, Options], FeatureMap]
    draw: Callable[[Array, np.random.MT19937], FeatureMap] | None = None
    torch: bool = False
    alone: bool = False


KINDS: Registry[Kind] = Registry("secure_gal.features.kinds", "python:MODULE:FACTORY")


def feature_map(
    name: str,
    *,
    options: type[O],
    shapes: tuple[int, ...] = TABLE_ONLY,
    draw: Callable[[Array, np.random.MT19937], FeatureMap] | None = None,
    torch: bool = False,
    alone: bool = False,
) -> Callable[[Callable[[EncodedRows, Asked, O], FeatureMap]], Callable[[EncodedRows, Asked, O], FeatureMap]]:
    """Register what fits a feature map of this kind; arguments as `Kind` has them."""

    def register(fit: Callable[[EncodedRows, Asked, O], FeatureMap]) -> Callable[[EncodedRows, Asked, O], FeatureMap]:
        def fitted(x: EncodedRows, asked: Asked, given: Options) -> FeatureMap:
            return fit(x, asked, of_kind(options, given))

        KINDS.register(Kind(name, options, frozenset(shapes), fitted, draw, torch, alone))
        return fit

    return register
