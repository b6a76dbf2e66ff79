"""Draws docs/phases.md from the one table of the protocol, `secure_gal.phases`.

    python -m docs.draw_phases            write it
    python -m docs.draw_phases --check    exit code 1 if it is stale

One picture a role and kind of study, in Mermaid, which GitHub and most editors draw.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path

from secure_gal import protection
from secure_gal.phases import CERTIFICATES, JOB, START, Role, Step
from secure_gal.settings.study import Protect, Study

PAGE = Path(__file__).with_name("phases.md")
STUDIES: dict[str, Protect] = {
    "Clear residuals, clear ids": Protect(ids="clear"),
    "Encrypted residuals, private ids": Protect(ids="psi", residuals="ckks"),
    "Encrypted residuals, sums only, private ids": Protect(ids="psi", residuals="ckks", predictions="sum"),
}
PARTIES: dict[str, tuple[Role, str]] = {
    "The sponsor": ("sponsor", "hospital"),
    "The aggregator": ("assistor", "lab"),
    "An assistor": ("assistor", "insurer"),
}


def study(protect: Protect) -> Study:
    """A study of three parties with this protection."""
    return Study("s", "regression", "hospital", "tcp://h:1", ("lab", "insurer"), protect=protect)


def drawing(steps: tuple[Step, ...], role: Role) -> str:
    """One role's phases as a Mermaid diagram: an arrow is labelled with what leads along it."""
    arrows: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for step in steps:
        if step.role == role:
            for to in step.to:
                arrows[step.phase, to].append(step.kind)
    begins = "new" if any(step.phase == "new" for step in steps if step.role == role) else "idle"
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {begins}"]
    for (phase, to), kinds in arrows.items():
        said = ", ".join({START: "start", JOB: "job done"}.get(kind, kind) for kind in kinds)
        lines.append(f"    {phase} --> {to}: {said}")
    return "\n".join([*lines, "```"])


def page() -> str:
    """The whole of docs/phases.md."""
    parts = [
        "# Phases",
        "Drawn by `python -m docs.draw_phases` from the one table that decides what is legal when "
        "(`secure_gal/phases.py` and the modes of `secure_gal/protection/`). A message that labels no arrow out of a "
        "phase is refused in it, and changes nothing. An arrow from a phase to itself: more of a kind are awaited.",
    ]
    for title, protect in STUDIES.items():
        made = study(protect)
        parts.append(f"## {title}")
        for party, (role, name) in PARTIES.items():
            if name == "lab" and not made.adder:
                continue
            parts += [f"### {party}", drawing(protection.table(made, name), role)]
    parts.append("## Certificates, beside the rounds of every study")
    certifying: dict[str, Role] = {"The sponsor": "collector", "An assistor": "witness"}
    for party, role in certifying.items():
        parts += [f"### {party}", drawing(CERTIFICATES, role)]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Write or check."""
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(page())
    elif not PAGE.exists() or PAGE.read_text() != page():
        raise SystemExit("docs/phases.md is stale: run python -m docs.draw_phases")


if __name__ == "__main__":
    main()
