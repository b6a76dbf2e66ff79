"""Whole studies by real processes on this machine: metrics, seconds by phase, bytes against their floor.

    python -m benchmarks.studies --case breast --parties 8
    python -m benchmarks.studies --case default_credit --data DIR --learner gb

DIR holds fate/default_credit_hetero_{guest,host}.csv. The floor is rounds x 2 x N x K x 4 bytes an assistor.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from benchmarks import harness


def main() -> None:
    """Parse arguments, run one case, print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", choices=("breast", "default_credit"), default="breast")
    parser.add_argument("--parties", type=int, default=8, help="for breast: over how many the columns are dealt out")
    parser.add_argument("--learner", default="linear")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", type=Path, help="folder of data sets, for default_credit")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if chosen.case == "breast":
            case = harness.breast(folder, chosen.parties, chosen.seed)
        elif chosen.data is None:
            parser.error("--case default_credit needs --data DIR")
        else:
            case = harness.default_credit(folder, chosen.data)
        harness.write_settings(folder, case, learner=f'kind = "{chosen.learner}"')
        measured = harness.run(folder, case)
    floor = 2 * measured["rounds"] * measured["rows"]["aligned"] * 4 * (len(case.names) - 1)
    found = {"case": chosen.case, "learner": chosen.learner, **measured, "floor_bytes": floor}
    print(json.dumps(found | {"machine": harness.machine()}, indent=2))


if __name__ == "__main__":
    main()
