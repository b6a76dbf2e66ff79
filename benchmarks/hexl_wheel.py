"""Packs a compiled module as an installable wheel; the same module gives the same bytes."""

from __future__ import annotations

import base64
import hashlib
import sysconfig
import zipfile
from importlib.metadata import distribution
from pathlib import Path

NAME = "secure_gal_hexl"
VERSION = "4.3.3+hexl.1.2.6"
BUNDLED = ("tenseal", "pybind11")
"""Installed packages whose code is linked in besides the sources."""
_INIT = '''"""SEAL 4.3.3 with Intel HEXL 1.2.6, by TenSEAL's bindings; made by secure-gal's benchmarks/build_hexl.py."""

TENSEAL = "{tenseal}"
"""The release of TenSEAL whose bindings these are; with another one they are not used."""
'''
_METADATA = """Metadata-Version: 2.1
Name: {name}
Version: {version}
Summary: SEAL with Intel HEXL for secure-gal; made where it is used, published nowhere
Requires-Python: >=3.11
"""
_WHEEL = """Wheel-Version: 1.0
Generator: secure-gal build_hexl
Root-Is-Purelib: false
Tag: {tag}
"""


def write_wheel(module: Path, sources: Path, out: Path) -> Path:
    """Write the wheel of a module, with the licences of all that was linked into it.

    Args:
        module: `_sealapi_cpp` with Python's own suffix.
        sources: the folder of the source trees.
        out: the wheel's folder.

    Returns:
        The wheel's path.
    """
    tag = _tag()
    info = f"{NAME}-{VERSION}.dist-info"
    tenseal = distribution("tenseal").version
    files = {
        f"{NAME}/__init__.py": _INIT.format(tenseal=tenseal).encode(),
        f"{NAME}/{module.name}": module.read_bytes(),
        f"{info}/METADATA": _METADATA.format(name=NAME, version=VERSION).encode(),
        f"{info}/WHEEL": _WHEEL.format(tag=tag).encode(),
        **{f"{info}/licenses/{name}": text for name, text in _licences(sources).items()},
    }
    record = "".join(f"{name},{_hash(content)},{len(content)}\n" for name, content in files.items())
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    path = out / f"{NAME}-{VERSION}-{tag}.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return path


def _tag() -> str:
    python = f"cp{sysconfig.get_config_var('py_version_nodot')}"
    return f"{python}-{python}-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"


def _hash(content: bytes) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


def _licences(sources: Path) -> dict[str, bytes]:
    found = {f"{name}.txt": (sources / name / "LICENSE").read_bytes() for name in ("seal", "hexl", "cpu_features")}
    for package in BUNDLED:
        for file in distribution(package).files or []:
            if file.name.startswith("LICENSE"):
                found[f"{package}.txt"] = Path(str(file.locate())).read_bytes()
    return found
