"""`audit verify` shows what was consented to and which limits were gone beyond, and finds forgeries of it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from parties.audit.ledger import verify_ledger
from parties.audit.views import Filter, agreements, as_json, read_contents
from secure_gal.settings.study import Protect
from tests.support.ledger_forger import forge
from tests.support.ledger_study import LedgerStudy, study
from transport.ledger_entries import LedgerError

SUMS = Protect(ids="clear", predictions="sum")


@pytest.fixture
def agreed(tmp_path: Path) -> LedgerStudy:
    """A study of sums whose lab consented and went beyond a limit, twice."""
    made = LedgerStudy(tmp_path, msgspec.structs.replace(study(), protect=SUMS))
    made.agree()
    ledger = made.ledgers["lab"]
    for row in (ledger.consent(), ledger.beyond("sums", 0.1, 2.5), ledger.beyond("sums", 0.1, 0.3)):
        made.log("lab", row)
    return made


def test_consent_and_limits_that_were_gone_beyond_are_shown(agreed: LedgerStudy) -> None:
    assert verify_ledger(agreed.path("lab")).beyond == {"sums": 2.5}
    assert verify_ledger(agreed.path("insurer")).beyond == {}
    _, contents = read_contents(agreed.path("lab"), Filter(round=99))
    lines = agreements(contents)
    assert [line.partition(": ")[2] for line in lines] == [
        "consented to the study",
        "went beyond the limit sums of 0.1, up to 2.5",
        "went beyond the limit sums of 0.1, up to 0.3",
    ]
    assert as_json(contents)["agreed"][1]["stated"] == 2.5  # type: ignore[index]


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        (b'"limit":"sums"', b'"limit":"more"', "a limit 'more' of 0.1, which lab has not in this study"),
        (b'"usual":0.1', b'"usual":2.4', "a limit 'sums' of 2.4, which lab has not"),
        (b'"stated":2.5', b'"stated":0.1', "0.1 is not beyond the limit of 0.1"),
        (b'"stated":2.5', b'"stated":1e300', "above 1e"),
        (b'"stated":2.5', b'"stated":"2.5"', "not an entry"),
        (b'"stated":2.5', b'"stated":null', "not an entry"),
        (b'"entry":"consent"', b'"entry":"consent","more":1', "not an entry|not written canonically"),
    ],
)
def test_a_limit_that_cannot_have_been_gone_beyond(agreed: LedgerStudy, old: bytes, new: bytes, rule: str) -> None:
    with pytest.raises(LedgerError, match=rule):
        verify_ledger(forge(agreed, "lab", lambda lines: [line.replace(old, new, 1) for line in lines]))


def test_consent_is_an_assistors_to_this_study(agreed: LedgerStudy) -> None:
    digest = agreed.digest.encode()
    other = digest.replace(digest[:1], b"e" if digest[:1] != b"e" else b"f")

    def change(lines: list[bytes]) -> list[bytes]:
        return [line.replace(digest, other) if b'"entry":"consent"' in line else line for line in lines]

    with pytest.raises(LedgerError, match="is no assistor's consent to this study"):
        verify_ledger(forge(agreed, "lab", change))
    for row in (agreed.ledgers["hospital"].consent(), agreed.ledgers["hospital"].beyond("sums", 0.1, 2.5)):
        agreed.log("hospital", row)
    with pytest.raises(LedgerError, match="is no assistor's consent"):
        verify_ledger(agreed.path("hospital"))
