"""The tables of the documentation that are made from the code: `python -m docs.tables` writes them, `--check` compares.

A table stands between `<!-- NAME: made by docs.tables -->` and `<!-- end -->`; what is between is never edited by hand.
"""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from secure_gal.features.declare import KINDS as MAPS
from secure_gal.learners.declare import KINDS as LEARNERS
from secure_gal.learners.declare import SHAPES
from secure_gal.messages import MESSAGES, Message, in_step_order
from secure_gal.options import Options, rules

FOLDER = Path(__file__).parent
TABLE = re.compile(r"(<!-- ([a-z-]+): made by docs\.tables -->\n).*?(<!-- end -->)", re.DOTALL)


def messages(kinds: Iterable[str]) -> str:
    """Rows of kinds in the order of their steps; the content is the first paragraph of a class's docstring."""
    rows = ["| step | message | from -> to | content |", "|---|---|---|---|"]
    for kind in in_step_order(kinds):
        found = MESSAGES[kind]
        rows.append(f"| {found.ABOUT.step} | `{kind}` | {_route(found)} | {_content(found)} |")
    return "\n".join(rows) + "\n"


def _route(found: type[Message]) -> str:
    return (" <-> " if found.ABOUT.back else " -> ").join(found.ABOUT.route)


def _content(found: type[Message]) -> str:
    paragraph = " ".join(inspect.cleandoc(found.__doc__ or "").partition("\n\n")[0].split())
    return paragraph.removesuffix(".").replace("|", r"\|")


def learners() -> str:
    """Every kind of learner, from what its file declares."""
    rows = ["| kind | takes | local losses | on ciphertexts | PyTorch | options |", "|---|---|---|---|---|---|"]
    for kind in LEARNERS.every():
        takes = ", ".join(SHAPES[dimensions] for dimensions in sorted(kind.shapes))
        losses = ", ".join(kind.losses) or "its own"
        flags = f"{_yes(kind.head is not None)} | {_yes(kind.torch)}"
        rows.append(f"| `{kind.name}` | {takes} | {losses} | {flags} | {_options(kind.options)} |")
    return "\n".join(rows) + "\n"


def features() -> str:
    """Every kind of feature map, from what its file declares."""
    rows = ["| map | takes | fresh every round | options |", "|---|---|---|---|"]
    for kind in MAPS.every():
        takes = ", ".join(SHAPES[dimensions] for dimensions in sorted(kind.shapes))
        rows.append(f"| `{kind.name}` | {takes} | {_yes(kind.draw is not None)} | {_options(kind.options)} |")
    return "\n".join(rows) + "\n"


def _yes(is_so: bool) -> str:
    return "yes" if is_so else "no"


def _options(options: type[Options]) -> str:
    default = {field.name: field.default for field in dataclasses.fields(options)}
    return "; ".join(f"`{name}` ({rule}{_default(default[name])})" for name, rule in rules(options).items())


def _default(value: object) -> str:
    return "" if value is None else f"; {str(value).lower() if isinstance(value, bool) else value}"


def _where(fits: Callable[[type[Message]], bool]) -> Callable[[], str]:
    return lambda: messages(kind for kind, found in MESSAGES.items() if fits(found))


def _setting(*settings: str) -> Callable[[], str]:
    return _where(lambda found: found.ABOUT.setting in settings and found.ABOUT.phase != "Evidence")


TABLES: dict[str, Callable[[], str]] = {
    "steps": _setting(""),
    "alignment": _setting('ids = "psi"'),
    "certificates": _where(lambda found: found.ABOUT.phase == "Evidence"),
    "encryption": _setting('residuals = "ckks"'),
    "sums": _setting('predictions = "sum"'),
    "learners": learners,
    "features": features,
    "released": _setting('residuals = "dp" or "ip"', 'predictions = "noise"'),
}


def renewed(text: str) -> str:
    """The text of a document with its tables made anew."""
    return TABLE.sub(lambda found: f"{found[1]}{TABLES[found[2]]()}{found[3]}", text)


def named(text: str) -> list[str]:
    """The tables that a document holds."""
    return [found[2] for found in TABLE.finditer(text)]


def stale() -> list[Path]:
    """Documents of this folder and the README whose tables are not what the code says."""
    documents = [*sorted(FOLDER.glob("*.md")), FOLDER.parent / "README.md"]
    return [path for path in documents if renewed(path.read_text()) != path.read_text()]


def main() -> int:
    """Write stale tables, or with `--check` only name their documents; 1 where there are any."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; fail where a table is stale")
    check = parser.parse_args().check
    found = stale()
    for path in found:
        print(f"{path}: {'stale; run python -m docs.tables' if check else 'written'}")
        if not check:
            path.write_text(renewed(path.read_text()))
    return 1 if check and found else 0


if __name__ == "__main__":
    sys.exit(main())
