"""Channels to peers: up, down, refused."""

from __future__ import annotations

from secure_gal.events.fact import Fact


class Listening(Fact, frozen=True, tag="listening"):
    """The sponsor's port is open at this address."""

    bind: str


class Dialling(Fact, frozen=True, tag="dialling"):
    """The assistor dials this address."""

    address: str


class Workers(Fact, frozen=True, tag="workers"):
    """The party's own workers do its fits."""

    address: str
    workers: int
    threads: int


class Connected(Fact, frozen=True, tag="attached"):
    """A channel to this peer came up."""

    peer: str


class Disconnected(Fact, frozen=True, tag="lost"):
    """The channel to this peer is gone."""

    peer: str


class Waiting(Fact, frozen=True, tag="waiting"):
    """Parties that are needed are away: their names with ", " between, and the seconds that they have left."""

    names: str
    seconds: float


class Undelivered(Fact, frozen=True, tag="undelivered"):
    """The last messages to these parties (names with ", " between) were not confirmed."""

    names: str


class RefusedPeer(Fact, frozen=True, tag="refused-peer"):
    """What this peer sent is not taken."""

    peer: str
    why: str


class RolledBack(Fact, frozen=True, tag="rolled-back"):
    """This peer's run directory is older than what is known of it here."""

    peer: str


class Transport(Fact, frozen=True, tag="transport"):
    """What a socket says: clients that were refused, attempts to connect."""

    text: str


Connection = (
    Listening
    | Dialling
    | Workers
    | Connected
    | Disconnected
    | Waiting
    | Undelivered
    | RefusedPeer
    | RolledBack
    | Transport
)
