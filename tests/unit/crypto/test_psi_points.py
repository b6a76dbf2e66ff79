"""The points of a private set intersection: the hash against RFC 9380, and every rule a peer can break."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from crypto import psi
from crypto.errors import Malformed
from crypto.psi import PsiSide, check_distinct, match, parse_points, parse_tags
from tests.support.psi_sides import DOMAIN, PRIME, masked, point

# The u-coordinates below p whose multiples by 8 are the neutral element: cr.yp.to/ecdh.html.
SMALL_ORDER = [
    0,
    1,
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
    PRIME - 1,
]


# --- the hash: RFC 9380 -----------------------------------------------------------------------------------------------

RFC_9380_J_4_2 = {
    b"": "51125222da5e763d97f3c10fcc92ea6860b9ccbbd2eb1285728f566721c1e65b",
    b"abc": "7d56d1e08cb0ccb92baf069c18c49bb5a0dcd927eff8dcf75ca921ef7f3e6eeb",
    b"abcdef0123456789": "3fbe66b9c9883d79e8407150e7c2a1c8680bee496c62fabe4619a72b3cabe90f",
    b"q128_" + b"q" * 128: "227e0bb89de700385d19ec40e857db6e6a3e634b1c32962f370d26f84ff19683",
    b"a512_" + b"a" * 512: "3bcd651ee54d5f7b6013898aab251ee8ecc0688166fce6e9548d38472f6bd196",
}
"""Message -> Q.x of curve25519_XMD:SHA-512_ELL2_NU_, the point before the cofactor is cleared."""


@pytest.mark.parametrize("message", RFC_9380_J_4_2, ids=lambda m: m[:8].decode() or "empty")
def test_hash_is_that_of_the_rfc(message: bytes) -> None:
    dst = b"QUUX-V01-CS02-with-" + psi.SUITE
    assert psi._encode(message, dst + bytes([len(dst)]))[::-1].hex() == RFC_9380_J_4_2[message]


def test_map_is_elligator_2_on_both_branches() -> None:
    """RFC 9380 section 6.7.1, written out; a point of the twist would pass through X25519 unnoticed."""
    taken = set()
    for i in range(200):
        r = int.from_bytes(hashlib.sha256(str(i).encode()).digest(), "little") % 2**254
        u = -486662 * pow(1 + 2 * r * r, -1, PRIME) % PRIME
        second = not on_curve(u)
        u = (-486662 - u) % PRIME if second else u
        assert psi.elligator_map(point(r)) == point(u)
        assert on_curve(u)
        taken.add(second)
    assert taken == {True, False}


def on_curve(u: int) -> bool:
    """Whether u belongs to the curve and not to its twist (Euler's criterion)."""
    return pow(u**3 + 486662 * u**2 + u, (PRIME - 1) // 2, PRIME) == 1


def test_masking_is_x25519_of_the_hash_and_tags_commute() -> None:
    """A ladder of the test's own (RFC 7748 section 5) agrees with the libraries, for both sides' order of scalars."""
    one, two = PsiSide(DOMAIN), PsiSide(DOMAIN)
    dst = psi.HASH_LABEL + DOMAIN
    u = psi._encode(b"id", dst + bytes([len(dst)]))
    first, second = (ladder(side._secret(), u) for side in (one, two))
    assert masked(one, ["id"])[1].tobytes() == first
    twice = ladder(two._secret(), first)
    assert twice == ladder(one._secret(), second)
    expected = hashlib.blake2b(twice, digest_size=9, key=DOMAIN, person=psi.TAG_LABEL).digest()
    assert two.tags(parse_points(first, 1), 9).tobytes() == expected


def ladder(scalar: bytes, u: bytes) -> bytes:
    k = (int.from_bytes(scalar, "little") & ~7 & (2**254 - 1)) | 2**254
    x1 = int.from_bytes(u, "little")
    x2, z2, x3, z3 = 1, 0, x1, 1
    for bit in reversed(range(255)):
        if k >> bit & 1:
            x2, z2, x3, z3 = x3, z3, x2, z2
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        x3, z3 = (d * a + c * b) ** 2 % PRIME, x1 * (d * a - c * b) ** 2 % PRIME
        e = a * a - b * b
        x2, z2 = a * a * b * b % PRIME, e * (a * a + 121665 * e) % PRIME
        if k >> bit & 1:
            x2, z2, x3, z3 = x3, z3, x2, z2
    return point(x2 * pow(z2, -1, PRIME) % PRIME)


# --- what a peer may not send -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("u", SMALL_ORDER)
def test_points_of_small_order_are_refused(u: int) -> None:
    """On arrival, before they are multiplied by anything; and once more where they are."""
    with pytest.raises(Malformed, match="small order"):
        parse_points(point(9) + point(u), 2)
    unread = np.frombuffer(point(9) + point(u), dtype=np.uint8).reshape(2, 32)
    with pytest.raises(Malformed, match="small order"):
        PsiSide(DOMAIN).tags(unread, 10)


@pytest.mark.parametrize("u", [PRIME, PRIME + 1, PRIME + 18, 2**255, 2**255 + 9, 2**256 - 1])
def test_non_canonical_coordinates_are_refused(u: int) -> None:
    with pytest.raises(Malformed, match="canonical"):
        parse_points(point(9) + point(u), 2)


@pytest.mark.parametrize("u", [2, PRIME - 2, PRIME - 3, 2**255 - 2**248 - 1, 2**254])
def test_the_largest_canonical_coordinates_pass(u: int) -> None:
    assert parse_points(point(u), 1).tobytes() == point(u)


def test_every_wrong_count_is_refused() -> None:
    raw = point(9) + point(10)
    for end in range(len(raw)):
        with pytest.raises(Malformed, match="bytes of masked ids"):
            parse_points(raw[:end], 2)
    for count in (1, 3):
        with pytest.raises(Malformed, match="bytes of masked ids"):
            parse_points(raw, count)
        with pytest.raises(Malformed, match="bytes of tags"):
            parse_tags(bytes(20), count, 10)
    assert parse_points(b"", 0).shape == (0, 32)


def test_repeats_are_refused() -> None:
    rows = np.array([[1, 0], [0, 1], [0, 0]], dtype=np.uint8)
    check_distinct(rows)  # trailing zeros do not make rows equal
    with pytest.raises(Malformed, match="more than once"):
        check_distinct(rows[[0, 1, 2, 0]])
    for mine, theirs in ((rows[[0, 0]], rows), (rows, rows[[1, 1]])):
        with pytest.raises(Malformed, match="more than once"):
            match(mine, theirs)


def test_one_point_in_two_encodings_is_found_by_its_tags() -> None:
    """P and P + (0, 0) differ, as u and 1/u, and X25519 cannot tell them apart; their equal tags give them away."""
    _, points = masked(PsiSide(DOMAIN), ["id"])
    inverse = pow(int.from_bytes(points.tobytes(), "little"), -1, PRIME)
    both = parse_points(points.tobytes() + point(inverse), 2)
    check_distinct(both)
    side = PsiSide(DOMAIN)
    theirs = side.tags(both, 10)
    with pytest.raises(Malformed, match="more than once"):
        match(theirs[:1], theirs)


def test_points_of_the_twist_are_masked_like_others() -> None:
    """2 is on the twist; twist security makes this harmless, and it matches no id."""
    assert not on_curve(2)
    side = PsiSide(DOMAIN)
    expected = hashlib.blake2b(ladder(side._secret(), point(2)), digest_size=10, key=DOMAIN, person=psi.TAG_LABEL)
    assert side.tags(parse_points(point(2), 1), 10).tobytes() == expected.digest()
