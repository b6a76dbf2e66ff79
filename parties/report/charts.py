"""Geometry of the report's figures: numbers in, coordinates out; the template draws them in the colours of the scheme.

Coordinates are SVG user units in a box of `WIDTH` x `HEIGHT`, small enough that its text can be read on a phone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 440, 240
LEFT, RIGHT, TOP, BOTTOM = 58, 12, 12, 40
"""Margins around the plot: y labels at the left, x labels and the axis title below."""
MAX_SHARES = 8
"""Parties that a stacked chart tells apart; colours run out before a study's 64 do."""

Values = Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Tick:
    """A label on an axis and where it stands."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Curve:
    """One drawn series: its legend, its style (a class of the stylesheet), an SVG path and the points to mark."""

    name: str
    style: str
    path: str
    dots: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Chart:
    """A figure ready to draw; `alt` says in words what it shows."""

    title: str
    alt: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    curves: tuple[Curve, ...]
    kept_x: float | None
    x_title: str = "round"
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM


@dataclass(frozen=True, slots=True)
class Axis:
    """The linear map of values to heights, over whole steps of 1, 2 or 5 times a power of ten."""

    low: float
    high: float
    step: float

    @classmethod
    def around(cls, values: Sequence[float], count: int = 5) -> Axis:
        """The axis that holds `values` in about `count` steps (Heckbert, Nice Numbers for Graph Labels, 1990)."""
        low, high = min(values), max(values)
        if high - low <= 1e-9 * max(abs(low), abs(high)):  # flat: nothing to magnify
            pad = abs(high) / 2 or 1.0
            low, high = low - pad, high + pad
        raw = (high - low) / count
        power = 10.0 ** math.floor(math.log10(raw))
        step = next(nice * power for nice in (1, 2, 5, 10) if nice * power >= raw * (1 - 1e-9))
        return cls(math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step, step)

    def y(self, value: float) -> float:
        """Height of a value, downwards from the top as SVG counts."""
        return round(TOP + (HEIGHT - BOTTOM - TOP) * (self.high - value) / (self.high - self.low), 1)

    def ticks(self) -> tuple[Tick, ...]:
        """One labelled tick a step, both ends included."""
        places = max(0, -math.floor(math.log10(self.step) + 1e-9))
        plain = places <= 5 and max(abs(self.low), abs(self.high)) < 1e5
        values = [self.low + i * self.step for i in range(round((self.high - self.low) / self.step) + 1)]
        texts = [f"{value:.{places}f}" if plain else f"{value:.3g}" for value in values]
        return tuple(Tick(self.y(v), "0" if abs(v) < self.step / 2 else t) for v, t in zip(values, texts, strict=True))


def round_x(index: float, count: int) -> float:
    """The middle of round `index` (from 0) of `count`: a band each, so that lines and bars stand above each other."""
    return round(LEFT + (WIDTH - RIGHT - LEFT) * (index + 0.5) / count, 1)


def line_chart(
    title: str, series: Mapping[str, Values], levels: Mapping[str, float], kept: int, *, from_zero: bool = False
) -> Chart | None:
    """Curves over rounds 1..T, and `levels` as horizontal lines over all of them.

    Args:
        series: name -> one value a round, None where there is none (the curve is interrupted).
        levels: name -> value that does not depend on rounds.
        kept: the last round of the kept model; 0 for none.
        from_zero: whether the axis must hold 0, as for a quantity whose size is compared.

    Returns: None if there is nothing to draw.
    """
    shown = {name: values for name, values in series.items() if any(v is not None for v in values)}
    if not shown:
        return None
    known = [v for values in shown.values() for v in values if v is not None] + list(levels.values())
    axis = Axis.around([*known, 0.0] if from_zero else known)
    count = len(next(iter(shown.values())))
    curves = [_curve(name, f"line s{i}", axis, values) for i, (name, values) in enumerate(shown.items())]
    for i, (name, value) in enumerate(levels.items()):
        y = axis.y(value)
        curves.append(Curve(f"{name} {value:.4g}", f"level l{i}", f"M{LEFT} {y}H{WIDTH - RIGHT}"))
    alt = "; ".join(
        [_in_words(name, values) for name, values in shown.items()]
        + [f"{name} {value:.4g}" for name, value in levels.items()]
    )
    return Chart(
        title,
        f"{title} over {count} rounds: {alt}.",
        _round_ticks(count),
        axis.ticks(),
        tuple(curves),
        round_x(kept - 1, count) if kept else None,
    )


def share_chart(title: str, series: Mapping[str, Values], kept: int) -> Chart | None:
    """Stacked bars, one a round, of shares that sum to 1; beyond `MAX_SHARES` parties the smallest are one series.

    Returns: None if there is nothing to draw.
    """
    shares = _fold({name: [v or 0.0 for v in values] for name, values in series.items()})
    count = len(next(iter(shares.values()), ()))
    if not count:
        return None
    axis = Axis(0.0, 1.0, 0.2)
    half = 0.36 * (WIDTH - RIGHT - LEFT) / count
    floor, curves = [0.0] * count, []
    for i, (name, values) in enumerate(shares.items()):
        path = ""
        for j, value in enumerate(values):
            if value > 0:
                x, low, high = round_x(j, count) - half, axis.y(floor[j]), axis.y(min(1.0, floor[j] + value))
                path += f"M{x:.1f} {low}V{high}h{2 * half:.1f}V{low}z"
            floor[j] += value
        curves.append(Curve(name, f"bar s{i}", path))
    means = "; ".join(f"{name} {sum(values) / count:.2f}" for name, values in shares.items())
    alt = f"{title} over {count} rounds, stacked to 1; means: {means}."
    return Chart(
        title, alt, _round_ticks(count), axis.ticks(), tuple(curves), round_x(kept - 1, count) if kept else None
    )


def xy_chart(title: str, axes: tuple[str, str], series: Mapping[str, tuple[Values, Values]], *, level: bool) -> Chart:
    """Curves of numbers of 0 to 1 against each other.

    Args:
        axes: what x and y are, in words.
        series: name -> (x, y), ascending in x.
        level: whether the diagonal, on which nothing is to be seen, is drawn.
    """
    axis = Axis(0.0, 1.0, 0.2)
    curves = (
        [Curve("no difference", "level l0", f"M{_unit_x(0.0)} {axis.y(0)}L{_unit_x(1.0)} {axis.y(1)}")] if level else []
    )
    ends = []
    for i, (name, (xs, ys)) in enumerate(series.items()):
        points = [(_unit_x(x), axis.y(y)) for x, y in zip(xs, ys, strict=True) if x is not None and y is not None]
        path = "".join(f"{'L' if j else 'M'}{x} {y}" for j, (x, y) in enumerate(points))
        curves.append(Curve(name, f"line s{i}", path, tuple(points) if len(points) <= 20 else ()))
        ends.append(f"{name}, {len(points)} points")
    ticks = tuple(Tick(_unit_x(i / 5), f"{i / 5:.1f}") for i in range(6))
    alt = f"{title}: {axes[1]} by {axes[0]}; {'; '.join(ends)}."
    return Chart(f"{title}: {axes[1]}", alt, ticks, axis.ticks(), tuple(curves), None, axes[0])


def _unit_x(value: float) -> float:
    """Where a number of 0 to 1 stands."""
    return round(LEFT + (WIDTH - RIGHT - LEFT) * value, 1)


def _fold(shares: Mapping[str, Sequence[float]]) -> dict[str, Sequence[float]]:
    if len(shares) <= MAX_SHARES:
        return dict(shares)
    largest = sorted(shares, key=lambda name: -sum(shares[name]))[: MAX_SHARES - 1]
    rest = [values for name, values in shares.items() if name not in largest]
    folded: dict[str, Sequence[float]] = {name: shares[name] for name in shares if name in largest}
    return folded | {f"{len(rest)} others": [sum(column) for column in zip(*rest, strict=True)]}


def _curve(name: str, style: str, axis: Axis, values: Values) -> Curve:
    points = [None if v is None else (round_x(i, len(values)), axis.y(v)) for i, v in enumerate(values)]
    path, pen = "", "M"
    for point in points:
        path += f"{pen}{point[0]} {point[1]}" if point else ""
        pen = "L" if point else "M"
    crowded = len(values) > 40
    return Curve(name, style, path, () if crowded else tuple(point for point in points if point))


def _round_ticks(count: int) -> tuple[Tick, ...]:
    step = max(1, round(Axis.around([0, count], 8).step))
    numbers = [1, *range(step, count + 1, step)] if step > 1 else range(1, count + 1)
    return tuple(Tick(round_x(number - 1, count), str(number)) for number in numbers)


def _in_words(name: str, values: Values) -> str:
    known = [(i, v) for i, v in enumerate(values, 1) if v is not None]
    (first, start), (last, end) = known[0], known[-1]
    return f"{name} from {start:.4g} in round {first} to {end:.4g} in round {last}"
