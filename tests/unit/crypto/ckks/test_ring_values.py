"""Widths and rotations by number: which keys there are, and which way a rotation goes."""

from __future__ import annotations

import pytest

from crypto.ckks.ring import galois_elements, giant_steps, level, padded, root, rotation, steps
from crypto.ckks.sets import PARAMETER_SETS
from crypto.errors import Misuse

STANDARD = PARAMETER_SETS["standard"]


@pytest.mark.parametrize(("features", "width"), [(1, 1), (2, 2), (3, 4), (4, 4), (5, 8), (4095, 4096), (4096, 4096)])
def test_a_width_is_the_next_power_of_two(features: int, width: int) -> None:
    assert padded(STANDARD, features) == width


@pytest.mark.parametrize("features", [0, -1, 4097])
def test_a_fit_takes_1_to_4096_columns(features: int) -> None:
    with pytest.raises(Misuse, match=f"an encrypted fit takes 1 to 4096 columns, not {features}"):
        padded(STANDARD, features)


@pytest.mark.parametrize(
    ("width", "giants"),
    [(1, [1]), (2, [1, 2]), (8, [1, 8]), (16, [1, 4, 16]), (32, [1, 8, 32]), (64, [1, 8, 64]), (4096, [1, 64, 4096])],
)
def test_giants_go_by_one_by_about_the_root_or_by_all(width: int, giants: list[int]) -> None:
    assert giant_steps(width) == giants and root(width) == giants[len(giants) // 2]


@pytest.mark.parametrize(
    ("width", "keys"),
    [
        (1, [1, 4, 16, 64, 256, 1024]),
        (2, [1, 2, 8, 32, 128, 512, 2048]),
        (64, [1, 8, 64, 256, 1024]),
        (2048, [1, 64, 2048]),
        (4096, [1, 64]),
    ],
)
def test_a_rotation_has_a_key_where_a_fit_uses_it(width: int, keys: list[int]) -> None:
    """Of 4,096 slots; conjugation has one always."""
    assert steps(STANDARD, width) == keys
    elements = galois_elements(STANDARD, width)
    assert elements[0] == 16_383 and elements[1:] == [pow(3, step, 16_384) for step in keys]


@pytest.mark.parametrize("width", [0, 3, 6, 8192])
def test_a_width_that_is_no_power_of_two_has_no_keys(width: int) -> None:
    with pytest.raises(Misuse, match=f"a padded width is a power of two up to 4096, not {width}"):
        steps(STANDARD, width)


def test_a_rotation_by_all_slots_is_none_and_each_level_has_a_name() -> None:
    assert rotation(STANDARD, 0) == rotation(STANDARD, 4096) == 1 and rotation(STANDARD, 1) == 3
    names = [level(STANDARD, kept) for kept in (2, 1)]
    assert len(set(names)) == 2 and all(len(name) == 4 for name in names)
