"""`secure-gal audit`: evidence of every message. Everything heavy is imported inside the command that needs it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import msgspec

audit_app = typer.Typer(
    name="audit",
    help="Evidence of every message that was sent and received.\n\nA run directory holds ledger.jsonl (one line a "
    "message: signed header, no payload) and ledger.head (its owner's signature over the whole); hand out both "
    "together. They reveal names, times, sizes and salted digests, and no data.\n\nNobody but its owner can change a "
    "ledger, and the owner only behind the last certificate, which all parties signed: `reconcile` with another "
    "party's ledger shows it.\n\nExit codes: 0 verified, 1 not verified (the message names the line), 2 unusable "
    "input.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

REDIRECTED_COLUMNS = 160
"""Width of tables in a file or a pipe, which have none of their own."""
LedgerFile = Annotated[Path, typer.Argument(metavar="LEDGER", help="A ledger.jsonl, its ledger.head beside it.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object, for scripts.")]


@audit_app.command()
def verify(
    ledger: LedgerFile,
    digest: Annotated[
        str, typer.Option("--digest", help="The study digest that `secure-gal check` printed; any study without it.")
    ] = "",
    json: Json = False,
) -> None:
    """Check chain, signatures, order, gaps, certificates, and that no payload was weaker than the manifest says."""
    from parties.audit.ledger import verify_ledger

    with _failure(json):
        verdict = verify_ledger(ledger, digest)
    if json:
        _print_json({"ok": True}, verdict)
        return
    typer.echo(
        f"verified: {verdict.entries:,} lines of {verdict.owner}'s ledger; {verdict.sent:,} messages sent, "
        f"{verdict.received:,} received, all signatures good\n"
        f"study {verdict.study}, digest {verdict.digest}\nrun   {verdict.run or '(none was agreed)'}\n"
        f"{verdict.certificates} certificates; the last one fixes lines 1 to {verdict.certified_entries:,}; "
        f"{verdict.repairs} repairs after a crash noted"
    )
    if verdict.beyond:
        typer.echo(f"{verdict.owner} went beyond limits: {verdict.beyond_in_words()}")


@audit_app.command()
def show(
    ledger: LedgerFile,
    round: Annotated[int | None, typer.Option("--round", help="Only messages of this round.")] = None,
    peer: Annotated[str | None, typer.Option("--peer", help="Only messages to or from this party.")] = None,
    kind: Annotated[str | None, typer.Option("--kind", help="Only this message kind, e.g. residual.")] = None,
    json: Json = False,
) -> None:
    """What left this house and what came in, with totals; with a filter, each message too. Verifies first."""
    from rich.console import Console

    from parties.audit.views import Filter, agreements, as_json, entries_table, inferences, read_contents, totals_table

    chosen = Filter(round, peer, kind)
    with _failure(json):
        verdict, contents = read_contents(ledger, chosen)
    if json:
        _print_json({"ok": True, "owner": verdict.owner, "digest": verdict.digest} | as_json(contents))
        return
    console = Console(width=None if sys.stdout.isatty() else REDIRECTED_COLUMNS, highlight=False)
    console.print(f"{verdict.owner}'s ledger of study {verdict.study} ({verdict.digest}), verified")
    if contents.agreed:
        console.print("\n".join(agreements(contents)), markup=False)
    for direction in ("sent", "received"):
        console.print(totals_table(contents, direction))
        console.print("\n".join(inferences(contents, direction)), markup=False)
    if chosen != Filter():
        console.print(entries_table(contents))


@audit_app.command()
def reconcile(
    ledgers: Annotated[
        list[Path], typer.Argument(metavar="LEDGER...", help="Two or more parties' ledgers of one run.")
    ],
    json: Json = False,
) -> None:
    """Hold parties' ledgers against each other: what was sent was received, same digests, same certificates."""
    from parties.audit.reconcile import reconcile as compare

    with _failure(json):
        agreement = compare(ledgers)
    if json:
        _print_json({"ok": True}, agreement)
        return
    typer.echo(
        f"the ledgers of {', '.join(agreement.owners)} agree: {agreement.matched:,} messages sent and received, "
        f"{agreement.certificates} certificates"
    )
    if agreement.absent:
        typer.echo(f"not compared, no ledger given: {', '.join(agreement.absent)}")
    for line in agreement.tail:
        typer.echo(f"on its way: {line}")


@audit_app.command()
def prove(
    ledger: LedgerFile,
    seq: Annotated[int, typer.Option("--seq", help="The line number, as `audit show` and `audit verify` count.")],
    salt: Annotated[
        bool,
        typer.Option(
            "--salt",
            help="Put the salts in: whoever holds the payload can then show that it is this one, and "
            "whoever can guess it can test guesses. Needs run.db beside the ledger.",
        ),
    ] = False,
    out: Annotated[Path | None, typer.Option("--out", help="Where to write it; entry-N.proof if not given.")] = None,
) -> None:
    """Write a small file with which a third party can check one message offline."""
    from parties.audit.proof import prove as make
    from parties.commands.outputs import PROOF, check_output
    from secure_gal.errors import EnvironmentFailure

    target = out or Path(f"entry-{seq}.proof")
    check_output("--out", target, PROOF)
    data = make(ledger, seq, salt)
    try:
        target.write_bytes(data)
    except OSError as error:
        raise EnvironmentFailure(f"{target} could not be written: {error.strerror}") from error
    typer.echo(f"wrote {target}, {len(data):,} bytes")


@audit_app.command("verify-proof")
def verify_proof(
    proof: Annotated[Path, typer.Argument(metavar="FILE", help="A file that `audit prove` wrote.")],
    card: Annotated[
        list[Path],
        typer.Option("--card", help="Cards you trust: the ledger's owner's and the sender's. Repeat the option."),
    ],
    payload: Annotated[
        list[str] | None,
        typer.Option("--payload", metavar="FIELD=FILE", help="Raw payload bytes that must be those that were signed."),
    ] = None,
    json: Json = False,
) -> None:
    """Check one message offline: who signed it, and that it is in its owner's ledger."""
    from parties.audit.proof import read_payloads
    from parties.audit.proof import verify_proof as check
    from parties.run.keys import read_card

    cards, payloads = [read_card(path) for path in card], read_payloads(payload or [])
    with _failure(json):
        proven = check(proof, cards, payloads)
    if json:
        _print_json({"ok": True}, proven)
        return
    typer.echo(
        f"verified: {proven.sender} signed {proven.kind} to {proven.recipient}, round {proven.round}; it is line "
        f"{proven.seq} of {proven.of} in {proven.owner}'s ledger, {proven.direction} {proven.time} by {proven.owner}'s "
        f"clock\nstudy {proven.study}\nrun   {proven.run or '(before a run was agreed)'}"
    )
    typer.echo(
        f"its place is certified by {', '.join(proven.certified_by)} (signatures checked; give more cards to check "
        f"more)"
        if proven.certified_by
        else f"its place is vouched for by {proven.owner} alone: no certificate covers it"
    )
    for name in proven.payloads:
        typer.echo(f"payload {name}: the bytes that were signed")


@contextmanager
def _failure(json: bool) -> Iterator[None]:
    """A ledger that does not verify is one JSON object with `--json`, and else an error like any other."""
    from transport.ledger_entries import LedgerError

    try:
        yield
    except LedgerError as error:
        if not json:
            raise
        _print_json({"ok": False, "where": error.where, "line": error.line, "rule": error.rule})
        raise typer.Exit(1) from None


def _print_json(head: dict[str, object], body: msgspec.Struct | None = None) -> None:
    import msgspec

    typer.echo(msgspec.json.encode(head | (msgspec.to_builtins(body) if body else {})).decode())


@audit_app.command()
def payload(
    file: Annotated[Path, typer.Argument(metavar="PARTY.toml", help="The party's own settings file.")],
    seq: Annotated[int, typer.Option("--seq", help="Number of the ledger entry.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to write the payload's fields into.")] = Path("payload"),
) -> None:
    """Open one archived message ([audit] archive = true), checked against the ledger's digests."""
    from parties.run.archive import Archive, extract
    from parties.run.session import open_session
    from secure_gal.errors import SettingsError
    from transport.ledger_entries import read_lines

    session = open_session(file)
    lines = read_lines(session.party.run_dir / "ledger.jsonl")
    line = next((line for number, line in enumerate(lines, 1) if number == seq), None)
    if line is None:
        raise SettingsError("--seq", f"{seq}: the ledger has no such entry")
    for path in extract(Archive(session.party.run_dir, session.identity), line, out):
        typer.echo(f"wrote {path}")
