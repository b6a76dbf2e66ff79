"""Private set intersection against a plain one; the hash against RFC 9380; every rule a peer can break."""

from __future__ import annotations

import copy
import hashlib
import pickle

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from crypto import psi
from crypto.errors import Malformed, Misuse, Unsuitable
from crypto.psi import PsiSide, check_distinct, derive_domain, match, parse_points, parse_tags, shuffle, tag_bytes

DOMAIN = derive_domain(b"study", b"run", b"hospital", b"lab")
PRIME = 2**255 - 19
# The u-coordinates below p whose multiples by 8 are the neutral element: cr.yp.to/ecdh.html.
SMALL_ORDER = [
    0,
    1,
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
    PRIME - 1,
]


def masked(side: PsiSide, ids: list[str], cores: int | None = 1) -> tuple[psi.Positions, psi.Rows]:
    order, blocks = side.mask(ids, cores)
    return order, np.concatenate([np.empty((0, 32), np.uint8), *blocks])


def point(u: int) -> bytes:
    return u.to_bytes(32, "little")


def align(sponsor: list[str], assistor: list[str], s: PsiSide, a: PsiSide) -> list[tuple[str, str]]:
    """The four steps; what the sponsor knows of A's order it learns here only because the test looks."""
    own_order, from_s = masked(s, sponsor)
    order, from_a = masked(a, assistor)
    length = tag_bytes(len(sponsor), len(assistor))
    seen_by_a = parse_points(from_s.tobytes(), len(sponsor))
    check_distinct(seen_by_a)
    answer = a.tags(seen_by_a, length, cores=1).tobytes()
    seen_by_s = parse_points(from_a.tobytes(), len(assistor))
    check_distinct(seen_by_s)
    mine = parse_tags(answer, len(sponsor), length)
    own, other = match(mine, s.tags(seen_by_s, length, cores=1))
    return [(sponsor[own_order[i]], assistor[order[j]]) for i, j in zip(own, other, strict=True)]


# --- the answer is the plain intersection -----------------------------------------------------------------------------

id_sets = st.sets(st.text(min_size=1, max_size=12), max_size=40)


@settings(max_examples=60, deadline=None)
@given(sponsor=id_sets, assistor=id_sets, shared=id_sets)
@example(sponsor=set(), assistor={"a"}, shared=set())
@example(sponsor={"a"}, assistor={"b"}, shared=set())
@example(sponsor=set(), assistor=set(), shared={"the only one"})
def test_finds_exactly_the_common_ids(sponsor: set[str], assistor: set[str], shared: set[str]) -> None:
    x, y = sorted(sponsor | shared), sorted(assistor | shared)
    pairs = align(x, y, PsiSide(DOMAIN), PsiSide(DOMAIN))
    assert all(one == other for one, other in pairs)
    assert sorted(one for one, _ in pairs) == sorted(set(x) & set(y))


@pytest.mark.parametrize(("n", "m"), [(1, 3000), (3000, 1), (1, 1)])
def test_sets_of_very_different_size(n: int, m: int) -> None:
    x, y = [f"p{i}" for i in range(n)], [f"p{i}" for i in range(m)]
    assert sorted(align(x, y, PsiSide(DOMAIN), PsiSide(DOMAIN))) == [("p0", "p0")]


def test_processes_give_what_one_core_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psi, "BLOCK", 50)
    side, ids = PsiSide(DOMAIN), [str(i) for i in range(333)]
    order, points = masked(side, ids, cores=2)
    secret, dst = side._secret(), psi.HASH_LABEL + DOMAIN
    assert points.tobytes() == psi._mask(secret, dst, [ids[i].encode() for i in order])
    assert (side.tags(points, 10, cores=2) == side.tags(points, 10, cores=1)).all()
    with pytest.raises(Malformed, match="small order"):
        side.tags(np.concatenate([points, np.zeros((1, 32), np.uint8)]), 10, cores=2)


# --- separation: another study, run, pair or scalar -------------------------------------------------------------------


def test_another_domain_finds_nothing() -> None:
    ids = [str(i) for i in range(50)]
    assert len(align(ids, ids, PsiSide(DOMAIN), PsiSide(DOMAIN))) == 50  # the control
    other = derive_domain(b"study", b"another run", b"hospital", b"lab")
    assert align(ids, ids, PsiSide(DOMAIN), PsiSide(other)) == []


def test_points_of_an_earlier_run_match_nothing() -> None:
    ids = [str(i) for i in range(50)]
    _, replayed = masked(PsiSide(DOMAIN), ids)
    for domain in (DOMAIN, derive_domain(b"study", b"run 2")):
        sponsor, assistor = PsiSide(domain), PsiSide(domain)
        _, points = masked(sponsor, ids)
        mine = assistor.tags(points, 10, cores=1)
        assert len(match(mine, sponsor.tags(replayed, 10, cores=1))[0]) == 0


def test_two_runs_share_no_masked_id() -> None:
    ids = [str(i) for i in range(50)]
    lists = [{row.tobytes() for row in masked(PsiSide(DOMAIN), ids)[1]} for _ in range(2)]
    assert len(lists[0]) == len(lists[1]) == 50
    assert not lists[0] & lists[1]


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_domain_of_another_size_is_misuse(size: int) -> None:
    with pytest.raises(Misuse, match="a PSI domain has 32 bytes"):
        PsiSide(bytes(size))


def test_domain_fields_are_framed() -> None:
    fields = [(b"ab", b"c"), (b"a", b"bc"), (b"abc",), (b"abc", b""), (b"", b"abc")]
    assert len({derive_domain(*f) for f in fields}) == len(fields)


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


# --- secrets, order, lengths ------------------------------------------------------------------------------------------


def test_the_scalar_is_dull_and_stays_here() -> None:
    side = PsiSide(DOMAIN)
    assert repr(side) == str(side) == "PsiSide(secret)"
    for leak in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="secret"):
            leak(side)
    assert PsiSide(DOMAIN)._secret() != side._secret()


def test_a_scalar_masks_once_and_is_gone_after_erase() -> None:
    side = PsiSide(DOMAIN)
    held = side._scalar
    masked(side, ["a"])
    with pytest.raises(Misuse, match="one list"):
        side.mask(["b"])
    side.erase()
    side.erase()
    assert held == bytes(32)
    with pytest.raises(Misuse, match="erased"):
        side.mask(["a"])
    with pytest.raises(Misuse, match="erased"):
        side.tags(np.zeros((0, 32), np.uint8), 10)


@pytest.mark.parametrize("ids", [["a", ""], ["a", "a"], ["a", 1], ["a", None], ["a", b"b"], ["\ud800"]])
def test_ids_that_were_not_normalised_are_refused(ids: list[str]) -> None:
    side = PsiSide(DOMAIN)
    with pytest.raises(Unsuitable, match="normalise ids"):
        side.mask(ids)
    side.mask(["a"])  # and the side is unchanged


def test_shuffles_are_uniform() -> None:
    """Chi-square over the 24 orders of 4; 80 with 23 degrees of freedom is a false alarm once in 3e7 runs."""
    assert shuffle(0).tolist() == []
    draws, counts = 4800, dict[tuple[int, ...], int]()
    for _ in range(draws):
        key = tuple(shuffle(4).tolist())
        counts[key] = counts.get(key, 0) + 1
    assert sum((n - draws / 24) ** 2 / (draws / 24) for n in counts.values()) < 80
    assert len(counts) == 24


def test_equal_shuffle_keys_are_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    draws = iter([bytes(16), b"\2" * 8 + b"\1" * 8])
    monkeypatch.setattr(psi.secrets, "token_bytes", lambda n: next(draws))
    assert shuffle(2).tolist() == [1, 0]  # a tie would have kept [0, 1]


def test_the_sent_order_is_not_that_of_the_table() -> None:
    order, _ = masked(PsiSide(DOMAIN), [str(i) for i in range(60)])
    assert sorted(order) == list(range(60)) != order.tolist()


@pytest.mark.parametrize(
    ("own", "peers", "length"), [(1, 1, 6), (100_000, 100_000, 10), (10_000, 10**6, 10), (10**6, 10**6, 11)]
)
def test_tags_are_as_long_as_the_sizes_justify(own: int, peers: int, length: int) -> None:
    assert tag_bytes(own, peers) == tag_bytes(peers, own) == length
    pairs = (own + peers) * (own + peers - 1) // 2
    assert pairs * 2**40 <= 2 ** (8 * length)
    assert pairs * 2**40 > 2 ** (8 * (length - 1)) or own + peers == 2
    assert own != peers or own == 1 or 32 + 32 + length + 4 <= 84


def test_short_tags_do_collide() -> None:
    """The control of the length: one byte does not keep 2 x 120 strangers apart (chance of a false alarm e**-84)."""
    s, a = PsiSide(DOMAIN), PsiSide(DOMAIN)
    _, x = masked(s, [f"x{i}" for i in range(120)])
    _, y = masked(a, [f"y{i}" for i in range(120)])
    mine, theirs = a.tags(x, 1, cores=1).ravel(), s.tags(y, 1, cores=1).ravel()
    assert set(mine.tolist()) & set(theirs.tolist()) or len(set(mine.tolist())) < 120
