"""SEAL with HEXL: used where its package is installed and gives the known answer, refused with the reason otherwise.

Packages are made of files here, around the module of TenSEAL's wheel; each is looked for in a process of its own.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from crypto.ckks import faster, known_answer

HIDDEN = """
import importlib.util, sys
_find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "secure_gal_hexl" else _find(name, *rest)
import crypto.ckks
"""
"""Whatever is installed where the tests run: `crypto.ckks` finds no package."""
AGAIN = """
import json
from pathlib import Path
from crypto.ckks import faster
if Path(sys.argv[1], faster.PACKAGE).exists():
    sys.path.insert(0, sys.argv[1])
    importlib.util.find_spec = _find
faster._chosen, faster._CPUINFO = None, Path(sys.argv[2])
found = faster.choice()
from tenseal import sealapi
print(json.dumps([found.hexl, found.reason, faster.said(), sys.modules["_sealapi_cpp"].__name__]))
"""
AROUND = "from _sealapi_cpp import *\n"
OTHER_ANSWER = (
    AROUND
    + """
class Evaluator(Evaluator):
    def rescale_to_next_inplace(self, ciphertext):
        super().rescale_to_next_inplace(ciphertext)
        self.negate_inplace(ciphertext)
"""
)
SEAL_44 = """
class Serialization:
    class SEALHeader:
        version_major, version_minor = 4, 4
"""


def asked(code: str, *arguments: str, **variables: str) -> str:
    """What a fresh process prints."""
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | variables).stdout


def package(folder: Path, module: str | bytes | None, tenseal: str = version("tenseal")) -> None:
    made = folder / faster.PACKAGE
    made.mkdir()
    (made / "__init__.py").write_text(f"TENSEAL = {tenseal!r}\n")
    if isinstance(module, bytes):
        (made / f"_sealapi_cpp{importlib.machinery.EXTENSION_SUFFIXES[0]}").write_bytes(module)
    elif module is not None:
        (made / "_sealapi_cpp.py").write_text(module)


def chosen(folder: Path, flags: frozenset[str] = faster.CPU, before: str = "") -> tuple[bool, str, str, str]:
    """(used, reason, in words, the module that TenSEAL took) with this folder's package, on such a processor."""
    cpuinfo = folder / "cpuinfo"
    cpuinfo.write_text(f"flags\t\t: fpu {' '.join(sorted(flags))}\n" * 2)
    used, reason, said, name = json.loads(asked(HIDDEN + before + AGAIN, str(folder), str(cpuinfo)))
    return used, reason, said, name


def test_without_the_package_nothing_is_imported_and_nothing_changes(tmp_path: Path) -> None:
    loaded = "print(sorted({'tenseal', 'numpy', 'zstandard', 'importlib.metadata', 'email'} & set(sys.modules)))"
    assert asked(HIDDEN + loaded).strip() == "[]"
    assert chosen(tmp_path) == (False, "", "SEAL of TenSEAL's wheel", "_sealapi_cpp")


def test_a_package_that_gives_the_known_answer_is_used(tmp_path: Path) -> None:
    package(tmp_path, AROUND)
    words = "SEAL with Intel HEXL (secure_gal_hexl)"
    assert chosen(tmp_path) == (True, "", words, "secure_gal_hexl._sealapi_cpp")


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        (None, "it cannot be loaded: No module named 'secure_gal_hexl._sealapi_cpp'"),
        (b"\x7fELF of nothing", "it cannot be loaded: "),
        ("import no_such_library", "it cannot be loaded: No module named 'no_such_library'"),
        (SEAL_44, "it holds SEAL 4.4, not 4.3"),
        (OTHER_ANSWER, "it gives another answer than SEAL of TenSEAL's wheel"),
        ("x = 1", "it does not work: AttributeError: "),
        ("1 / 0", "it does not work: ZeroDivisionError: "),
    ],
)
def test_a_package_that_does_not_pass_is_refused_with_the_reason(
    module: str | bytes | None, reason: str, tmp_path: Path
) -> None:
    package(tmp_path, module)
    used, why, said, name = chosen(tmp_path)
    assert not used and why.startswith(reason) and name == "_sealapi_cpp"
    assert said == f"SEAL of TenSEAL's wheel; secure_gal_hexl is not used: {why}"


def test_one_made_for_another_tenseal_is_refused(tmp_path: Path) -> None:
    package(tmp_path, AROUND, "0.3.1")
    _, why, _, name = chosen(tmp_path)
    assert why == f"it was made for TenSEAL 0.3.1, and {version('tenseal')} is installed; make it anew"
    assert name == "_sealapi_cpp"


def test_a_processor_without_its_instructions_never_loads_it(tmp_path: Path) -> None:
    package(tmp_path, "import os; os._exit(9)")
    used, why, *_ = chosen(tmp_path, faster.CPU - {"avx512dq"})
    assert (used, why) == (False, "this processor has no avx512dq")


def test_what_was_imported_already_stays(tmp_path: Path) -> None:
    package(tmp_path, AROUND)
    used, why, _, name = chosen(tmp_path, before="from tenseal import sealapi\n")
    assert (used, why, name) == (False, "tenseal.sealapi was imported before crypto.ckks", "_sealapi_cpp")


def test_importing_ckks_decides(tmp_path: Path) -> None:
    package(tmp_path, None)
    path = os.pathsep.join((str(tmp_path), *(entry for entry in sys.path if entry)))
    code = (
        "import crypto.ckks.faster as f, sys; print(f._chosen.hexl, bool(f._chosen.reason), 'tenseal' in sys.modules)"
    )
    assert asked(code, PYTHONPATH=path).split() == ["False", "True", "False"]


def test_the_version_asked_for_is_the_wheels() -> None:
    code = "from tenseal import sealapi as s; h = s.Serialization.SEALHeader(); print(h.version_major, h.version_minor)"
    assert asked(HIDDEN + code).split() == list(map(str, faster.SEAL))


def test_the_known_answer_is_the_wheels() -> None:
    code = "import _sealapi_cpp as m; from crypto.ckks import known_answer as k; print(k.digest(k.steps(m)))"
    assert asked(HIDDEN + code).strip() == known_answer.ANSWER


@pytest.mark.skipif(importlib.util.find_spec(faster.PACKAGE) is None, reason=f"{faster.PACKAGE} is not installed")
def test_the_installed_module_is_used() -> None:
    code = "from crypto.ckks import faster; from tenseal import sealapi; import sys;"
    code += "print(faster.choice().hexl, faster.choice().reason, sys.modules['_sealapi_cpp'].__file__)"
    found = asked(code).split()
    assert found[0] == "True" and faster.PACKAGE in found[-1], found
