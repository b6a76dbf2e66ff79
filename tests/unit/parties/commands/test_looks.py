"""How ids and labels look is shown to a party's own person: at `check`, and before `train` goes online."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from parties.commands import setup
from parties.commands.train import train
from secure_gal.errors import DataError
from secure_gal.protection import sponsor_data
from secure_gal.settings.load import load_party
from tests.support.party_files import ROWS, Online, offline, party

__all__ = ["offline"]  # the fixture that keeps these tests off the network

CLASSES = ["yes"] * 30 + ["no"] * 25 + ["NO"] * 5


def classified(folder: Path, labels: list[Any], study: str = "", **changes: Any) -> Path:
    return party(folder, task="classification", study=study, label=labels, **changes)


def test_check_shows_the_form_of_ids_and_what_each_id_form_would_do(tmp_path: Path) -> None:
    text = setup.check_party(party(tmp_path))
    assert "ids in column 'id': 60, all different; all of 4 characters" in text
    assert "P999 (60)" in text and "P000" not in text and "P059" not in text
    assert '\n  id_form = "text" (this study\'s): every id stays different' in text
    assert '\n  id_form = "digits": every id stays different' in text


def test_check_shows_the_form_of_ids_at_an_assistor_and_no_label(tmp_path: Path) -> None:
    text = setup.check_party(party(tmp_path, "lab", label=None))
    assert "ids in column 'id': 60" in text and "classes in" not in text


def test_check_warns_of_ids_in_mixed_forms(tmp_path: Path) -> None:
    ids = ["7", "007", *(f"{i:03}" for i in range(100, 98 + ROWS))]
    assert "warning: id column 'id': 2 different ids are told apart by zeros" in setup.check_party(
        party(tmp_path, id=ids)
    )


def test_check_shows_classes_with_counts_and_warns(tmp_path: Path) -> None:
    text = setup.check_party(classified(tmp_path, CLASSES, "outputs=3\n"))
    assert "label 'label': 3 classes in 60 rows\n  'NO': 5 (8.3%)\n  'no': 25 (41.7%)\n  'yes': 30 (50.0%)\n" in text
    assert "warning: label 'label': 'NO' (5 rows) and 'no' (25 rows) look alike" in text
    assert "warning: label 'label': few rows of 'NO' (5)" in text


def test_another_number_of_classes_is_refused_with_their_counts_and_what_looks_wrong(tmp_path: Path) -> None:
    file = classified(tmp_path, CLASSES)
    for command in (setup.check_party, train):
        with pytest.raises(DataError) as error:
            command(file)
        assert "3 classes, and the study 1 outputs. label 'label': 'NO' (5 rows) and 'no' (25 rows) look alike" in str(
            error.value
        )
        assert "'yes': 30 (50.0%)" in str(error.value)


def test_codes_with_a_zero_at_the_front_stay_two_classes(tmp_path: Path) -> None:
    text = setup.check_party(classified(tmp_path, ["01", "1"] * (ROWS // 2)))
    assert "2 classes in 60 rows\n  '1': 30 (50.0%)\n  '01': 30 (50.0%)" in text
    assert "warning: label 'label': '1' (30 rows) and '01' (30 rows) look alike" in text


def test_train_shows_classes_and_warnings_before_it_goes_online(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Online):
        train(classified(tmp_path, CLASSES, "outputs=3\n"))
    said = capsys.readouterr().err
    assert "label 'label': 3 classes in 60 rows; 'NO': 5 (8.3%);" in said
    assert "warning: label 'label': 'NO' (5 rows) and 'no' (25 rows) look alike" in said


@pytest.mark.parametrize("study", ["", '[protect]\nresiduals="dp"\nepsilon=1.0\nclasses=["yes","no"]\n'])
def test_a_class_that_one_part_of_the_split_lacks_is_said_once_the_split_is_known(tmp_path: Path, study: str) -> None:
    file = classified(tmp_path, ["yes"] * 2 + ["no"] * 58, study)
    own, settings = load_party(file)
    said: list[str] = []
    data = sponsor_data(own, settings, tmp_path, said.append)
    own.run_dir.mkdir(exist_ok=True)
    data.prepare(np.arange(ROWS), np.arange(ROWS) < 40)
    (found,) = [text for text in said if "class 'yes'" in text]
    assert found.startswith("class 'yes' has 2 of training rows and none of validation. The split is drawn by `seed`")
    said.clear()
    data.prepare(np.arange(ROWS), np.arange(ROWS) % 2 == 0)
    assert not [text for text in said if "class 'yes'" in text], "each part has one"
