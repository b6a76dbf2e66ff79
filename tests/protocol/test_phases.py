"""The one table of the protocol: what is legal when, for every role, phase and kind; and its picture."""

from __future__ import annotations

import pytest

from docs import draw_phases
from secure_gal import protection
from secure_gal.errors import PeerViolation, StateError
from secure_gal.messages import MESSAGES
from secure_gal.phases import CERTIFICATES, JOB, START, Phases, Role, Step
from secure_gal.state import State
from tests.support.certifiers import Bench
from tests.support.hostile_studies import MODES, settings
from tests.support.legal import ASSISTOR, SPONSOR, STALE

PARTIES = ("hospital", "lab", "insurer")


def steps(mode: str, name: str) -> tuple[Step, ...]:
    return protection.table(settings(mode), name)


def role_of(name: str) -> str:
    return "sponsor" if name == "hospital" else "assistor"


def legal(mode: str, name: str) -> dict[str, set[str]]:
    """What the table lets through, by phase."""
    found: dict[str, set[str]] = {}
    for step in steps(mode, name):
        if step.role == role_of(name):
            found.setdefault(step.phase, set()).update({step.kind} - {START, JOB})
    return {phase: kinds for phase, kinds in found.items() if kinds}


@pytest.mark.parametrize("mode", MODES)
def test_the_table_gives_the_answers_that_the_roles_gave_before_there_was_one(mode: str) -> None:
    """`test_every_message.py` tried every message at every moment on the classes that the table replaced."""
    private = MODES[mode].ids == "psi"
    before = {
        p: k | (STALE if private and p != "greeting" and p != "signing" else set()) for p, k in SPONSOR[mode].items()
    }
    found = legal(mode, "hospital")
    for phase in found:
        assert found[phase] <= before[phase], phase
        assert found[phase] >= SPONSOR[mode][phase], phase
    either = {p: legal(mode, "lab").get(p, set()) | legal(mode, "insurer").get(p, set()) for p in ASSISTOR[mode]}
    reached = {step.phase for name in PARTIES[1:] for step in steps(mode, name) if step.role == "assistor"}
    for phase in reached - {"new"}:
        assert either[phase] == ASSISTOR[mode][phase], phase


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", PARTIES)
def test_every_kind_in_every_phase_is_in_the_table_or_refused(mode: str, name: str) -> None:
    allowed = legal(mode, name)
    for phase in {step.phase for step in steps(mode, name)} | {"finished", "serving"}:
        phases = Phases(role_of(name), steps(mode, name), State({"phase": phase.encode()}))  # type: ignore[arg-type]
        assert phases.legal() - {START, JOB} == allowed.get(phase, set())
        for kind in MESSAGES:
            if kind in allowed.get(phase, set()):
                phases.check("lab", kind)
            else:
                with pytest.raises(PeerViolation, match=f"{kind} is not legal while {phase}"):
                    phases.check("lab", kind)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", PARTIES)
def test_every_phase_is_reached_and_left_but_the_last_ones(mode: str, name: str) -> None:
    arrows = [(s.phase, to) for s in steps(mode, name) if s.role == role_of(name) for to in s.to]
    last = {"unmatched", "finished" if name == "hospital" else "serving"}
    reached, left = {to for _, to in arrows} | {"new"}, {at for at, to in arrows if at != to} | last
    assert reached == left, "a phase without a way in or out"


def test_nothing_moves_but_along_the_table() -> None:
    phases = Phases("sponsor", steps("clear", "hospital"), State())
    with pytest.raises(StateError, match="nothing leads from new to learning"):
        phases.enter("learning")
    phases.enter("greeting")
    assert phases.now == "greeting"


def test_kinds_of_the_table_exist() -> None:
    named = {step.kind for mode in MODES for name in PARTIES for step in steps(mode, name)} - {START, JOB}
    assert named == MESSAGES.keys()


@pytest.mark.parametrize(("role", "name"), [("collector", "hospital"), ("witness", "lab")])
def test_certificates_go_round_beside_the_phases_in_the_order_of_the_table(role: Role, name: str) -> None:
    """Every message of theirs in every phase that a certifier passes through, one certificate after the other."""
    bench, passed = Bench(), list[tuple[str, str]]()
    order = bench.certifiers[name].order
    arrows = {(s.phase, s.kind, to) for s in CERTIFICATES if s.role == role and s.kind != START for to in s.to}
    legal_then = {step.phase: {step.kind} - {START} for step in CERTIFICATES if step.role == role}
    while bench.sent:
        was = order.now
        assert order.legal() - {START} == legal_then[was]
        for kind in MESSAGES.keys() - legal_then[was]:
            with pytest.raises(PeerViolation, match=f"{kind} is not legal while {was}"):
                order.check("peer", kind)
        to, kind = bench.sent[0][1], bench.sent[0][2].KIND
        bench.deliver()
        if to == name:
            assert (was, kind, order.now) in arrows
            passed += [(was, order.now)] if order.now != was else []
    left = {(at, to) for at, _, to in arrows if at != to} - {("signing", "asking")}
    assert set(passed) == left, "no second round was due"


def test_the_picture_is_not_stale() -> None:
    assert draw_phases.PAGE.read_text() == draw_phases.page(), "run python -m docs.draw_phases"


def test_a_stale_picture_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draw_phases, "page", lambda: "another table")
    monkeypatch.setattr("sys.argv", ["draw_phases", "--check"])
    with pytest.raises(SystemExit, match="stale"):
        draw_phases.main()
