"""Assistors that say at their end what they loaded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from parties.commands import demo

BEYOND = ("--beyond", "sums=0.4", "--beyond", "own-sums=0.8")
"""Ten sums of the demo's thirteen and thirteen features."""
ASSIST = (
    "import sys, pathlib; from parties.commands.assist import assist\n"
    "code = assist(pathlib.Path(sys.argv[1]), once=True, consent=sys.argv[2], beyond=sys.argv[3:])\n"
    "secret = any(name.startswith('crypto.ckks.secret') for name in sys.modules)\n"
    "print(secret, 'crypto.ckks.calculator' in sys.modules, 'torch' in sys.modules)\n"
    "raise SystemExit(code)"
)


def watched(folder: Path, name: str, *beyond: str) -> subprocess.Popen[str]:
    """An assistor that says at its end whether it ever loaded the secret side."""
    command = [sys.executable, "-c", ASSIST, f"{name}.toml", demo._consent(folder / name)[1], *beyond]
    return subprocess.Popen(command, cwd=folder / name, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
