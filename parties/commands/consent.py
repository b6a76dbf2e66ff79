"""Consent to what a study reveals: to one study digest, by a person on a terminal or as `--consent DIGEST`.

It goes beyond no limit: that is stated by the limit's name (`--beyond NAME=NUMBER`, `secure_gal.settings.limits`). Both
are kept for this run directory and written into its ledger.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec
import typer

from parties.run.store import RunStore
from secure_gal.errors import ConsentError, SettingsError
from secure_gal.manifest import who_learns_what
from secure_gal.protection.disclosure import Disclosure, in_the_clear
from secure_gal.settings.limits import limits_of, read_beyond
from transport.ledger import LEDGER, Ledger
from transport.ledger_entries import BeyondEntry, ConsentEntry, decode

if TYPE_CHECKING:
    from parties.run.session import Session

KEY, BEYOND = "consent", "beyond"
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
            f"{question(session, open_)}\nnot consented, so nothing was sent: read `secure-gal check {session.file}`, "
            f"then run: secure-gal assist {session.file} --consent {session.digest[:LEAST_DIGITS]}"
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


def go_beyond(session: Session, store: RunStore, given: Sequence[str]) -> dict[str, float]:
    """The limits that this party goes beyond in this run: those stated now and at earlier starts, with their numbers.

    Args:
        given: what stands behind each flag `--beyond`.

    Raises:
        SettingsError: as `read_beyond`; nothing was changed.
    """
    found = _beyond(store) | read_beyond(given, limits_of(session.study, session.party.party))
    store.set_meta(BEYOND, msgspec.json.encode(found).decode())
    return found


def _beyond(store: RunStore) -> dict[str, float]:
    return msgspec.json.decode(store.meta(BEYOND) or "{}", type=dict[str, float])


def write_down(session: Session, store: RunStore, ledger: Ledger) -> None:
    """Bring into the ledger what was consented to, and every number that it does not say yet.

    Raises:
        EnvironmentFailure: it cannot be written; nothing may be sent.
    """
    starts = (b'{"entry":"consent",', b'{"entry":"beyond-limit",')
    said = [decode(line, LEDGER, None) for line in store.ledger_lines() if line.startswith(starts)]
    rows = []
    if store.meta(KEY) == session.digest and not any(isinstance(entry, ConsentEntry) for entry in said):
        rows.append(ledger.consent())
    noted = {entry.limit: entry.stated for entry in said if isinstance(entry, BeyondEntry)}
    limits = limits_of(session.study, session.party.party)
    for name, stated in _beyond(store).items():
        if noted.get(name) != stated:
            rows.append(ledger.beyond(name, limits[name].usual, stated))
    if rows:
        store.commit_ledger(rows)
        ledger.flush()


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
