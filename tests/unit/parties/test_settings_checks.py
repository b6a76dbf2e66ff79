"""What a person meets: every mistake that can be seen is named before a port opens or anything is sent, with the
fix."""

from __future__ import annotations

import csv
import io
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest
import typer

from parties.audit.ledger import verify_ledger
from parties.commands import consent, doctor, predict, setup
from parties.commands.assist import assist
from parties.commands.train import train
from parties.report.results import announce, write_results
from parties.report.rounds import Report, write_atomically
from parties.run.learnt_from import remember_or_refuse
from parties.run.progress import Progress, text_of
from parties.run.session import open_node, open_session, open_store
from parties.run.traffic import Traffic
from secure_gal import events
from secure_gal.data.encode import Columns, LabelCodec
from secure_gal.data.table import read_table
from secure_gal.errors import ConsentError, DataError, EnvironmentFailure, SettingsError
from secure_gal.events import RoundRecord
from secure_gal.labels.release import release_once, release_path
from secure_gal.labels.schemes import RangeInterval, RangeResponse
from secure_gal.learners import make_learner
from secure_gal.protocol.learned import Learned
from secure_gal.protocol.settled import Settled
from secure_gal.settings.party import DataSettings, LearnerSettings, PartySettings
from secure_gal.settings.study import Study
from secure_gal.state import State
from transport import assistor_socket, sponsor_socket

ROWS = 60
STUDY = 'name="s"\ntask="{task}"\nsponsor="hospital"\naddress="tcp://h:7001"\nassistors=["lab"]\n'


class Online(Exception):
    """Raised where a party would have opened its port, or dialled."""


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def online(*_: object, **__: object) -> None:
        raise Online

    monkeypatch.setattr(sponsor_socket, "SponsorSocket", online)
    monkeypatch.setattr(assistor_socket, "AssistorSocket", online)


def table(**changes: Any) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    columns = {"id": [f"P{i:03}" for i in range(ROWS)], "c0": rng.normal(size=ROWS), "label": rng.normal(50, 5, ROWS)}
    return {name: column for name, column in {**columns, **changes}.items() if column is not None}


def party(
    folder: Path,
    name: str = "hospital",
    task: str = "regression",
    study: str = "",
    data: str = "",
    learner: str = "",
    **changes: Any,
) -> Path:
    """The files of one party, its keys, and a table with these columns changed (None: left out)."""
    (folder / "study.toml").write_text(STUDY.format(task=task) + study)
    own = 'label="label"\n' if name == "hospital" else ""
    port = 'bind="tcp://127.0.0.1:7001"\n' if name == "hospital" else ""
    (folder / f"{name}.toml").write_text(
        f'study="study.toml"\nparty="{name}"\nhome="keys"\nrun_dir="run"\n{port}'
        f'[data]\npath="{name}.csv"\nid="id"\n{own}{data}[learner]\n{learner}'
    )
    pl.DataFrame(table(**changes)).write_csv(folder / f"{name}.csv")
    other = {"hospital": "lab", "lab": "hospital"}[name]
    setup.keygen(name, folder / "keys")
    setup.keygen(other, folder / "other")
    setup.trust_card(folder / "other" / f"{other}.card", folder / "keys", False, lambda _: True)
    return folder / f"{name}.toml"


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


# the party's own model


MODULE = """
class Model:
    def __init__(self, depth=1): pass
    def fit(self, x, r): raise ValueError("boom")
    def predict(self, x): return x[:5, 0]
class Short(Model):
    def fit(self, x, r): pass
class Nan(Short):
    def predict(self, x): return x[:, 0] * float("nan")
class Good(Short):
    def predict(self, x): return x[:, :1]
def fails(): return {}["x"]
"""


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("python:broken_one:make", {}, r"\[learner\] kind: .*cannot be imported: SyntaxError: .*broken_one.py, line 1"),
        ("python:broken_two:make", {}, r"cannot be imported: ZeroDivisionError.*\(broken_two.py, line 2\)"),
        ("python:own_models:fails", {}, r"failed: KeyError: 'x' \(own_models.py, line 11\)"),
        ("python:own_models:Model", {"dept": 3}, r"\[learner.options\]: .*'dept'; it is defined as \(depth=1\)"),
        ("python:own_models:Model", {}, r"fit of Model failed: ValueError: boom \(own_models.py, line 3\)"),
        ("python:own_models:Short", {}, r"predict of Short returned shape \(5,\); expected \(30,\)"),
        ("python:own_models:Nan", {}, "predict of Nan returned infinite values or nan"),
        ("gb", {"max_iter": -3}, "'max_iter' parameter .* Got -3"),
    ],
)
def test_errors_of_a_persons_own_model(tmp_path: Path, kind: str, options: dict[str, Any], message: str) -> None:
    (tmp_path / "own_models.py").write_text(MODULE.lstrip())
    (tmp_path / "broken_one.py").write_text("def make(:\n")
    (tmp_path / "broken_two.py").write_text("x = 1\n1 / 0\n")
    x = np.random.default_rng(0).normal(size=(30, 3))
    target = x[:, :1].astype(np.float32)

    def use(settings: LearnerSettings) -> Any:
        return make_learner(settings, tmp_path).fit(x, target, 0).predict(x)

    with pytest.raises(SettingsError, match=message) as error:
        use(LearnerSettings(kind=kind, options=options))
    if "Short" not in kind and "Nan" not in kind:
        assert error.value.__cause__ is not None
    assert use(LearnerSettings(kind="python:own_models:Good", options={"depth": 2})).tolist() == x[:, :1].tolist()


def test_errors_of_a_persons_own_torch_module(tmp_path: Path) -> None:
    (tmp_path / "own_nets.py").write_text("import torch\ndef net(k=4): return torch.nn.Linear(3, k)\n")
    x = np.random.default_rng(0).normal(size=(30, 3))
    few = {"epochs": 1}
    with pytest.raises(SettingsError, match="'epochs'; it is defined as"):
        make_learner(LearnerSettings(kind="python:own_nets:net", options=few), tmp_path)
    learner = make_learner(LearnerSettings(kind="python:own_nets:net"), tmp_path)
    with pytest.raises(SettingsError, match="training 'python:own_nets:net' failed: RuntimeError: shape"):
        learner.fit(x, x[:, :1].astype(np.float32), 0)


# consent and trust


class Terminal(io.StringIO):
    """Where a person presses ctrl-D or ctrl-C instead of answering."""

    def __init__(self, key: type[BaseException]) -> None:
        super().__init__()
        self._key = key

    def readline(self, size: int | None = -1, /) -> str:
        raise self._key


@pytest.mark.parametrize("key", [EOFError, KeyboardInterrupt])
def test_no_answer_is_no_consent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: type[BaseException]) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(key))
    with pytest.raises(typer.Abort):
        typer.confirm("the question")  # what consent must not let through
    session = open_session(party(tmp_path, "lab", label=None))
    store = open_store(session)
    with pytest.raises(ConsentError) as refused:
        consent.require_consent(session, store, None, consent.confirmed)
    store.close()
    assert refused.value.exit_code == 3 and "nothing was sent" in str(refused.value)
    with pytest.raises(SettingsError, match="not confirmed, not pinned; --yes"):
        setup.trust_card(tmp_path / "other" / "hospital.card", tmp_path / "fresh", False, consent.confirmed)


# predict


def test_predict_looks_at_its_paths_first(tmp_path: Path) -> None:
    file, ids = party(tmp_path), tmp_path / "new.csv"
    with pytest.raises(SettingsError, match=r"--ids: .*no such file; it is looked up from the current folder"):
        predict.predict(file, ids, tmp_path / "p.csv")
    ids.write_text("id\nP001\n")
    for out, message in (
        (tmp_path / "nodir" / "p.csv", "--out: .*nodir is no folder"),
        (tmp_path, "is a folder; name a"),
    ):
        with pytest.raises(SettingsError, match=message):
            predict.predict(file, ids, out)
    with pytest.raises(SettingsError, match="no finished learning stage"):
        predict.predict(file, ids, tmp_path / "p.csv")


def test_the_label_of_rows_to_predict_is_ignored(tmp_path: Path) -> None:
    new = tmp_path / "new.csv"
    new.write_text("id,c0,label\nP1,1.5,\nP2,2.5,7\n")
    rows = read_table(DataSettings(new, "id", "label"), labelled=False)
    assert rows.frame.columns == ["c0"] and rows.labels is None
    np.savez(tmp_path / "new.npz", x=np.zeros((2, 2, 3)), id=np.array(["a", "b"]), label=np.array([np.nan, 1]))
    assert read_table(DataSettings(tmp_path / "new.npz", "id", "label"), labelled=False).labels is None
    for path in (new, tmp_path / "new.npz"):
        with pytest.raises(DataError, match=r"row . has no label"):
            read_table(DataSettings(path, "id", "label"))


def test_predictions_without_a_part_are_counted() -> None:
    def said(missing: list[str], summed: bool) -> str:
        return text_of(predict._written(Path("p.csv"), {"missing": missing, "unusual": [""] * len(missing)}, summed))

    assert said(["", ""], True) == "2 predictions written to p.csv"
    assert said(["", "lab", "lab;insurer"], False).startswith("3 predictions written to p.csv; 2 of them without")
    assert "only if every assistor knows the row" in said(["lab;insurer"], True)


def test_a_file_that_cannot_be_written_leaves_no_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    write_atomically(tmp_path / "rounds.csv", "old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(EnvironmentFailure, match=r"rounds.csv cannot be written: No space left"):
        write_atomically(tmp_path / "rounds.csv", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["rounds.csv"]
    assert (tmp_path / "rounds.csv").read_text() == "old"


# the machine and the run directory


def test_doctor_looks_no_further_than_settings_that_cannot_be_read(tmp_path: Path) -> None:
    (line,), healthy = doctor.examine(tmp_path / "none.toml")
    assert not healthy and line.startswith("FIX   settings: ") and "no such file" in line


@pytest.mark.parametrize("taken", [True, False])
def test_doctor_tries_the_sponsors_port_and_dials_for_an_assistor(
    taken: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{other.getsockname()[1]}"
        if taken:
            other.listen()
        else:
            other.close()
        study = Study("s", "regression", "hospital", address, ("lab",))
        data = DataSettings(tmp_path / "t.csv", "id")
        sponsor, lab = (
            PartySettings(tmp_path / "study.toml", name, tmp_path, tmp_path / "run", data, bind=bind)
            for name, bind in (("hospital", address), ("lab", None))
        )
        found = {}
        for party in (sponsor, lab):
            monkeypatch.setattr(doctor, "load_party", lambda file, party=party: (party, study))
            try:
                found[party.party] = doctor._network(tmp_path)
            except OSError as error:
                found[party.party] = str(error)
    assert ("stop what uses the port" if taken else "is free") in found["hospital"]
    assert ("answers" if taken else "is the sponsor running") in found["lab"]


def test_doctor_names_a_run_dir_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "will be made" in doctor._run_dir(tmp_path / "a" / "b")
    with pytest.raises(OSError, match="is a file; name a folder"):
        doctor._run_dir(tmp_path / "file")
    for path in (tmp_path / "file" / "run", Path("/proc/nowhere/run")):
        with pytest.raises(OSError, match=r"cannot be made or written.*change `run_dir`"):
            doctor._run_dir(path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"], "a probe leaves nothing behind"


def test_a_study_that_was_changed_can_be_restored(tmp_path: Path) -> None:
    store = open_store(open_session(party(tmp_path)))
    store.commit({"agreement": b"{}"}, {}, [])
    store.close()
    (tmp_path / "study.toml").write_text(STUDY.format(task="regression") + "rounds=4\n")
    with pytest.raises(SettingsError, match=r"restore study\.toml and the cards"):
        open_store(open_session(tmp_path / "hospital.toml"))


# one unit for one quantity


@pytest.fixture
def reported(tmp_path: Path) -> Callable[[float | None], tuple[str, dict[str, Any], list[dict[str, str]]]]:
    """A finished round of a regression whose label has a deviation of 5: console, summary.json, rounds.csv."""

    def run(true: float | None) -> tuple[str, dict[str, Any], list[dict[str, str]]]:
        session = open_session(party(tmp_path))
        store, shown = open_store(session), io.StringIO()
        remember_or_refuse(session, store, read_table(session.party.data, task="regression"))
        record = RoundRecord(1, 0.5, 0.6, 0.1, 1.0, True, {"hospital": 0.4, "lab": 0.6})
        role = SimpleNamespace(metric_unit=lambda: 5.0, ensemble=SimpleNamespace(history=[record]))
        history = np.frombuffer(msgspec.msgpack.encode([record]), np.uint8)
        saved: dict[str, Any] = {"ensemble/history": history, "counts": b"{}", "run": b"r"}
        saved["learned"] = msgspec.json.encode(Learned(1, "mad", 0.1, 0.1, 5.0, "held-out"))
        if true is not None:
            saved["true-metric/0001"] = np.array([true])
        store.commit(saved, {}, [])
        progress = Progress(stream=shown)
        report = Report(session, store, Traffic(store), role, progress, 0.0)  # type: ignore[arg-type]
        progress.show(report.on_event(events.Committed(record)))
        again = Report(session, store, Traffic(store), role, progress, 0.0)  # type: ignore[arg-type]
        assert again._rounds == report._rounds and len(again._rounds) == 1, "a restart goes on from the rounds before"
        open_node(session, store, Settled(State(store.state())), Traffic(store))[0].close()
        write_results(session, store)
        announce(store, progress)
        store.close()
        with (tmp_path / "run" / "rounds.csv").open() as file:
            return (
                shown.getvalue(),
                json.loads((tmp_path / "run" / "summary.json").read_text()),
                list(csv.DictReader(file)),
            )

    return run


def test_a_metric_has_one_unit_everywhere(reported: Callable[..., Any]) -> None:
    shown, summary, rounds = reported(None)
    assert "held-out 0.60000 (0.5000)" in shown and "held-out mad: GAL 0.5000, sponsor alone 0.5000" in shown
    assert summary["history"][0]["valid_metric"] == summary["gal"] == float(rounds[0]["valid_metric"]) == 0.5
    assert summary["history"][0]["train_loss"] == 0.5, "losses stay those of the standardised target"


def test_a_metric_on_released_labels_says_so(reported: Callable[..., Any]) -> None:
    shown, summary, _ = reported(0.2)
    assert "held-out mad on released labels: GAL 0.5000, sponsor alone 0.5000; on true labels GAL 1.0000" in shown
    assert summary["gal_on_true_labels"] == 1.0
