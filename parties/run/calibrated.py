"""`calibration.json` in a party's home: what a forecast measured of this machine, for the forecasts after it."""

from __future__ import annotations

import platform
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec

from crypto.private_files import replace
from parties.run.cores import cores
from secure_gal import __version__
from secure_gal.forecast.calibration import PACKAGES, Calibration, Entry, Machine, Measured

FILE = "calibration.json"
MAX_BYTES = 1 << 18
"""Of the file; an entry has about 1,000."""
ANOTHER = "holds what another machine, or other versions, took"
DAMAGED = "is damaged"


def this_machine() -> Machine:
    """Model and number of the processors that this process may use, and the versions of what computes on them."""
    cpu = platform.processor() or platform.machine()
    with suppress(OSError, UnicodeDecodeError, IndexError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        cpu = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), cpu)
    found = {}
    for name in PACKAGES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)[:200]
    return Machine(__version__, cpu[:200], cores(), platform.python_version(), found)


def read(home: Path, machine: Machine) -> tuple[Calibration, str]:
    """What was kept for this machine, and why a file that is there cannot be used; an empty one then."""
    path, nothing = home / FILE, Calibration(1, machine)
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return nothing, ""
    except OSError as error:
        return nothing, f"{path} cannot be read ({error.strerror})"
    try:
        found = msgspec.json.decode(raw, type=Calibration) if len(raw) <= MAX_BYTES else None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        found = None
    if found is None:
        return nothing, f"{path} {DAMAGED}"
    return (found, "") if found.machine == machine else (nothing, f"{path} {ANOTHER}")


def keep(home: Path, known: Calibration, work: str, measured: Measured) -> str:
    """Write a measurement of now beside those that are known; returns why that failed, empty where it did not."""
    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    made = known.with_entry(Entry(work, when, measured))
    try:
        replace(home / FILE, msgspec.json.format(msgspec.json.encode(made), indent=1) + b"\n")
    except OSError as error:
        return f"{home / FILE} could not be written ({error.strerror})"
    return ""
