"""An assistor's consent to what a study reveals: to one study digest, by a person on a terminal or as `--consent DIGEST`."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable

import typer

from parties.session import Session
from parties.store import RunStore
from secure_gal.errors import ConsentError, SettingsError
from secure_gal.manifest import Disclosure, in_the_clear, who_learns_what

KEY = "consent"
LEAST_DIGITS = 16
"""Digits of a digest that a person may shorten it to: two studies that share them are not found by trying (2**64)."""
_DIGITS = re.compile(f"[0-9a-f]{{{LEAST_DIGITS},64}}")


def require_consent(
    session: Session, store: RunStore, given: str | None, ask: Callable[[str], bool] | None = None
) -> None:
    """Let the assistor join only if nothing is revealed in the clear, or someone consents to this study digest.

    Args:
        given: the digest, or the start of it, behind the flag `--consent`; empty where the flag stands alone, which is
            a wish to be asked; None without the flag.
        ask: asks the person; by default on a terminal only.

    Raises:
        SettingsError: `given` is no digest.
        ConsentError: it is another study's; or something is revealed and nobody consented. Nothing was sent.
    """
    if given:
        _check_digest(session, given)
    open_ = [item for item in who_learns_what(session.study) if in_the_clear(item)]
    if not open_ or store.meta(KEY) == session.digest:
        return
    if ask is None and sys.stdin.isatty() and sys.stderr.isatty():
        ask = confirmed
    if not given and (ask is None or not ask(question(session, open_))):
        raise ConsentError(
            f"{question(session, open_)}\nnot consented, so nothing was sent: read `secure-gal check {session.file}`, then "
            f"run: secure-gal assist {session.file} --consent {session.digest[:LEAST_DIGITS]}"
        )
    store.set_meta(KEY, session.digest)


def _check_digest(session: Session, given: str) -> None:
    """What was consented to must be this study, whether consent is still needed or not."""
    if not _DIGITS.fullmatch(given.lower()):
        accepted = (
            f"accepted: the first {LEAST_DIGITS} to 64 hexadecimal digits of the digest that `secure-gal check` prints"
        )
        raise SettingsError("--consent", f"{given[:80]!r}; {accepted}")
    if not session.digest.startswith(given.lower()):
        raise ConsentError(
            f"--consent is to the study {given}, and this study's digest is {session.digest}: nothing was sent; read "
            f"`secure-gal check {session.file}` again before you consent to that"
        )


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
