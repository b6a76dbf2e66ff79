"""`secure-gal train`: open the one port, run the learning stage, write the results."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import msgspec

from parties.ckks_key import open_cipher
from parties.consent import go_beyond
from parties.loop import Loop
from parties.patience import Patience
from parties.progress import Progress
from parties.session import Session, admit, open_node, open_session, open_store
from parties.store import RunStore
from parties.traffic import Traffic
from secure_gal.agreement import NONCE_BYTES
from secure_gal.effects import Note, State
from secure_gal.errors import SettingsError
from secure_gal.limits import LABELS, Beyond
from secure_gal.protocol_sponsor import SponsorProtocol
from secure_gal.roles import Context, SponsorModel
from transport.ledger import LEDGER
from transport.ledger_entries import LedgerError

if TYPE_CHECKING:
    from secure_gal.sum_sponsor import SumCipher


def require_sponsor(session: Session) -> None:
    """Refuse an assistor's file."""
    if session.party.party != session.study.sponsor:
        raise SettingsError(str(session.file), "this is an assistor's file; an assistor runs `secure-gal assist`")


def train(party_file: Path, *, beyond: Sequence[str] = (), json: bool = False) -> int:
    """Run the learning stage, or go on with one that was interrupted; returns the exit code.

    A finished run is left as it is. Results: `summary.json` and `rounds.csv` in the run directory.

    Args:
        beyond: limits to go beyond, NAME=NUMBER each; see `go_beyond`.
        json: one JSON object a line instead of plain lines.
    """
    session = open_session(party_file)
    require_sponsor(session)
    store = open_store(session)
    progress = Progress(json, rounds=session.study.rounds)
    progress.follow_logging()
    try:
        if store.value("phase") == b"finished":
            progress.log(f"this study's learning stage is finished; its results are in {session.party.run_dir}")
            return 0
        return _learn(session, store, progress, go_beyond(session, store, beyond))
    finally:
        store.close()


def write_final_report(session: Session, leakage: Sequence[Mapping[str, Any]] | None = None) -> Path:
    """report.html of a finished run, with the verdict on its ledger; returns its path."""
    from parties.audit import verify_ledger
    from parties.report_html import write_report

    try:
        verdict = verify_ledger(session.party.run_dir / LEDGER, session.digest)
        audit = {"ok": True} | msgspec.to_builtins(verdict) | {"beyond": verdict.beyond_in_words()}
    except LedgerError as error:  # the results are there all the same; the report says what is wrong
        audit = {"ok": False, "where": error.where, "line": error.line, "rule": error.rule}
    return write_report(session.party.run_dir, session.study, audit, leakage)


def _role(session: Session, store: RunStore, model: SponsorModel) -> SponsorProtocol:
    context = Context(session.study, session.digest, session.canonical, session.identity, session.cards)
    state, nonce = State(store.state()), secrets.token_bytes(NONCE_BYTES)
    if session.study.protect.summed:
        from secure_gal.sum_sponsor import SumEncryptedSponsor, SumSponsor

        summed = SumEncryptedSponsor if session.study.protect.encrypted else SumSponsor
        return summed(context, model, state, nonce, cast("SumCipher", open_cipher(session, store)))
    if not session.study.protect.encrypted:
        return SponsorProtocol(context, model, state, nonce)
    from secure_gal.encrypted_sponsor import EncryptedSponsor

    cipher = open_cipher(session, store)
    return EncryptedSponsor(context, model, state, nonce, cipher, cipher.params.max_features)


def _learn(session: Session, store: RunStore, progress: Progress, beyond: Beyond) -> int:
    from parties.computing import Computing
    from parties.report import Report
    from secure_gal.party_model import SponsorData
    from secure_gal.privatised_sponsor import PrivatisedSponsorData
    from transport.curve import SponsorSocket

    began = time.monotonic()
    warn = lambda text: progress.note(Note("warning", {"text": text}))  # noqa: E731
    settings = (session.party, session.study, session.file.resolve().parent, warn)
    privatised, labels = session.study.protect.privatised, int(beyond.get(LABELS, 1))
    model = PrivatisedSponsorData(*settings, labels) if privatised else SponsorData(*settings)
    admit(session, store, model)
    role = _role(session, store, model)
    traffic = Traffic(store)
    node, certifier = open_node(session, store, role, traffic)
    loop = Loop(node, progress)
    computing = Computing(store, model, progress)
    report = Report(session, store, traffic, role, progress, began, computing)
    loop.on_note, loop.on_computed = report.on_note, computing.add
    loop.start()
    assert session.party.bind is not None  # noqa: S101  (checked by load_party)
    others = {name: session.cards[name] for name in session.study.assistors}
    socket = SponsorSocket(session.identity, others, session.party.bind, progress.log)
    progress.note(Note("listening", {"bind": session.party.bind}))
    loop.online(socket)
    patience = Patience(session.study.patience_seconds, progress, str(session.file), "train")

    def finished() -> bool:
        traffic.save()
        return role.phase == "finished" and not certifier.pending

    try:
        loop.run(finished, lambda: patience.check([*role.waiting_for(), *certifier.waiting_for()], socket.attached()))
        report.finish()
        progress.log(f"report: {write_final_report(session)}")
    finally:
        socket.close()
        node.close()
    return 0
