"""TLS between a party and its workers: its files are looked at, and the scheduler is tried, before Dask is let loose.

Dask tries again until its time is over, and then says that it was. One handshake of our own says what is wrong.
"""

from __future__ import annotations

import os
import socket
import ssl
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from secure_gal.errors import EnvironmentFailure, SettingsError
from secure_gal.settings.address import host_and_port
from secure_gal.settings.party import TlsFiles
from secure_gal.settings.workers import WHERE

if TYPE_CHECKING:
    from distributed.security import Security

CONNECT_SECONDS = 10.0


def security(tls: TlsFiles) -> Security:
    """What Dask is to connect with: nothing but TLS, a certificate of this authority on either side.

    Raises:
        SettingsError: a file cannot be read, others can read the key, or they do not belong together.
    """
    from distributed.security import Security

    for name in ("ca", "cert", "key"):
        _readable(name, getattr(tls, name))
    made = Security(
        require_encryption=True,
        tls_ca_file=str(tls.ca),
        tls_client_cert=str(tls.cert),
        tls_client_key=str(tls.key),
        tls_min_version=ssl.TLSVersion.TLSv1_3,
    )
    try:
        made.get_connection_args("client")
    except (ssl.SSLError, ValueError, OSError) as error:
        raise SettingsError(
            "[learner.tls]", f"{_reason(error)}; `cert` and `key` are a PEM pair, `ca` signed it"
        ) from None
    return made


def _readable(name: str, path: Path) -> None:
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
    except OSError as error:
        raise SettingsError(f"[learner.tls] {name}", f"{path}: {error.strerror}") from None
    if name == "key" and mode & 0o077:
        raise SettingsError(
            f"[learner.tls] {name}", f"{path} has mode {mode:04o}, so others can read it; chmod 600 {path}"
        )


def probe(address: str, made: Security | None) -> None:
    """Reach the scheduler once, by TLS where `made` says how.

    Raises:
        EnvironmentFailure: nobody answers there.
        SettingsError: who answers is not known, or does not know this party.
    """
    host, port = host_and_port(address)
    try:
        with socket.create_connection((host, port), timeout=CONNECT_SECONDS) as raw:
            if made is None:
                _first_word(raw)
            else:
                _shake_hands(made.get_connection_args("client")["ssl_context"], raw, address)
    except socket.gaierror:
        raise EnvironmentFailure(
            f"{WHERE}: no machine is called {host!r} ({address}); mend the name, or the DNS"
        ) from None
    except TimeoutError:
        raise EnvironmentFailure(
            f"{WHERE}: {address} did not answer within {CONNECT_SECONDS:.0f} s; is the way to it open, and does a "
            "scheduler run there?"
        ) from None
    except OSError as error:
        raise EnvironmentFailure(
            f"{WHERE}: {address}: {error.strerror or error}; start the scheduler there (`dask scheduler`)"
        ) from None


def _shake_hands(context: ssl.SSLContext, raw: socket.socket, address: str) -> None:
    try:
        with context.wrap_socket(raw) as line:
            _first_word(line)
    except ssl.SSLCertVerificationError as error:
        raise SettingsError(
            WHERE,
            f"{address} has no certificate of the authority in [learner.tls] `ca`: {error.verify_message}. Do not go "
            "on: it may be another machine. If it is yours, give it a certificate of that authority",
        ) from None
    except ssl.SSLError as error:
        alert = "ALERT" in (error.reason or "")
        problem = "refuses the certificate in [learner.tls] `cert`" if alert else "speaks no TLS"
        fix = "is it of the scheduler's authority?" if alert else "start it with --tls-ca-file, --tls-cert, --tls-key"
        raise SettingsError(WHERE, f"{address} {problem} ({_reason(error)}); {fix}") from None


def _first_word(line: socket.socket) -> None:
    """A scheduler speaks first, by TLS once it has looked at our certificate; Dask would wait for ever for another
    program that does not."""
    if not line.recv(1):
        raise ConnectionResetError(None, "closed the connection")


def _reason(error: Exception) -> str:
    reason = getattr(error, "reason", None)
    return str(reason).lower().replace("_", " ") if reason else str(getattr(error, "strerror", None) or error)
