"""An assistor's consent to what a study reveals: once a study digest, by a person or by the flag `--consent`."""

from __future__ import annotations

import sys
from collections.abc import Callable

import typer

from parties.session import Session
from parties.store import RunStore
from secure_gal.errors import ConsentError
from secure_gal.manifest import Disclosure, in_the_clear, who_learns_what

KEY = "consent"


def require_consent(session: Session, store: RunStore, given: bool, ask: Callable[[str], bool] | None = None) -> None:
    """Let the assistor join only if nothing is revealed in the clear, or someone consents to this study digest.

    Args:
        given: the flag `--consent`.
        ask: asks the person; by default on a terminal only.

    Raises:
        ConsentError: something is revealed and nobody consented; nothing was sent.
    """
    open_ = [item for item in who_learns_what(session.study) if in_the_clear(item)]
    if not open_ or store.meta(KEY) == session.digest:
        return
    if ask is None and sys.stdin.isatty() and sys.stderr.isatty():
        ask = confirmed
    if not given and (ask is None or not ask(question(session, open_))):
        raise ConsentError(
            f"{question(session, open_)}\nnot consented, so nothing was sent: read `secure-gal check {session.file}`, then "
            f"run: secure-gal assist {session.file} --consent"
        )
    store.set_meta(KEY, session.digest)


def confirmed(text: str) -> bool:
    """Ask on the terminal; no answer (ctrl-D, ctrl-C, no terminal) is a no."""
    try:
        return typer.confirm(text, err=True)
    except typer.Abort:
        typer.echo(err=True)  # ends the line of the question
        return False


def question(session: Session, open_: list[Disclosure]) -> str:
    """What is revealed, line by line, and to which digest consent is asked."""
    lines = [f"study {session.study.name!r}, digest {session.digest}, reveals in the clear:"]
    lines += [f"- {item.message}, {item.sender} -> {item.receiver}: {item.inference}" for item in open_]
    return "\n".join([*lines, f"Does {session.party.party} consent to this study?"])
