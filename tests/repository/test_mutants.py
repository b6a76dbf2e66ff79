"""The list of removed protections follows the code, and mutants are what they say."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import mutants_copy, mutants_listed
from benchmarks.mutants import Book, Verdict, summary
from benchmarks.mutants_copy import LIMITS, Copy
from benchmarks.mutants_drawn import edits
from benchmarks.mutants_listed import ROOT, Mutant, drawn, equivalents, kept, place
from benchmarks.mutants_reach import Reach, read, refresh


def test_every_removed_protection_still_fits_the_code() -> None:
    listed = kept()
    assert len(listed) >= 60 and len({m.name for m in listed}) == len(listed)
    for mutant in listed:
        assert mutant.first and all((ROOT / test).exists() for test in mutant.first), mutant.name


def test_a_snippet_that_is_gone_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "list.toml").write_text(
        '[[protection]]\nname = "one"\nfile = "crypto/psi.py"\nold = "nowhere"\nnew = ""\n'
    )
    monkeypatch.setattr(mutants_listed, "KEPT", tmp_path / "list.toml")
    with pytest.raises(SystemExit, match=r"one: its snippet stands 0 times in crypto/psi\.py"):
        kept()


def test_tests_that_run_a_line_come_by_the_cost_of_their_file() -> None:
    lines = {"a.py": {3: frozenset({"t/x.py::slow", "t/y.py::one", "t/y.py::two"}), 4: frozenset({"t/z.py::other"})}}
    reach = Reach(lines, {"t/y.py::two": 1.0, "t/y.py::one": 1.0, "t/x.py::slow": 9.0, "t/z.py::other": 0.1})
    assert reach.of("a.py", 3, 3) == ["t/y.py::two", "t/y.py::one", "t/x.py::slow"]
    assert reach.of("a.py", 3, 4)[0] == "t/z.py::other"
    assert reach.of("a.py", 3, 3, seconds=2.0) == ["t/y.py::two", "t/y.py::one"]
    assert reach.of("a.py", 3, 3, seconds=0.1) == ["t/y.py::two"], "one at least"
    assert reach.of("a.py", 1, 2) == reach.of("b.py", 1, 9) == []


def test_the_map_knows_what_a_test_ran_here_and_in_its_processes_and_is_made_anew_where_files_changed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree, kept_at = tmp_path / "tree", tmp_path / "kept"
    for folder in ("tests", "crypto", "transport", "parties", "secure_gal"):
        (tree / folder).mkdir(parents=True)
    code, test = tree / "crypto" / "code_under.py", tree / "tests" / "test_it.py"
    code.write_text("def far():\n    return 1\n\n\ndef near():\n    return 2\n")
    test.write_text(
        "import subprocess, sys\nfrom crypto import code_under\n\n\ndef test_near():\n"
        "    assert code_under.near() == 2\n\n\ndef test_far():\n"
        "    subprocess.run([sys.executable, '-c', 'from crypto import code_under; code_under.far()'], check=True)\n"
    )
    (tree / "tests" / "test_other.py").write_text("def test_nothing():\n    pass\n")
    refresh(tree, kept_at, 1)
    reach = read(kept_at)
    assert reach.of("crypto/code_under.py", 6, 6) == ["tests/test_it.py::test_near"]
    assert reach.of("crypto/code_under.py", 2, 2) == ["tests/test_it.py::test_far"]
    assert reach.seconds["tests/test_it.py::test_far"] > reach.seconds["tests/test_other.py::test_nothing"] >= 0
    assert "2 of 2 files of tests are mapped" in capsys.readouterr().out
    refresh(tree, kept_at, 1)
    assert capsys.readouterr().out == ""
    code.write_text("\n" + code.read_text())
    refresh(tree, kept_at, 1)
    assert "1 of 1 files of tests are mapped" in capsys.readouterr().out
    assert read(kept_at).of("crypto/code_under.py", 7, 7) == ["tests/test_it.py::test_near"]


def test_a_fork_of_libraries_runs_tests_as_a_process_of_its_own_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = Copy(tmp_path)
    (tmp_path / "tests" / "test_fork.py").write_text(
        "import os, time\n\n\ndef test_good():\n    import crypto\n"
        f"    assert crypto.__path__[0] == {str(tmp_path / 'crypto')!r} and os.getpid() == os.getsid(0)\n\n\n"
        "def test_bad():\n    raise SystemExit('ended')\n\n\ndef test_slow():\n    while True:\n        pass\n\n\n"
        "def test_waits():\n    time.sleep(600)\n\n\ndef test_dies():\n    os._exit(3)\n"
    )
    file = "tests/test_fork.py"
    try:
        assert copy._run([f"{file}::test_good"], 60) == ("survived", "")
        assert copy._run([file], 60) == ("detected", f"{file}::test_bad")
        assert copy._run([f"{file}::test_slow"], 1) == ("hung", "after 1 s")
        assert copy._run([f"{file}::test_dies"], 60) == ("detected", "ended with 3, without a word")
        monkeypatch.setattr(mutants_copy, "WALL", 1)
        assert copy._run([f"{file}::test_waits"], 1) == ("hung", "after 1 s")
    finally:
        copy.close()


def test_draws_are_the_same_for_a_seed_and_change_something() -> None:
    one, other = drawn(40, 1), drawn(40, 2)
    assert one == drawn(60, 1)[:40] != other and len({m.id for m in one}) == len(one)
    for mutant in one:
        text = (ROOT / mutant.file).read_text()
        assert text[mutant.at : mutant.at + len(mutant.old)] == mutant.old != mutant.new


def test_what_is_changed_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text(
        '"""Doc 1."""\n\ndef f(x: int = 1) -> int:\n    """é 2."""\n    if "é" and x < 3:\n        raise E(f"{x + '
        '1}")\n    return x + 2\n'
    )
    found = [(e.what, e.old, e.new) for e in edits(tmp_path, file)]
    assert found == [
        ("number", "1", "2"),
        ("condition True", '"é" and x < 3', "True"),
        ("condition False", '"é" and x < 3', "False"),
        ("and/or", '"é" and x < 3', "('é' or x < 3)"),
        ("first operand alone", '"é" and x < 3', "('é')"),
        ("comparison", "x < 3", "(x <= 3)"),
        ("number", "3", "4"),
        ("statement removed", 'raise E(f"{x + 1}")', "pass"),
        ("returns nothing", "return x + 2", "return None"),
        ("operator", "x + 2", "(x - 2)"),
        ("number", "2", "3"),
    ]


def test_what_nothing_can_tell_is_not_changed(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text(
        "def f(a):\n    assert_never(a)\n    if [*zip(a, a, strict=True)]:\n        return False\n"
        "    g(a, strict=True)\n    return a.reshape(-1, 2)\n"
    )
    assert [(e.what, e.old) for e in edits(tmp_path, file)] == [
        ("condition True", "[*zip(a, a, strict=True)]"),
        ("condition False", "[*zip(a, a, strict=True)]"),
        ("truth", "False"),
        ("statement removed", "g(a, strict=True)"),
        ("truth", "True"),
        ("returns nothing", "return a.reshape(-1, 2)"),
        ("number", "2"),
    ]


def test_equivalent_mutants_are_found_where_they_are() -> None:
    known = equivalents()
    assert known and all(known.values())
    files = {where[0] for where in known}
    every = [edit for file in files for edit in edits(ROOT, ROOT / file)]
    assert known.keys() <= {place(Mutant(e.what, e.file, e.at, e.old, e.new)) for e in every}


def test_verdicts_are_kept_and_counted(tmp_path: Path) -> None:
    book = Book(tmp_path / "book.json")
    for number, kind in enumerate(("detected", "hung", "survived", "equivalent")):
        book.add(Verdict(str(number), "n", "f.py", 1, "a", "b", kind, "", 1.0))
    again = Book(tmp_path / "book.json")
    assert again.verdicts == book.verdicts
    assert "2 of 3 that are not equivalent: 66.7%" in summary(again.verdicts.values())


def test_a_failure_counts_if_it_comes_again_and_only_on_the_mutant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    copy, mutant, fails = Copy(tmp_path), kept()[0], "tests/test_x.py::test_y[a b]"
    assert isinstance(mutant, Mutant)
    path = tmp_path / mutant.file
    original, seen = path.read_text(), list[tuple[bool, tuple[str, ...]]]()
    answers: list[tuple[str, str]] = []

    def answer(tests: tuple[str, ...], seconds: int) -> tuple[str, str]:
        seen.append((path.read_text() != original, tests))
        return answers.pop(0)

    monkeypatch.setattr(copy, "_run", answer)
    detected, survived, near = ("detected", fails), ("survived", ""), "tests/test_near.py::test_it"
    reach = Reach({mutant.file: {mutant.lines()[0]: frozenset({near})}}, {})
    answers[:] = [detected, survived, detected]
    assert copy.judge(mutant, reach, rest=True) == detected
    assert seen == [(True, mutant.first), (False, (fails,)), (True, (fails,))] and path.read_text() == original
    seen.clear()
    answers[:] = [detected, survived, survived, survived]  # known to be sound; by chance; near; rest
    assert copy.judge(mutant, reach, rest=True) == survived and not answers
    assert [tests for _, tests in seen[-2:]] == [(near,), ("tests",)]
    answers[:] = [survived, survived]
    assert copy.judge(mutant, reach, rest=False) == survived and not answers
    answers[:] = [survived, survived]
    assert copy.judge(mutant, Reach({}, {}), rest=False) == survived and seen[-1][1] == ("tests",)
    elsewhere = Reach({mutant.file: {mutant.lines()[1] + 1: frozenset({near})}}, {})
    answers[:] = [survived, survived]
    assert copy.judge(mutant, elsewhere, rest=False) == survived and seen[-1][1] == (LIMITS, near)
    answers[:] = [("hung", "after 1 s")]
    assert copy.judge(mutant, reach, rest=False)[0] == "hung"
    copy._sound.clear()
    answers[:] = [detected, detected, survived]
    assert copy.judge(mutant, reach, rest=False) == survived and not answers
    assert f"{fails} fails on code that was not changed" in capsys.readouterr().out
    silent, seen[:] = ("detected", "no tests ran in 0.01s"), []  # of tests that are gone since the map was made
    answers[:] = [silent, silent, survived]
    assert copy.judge(mutant, reach, rest=False) == survived and not answers
    assert [tests for _, tests in seen] == [mutant.first, mutant.first, (near,)]
    answers[:] = [silent, survived, silent]
    assert copy.judge(mutant, reach, rest=False) == silent, "the mutant ends them without a word"
