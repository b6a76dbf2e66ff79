"""What a ledger may say, rule by rule, without signatures or files: headers, openings, notes and limits."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from crypto import merkle
from parties.audit.ledger import Checker, signature_bytes
from parties.audit.policy import Policy, is_hex, protection_name, read_opening
from secure_gal.settings.study import Protect, Study
from tests.support.ledger_study import LedgerStudy, study
from transport.ledger_entries import BeyondEntry, ConsentEntry, LedgerError, Opening, PeerRestart, TornTail, decode
from transport.wire import FieldInfo, Header

DIGEST, OTHER, RUN = "ab" * 32, "12" * 32, "cd" * 32
NOW = datetime(2026, 1, 2, tzinfo=UTC)
VALUES = FieldInfo("values", "clear", "<f4", (2, 1), 8, "ef" * 32)
FITTED = Header(1, "fitted", DIGEST, RUN, 1, "lab", "hospital", 4, (VALUES,))
GREETING = FieldInfo("greeting", "public", "json", (), 40, "ef" * 32)
HELLO = Header(1, "hello", DIGEST, "", 0, "lab", "hospital", 1, (GREETING,))
RESIDUAL = (VALUES, FieldInfo("withheld", "clear", "json", (), 3, "ef" * 32))


def problem(header: Header, changes: dict[str, Any], settings: Study | None = None) -> str:
    return Policy(settings or study()).problem(msgspec.structs.replace(header, **changes), DIGEST)


def values(**changes: Any) -> dict[str, Any]:
    return {"fields": (msgspec.structs.replace(VALUES, **changes),)}


@pytest.mark.parametrize(
    ("header", "changes"),
    [
        (FITTED, {}),
        (FITTED, {"round": 0}),
        (FITTED, values(shape=(0, 1), nbytes=0)),
        (FITTED, values(shape=(3, 2), nbytes=24)),
        (HELLO, {}),
        (HELLO, {"study": OTHER}),
        (FITTED, {"kind": "residual", "sender": "hospital", "recipient": "lab", "fields": RESIDUAL}),
    ],
)
def test_what_the_manifest_allows(header: Header, changes: dict[str, Any]) -> None:
    assert problem(header, changes) == ""


@pytest.mark.parametrize(
    ("header", "changes", "rule"),
    [
        (FITTED, {"version": 2}, "protocol version 2; this version reads 1"),
        (FITTED, {"study": OTHER}, "belongs to another study"),
        (HELLO, {"study": "xy" * 32}, "belongs to another study"),
        (HELLO, {"study": OTHER[:62]}, "belongs to another study"),
        (FITTED, {"run": ""}, "carries a run where it must not, or none where it must"),
        (FITTED, {"run": "xy" * 32}, "carries a run where it must not, or none where it must"),
        (FITTED, {"run": RUN + "cd"}, "carries a run where it must not, or none where it must"),
        (HELLO, {"run": RUN}, "carries a run where it must not, or none where it must"),
        (FITTED, {"round": -1}, "has an impossible round"),
        (FITTED, {"kind": "fitting"}, "unknown message kind 'fitting'"),
        (FITTED, {"fields": ()}, "fitted has the fields values and no others"),
        (FITTED, {"fields": (VALUES, VALUES)}, "fitted has the fields values and no others"),
        (FITTED, values(name="value"), "fitted has the fields values and no others"),
        (FITTED, values(protection="public"), "fitted.values must be clear, not 'public'"),
        (FITTED, values(dtype="<f8", nbytes=16), "fitted.values must be <f4 with 2 dimensions"),
        (FITTED, values(shape=(2,)), "fitted.values must be <f4 with 2 dimensions"),
        (FITTED, values(nbytes=7), "fitted.values must be <f4 with 2 dimensions"),
        (FITTED, values(nbytes=9), "fitted.values must be <f4 with 2 dimensions"),
        (FITTED, values(shape=(-2, -1)), "fitted.values must be <f4 with 2 dimensions"),
        (FITTED, values(digest="EF" * 32), "fitted.values must be <f4 with 2 dimensions"),
        (FITTED, values(digest="ef" * 31), "fitted.values must be <f4 with 2 dimensions"),
        (
            HELLO,
            {"fields": (msgspec.structs.replace(GREETING, nbytes=-1),)},
            "hello.greeting must be json with 0 dimensions",
        ),
        (
            FITTED,
            {"sender": "hospital", "recipient": "lab"},
            "fitted from hospital to lab: the manifest has it",
        ),
        (
            FITTED,
            {"kind": "residual", "fields": RESIDUAL},
            "residual from lab to hospital: the manifest has it",
        ),
        (FITTED, {"kind": "ids", "fields": ()}, "ids has the fields"),
    ],
)
def test_what_the_manifest_does_not_allow(header: Header, changes: dict[str, Any], rule: str) -> None:
    assert problem(header, changes).startswith(rule)


def test_data_about_persons_travel_in_listed_messages_alone() -> None:
    encrypted = study("ckks")
    clear = {"kind": "residual", "sender": "hospital", "recipient": "lab", "fields": RESIDUAL}
    assert problem(FITTED, clear, encrypted) == "a study with this manifest has no residual: it would reveal data"
    sealed = FieldInfo("ciphertexts", "ckks", "|u1", (1, 8), 8, "ef" * 32)
    hidden = clear | {"kind": "encrypted-residual", "fields": (sealed,)}
    assert problem(FITTED, hidden, encrypted) == ""
    assert problem(FITTED, hidden).startswith("a study with this manifest has no encrypted-residual")
    assert protection_name(encrypted, "ckks") == "ckks standard" and protection_name(encrypted, "clear") == "clear"


def test_consent_and_limits_are_those_of_the_study_and_the_party() -> None:
    settings = msgspec.structs.replace(study(), protect=Protect(ids="clear", predictions="sum"))
    policy = Policy(settings)

    def opening(owner: str) -> Opening:
        return Opening(1, "", NOW, 2, owner, DIGEST, msgspec.Raw(b"{}"), ())

    def agreed(owner: str, digest: str) -> str:
        return policy.agreed_problem(ConsentEntry(2, "", NOW, digest), opening(owner))

    def beyond(owner: str, limit: str, usual: float, stated: float) -> str:
        return policy.agreed_problem(BeyondEntry(2, "", NOW, limit, usual, stated), opening(owner))

    assert agreed("lab", DIGEST) == ""
    assert agreed("lab", OTHER) == agreed("hospital", DIGEST) == "is no assistor's consent to this study"
    assert beyond("lab", "sums", 0.1, 0.11) == beyond("lab", "own-sums", 0.2, 1e9) == ""
    assert beyond("lab", "tau", 2.0**16, 2.0**16 + 1) == ""
    for owner, limit, usual in (("hospital", "sums", 0.1), ("lab", "labels", 1.0), ("lab", "sums", 0.2)):
        assert "has not in this study" in beyond(owner, limit, usual, 1.0)
    for limit, usual, stated in (("sums", 0.1, 0.1), ("sums", 0.1, 1.1e9), ("tau", 2.0**16, 2.0**16 + 0.5)):
        assert beyond("lab", limit, usual, stated).startswith(f"goes beyond {limit}: ")


@pytest.mark.parametrize(
    ("text", "size", "fits"),
    [("", 0, True), ("0f", 1, True), ("0F", 1, False), ("0g", 1, False), ("0f", 2, False), ("0f0f", 1, False)],
)
def test_hex_is_lower_case_and_of_its_length(text: str, size: int, fits: bool) -> None:
    assert is_hex(text, size) is fits
    assert (
        signature_bytes("ab" * 64) == b"\xab" * 64 and signature_bytes("AB" * 64) == signature_bytes("ab" * 63) == b""
    )


@pytest.fixture
def opening(tmp_path: Path) -> Opening:
    made = LedgerStudy(tmp_path)
    found = decode(made.journals["lab"].rows[0].line, "ledger", 1)
    assert isinstance(found, Opening)
    return found


def test_an_opening_is_of_a_study_with_these_cards(opening: Opening) -> None:
    found, cards = read_opening(opening, "ledger")
    assert found.parties == tuple(cards) == ("hospital", "lab", "insurer")


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        (
            {"format": 1},
            "has ledger format 1; this version reads 2: verify it with the one that wrote it, secure-gal 0.1",
        ),
        ({"format": 3}, "has ledger format 3; this version reads 2: verify it with the one that wrote it$"),
        ({"owner": "stranger"}, "the cards, the owner and the study's parties are not the same"),
        ({"digest": "00" * 32}, "the study digest does not cover this study"),
        ({"cards": ()}, "the cards, the owner and the study's parties are not the same"),
        ({"cards": (msgspec.Raw(b"{}"),)}, "its study or a card cannot be read by this version"),
        ({"study": msgspec.Raw(b'{"version":9}')}, "tells of a study of version 9; secure-gal .* reads version 3"),
        ({"study": msgspec.Raw(b"{}")}, "tells of a study of version 1; secure-gal .* reads version 3"),
        ({"study": msgspec.Raw(b'{"version":3}')}, "its study or a card cannot be read by this version"),
        ({"study": msgspec.Raw(b"[]")}, "its study or a card cannot be read by this version"),
    ],
)
def test_an_opening_that_is_none(opening: Opening, changes: dict[str, Any], rule: str) -> None:
    with pytest.raises(LedgerError, match=f"line 1: {rule}"):
        read_opening(msgspec.structs.replace(opening, **changes), "ledger")


def test_a_study_has_a_name_and_its_cards_are_in_order(opening: Opening) -> None:
    raw = bytes(opening.study)
    assert b'"name":"s"' in raw
    with pytest.raises(LedgerError, match="'S' is no name of a study"):
        read_opening(
            msgspec.structs.replace(opening, study=msgspec.Raw(raw.replace(b'"name":"s"', b'"name":"S"'))), "x"
        )
    with pytest.raises(LedgerError, match="are not the same"):
        read_opening(msgspec.structs.replace(opening, cards=opening.cards[::-1]), "x")


def test_notes_of_repairs_and_new_beginnings_are_possible_ones(opening: Opening) -> None:
    def checked(kind: Any, *fields: Any) -> Checker:
        checker, line = Checker("ledger", opening), msgspec.json.encode(opening)
        checker.extend(line)
        checker.check(kind(2, merkle.leaf_hash(line).hex(), NOW, *fields))
        return checker

    for impossible in ((0, 5), (2, 5), (-1, 5), (1, 0), (1, -1)):
        with pytest.raises(LedgerError, match="line 2: notes an impossible repair"):
            checked(TornTail, *impossible)
    assert checked(TornTail, 1, 1).verdict().repairs == 1
    for nobody in ("lab", "stranger"):
        with pytest.raises(LedgerError, match=f"line 2: '{nobody}' is not a peer"):
            checked(PeerRestart, nobody)
    assert checked(PeerRestart, "hospital").verdict().entries == 1, "an entry counts once its line is there"
    with pytest.raises(LedgerError, match="does not follow from the line before it"):
        Checker("ledger", opening).check(TornTail(2, "ab" * 32, NOW, 1, 1))
