"""What every command that joins a study loads first: settings, keys, pins, digest, run directory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from crypto.identity import Card, Identity
from parties.run.keys import Pins, load_identity
from secure_gal import __version__
from secure_gal.errors import SettingsError
from secure_gal.settings.digest import VERSION
from secure_gal.settings.load import load_party
from secure_gal.settings.party import PartySettings
from secure_gal.settings.study import Study

if TYPE_CHECKING:  # what runs a study is imported by the command that runs one: `check` has a second in all
    from parties.run.budget import DataBudget
    from parties.run.certifier import Certifier
    from parties.run.exchange import Role
    from parties.run.node import Node
    from parties.run.store import RunStore
    from parties.run.traffic import Traffic
    from secure_gal.holdings.party import PartyHolding


@dataclass(frozen=True, slots=True)
class Session:
    """One party's view of a study, checked."""

    file: Path
    party: PartySettings
    study: Study
    identity: Identity
    cards: dict[str, Card]
    fingerprints: dict[str, str]
    digest: str
    canonical: bytes

    @property
    def folder(self) -> Path:
        """Of the party's file: where its own modules are looked up first."""
        return self.file.resolve().parent


def open_session(file: Path) -> Session:
    """Load and check everything that can be checked offline, the data excepted.

    Raises:
        SettingsError: naming the field or file and the fix; above all an unpinned party.
    """
    party, study = load_party(file)
    identity = load_identity(party.home, party.party)
    pins = Pins(party.home)
    pinned = pins.all()
    missing = [name for name in study.parties if name != party.party and name not in pinned]
    if missing:
        fix = "; ".join(f"secure-gal trust {name}.card --home {party.home}" for name in missing)
        raise SettingsError(
            str(party.home), f"no pinned card of {', '.join(missing)}; every party pins every other's: {fix}"
        )
    cards = {name: identity.card if name == party.party else pinned[name] for name in study.parties}
    fingerprints = {name: card.fingerprint for name, card in cards.items()}
    return Session(
        file, party, study, identity, cards, fingerprints, study.digest(fingerprints), study.canonical(fingerprints)
    )


def open_store(session: Session) -> RunStore:
    """Open and lock the run directory; another study's is refused once that study's run has begun.

    Raises:
        EnvironmentFailure: it cannot be used, or this process may not open as many files as the study needs.
        SettingsError: it is another study's, or holds other things than a run.
    """
    from parties.run.limits import require_open_files
    from parties.run.store import RunStore, refuse_other_things

    require_open_files(session.study)
    refuse_other_things(session.party.run_dir)
    store = RunStore(session.party.run_dir)
    if store.meta("digest") == session.digest:
        return store
    if store.meta("digest") and store.begun:
        why = _another_run(session, store)
        store.close()
        raise SettingsError("run_dir", f"{session.party.run_dir} {why}")
    if store.meta("digest"):
        store.reset()
    for key, value in (("release", __version__), ("version", str(VERSION)), ("digest", session.digest)):
        store.set_meta(key, value)
    return store


def _another_run(session: Session, store: RunStore) -> str:
    """Why a run that has begun cannot go on here, and what can be done."""
    from parties.run.store import ends_there

    began, version = store.meta("release"), store.meta("version")
    if version != str(VERSION):
        return (
            f"holds a run that began with secure-gal {began} (a study of version {version}); this is secure-gal "
            f"{__version__} (version {VERSION}). {ends_there(began)}"
        )
    return (
        f"holds a run of another study or other keys (digest {store.meta('digest')[:16]}..., this one is "
        f"{session.digest[:16]}...); restore study.toml and the cards as they were, or use another run_dir"
    )


def open_node(session: Session, store: RunStore, role: Role, traffic: Traffic) -> tuple[Node, Certifier]:
    """This party's end of all links, with its ledger and certificates."""
    from parties.commands.consent import write_down
    from parties.run.archive import Archive
    from parties.run.certifier import Certifier
    from parties.run.codec import Codec
    from parties.run.node import Node
    from transport.ledger import Ledger

    study, cards, identity = session.study, session.cards, session.identity
    ledger = Ledger.open(store.path, identity, session.canonical, session.digest, cards.values(), store)
    write_down(session, store, ledger)
    certifier = Certifier(study, session.digest, identity, cards, role.state, lambda: ledger.head, lambda: role.run)
    archive = Archive(store.path, identity) if session.party.audit.archive else None
    codec = Codec(identity, cards, session.digest)
    return Node(role, store, codec, traffic.count, ledger, certifier, archive), certifier


def admit(session: Session, store: RunStore, model: PartyHolding) -> list[str]:
    """Look at this party's data before it goes online.

    Returns:
        What a person should know, in words.

    Raises:
        DataError: nothing could be learned from it (`secure_gal.holdings.check`).
        SettingsError: a resumed run finds another table than it began with, or a prediction a column less.
    """
    from parties.run.learnt_from import refuse_schema, remember_or_refuse
    from secure_gal.holdings.check import check_data, check_size

    if store.value("phase") == b"serving":  # predictions are made from the table as it is
        check_size(model.table, session.study)
        return refuse_schema(session, store, model.table)
    check_data(model.table, session.party, session.study)
    remember_or_refuse(session, store, model.table)
    return []


def check_same_budget(store: RunStore, budget: DataBudget) -> None:
    """A resumed run must find the file that it began to count in."""
    before = store.meta("budget")
    if before and before != budget.id and store.begun:
        raise SettingsError(
            str(budget.path),
            "is not the file that this run began to count in; put that one back, or start "
            "anew with an empty run_dir on every side",
        )
    store.set_meta("budget", budget.id)
