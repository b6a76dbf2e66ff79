"""Key files and cards: what is no key, no card or no name is refused in words, and nothing is overwritten."""

from __future__ import annotations

from pathlib import Path

import pytest

from crypto.errors import Malformed, Refused, Unsuitable
from crypto.identity import MAX_CARD_BYTES, Card, Identity


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """With the keys of the lab."""
    Identity.generate("lab").save(tmp_path)
    return tmp_path


def test_what_was_saved_is_what_is_loaded_and_stays(home: Path) -> None:
    loaded, key = Identity.load(home, "lab"), home / "lab.key"
    before = key.read_bytes()
    assert loaded.card == Card.from_bytes((home / "lab.card").read_bytes())
    assert key.stat().st_mode & 0o777 == 0o600, "its owner's alone"
    with pytest.raises(FileExistsError):
        Identity.generate("lab").save(home)
    assert key.read_bytes() == before


def test_equal_cards_are_one_in_a_set(home: Path) -> None:
    raw = (home / "lab.card").read_bytes()
    assert len({Card.from_bytes(raw), Card.from_bytes(raw), Identity.generate("lab").card}) == 2


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        (b"{", b"[", "not a readable key file"),
        (b'"name":"lab"', b'"name":"labs"', "of 'labs'; expected 1 of 'lab'"),
        (b'"format":1', b'"format":2', "key format 2 of 'lab'; expected 1"),
        (b'"signing_secret":"', b'"signing_secret":"00', "no valid signing key"),
        (b'"signing_secret":"', b'"signing_secret":"zz', "no valid signing key"),
    ],
)
def test_a_key_file_that_is_none(home: Path, old: bytes, new: bytes, rule: str) -> None:
    key = home / "lab.key"
    assert old in key.read_bytes()
    key.write_bytes(key.read_bytes().replace(old, new, 1))
    with pytest.raises(Unsuitable, match=rule) as found:
        Identity.load(home, "lab")
    assert str(key) in str(found.value)


def test_a_key_that_others_can_read_is_not_used(home: Path) -> None:
    (home / "lab.key").chmod(0o640)
    with pytest.raises(Unsuitable, match="has mode 0640, so others can read it; chmod 600"):
        Identity.load(home, "lab")


def test_a_card_has_an_end() -> None:
    """Before anything of it is parsed; with white space it would still be JSON."""
    raw = Identity.generate("lab").card.to_bytes()
    with pytest.raises(Malformed, match=f"larger than {MAX_CARD_BYTES} bytes; it is not a card"):
        Card.from_bytes(raw + b" " * (MAX_CARD_BYTES + 1 - len(raw)))


@pytest.mark.parametrize("name", ["", "Lab", "../lab", "a b", "x" * 100])
def test_a_name_that_is_none(name: str) -> None:
    with pytest.raises(Unsuitable, match="name"):
        Identity.generate(name)


def test_a_home_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Refused, match="file/keys: keys could not be written: Not a directory"):
        Identity.generate("lab").save(tmp_path / "file" / "keys")
