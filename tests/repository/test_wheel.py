"""The wheel holds every module, and each can be imported from it: an editable install would hide a missing one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("crypto", "parties", "secure_gal", "transport")
BUILD = "import sys; from setuptools.build_meta import build_wheel; print(build_wheel(sys.argv[1]))"
IMPORT_ALL = """
import gc, importlib, sys
from pathlib import Path

gc.disable()  # for speed, as below: what is imported is looked through for garbage again and again
for name in sys.argv[2:]:
    file = importlib.import_module(name).__file__
    assert file is not None and Path(file).is_relative_to(sys.argv[1]), f"{name} was imported from {file}"
gc.freeze()
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built offline, from a copy, so that the build leaves nothing in the tree."""
    tree, out = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("wheel")
    for name in PACKAGES:
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, tree / name)
    subprocess.run([sys.executable, "-c", BUILD, str(out)], cwd=tree, check=True, capture_output=True)
    (found,) = out.glob("*.whl")
    return found


def test_the_wheel_holds_every_file_of_the_packages(wheel: Path) -> None:
    due = {
        str(path.relative_to(ROOT))
        for name in PACKAGES
        for path in (ROOT / name).rglob("*")
        if path.suffix in (".py", ".jinja", ".typed")
    }
    assert len(due) > 100 and due <= set(zipfile.ZipFile(wheel).namelist())


def test_every_module_can_be_imported_from_the_wheel(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path)
    files = [path.relative_to(tmp_path) for name in PACKAGES for path in (tmp_path / name).rglob("*.py")]
    modules = sorted(".".join(path.with_suffix("").parts).removesuffix(".__init__") for path in files)
    command = [sys.executable, "-c", IMPORT_ALL, str(tmp_path), *modules]
    subprocess.run(command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(tmp_path)}, check=True)


@pytest.mark.slow
@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_the_wheel_works_in_a_clean_environment(wheel: Path, tmp_path: Path, version: str) -> None:
    """Installed from the package index with the pinned versions, and used: the demo, without the sources at hand."""
    python = shutil.which(f"python{version}")
    if python is None:
        pytest.skip(f"python{version} is not on this machine")
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run([python, "-m", "venv", "env"], cwd=tmp_path, env=clean, check=True)
    pip = [tmp_path / "env" / "bin" / "pip", "install", "--quiet", "-c", ROOT / "constraints.txt"]
    torch = next(line for line in (ROOT / "constraints.txt").read_text().splitlines() if line.startswith("torch=="))
    for what in (torch, wheel):  # PyTorch first, alone and pinned: a local CPU build is taken where there is one
        subprocess.run([*pip, what], cwd=tmp_path, env=clean, check=True)
    command = [tmp_path / "env" / "bin" / "secure-gal", "demo", "--dir", "demo"]
    done = subprocess.run(command, cwd=tmp_path, env=clean, check=True, capture_output=True, text=True)
    assert "GAL, residuals" in done.stdout and (tmp_path / "demo" / "hospital" / "predictions.csv").exists()
