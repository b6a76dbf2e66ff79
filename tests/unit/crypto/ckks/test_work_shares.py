"""How work is shared out and what of it is kept in memory: it changes no bit of a fit, only what a fit costs."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from crypto import pool, workers
from crypto.ckks import encrypted_ridge, ridge_blocks, sealapi_files
from crypto.ckks.encrypted_ridge import _room, worthwhile
from crypto.ckks.leave_one_out import OwnResiduals
from crypto.ckks.products import MAX_PRODUCT_CIPHERTEXTS
from crypto.ckks.ridge_blocks import Encodings, Split, _groups, ciphertext_bytes
from crypto.ckks.sets import PARAMETER_SETS
from crypto.ckks.sum_calculator import SumCalculator
from crypto.errors import Malformed, Misuse
from crypto.label_privacy import bin_count

STANDARD, STRICT = PARAMETER_SETS["standard"], PARAMETER_SETS["strict"]


@pytest.mark.parametrize(
    ("epsilon", "bins"),
    [
        (0.01, 2),
        (2.5, 2),
        (3.0, 2),
        (3.5, 3),
        (4.0, 3),
        (5.0, 5),
        (6.0, 8),
        (7.0, 11),
        (8.0, 16),
        (10.0, 31),
        (12.0, 60),
    ],
)
def test_bins_are_as_many_as_the_rule_says(epsilon: float, bins: int) -> None:
    """A public rule: another count would be another mechanism."""
    assert bin_count(epsilon) == bins


@pytest.mark.parametrize(
    ("name", "padded", "blocks", "outputs", "microseconds"),
    [
        ("standard", 16, (1, 1), 1, 57_966),
        ("standard", 256, (40, 40), 1, 4_465_131),
        ("strict", 1024, (3, 5), 2, 16_682_975),
        ("strict", 4096, (100, 120), 10, 3_683_637_657),
    ],
)
def test_a_process_is_started_for_half_a_second_of_work(
    name: str, padded: int, blocks: tuple[int, int], outputs: int, microseconds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys: Any = SimpleNamespace(params=PARAMETER_SETS[name], padded=padded)
    whole = worthwhile(keys.params, keys.padded, sum(blocks), outputs)
    monkeypatch.setattr(encrypted_ridge, "WORTHWHILE", 1e-6)
    found = worthwhile(keys.params, keys.padded, sum(blocks), outputs)
    assert found == microseconds and whole == max(1, int(found * 2e-6))


@pytest.mark.parametrize(
    ("padded", "blocks", "babies"),
    [(1, 1, 1), (16, 1, 4), (16, 100, 16), (256, 1, 16), (256, 7, 16), (1024, 30, 32), (4096, 1000, 64)],
)
def test_rotations_are_as_few_as_keys_and_memory_allow(
    padded: int, blocks: int, babies: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Split.second(STANDARD, padded, blocks)
    assert (found.babies, found.giants) == (babies, padded // babies)
    assert Split.first(padded) == Split(1, padded)
    monkeypatch.setattr(ridge_blocks, "GROUP_BYTES", 4 * ciphertext_bytes(STANDARD))
    assert Split.second(STANDARD, padded, blocks).babies <= 4


def test_a_ciphertext_has_two_numbers_of_eight_bytes_a_coefficient_and_prime() -> None:
    assert (ciphertext_bytes(STANDARD), ciphertext_bytes(STRICT)) == (2 * 2 * 8192 * 8, 2 * 3 * 16384 * 8)


@pytest.mark.parametrize(("bytes_", "sizes"), [(0, [1, 1, 1, 1, 1]), (4, [2, 2, 1]), (7, [3, 2]), (10, [5]), (99, [5])])
def test_outputs_are_worked_on_in_groups_that_memory_has_room_for(
    bytes_: int, sizes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ridge_blocks, "GROUP_BYTES", bytes_ * ciphertext_bytes(STANDARD))
    found = _groups(STANDARD, 5, 2)
    assert [len(group) for group in found] == [max(1, size) for size in sizes]
    assert [k for group in found for k in group] == list(range(5))


def test_memory_for_encodings_is_a_quarter_of_what_is_free_and_a_gigabyte_at_most(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for free, room in ((400, 100), (1 << 40, 1 << 30)):
        monkeypatch.setattr(encrypted_ridge, "free_memory", lambda free=free: free)
        assert _room(None) == room and _room(7) == 7


class Encoder:
    """Stands in for a calculator: counts what is encoded, and finds zero where all slots are."""

    def __init__(self) -> None:
        self.params, self.encoded = STANDARD, 0

    def encode(self, slots: Any, bits: int) -> object | None:
        self.encoded += 1
        return object() if np.any(slots) else None


@pytest.mark.parametrize(("plaintexts", "again"), [(0, 4), (1, 3), (2, 2), (3, 1), (4, 0)])
def test_encodings_are_kept_as_long_as_there_is_room(
    plaintexts: int, again: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What came first stays; a plaintext takes half of a ciphertext."""
    monkeypatch.setattr("crypto.ckks.dithering.dithered", lambda slots, bits, terms: slots)
    encoder: Any = Encoder()
    room = plaintexts * ciphertext_bytes(STANDARD) // 2
    kept = Encodings(encoder, np.ones((9, 4), np.float32), 4, Split(2, 2), False, room)
    first = [plain for giant in range(2) for plain in kept.giant(0, giant)]
    assert encoder.encoded == 4 and None not in first
    second = [plain for giant in range(2) for plain in kept.giant(0, giant)]
    assert encoder.encoded == 4 + again and second[:plaintexts] == first[:plaintexts]


def test_an_encoding_of_zero_takes_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crypto.ckks.dithering.dithered", lambda slots, bits, terms: slots)
    encoder: Any = Encoder()
    u = np.zeros((9, 4), np.float32)
    u[:, 3] = 1.0
    kept = Encodings(encoder, u, 4, Split(1, 4), True, ciphertext_bytes(STANDARD) // 2)
    for _ in range(2):
        found = [kept.giant(0, giant)[0] for giant in range(4)]
    assert sum(plain is not None for plain in found) == 4 and encoder.encoded == 4 + 3, "every diagonal meets column 3"


@pytest.mark.parametrize(("pairs", "again"), [(0, 6), (1, 4), (2, 2), (3, 0)])
def test_weights_of_own_residuals_are_kept_in_pairs_of_plaintexts(
    pairs: int, again: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crypto.ckks.dithering.dithered", lambda slots, bits, terms: slots)
    encoder: Any = Encoder()
    own = OwnResiduals(encoder, np.ones(2 * STANDARD.n + 9), pairs * ciphertext_bytes(STANDARD))
    for _ in range(2):
        for block in range(3):
            own._plains(block)
    assert encoder.encoded == 6 + again


class Kept:
    """A pool of two workers, on which what was sent may be lost once."""

    def __init__(self) -> None:
        self.size, self.sent, self.made, self.forgotten, self.lose = 2, 0, list[int](), 0, False

    def send(self, value: Any) -> Any:
        self.sent += 1
        return value

    def keep(self, call: pool.Call) -> Any:
        self.made.append(call.worker)
        return call.work(*call.arguments)

    def run(self, calls: list[pool.Call]) -> list[Any]:
        if self.lose:
            self.lose = False
            raise pool.Lost("a worker died")
        return [call.work(*call.arguments) for call in calls]

    def forget(self) -> None:
        self.forgotten += 1


def test_a_team_is_made_once_and_again_if_it_is_lost() -> None:
    workers, asked = Kept(), list[int]()

    def material(pool: Any) -> tuple[int]:
        asked.append(1)
        return (7,)

    team: Any = pool.Team(workers, 3, lambda number, seven: (number, seven), material)  # type: ignore[arg-type]
    task: Any = lambda kept, item: (kept, item)  # noqa: E731
    found = team.run(task, ["a", "b", "c", "d"])
    assert found == [((0, 7), "a"), ((1, 7), "b"), ((2, 7), "c"), ((0, 7), "d")]
    assert team.run(task, ["e"]) == [((0, 7), "e")] and (workers.made, len(asked)) == ([0, 1, 2], 1)
    workers.lose = True
    assert team.run(task, ["f"]) == [((0, 7), "f")]
    assert (workers.made, len(asked), workers.forgotten) == ([0, 1, 2] * 2, 2, 1)


def test_a_thread_closes_what_it_passed_objects_through() -> None:
    scratch = sealapi_files._Scratch()
    number = scratch.fd
    os.fstat(number)
    del scratch
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(number)


def test_a_worker_ends_with_its_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    parents, done = iter([5, 5, 1]), list[Any]()
    monkeypatch.setattr(os, "getppid", lambda: next(parents))
    monkeypatch.setattr("time.sleep", done.append)
    monkeypatch.setattr(os, "_exit", lambda code: done.append(("exit", code)))
    workers._watch(5)
    assert done == [0.5, 0.5, ("exit", 1)]


def test_more_inner_products_than_a_release_holds_are_refused() -> None:
    calculator, table = SumCalculator.__new__(SumCalculator), SimpleNamespace(ciphertexts=MAX_PRODUCT_CIPHERTEXTS + 1)
    nothing: Any = np.zeros((0, 0), np.uint8)
    with pytest.raises(Misuse, match="4097 ciphertexts; inner products of more than 4096 would wrap"):
        calculator.products([], np.zeros((1, 1)), nothing, table)  # type: ignore[arg-type]
    short: Any = np.zeros((3, 9), np.uint8)
    with pytest.raises(Malformed, match="the key owner's own difference must have the shape"):
        calculator.products([], np.zeros((1, 1)), short, table)  # type: ignore[arg-type]
