"""Pictures of a study's rounds on matplotlib axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from secure_gal.errors import SettingsError
from secure_gal.events import RoundRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def rounds(history: Sequence[RoundRecord], kept: int, ax: Axes | None) -> Axes:
    """Loss by round; a line stands at the last round that is kept."""
    ax = _axes(ax)
    numbers = [record.round for record in history]
    how = "out of fold" if all(record.out_of_fold for record in history) else "training rows"
    ax.plot(numbers, [record.train_loss for record in history], marker="o", label=how)
    held = [record.valid_loss for record in history if record.valid_loss is not None]
    if len(held) == len(history):
        ax.plot(numbers, held, marker="o", label="held-out rows")
    ax.axvline(kept, linestyle=":", color="grey", label="last round kept")
    ax.set(xlabel="round", ylabel="loss")
    ax.legend()
    return ax


def weights(history: Sequence[RoundRecord], kept: int, ax: Axes | None) -> Axes:
    """Weights by kept round, one party on the other."""
    ax = _axes(ax)
    numbers, floor = [record.round for record in history[:kept]], [0.0] * kept
    for party in history[0].weights:
        shares = [record.weights[party] for record in history[:kept]]
        ax.bar(numbers, shares, bottom=floor, label=party)
        floor = [below + share for below, share in zip(floor, shares, strict=True)]
    ax.set(xlabel="round", ylabel="weight")
    ax.legend()
    return ax


def _axes(ax: Axes | None) -> Axes:
    if ax is not None:
        return ax
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise SettingsError("plot", "needs matplotlib: pip install 'secure-gal[plot]'") from error
    return plt.subplots()[1]
