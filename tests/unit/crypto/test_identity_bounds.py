"""Sizes and modes of keys and cards: the last that is accepted and the first that is not; what is sealed to nobody."""

from __future__ import annotations

import copy
import os
import pickle
from pathlib import Path

import pytest

from crypto.errors import Malformed, Unsuitable
from crypto.identity import Card, Identity
from crypto.sealed_box import OVERHEAD_BYTES, SealingKey, check_key_signature, check_point, key_statement, seal

LAB, OTHER = Identity.generate("lab"), Identity.generate("hospital")
SESSION = bytes(32)


@pytest.mark.parametrize(
    ("name", "signing", "curve"),
    [("Lab", 32, 40), ("lab\n", 32, 40), ("lab", 31, 40), ("lab", 33, 40), ("lab", 32, 39), ("lab", 32, 41)],
)
def test_a_card_has_keys_of_32_and_40_bytes(name: str, signing: int, curve: int) -> None:
    with pytest.raises(Malformed, match="the name or a key has the wrong form"):
        Card(name, bytes(signing), b"a" * curve, bytes(64))


def test_a_card_file_of_4096_bytes_is_read_and_a_longer_one_is_not() -> None:
    raw = LAB.card.to_bytes()
    longest = raw + b" " * (4096 - len(raw))
    with pytest.raises(Malformed, match="is not written canonically"):
        Card.from_bytes(longest)
    with pytest.raises(Malformed, match="is larger than 4096 bytes"):
        Card.from_bytes(longest + b" ")


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        (b'"format":1', b'"format":2', "has card format 2; this version reads 1"),
        (b'"format":1', b'"format":1,"more":1', "is not a card of secure-gal"),
        (b'"signing_key":"', b'"signing_key":"zz', "is not a card of secure-gal"),
        (b'"name":"lab"', b'"name":"lab-b"', "the signature of the card of lab-b does not verify"),
    ],
)
def test_a_card_that_is_none(old: bytes, new: bytes, rule: str) -> None:
    raw = LAB.card.to_bytes()
    assert old in raw
    with pytest.raises(Malformed, match=rule):
        Card.from_bytes(raw.replace(old, new))


def test_a_fingerprint_is_all_of_a_sha_256_in_groups_of_four() -> None:
    parts = LAB.card.fingerprint.split("-")
    assert len(parts) == 16 and all(len(part) == 4 for part in parts)
    assert repr(LAB.card) == f"Card(lab, {'-'.join(parts[:2])}...)" and LAB.card != OTHER.card != "lab"


def test_keys_are_written_into_a_folder_of_their_owners_alone(tmp_path: Path) -> None:
    home = tmp_path / "new" / "keys"
    before = os.umask(0)
    try:
        LAB.save(home)
        OTHER.save(home)
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o7777 for path in [home, *home.iterdir()]}
    assert modes == {
        "keys": 0o700,
        "lab.key": 0o600,
        "lab.card": 0o644,
        "hospital.key": 0o600,
        "hospital.card": 0o644,
    }


@pytest.mark.parametrize("mode", [0o601, 0o602, 0o604, 0o610, 0o620, 0o640])
def test_a_key_file_is_its_owners_alone(tmp_path: Path, mode: int) -> None:
    LAB.save(tmp_path)
    (tmp_path / "lab.key").chmod(mode)
    with pytest.raises(Unsuitable, match=f"has mode {mode:04o}"):
        Identity.load(tmp_path, "lab")
    for fine in (0o600, 0o400):
        (tmp_path / "lab.key").chmod(fine)
        assert Identity.load(tmp_path, "lab").card == LAB.card


def test_no_key_file_is_told_from_a_bad_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Identity.load(tmp_path, "lab")
    LAB.save(tmp_path)
    raw = (tmp_path / "lab.key").read_bytes()
    (tmp_path / "lab.key").write_bytes(raw + b" " * (4096 - len(raw)) + b"?")
    assert Identity.load(tmp_path, "lab").card == LAB.card, "what is behind 4,096 bytes is not read"
    (tmp_path / "lab.key").write_bytes(raw + b" " * (4095 - len(raw)) + b"?")
    with pytest.raises(Unsuitable, match="is not a readable key file"):
        Identity.load(tmp_path, "lab")


@pytest.mark.parametrize("leak", [pickle.dumps, copy.copy, copy.deepcopy])
def test_secret_keys_are_not_copied(leak: object) -> None:
    for secret in (LAB, SealingKey()):
        with pytest.raises(TypeError, match="secret"):
            leak(secret)  # type: ignore[operator]
    assert repr(LAB) == "Identity(lab)" and repr(SealingKey()) == "SealingKey(secret)"


def test_a_sealed_message_is_112_bytes_longer_than_its_payload_and_no_shorter() -> None:
    key = SealingKey()
    for payload in (b"", b"x", bytes(1000)):
        sealed = seal(LAB, key.public, b"about", payload)
        assert len(sealed) == len(payload) + 112 == len(payload) + OVERHEAD_BYTES
        assert key.unseal(sealed, LAB.card, b"about") == payload
    for cut in (0, 31, 32, 111):
        with pytest.raises(Malformed, match="is too short"):
            key.unseal(seal(LAB, key.public, b"about", b"")[:cut], LAB.card, b"about")


def test_a_sealed_message_is_of_its_sender_about_its_subject_and_for_its_key() -> None:
    key = SealingKey()
    sealed = seal(LAB, key.public, b"about", b"payload")
    with pytest.raises(Malformed, match="is not signed by hospital"):
        key.unseal(sealed, OTHER.card, b"about")
    small = bytes(32) + sealed[32:]
    for bad, binding, to in ((sealed, b"else", key), (sealed, b"about", SealingKey()), (small, b"about", key)):
        with pytest.raises(Malformed, match="cannot be unsealed"):
            to.unseal(bad, LAB.card, binding)
    again = SealingKey(key.secret_for_own_disk())
    assert again.public == key.public and again.unseal(sealed, LAB.card, b"about") == b"payload"


def test_a_sealing_key_has_32_bytes_whatever_its_owner_signed() -> None:
    key = SealingKey()
    check_key_signature(LAB.card, SESSION, "sums", key.public, key.announce(LAB, SESSION, "sums"))
    for public in (key.public[:31], key.public + b"\0", b""):
        with pytest.raises(Malformed, match="does not verify"):
            check_key_signature(LAB.card, SESSION, "sums", public, LAB.sign(key_statement(SESSION, "sums", public)))
    check_point(key.public)
    with pytest.raises(Malformed, match="is a point of small order"):
        check_point(bytes(32))
