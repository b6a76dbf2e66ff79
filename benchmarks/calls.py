"""What one encrypted round costs in calls: how many, through how many files, and whether any knows a state key.

    python -m benchmarks.calls                    # a table by file
    python -m benchmarks.calls --out calls.json

Functions of this project alone are counted, by `sys.setprofile`: those of the protocol objects of a sponsor and two
assistors, from one committed round to the next inside a study, jobs included. Messages are handed over as objects.
Ciphertexts are stand-ins that can be read, and what a stand-in calls is not counted: wire, ledger and CKKS have
benchmarks of their own.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = tuple(f"{ROOT / name}/" for name in ("secure_gal", "crypto", "transport", "parties"))
INNER = {"<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>"}
"""Calls in Python 3.11 and none in 3.12."""
ROUND, ROUNDS = 2, 3
"""The round that is counted, and how many there are: nothing is done for the first or the last time in it."""
STAND_INS = str(ROOT / "tests" / "support" / "encrypted_in_memory.py")
KEYED = {f"State.{name}" for name in ("put", "get", "drop", "drop_all", "array", "raw", "text", "keys", "__contains__")}
"""Methods that take a key as text; entries alone may call them."""


def counted() -> dict[str, Any]:
    """Calls by file and function of one round, and by whom a state key was named."""
    from tests.support.hostile_studies import play

    made, calls, callers = play("ckks", rounds=ROUNDS), Counter[tuple[str, str]](), Counter[str]()
    stage, inside = made.roles["hospital"].stage, 0

    def committed() -> int:
        return 0 if stage.ensemble_or_none is None else len(stage.ensemble_or_none.history)

    def profile(frame: FrameType, event: str, argument: object) -> None:
        nonlocal inside
        name = frame.f_code.co_filename
        if name == STAND_INS and event in ("call", "return"):
            inside += 1 if event == "call" else -1
        if inside or event != "call" or not name.startswith(PACKAGES) or frame.f_code.co_name in INNER:
            return
        calls[str(Path(name).relative_to(ROOT)), frame.f_code.co_qualname] += 1
        back = frame.f_back
        if back and name.endswith("secure_gal/state.py") and frame.f_code.co_qualname in KEYED:
            caller = back.f_code.co_filename
            if caller.startswith(PACKAGES) and not caller.endswith("secure_gal/state.py"):
                callers[f"{Path(caller).relative_to(ROOT)}: {frame.f_code.co_name}"] += 1

    while committed() < ROUND - 1:
        assert made.step()
    sys.setprofile(profile)
    try:
        while committed() < ROUND:
            assert made.step()
    finally:
        sys.setprofile(None)
    files: Counter[str] = Counter()
    for (file, _), number in calls.items():
        files[file] += number
    return {
        "calls": sum(files.values()),
        "files": len(files),
        "by_file": dict(files.most_common()),
        "state_calls_by_key": dict(callers),
    }


def main() -> None:
    """Print the table; write JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    chosen, found = parser.parse_args(), counted()
    table = Table(title=f"one encrypted round: {found['calls']} calls through {found['files']} files")
    table.add_column("file")
    table.add_column("calls", justify="right")
    for file, number in found["by_file"].items():
        table.add_row(file, str(number))
    Console().print(table)
    print(f"state calls keyed by a text outside of secure_gal/state.py: {found['state_calls_by_key'] or 'none'}")
    if chosen.out:
        chosen.out.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
