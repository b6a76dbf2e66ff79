"""Virtual environments made on demand, one a system, and kept."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

INSTALL_SECONDS = 1200
"""A resolver that has found nothing by then is ended."""


class NotInstalled(Exception):
    """An environment could not be made; the message is pip's own last error."""


@dataclass(frozen=True, slots=True)
class Environment:
    """What a system needs.

    Attributes:
        name: of its folder.
        requirements: as pip takes them; pinned as far as the resolver finds nothing otherwise.
        python: the one version that its wheels are for; empty: this one.
    """

    name: str
    requirements: tuple[str, ...]
    python: str = ""

    def interpreter(self, home: Path) -> Path:
        """Its Python under `home`; made where it is not there yet with just these requirements, or its base has gone.

        Raises:
            NotInstalled: no such Python on this machine, or pip's error.
        """
        folder = home / self.name
        python, mark, wanted = folder / "bin" / "python", folder / "requirements.txt", "\n".join(self.requirements)
        if python.exists() and mark.is_file() and mark.read_text() == wanted:
            return python
        shutil.rmtree(folder, ignore_errors=True)
        _finish([self._base(), "-m", "venv", str(folder)])
        _finish([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *self.requirements])
        mark.write_text(wanted)
        return python

    def _base(self) -> str:
        if not self.python or self.python == f"{sys.version_info.major}.{sys.version_info.minor}":
            return sys.executable
        if found := shutil.which(f"python{self.python}"):
            return found
        raise NotInstalled(f"its wheels are for Python {self.python}, which is not on this machine")


def _finish(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise NotInstalled(f"not installed within {INSTALL_SECONDS} s") from None
    except OSError as error:
        raise NotInstalled(str(error)) from error
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
        raise NotInstalled(errors[-1].removeprefix("ERROR: ") if errors else f"exit status {done.returncode}")
