"""`secure-gal train`: open the one port, run the learning stage, write the results."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from parties.commands.consent import go_beyond
from parties.commands.looks import classes_of
from parties.run.certifier import Certifier
from parties.run.cores import share_cores
from parties.run.loop import Loop, stop_at_once
from parties.run.patience import Patience
from parties.run.progress import Progress
from parties.run.session import Session, admit, open_node, open_session, open_store
from parties.run.store import RunStore
from parties.run.traffic import Traffic
from parties.workers.connect import at_work
from secure_gal import events
from secure_gal.data.align import NoRowsError
from secure_gal.errors import DataError, Paused, SettingsError
from secure_gal.holdings.roles import Context, SponsorHolding
from secure_gal.protection import sponsor_data
from secure_gal.protocol import roles
from secure_gal.protocol.agreement import NONCE_BYTES
from secure_gal.protocol.settled import Settled
from secure_gal.protocol.sponsor import Sponsor
from secure_gal.protocol.sponsor_records import SponsorRecords
from secure_gal.settings.limits import LABELS, Beyond
from secure_gal.state import State

if TYPE_CHECKING:
    from secure_gal.holdings.sponsor import SponsorData
    from transport.sponsor_socket import SponsorSocket


def require_sponsor(session: Session) -> None:
    """Refuse an assistor's file."""
    if session.party.party != session.study.sponsor:
        raise SettingsError(str(session.file), "this is an assistor's file; an assistor runs `secure-gal assist`")


NO_GAIN = 8
"""Exit code of `--require-gain` where the study is not shown to be better than the sponsor alone."""


def train(party_file: Path, *, beyond: Sequence[str] = (), json: bool = False, require_gain: bool = False) -> int:
    """Run the learning stage, or go on with one that was interrupted; returns the exit code.

    Of a finished one only what is missing is made up for: results that were not written, messages that did not arrive.

    Args:
        beyond: limits to go beyond, NAME=NUMBER each; see `go_beyond`.
        json: one JSON object a line instead of plain lines.
        require_gain: end with NO_GAIN unless the verdict is `better`; results are written all the same.
    """
    session = open_session(party_file)
    share_cores(session.study)
    require_sponsor(session)
    store = open_store(session)
    progress = Progress(json, rounds=session.study.rounds)
    progress.follow_logging()
    try:
        if store.value("phase") == b"finished":
            _settle(session, store, progress)
        else:
            allowed = go_beyond(session, store, beyond)
            with at_work(session.party.learner, session.folder, progress.show):
                _learn(session, store, progress, allowed)
        if not require_gain:
            return 0
        from parties.report.results import gained

        return 0 if gained(store) else NO_GAIN
    finally:
        store.close()


def report(party_file: Path) -> int:
    """Write the results of a finished learning stage that are missing, without going online; returns the exit code."""
    session = open_session(party_file)
    require_sponsor(session)
    store = open_store(session)
    try:
        require_finished(session, store)
        node, _ = open_node(session, store, Settled(State(store.state())), Traffic(store))
        try:
            complete_results(session, store, progress := Progress())
            progress.show(events.ResultsIn(str(session.party.run_dir)))
        finally:
            node.close()
        return 0
    finally:
        store.close()


def require_finished(session: Session, store: RunStore) -> None:
    """Refuse a run directory without a finished learning stage."""
    if store.value("phase") != b"finished":
        raise SettingsError(
            "run_dir", f"{session.party.run_dir} holds no finished learning stage; run: secure-gal train {session.file}"
        )


def complete_results(session: Session, store: RunStore, progress: Progress) -> None:
    """Write results that are missing, and say so where a command finds them missing that is not the one that learnt."""
    from parties.report.results import announce, write_results

    written = write_results(session, store)
    if written:
        announce(store, progress)
        progress.show(events.ResultsCompleted(", ".join(written)))


def _role(session: Session, store: RunStore, model: SponsorHolding) -> Sponsor:
    context = Context(session.study, session.digest, session.canonical, session.identity, session.cards)
    cipher = None
    if session.study.protect.keyed:
        from parties.run.ckks_key import open_cipher

        cipher = open_cipher(session, store)
    return roles.sponsor(context, model, State(store.state()), secrets.token_bytes(NONCE_BYTES), cipher)


def _model(session: Session, progress: Progress, beyond: Beyond) -> SponsorData:
    """The sponsor's data and learner, of the kind that the study's protections ask for."""
    most = int(beyond.get(LABELS, 1))
    return sponsor_data(session.party, session.study, session.folder, progress.warn, most=most)


def _learn(session: Session, store: RunStore, progress: Progress, beyond: Beyond) -> None:
    from parties.report.rounds import Report
    from parties.run.computing import Computing

    stop_at_once()
    began = time.monotonic()
    model = _model(session, progress, beyond)
    admit(session, store, model)
    if classes := classes_of(model.table, session.party, session.study):
        progress.show(events.Classes(classes.in_words()))
        for text in classes.warnings():
            progress.warn(text)
    role = _role(session, store, model)
    traffic = Traffic(store)
    node, certifier = open_node(session, store, role, traffic)
    loop = Loop(node, progress)
    report = Report(session, store, traffic, role, progress, began)
    computing = Computing(store, model, progress)
    loop.on_event, loop.on_computed, loop.on_carried = report.on_event, computing.add, computing.tell
    loop.start()
    socket = go_online(session, loop, progress)
    patience = Patience(session.study.patience_seconds, progress, str(session.file), "train")
    try:
        loop.run(
            lambda: role.phase in ("finished", "unmatched"),
            lambda: patience.check(
                [*role.waiting_for(), *certifier.waiting_for()],
                socket.attached(),
                at_work=loop.worker.busy or socket.active(),
            ),
        )
        if role.phase == "unmatched":
            _end_without_rows(session, loop, certifier, socket)
        report.save_times()
        try:
            _deliver(session, loop, certifier, socket)
        finally:  # also without the last certificate
            loop.stop.end()
            from parties.report.page import REPORT  # and with it jinja2 and the forecast, long after the first round
            from parties.report.results import announce, write_results

            write_results(session, store)
            announce(store, progress)
            progress.show(events.ReportWritten(str(store.path / REPORT)))
    finally:
        socket.close()
        node.close()


def go_online(session: Session, loop: Loop, progress: Progress) -> SponsorSocket:
    """Open the study's one port."""
    from transport.sponsor_socket import SponsorSocket

    assert session.party.bind is not None  # noqa: S101  (checked by load_party)
    others = {name: session.cards[name] for name in session.study.assistors}
    socket = SponsorSocket(session.identity, others, session.party.bind, progress.transport)
    progress.show(events.Listening(session.party.bind))
    loop.online(socket)
    return socket


def _settle(session: Session, store: RunStore, progress: Progress) -> None:
    """Of a finished learning stage: results that are missing, messages and certificates that died with the process."""
    node, certifier = open_node(session, store, Settled(State(store.state())), Traffic(store))
    try:
        progress.show(events.AlreadyLearned(str(session.party.run_dir)))
        complete_results(session, store, progress)
        late = any(not node.idle(name) for name in session.study.assistors)
        if (late or certifier.pending) and not store.value("batch/ids"):  # what an open batch asks `predict` delivers
            loop = Loop(node, progress)
            loop.start()
            with closing(go_online(session, loop, progress)) as socket:
                _deliver(session, loop, certifier, socket)
    finally:
        node.close()
    _refuse_another_table(session, store, progress)


def _refuse_another_table(session: Session, store: RunStore, progress: Progress) -> None:
    """Whoever runs `train` on a table that was changed since is not told that it was learnt from.

    Raises:
        SettingsError: says what changed and how to learn again.
    """
    from parties.run.learnt_from import begin_anew, changes
    from secure_gal.data.table import read_table
    from secure_gal.holdings.reading import known_schema

    data, study = session.party.data, session.study
    try:
        table = read_table(data, study.form, schema=known_schema(session.party), task=study.task)
    except DataError as error:
        progress.show(events.NotCompared(str(error)))
        return
    if what := changes(session, store, table):
        raise SettingsError(
            str(data.path),
            f"is not what this finished study was learnt from: {what}. Its results and its "
            f"model stay as they are; to learn again: {begin_anew(session)}",
        )


def _end_without_rows(session: Session, loop: Loop, certifier: Certifier, socket: SponsorSocket) -> NoReturn:
    """Tell every assistor that the study is over before the sponsor's person is told why: NoRowsError."""
    _deliver(session, loop, certifier, socket)
    raise NoRowsError("alignment", SponsorRecords(loop.node.role.state).unmatched.get())


def _deliver(session: Session, loop: Loop, certifier: Certifier, socket: SponsorSocket) -> None:
    """Stay online until every assistor has all that was sent to it, the last certificate above all.

    Raises:
        Paused: an assistor stays away whose signature a certificate lacks.
    """
    patience = Patience(session.study.patience_seconds, loop.progress, str(session.file), "train")

    def lacking() -> list[str]:
        return [name for name in session.study.assistors if not loop.node.idle(name)]

    try:
        loop.run(
            lambda: not certifier.pending and not lacking(),
            lambda: patience.check(
                [*certifier.waiting_for(), *lacking()], socket.attached(), at_work=loop.worker.busy or socket.active()
            ),
        )
    except Paused:
        if certifier.pending or loop.stop.asked:
            raise
        loop.progress.show(events.Undelivered(", ".join(lacking())))
