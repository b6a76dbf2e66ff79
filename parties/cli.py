"""The command line. Everything heavy is imported inside the command that needs it."""

from __future__ import annotations

import sys
from json import dumps
from pathlib import Path
from typing import Annotated

import typer

from parties.commands.arguments import Beyond, Home, Json, PartyFile, bare_consent
from parties.commands.audit import audit_app
from parties.run.ending import ON_BROKEN_PIPE, end, explained, guarded
from parties.run.loading import loading
from secure_gal.errors import printable

app = typer.Typer(
    name="secure-gal",
    help="Learn together with organisations that hold other features of the same people: Gradient Assisted Learning "
    "between party processes over mutually authenticated channels.\n\nStart with: secure-gal demo",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

app.add_typer(audit_app, name="audit")


def _version(asked: bool) -> None:
    if asked:
        from secure_gal import __version__

        typer.echo(f"secure-gal {__version__}")
        raise typer.Exit


@app.callback()
def about(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which release.")
    ] = False,
) -> None:
    """What stands before the commands."""


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="The party's name.")],
    role: Annotated[
        str, typer.Option("--role", help="sponsor (has the labels, opens the port) or assistor.")
    ] = "assistor",
) -> None:
    """Write commented settings files to start from: NAME.toml, and study.toml for a sponsor."""
    from parties.commands.setup import new_files

    for path in new_files(name, role, Path.cwd()):
        typer.echo(f"wrote {path}")


@app.command()
def keygen(name: Annotated[str, typer.Argument(help="The party's name.")], home: Home = Path("keys")) -> None:
    """Make this party's keys: HOME/NAME.key stays here, HOME/NAME.card goes to every other party."""
    from parties.commands.setup import keygen as make

    typer.echo(make(name, home))


@app.command()
def trust(
    card: Annotated[Path | None, typer.Argument(help="A card file received from another party.")] = None,
    home: Home = Path("keys"),
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask: the fingerprint was compared already.")] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Accept a changed card of a pinned party.")] = False,
    list_: Annotated[bool, typer.Option("--list", help="Show the pinned cards.")] = False,
    remove: Annotated[str, typer.Option("--remove", metavar="NAME", help="Unpin a party.")] = "",
) -> None:
    """Pin another party's card after comparing its fingerprint over another channel (a telephone, say)."""
    from parties.commands.consent import confirmed
    from parties.commands.setup import describe_pins, trust_card
    from parties.run.keys import Pins

    if list_:
        typer.echo(describe_pins(home))
    elif remove:
        Pins(home).remove(remove)
        typer.echo(f"{remove} is no longer trusted")
    elif card is None:
        raise typer.BadParameter("name a card file, or use --list or --remove NAME")
    else:
        typer.echo(trust_card(card, home, replace, lambda text: yes or confirmed(text)))


@app.command()
def schema(
    file: PartyFile,
    renew: Annotated[
        bool, typer.Option("--renew", help="Decide anew; a model learnt before needs the old one.")
    ] = False,
    export: Annotated[
        Path | None, typer.Option("--export", metavar="FILE.json", help="Write it as a Frictionless Table Schema.")
    ] = None,
    take: Annotated[
        Path | None, typer.Option("--import", metavar="FILE.json", help="Take over a Frictionless Table Schema.")
    ] = None,
) -> None:
    """Show how every column of this party's table is read; written beside PARTY.toml, it holds for all later tables."""
    from parties.commands.schema import schema_of

    text, refused = schema_of(file, renew=renew, export=export, descriptor=take)
    typer.echo(text)
    if refused:
        raise typer.Exit(2)


@app.command()
def check(file: PartyFile) -> None:
    """Validate everything that can be checked without another party; print the manifest and the study digest."""
    from parties.commands.at_hand import at_hand
    from parties.commands.setup import check_party

    party = at_hand(file)
    typer.echo(check_party(file, party))
    from parties.commands.forecast import told

    typer.echo(f"\n{told(party)}")
    from parties.workers.connect import look

    if workers := look(file):
        typer.echo(f"\n{workers}")


@app.command()
def forecast(
    file: PartyFile,
    rows: Annotated[
        int | None, typer.Option("--rows", min=2, help="Rows that all parties have in common, where that is known.")
    ] = None,
    width: Annotated[
        int | None, typer.Option("--width", min=1, help="Columns of the assistors' features, where that is known.")
    ] = None,
    measure: Annotated[
        bool, typer.Option("--measure", help="Measure this machine anew, although it was measured before.")
    ] = False,
) -> None:
    """Tell seconds, bytes by direction and budgets of the study before it begins, from two seconds of own work."""
    from parties.commands.forecast import Known
    from parties.commands.forecast import forecast as tell

    typer.echo(tell(file, Known(rows, width), measure=measure))


@app.command()
def assist(
    file: PartyFile,
    once: Annotated[bool, typer.Option("--once", help="End with the learning stage.")] = False,
    consent: Annotated[
        str | None,
        typer.Option(
            "--consent",
            metavar="DIGEST",
            help="Consent, without being asked, to what the study with this digest reveals (`check` prints both; 16 or "
            "more digits). Alone it asks, on a terminal.",
        ),
    ] = None,
    beyond: Beyond = None,
    json: Json = False,
) -> None:
    """Assistor: dial out, serve learning and prediction until stopped."""
    with loading():
        from parties.commands.assist import assist as run

    raise typer.Exit(guarded(lambda: run(file, once=once, consent=consent, beyond=beyond or (), json=json), file, json))


@app.command()
def train(
    file: PartyFile,
    beyond: Beyond = None,
    json: Json = False,
    require_gain: Annotated[
        bool,
        typer.Option(
            "--require-gain",
            help="End with exit code 8 unless the study is better than the sponsor alone (95% interval above 0).",
        ),
    ] = False,
) -> None:
    """Sponsor: open the one port and run the learning stage, or go on with an interrupted one."""
    with loading():
        from parties.commands.train import train as run

    raise typer.Exit(guarded(lambda: run(file, beyond=beyond or (), json=json, require_gain=require_gain), file, json))


@app.command()
def report(file: PartyFile) -> None:
    """Sponsor: write the results of a finished study that are missing from its run directory."""
    from parties.commands.train import report as run

    raise typer.Exit(guarded(lambda: run(file), file, False))


@app.command()
def predict(
    file: PartyFile,
    ids: Annotated[Path, typer.Option("--ids", help="CSV or Parquet: ids with the sponsor's features, or ids alone.")],
    out: Annotated[Path, typer.Option("--out", help="Where to write the predictions (CSV).")],
    json: Json = False,
) -> None:
    """Sponsor: predict new ids with the assistors' help."""
    with loading():
        from parties.commands.predict import predict as run

    raise typer.Exit(guarded(lambda: run(file, ids, out, json=json), file, json))


@app.command()
def leakage(file: PartyFile, json: Json = False) -> None:
    """Attack this party's own messages: labels from residuals (sponsor), columns from fitted values (assistor).

    Exit code 1 where an attack gains more than the study's leakage_threshold.
    """
    from parties.commands.leakage import as_text, measure

    found = measure(file)
    plain = {"ok": found.ok, "threshold": found.threshold, "findings": found.rows()}
    typer.echo(dumps(plain) if json else as_text(found))
    raise typer.Exit(0 if found.ok else 1)


@app.command()
def drift(
    file: PartyFile,
    table: Annotated[
        Path | None, typer.Argument(metavar="TABLE", help="Another table than the one in PARTY.toml, of its columns.")
    ] = None,
    json: Json = False,
) -> None:
    """Hold this party's table as it is now, or another, against the rows that it learnt from; nothing is sent."""
    from parties.commands.drift import as_json, as_text
    from parties.commands.drift import drift as compare

    held = compare(file, table)
    typer.echo(dumps(as_json(held)) if json else as_text(held))


@app.command()
def importance(file: PartyFile, json: Json = False) -> None:
    """How much this party's part of predictions depends on each of its columns: for its own eyes, nothing is sent."""
    from parties.commands.importance import as_text, measure

    found = measure(file)
    typer.echo(dumps(found) if json else as_text(found))


@app.command()
def doctor(file: PartyFile) -> None:
    """One line a thing that can be wrong on this machine, with the fix."""
    from parties.commands.doctor import examine

    lines, healthy = examine(file)
    typer.echo("\n".join(lines))
    raise typer.Exit(0 if healthy else 2)


@app.command()
def demo(
    dir: Annotated[Path, typer.Option("--dir", help="Where the demo's files are written, and stay.")] = Path("demo"),
    clear: Annotated[
        bool, typer.Option("--clear", help="Only in the clear: the laboratories can read labels.")
    ] = False,
) -> None:
    """A hospital and two laboratories learn together on this machine, in three processes, residuals encrypted."""
    from parties.commands.demo import run

    raise typer.Exit(run(dir, clear))


def main() -> None:
    """Entry point: whatever happens is one message and an exit code, never a traceback."""
    code: object
    try:
        app(args=bare_consent(sys.argv[1:]))
        code = 0
    except SystemExit as asked:
        code = ON_BROKEN_PIPE if isinstance(asked.__context__, BrokenPipeError) else asked.code
    except KeyboardInterrupt:
        code = 130
    except Exception as error:  # a person gets one line, and we a log
        known = explained(error, Path.cwd())
        print(f"error: {printable(str(known), keep=chr(10))}", file=sys.stderr)
        code = known.exit_code
    end(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
