"""Every example runs, and shows what it says."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from examples import own_features, own_learner, read_a_ledger, two_parties
from tests.support.ledger_study import whole_study
from transport.ledger_entries import LedgerError

HERE = Path(__file__).parents[2] / "examples"
NOTEBOOK = HERE / "notebook_25_lines.py"


def test_a_laboratory_helps_the_hospital() -> None:
    found = two_parties.main()
    assert found["alone"] + 0.005 < found["together"] and found["together"] > found["pooled"] - 0.01


def test_neighbours_see_rings_and_lines_do_not() -> None:
    found = own_learner.main()
    assert found["neighbours"] > 0.9 and found["linear"] < 0.7


@pytest.mark.parametrize("residuals", ["none", "ckks"])
def test_steps_see_a_jump_also_on_ciphertexts(residuals: str) -> None:
    found = own_features.main(residuals)
    assert found["steps"] > found["columns"] + 0.2


def test_the_notebook_says_what_it_promises_in_25_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    runpy.run_path(str(NOTEBOOK))
    said = capsys.readouterr().out
    assert len(NOTEBOOK.read_text().splitlines()) == 25
    assert "none, AUC gal 0.9" in said and "ckks, AUC gal 0.9" in said and "alone 0.9" in said
    assert float(said.partition("told right: ")[2].split()[0]) > 0.9
    assert "encrypted-residual" in said and "Who learns what" in said
    assert {path.name for path in tmp_path.iterdir()} == {"study.gal", "rounds.png", "weights.png"}


def test_a_ledger_is_read_and_a_line_of_it_proven(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made, cards = whole_study(tmp_path), []
    for name, card in made.cards.items():
        cards.append(tmp_path / f"{name}.card")
        cards[-1].write_bytes(card.to_bytes())
    read_a_ledger.main(made.path("hospital"), cards)
    out = capsys.readouterr().out
    assert "hospital's ledger of the study s" in out and "      4 residual sent" in out
    assert "insurer sent fitted to hospital" in out and "certified by hospital, insurer, lab" in out


def test_a_changed_ledger_is_not_read(tmp_path: Path) -> None:
    path = whole_study(tmp_path).path("hospital")
    path.write_bytes(path.read_bytes().replace(b'"residual"', b'"weights"', 1))
    with pytest.raises(LedgerError):
        read_a_ledger.read(path)


def test_every_example_is_run_here() -> None:
    run = {Path(module.__file__ or "") for module in (own_features, own_learner, read_a_ledger, two_parties)}
    assert run | {NOTEBOOK} == {path for path in HERE.glob("*.py") if path.name != "__init__.py"}
