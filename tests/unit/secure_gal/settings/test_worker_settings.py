"""`[learner] workers`: off this machine only with TLS."""

from __future__ import annotations

from pathlib import Path

import pytest

from secure_gal.errors import SettingsError
from secure_gal.settings.address import host_and_port
from secure_gal.settings.party import LearnerSettings, TlsFiles
from secure_gal.settings.workers import check_workers, within

TLS = TlsFiles(Path("ca.pem"), Path("cert.pem"), Path("party.key"))
FILE = Path("lab.toml")


@pytest.mark.parametrize(
    ("address", "tls"),
    [
        (None, None),
        ("tls://scheduler:8786", TLS),
        ("tls://[2001:db8::5]:8786", TLS),
        ("tls://127.0.0.1:8786", TLS),
        ("tcp://127.0.0.1:8786", None),
        ("tcp://[::1]:8786", None),
        ("tcp://localhost:8786", None),
    ],
)
def test_taken(address: str | None, tls: TlsFiles | None) -> None:
    check_workers(LearnerSettings(workers=address, tls=tls), FILE)


@pytest.mark.parametrize(
    ("address", "tls", "why"),
    [
        ("tcp://10.0.0.5:8786", None, r"accepted: tls://HOST:PORT .*pickled: without TLS whoever reaches a port"),
        ("tcp://scheduler:8786", None, "without TLS"),
        ("tcp://0.0.0.0:8786", None, "without TLS"),
        ("tcp://localhost.example.org:8786", None, "without TLS"),
        ("tcp://10.0.0.5:8786", TLS, "write tls://"),
        ("tls://scheduler:8786", None, r"needs \[learner.tls\] with `ca`, `cert` and `key`"),
        ("scheduler:8786", TLS, "accepted: tls://HOST:PORT"),
        ("tls://scheduler", TLS, "accepted: tls://HOST:PORT"),
        ("tls://scheduler:99999", TLS, "accepted: tls://HOST:PORT"),
        ("ucx://scheduler:8786", TLS, "accepted: tls://HOST:PORT"),
        (None, TLS, "`learner.tls` is for `learner.workers`"),
    ],
)
def test_refused(address: str | None, tls: TlsFiles | None, why: str) -> None:
    with pytest.raises(SettingsError, match=why):
        check_workers(LearnerSettings(workers=address, tls=tls), FILE)


def test_nothing_to_do_for_workers() -> None:
    with pytest.raises(SettingsError, match='nothing with kind "none"'):
        check_workers(LearnerSettings(kind="none", workers="tls://a:1", tls=TLS), FILE)


def test_an_address_in_parts_and_paths_beside_the_file() -> None:
    assert host_and_port("tls://[2001:db8::5]:8786") == ("2001:db8::5", 8786)
    assert within(Path("/home"), TLS) == TlsFiles(Path("/home/ca.pem"), Path("/home/cert.pem"), Path("/home/party.key"))
    assert within(Path("/home"), None) is None
