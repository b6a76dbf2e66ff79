"""A PostgreSQL server of the tests' own: a new cluster on a free port of 127.0.0.1, with passwords."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

OWNER, READER = "owner", "reader"
ACCOUNT = "postgres"
"""What Debian's package makes; initdb refuses to run as root."""


@dataclass(frozen=True)
class Server:
    """Where it listens, and the passwords of its users."""

    port: int
    binaries: Path
    folder: Path
    passwords: dict[str, str] = field(repr=False)

    def source(self, user: str = READER, database: str = "postgres") -> str:
        """As in `[data] source`."""
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def run(self, sql: str) -> str:
        """As the owner."""
        address = ["-h", "127.0.0.1", "-p", str(self.port), "-U", OWNER, "-v", "ON_ERROR_STOP=1", "-qAt"]
        return subprocess.run(
            [self.binaries / "psql", *address, "postgres"],
            input=sql,
            env=os.environ | {"PGPASSWORD": self.passwords[OWNER]},
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    def control(self, action: str, *options: str) -> None:
        """Start or stop it; returns when that is done."""
        _as_account([self.binaries / "pg_ctl", "-D", self.folder / "data", "-w", *options, action], self.folder)


def binaries() -> Path:
    """Of the newest version that is installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    assert found, "PostgreSQL is missing: apt-get install postgresql"
    return found[-1].parent


def _as_account(command: Sequence[str | Path], folder: Path) -> None:
    change = ["setpriv", f"--reuid={ACCOUNT}", f"--regid={ACCOUNT}", "--clear-groups"] if os.geteuid() == 0 else []
    subprocess.run([*change, *command], cwd=folder, check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)


@contextmanager
def server() -> Iterator[Server]:
    """A new cluster, in a folder of its own: pytest's are closed to every account but the one that runs it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    folder = Path(tempfile.mkdtemp(prefix="secure-gal-postgresql-"))
    made = Server(port, binaries(), folder, {OWNER: "owner-password", READER: "reader-password"})
    try:
        (folder / "password").write_text(made.passwords[OWNER])
        if os.geteuid() == 0:
            for path in (folder, folder / "password"):
                shutil.chown(path, ACCOUNT, ACCOUNT)
        options = [
            "-A",
            "scram-sha-256",
            "-U",
            OWNER,
            "--pwfile",
            folder / "password",
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
        ]
        _as_account([made.binaries / "initdb", "-D", folder / "data", "--no-sync", *options], folder)
        listening = f"-c fsync=off -c listen_addresses=127.0.0.1 -c port={port} -k {folder}"
        made.control("start", "-o", listening, "-l", str(folder / "log"))
        try:
            yield made
        finally:
            if (folder / "data" / "postmaster.pid").exists():
                made.control("stop", "-m", "immediate")
    finally:
        shutil.rmtree(folder)
