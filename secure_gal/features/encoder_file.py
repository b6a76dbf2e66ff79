"""A trained encoder in a file that a later study, or another site, may reuse: `.npz`, plain arrays, no pickle."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from secure_gal.errors import EnvironmentFailure, SettingsError, StateError
from secure_gal.features.encoder import Core, Encoder, on_gpu
from secure_gal.features.encoder_options import EncoderOptions

FORMAT = 1
MAX_FILE_BYTES = 1 << 30
"""Bytes; the largest of our networks and projections takes about 100 MB."""
HEADER = "header"


class _Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: int
    kind: str
    inner: tuple[int, ...]


def write(path: Path, encoder: Encoder) -> None:
    """Write beside, then rename: a reader finds all of it or nothing.

    Raises:
        EnvironmentFailure: the disk is full or the folder is not there.
    """
    header = msgspec.json.encode(_Header(FORMAT, encoder.kind, encoder.inner))
    buffer = io.BytesIO()
    named: dict[str, Any] = {HEADER: np.frombuffer(header, dtype=np.uint8), **encoder.arrays()}
    np.savez(buffer, **named)
    part = path.with_suffix(path.suffix + ".part")
    try:
        with part.open("wb") as file:
            file.write(buffer.getvalue())
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        raise EnvironmentFailure(f"the encoder could not be written to {path}: {error.strerror}") from error


def read(path: Path, kind: str, inner: tuple[int, ...], options: EncoderOptions) -> Encoder:
    """The encoder in the file, for rows of this shape.

    Raises:
        SettingsError: unreadable, of another format version or kind, or made for rows of another shape or width.
    """
    held = _arrays(path)
    try:
        header = msgspec.json.decode(held.pop(HEADER).tobytes(), type=_Header)
    except (KeyError, msgspec.DecodeError) as error:
        raise SettingsError(str(path), "is not an encoder file of secure-gal; remove it to train anew") from error
    if header.format != FORMAT:
        raise SettingsError(
            str(path),
            f"is encoder format {header.format}; this version reads {FORMAT}: use the version "
            "that wrote it, or remove the file to train anew",
        )
    # A series may be longer or shorter than in training; its columns may not change.
    same = (
        header.inner[1:] == inner[1:] and len(header.inner) == len(inner) if len(inner) == 2 else header.inner == inner
    )
    if header.kind != kind or not same:
        raise SettingsError(
            str(path),
            f"holds a {header.kind!r} encoder for rows of shape {header.inner}; this party has "
            f"{kind!r} and {inner}: name another encoder_file",
        )
    try:
        mean, matrix = held.pop("projection.mean"), held.pop("projection.matrix")
        encoder = Encoder(kind, inner, _core(kind, inner, held, options.device), mean, matrix)
        encoder.transform(np.zeros((1, *inner), dtype=np.float32))
    except (KeyError, ValueError, RuntimeError) as error:
        raise SettingsError(str(path), f"is incomplete or damaged ({error}); remove it to train anew") from error
    if encoder.width > options.width:
        raise SettingsError(
            str(path), f"gives {encoder.width} features; [learner.options] encoder_width allows {options.width}"
        )
    return encoder


def _arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise SettingsError(str(path), f"is larger than {MAX_FILE_BYTES} bytes; it is not an encoder file")
        with np.load(path, allow_pickle=False) as file:
            held = {name: np.asarray(file[name]) for name in file.files}
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, AttributeError) as error:
        raise SettingsError(
            str(path), f"cannot be read as an encoder file: {error}; remove it to train anew"
        ) from error
    if any(values.dtype.kind == "f" and not np.isfinite(values).all() for values in held.values()):
        raise SettingsError(str(path), "holds infinite values or nan; remove it to train anew")
    return held


def _core(kind: str, inner: tuple[int, ...], held: dict[str, npt.NDArray[Any]], device: str) -> Core:
    match kind:
        case "kmeans":
            from secure_gal.features.encoder_kmeans import KMeansPatches

            patches = KMeansPatches.from_arrays(held)
            if not on_gpu(device):
                return patches
            from secure_gal.features.encoder_kmeans_gpu import KMeansOnDevice

            return KMeansOnDevice(patches, device)
        case "denoising" | "masked" | "vicreg":
            from secure_gal.features.encoder_nets import NetFeatures

            return NetFeatures.from_arrays(kind, inner, held, device)
        case _:
            raise StateError(f"no encoder is called {kind!r}")
