"""`secure-gal train`: open the one port, run the learning stage, write the results."""

from __future__ import annotations

import secrets
import time
from pathlib import Path

from parties.loop import Loop
from parties.node import Codec, Node
from parties.patience import Patience
from parties.progress import Progress
from parties.session import Session, check_same_ids, open_session, open_store
from parties.store import RunStore
from parties.traffic import Traffic
from secure_gal.agreement import NONCE_BYTES
from secure_gal.effects import Note, State
from secure_gal.errors import SettingsError
from secure_gal.protocol_sponsor import SponsorContext, SponsorProtocol


def require_sponsor(session: Session) -> None:
    """Refuse an assistor's file."""
    if session.party.party != session.study.sponsor:
        raise SettingsError(str(session.file), "this is an assistor's file; an assistor runs `secure-gal assist`")


def train(party_file: Path, *, json: bool = False) -> int:
    """Run the learning stage, or go on with one that was interrupted; returns the exit code.

    A finished run is left as it is. Results: `summary.json` and `rounds.csv` in the run directory.
    """
    session = open_session(party_file)
    require_sponsor(session)
    store = open_store(session)
    progress = Progress(json, rounds=session.study.rounds)
    try:
        if store.state().get("phase") == b"finished":
            progress.log(f"this study's learning stage is finished; its results are in {session.party.run_dir}")
            return 0
        return _learn(session, store, progress)
    finally:
        store.close()


def _learn(session: Session, store: RunStore, progress: Progress) -> int:
    from parties.report import Report
    from secure_gal.party_model import SponsorData
    from transport.curve import SponsorSocket

    began = time.monotonic()
    model = SponsorData(session.party, session.study, session.file.resolve().parent,
                        lambda text: progress.note(Note("warning", {"text": text})))  # fmt: skip
    if model.table.labels is None:
        raise SettingsError(str(session.party.data.path), f"has no label column {session.party.data.label!r}")
    check_same_ids(store, model.ids_digest(), session.party.data.path)
    context = SponsorContext(session.study, session.digest, session.canonical, session.identity, session.cards)
    role = SponsorProtocol(context, model, State(store.state()), secrets.token_bytes(NONCE_BYTES))
    traffic = Traffic(store)
    node = Node(role, store, Codec(session.identity, session.cards, session.digest), traffic.count)
    loop = Loop(node, progress)
    report = Report(session, store, traffic, role, progress, began)
    loop.on_note = report.on_note
    loop.start()
    assert session.party.bind is not None  # noqa: S101  (checked by load_party)
    others = {name: session.cards[name] for name in session.study.assistors}
    socket = SponsorSocket(session.identity, others, session.party.bind, progress.log)
    progress.note(Note("listening", {"bind": session.party.bind}))
    loop.online(socket)
    patience = Patience(session.study.patience_seconds, progress, str(session.file), "train")

    def finished() -> bool:
        traffic.save()
        return role.phase == "finished"

    try:
        loop.run(finished, lambda: patience.check(role.waiting_for(), socket.attached()))
        report.finish(loop.worker.seconds)
    finally:
        socket.close()
    return 0
