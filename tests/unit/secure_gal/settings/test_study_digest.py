"""The study digest, version 3: frozen, and deaf to fields that come later and are left at their default."""

from __future__ import annotations

import hashlib
import json
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from secure_gal.settings import digest as study_digest
from secure_gal.settings.checks import check_study
from secure_gal.settings.load import convert, load_study
from secure_gal.settings.study import Protect, Study

VECTORS = Path(__file__).parents[3] / "vectors"
NAMES = ("minimal", "encrypted-sums", "noised-classes", "interval-regression", "weighted-rows", "quantile")


class LaterProtect(Protect, frozen=True, forbid_unknown_fields=True):
    veil: int = 0
    marks: tuple[str, ...] = ()


class LaterStudy(Study, frozen=True, forbid_unknown_fields=True):
    """A study of a release to come, with more fields."""

    colour: str = "none"
    extra: dict[str, int] = msgspec.field(default_factory=dict)
    protect: LaterProtect = LaterProtect()


def vector(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((VECTORS / f"study-digest-{name}.json").read_text())
    return found


def load(name: str, folder: Path) -> Study:
    (folder / "study.toml").write_text("\n".join(vector(name)["study_toml"]))
    return load_study(folder / "study.toml")


@pytest.mark.parametrize("name", NAMES)
def test_canonical_text_and_digest_are_frozen(name: str, tmp_path: Path) -> None:
    frozen, study = vector(name), load(name, tmp_path)
    assert study.canonical(frozen["fingerprints"]).decode() == frozen["canonical"]
    assert study.digest(frozen["fingerprints"]) == frozen["digest"]
    body = b"secure-gal/3 study digest\0" + frozen["canonical"].encode()
    assert hashlib.sha256(body).hexdigest() == frozen["digest"], "the vector itself is sound"


def test_the_vectors_set_every_field(tmp_path: Path) -> None:
    studies = [load(name, tmp_path) for name in NAMES[1:]]
    for kind, found in ((Study, studies), (Protect, [study.protect for study in studies])):
        for field in msgspec.structs.fields(kind):
            default = study_digest._default(field)
            assert any(getattr(item, field.name) != default for item in found), f"{field.name} is set in no vector"


def test_the_address_is_no_part_of_it(tmp_path: Path) -> None:
    study, prints = load("minimal", tmp_path), vector("minimal")["fingerprints"]
    other = msgspec.structs.replace(study, address="tcp://elsewhere:7002")
    assert other.digest(prints) == study.digest(prints)


def test_every_other_field_changes_it(tmp_path: Path) -> None:
    """Each field that a vector sets goes back to its default."""
    for name in NAMES[1:]:
        study, prints = load(name, tmp_path), vector(name)["fingerprints"]
        for kind, item in ((Study, study), (Protect, study.protect)):
            for field in msgspec.structs.fields(kind):
                default = study_digest._default(field)
                if default in (msgspec.NODEFAULT, getattr(item, field.name)) or field.name in ("address", "protect"):
                    continue
                other = msgspec.structs.replace(item, **{field.name: default})
                whole = other if kind is Study else msgspec.structs.replace(study, protect=other)
                same = whole.loss_name == study.loss_name and field.name == "loss"  # "auto" written out
                assert (whole.digest(prints) == vector(name)["digest"]) == same, field.name


def later(name: str, folder: Path, **changes: Any) -> LaterStudy:
    """The study of a vector, read by a release that has more fields."""
    load(name, folder)
    raw = tomllib.loads((folder / "study.toml").read_text())
    study = convert(
        raw | changes | {"protect": raw.get("protect", {}) | changes.get("protect", {})}, LaterStudy, folder
    )
    check_study(study, folder)
    return study


@pytest.mark.parametrize("name", NAMES)
def test_a_later_field_at_its_default_leaves_the_digest_alone(name: str, tmp_path: Path) -> None:
    frozen = vector(name)
    assert later(name, tmp_path).digest(frozen["fingerprints"]) == frozen["digest"]
    same = {"colour": "none", "extra": {}, "protect": {"veil": 0, "marks": []}}
    assert later(name, tmp_path, **same).digest(frozen["fingerprints"]) == frozen["digest"], (
        "also where it is written out"
    )


def test_a_later_field_that_is_set_changes_it(tmp_path: Path) -> None:
    frozen = vector("later-fields")
    study = later("minimal", tmp_path, **frozen["later"])
    assert study.canonical(frozen["fingerprints"]).decode() == frozen["canonical"]
    assert study.digest(frozen["fingerprints"]) == frozen["digest"] != vector("minimal")["digest"]
    alone = [{"colour": "red"}, {"extra": {"a": 1}}, {"protect": {"veil": 2}}, {"protect": {"marks": ["x"]}}]
    assert len({later("minimal", tmp_path, **one).digest(frozen["fingerprints"]) for one in alone}) == len(alone)
