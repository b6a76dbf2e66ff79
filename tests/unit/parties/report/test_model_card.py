"""The model card says what there is, and names neither a row's value nor a level."""

from __future__ import annotations

import json

from parties.report.model_card import model_card
from parties.report.page import protections
from secure_gal.gal.verdict import Finding
from tests.support.report_sample import EVALUATION, LEARNT, STUDY, summary


def card(**changes: object) -> dict[str, object]:
    return dict(model_card(summary(**changes), STUDY, protections(STUDY), LEARNT, ""))


def test_groups_and_classes_stand_in_it_without_their_names() -> None:
    absent = Finding("class-not-trained", "syphilis")
    found = card(findings=[{"kind": absent.kind, "about": absent.about, "text": absent.text}])
    text = json.dumps(found)
    for level in ("female", "male", "rare", "syphilis"):
        assert level not in text
    assert "class (of the label) is in no training row" in text
    groups = found["worth"]["groups"]  # type: ignore[index]
    assert groups["sex"]["groups"] == groups["sex"]["measured"] == 2
    values = [g["selected"]["value"] for g in EVALUATION["groups"] if g["column"] == "sex"]
    assert groups["sex"]["largest_less_smallest"]["selected"] == abs(values[0] - values[1])
    assert groups["ward"]["measured"] == 1 and groups["ward"]["largest_less_smallest"]["auc"] is None


def test_without_rows_that_judge_it_says_so() -> None:
    found = card(evaluation=None)
    assert found["worth"] is None and "No row says what this model is worth" in found["limits"][0]  # type: ignore[index]


def test_what_it_says_of_model_and_data_is_what_is_known() -> None:
    computing = summary()["computing"]
    found = card(computing=computing | {"kind": "cnn", "features": "auto", "values": "as fitted", "device": "secret"})
    assert found["model"] == {
        "study": "demo",
        "study_digest": "4a" * 32,
        "run": "14" * 32,
        "parties": ["hospital", "lab-a", "lab-b"],
        "task": "classification",
        "loss": STUDY.loss_name,
        "weights": STUDY.weights,
        "rounds_kept": 3,
        "sponsors_learner": {"kind": "cnn", "features": "auto", "values": "as fitted"},
    }
    data = found["data"]
    assert data["rows"] == {"aligned": 455, "train": 364, "validation": 91}  # type: ignore[index]
    assert data["sponsors_schema_digest"] is None and len(data["sponsors_table_digest"]) == 64  # type: ignore[index]
    shown = {name: (c["holds"], c["digest"]) for name, c in data["sponsors_columns"].items()}  # type: ignore[index]
    assert shown == {name: (held, LEARNT.values[name]) for name, held in LEARNT.columns.items()}
    assert model_card(summary(), STUDY, {}, LEARNT, "ab")["data"]["sponsors_schema_digest"] == "ab"
    assert found["format"] == 1 and found["protections"] == protections(STUDY) and found["versions"]
