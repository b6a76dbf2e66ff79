"""A study of two rounds over a small table of numbers, for processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

from parties.commands import demo

ROWS = 150
DIES = (
    "import errno, os, pathlib, sys\n"
    "name, how, keep = sys.argv[1], sys.argv[2], os.replace\n"
    "def replace(part, path):\n"
    "    if pathlib.Path(path).name != name: return keep(part, path)\n"
    "    if how == 'die': os._exit(137)\n"
    "    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))\n"
    "os.replace = replace\n"
    "sys.argv = ['secure-gal', *sys.argv[3:]]\n"
    "from parties.cli import main; main()\n"
)


def write_study(
    folder: Path, ids: str, residuals: str = "none", predictions: str = "none", validation: float = 0.0
) -> None:
    """The demo's folders and settings over a small table of numbers; two rounds, and everything reproducible.

    By the paper's rule F of the training rows is what the saved models give, so a prediction of them can be compared.
    """
    rng = np.random.default_rng(0)
    x = rng.standard_normal((ROWS, 9))
    y = (x[:, 0] + x[:, 4] + x[:, 8] + rng.standard_normal(ROWS) > 0).astype(int)
    for i, party in enumerate(demo.PARTIES):
        (folder / party).mkdir(parents=True)
        cut = slice(3 * i, 3 * i + 3)
        names = [f"c{j}" for j in range(9)[cut]]
        label = y if party == "hospital" else None
        demo._table(folder / party / f"{party}.csv", names, x[:, cut], list(range(ROWS)), label)
    demo._table(folder / "hospital" / "new.csv", ["c0", "c1", "c2"], x[:, :3], list(range(0, ROWS, 3)), None)
    demo._write_settings(folder, demo._free_port(), residuals, ids, "fast")
    for party in demo.PARTIES:
        file = folder / party / "study.toml"
        head = f'rounds = 2\nweights = "paper"\nvalidation = {validation}\n'
        file.write_text(f'{head}{file.read_text()}predictions = "{predictions}"\n')


def failing(folder: Path, file: str, how: str, *arguments: str) -> subprocess.Popen[str]:
    """A command that dies, or whose disk is full, when it comes to write this file."""
    command = [sys.executable, "-c", DIES, file, how, *arguments]
    return subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
