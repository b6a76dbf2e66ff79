"""The way to a party's workers: who is refused, what is said where nobody answers, and versions. No Dask runs here."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from distributed import Client

from parties.workers import connect, tls
from parties.workers.connect import at_work
from secure_gal.errors import EnvironmentFailure, SettingsError
from secure_gal.settings.party import LearnerSettings, TlsFiles
from tests.support.dask_cluster import LOOPBACK, Authority

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(scope="module")
def authority(folder: Path) -> Authority:
    return Authority(folder)


@pytest.fixture(scope="module")
def own(authority: Authority) -> TlsFiles:
    return authority.issue("party")


def refused(learner: LearnerSettings, kind: type[Exception]) -> str:
    with pytest.raises(kind) as found, at_work(learner, Path(), lambda event: None):
        raise AssertionError("connected")
    return str(found.value)


def listening(files: TlsFiles | None) -> str:
    """Address of a server that knows only its own authority, and speaks first, once; without files it says nothing."""
    server = socket.create_server((LOOPBACK, 0))
    context = None if files is None else ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(files.ca))
    if context is not None and files is not None:
        context.load_cert_chain(files.cert, files.key)
        context.verify_mode = ssl.CERT_REQUIRED

    def serve() -> None:
        line, _ = server.accept()
        with server, line, contextlib.suppress(OSError):
            talk = line if context is None else context.wrap_socket(line, server_side=True)
            while talk.recv(4096):
                pass

    threading.Thread(target=serve, daemon=True).start()
    return f"tls://{LOOPBACK}:{server.getsockname()[1]}"


def test_whoever_has_no_certificate_of_the_authority_is_refused(folder: Path, own: TlsFiles) -> None:
    """Nothing of Dask speaks before: a stranger gets no byte that Dask could unpickle, or send."""
    stranger = Authority(folder, "stranger")
    address = listening(stranger.issue("scheduler"))
    said = refused(LearnerSettings(workers=address, tls=own), SettingsError)
    assert said.startswith(f"[learner] workers: {address} has no certificate of the authority in [learner.tls] `ca`")
    address, theirs = listening(own), msgspec.structs.replace(stranger.issue("party"), ca=own.ca)
    said = refused(LearnerSettings(workers=address, tls=theirs), SettingsError)
    assert said.startswith(f"[learner] workers: {address} refuses the certificate in [learner.tls] `cert`")


def test_dask_itself_takes_no_other_certificate_and_no_plain_line(folder: Path, own: TlsFiles) -> None:
    stranger = Authority(folder, "other").issue("party")
    with pytest.raises(OSError, match="certificate"):
        Client(listening(own), security=tls.security(stranger), timeout=1, set_as_default=False)
    with pytest.raises(RuntimeError, match="encryption required"):
        Client(f"tcp://{LOOPBACK}:1", security=tls.security(own), timeout=1, set_as_default=False)


class Mixed:
    """A scheduler that has a worker on a plain line."""

    def wait_for_workers(self, count: int, timeout: float) -> None:
        pass

    def nthreads(self) -> dict[str, int]:
        return {"tls://10.0.0.6:9000": 1, "tcp://10.0.0.7:9000": 1}


def test_a_worker_without_tls_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"the worker at tcp://10\.0\.0\.7:9000 speaks no TLS"):
        connect._look(Mixed(), "tls://10.0.0.5:8786")


def test_nobody_there_is_said_with_the_address(own: TlsFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls, "CONNECT_SECONDS", 0.2)
    silent = listening(None)
    for address, why in (
        ("tls://schedular.invalid:8786", "no machine is called 'schedular.invalid'"),
        (f"tls://{LOOPBACK}:1", "Connection refused"),
        (silent, "did not answer within"),
    ):
        said = refused(LearnerSettings(workers=address, tls=own), EnvironmentFailure)
        assert said.startswith("[learner] workers: ") and address in said and why in said


def test_files_of_tls(own: TlsFiles, authority: Authority) -> None:
    change, open_to_others = msgspec.structs.replace, authority.issue("careless")
    open_to_others.key.chmod(0o640)
    for files, why in (
        (open_to_others, r"\[learner.tls\] key: .* has mode 0640, so others can read it; chmod 600"),
        (change(own, ca=own.ca.with_name("no.pem")), r"\[learner.tls\] ca: .*no.pem: No such file"),
        (change(own, key=authority.issue("another").key), r"\[learner.tls\]: key values mismatch"),
        (change(own, ca=own.key), r"\[learner.tls\]: no certificate"),
    ):
        with pytest.raises(SettingsError, match=why):
            tls.security(files)


class Unlike:
    """A scheduler's answer, with other versions on one worker."""

    def __init__(self, **worker: str) -> None:
        here = {"python": "3.11.7.final.0", **dict.fromkeys(connect.COMPARED, "1.0")}
        self._found = {
            "client": {"packages": here},
            "scheduler": {"packages": {**here, "python": "3.11.9.final.0", "numpy": None}},
            "workers": {"tls://b:1": {"packages": {**here, **{k.replace("_", "-"): v for k, v in worker.items()}}}},
        }

    def get_versions(self, packages: object) -> Any:
        return self._found


def test_unlike_versions_are_named() -> None:
    assert connect._same_versions(Unlike(), "tls://a:1")["numpy"] == "1.0"
    with pytest.raises(SettingsError, match=r"the worker at tls://b:1 has secure-gal missing \(here 1.0\), numpy 0.9"):
        connect._same_versions(Unlike(numpy="0.9", secure_gal=""), "tls://a:1")
    with pytest.raises(SettingsError, match=r"the worker at tls://b:1 has python 3.12 \(here 3.11\)"):
        connect._same_versions(Unlike(python="3.12.1.final.0"), "tls://a:1")


def test_nothing_of_dask_is_imported_without_workers() -> None:
    code = (
        "import sys, parties.cli, parties.commands.assist, parties.commands.train, crypto.ckks.encrypted_ridge\n"
        "from joblib import Parallel, delayed\n"
        "from pathlib import Path\n"
        "from parties.workers.connect import at_work\n"
        "from secure_gal.learners import cross_fit, fold_workers\n"
        "from secure_gal.settings.party import LearnerSettings\n"
        "with at_work(LearnerSettings(), Path(), print):\n"
        "    Parallel(n_jobs=1)([delayed(len)('ab')])\n"
        "print({'dask', 'distributed', 'tornado'} & set(sys.modules))\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert ended.stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("kind", "reason", "says"),
    [
        (ssl.SSLError, "WRONG_VERSION_NUMBER", r"speaks no TLS \(wrong version number\); start it with --tls-ca-file"),
        (
            ssl.SSLError,
            "TLSV1_ALERT_UNKNOWN_CA",
            r"refuses the certificate in .*ca\); is it of the scheduler's authority",
        ),
        (ssl.SSLCertVerificationError, "", "has no certificate of the authority .*: self-signed. Do not go on"),
    ],
)
def test_who_answers_in_another_way_is_named(kind: type[ssl.SSLError], reason: str, says: str) -> None:
    def refuse(raw: object) -> None:
        error: Any = kind(1, "x")
        error.reason, error.verify_message = reason, "self-signed"
        raise error

    context: Any = SimpleNamespace(wrap_socket=refuse)
    with pytest.raises(SettingsError, match=f"tls://a:1 {says}"):
        tls._shake_hands(context, None, "tls://a:1")  # type: ignore[arg-type]
