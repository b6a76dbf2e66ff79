"""What a greeting says of a study, value by value, and how two readings are told apart; ids at their longest."""

from __future__ import annotations

import json

import msgspec
import pytest

from secure_gal import __version__
from secure_gal.data.ids import normalise
from secure_gal.errors import DataError, PeerViolation
from secure_gal.protocol import agreement
from secure_gal.protocol.agreement import Reading, check_nonce, check_signature, differences, read, run_id, unlike
from tests.conftest import identity

DIGEST, RUN = "ab" * 32, "cd" * 32


@pytest.mark.parametrize("nonce", ["", "0" * 31, "0" * 33, "A" * 32, "g" * 32, "é" * 32])
def test_a_nonce_is_32_lower_case_hex_digits(nonce: str) -> None:
    check_nonce("lab", "0123456789abcdef" * 2)
    with pytest.raises(PeerViolation, match="a nonce must be 32 lower-case hex digits"):
        check_nonce("lab", nonce)


def test_a_run_is_of_its_study_and_of_every_nonce() -> None:
    nonces = {"hospital": "0" * 32, "lab": "1" * 32}
    run = run_id(DIGEST, nonces)
    assert len(run) == 64 and run == run_id(DIGEST, dict(reversed(nonces.items())))
    others = [run_id(RUN, nonces), run_id(DIGEST, nonces | {"lab": "2" * 32}), run_id(DIGEST, {"lab": "1" * 32})]
    assert len({run, *others}) == 4


def test_a_run_signature_is_its_owners_over_this_study_and_run() -> None:
    card = identity("lab").card
    good = identity("lab").sign(agreement.statement(DIGEST, RUN)).hex()
    check_signature("hospital", card, DIGEST, RUN, good)
    for digest, run, signature, rule in (
        (RUN, RUN, good, "does not verify"),
        (DIGEST, DIGEST, good, "does not verify"),
        (DIGEST, RUN, good[:-2], "does not verify"),
        (DIGEST, RUN, "", "does not verify"),
        (DIGEST, RUN, "zz", "is not hex"),
        (DIGEST, RUN, good + "0", "is not hex"),
    ):
        with pytest.raises(PeerViolation, match=f"hospital .*the run signature of lab {rule}") as found:
            check_signature("hospital", card, digest, run, signature)
        assert found.value.peer == "hospital"


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "its study is unreadable"),
        ("[]", "its study is unreadable"),
        ("[" * 100_000, "its study is unreadable"),
        ('{"release":7}', "its study names no release"),
        ('{"release":""}', "its study names no release"),
        (json.dumps({"release": "1" * 33}), "its study names no release"),
        ('{"release":"1 0"}', "its study names no release"),
        ('{"version":0}', "its study has no version from 1 to 1000"),
        ('{"version":1001}', "its study has no version from 1 to 1000"),
        ('{"version":true}', "its study has no version from 1 to 1000"),
        ('{"version":1.0}', "its study has no version from 1 to 1000"),
        ('{"version":null}', "its study has no version from 1 to 1000"),
    ],
)
def test_a_greeting_that_is_none(text: str, rule: str) -> None:
    with pytest.raises(PeerViolation, match=rule):
        read("lab", text)


def test_a_greeting_is_the_study_with_a_release_and_a_note_beside_it() -> None:
    canonical = b'{"name":"s","version":3}'
    text = agreement.reading(canonical)
    assert json.loads(text) == {"name": "s", "version": 3, "release": __version__, "note": agreement.NOTE}
    assert read("lab", text) == Reading(canonical, __version__, 3)
    assert read("lab", '{"version":1000,"release":"' + "1" * 32 + '"}').version == 1000
    oldest = read("lab", "{}")
    assert (oldest.version, oldest.canonical) == (1, b"{}") and oldest.release.startswith("0.")


@pytest.mark.parametrize(
    ("version", "release", "says"),
    [
        (3, __version__, ""),
        (3, "9.9", f"lab runs secure-gal 9.9, this party secure-gal {__version__}"),
        (2, "9.9", "of version 2 there and of version 3 here do not go together. lab must upgrade"),
        (4, "9.9", "of version 4 there and of version 3 here do not go together. this party must upgrade"),
    ],
)
def test_who_must_upgrade_is_told(version: int, release: str, says: str) -> None:
    found = unlike("lab", Reading(b"{}", release, version))
    assert found == says if version == 3 else says in found


def test_differences_are_named_by_field_and_cut() -> None:
    mine, theirs = {"a": 1, "b": 2, "d": None}, {"a": 1, "b": 3, "c": "x", "d": None}
    raw = [msgspec.json.encode(body) for body in (mine, theirs)]
    assert differences(*raw) == "`b` is 2 here and 3 there; `c` is None here and 'x' there"
    assert differences(raw[0], raw[0]) == "the texts differ although every field agrees"
    long = msgspec.json.encode({"a": "x" * 1000})
    assert len(differences(raw[0], long).split("; ")[0]) == 400
    many = msgspec.json.encode({f"{i:03d}": "x" * 1000 for i in range(100)})
    assert len(differences(b"{}", many)) == 10_000


@pytest.mark.parametrize("letter", ["x", "é", "€", "😀"])
def test_an_id_has_at_most_1024_bytes(letter: str) -> None:
    longest = letter * (1024 // len(letter.encode()))
    longest += "y" * (1024 - len(longest.encode()))
    assert normalise([["a", longest]], "text", "t.csv") == ["a", longest]
    with pytest.raises(DataError, match="row 2: an id is longer than 1024 bytes"):
        normalise([["a", longest + "y"]], "text", "t.csv")
