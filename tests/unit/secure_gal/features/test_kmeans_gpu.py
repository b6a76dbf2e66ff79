"""k-means patch features in torch find what NumPy finds; the operations are those of a GPU, run on the CPU."""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from secure_gal.errors import EnvironmentFailure, SettingsError
from secure_gal.features import encoder, encoder_file, encoder_kmeans_gpu
from secure_gal.features.encoder import Encoder
from secure_gal.features.encoder_kmeans import KMeansPatches, _first_atoms
from secure_gal.features.encoder_kmeans import spherical_kmeans as on_cpu
from secure_gal.features.encoder_kmeans_gpu import KMeansOnDevice, codes, spherical_kmeans
from secure_gal.features.encoder_options import EncoderOptions
from secure_gal.learners import cuda_driver, storage
from tests.support.deep_data import images

CPU = torch.device("cpu")


def test_the_dictionary_is_the_one_that_numpy_finds() -> None:
    rng = np.random.default_rng(0)
    points, atoms = rng.standard_normal((20_000, 12)).astype(np.float32), _first_atoms(16, 12, rng)
    found = spherical_kmeans(points, atoms, CPU)
    np.testing.assert_allclose(found, on_cpu(points, atoms), atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(found, spherical_kmeans(points, atoms, CPU))


@pytest.mark.parametrize("shape", [(1, 14, 7), (3, 5, 9), (2, 1, 12, 12), (1, 40, 40)])
def test_codes_are_those_of_numpy_for_images_and_views(shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(1).standard_normal((50, *shape)).astype(np.float32)
    there = KMeansOnDevice.fit(x, 3, "cpu")
    np.testing.assert_allclose(there.features(x), there.patches.features(x), atol=1e-5)
    np.testing.assert_allclose(there.features(x), KMeansPatches.fit(x, 3).features(x), atol=1e-2)


def test_neither_waits_for_the_device_nor_goes_image_by_image() -> None:
    held = KMeansPatches.fit(np.random.default_rng(1).standard_normal((64, 1, 12, 12)).astype(np.float32), 0)
    mean, atoms = torch.from_numpy(held.mean), torch.from_numpy(held.atoms)

    def operations(images: int) -> list[str]:
        with profile(activities=[ProfilerActivity.CPU]) as seen:
            codes(torch.zeros(images, 1, 12, 12), mean, atoms, held)
        return [event.name for event in seen.events() if event.name.startswith("aten::")]

    assert operations(8) == operations(64)
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        spherical_kmeans(np.ones((64, 3), np.float32), np.eye(3, dtype=np.float32), CPU)
    waits = {"aten::item", "aten::_local_scalar_dense", "aten::nonzero"}
    assert not waits & ({event.name for event in seen.events()} | set(operations(8)))


def test_a_gpu_is_used_where_one_is_and_files_go_from_one_to_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, _ = images(80)
    options = EncoderOptions("kmeans", 64, device="cpu", file=tmp_path / "e")
    alone = Encoder.fit(x, 0, options)
    assert isinstance(alone.core, KMeansPatches)
    monkeypatch.setattr(encoder, "on_gpu", lambda device: True)
    monkeypatch.setattr(encoder_file, "on_gpu", lambda device: True)
    read, trained = Encoder.fit(x, 5, options), Encoder.fit(x, 0, EncoderOptions("kmeans", 64, device="cpu"))
    for one in (read, trained):
        assert isinstance(one.core, KMeansOnDevice)
        assert one.description == alone.description
    np.testing.assert_allclose(read.transform(x), alone.transform(x), atol=1e-4)
    np.testing.assert_array_equal(storage.load(storage.dump(trained)).transform(x), trained.transform(x))


def test_without_a_driver_auto_is_the_cpu_and_a_gpu_that_is_named_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", missing)
    assert [cuda_driver.may_be_gpu(name) for name in ("auto", "cpu", "cuda:7")] == [False, False, True]
    with pytest.raises(SettingsError, match="'cuda:7' is not there"):
        Encoder.fit(images(60)[0], 0, EncoderOptions("kmeans", device="cuda:7"))
    monkeypatch.setattr(ctypes, "CDLL", lambda name: None)
    assert cuda_driver.may_be_gpu("auto")


@pytest.mark.parametrize(("name", "doing"), [("spherical_kmeans", "training the encoder"), ("codes", "mapping rows")])
def test_a_full_gpu_says_what_to_do(monkeypatch: pytest.MonkeyPatch, name: str, doing: str) -> None:
    def full(*_: object) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(encoder_kmeans_gpu, name, full)
    with pytest.raises(EnvironmentFailure, match=f"{doing}; free memory"):
        KMeansOnDevice.fit(images(60)[0], 0, "cpu").features(images(60)[0])
