"""The aggregator's sealing keys: one for all fits of a run, one for the parts of each prediction batch.

A key is made and signed for its purpose, survives a crash in the run directory, and is erased in the step that ends its
purpose: who takes the aggregator's disk later opens nothing that was recorded before (decision 0010).
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np
import numpy.typing as npt

from crypto.errors import Malformed
from crypto.identity import Card
from crypto.sealed_box import SealingKey, check_key_signature, check_point
from secure_gal.errors import PeerViolation, StateError, blamed
from secure_gal.holdings.roles import Context
from secure_gal.messages import Announcement
from secure_gal.state import ERASABLE, RAW, Entries, Entry, State

Bytes = npt.NDArray[np.uint8]
FITTED, PART = "fitted", "part"
"""What is sealed: fits, whose number is the round, and parts, whose number is the batch."""


class Binding(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a sealed message belongs to; authenticated, never sent: both ends must expect the same.

    `about` is whatever else must agree: a digest of the rows that the payload is about.
    """

    study: str
    run: str
    what: str
    number: int
    sender: str
    recipient: str
    about: str

    def to_bytes(self) -> bytes:
        """Canonical."""
        return msgspec.json.encode(self)


class SealingKeys:
    """The aggregator's keys, in its state under `secret/`.

    Args:
        run: the agreed run.
    """

    def __init__(self, context: Context, state: State, run: Callable[[], str]) -> None:
        self._context, self._state, self._run = context, state, run

    def __repr__(self) -> str:
        return "SealingKeys(secret)"

    def announce(self, what: str, number: int) -> tuple[bytes, bytes]:
        """The key for this purpose, made if there is none yet: its public half, and the signature over that."""
        kept, context = self._secret(what, number), self._context
        if not kept.there:
            kept.set(SealingKey().secret_for_own_disk())
        key = SealingKey(kept.get())
        return key.public, key.announce(context.identity, session(context.digest, self._run()), purpose(what, number))

    def unseal(self, what: str, number: int, author: str, about: str, sealed: Bytes) -> bytes:
        """What this author sealed.

        Raises:
            PeerViolation: it cannot be unsealed.
            StateError: the key was erased, or never made.
        """
        kept = self._secret(what, number)
        if not kept.there:
            raise StateError(f"there is no sealing key for {purpose(what, number)}")
        context = self._context
        binding = bind(context, self._run(), what, number, author, about)
        with blamed(context.study.sponsor, f"a message of {author} for {what} {number} about these rows "):
            return SealingKey(kept.get()).unseal(sealed.tobytes(), context.cards[author], binding.to_bytes())

    def erase_fitted(self) -> None:
        """With the step that ends learning."""
        self._secret(FITTED, 0).drop()

    def erase_parts(self, number: int) -> None:
        """Those of this batch and of all before it, with the step that answers it or gives it up."""
        parts = Entries(self._state, f"{ERASABLE}{PART}/", RAW)
        for earlier in map(int, parts.names()):
            if earlier <= number:
                parts.drop(earlier)

    def _secret(self, what: str, number: int) -> Entry[bytes]:
        return Entry(self._state, ERASABLE + (what if what == FITTED else f"{what}/{number}"), RAW)


def bind(context: Context, run: str, what: str, number: int, author: str, about: str) -> Binding:
    """What a message of `author` to the aggregator is bound to."""
    return Binding(context.digest, run, what, number, author, context.study.adder, about)


def purpose(what: str, number: int) -> str:
    """What a key is announced for: all fits of the run, or the parts of one batch."""
    return what if what == FITTED else f"{what} {number}"


def check_part_key(card: Card, digest: str, run: str, number: int, item: Announcement, peer: str) -> bytes:
    """The aggregator's public key for the parts of a batch, 32 bytes.

    Raises:
        PeerViolation: it is not hex, or the owner of `card` did not sign it for this batch; `peer` delivered it.
    """
    try:
        key, signature = bytes.fromhex(item.key), bytes.fromhex(item.signature)
    except ValueError:
        raise PeerViolation(peer, "a sealing key that is not hex") from None
    check_key(card, digest, run, purpose(PART, number), key, signature, peer)
    return key


def check_key(owner: Card, digest: str, run: str, purpose: str, public: bytes, signature: bytes, peer: str) -> None:
    """Refuse a sealing key that its owner has not signed for this purpose in this run; `peer` is who delivered it.

    Raises:
        PeerViolation: wrong length, or the signature does not verify; of the owner, who signed it: a point of small
            order, to which nothing can be sealed.
    """
    try:
        check_key_signature(owner, session(digest, run), purpose, public, signature)
    except Malformed:
        raise PeerViolation(peer, f"a sealing key that {owner.name} did not sign for {purpose} of this run") from None
    with blamed(owner.name, f"its sealing key for {purpose} "):
        check_point(public)


def session(digest: str, run: str) -> bytes:
    """What a sealing key is signed for, 64 bytes; `digest` and `run` are 64 hex digits each."""
    return bytes.fromhex(digest) + bytes.fromhex(run)
