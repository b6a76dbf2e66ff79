"""The paper's figures, made of results alone, as PNG and SVG."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.paper.results import Record

COMPARED = ("Joint", "Alone", "AL", "GAL", "GAL, eta = 1", "GAL DMS")
DOTS = 130
Axes = Any
Draw = Callable[[Axes, list[Record]], None]


def write(records: Sequence[Record], out: Path) -> list[Path]:
    """Every figure for which there are results; returns the files.

    Raises:
        SystemExit: matplotlib is not there.
    """
    if find_spec("matplotlib") is None:
        raise SystemExit("figures need matplotlib: pip install 'secure-gal[bench]'")
    written = []
    for name, (wanted, draw) in FIGURES.items():
        panels = _by_data(record for record in records if wanted(record))
        if panels:
            written += _save(_figure(panels, draw), out / name)
    return written


def _figure(panels: dict[str, list[Record]], draw: Draw) -> Any:
    from matplotlib.figure import Figure

    across = min(4, len(panels))
    down = -(-len(panels) // across)
    figure = Figure(figsize=(4 * across, 3.2 * down), layout="constrained")
    grid = figure.subplots(down, across, squeeze=False).ravel()
    for axes, (data, listed) in zip(grid, panels.items(), strict=False):
        axes.set_title(data)
        draw(axes, listed)
    for axes in grid[len(panels) :]:
        axes.set_visible(False)
    return figure


def _save(figure: Any, path: Path) -> list[Path]:
    """The same results give the same bytes; words stay words in SVG."""
    from matplotlib import rc_context

    written = []
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": path.name}):
        for suffix in ("png", "svg"):
            written.append(path.with_suffix(f".{suffix}"))
            figure.savefig(written[-1], dpi=DOTS, metadata={"Date": None} if suffix == "svg" else None)
    return written


def _by_data(records: Iterable[Record]) -> dict[str, list[Record]]:
    """Full results where there are any, else quick ones."""
    found: dict[str, dict[bool, list[Record]]] = defaultdict(lambda: defaultdict(list))
    for record in records:
        found[record["case"]["data"]][record["quick"]].append(record)
    return {data: runs[False] or runs[True] for data, runs in found.items()}


def _in(group: str, *modes: str) -> Callable[[Record], bool]:
    return lambda record: record["case"]["group"] == group and record["case"]["mode"] in (modes or ("paper",))


def _networks(record: Record) -> bool:
    case = record["case"]
    deep = case["group"] in ("images", "objects", "clinical") and case["mode"] == "paper"
    return deep and len(record["trail"]) > 2 and _plain(case["row"]) in COMPARED


def _plain(row: str) -> str:
    """A line's name without what stands in brackets behind it."""
    return row.partition(" (")[0]


def _by_row(records: Iterable[Record]) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        found[record["case"]["row"]].append(record)
    return found


def held(series: Sequence[Sequence[float]], length: int) -> np.ndarray:
    """Series (runs, length), each held at its last value once it has ended."""
    return np.array([[*one, *[one[-1]] * (length - len(one))] for one in series if one])


def _curves(axes: Axes, records: list[Record], field: str, rows: Sequence[str], start: int = 0) -> None:
    """Mean over seeds, and a band of one standard deviation, by round."""
    for row, runs in _by_row(records).items():
        series = [run[field] for run in runs if run[field]]
        if _plain(row) not in rows or not series:
            continue
        values = held(series, max(len(one) for one in series))
        at, mean, spread = start + np.arange(values.shape[1]), values.mean(axis=0), values.std(axis=0)
        (line,) = axes.plot(at, mean, label=row, marker=".")
        axes.fill_between(at, mean - spread, mean + spread, alpha=0.15, color=line.get_color(), linewidth=0)
    axes.set_xlabel("assistance round")
    axes.legend(fontsize="x-small")


def accuracy_over_rounds(axes: Axes, records: list[Record]) -> None:
    """GAL against AL, Alone and Joint on test rows."""
    _curves(axes, records, "trail", COMPARED)
    axes.set_ylabel({"mad": "mean absolute deviation", "accuracy": "accuracy, %"}.get(records[0]["metric"], "AUC"))


def rates(axes: Axes, records: list[Record]) -> None:
    """eta of each round."""
    _curves(axes, records, "eta", ("GAL",), start=1)
    axes.set_yscale("symlog", linthresh=0.1)
    axes.set_ylabel("learning rate eta")


def noisy_weights(axes: Axes, records: list[Record]) -> None:
    """Mean weight of a clean and of a noisy party, by round."""
    for row, runs in _by_row(records).items():
        if "fitted" not in row:
            continue
        longest = max(len(run["weights"]) for run in runs)
        for part, style in (("clean", "-"), ("noisy", "--")):
            halves = [[float(np.mean(_half(w, part))) for w in run["weights"]] for run in runs]
            mean = held(halves, longest).mean(axis=0)
            axes.plot(1 + np.arange(longest), mean, style, label=f"{row.partition(',')[0]}, {part}")
    axes.set_xlabel("assistance round")
    axes.set_ylabel("weight of a party, mean")
    axes.legend(fontsize="x-small")


def _half(weights: Sequence[float], part: str) -> Sequence[float]:
    middle = len(weights) // 2
    return weights[:middle] if part == "clean" else weights[middle:]


def patches(axes: Axes, records: list[Record]) -> None:
    """Mean weight of each image patch over kept rounds and seeds, as the patches lie, and in brackets that of round 1;
    of runs by ciphertexts where there are any."""
    mode = "ckks" if any(run["case"]["mode"] == "ckks" for run in records) else records[0]["case"]["mode"]
    chosen = [np.array(run["weights"]) for run in records if run["case"]["mode"] == mode]
    kept = [run["kept"] or None for run in records if run["case"]["mode"] == mode]
    mean = np.mean([weights[:k].mean(axis=0) for weights, k in zip(chosen, kept, strict=True)], axis=0).reshape(2, -1)
    first = np.mean([weights[0] for weights in chosen], axis=0).reshape(2, -1)
    axes.imshow(mean, cmap="Blues", vmin=0.0, vmax=0.5)
    for (row, column), value in np.ndenumerate(mean):
        axes.text(column, row, f"{value:.2f}\n({first[row, column]:.2f})", ha="center", va="center")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_xlabel(f"{mode}: mean of kept rounds (round 1)")


def theorem(axes: Axes, records: list[Record]) -> None:
    """How far the training loss is above the joint optimum, by round."""
    runs = _by_row(records)
    if "joint optimum" not in runs:
        return
    least = {run["seed"]: run["train_loss"][-1] for run in runs["joint optimum"]}
    for row, listed in runs.items():
        if row != "joint optimum":
            above = [[v - least[run["seed"]] for v in run["train_loss"]] for run in listed if run["seed"] in least]
            axes.plot(held(above, max(map(len, above))).mean(axis=0), label=row)
    axes.set_yscale("log")
    axes.set_xlabel("assistance round")
    axes.set_ylabel("training loss above the joint optimum")
    axes.legend(fontsize="x-small")


def boosting(axes: Axes, records: list[Record]) -> None:
    """GAL of one organisation and gradient boosting, test deviation by round."""
    for row, runs in _by_row(records).items():
        style = "-" if row.startswith("GAL") else "x"
        axes.plot(np.mean([run["trail"] for run in runs], axis=0), style, label=row)
    axes.set_xlabel("round")
    axes.set_ylabel("mean absolute deviation")
    axes.legend(fontsize="x-small")


def _patched(record: Record) -> bool:
    """Heads of eight parties by the product's rule; weights were not written down before 0.2.0."""
    case, weights = record["case"], record["weights"]
    ours = (case["group"], case["row"]) == ("images", "GAL, heads") and case["mode"] != "paper"
    return ours and bool(weights) and len(weights[0]) == 8


FIGURES: dict[str, tuple[Callable[[Record], bool], Draw]] = {
    "accuracy-over-rounds": (_in("uci"), accuracy_over_rounds),
    "accuracy-over-rounds-product": (_in("uci", "product"), accuracy_over_rounds),
    "accuracy-over-rounds-networks": (_networks, accuracy_over_rounds),
    "learning-rates": (_in("uci"), rates),
    "weights-of-noisy-parties": (_in("noise"), noisy_weights),
    "weights-of-noisy-parties-product": (_in("noise", "product"), noisy_weights),
    "weights-of-patches": (_patched, patches),
    "theorem-1": (_in("theorem"), theorem),
    "one-organisation-is-boosting": (_in("boosting"), boosting),
}
"""By file name: which results, and how a panel, one a data set, is drawn."""
