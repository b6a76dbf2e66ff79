"""The program that makes SEAL with HEXL: what is missing or changed is named, and the wheel can be installed."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import zipfile
from pathlib import Path

import pytest

from benchmarks import build_hexl, hexl_wheel
from benchmarks.build_hexl import Refused


def test_a_missing_tool_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    for tool in ("g++", "cmake", "make"):
        there = {"g++", "cmake", "make"} - {tool}
        monkeypatch.setattr(build_hexl.shutil, "which", lambda name, there=there: name if name in there else None)
        monkeypatch.setattr(build_hexl, "run", lambda command, **_: command[0])
        with pytest.raises(Refused, match=rf"{tool.replace('+', '.')} is missing: apt-get install {tool[:2]}"):
            build_hexl.check_tools()


def test_another_version_of_what_pip_installs_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_hexl.shutil, "which", lambda name: name)
    monkeypatch.setattr(build_hexl, "run", lambda command, **_: command[0])
    monkeypatch.setattr(build_hexl, "python_headers", lambda: Path(__file__).parent)
    with pytest.raises(Refused, match=r"Python\.h is missing: apt-get install python3-dev"):
        build_hexl.check_tools()
    monkeypatch.setattr(Path, "is_file", lambda _: True)
    monkeypatch.setattr(build_hexl, "version", lambda _: "2.13.6")
    with pytest.raises(
        Refused, match=r"pybind11 3\.1\.0 is needed, 2\.13\.6 is installed: pip install pybind11==3\.1\.0"
    ):
        build_hexl.check_tools()


def test_sources_are_held_against_what_was_reviewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Refused, match=r"seal is missing: it must hold Microsoft SEAL 4\.3\.3"):
        build_hexl.check_sources(tmp_path)
    (tmp_path / "seal" / ".git").mkdir(parents=True)
    (tmp_path / "seal" / "a.cpp").write_text("int a;")
    first = build_hexl.tree_digest(tmp_path / "seal")
    (tmp_path / "seal" / ".git" / "HEAD").write_text("a clone's own")
    assert build_hexl.tree_digest(tmp_path / "seal") == first, "a clone and an archive are alike"
    with pytest.raises(Refused, match=rf"does not hold Microsoft SEAL 4\.3\.3 .*SHA-256 {first}.*get it anew"):
        build_hexl.check_sources(tmp_path)
    (tmp_path / "seal" / "a.cpp").rename(tmp_path / "seal" / "b.cpp")
    assert build_hexl.tree_digest(tmp_path / "seal") != first, "names count"


def test_the_bindings_of_the_installed_tenseal_are_those(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever lifts TenSEAL looks at its bindings anew."""
    monkeypatch.setattr(build_hexl, "SOURCES", {})
    bindings = build_hexl.check_sources(tmp_path)
    for name, changes in build_hexl.EDITS.items():
        for old, new in changes:
            build_hexl.edited((bindings / name).read_text(), old, new)
    with pytest.raises(Refused, match="stands 2 times"):
        build_hexl.edited("a a", "a", "b")


def test_a_command_that_fails_is_told_with_what_it_said() -> None:
    with pytest.raises(Refused, match=r"(?s)ls /none failed:.*No such file"):
        build_hexl.run(["ls", "/none"])


def test_the_wheel_has_its_record_and_all_licences(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in build_hexl.SOURCES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "LICENSE").write_text(f"licence of {name}")
    module = tmp_path / "_sealapi_cpp.so"
    module.write_bytes(b"\x7fELF")
    monkeypatch.setattr(hexl_wheel, "BUNDLED", ("tenseal",))
    first, again = (hexl_wheel.write_wheel(module, tmp_path, tmp_path).read_bytes() for _ in range(2))
    assert first == again
    files = {
        name: zipfile.ZipFile(io.BytesIO(first)).read(name) for name in zipfile.ZipFile(io.BytesIO(first)).namelist()
    }
    record = next(content.decode() for name, content in files.items() if name.endswith("/RECORD"))
    for name, digest, size in csv.reader(record.splitlines()):
        if digest:
            due = base64.urlsafe_b64encode(hashlib.sha256(files[name]).digest()).decode().rstrip("=")
            assert (digest, int(size)) == (f"sha256={due}", len(files[name]))
    assert len(record.splitlines()) == len(files)
    assert {Path(name).name for name in files if "/licenses/" in name} >= {"seal.txt", "hexl.txt", "tenseal.txt"}
    assert b'TENSEAL = "0.3.18"\n' in files["secure_gal_hexl/__init__.py"]
