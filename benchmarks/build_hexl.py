"""Compiles SEAL with Intel HEXL, and packs it as the wheel `secure_gal_hexl` that `crypto.ckks.faster` finds.

    pip install pybind11==3.1.0
    git clone --depth 1 --branch v4.3.3 https://github.com/microsoft/SEAL DIR/seal
    git clone --depth 1 --branch v1.2.6 https://github.com/IntelLabs/hexl DIR/hexl
    git clone https://github.com/google/cpu_features DIR/cpu_features
    git -C DIR/cpu_features checkout 32b49eb5e7809052a28422cfde2f2745fbb0eb76
    python -m benchmarks.build_hexl --sources DIR --out DIR [--jobs 2]

It downloads nothing. Every source is held against the SHA-256 of what was reviewed and measured; the bindings are those
in the installed wheel of TenSEAL, but for two lines about compressed files and two about a submodule that nobody needs.
Code is compiled for x86-64-v4 (AVX-512 F, BW, CD, DQ and VL), not for the machine it is compiled on: so the same
compiler makes the same module anywhere. The module must give the known answer before it is packed.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.hexl_wheel import write_wheel

SOURCES = {
    "seal": (
        "Microsoft SEAL 4.3.3 (02a5c345a48281da2cdd382daec0ece02a3fae3f)",
        "a28ab1b9ae7b176f9e783631ab2ba9d8783a03b3fac84a850858d76a3ac73857",
    ),
    "hexl": (
        "Intel HEXL 1.2.6 (75a60b8cc908fb4c166315dd8b55b2e1ee7faea7)",
        "cf794efe0f5cb9e05d3417345e9b3e811c02852af9d8e7f57c8ebf3d003fa20c",
    ),
    "cpu_features": (
        "cpu_features of October 2021 (32b49eb5e7809052a28422cfde2f2745fbb0eb76)",
        "8786af1685543f495a18454f225eb006fe7f2335a47bd90cc40288530905dcee",
    ),
}
"""Folder: what it is (commit), and `tree_digest` of its files. SEAL asks for this HEXL, HEXL for this cpu_features."""
TENSEAL = ("0.3.18", "1c2fbf906c465e5d2fc5029a9651e2aa540f21eca541461a42cb2316bb7427ca")
PYBIND11 = "3.1.0"
"""Its types are not those of the wheel's pybind11 (2.x), so both modules may be in one process."""
BINDINGS: tuple[str, ...] = ("sealapi", "sealapi_context", "sealapi_encode", "sealapi_encrypt", "sealapi_evaluator")
BINDINGS += ("sealapi_helpers", "sealapi_modulus")
ARCHITECTURE = "-march=x86-64-v4"
_DOWNLOAD_ENDS = "# Add cpu-features directly"
EDITS: dict[str, tuple[tuple[str, str], ...]] = {
    "sealapi.cpp": (('    auto util = m.def_submodule("util");\n    bind_seal_util_namespace(util);\n', ""),),
    "sealapi_helpers.cpp": (
        (
            '::none)\n        .value("ZLIB", compr_mode_type::zlib)\n        .value("ZSTD", compr_mode_type::zstd);',
            "::none);",
        ),
    ),
}


class Refused(Exception):
    """Something is missing or is not what it should be; the text has the fix."""


def main() -> None:
    """Check, compile, test and pack; the wheel's path and SHA-256 come last."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sources", type=Path, required=True, help="folder with seal, hexl and cpu_features")
    parser.add_argument("--out", type=Path, required=True, help="where the wheel goes")
    parser.add_argument("--jobs", type=int, default=2, help="compilers at a time (default %(default)d)")
    asked = parser.parse_args()
    try:
        check_tools()
        bindings = check_sources(asked.sources)
        with tempfile.TemporaryDirectory(prefix="hexl-") as folder:
            module = build(asked.sources, bindings, Path(folder), asked.jobs)
            made = write_wheel(module, asked.sources, Path(folder))
            check_wheel(made, Path(folder))
            asked.out.mkdir(parents=True, exist_ok=True)
            wheel = Path(shutil.copy(made, asked.out))
    except Refused as error:
        raise SystemExit(f"build_hexl: {error}") from None
    say("wheel", f"{wheel} (SHA-256 {hashlib.sha256(wheel.read_bytes()).hexdigest()})")
    say("next", f"pip install {wheel}; secure-gal doctor PARTY.toml says whether it is used")


def say(step: str, what: object) -> None:
    """One line about a step, at once."""
    print(f"{step}: {what}", flush=True)


def check_tools() -> None:
    """Refused: a compiler, CMake, make, Python's headers or pybind11 is missing."""
    for tool, fix in (("g++", "apt-get install g++"), ("cmake", "apt-get install cmake"), ("make", "make")):
        if shutil.which(tool) is None:
            raise Refused(f"{tool} is missing: {fix if ' ' in fix else 'apt-get install ' + fix}")
        say(tool, run([tool, "--version"]).splitlines()[0])
    if not (python_headers() / "Python.h").is_file():
        raise Refused(f"{python_headers()}/Python.h is missing: apt-get install python3-dev")
    for package, needed in (("pybind11", PYBIND11), ("tenseal", TENSEAL[0])):
        try:
            found = version(package)
        except PackageNotFoundError:
            found = "none"
        if found != needed:
            raise Refused(f"{package} {needed} is needed, {found} is installed: pip install {package}=={needed}")
        say(package, found)


def check_sources(sources: Path) -> Path:
    """TenSEAL's folder of bindings; Refused: a source is missing, or has other files than those that were reviewed."""
    for folder, (what, expected) in SOURCES.items():
        if not (sources / folder).is_dir():
            raise Refused(f"{sources / folder} is missing: it must hold {what}; `--help` says how to get it")
        _hold(sources / folder, what, expected)
    bindings = folder_of("tenseal") / "sealapi"
    _hold(bindings, f"sources of the bindings in TenSEAL {TENSEAL[0]}", TENSEAL[1], "*.[ch]*")
    return bindings


def _hold(folder: Path, what: str, expected: str, pattern: str = "**/*") -> None:
    found = tree_digest(folder, pattern)
    if found != expected:
        raise Refused(
            f"{folder} does not hold {what}: SHA-256 {found}, not {expected}; get it anew, and change nothing"
        )
    say("source", f"{what}, SHA-256 {found[:16]}...")


def tree_digest(folder: Path, pattern: str = "**/*") -> str:
    """SHA-256 over each file's path, a zero byte and its SHA-256, by path; `.git` is left out."""
    whole = hashlib.sha256()
    names = {path.relative_to(folder).as_posix() for path in folder.glob(pattern) if path.is_file()}
    for name in sorted(name for name in names if not name.startswith(".git/")):
        whole.update(name.encode() + b"\0" + hashlib.sha256((folder / name).read_bytes()).digest())
    return whole.hexdigest()


def build(sources: Path, bindings: Path, work: Path, jobs: int) -> Path:
    """Compile everything in copies of the sources, which HEXL's CMake writes into; the module's path."""
    for folder in SOURCES:
        shutil.copytree(sources / folder, work / folder, ignore=shutil.ignore_patterns(".git"))
    _prepare_hexl(work)
    same = f"-ffile-prefix-map={work}=."
    common = ["-DCMAKE_BUILD_TYPE=Release", f"-DCMAKE_CXX_FLAGS={same}", f"-DCMAKE_C_FLAGS={same}"]
    off = [f"-DHEXL_{name}=OFF" for name in ("BENCHMARK", "COVERAGE", "DOCS", "TESTING", "SHARED_LIB")]
    _cmake(work, "hexl", [*common, *off, f"-DCMAKE_INSTALL_PREFIX={work}/made", "-DCMAKE_INSTALL_LIBDIR=lib"], jobs)
    off = [f"-DSEAL_{name}=OFF" for name in ("BUILD_DEPS", "USE_MSGSL", "USE_ZLIB", "USE_ZSTD")]
    hexl = f"-DHEXL_DIR={next((work / 'made/lib/cmake').glob('hexl-*'))}"
    prefix = f"-DCMAKE_INSTALL_PREFIX={work}/made"
    _cmake(work, "seal", [*common, *off, "-DSEAL_USE_INTEL_HEXL=ON", hexl, prefix, "-DCMAKE_INSTALL_LIBDIR=lib"], jobs)
    return _bindings(bindings, work, same, jobs)


def _prepare_hexl(work: Path) -> None:
    """Let HEXL take its cpu_features from beside it, not from the network, and compile for one architecture."""
    file = work / "hexl/cmake/third-party/cpu-features/CMakeLists.txt"
    text = file.read_text()
    kept = text[text.index(_DOWNLOAD_ENDS) :]
    file.write_text(edited(kept, "${CMAKE_CURRENT_BINARY_DIR}/cpu-features-src", str(work / "cpu_features")))
    for name in ("hexl/hexl/CMakeLists.txt", "hexl/cmake/hexl/hexl-util.cmake"):
        (work / name).write_text(edited((work / name).read_text(), "-march=native", ARCHITECTURE))


def edited(text: str, old: str, new: str) -> str:
    """The text with the one place that is `old` changed; there must be one."""
    if text.count(old) != 1:
        raise Refused(f"{old!r} stands {text.count(old)} times in a source, not once")
    return text.replace(old, new)


def _cmake(work: Path, name: str, options: list[str], jobs: int) -> None:
    say("cmake", f"{name}: {' '.join(options)}")
    run(["cmake", "-S", str(work / name), "-B", str(work / f"{name}-build"), *options])
    say("compile", name)
    run(["cmake", "--build", str(work / f"{name}-build"), "-j", str(jobs), "--target", "install"])


def _bindings(bindings: Path, work: Path, same: str, jobs: int) -> Path:
    """Compile TenSEAL's bindings and link all into one module that shows nothing but its entry."""
    here = work / "bindings/tenseal/sealapi"
    shutil.copytree(bindings, here)
    for name, changes in EDITS.items():
        for old, new in changes:
            (here / name).write_text(edited((here / name).read_text(), old, new))
    seal = next((work / "made/include").glob("SEAL-*"))
    include = [work / "bindings", folder_of("pybind11") / "include", python_headers(), seal, work / "made/include"]
    flags = ["-std=c++17", "-O2", "-fPIC", "-w", "-fvisibility=hidden", same, *(f"-I{path}" for path in include)]
    say("compile", f"{len(BINDINGS)} files of bindings")
    commands = [["g++", *flags, "-c", str(here / f"{name}.cpp"), "-o", str(work / f"{name}.o")] for name in BINDINGS]
    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(run, commands))
    module = work / f"_sealapi_cpp{sysconfig.get_config_var('EXT_SUFFIX')}"
    archives = [next((work / "made/lib").glob(f"{name}*.a")) for name in ("libseal", "libhexl")]
    link = ["-shared", "-Wl,--exclude-libs,ALL", "-Wl,-z,relro,-z,now", "-Wl,--strip-all"]
    objects = [str(work / f"{name}.o") for name in BINDINGS]
    run(["g++", *link, "-o", str(module), *objects, *map(str, archives), "-lpthread"])
    say("link", f"{module.name}, {module.stat().st_size} bytes")
    return module


def folder_of(package: str) -> Path:
    """Where an installed package lies; nothing of it is imported."""
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise Refused(f"{package} has metadata but no files: install it anew")
    return Path(found.origin).parent


def python_headers() -> Path:
    """Where Python.h lies."""
    return Path(sysconfig.get_paths()["include"])


def check_wheel(wheel: Path, work: Path) -> None:
    """Unpack the wheel and let the product find it, in a process of its own; Refused: it is not used there."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(work / "unpacked")
    code = "from crypto.ckks import faster; print(faster.choice().hexl, faster.said())"
    path = os.pathsep.join((str(work / "unpacked"), str(Path(__file__).resolve().parents[1])))
    used, _, said = run([sys.executable, "-c", code], PYTHONPATH=path).strip().partition(" ")
    if used != "True":
        raise Refused(f"the module that was made is not used: {said}")
    say("known answer", said)


def run(command: list[str], **variables: str) -> str:
    """Standard output of a command; Refused: it failed, with the end of what it said."""
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"LC_ALL": "C"} | variables)
    if done.returncode:
        raise Refused(f"{' '.join(command)[:300]} failed:\n{(done.stdout + done.stderr)[-4000:]}")
    return done.stdout


if __name__ == "__main__":
    main()
