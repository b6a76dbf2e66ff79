"""Vectors of what a party keeps on its own disk: run.db, budgets, releases, models, encoders, digests of its table."""

from __future__ import annotations

import base64
import dataclasses
import sqlite3
import zlib
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest

from parties.run import learnt_from
from parties.run.budget import DataBudget
from parties.run.store import LinkRecord, RunStore
from secure_gal.data import distributions
from secure_gal.data.distributions import Column, Distributions
from secure_gal.data.encode import LabelCodec
from secure_gal.data.encode_arrays import ArrayEncoder
from secure_gal.data.encode_table import TableEncoder
from secure_gal.data.schema import Schema
from secure_gal.data.table import Table
from secure_gal.features import encoder_file
from secure_gal.features.encoder import Encoder
from secure_gal.features.encoder_kmeans import KMeansPatches
from secure_gal.features.encoder_options import EncoderOptions
from secure_gal.holdings.budget import Charge
from secure_gal.labels.release import release_once
from secure_gal.learners import make_learner, storage
from secure_gal.learners.shared import linked
from secure_gal.learners.storage import Writer
from secure_gal.learners.storage_classes import PLACES, class_named
from secure_gal.settings.party import LearnerSettings
from tests.support.frozen import Vector
from transport.ledger import Row


def dumped(file: Path) -> list[str]:
    with closing(sqlite3.connect(file)) as db:
        version = db.execute("PRAGMA user_version").fetchone()[0]
        return [f"PRAGMA user_version={version};", *"\n".join(db.iterdump()).splitlines()]


def restored(file: Path, lines: Sequence[str]) -> None:
    with closing(sqlite3.connect(file)) as db:
        db.executescript("\n".join(lines))


def test_run_directory(tmp_path: Path) -> None:
    """The schema, and a row of each table as one step commits them."""
    vector, store = Vector("run-db"), RunStore(tmp_path / "new")
    values = {
        "phase": b"serving",
        "ensemble/F": np.array([[1.5, -2.0]]),
        "train": np.array([1, 0], dtype=np.uint8),
        "secret/fitted": bytes(range(32)),
    }
    store.set_meta("store", "ab" * 16)
    store.commit(
        values,
        {"lab": LinkRecord("cd" * 16, 3, 2)},
        [("lab", 3, [b"header", b"signature", b""])],
        [Row(1, b'{"entry":"opening"}', b"s" * 16)],
    )
    store.close()
    vector.same(sql=dumped(tmp_path / "new" / "run.db"))
    (tmp_path / "old").mkdir()
    restored(tmp_path / "old" / "run.db", vector.frozen["sql"])
    with vector.read():
        again = RunStore(tmp_path / "old")
        state = again.state()
        assert (again.id, again.meta("store"), again.value("phase")) == ("ab" * 16, "ab" * 16, b"serving")
        assert state.keys() == values.keys() and all(np.array_equal(state[key], values[key]) for key in values)
        assert state["train"].dtype == np.uint8  # type: ignore[union-attr]
        assert again.links() == {"lab": LinkRecord("cd" * 16, 3, 2)}
        assert again.outbox("lab", 2) == [(3, [b"header", b"signature", b""])]
        assert list(again.ledger_lines()) == [b'{"entry":"opening"}']
        again.close()


def rows(ids: Sequence[str]) -> Table:
    return Table(list(ids), pl.DataFrame(), None, Path("/nowhere/rows.csv"), pl.DataFrame({"id": list(ids)}))


def test_budget_of_a_partys_data(tmp_path: Path) -> None:
    vector, (new, old) = Vector("budget-db"), (tmp_path / "new", tmp_path / "old")
    budget = DataBudget(new)
    budget.admit(rows(["A-007", "b 12"]))
    assert budget.spend("a run", [Charge("queries", 5, 100), Charge("sums", 2, None)]) is None
    text = "\n".join(dumped(new / "budget.db")).replace(budget.id, "ID")
    vector.same(sql=text.splitlines())
    old.mkdir()
    restored(old / "budget.db", vector.frozen["sql"])
    with vector.read():
        again = DataBudget(old)
        again.admit(rows(["a7", "x"]))
        assert (again.id, again.spent("queries"), again.spent("sums")) == ("ID", 5, 2)


class Doubling:
    """A scheme that draws nothing, so that its releases can be written down."""

    statement = "twice the label"

    def release(self, labels: Sequence[Any]) -> Any:
        return np.array([2.0 * label for label in labels])


def test_releases_of_labels(tmp_path: Path) -> None:
    vector, file = Vector("label-releases"), tmp_path / "label.json"
    release_once(file, Doubling(), ["a", "é"], [1, 2.25], "in the clear")  # type: ignore[arg-type]
    vector.same(text=file.read_text())
    file.write_text(vector.frozen["text"])
    with vector.read():
        kept = release_once(file, Doubling(), ["é", "a"], [7, 7], "in the clear")  # type: ignore[arg-type]
        assert kept.tolist() == [4.5, 2.0]


def test_digests_of_a_table() -> None:
    """A resumed run compares its table with these; other digests would end every run that was begun before."""
    digest = learnt_from._Digest(bytes(range(32)))
    learnt = learnt_from.LearntFrom({"[learner] kind": "linear"}, {"age": "numbers"}, {"age": "ab"}, b"1" * 8, b"2" * 8)
    text = learnt_from._write(learnt)
    vector = Vector("learnt-from")
    vector.same(
        id=digest.id("é").hex(),
        labels=[digest.label("é", label).hex() for label in (1, 1.0, "1", None)],
        numbers=digest.column("age", pl.Series([1, None, 3])),
        texts=digest.column("town", pl.Series(["a", None, "é"])),
        text=text,
    )
    with vector.read():
        assert learnt_from.read(vector.frozen["text"]) == learnt


def test_a_schema_by_its_digest() -> None:
    """`secure-gal drift` compares it with the one that was kept; another digest says that every old table was read in
    another way."""
    vector = Vector("schema-digest")
    with vector.read():
        schema = msgspec.convert(vector.given["schema"], Schema)
        elsewhere = msgspec.structs.replace(schema, dialect=None, asked={"columns": "age"})
    assert msgspec.json.decode(msgspec.json.encode(schema)) == vector.given["schema"], (
        f"layer {vector.layer!r}: its fields"
    )
    vector.same(digest=schema.digest, digest_of_another_file=elsewhere.digest)


def test_distributions_file(tmp_path: Path) -> None:
    vector = Vector("distributions")
    age, town = Column("age", 1, (17.5, 40.0), (0, 3, 1)), Column("town", 0, levels={"a": 4, "é": 1})
    learnt = Distributions(1, "ab" * 32, 5, (age, town))
    distributions.write(tmp_path, learnt)
    vector.same(name=distributions.FILE, text=(tmp_path / distributions.FILE).read_text())
    (tmp_path / distributions.FILE).write_text(vector.frozen["text"])
    with vector.read():
        assert distributions.read(tmp_path) == learnt


def packed(raw: bytes) -> str:
    return base64.b64encode(zlib.compress(raw, 9)).decode()


def unpacked(text: str) -> bytes:
    return zlib.decompress(base64.b64decode(text))


X = np.random.default_rng(0).standard_normal((40, 2))
R = (X @ np.array([[1.0, 0.5], [-1.0, 0.25]])).astype(np.float32)


def test_encoder_file(tmp_path: Path) -> None:
    vector, file = Vector("encoder-file"), tmp_path / "encoder.npz"
    core = KMeansPatches(3, 1, (1, 1), np.full(9, 0.125, np.float32), np.eye(9, 2, dtype=np.float32))
    encoder = Encoder("kmeans", (1, 4, 4), core, np.array([0.0, 0.1, 0.2, 0.3]), np.array([1.0, 2.0, 0.5, 1.0]))
    encoder_file.write(file, encoder)
    with np.load(file) as held:
        arrays = {name: [held[name].dtype.str, list(held[name].shape)] for name in held.files}
        header = held[held.files[0]].tobytes().decode()
    image = np.linspace(-1, 1, 16, dtype=np.float32).reshape(1, 1, 4, 4)
    vector.same(
        header=header, arrays=arrays, features=[f"{value:.5f}" for value in encoder.transform(image)[0].tolist()]
    )
    file.write_bytes(unpacked(vector.given["file"]))
    with vector.read():
        again = encoder_file.read(file, "kmeans", (1, 4, 4), EncoderOptions())
        assert np.allclose(again.transform(image), [list(map(float, vector.frozen["features"]))], atol=1e-5)


def laid_out(value: object) -> dict[str, Any]:
    """Which of our classes a saved value names, and the fields that it holds of each: in order, where order counts."""
    found: dict[str, Any] = {}
    _walk(Writer().write(value), found)
    return dict(sorted((name, fields) for name, fields in found.items() if name.startswith("secure_gal")))


def _walk(node: Any, found: dict[str, Any]) -> None:
    match node:
        case {"class": name, "state": state}:
            found[name] = _fields(name, state)
        case {"of": name, "weights": weights, "layers": layers, "settings": settings}:  # of a network
            found[name] = [key for key, _ in (*weights, *layers, *settings["dict"])]
        case {"struct": name}:
            found[name] = []
    for inner in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        _walk(inner, found)


def _fields(name: str, state: Any) -> list[str]:
    match state:
        case {"list": _}:  # of a frozen dataclass with slots: values in the order of its fields
            return [field.name for field in dataclasses.fields(class_named(name, PLACES))]
        case {"dict": pairs}:
            return sorted(key for key, _ in pairs)
        case {"tuple": parts}:
            return sorted(key for part in parts if part for key, _ in part["dict"])
        case _:
            return []


LEARNERS: dict[str, dict[str, Any]] = {
    "linear": {"kind": "linear", "features": "standardized", "options": {"ridge": "auto"}},
    "linear-plain": {"kind": "linear"},
    "linear-maps": {"kind": "linear", "features": ["binned", "fourier", "trees", "polynomial"]},
    "linear-fresh": {"kind": "linear", "features": "fourier", "fresh_features": True},
    "gb": {"kind": "gb", "options": {"max_iter": 2}},
    "svm": {"kind": "svm"},
    "linear-encoder-of-images": {"kind": "linear", "features": "encoder", "options": {"encoder": "kmeans"}},
    "linear-encoder-of-tables": {"kind": "linear", "features": "encoder", "options": {"encoder_epochs": 1}},
    "mlp": {"kind": "mlp", "device": "cpu", "options": {"epochs": 1, "hidden": 4}},
    "mlp-shared": {"kind": "mlp", "device": "cpu", "options": {"epochs": 1, "share_extractor": True}},
    "gru": {"kind": "gru", "device": "cpu", "options": {"epochs": 1}},
    "cnn": {"kind": "cnn", "device": "cpu", "options": {"epochs": 1, "blocks": 1, "width": 4}},
}


def saved_by(name: str, folder: Path) -> object:
    """What a party saves: two rounds' models of a learner, or the encoders of tables and arrays and a label coding."""
    if name == "encoders":
        frame = pl.DataFrame({"age": [1.0, 2.0, 4.0], "town": ["a", "b", "a"]})
        codec = LabelCodec.fit("regression", [1.0, 2.0, 4.0], np.ones(3, dtype=np.bool_))
        return TableEncoder.fit(frame), ArrayEncoder((2,), np.zeros(2), np.ones(2)), codec
    learner = make_learner(msgspec.convert(LEARNERS[name], LearnerSettings), folder, "l2", 5, lambda: bytes(32))
    shape = {"gru": (40, 2, 1), "cnn": (40, 1, 8, 8), "linear-encoder-of-images": (40, 1, 8, 8)}.get(name, (40, 2))
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32 if len(shape) > 2 else np.float64)
    return [learner.fit(x, R, seed) for seed in (1, 2)]


@pytest.mark.parametrize("name", sorted(Vector("saved-classes").frozen))
def test_saved_classes(name: str, tmp_path: Path) -> None:
    """A saved model names classes by their modules: one that moves, or changes its fields, ends every run before it."""
    vector = Vector("saved-classes")
    with vector.read():
        found = laid_out(saved_by(name, tmp_path))
    assert found == vector.frozen[name], f"layer {vector.layer!r}, {name}: {found} is not what saved-classes.json has"


def test_saved_models() -> None:
    """Models that were saved before are read, linked to the map that round 1's carries, and predict as they did."""
    vector = Vector("saved-models")
    prefix = storage.dump(None).partition(b"\n")[0]
    x = np.array([[0.5, -1.0], [2.0, 0.25]])
    with vector.read():
        models = {name: linked([unpacked(raw) for raw in raws]) for name, raws in vector.given["models"].items()}
        found = {name: [m.predict(x).round(6).tolist() for m in each] for name, each in models.items()}
        encoder, codec = storage.load(unpacked(vector.given["encoder"]))
    vector.same(
        begins=prefix.decode(),
        predictions=found,
        columns=encoder.names,
        decoded=codec.decode(np.array([[-1.0], [2.0]])),
    )
