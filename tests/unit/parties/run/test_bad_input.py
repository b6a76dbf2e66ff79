"""Bad settings, keys and tables: a clear error that names the field and the fix, and nothing is lost."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from crypto.errors import Malformed
from crypto.identity import Card, Identity
from crypto.private_files import write_new
from parties.commands import setup
from parties.run.keys import Pins, load_identity
from parties.run.session import open_session, open_store
from parties.run.store import RunStore
from secure_gal.data.align import Alignment, combine, match_clear
from secure_gal.data.encode import LabelCodec
from secure_gal.data.encode_table import TableEncoder
from secure_gal.data.table import read_table
from secure_gal.errors import DataError, EnvironmentFailure, SettingsError
from secure_gal.learners import make_learner, storage
from secure_gal.settings.load import load_party, load_study
from secure_gal.settings.party import DataSettings, LearnerSettings

STUDY = 'name="s"\ntask="classification"\nsponsor="hospital"\naddress="tcp://h:7001"\nassistors=["lab"]\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("round = 3\n", "unknown field `round`"),
        ('rounds = "3"\n', r"Expected `int`, got `str` - at `rounds`: '3'"),
        ("rounds = 0\n", "`rounds` is 0; accepted: 1 to 1000"),
        ("validation = 0.9\n", "`validation` is 0.9; accepted: 0 to 0.5"),
        ('learning_rate = "fast"\n', "learning_rate"),
        ("learning_rate = -1.0\n", "`learning_rate` is -1.0"),
        ('loss = "l2"\n', "`loss` is 'l2'; accepted: cross_entropy"),
        ('[protect]\nresiduals = "aes"\n', "`protect.residuals` is 'aes'; accepted: 'ckks', 'dp', 'ip', 'none'"),
        ('[protect]\nparameters = "fast"\n', r"`protect.parameters` is 'fast'; .* is gone; write .standard."),
        ("rouns = 3\n", "did you mean `rounds`.; accepted: name, task"),
        ("[protect]\nepsilom = 1\n", r"`epsilom` in \[protect\]; did you mean `epsilon`"),
        ('weights = "fited"\n', "^[^']*`weights` is 'fited'; accepted: 'fitted', 'paper', 'uniform'$"),
        ("rounds = = 3\n", "not valid TOML"),
    ],
)
def test_study_errors_name_file_field_and_range(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "study.toml").write_text(STUDY + text)
    with pytest.raises(SettingsError, match=message) as error:
        load_study(tmp_path / "study.toml")
    assert "study.toml" in str(error.value)


def test_missing_field_and_missing_file(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text('name="s"\n')
    with pytest.raises(SettingsError, match="missing required field `task`"):
        load_study(tmp_path / "study.toml")
    with pytest.raises(SettingsError, match="secure-gal new"):
        load_study(tmp_path / "nothing.toml")


def test_templates_load_and_are_never_overwritten(tmp_path: Path) -> None:
    setup.new_files("hospital", "sponsor", tmp_path)
    setup.new_files("lab", "assistor", tmp_path)
    assert load_party(tmp_path / "hospital.toml")[0].bind == "tcp://*:7001"
    assert load_party(tmp_path / "lab.toml")[1].assistors == ("lab", "insurer")
    with pytest.raises(SettingsError, match="never overwritten"):
        setup.new_files("hospital", "sponsor", tmp_path)


def test_keys_are_private_and_never_overwritten(tmp_path: Path) -> None:
    setup.keygen("lab", tmp_path)
    assert (tmp_path / "lab.key").stat().st_mode & 0o777 == 0o600
    with pytest.raises(SettingsError, match="never overwritten"):
        setup.keygen("lab", tmp_path)
    os.chmod(tmp_path / "lab.key", 0o640)
    with pytest.raises(SettingsError, match="chmod 600"):
        load_identity(tmp_path, "lab")


def test_an_identity_prints_and_serialises_nothing_secret(tmp_path: Path) -> None:
    import copy

    identity = Identity.generate("lab")
    assert repr(identity) == "Identity(lab)"
    with pytest.raises(TypeError):
        copy.copy(identity)


def test_a_changed_card_needs_replace(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        setup.keygen("lab", tmp_path / folder)
    home, cards = tmp_path / "home", [tmp_path / f / "lab.card" for f in ("a", "b")]
    with pytest.raises(SettingsError, match="not confirmed"):
        setup.trust_card(cards[0], home, False, lambda _: False)
    setup.trust_card(cards[0], home, False, lambda _: True)
    with pytest.raises(SettingsError, match="--replace"):
        setup.trust_card(cards[1], home, False, lambda _: True)
    setup.trust_card(cards[1], home, True, lambda _: True)
    assert Pins(home).get("lab").to_bytes() == cards[1].read_bytes()
    Pins(home).remove("lab")
    assert Pins(home).all() == {}


def test_an_altered_card_is_refused() -> None:
    raw = Identity.generate("lab").card.to_bytes()
    for at in range(len(raw)):
        with pytest.raises(Malformed):
            Card.from_bytes(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :])


def party(tmp_path: Path, study: str = STUDY) -> Path:
    (tmp_path / "study.toml").write_text(study)
    (tmp_path / "lab.toml").write_text(
        'study="study.toml"\nparty="lab"\nhome="keys"\nrun_dir="run"\n[data]\npath="lab.csv"\nid="id"\n'
    )
    (tmp_path / "lab.csv").write_text("id,a\n007,1\n8,2\n9,4\n")
    return tmp_path / "lab.toml"


def test_an_unpinned_party_is_refused_by_check(tmp_path: Path) -> None:
    file = party(tmp_path)
    setup.keygen("lab", tmp_path / "keys")
    with pytest.raises(SettingsError, match=r"no pinned card of hospital.*secure-gal trust hospital\.card"):
        open_session(file)
    setup.keygen("hospital", tmp_path / "other")
    setup.trust_card(tmp_path / "other" / "hospital.card", tmp_path / "keys", False, lambda _: True)
    text = setup.check_party(file)
    assert "the labels of all training rows" in text and open_session(file).digest in text


def test_another_study_in_the_run_dir_is_refused(tmp_path: Path) -> None:
    file = party(tmp_path)
    setup.keygen("lab", tmp_path / "keys")
    setup.keygen("hospital", tmp_path / "other")
    setup.trust_card(tmp_path / "other" / "hospital.card", tmp_path / "keys", False, lambda _: True)
    store = open_store(open_session(file))
    with pytest.raises(EnvironmentFailure, match="in use by another process"):
        RunStore(tmp_path / "run")
    store.commit({"agreement": b"{}"}, {}, [])
    store.close()
    party(tmp_path, STUDY + "rounds = 4\n")
    with pytest.raises(SettingsError, match="another study"):
        open_store(open_session(file))


def test_another_version_of_a_saved_file(tmp_path: Path) -> None:
    store = RunStore(tmp_path / "run")
    store._db.execute("PRAGMA user_version=99")
    store.close()
    with pytest.raises(SettingsError, match="format 99"):
        RunStore(tmp_path / "run")
    with pytest.raises(SettingsError, match="another format"):
        storage.load(b"secure-gal model 9\n...")


def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    store = RunStore(tmp_path / "run")
    store.commit({"phase": b"learning"}, {}, [])
    pages = store._db.execute("PRAGMA page_count").fetchone()[0]
    store._db.execute(f"PRAGMA max_page_count={pages + 2}")
    with pytest.raises(EnvironmentFailure, match="free some disk space"):
        store.commit({"phase": b"serving", "big": bytes(1 << 20)}, {}, [("lab", 1, [b"x"])])
    assert store.state() == {"phase": b"learning"} and store.outbox("lab", 0) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,a\n1,2\n1,3\n", "1 id stands more than once, in 2 rows in all; the first, '1', in rows 1, 2"),
        ("id,a\n1,2\n,3\n", "row 2 has no id"),
        ("id,a\n", "no rows"),
        ("key,a\n1,2\n", "no id column 'id'"),
        ("id,a\n" + "".join(f"{i},{i}\n" for i in range(40)) + "40,abc\n41,x\n", "row 41 has 'abc'"),
    ],
)
def test_table_errors_name_column_and_row(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read_table(DataSettings(tmp_path / "t.csv", "id"))


def test_missing_label(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id,a,y\n1,2,0\n2,3,\n")
    with pytest.raises(DataError, match="row 2 has no label in column 'y'"):
        read_table(DataSettings(tmp_path / "t.csv", "id", "y"))


def test_ids_are_verbatim_in_csv_and_parquet(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id,a\n007,1\n7,2\n")
    assert read_table(DataSettings(tmp_path / "t.csv", "id")).ids == ["7", "007"]
    pl.DataFrame({"id": ["007", "7"], "a": [1, 2]}).write_parquet(tmp_path / "t.parquet")
    assert read_table(DataSettings(tmp_path / "t.parquet", "id")).ids == ["7", "007"]


def test_no_common_id_says_so() -> None:
    def align(own: list[str], other: list[str]) -> Alignment:
        return combine(len(own), {"lab": match_clear(own, other)}, "common", None, 0.2, 0)

    with pytest.raises(DataError, match="no id is common"):
        align(["1"], ["01"])
    found = align(["a", "b", "c"], ["c", "x", "a"])
    assert found.own.tolist() == [0, 2] and found.positions["lab"].tolist() == [2, 0] and "below 100" in found.warning


def test_encoder_handles_missing_unseen_and_constant() -> None:
    frame = pl.DataFrame({"n": [1.0, None, 3.0], "c": ["a", "b", None], "k": [5, 5, 5]})
    encoder = TableEncoder.fit(frame)
    x, unseen = encoder.transform(frame)
    assert x.shape == (3, 3) and np.isfinite(x).all() and not unseen and "'k' is constant" in encoder.warnings[0]
    x, unseen = encoder.transform(pl.DataFrame({"n": [2.0], "c": ["new"], "extra": [1]}))
    assert unseen == {"c": 1} and x[0, 1:].tolist() == [0, 0]
    with pytest.raises(DataError, match="missing: n"):
        encoder.transform(pl.DataFrame({"c": ["a"]}))
    with pytest.raises(DataError, match="constant"):
        TableEncoder.fit(pl.DataFrame({"k": [5, 5]}))


def test_labels() -> None:
    train = np.ones(3, dtype=bool)
    with pytest.raises(DataError, match="one class only"):
        LabelCodec.fit("classification", ["a", "a", "a"], train)
    assert LabelCodec.fit("classification", ["10", "9", "2"], train).classes == (2, 9, 10)
    with pytest.raises(DataError, match="must be a number"):
        LabelCodec.fit("regression", [1, 2, "x"], train)
    with pytest.raises(DataError, match="the same on all"):
        LabelCodec.fit("regression", [1, 1, 1], train)
    with pytest.raises(DataError, match="the same on all"):  # 36.6 120 times has a deviation of 7e-15
        LabelCodec.fit("regression", [36.6] * 120, np.ones(120, dtype=bool))
    with pytest.raises(DataError, match=r"beyond 1e\+100, infinite or not a number: row 2 has -1e\+101"):
        LabelCodec.fit("regression", [1.0, -1e101, 2.0], train)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (LearnerSettings(kind="forest"), "accepted: cnn, gb, .*linear, .*svm or python"),
        (LearnerSettings(kind="gb", loss="l4"), "accepted: l1, l2"),
        (LearnerSettings(options={"rigde": 1.0}), "unknown rigde .* accepted: ridge"),
        (LearnerSettings(options={"ridge": -1.0}), "0 or more"),
        (LearnerSettings(kind="mlp", device="cuda:99"), "not there"),
        (LearnerSettings(kind="python:nothing:x"), "cannot be imported"),
    ],
)
def test_learner_errors(tmp_path: Path, settings: LearnerSettings, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        make_learner(settings, tmp_path)


def test_a_key_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "ckks.key"
    (tmp_path / "ckks.key.part").write_bytes(b"half of a key, of a process that was killed")
    write_new(path, b"a key", 0o600)
    assert path.read_bytes() == b"a key" and path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        write_new(path, b"another", 0o600)
    assert path.read_bytes() == b"a key" and [p.name for p in tmp_path.iterdir()] == ["ckks.key"]


def test_looking_up_one_key_of_a_run_directory(tmp_path: Path) -> None:
    store = RunStore(tmp_path / "run")
    store.commit({"phase": b"finished", "keyed/lab": b"1", "rows": np.arange(3)}, {}, [])
    assert store.value("phase") == b"finished" and store.value("nothing") == b""
    assert store.holds("keyed/") and not store.holds("keyed%") and store.begun
    store.close()
