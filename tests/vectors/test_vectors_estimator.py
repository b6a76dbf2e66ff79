"""Vector of the file that `GAL.save` writes: whoever keeps one predicts with it by a later release."""

from __future__ import annotations

import base64
import zlib
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from safetensors.numpy import load as tensors_in

from secure_gal import GAL
from secure_gal.estimator import saving
from secure_gal.learners import storage
from tests.support.frozen import Vector


def layout(raw: bytes) -> dict[str, Any]:
    """What stands where; study, learners, schemas and the entries of a state are other layers'."""
    tensors = tensors_in(raw[len(saving.FORMAT) + 32 :])
    head = msgspec.json.decode(tensors.pop(saving.HEAD).tobytes())
    beside = storage.load(tensors[str(head["kept"])].tobytes())
    texts = {tensors[str(number)].dtype.str for part in head["parties"] for number in part["texts"].values()}
    parties = [part | dict.fromkeys(("learner", "schema", "arrays", "texts"), "<...>") for part in head["parties"]]
    return {
        "begins": raw[: len(saving.FORMAT)].decode(),
        "head": head | {"study": "<...>", "version": "<...>", "kept": "<...>", "parties": parties},
        "texts": sorted(texts),
        "numbered": sorted(map(int, tensors)) == list(range(len(tensors))),
        "beside": sorted(beside),
        "attributes": sorted(beside["attributes"]),
    }


def test_a_saved_estimator(tmp_path: Path) -> None:
    vector, file = Vector("estimator-file"), tmp_path / "old.gal"
    x = [np.array(block) for block in vector.given["blocks"]]
    file.write_bytes(zlib.decompress(base64.b64decode(vector.given["file"])))
    with vector.read():
        old = GAL.load(file)
        assert np.allclose(old.predict(x), vector.given["predictions"], rtol=1e-9)
        old.save(tmp_path / "again.gal")
        assert layout((tmp_path / "again.gal").read_bytes()) == layout(file.read_bytes())
    GAL("regression", rounds=1, parties=["hospital", "lab"]).fit(x, vector.given["y"]).save(tmp_path / "new.gal")
    vector.same(**layout((tmp_path / "new.gal").read_bytes()), framed=saving.framed(b"body").hex())
