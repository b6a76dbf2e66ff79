"""`secure-gal assist`: dial out, serve learning and prediction until stopped."""

from __future__ import annotations

import secrets
from pathlib import Path

from parties.loop import Loop
from parties.node import Codec, Node
from parties.progress import Progress
from parties.session import check_same_ids, open_session, open_store
from parties.traffic import Traffic
from secure_gal.agreement import NONCE_BYTES
from secure_gal.effects import Note, State
from secure_gal.errors import Paused
from secure_gal.protocol_assistor import AssistorContext, AssistorProtocol


def assist(party_file: Path, *, once: bool = False, json: bool = False) -> int:
    """Run one assistor; returns the exit code.

    Args:
        party_file: the assistor's own TOML file.
        once: end when the learning stage has ended, instead of serving predictions.
        json: one JSON object a line instead of plain lines.
    """
    session = open_session(party_file)
    if session.party.party == session.study.sponsor:
        from secure_gal.errors import SettingsError

        raise SettingsError(str(party_file), "this is the sponsor's file; the sponsor runs `secure-gal train`")
    store = open_store(session)
    try:
        return _serve(session, store, once, Progress(json, rounds=session.study.rounds))
    finally:
        store.close()


def _serve(session, store, once, progress) -> int:  # type: ignore[no-untyped-def]
    from secure_gal.party_model import AssistorData
    from transport.curve import AssistorSocket

    model = AssistorData(session.party, session.study, session.file.resolve().parent,
                         lambda text: progress.note(Note("warning", {"text": text})))  # fmt: skip
    check_same_ids(store, model.ids_digest(), session.party.data.path)
    context = AssistorContext(session.study, session.digest, session.canonical, session.identity, session.cards,
                              session.party.max_rows)  # fmt: skip
    role = AssistorProtocol(context, model, State(store.state()), secrets.token_bytes(NONCE_BYTES))
    traffic = Traffic(store)
    node = Node(role, store, Codec(session.identity, session.cards, session.digest), traffic.count)
    loop = Loop(node, progress)
    loop.start()
    sponsor = session.study.sponsor
    address = session.party.address or session.study.address
    socket = AssistorSocket(session.identity, session.cards[sponsor], address, session.party.proxy, progress.log)
    progress.note(Note("dialling", {"address": address}))
    loop.online(socket)

    def finished() -> bool:
        traffic.save()
        return once and role.phase == "serving" and (node.idle(sponsor) or not socket.attached())

    try:
        loop.run(finished)
    except Paused:
        if role.phase != "serving":
            raise
    finally:
        socket.close()
    return 0
