"""One party of OpenMined's PSI, revealing the intersection, with the exact data structure. Runs in its environment.

    python openmined_party.py server IDS PORT PEERS
    python openmined_party.py client IDS PORT PEERS

IDS is a file with one id a line, PEERS how many the other has. The client prints how many are common.
"""

from __future__ import annotations

import sys
import time
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path

import private_set_intersection.python as psi

PATIENCE_SECONDS = 60


def client(ids: list[str], port: int) -> None:
    """Dials, asks, intersects."""
    side = psi.client.CreateWithNewKey(True)
    with dialled(port) as wire:
        wire.send_bytes(side.CreateRequest(ids).SerializeToString())
        setup, response = psi.ServerSetup(), psi.Response()
        setup.ParseFromString(wire.recv_bytes())
        response.ParseFromString(wire.recv_bytes())
    print(len(side.GetIntersection(setup, response)))


def dialled(port: int) -> Connection:
    """A connection; the server may still be starting."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            wire = Client(("127.0.0.1", port))
            wire.send_bytes(b"")
            wire.recv_bytes()
            return wire
        except (OSError, EOFError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def server(ids: list[str], port: int, peers: int) -> None:
    """Listens, answers one client."""
    side = psi.server.CreateWithNewKey(True)
    with Listener(("127.0.0.1", port)) as listener, listener.accept() as wire:
        wire.send_bytes(wire.recv_bytes())
        wire.send_bytes(side.CreateSetupMessage(1e-9, peers, ids, psi.DataStructure.RAW).SerializeToString())
        request = psi.Request()
        request.ParseFromString(wire.recv_bytes())
        wire.send_bytes(side.ProcessRequest(request).SerializeToString())


if __name__ == "__main__":
    role, file, port, peers = sys.argv[1:]
    ids = Path(file).read_text().split()
    client(ids, int(port)) if role == "client" else server(ids, int(port), int(peers))
