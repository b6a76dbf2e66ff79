"""A notebook beside a file called crypto.py is told which file is in the way."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def imported(folder: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}
    return subprocess.run(
        [sys.executable, "-c", "import secure_gal"], cwd=folder, env=environment, capture_output=True, text=True
    )


@pytest.mark.parametrize("name", ["crypto.py", "transport/__init__.py", "parties.py"])
def test_the_file_that_shadows_a_package_is_named(name: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_text("")
    found = imported(tmp_path)
    package = name.partition("/")[0].removesuffix(".py")
    assert found.returncode == 1
    assert f"secure-gal needs its own package {package!r}" in found.stderr.splitlines()[-1]
    assert f"{file} stands in the way: rename that file" in found.stderr.splitlines()[-1]


def test_other_files_are_in_nobodys_way(tmp_path: Path) -> None:
    (tmp_path / "cryptography_notes.py").write_text("")
    (tmp_path / "crypto").mkdir()  # a folder without code is no module
    assert imported(tmp_path).returncode == 0
