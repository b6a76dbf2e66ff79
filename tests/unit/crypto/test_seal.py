"""Sealing: opens for its recipient, binding and author alone; every other change is refused."""

from __future__ import annotations

import pickle

import msgspec
import pytest

from crypto.errors import Malformed
from crypto.identity import Identity
from crypto.sealed_box import OVERHEAD_BYTES, SealingKey, seal
from secure_gal.errors import PeerViolation
from secure_gal.protection.sums.sealing import Binding, check_key, session

STUDY, RUN = "ab" * 32, "cd" * 32
BOUND_TO = Binding(STUDY, RUN, "fitted", 3, "lab", "insurer", "rows")
BINDING = BOUND_TO.to_bytes()
KEY = SealingKey()


def test_opens_for_its_recipient(ids: dict[str, Identity]) -> None:
    sealed = seal(ids["lab"], KEY.public, BINDING, b"payload")
    assert len(sealed) == OVERHEAD_BYTES + 7 and b"payload" not in sealed
    again = SealingKey(KEY.secret_for_own_disk())  # after a crash
    assert again.unseal(sealed, ids["lab"].card, BINDING) == b"payload"
    assert seal(ids["lab"], KEY.public, BINDING, b"payload") != sealed, "a fresh key every time"


@pytest.mark.parametrize(
    "change",
    [
        {"study": "00" * 32},
        {"run": "00" * 32},
        {"what": "part"},
        {"number": 4},
        {"sender": "hospital"},
        {"recipient": "hospital"},
        {"about": "other rows"},
    ],
)
def test_every_part_of_the_binding_counts(change: dict[str, object], ids: dict[str, Identity]) -> None:
    sealed = seal(ids["lab"], KEY.public, BINDING, b"payload")
    with pytest.raises(Malformed, match="cannot be unsealed"):
        KEY.unseal(sealed, ids["lab"].card, msgspec.structs.replace(BOUND_TO, **change).to_bytes())


def test_truncated_extended_and_flipped_anywhere_is_refused(ids: dict[str, Identity]) -> None:
    sealed = seal(ids["lab"], KEY.public, BINDING, b"p")
    bad = [sealed[:i] for i in range(len(sealed))] + [sealed + b"\0", bytes(32) + sealed[32:]]
    bad += [sealed[:i] + bytes([sealed[i] ^ 1]) + sealed[i + 1 :] for i in range(len(sealed))]
    for changed in bad:
        with pytest.raises(Malformed):
            KEY.unseal(changed, ids["lab"].card, BINDING)


def test_another_key_and_another_author_are_refused(ids: dict[str, Identity]) -> None:
    with pytest.raises(Malformed, match="cannot be unsealed"):
        SealingKey().unseal(seal(ids["lab"], KEY.public, BINDING, b"p"), ids["lab"].card, BINDING)
    with pytest.raises(Malformed, match="not signed by lab"):  # the sponsor seals in the assistor's name
        KEY.unseal(seal(ids["hospital"], KEY.public, BINDING, b"p"), ids["lab"].card, BINDING)


def test_a_recipient_cannot_pass_a_message_on_as_sealed_to_another(ids: dict[str, Identity]) -> None:
    """The signature inside names the key it was sealed to: re-sealing what was opened does not verify."""
    other = SealingKey()

    class Relay:
        """Signs nothing itself: gives out the signature that it found inside."""

        def __init__(self, found: bytes) -> None:
            self.found = found

        def sign(self, data: bytes) -> bytes:
            return self.found

    found: list[bytes] = []

    class Watch(Relay):
        def sign(self, data: bytes) -> bytes:
            found.append(ids["lab"].sign(data))
            return found[-1]

    seal(Watch(b""), KEY.public, BINDING, b"p")  # type: ignore[arg-type]
    forged = seal(Relay(found[0]), other.public, BINDING, b"p")  # type: ignore[arg-type]
    with pytest.raises(Malformed, match="not signed by lab"):
        other.unseal(forged, ids["lab"].card, BINDING)


def test_a_key_is_its_owners_and_for_one_purpose_of_one_run(ids: dict[str, Identity]) -> None:
    signature = KEY.announce(ids["insurer"], session(STUDY, RUN), "part 1")
    check_key(ids["insurer"].card, STUDY, RUN, "part 1", KEY.public, signature, "hospital")
    for owner, run, purpose, public in (
        ("lab", RUN, "part 1", KEY.public),
        ("insurer", STUDY, "part 1", KEY.public),
        ("insurer", RUN, "part 1", bytes(32)),
        ("insurer", RUN, "part 1", KEY.public[:31]),
        ("insurer", RUN, "part 11", KEY.public),
        ("insurer", RUN, "fitted", KEY.public),
    ):
        with pytest.raises(PeerViolation, match=r"^hospital .*did not sign"):
            check_key(ids[owner].card, STUDY, run, purpose, public, signature, "hospital")


def test_the_private_half_does_not_escape() -> None:
    assert KEY.secret_for_own_disk().hex() not in repr(KEY)
    with pytest.raises(TypeError):
        pickle.dumps(KEY)
