"""What a person meets: every mistake in settings and data is named before a port opens or anything is sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from parties.audit.ledger import verify_ledger
from parties.commands import setup
from parties.commands.assist import assist
from parties.commands.train import train
from parties.run.session import open_session
from secure_gal.data.encode import LabelCodec
from secure_gal.data.encode_table import Columns
from secure_gal.data.table import read_table
from secure_gal.errors import DataError, SettingsError
from secure_gal.labels.release import release_once, release_path
from secure_gal.labels.schemes import RangeInterval, RangeResponse
from secure_gal.settings.party import DataSettings
from tests.support.party_files import ROWS, Online, offline, party, table

__all__ = ["offline"]  # the fixture that keeps these tests off the network


def labels(value: object, row: int = 26) -> list[Any]:
    found: list[Any] = [str(v) for v in table()["label"]]
    found[row] = value
    return found


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"label": labels("abc")}, "must be a number .*row 27 has 'abc': correct or remove"),
    ({"label": labels("49,08")}, r"with a decimal point\); row 27 has '49,08'"),
    ({"label": labels("inf")}, "infinite or not a number: row 27 has 'inf'"),
    ({"label": [5.0] * ROWS}, "the target is the same"),
    ({"label": None}, "has no label column 'label'"),
    ({"c0": None}, 'no feature columns; add some .*kind = "none"'),
    ({"c0": [1] * ROWS}, "every feature column is constant"),
    ({"data": 'categorical=["nope"]\n'}, "categorical: no such column: nope; the table's columns are id, c0, label"),
    ({"study": "max_ids=59\n"}, "holds 60 ids, and the study allows max_ids = 59"),
    (
        {
            "task": "classification",
            "label": ["no", "yes"] * (ROWS // 2),
            "study": 'row_weights="sponsor"\n',
            "data": "class_weights={maybe=3}\n",
        },
        "class_weights: 'maybe' is no class of the label; accepted: no, yes",
    ),
    ({"task": "classification"}, 'label has 60 different values in 60 rows; is task = "regression" meant'),
    (
        {"c0": [f"{i}" for i in range(40)] + ["low", "high"] * 10},
        "c0': 67% of its values are numbers, 20 are not: row 41",
    ),
    ({"learner": 'kind="gb"\noptions={ maxiter=3 }\n'}, "unknown maxiter for 'gb'"),
    ({"learner": 'kind="gb"\noptions={ max_iter=0.5 }\n'}, "'max_iter' parameter .* must be an int"),
    ({"learner": 'kind="svm"\noptions={ kernel="rfb" }\n'}, "'kernel' parameter of SVR must be"),
]


@pytest.mark.parametrize(("changes", "message"), WRONG)
def test_a_sponsor_hears_of_its_data_before_the_port_opens(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    file = party(tmp_path, **changes)
    for command in (setup.check_party, train):
        with pytest.raises(SettingsError, match=message) as error:
            command(file)
        assert error.value.exit_code == 2


def test_without_a_mistake_the_port_is_opened(tmp_path: Path) -> None:
    file = party(tmp_path)
    assert setup.check_party(file).endswith("this party hospital: 60 rows, 1 feature columns; everything checked")
    with pytest.raises(Online):
        train(file)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"c0": [1] * ROWS}, "every feature column is constant"),
        ({"data": 'categorical=["nope"]\n'}, "no such column: nope"),
        ({"study": "max_ids=59\n"}, "max_ids = 59"),
    ],
)
def test_an_assistor_hears_of_its_data_before_it_dials(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    file = party(tmp_path, "lab", label=None, **changes)
    with pytest.raises(DataError, match=message):
        setup.check_party(file)
    with pytest.raises(DataError, match=message):
        assist(file, consent=open_session(file).digest)


def test_without_a_mistake_the_assistor_dials(tmp_path: Path) -> None:
    file = party(tmp_path, "lab", label=None)
    with pytest.raises(Online):
        assist(file, consent=open_session(file).digest)


@pytest.mark.parametrize("file", ["x.npy", "x.npz"])
def test_arrays_are_looked_at_no_further_than_to_the_first_difference(tmp_path: Path, file: str) -> None:
    ids, x = np.array([f"P{i}" for i in range(ROWS)]), np.ones((ROWS, 2, 3), dtype=np.float32)
    toml = party(tmp_path, "lab", label=None)
    toml.write_text(toml.read_text().replace("lab.csv", file) + 'kind = "lstm"\n')

    def write() -> None:
        np.savez(tmp_path / "x.npz", x=x, id=ids)
        np.save(tmp_path / "x.npy", x)
        pl.DataFrame({"id": ids}).write_csv(tmp_path / "x.csv")

    write()
    with pytest.raises(DataError, match="x is the same in all rows"):
        setup.check_party(toml)
    x[7, 1, 2] = 2
    write()
    assert "everything checked" in setup.check_party(toml)
    toml.write_text(toml.read_text().replace('id="id"', 'id="id"\ncategorical=["c"]'))
    with pytest.raises(DataError, match="holds arrays, which have no such columns"):
        setup.check_party(toml)


def test_check_warns_of_a_column_that_may_be_an_identifier(tmp_path: Path) -> None:
    file = party(tmp_path, name_=[f"Ms {i}" for i in range(ROWS)], kind_=[f"k{i % 3}" for i in range(ROWS)])
    text = setup.check_party(file)
    assert (
        "warning: column 'name_': looks like an identifier or free text and is left out" in text
        and "'kind_'" not in text
    )
    assert Columns.of(pl.DataFrame({"few": list("abcdefgh")})).warnings == []


def test_classes_written_as_numbers_are_accepted_where_they_are_few_or_whole() -> None:
    def check(values: list[Any]) -> None:
        LabelCodec.fit("classification", values, np.ones(len(values), dtype=np.bool_)).check_classes(len(values))

    check([i % 20 for i in range(40)])
    check([i % 100 for i in range(1000)])
    check([f"c{i}" for i in range(100)])
    for values in ([i % 100 for i in range(999)], [(i % 21) + 0.5 for i in range(1000)]):
        with pytest.raises(DataError, match="is task = "):
            check(values)


def test_a_header_that_names_a_column_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id,c0,c0\n1,2,3\n")
    with pytest.raises(DataError, match="more than one column 'c0' in its header"):
        read_table(DataSettings(tmp_path / "t.csv", "id"))


def test_text_with_commas_stays_text(tmp_path: Path) -> None:
    rows = "".join(f'{i},"{"abc"[i % 3]}, 1"\n' for i in range(10))
    (tmp_path / "t.csv").write_text(f"id,c0\n{rows}")
    assert read_table(DataSettings(tmp_path / "t.csv", "id")).frame["c0"].dtype == pl.String
    rows = "".join(f'{i},"1,{i}"\n' for i in range(10))
    (tmp_path / "t.csv").write_text(f"id,c0\n{rows}")
    assert read_table(DataSettings(tmp_path / "t.csv", "id", None, ("c0",))).frame.width == 1, (
        "declared, so taken as text"
    )


@pytest.mark.parametrize("scheme", [RangeResponse(2.0, 0.0, 10.0), RangeInterval(0.0, 10.0)])
def test_labels_that_a_public_range_cuts_off_are_told_of(scheme: RangeResponse | RangeInterval) -> None:
    assert scheme.check([1, 2, 3, 12.5]).startswith("25% of the labels lie outside label_range [0.0, 10.0]")
    assert scheme.check([0, 10]) == ""


def test_check_tells_the_sponsor_alone_of_clipped_labels(tmp_path: Path) -> None:
    private = '[protect]\nresiduals="dp"\nepsilon=4.0\nlabel_range=[49, 51]\n'
    (tmp_path / "h").mkdir(), (tmp_path / "l").mkdir()
    assert "of the labels lie outside label_range" in setup.check_party(party(tmp_path / "h", study=private))
    assert "outside label_range" not in setup.check_party(party(tmp_path / "l", "lab", study=private, label=None))


def test_a_sponsor_hears_of_a_renamed_label_before_it_opens_its_port(tmp_path: Path) -> None:
    """To go on is a word of its own, which stands in the ledger; `check` only warns."""
    file = party(tmp_path, study='[protect]\nresiduals="dp"\nepsilon=4.0\nlabel_range=[30, 70]\n')
    path, ids = release_path(tmp_path / "keys", "Label"), [f"P{i:03}" for i in range(ROWS)]
    release_once(path, RangeResponse(4.0, 30, 70), ids, [50.0] * ROWS, "of id, compared as text")
    assert "'label' is a new name, and for 60 of its ids a label was released before as 'Label'" in setup.check_party(
        file
    )
    with pytest.raises(SettingsError, match="--beyond labels=2"):
        train(file)
    with pytest.raises(SettingsError, match=r"'labels=1.5': 1.5 is no whole number"):
        train(file, beyond=["labels=1.5"])
    with pytest.raises(Online):
        train(file, beyond=["labels=2"])
    assert verify_ledger(tmp_path / "run" / "ledger.jsonl").beyond == {"labels": 2.0}
    path.rename(path.with_name("label.json"))
    assert "new name" not in setup.check_party(file)
