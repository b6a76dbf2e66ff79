"""Starts the programs of other systems, with a relay wherever two parties meet."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import psi
from benchmarks.peers.relay import Relay, free_ports
from benchmarks.peers.sets import PARTIES, Rows

PROGRAMS = Path(__file__).parent / "programs"


class Failed(Exception):
    """A program did not start, ended with an error, or not in time; the message is the last line that it wrote."""


def secretflow(python: Path, model: str, rows: Rows, folder: Path, limit: float) -> dict[str, Any]:
    """Both parties in production mode; every address that one dials is a relay's."""
    rows.write(folder)
    scores = folder / "scores.csv"
    with ExitStack() as held:
        relays, network = _network(held)
        (folder / "network.json").write_text(json.dumps(network))
        program = [str(python), str(PROGRAMS / "secretflow_party.py")]
        ending = [str(folder / "network.json"), model, str(folder), "--scores", str(scores)]
        finish([[*program, party, *ending] for party in PARTIES], folder, limit)
        return {"bytes": sum(relay.carried for relay in relays), "auc": rows.auc(np.loadtxt(scores))}


def _network(held: ExitStack) -> tuple[list[Relay], dict[str, Any]]:
    """Relays, and where the drivers and the secure processing unit of each party dial and listen."""
    ports = free_ports(2 * len(PARTIES))
    relays = [held.enter_context(Relay(port)) for port in ports]
    dialled, listened = ([f"127.0.0.1:{port}" for port in some] for some in ([r.port for r in relays], ports))
    fed = {party: {"address": dialled[m], "listen_addr": listened[m]} for m, party in enumerate(PARTIES)}
    spu = [
        {"party": party, "address": dialled[m], "listen_address": listened[m]}
        for m, party in enumerate(PARTIES, start=len(PARTIES))
    ]
    return relays, {"fed": fed, "spu": spu}


def xgboost(python: Path, rows: Rows, folder: Path, limit: float) -> dict[str, Any]:
    """One process, no party: nothing is sent."""
    rows.write(folder)
    scores = folder / "scores.csv"
    finish([[str(python), str(PROGRAMS / "xgboost_pooled.py"), str(folder), "--scores", str(scores)]], folder, limit)
    return {"bytes": None, "auc": rows.auc(np.loadtxt(scores))}


def openmined(python: Path, ids: int, folder: Path, limit: float) -> dict[str, Any]:
    """The ids of `benchmarks.psi`: the client has the sponsor's, the server the assistor's."""
    roles = {"client": "sponsor", "server": "assistor"}
    for role, party in roles.items():
        (folder / role).write_text("\n".join(psi.ids_of(party, (ids, ids))))
    port = free_ports(1)[0]
    with Relay(port) as relay:
        ports = {"client": relay.port, "server": port}
        program = [str(python), str(PROGRAMS / "openmined_party.py")]
        said = finish(
            [[*program, role, str(folder / role), str(ports[role]), str(ids)] for role in roles], folder, limit
        )
        return {"bytes": relay.carried, "common": int(said[0])}


def heu(python: Path, rows: int, folder: Path, limit: float) -> dict[str, Any]:
    """The program prints its own figures."""
    said = finish([[str(python), str(PROGRAMS / "heu_column.py"), str(rows)]], folder, limit)
    found: dict[str, Any] = json.loads(said[0].splitlines()[-1])
    return found


def finish(commands: Sequence[Sequence[str]], folder: Path, limit: float) -> list[str]:
    """Run them side by side to their end; what each wrote to stdout.

    Raises:
        Failed: one did not start, ended with an error, or not in `limit` seconds; then the others are ended too.
    """
    with ExitStack() as held:
        files = [
            [held.enter_context((folder / f"{m}.{kind}").open("w+")) for kind in ("out", "err")]
            for m in range(len(commands))
        ]
        running: list[subprocess.Popen[bytes]] = []
        try:
            for command, (out, err) in zip(commands, files, strict=True):
                running.append(subprocess.Popen(command, cwd=folder, stdout=out, stderr=err))
            _wait(running, limit, folder)
        except OSError as error:
            raise Failed(str(error)) from error
        finally:
            for process in running:
                process.kill()
                process.wait()
    return [(folder / f"{m}.out").read_text() for m in range(len(commands))]


def _wait(running: Sequence[subprocess.Popen[bytes]], limit: float, folder: Path) -> None:
    deadline = time.monotonic() + limit
    while any(process.poll() is None for process in running):
        for m, process in enumerate(running):
            if process.poll():
                raise Failed(f"exit status {process.poll()}: {_last_line(folder / f'{m}.err')}")
        if time.monotonic() > deadline:
            raise Failed(f"not finished within {limit:g} s")
        time.sleep(0.2)
    for m, process in enumerate(running):
        if process.poll():
            raise Failed(f"exit status {process.poll()}: {_last_line(folder / f'{m}.err')}")


def _last_line(path: Path) -> str:
    return next((line.strip() for line in reversed(path.read_text().splitlines()) if line.strip()), "no message")
