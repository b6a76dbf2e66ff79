"""`[learner] workers`: a party's own workers on other machines, and the certificates by which they know each other."""

from __future__ import annotations

from pathlib import Path

from secure_gal.errors import SettingsError
from secure_gal.settings.address import host_and_port, loopback
from secure_gal.settings.party import LearnerSettings, TlsFiles

WHERE = "[learner] workers"


def within(base: Path, tls: TlsFiles | None) -> TlsFiles | None:
    """Paths relative to the folder of the party's file, if they are relative."""
    return None if tls is None else TlsFiles(base / tls.ca, base / tls.cert, base / tls.key)


def check_workers(learner: LearnerSettings, path: Path) -> None:
    """Refuse an address of another form, or one off this machine without TLS.

    Raises:
        SettingsError: names the field and what is accepted.
    """
    address, tls = learner.workers, learner.tls
    if address is None:
        if tls is not None:
            raise SettingsError(str(path), "`learner.tls` is for `learner.workers`, which is missing")
        return
    accepted = "tls://HOST:PORT of the scheduler of this party's own Dask workers"
    try:
        host, _ = host_and_port(address)
    except ValueError:
        raise SettingsError(str(path), f"`learner.workers` is {address!r}; accepted: {accepted}") from None
    if learner.kind == "none":
        raise SettingsError(str(path), f'`learner.workers` is {address!r}; accepted: nothing with kind "none"')
    if address.startswith("tls://"):
        if tls is None:
            why = f"`learner.workers` is {address!r}, which needs [learner.tls] with `ca`, `cert` and `key`"
            raise SettingsError(str(path), why)
        return
    if tls is not None:
        raise SettingsError(str(path), f"`learner.workers` is {address!r} beside [learner.tls]; write tls://")
    if not loopback(host):
        raise SettingsError(
            str(path),
            f"`learner.workers` is {address!r}; accepted: {accepted}, with [learner.tls]. What workers are sent is "
            "pickled: without TLS whoever reaches a port reads this party's data and runs code on its machines",
        )
