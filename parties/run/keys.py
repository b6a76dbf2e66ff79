"""Keys and cards in a party's home: its own identity, and the cards of others that it has pinned by name.

Cards travel out of band; there is no CA and no trust on first use.
"""

from __future__ import annotations

import os
from pathlib import Path

from crypto.identity import MAX_CARD_BYTES, Card, Identity
from secure_gal.errors import SettingsError, setting


def make_identity(name: str, home: Path) -> Identity:
    """New keys of a party, saved in its home.

    Raises:
        SettingsError: `name` is none, or a key of that name is already there.
        EnvironmentFailure: they cannot be written.
    """
    try:
        with setting():
            identity = Identity.generate(name)
            identity.save(home)
    except FileExistsError as error:
        raise SettingsError(
            str(error.filename),
            "is already there and is never overwritten; move it away first, "
            "and tell every party that your card changes",
        ) from None
    return identity


def load_identity(home: Path, name: str) -> Identity:
    """A party's keys.

    Raises:
        SettingsError: missing, readable by others than their owner, or of another format.
    """
    path = home / f"{name}.key"
    try:
        with setting(str(path)):
            return Identity.load(home, name)
    except FileNotFoundError:
        raise SettingsError(str(path), f"no such key; make it with: secure-gal keygen {name} --home {home}") from None


def read_card(path: Path) -> Card:
    """A card file; SettingsError when it cannot be read or is none."""
    try:
        with path.open("rb") as file, setting(str(path)):
            return Card.from_bytes(file.read(MAX_CARD_BYTES + 1))
    except OSError as error:
        raise SettingsError(str(path), f"cannot be read: {error.strerror}") from None


class Pins:
    """The cards that this party trusts, one file a name under HOME/pins."""

    def __init__(self, home: Path) -> None:
        self._folder = home / "pins"

    def all(self) -> dict[str, Card]:
        """Every pinned card by name."""
        if not self._folder.is_dir():
            return {}
        return {path.stem: self.get(path.stem) for path in sorted(self._folder.glob("*.card"))}

    def get(self, name: str) -> Card:
        """The pinned card of one party; SettingsError when there is none."""
        path = self._folder / f"{name}.card"
        try:
            with setting(str(path)):
                card = Card.from_bytes(path.read_bytes()[: MAX_CARD_BYTES + 1])
        except FileNotFoundError:
            raise SettingsError(str(path), f"no card of {name} is pinned; secure-gal trust {name}.card") from None
        except OSError as error:
            raise SettingsError(str(path), f"the pinned card of {name} cannot be read: {error.strerror}") from error
        if card.name != name:
            raise SettingsError(str(path), f"is the card of {card.name}, not of {name}")
        return card

    def add(self, card: Card, replace: bool = False) -> None:
        """Pin a card.

        Raises:
            SettingsError: another card of that name is pinned and `replace` was not asked for.
        """
        path = self._folder / f"{card.name}.card"
        if path.exists() and not replace and self.get(card.name) != card:
            raise SettingsError(
                str(path),
                f"another card of {card.name} is pinned; compare fingerprints by another channel, then use --replace",
            )
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        part.write_bytes(card.to_bytes())
        os.replace(part, path)

    def remove(self, name: str) -> None:
        """Unpin a card; SettingsError when there is none."""
        self.get(name)
        (self._folder / f"{name}.card").unlink()
