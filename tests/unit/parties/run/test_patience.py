"""How long the sponsor waits, by an injected clock."""

from __future__ import annotations

import io

import pytest

from parties.run.patience import REMIND_SECONDS, Patience
from parties.run.progress import Progress
from secure_gal.errors import Paused


def test_a_needed_party_that_stays_away_ends_the_study_resumably() -> None:
    now, shown = [0.0], io.StringIO()
    patience = Patience(600.0, Progress(stream=shown), "hospital.toml", "train", lambda: now[0])
    patience.check(["lab", "insurer"], {"insurer"}, at_work=False)
    assert "waiting for lab (up to 600 s more)" in shown.getvalue()
    now[0] = 599.0
    patience.check(["lab", "insurer"], {"insurer"}, at_work=False)
    now[0] = 600.0
    with pytest.raises(Paused, match=r"lab did not come within 600 s.*secure-gal train hospital\.toml"):
        patience.check(["lab", "insurer"], {"insurer"}, at_work=True)


def test_coming_back_starts_the_wait_anew_and_busy_parties_are_waited_for() -> None:
    now = [0.0]
    patience = Patience(10.0, Progress(stream=io.StringIO()), "h.toml", "train", lambda: now[0])
    for now[0], attached in ((0.0, set()), (9.0, {"lab"}), (18.0, set()), (27.0, set())):
        patience.check(["lab"], attached, at_work=bool(attached))
    now[0] = 28.0
    with pytest.raises(Paused):
        patience.check(["lab"], set(), at_work=False)
    for now[0] in (100.0, 1000.0, 10_000.0):
        patience.check(["lab"], {"lab"}, at_work=True)


def test_a_connected_party_that_does_nothing_is_not_waited_for_for_ever() -> None:
    now = [0.0]
    patience = Patience(10.0, Progress(stream=io.StringIO()), "h.toml", "train", lambda: now[0])
    for now[0], at_work in ((0.0, False), (9.0, False), (9.5, True), (19.0, False)):
        patience.check(["lab", "insurer"], {"lab", "insurer"}, at_work=at_work)
    now[0] = 29.0
    with pytest.raises(Paused, match=r"insurer, lab: connected.*nobody computes.*secure-gal train h\.toml"):
        patience.check(["lab", "insurer"], {"lab", "insurer"}, at_work=False)


def test_a_line_that_breaks_now_and_then_does_not_hide_a_standstill() -> None:
    now = [0.0]
    patience = Patience(10.0, Progress(stream=io.StringIO()), "h.toml", "train", lambda: now[0])
    with pytest.raises(Paused, match="connected, but for 10 s nothing came"):
        for now[0] in map(float, range(100)):
            patience.check(["lab"], set() if now[0] % 5 == 0 else {"lab"}, at_work=False)
    assert now[0] == 13.0


def test_only_who_is_needed_is_waited_for() -> None:
    now = [0.0]
    patience = Patience(10.0, Progress(stream=io.StringIO()), "h.toml", "train", lambda: now[0])
    for now[0], needed in ((0.0, ["lab"]), (9.0, ["lab"]), (18.0, ["insurer"]), (27.0, ["lab"]), (36.0, ["lab"])):
        patience.check(needed, {"lab", "insurer"}, at_work=False)


def test_reminders_are_rare() -> None:
    now, shown = [0.0], io.StringIO()
    patience = Patience(1e6, Progress(stream=shown), "h.toml", "train", lambda: now[0])
    for second in range(int(REMIND_SECONDS) * 2 + 1):
        now[0] = float(second)
        patience.check(["lab"], set(), at_work=False)
    assert shown.getvalue().count("waiting for lab") == 3
