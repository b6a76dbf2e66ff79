"""What the paper's experiments are run on: who gets which rows and columns, and how files are read, on made-up data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_wine

from benchmarks.paper.data import cifar_files, clinical, images, jpeg, objects
from benchmarks.paper.data.sources import SOURCES
from benchmarks.paper.data.split import Asked, deal, eighty_twenty


@pytest.mark.parametrize("columns, parties, sizes", [(13, 8, [1] * 7 + [6]), (41, 8, [5] * 7 + [6]), (10, 2, [5, 5])])
def test_columns_are_dealt_by_the_papers_rule_the_rest_to_the_last(
    columns: int, parties: int, sizes: list[int]
) -> None:
    dealt = deal(columns, parties, 0)
    assert [len(part) for part in dealt] == sizes
    assert sorted(np.concatenate(dealt)) == list(range(columns))
    assert not np.array_equal(np.concatenate(dealt), np.concatenate(deal(columns, parties, 1)))


def test_even_columns_favour_the_sponsor() -> None:
    assert [len(part) for part in deal(13, 8, 0, even=True)] == [2] * 5 + [1] * 3


def test_fewer_columns_than_parties_are_refused() -> None:
    with pytest.raises(ValueError, match="4 columns cannot be dealt out to 8 parties"):
        deal(4, 8, 0)


def test_a_fifth_of_the_rows_are_test_rows_and_none_is_both() -> None:
    test, train = eighty_twenty(103, 3)
    assert len(test) == 21
    assert sorted([*test, *train]) == list(range(103))


def test_a_table_is_standardised_on_training_rows_and_dealt_whole() -> None:
    split = SOURCES["Wine"].load(Path(), Asked(8, 0))
    assert [block.shape[1] for block in split.blocks] == [1] * 7 + [6]
    assert np.allclose(split.joint.mean(axis=0), 0)
    assert sorted(np.hstack(split.blocks)[0]) == sorted(split.joint[0])
    assert len(split.test_y) == 36


def test_patches_are_dealt_out_row_by_row() -> None:
    x = np.random.default_rng(0).normal(size=(6, 1, 28, 28)) + np.arange(28)[:, None]
    split = images.patches(x, np.arange(6), x[:2], np.arange(2))
    assert [block.shape for block in split.blocks] == [(6, 1, 14, 7)] * 8
    one = (x[:, :, 14:, 7:14] - x[:, :, 14:, 7:14].mean()) / x[:, :, 14:, 7:14].std()
    np.testing.assert_allclose(split.blocks[5], one, rtol=1e-3, atol=1e-4)
    assert split.joint.shape == (6, 1, 28, 28)


def cifar_file(rows: np.ndarray, classes: list[int]) -> bytes:
    return b"".join(bytes([c]) + row.tobytes() for c, row in zip(classes, rows, strict=True))


@pytest.fixture
def cifar_folder(tmp_path: Path) -> Path:
    folder = tmp_path / cifar_files.FOLDER
    folder.mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (12, 3, 32, 32), dtype=np.uint8)
    for i, name in enumerate((*cifar_files.TRAIN, cifar_files.TEST)):
        (folder / name).write_bytes(cifar_file(pixels[2 * i : 2 * i + 2], [i, 9 - i]))
    return tmp_path


def test_cifars_original_files_are_read_in_their_order(cifar_folder: Path) -> None:
    x, y, new, new_y = cifar_files.read(cifar_folder, np.arange, np.arange)
    pixels = np.random.default_rng(0).integers(0, 256, (12, 3, 32, 32), dtype=np.uint8)
    assert np.array_equal(x, pixels[:10]) and np.array_equal(new, pixels[10:])
    assert y.tolist() == [0, 9, 1, 8, 2, 7, 3, 6, 4, 5]
    assert new_y.tolist() == [5, 4]


def test_cifars_original_files_are_taken_where_they_are(cifar_folder: Path) -> None:
    split = images.cifar10(cifar_folder, Asked(8, 0, rows=6))
    assert [block.shape for block in split.blocks] == [(6, 3, 16, 8)] * 8
    assert sorted(split.test_y) == [4, 5]


@pytest.mark.parametrize("content, problem", [(b"\0" * 3074, "3074 bytes"), (b"\x0a" + b"\0" * 3072, "class 10")])
def test_a_damaged_file_of_cifar_is_named(cifar_folder: Path, content: bytes, problem: str) -> None:
    (cifar_folder / cifar_files.FOLDER / "data_batch_3.bin").write_bytes(content)
    with pytest.raises(ValueError, match=f"data_batch_3.bin: .*{problem}"):
        cifar_files.read(cifar_folder, np.arange, np.arange)


def test_a_copy_loses_little_on_its_own_grid_and_as_much_again_on_another() -> None:
    pytest.importorskip("PIL", reason="pillow, of the extra bench, is not installed")
    x, y = np.meshgrid(np.arange(32), np.arange(32))
    wave = np.sin(x * y / 20) * 60 + 128 + np.random.default_rng(0).normal(size=(4, 3, 32, 32)) * 10
    original = wave.clip(0, 255).astype(np.uint8)
    once = jpeg.compressed(original, (0, 0))

    def change(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.sqrt(np.mean((a.astype(float) - b) ** 2)))

    first, same = change(original, once), change(once, jpeg.compressed(once, (0, 0)))
    shifted = [change(once, jpeg.compressed(once, shift)) for shift in jpeg.SHIFTS]
    assert same < 0.3 * first
    assert min(shifted) > 0.5 * first


def test_an_object_looks_the_same_from_opposite_sides_of_a_mirror() -> None:
    voxels = np.zeros((1, 32, 32, 32), dtype=np.int32)
    voxels[0, 10:22, 4:8, :5] = 1  # a low wall, off the centre
    views = objects.render(voxels)
    assert [view.shape for view in views] == [(1, 1, 32, 32)] * 12
    front, side, back = (views[k][0, 0] for k in (0, 3, 6))
    assert set(np.flatnonzero(front.any(axis=1))) == set(range(5))  # height stays height from every side
    assert (front > 0).sum() == (back > 0).sum() == 12 * 5
    assert (side > 0).sum() == 4 * 5
    assert front.max() != back.max()  # near from one side, far from the other


def test_a_patient_is_read_by_the_hour() -> None:
    raw = (
        "Time,Parameter,Value\n00:00,Age,76\n00:00,Height,-1\n00:10,HR,80\n00:50,HR,90\n02:00,pH,7.4\n"
        "03:00,HR,-1\n48:00,K,4"
    )
    hourly, seen, person = clinical.patient(raw)
    assert hourly[0, 0] == 85
    assert np.isnan(hourly[1:, 0]).all()
    assert seen[0].tolist() == [2, 0, 0]
    assert seen[2].tolist() == [0, 0, 1]
    assert seen[47].tolist() == [0, 1, 0]  # the last minute belongs to the last hour
    assert person[0] == 76
    assert np.isnan(person[2])


def test_the_papers_stored_split_is_one_for_all_seeds() -> None:
    """Its code draws the order by numpy's global seed 0 and takes the first int(0.8 N) rows to train on."""
    one, two = (SOURCES["Wine-stored"].load(Path(), Asked(8, seed)) for seed in (0, 1))
    y = load_wine().target
    state = np.random.get_state()
    np.random.seed(0)
    order = np.random.permutation(len(y))
    np.random.set_state(state)
    assert one.y.tolist() == two.y.tolist() == y[order[:142]].tolist()
    assert one.test_y.tolist() == two.test_y.tolist() == y[order[142:]].tolist()
    assert [block.shape[1] for block in one.blocks] == [1] * 7 + [6]
    assert not np.array_equal(one.blocks[0], two.blocks[0])  # columns are dealt out with the seed
    assert np.array_equal(one.joint, two.joint)
