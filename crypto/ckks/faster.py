"""SEAL with Intel HEXL in place of the one in TenSEAL's wheel, where the package `secure_gal_hexl` is installed.

Importing `crypto.ckks` decides, before anything imports `tenseal.sealapi`, which takes `_sealapi_cpp` as it then is.
The package is code that somebody compiled and installed (docs/decisions/0028): it is trusted like the wheel, and found
as every package is, by no setting. The known answer that it must give only finds what was compiled wrongly.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

PACKAGE = "secure_gal_hexl"
SEAL = (4, 3)
"""Major and minor of the SEAL that TenSEAL's wheel holds; a test reads it there."""
CPU = frozenset({"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"})
"""What the module is compiled for, as Linux names it; it would end the process on a processor without."""
_BINDINGS = "_sealapi_cpp"
_CPUINFO = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Choice:
    """Whether SEAL with HEXL is in use, and why it is not; no reason where the package is not installed."""

    hexl: bool
    reason: str = ""


_chosen: Choice | None = None


def choice() -> Choice:
    """Use the package's module if it is installed and passes; decided once in a process."""
    global _chosen
    if _chosen is None:
        _chosen = _choose()
    return _chosen


def said() -> str:
    """Which SEAL computes here, in words."""
    chosen = choice()
    if chosen.hexl:
        return f"SEAL with Intel HEXL ({PACKAGE})"
    return "SEAL of TenSEAL's wheel" + (f"; {PACKAGE} is not used: {chosen.reason}" if chosen.reason else "")


def _choose() -> Choice:
    if importlib.util.find_spec(PACKAGE) is None:
        return Choice(False)
    if _BINDINGS in sys.modules:
        return Choice(False, "tenseal.sealapi was imported before crypto.ckks")
    try:
        sys.modules[_BINDINGS] = _passed()
    except ImportError as error:
        return Choice(False, str(error))
    except Exception as error:  # whatever a module that is not as it should be raises
        return Choice(False, f"it does not work: {type(error).__name__}: {error}")
    return Choice(True)


def _passed() -> ModuleType:
    """The package's module; ImportError says why it cannot be used."""
    if missing := CPU - _cpu():
        raise ImportError(f"this processor has no {', '.join(sorted(missing))}")
    package = importlib.import_module(PACKAGE)
    made, installed = getattr(package, "TENSEAL", None), _tenseal()
    if made != installed:
        raise ImportError(f"it was made for TenSEAL {made}, and {installed} is installed; make it anew")
    try:
        module = importlib.import_module(f"{PACKAGE}.{_BINDINGS}")
    except ImportError as error:
        raise ImportError(f"it cannot be loaded: {error}") from None
    header = module.Serialization.SEALHeader()
    if (found := (header.version_major, header.version_minor)) != SEAL:
        raise ImportError(f"it holds SEAL {found[0]}.{found[1]}, not {SEAL[0]}.{SEAL[1]}")
    from crypto.ckks import known_answer

    if known_answer.digest(known_answer.steps(module)) != known_answer.ANSWER:
        raise ImportError("it gives another answer than SEAL of TenSEAL's wheel")
    return module


def _cpu() -> frozenset[str]:
    """What all of this machine's processors can do; nothing where Linux does not tell."""
    try:
        lines = _CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return frozenset()
    found = [frozenset(line.partition(":")[2].split()) for line in lines if line.startswith("flags")]
    return frozenset.intersection(*found) if found else frozenset()


def _tenseal() -> str:
    from importlib.metadata import PackageNotFoundError, version  # takes longer to import than the rest of this file

    try:
        return version("tenseal")
    except PackageNotFoundError:
        return "none"
