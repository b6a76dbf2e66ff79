"""Tables of the GAL paper (NeurIPS 2022): mean and standard deviation over four runs, by line and data set.

Its four runs share one split of the rows into training and test part: its code writes the split to disk once. So these
deviations are those of column orders and initial weights alone.
"""

from __future__ import annotations

Values = dict[str, tuple[float, float]]
SETS = ("Diabetes", "BostonHousing", "Blob", "Wine", "BreastCancer", "QSAR")


def _line(text: str) -> Values:
    cells = (cell.rstrip(")").split("(") for cell in text.split())
    return {name: (float(mean), float(deviation)) for name, (mean, deviation) in zip(SETS, cells, strict=True)}


LINEAR = {
    "Late": _line("136.2(0.1) 8.0(0.0) 100.0(0.0) 100.0(0.0) 96.9(0.4) 76.9(0.8)"),
    "Joint": _line("43.4(0.3) 3.0(0.0) 100.0(0.0) 100.0(0.0) 98.9(0.4) 84.0(0.2)"),
    "Alone": _line("59.7(9.2) 5.8(0.9) 41.3(10.8) 63.9(15.6) 92.5(3.4) 68.8(3.4)"),
    "AL": _line("51.5(4.6) 4.7(0.6) 97.5(2.5) 95.1(3.6) 97.7(1.1) 70.6(5.2)"),
    "GAL": _line("42.7(0.6) 3.2(0.2) 100.0(0.0) 96.5(3.0) 98.5(0.7) 82.5(0.8)"),
}
OTHERS = {
    "GB": _line("56.5(2.8) 3.8(0.5) 96.3(2.2) 95.8(1.4) 96.1(1.0) 84.8(0.9)"),
    "SVM": _line("46.6(1.4) 2.9(0.2) 96.3(4.1) 96.5(1.2) 99.1(1.1) 85.5(0.7)"),
    "GB-SVM": _line("49.8(2.6) 3.4(0.8) 70.0(7.9) 95.8(1.4) 93.2(1.6) 82.9(1.5)"),
}
IMAGES: dict[str, Values] = {
    "Interm": {"MNIST": (98.8, 0.1), "CIFAR10": (78.2, 0.2)},
    "Late": {"MNIST": (98.0, 0.1), "CIFAR10": (74.4, 0.3)},
    "Joint": {"MNIST": (99.4, 0.0), "CIFAR10": (80.1, 0.2)},
    "Alone": {"MNIST": (24.2, 0.1), "CIFAR10": (46.3, 0.3)},
    "AL": {"MNIST": (34.3, 0.1), "CIFAR10": (51.1, 0.2)},
    "GAL": {"MNIST": (96.3, 0.6), "CIFAR10": (74.3, 0.2)},
    "GAL DMS": {"MNIST": (96.3, 0.5), "CIFAR10": (67.0, 0.3)},
}
"""Its ModelNet40, ShapeNet55 and MIMIC-III are other data than those that can be had: nothing stands beside ours."""
