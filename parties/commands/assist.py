"""`secure-gal assist`: dial out, serve learning and prediction until stopped."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from parties.commands.consent import go_beyond, require_consent
from parties.run.budget import DataBudget
from parties.run.computing import Computing
from parties.run.cores import share_cores
from parties.run.kept_keys import KeysAtHome
from parties.run.loop import Loop, stop_at_once
from parties.run.patience import Patience
from parties.run.progress import Progress
from parties.run.session import Session, admit, check_same_budget, open_node, open_session, open_store
from parties.run.store import RunStore
from parties.run.traffic import Traffic
from parties.workers.connect import at_work
from secure_gal import events
from secure_gal.data.align import COMPARE, NoRowsError
from secure_gal.errors import Paused
from secure_gal.holdings.roles import AssistorHolding, Context
from secure_gal.protection import assistor_data
from secure_gal.protocol import roles
from secure_gal.protocol.agreement import NONCE_BYTES
from secure_gal.protocol.assistor import Assistor
from secure_gal.settings.limits import Beyond
from secure_gal.state import State

if TYPE_CHECKING:
    from secure_gal.holdings.assistor import AssistorData


UNTOLD = (
    "the sponsor found no rows to learn from: no id that all parties have in common, or an assistor that has none in "
    "common with the sponsor; which party that is, it tells nobody"
)


def assist(
    party_file: Path, *, once: bool = False, consent: str | None = None, beyond: Sequence[str] = (), json: bool = False
) -> int:
    """Run one assistor; returns the exit code.

    Args:
        party_file: the assistor's own TOML file.
        once: end when the learning stage has ended, instead of serving predictions; without the sponsor, which may have
            died before this party got its last certificate, after the study's patience.
        consent: the digest of the study that is consented to, or its start; see `require_consent`.
        beyond: limits to go beyond, NAME=NUMBER each; see `go_beyond`.
        json: one JSON object a line instead of plain lines.
    """
    session = open_session(party_file)
    share_cores(session.study)
    if session.party.party == session.study.sponsor:
        from secure_gal.errors import SettingsError

        raise SettingsError(str(party_file), "this is the sponsor's file; the sponsor runs `secure-gal train`")
    store = open_store(session)
    progress = Progress(json, rounds=session.study.rounds)
    progress.follow_logging()
    try:
        require_consent(session, store, consent)
        allowed = go_beyond(session, store, beyond)
        with at_work(session.party.learner, session.folder, progress.show):
            return _serve(session, store, once, progress, allowed)
    finally:
        store.close()


def _model(session: Session, store: RunStore, progress: Progress, budget: DataBudget) -> AssistorData:
    """This party's data and learner, of the kind that the study's protections ask for; counted in `budget`."""
    model = assistor_data(session.party, session.study, session.folder, progress.warn)
    for text in admit(session, store, model):
        progress.warn(text)
    budget.admit(model.table)
    model.on_read = budget.admit
    check_same_budget(store, budget)
    return model


def _role(
    session: Session,
    store: RunStore,
    model: AssistorHolding,
    beyond: Beyond,
    budget: DataBudget,
    warn: Callable[[str], None],
) -> Assistor:
    context = Context(
        session.study,
        session.digest,
        session.canonical,
        session.identity,
        session.cards,
        session.party.max_rows,
        beyond,
        budget,
        KeysAtHome(session.party.home, session.digest, warn),
    )
    return roles.assistor(context, model, State(store.state()), secrets.token_bytes(NONCE_BYTES))


def _serve(session: Session, store: RunStore, once: bool, progress: Progress, beyond: Beyond) -> int:
    from transport.assistor_socket import AssistorSocket

    stop_at_once()
    budget = DataBudget(session.party.home)
    model = _model(session, store, progress, budget)
    role = _role(session, store, model, beyond, budget, progress.warn)
    node, certifier = open_node(session, store, role, Traffic(store))
    loop = Loop(node, progress)
    computing = Computing(store, model, progress)
    loop.on_computed, loop.on_carried = computing.add, computing.tell
    loop.start()
    sponsor = session.study.sponsor
    address = session.party.address or session.study.address
    socket = AssistorSocket(
        session.identity,
        session.cards[sponsor],
        address,
        session.party.proxy,
        progress.transport,
        busy=lambda: loop.worker.busy,
    )
    progress.show(events.Dialling(address))
    loop.online(socket)

    patience = Patience(session.study.patience_seconds, progress, str(session.file), "assist --once")

    def ending() -> bool:
        return once and role.phase == "serving"

    def finished() -> bool:
        certified = certifier.certified >= role.rounds
        return role.phase == "unmatched" or (ending() and certified and node.idle(sponsor))

    def awaited() -> list[str]:
        return [sponsor] if ending() and not socket.attached() else []

    try:
        loop.run(finished, lambda: patience.check(awaited(), socket.attached(), at_work=loop.worker.busy))
    except Paused:
        if role.phase != "serving" or not loop.stop.asked:
            raise
    finally:
        socket.close()
        node.close()
    if role.phase == "unmatched":
        raise NoRowsError("alignment", f"{UNTOLD}. {COMPARE}")
    return 0
