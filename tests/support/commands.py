"""Commands in processes of their own, and waiting for what they say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from parties.commands import demo


def cli(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """`secure-gal` with these arguments in this folder; its standard error can be read."""
    command = [sys.executable, "-m", "parties.cli", *arguments]
    return subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)


def assist(folder: Path, *more: str) -> subprocess.Popen[str]:
    """The assistor that this folder is named after; its person has read the manifest."""
    return cli(folder, "assist", f"{folder.name}.toml", *demo._consent(folder), *more)


def without_own_model(settings: Path) -> None:
    """Leave the best own model out of this sponsor's report: two seconds, and nothing that others see."""
    settings.write_text(f"{settings.read_text()}[report]\nown_model = false\n")


def without_lab_b(folder: Path) -> None:
    """Make the demo's study one of two parties."""
    for party in ("hospital", "lab-a"):
        study = folder / party / "study.toml"
        study.write_text(study.read_text().replace('["lab-a", "lab-b"]', '["lab-a"]'))


def until(process: subprocess.Popen[str], text: str) -> None:
    """Read what it says until this text comes."""
    assert process.stderr is not None
    seen = []
    for line in process.stderr:
        seen.append(line)
        if text in line:
            return
    raise AssertionError(f"{text!r} did not come; saw {seen}")


def ended(process: subprocess.Popen[str], code: int = 0, seconds: float = 120) -> str:
    """What it wrote, once it has ended with this exit code."""
    text = process.communicate(timeout=seconds)[1]
    assert process.returncode == code, text
    return text


def kill(*processes: subprocess.Popen[str]) -> None:
    """As `kill -9` does."""
    for process in processes:
        process.kill()
        process.wait(timeout=60)
        assert process.stderr is not None
        process.stderr.close()
