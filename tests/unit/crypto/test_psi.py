"""Private set intersection against a plain one; what is separate stays apart; secrets, order and lengths."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from crypto import psi
from crypto.errors import Malformed, Misuse, Unsuitable
from crypto.psi import PsiSide, check_distinct, derive_domain, match, parse_points, parse_tags, shuffle, tag_bytes
from tests.support.psi_sides import DOMAIN, masked


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
