"""Parties of unlike releases are both told which they run and who must upgrade; a run ends on the one it began with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from crypto.identity import Card
from parties.audit.ledger import verify_ledger
from parties.commands import setup
from parties.commands.assist import assist
from parties.commands.predict import predict
from parties.commands.train import train
from parties.run.node import Node
from parties.run.progress import text_of
from parties.run.session import open_session, open_store
from parties.run.store import RunStore
from secure_gal import __version__ as RELEASE
from secure_gal import events, messages
from secure_gal.effects import Send
from secure_gal.errors import PeerViolation, SettingsError
from secure_gal.holdings.roles import Context
from secure_gal.protocol import agreement, roles
from secure_gal.settings.digest import VERSION
from secure_gal.state import State
from tests.conftest import identity
from tests.support.party_files import Online, offline, party
from tests.support.simulation import MemoryStore, Network
from tests.support.study_in_memory import NAMES, Arrays, context, make_network, make_node, make_party, study
from transport import wire
from transport.ledger_entries import LedgerError

__all__ = ["offline"]  # no port is opened in this file

OLD: dict[str, Any] = json.loads((Path(__file__).parents[3] / "vectors" / "hello-version-1.json").read_text())
"""A `hello` of release 0.1 as it came over the wire, with that study's canonical text and cards."""
BEFORE: dict[str, Any] = json.loads((Path(__file__).parents[3] / "vectors" / "study-version-2.json").read_text())
"""A study as release 0.2.0 read it, whose parties would answer with fitted values under the same words."""


def as_release_0_1_prints(mine: bytes, theirs: str) -> str:
    """What that release says of two readings that differ; kept here as it was."""
    other, here = (msgspec.json.decode(text, type=dict[str, object]) for text in (theirs, mine))
    parts = []
    for key in sorted(here.keys() | other.keys()):
        if here.get(key) != other.get(key):
            parts.append(f"`{key}` is {here.get(key)!r} here and {other.get(key)!r} there"[:400])
    return "; ".join(parts)


def sponsor_of_old_parties(store: MemoryStore) -> Node:
    cards = {name: Card.from_bytes(text.encode()) for name, text in OLD["cards"].items()}
    fixed = context("hospital", study())
    fixed = Context(
        fixed.study, fixed.digest, fixed.canonical, fixed.identity, cards | {"hospital": fixed.identity.card}
    )
    return make_node(roles.sponsor(fixed, Arrays("hospital"), State(store.values), bytes(16)), store, fixed)


def test_a_hello_of_release_0_1_is_answered_and_both_sides_are_told() -> None:
    store = MemoryStore("hospital")
    node = sponsor_of_old_parties(store)
    node.start()
    outcome = node.message("lab", [bytes.fromhex(frame) for frame in OLD["hello"]])
    (event,) = outcome.events
    shown = text_of(event)
    assert f"lab runs secure-gal 0.1, this party secure-gal {RELEASE}" in shown and "lab must upgrade" in shown
    assert node.role.waiting_for() == ["lab", "insurer"], "the study waits for the lab's upgrade"
    ((_, frames),) = store.outbox("lab", 0)
    header = json.loads(frames[0])
    assert (header["version"], header["kind"], header["run"]) == (1, "run-offer", "")
    answer = wire.decode(frames, sender=identity("hospital").card, recipient="lab", limits=wire.Limits()).message
    assert answer.nonces.nonces == {}, "as release 0.1 says that studies differ"
    there = as_release_0_1_prints(OLD["canonical"].encode(), answer.nonces.study)
    assert "`note` is None here and 'the side that shows None here runs secure-gal 0.1 and must upgrade' there" in there
    assert (
        f"`release` is None here and '{RELEASE}' there" in there
        and f"`version` is None here and {VERSION} there" in there
    )


def test_a_sponsor_of_release_0_1_is_named_and_can_print_who_must_upgrade() -> None:
    role = roles.assistor(context("lab", study()), Arrays("lab", 5), State(), bytes(16))
    (hello,) = [effect.message for effect in role.start() if isinstance(effect, Send)]
    there = as_release_0_1_prints(OLD["canonical"].encode(), hello.greeting.study)
    assert "runs secure-gal 0.1 and must upgrade" in there
    before = dict(role.state.rows)
    answer = messages.RunOffer(messages.Nonces({}, OLD["canonical"]))
    with pytest.raises(
        SettingsError, match=r"hospital runs secure-gal 0\.1, this party .* hospital must upgrade; a run"
    ):
        role.receive("hospital", answer)
    assert role.state.rows == before


def changed(text: str, **changes: Any) -> str:
    return json.dumps({**json.loads(text), **changes})


def test_a_release_to_come_is_told_that_this_party_is_behind() -> None:
    mine = agreement.reading(context("hospital", study()).canonical)
    node = make_party("hospital").node
    greeting = messages.Greeting("00" * 16, changed(mine, version=VERSION + 1, release="3.1.0", later=1))
    event, send = node.role.receive("lab", messages.Hello(greeting))
    assert isinstance(event, events.UnlikeRelease) and "lab runs secure-gal 3.1.0" in event.how
    assert "this party must upgrade" in event.how
    assert isinstance(send, Send) and isinstance(send.message, messages.RunOffer)
    lab = make_party("lab").node
    with pytest.raises(SettingsError, match=r"this party must upgrade"):
        lab.role.receive("hospital", messages.RunOffer(messages.Nonces({}, greeting.study)))


def test_a_study_of_version_2_is_refused_and_both_sides_are_told() -> None:
    theirs = changed(BEFORE["canonical"], release=BEFORE["release"])
    event, send = make_party("hospital").node.role.receive("lab", messages.Hello(messages.Greeting("00" * 16, theirs)))
    assert isinstance(event, events.UnlikeRelease)
    assert "lab runs secure-gal 0.2.0" in event.how and "lab must upgrade" in event.how
    assert isinstance(send, Send) and isinstance(send.message, messages.RunOffer) and not send.message.nonces.nonces
    offered = agreement.read("hospital", send.message.nonces.study)
    assert (offered.release, offered.version) == (RELEASE, VERSION), "from which 0.2.0 says that it must upgrade"
    lab = make_party("lab").node
    with pytest.raises(SettingsError, match=r"hospital runs secure-gal 0\.2\.0, .* hospital must upgrade; a run"):
        lab.role.receive("hospital", messages.RunOffer(messages.Nonces({}, theirs)))


def test_unlike_releases_that_read_the_same_study_are_told_and_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agreement, "__version__", "0.2.7")
    lab = make_party("lab")
    (hello,) = [
        wire.decode(frames, sender=identity("lab").card, recipient="hospital", limits=wire.Limits())
        for _, frames in lab.store.outbox("hospital", 0)
    ]
    monkeypatch.setattr(agreement, "__version__", RELEASE)
    unlike, greeted = make_party("hospital").node.role.receive("lab", hello.message)
    assert isinstance(unlike, events.UnlikeRelease) and greeted == events.Greeted("lab")
    assert unlike.how == f"lab runs secure-gal 0.2.7, this party secure-gal {RELEASE}"
    nonces = {name: "00" * 16 for name in NAMES} | {"lab": lab.store.values["nonce"].decode()}
    effects = lab.node.role.receive(
        "hospital", messages.RunOffer(messages.Nonces(nonces, hello.message.greeting.study))
    )
    assert [type(effect) for effect in effects] == [events.UnlikeRelease, Send]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '{"a":' * 100_000,
        '{"release":1}',
        '{"release":"\\u001b[31m"}',
        '{"release":"' + "9" * 33 + '"}',
        '{"version":true}',
        '{"version":0}',
        '{"version":"2"}',
        '{"version":1e9}',
        '{"version":' + "9" * 40 + "}",
    ],
)
def test_a_study_that_cannot_be_read_is_the_peers_violation(text: str) -> None:
    node = make_party("hospital").node
    with pytest.raises(PeerViolation, match=r"lab .* its study"):
        node.role.receive("lab", messages.Hello(messages.Greeting("00" * 16, text)))
    assert node.role.state.take_changes() == {}
    lab = make_party("lab").node
    with pytest.raises(PeerViolation, match=r"hospital .* its study"):
        lab.role.receive("hospital", messages.RunOffer(messages.Nonces({}, text)))


def test_the_same_release_is_not_mentioned() -> None:
    network = make_network()
    noted: list[type] = []
    carry = Network.carry

    def listen(self: Network, party: Any, outcome: Any) -> None:
        noted.extend(type(event) for event in outcome.events)
        carry(self, party, outcome)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Network, "carry", listen)
        network.run()
    assert events.Greeted in noted and events.UnlikeRelease not in noted


# a run ends on the release that it began with


def of_release_0_1(folder: Path, name: str) -> Path:
    """A run directory as that release left it: a format and digest of its own, and nothing of releases or versions."""
    file = party(folder, name, label=None) if name == "lab" else party(folder)
    store = open_store(open_session(file))
    store._run([("DELETE FROM meta WHERE key IN ('release', 'version')", ())])
    store.set_meta("digest", OLD["digest"])
    store._db.execute("PRAGMA user_version=3")
    store.close()
    return file


@pytest.mark.parametrize("name", ["hospital", "lab"])
def test_a_run_of_release_0_1_is_refused_with_both_ways_out(name: str, tmp_path: Path) -> None:
    file = of_release_0_1(tmp_path, name)
    before, out = (tmp_path / "run" / "run.db").read_bytes(), tmp_path / "out.csv"
    commands: list[Any] = [lambda: train(file), lambda: predict(file, tmp_path / "hospital.csv", out)]
    rule = r"began with secure-gal 0\.1.*finish it, .* with secure-gal 0\.1 at every party; or begin anew with this re"
    for command in commands if name == "hospital" else [lambda: assist(file, consent=open_session(file).digest)]:
        with pytest.raises(SettingsError, match=rule) as error:
            command()
        assert error.value.exit_code == 2
    assert (tmp_path / "run" / "run.db").read_bytes() == before


def test_a_run_that_never_began_is_taken_over(tmp_path: Path) -> None:
    file = party(tmp_path, "lab", label=None)
    store = open_store(open_session(file))
    store.set_meta("version", str(VERSION - 1)), store.set_meta("release", "0.1.9"), store.set_meta("digest", "ab" * 32)
    store.close()
    with pytest.raises(Online):
        assist(file, consent=open_session(file).digest)
    store = RunStore(tmp_path / "run")
    assert [store.meta(k) for k in ("digest", "release")] == [open_session(file).digest, RELEASE]
    store.close()


def test_a_run_of_this_release_names_it(tmp_path: Path) -> None:
    file = party(tmp_path)
    store = open_store(open_session(file))
    store.commit({"rows": b"x"}, {}, [])
    assert (store.meta("release"), store.meta("version")) == (RELEASE, str(VERSION))
    store.set_meta("version", str(VERSION + 1)), store.set_meta("release", "3.1.0"), store.set_meta("digest", "ab" * 32)
    store.close()
    with pytest.raises(SettingsError, match=r"began with secure-gal 3\.1\.0 \(a study of version 4\)"):
        open_store(open_session(file))


@pytest.mark.parametrize(
    ("form", "version", "rule"),
    [
        (1, None, r"ledger format 1; this version reads 2: verify it with the one that wrote it, secure-gal 0\.1"),
        (
            2,
            VERSION + 1,
            r"a study of version 4; secure-gal .* reads version 3: verify it with the release that wrote it",
        ),
    ],
)
def test_a_ledger_of_another_release_is_left_to_that_release(
    form: int, version: int | None, rule: str, tmp_path: Path
) -> None:
    cards, study_ = [json.loads(text) for text in OLD["cards"].values()], json.loads(OLD["canonical"])
    opening = {
        "entry": "opening",
        "seq": 1,
        "prev": "",
        "time": "2026-11-28T04:42:00Z",
        "format": form,
        "owner": "lab",
        "digest": OLD["digest"],
        "study": study_ | ({"version": version} if version else {}),
        "cards": cards,
    }
    (tmp_path / "ledger.jsonl").write_bytes(msgspec.json.encode(opening) + b"\n")
    (tmp_path / "ledger.head").write_text("{}")
    with pytest.raises(LedgerError, match=rule):
        verify_ledger(tmp_path / "ledger.jsonl", None)


def test_check_prints_the_release(tmp_path: Path) -> None:
    assert f"version {VERSION}, secure-gal {RELEASE}" in setup.check_party(party(tmp_path))
