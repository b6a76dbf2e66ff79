"""`doctor`: what can be wrong on this machine, one line each, with the fix."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from parties.run.limits import require_open_files
from parties.run.session import Session, open_session
from secure_gal import __version__
from secure_gal.errors import SecureGalError
from secure_gal.settings.load import load_party

DIAL_SECONDS = 3.0


def examine(file: Path) -> tuple[list[str], bool]:
    """Lines of findings, and whether all is well."""
    lines: list[str] = []
    healthy = True

    def step(what: str, probe: Callable[[], str]) -> None:
        nonlocal healthy
        try:
            lines.append(f"ok    {what}: {probe()}")
        except (SecureGalError, OSError) as error:
            healthy = False
            lines.append(f"FIX   {what}: {error}")

    step("settings", lambda: f"{load_party(file)[1].name} as {load_party(file)[0].party}")
    if not healthy:
        return lines, False
    step("keys and pins", lambda: _keys(open_session(file)))
    step("home", lambda: _home(open_session(file)))
    step("run_dir", lambda: _run_dir(load_party(file)[0].run_dir))
    step("open files", lambda: require_open_files(load_party(file)[1]))
    step("network", lambda: _network(file))
    lines.append(f"ok    versions: {_versions()}")
    lines.append(f"ok    ciphertexts: {_ciphertexts()}")
    lines.append(f"ok    gpu: {_gpu()}")
    return lines, healthy


def _keys(session: Session) -> str:
    return (
        f"{session.identity.card.fingerprint[:19]}..., {len(session.cards) - 1} pinned; digest {session.digest[:16]}..."
    )


def _home(session: Session) -> str:
    """Keys are only read there; what an assistor's data gives away, or which labels were released, is written."""
    home = session.party.home
    try:
        with tempfile.TemporaryFile(dir=home):
            pass
    except OSError as error:
        raise OSError(f"{home} cannot be written: {error.strerror}; what is given away could not be counted") from None
    return f"{home} can be written"


def _run_dir(path: Path) -> str:
    if path.exists() and not path.is_dir():
        raise OSError(f"{path} is a file; name a folder as `run_dir`")
    if path.exists() and path.stat().st_mode & 0o077:
        raise OSError(f"{path} can be read by others; chmod 700 {path}")
    nearest = next(folder for folder in (path, *path.parents) if folder.exists())
    try:
        with tempfile.TemporaryFile(dir=nearest):  # access bits say nothing to root, or of a read-only disk
            pass
    except OSError as error:
        problem = f"{path} cannot be made or written: {nearest}: {error.strerror}; change `run_dir`"
        raise OSError(problem) from None
    return f"{path} ({'there' if path.exists() else 'will be made'})"


def _network(file: Path) -> str:
    party, study = load_party(file)
    if party.bind is not None:
        host, _, port = party.bind.removeprefix("tcp://").rpartition(":")
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("" if host == "*" else host, int(port)))
            except OSError as error:
                raise OSError(f"{party.bind}: {error.strerror}; stop what uses the port, or change `bind`") from None
        return f"{party.bind} is free"
    if party.proxy:
        return f"through the SOCKS5 proxy {party.proxy}; not probed"
    address = party.address or study.address
    host, _, port = address.removeprefix("tcp://").rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=DIAL_SECONDS).close()
    except OSError as error:
        raise OSError(f"{address}: {error}; is the sponsor running, and is the port open on the way?") from None
    return f"{address} answers"


def _versions() -> str:
    found = [f"secure-gal {__version__}"]
    for name in ("pyzmq", "tenseal", "pymonocypher", "torch", "scikit-learn"):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"{name} missing")
    return ", ".join(found)


def _ciphertexts() -> str:
    from crypto.ckks import faster  # other commands need not load SEAL with HEXL

    return faster.said()


def _gpu() -> str:
    import torch

    if not torch.cuda.is_available():
        return "none; torch uses the CPU"
    return ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))
