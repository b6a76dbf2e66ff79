"""K belongs to the study: the file says it, the sponsor's labels must fit it, and no message can change it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from parties.commands import setup
from parties.commands.train import train
from secure_gal import GAL, messages
from secure_gal.errors import DataError, PeerViolation, SettingsError
from secure_gal.holdings.sponsor import SponsorData
from secure_gal.protection.reply_counts import learning_decryptions, learning_replies
from secure_gal.protocol import roles
from secure_gal.settings.load import load_study
from secure_gal.settings.party import DataSettings, PartySettings
from secure_gal.settings.study import Protect
from secure_gal.state import State
from tests.support import encrypted_in_memory, study_in_memory, sums_in_memory
from tests.support.party_files import ROWS, Online, offline, party
from tests.support.simulation import Network
from tests.support.study_in_memory import context, study

__all__ = ["offline"]  # no port is opened in this file

BASE = 'name="s"\ntask="{}"\nsponsor="hospital"\naddress="tcp://h:7001"\nassistors=["lab"]\n'
DP = '[protect]\nresiduals="dp"\nepsilon=1.0\nclasses={}\n'


def load(folder: Path, task: str, text: str) -> int:
    (folder / "study.toml").write_text(BASE.format(task) + text)
    return load_study(folder / "study.toml").k


@pytest.mark.parametrize(
    ("task", "text", "outputs"),
    [
        ("regression", "", 1),
        ("classification", "", 1),
        ("classification", "outputs=7\n", 7),
        ("classification", DP.format('["no", "yes"]'), 1),
        ("classification", DP.format('["a", "b", "c"]'), 3),
        ("classification", "outputs=3\n" + DP.format("[1, 2, 3]"), 3),
    ],
)
def test_the_study_has_outputs(task: str, text: str, outputs: int, tmp_path: Path) -> None:
    assert load(tmp_path, task, text) == outputs


@pytest.mark.parametrize(
    ("task", "text", "message"),
    [
        ("regression", "outputs=2\n", "`outputs` is 2; accepted: 1 for a regression"),
        ("classification", "outputs=2\n", "`outputs` is 2; accepted: 1 for two classes"),
        ("classification", "outputs=0\n", "`outputs` is 0"),
        ("classification", "outputs=1025\n", "at most 1024"),
        ("classification", "outputs=4\n" + DP.format('["a", "b", "c"]'), "accepted: 3, as .protect. classes names"),
        ("classification", DP.format('[1, 2, "1.0"]'), "classes that differ from each other"),
    ],
)
def test_outputs_that_cannot_be_are_refused(task: str, text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=message):
        load(tmp_path, task, text)


def test_the_default_written_out_is_the_same_study() -> None:
    keys = dict.fromkeys(study().parties, "ab")
    assert study(outputs=1).canonical(keys) == study().canonical(keys)
    classes = {"task": "classification"}
    assert study(**classes, outputs=3).digest(keys) != study(**classes).digest(keys)


@pytest.mark.parametrize(("classes", "written", "needed"), [(5, "", 5), (5, "outputs=4\n", 5), (2, "outputs=3\n", 1)])
def test_a_sponsor_hears_of_the_line_to_write_before_the_port_opens(
    classes: int, written: str, needed: int, tmp_path: Path
) -> None:
    labels = [f"c{i % classes}" for i in range(ROWS)]
    file = party(tmp_path, task="classification", study=written, label=labels)
    for command in (setup.check_party, train):
        with pytest.raises(DataError, match=f"has {classes} classes, .*write `outputs = {needed}` in study.toml"):
            command(file)
    text = (tmp_path / "study.toml").read_text().removesuffix(written)
    (tmp_path / "study.toml").write_text(f"{text}outputs = {needed}\n")
    assert f"K = {needed}, loss cross_entropy" in setup.check_party(file)
    with pytest.raises(Online):
        train(file)


def test_common_rows_without_one_of_the_classes_keep_the_studys_outputs(tmp_path: Path) -> None:
    """K would otherwise tell every assistor which classes occur among the rows in common."""
    labels = ["a", "b", "c"] * 20
    pl.DataFrame({"id": range(100, 160), "x": np.arange(60.0), "y": labels}).write_csv(tmp_path / "t.csv")
    settings = study(task="classification", outputs=3)
    own = PartySettings(tmp_path, "hospital", tmp_path, tmp_path, DataSettings(tmp_path / "t.csv", "id", "y"))
    model = SponsorData(own, settings, tmp_path, lambda _: None)
    rows = np.array([i for i in range(60) if labels[i] != "c"])
    model.prepare(rows, np.ones(len(rows), dtype=np.bool_))
    assert model.codec.classes == ("a", "b", "c") and model.ensemble(("hospital",)).residual().shape == (40, 3)
    with pytest.raises(DataError, match="one class only"):
        model.prepare(rows[::2], np.ones(20, dtype=np.bool_))


def networks() -> dict[str, Network]:
    return {
        "clear": study_in_memory.make_network(),
        "ckks": encrypted_in_memory.make_encrypted(),
        "sum, ckks": sums_in_memory.make(sums_in_memory.CKKS),
        "sum, clear": sums_in_memory.make(sums_in_memory.CLEAR),
    }


@pytest.mark.parametrize("mode", ["clear", "ckks", "sum, ckks", "sum, clear"])
@pytest.mark.parametrize("outputs", [0, 2, 10, 1024])
def test_an_assistor_refuses_rows_of_another_k(mode: str, outputs: int) -> None:
    """One round of one-hot "classes" returned rows of the smoothing matrix, up to 1,024 of them."""
    network = networks()[mode]
    lab = network.parties["lab"]
    while lab.store.values.get("phase") != b"aligning":
        assert network.step()
    before = dict(lab.node.role.state.rows)
    rows = messages.Rows(np.arange(120, dtype=np.uint32), np.ones(120, np.uint8), messages.Shape(outputs))
    with pytest.raises(PeerViolation, match=f"hospital .* rows with {outputs} outputs; the study has 1"):
        lab.node.role.receive("hospital", rows)
    assert lab.node.role.state.rows == before and lab.node.role.state.take_changes() == {}


def test_a_residual_of_another_k_is_refused() -> None:
    state = State({"phase": b"learning", "train": np.ones(4, np.uint8)})
    fixed = context("lab", study(task="classification", outputs=3))
    role = roles.assistor(fixed, None, state, b"")  # type: ignore[arg-type]
    for outputs in (1, 2, 4):
        with pytest.raises(PeerViolation, match=r"shape \(4, 3\)"):
            role.receive("hospital", messages.Residual(np.zeros((4, outputs), np.float32), 1))


def test_the_reference_fills_in_k() -> None:
    x = np.random.default_rng(0).normal(size=(90, 3))
    gal = GAL(rounds=2).fit([x, x[:, :1]], np.arange(90) % 3)
    assert gal.fitted_.study.k == 3 and gal.F_.shape == (90, 3)
    assert GAL("regression", rounds=2).fit([x], x[:, 0]).fitted_.study.k == 1


def test_check_says_what_rounds_and_outputs_take_of_the_limits(tmp_path: Path) -> None:
    private = 'rounds=20\noutputs=4\n[protect]\nresiduals="ckks"\n'
    text = setup.check_party(party(tmp_path, "lab", task="classification", study=private, label=None))
    assert "replies: learning takes 80 of tau = 65,536 reply ciphertexts if all 60 rows here take part" in text
    (tmp_path / "h").mkdir()
    classes = [f"c{i % 4}" for i in range(ROWS)]
    shown = setup.check_party(party(tmp_path / "h", task="classification", study=private, label=classes))
    assert "key: 0 of 65,536 ciphertexts decrypted so far" in shown and "learning decrypts 80" in shown
    many = private.replace("rounds=20\noutputs=4", "rounds=1000\noutputs=66")
    (tmp_path / "study.toml").write_text(BASE.format("classification") + many)
    with pytest.raises(SettingsError, match="1000 rounds over 1 rows and 66 outputs are 66000 reply ciphertexts"):
        setup.check_party(tmp_path / "lab.toml")


def test_sums_count_as_the_sponsor_lays_them_out() -> None:
    """Outputs of few rows share a ciphertext."""
    summed = study(task="classification", outputs=4, rounds=5, protect=Protect(predictions="sum"))
    assert learning_replies(summed, 100, 20) == 5 * 2
    assert learning_replies(summed, 20_000, 0) == 5 * 8
    pairs = 2 + 1 + 2  # of two assistors and the sponsor
    assert learning_decryptions(summed, 100, 20) == 5 * (2 + pairs)
    alone = study(task="classification", outputs=4, rounds=5, protect=Protect(residuals="ckks"))
    assert learning_decryptions(alone, 100, 20) == 2 * learning_replies(alone, 100, 20) == 2 * 5 * 4
