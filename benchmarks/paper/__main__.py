"""The experiments of the GAL paper, in the clear and encrypted, on one bench.

    python -m benchmarks.paper --list
    python -m benchmarks.paper --run uci/Wine 'noise/*/paper' --data DIR
    python -m benchmarks.paper --all --quick --data DIR
    python -m benchmarks.paper --table [--out DIR]
    python -m benchmarks.paper --plot [--out DIR]

A case is called group/data/line/mode; --run takes whole names, beginnings up to a slash, and patterns. Results are
lines of JSON in --out, a file a group; runs that stand there are not done again, unless --again is asked for, whose
lines take their place. What was stopped goes on: after the last run that was finished, and runs that may take hours
where they were (--out/running). Tables and figures are made of those lines alone. --quick has fewer seeds, rows and
rounds.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.paper import cases

OUT = Path(__file__).resolve().parent.parent / "results" / "paper"


def main() -> int:
    """Do what is asked; 1 where a run failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--list", action="store_true", help="name every case, and what stands of it")
    what.add_argument("--run", nargs="+", metavar="NAME")
    what.add_argument("--all", action="store_true")
    what.add_argument("--table", action="store_true", help="print tables in markdown")
    what.add_argument("--plot", action="store_true", help="write figures as PNG and SVG; needs matplotlib")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--jobs", type=int, default=0, help="runs at a time (default: 1, and with --quick one a core)")
    parser.add_argument("--again", action="store_true", help="also runs of which a result stands")
    parser.add_argument("--data", type=Path, help="folder of data sets (uci/, mnist/, ...)")
    parser.add_argument("--out", type=Path, default=OUT, help="folder of results (default: %(default)s)")
    asked = parser.parse_args()
    if asked.table or asked.plot:
        return _show(asked)
    try:
        listed = list(cases.CASES) if not asked.run else cases.chosen(asked.run)
    except ValueError as error:
        parser.error(str(error))
    if asked.quick:
        listed = cases.in_short(listed)
    if asked.list:
        from benchmarks.paper.standing import lines

        print("\n".join(lines(listed, asked.out, asked.quick)))
        return 0
    if asked.data is None:
        parser.error("--run and --all need --data DIR")
    if asked.jobs < 0:
        parser.error(f"--jobs is a number of runs at a time, not {asked.jobs}")
    from benchmarks.paper.run import run
    from parties.run.cores import cores

    jobs = asked.jobs or (cores() if asked.quick else 1)
    return 1 if run(listed, asked.data, asked.out, asked.quick, asked.again, jobs) else 0


def _show(asked: argparse.Namespace) -> int:
    from benchmarks.paper import plot, results, table

    records = results.read(asked.out)
    if asked.table:
        print(table.markdown(records))
        return 0
    for path in plot.write(records, asked.out):
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
