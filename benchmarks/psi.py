"""Private set intersection of two processes over loopback TCP, side by side with OpenMined's.

    python -m benchmarks.psi
    python -m benchmarks.psi --sizes 100k,1m,10k:1m --out psi.json

A size is N (both sides) or SPONSOR:ASSISTOR; half of the smaller set is common. Each party gets half of the machine's
cores (at least one). Seconds are the sponsor's, from both being ready to its having the answer; `cpu_seconds` add up
both parties and their workers and are steadier on a busy machine. Bytes are payloads. `floor_cpu_seconds` is what the
primitives alone cost (one hash and two X25519 an id), measured in the same run; `over_floor` compares CPU with CPU.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import resource
import socket
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from multiprocessing import connection
from pathlib import Path
from typing import Any

import numpy as np
import zmq
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from joblib.externals.loky import get_reusable_executor

from crypto import psi

PATIENCE_MS = 3_600_000
"""A party that hears nothing for an hour gives up."""
GROUP = 8
"""Blocks of masked ids in a message: 1 MiB."""


class Wire:
    """One end of a PAIR socket that counts payload bytes."""

    def __init__(self, address: str, bind: bool) -> None:
        self._socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.PAIR)
        self._socket.setsockopt(zmq.RCVTIMEO, PATIENCE_MS)
        self._socket.setsockopt(zmq.SNDHWM, 0)
        self._socket.setsockopt(zmq.RCVHWM, 0)
        (self._socket.bind if bind else self._socket.connect)(address)
        self.sent = 0

    def send(self, data: bytes) -> None:
        self.sent += len(data)
        self._socket.send(data)

    def receive(self) -> bytes:
        data: bytes = self._socket.recv()
        return data

    def meet(self) -> None:
        """Both ends are ready."""
        self._socket.send(b"")
        self._socket.recv()


def ours_sponsor(wire: Wire, ids: list[str], peers: int, cores: int) -> int:
    """Steps 1 to 4, and a fifth: the positions of the common ids in the assistor's list. Returns how many there are."""
    side = psi.PsiSide(psi.derive_domain(b"benchmark"))
    length = psi.tag_bytes(len(ids), peers)
    _, blocks = side.mask(ids, cores)
    for block in grouped(blocks):
        wire.send(block)
    points, theirs = receive_masked(wire, side, peers, length, cores)
    psi.check_distinct(points)
    mine = np.concatenate([psi.parse_tags(wire.receive(), n, length) for n in messages(len(ids))])
    _, positions = psi.match(mine, theirs)
    wire.send(positions.astype("<u4").tobytes())
    side.erase()
    return len(positions)


def ours_assistor(wire: Wire, ids: list[str], peers: int, cores: int) -> int:
    """The other side of `ours_sponsor`; answers only after it has checked the sponsor's whole list."""
    side = psi.PsiSide(psi.derive_domain(b"benchmark"))
    length = psi.tag_bytes(len(ids), peers)
    order, blocks = side.mask(ids, cores)
    for block in grouped(blocks):
        wire.send(block)
    points, answer = receive_masked(wire, side, peers, length, cores)
    psi.check_distinct(points)
    start = 0
    for n in messages(peers):
        wire.send(answer[start : start + n].tobytes())
        start += n
    side.erase()
    return len(order[np.frombuffer(wire.receive(), dtype="<u4")])


def grouped(blocks: Iterator[psi.Rows]) -> Iterator[bytes]:
    """Join GROUP blocks into one message."""
    held: list[bytes] = []
    for block in blocks:
        held.append(block.tobytes())
        if len(held) == GROUP:
            yield b"".join(held)
            held = []
    if held:
        yield b"".join(held)


def messages(count: int) -> list[int]:
    """Rows of each message that carries `count` rows."""
    full, rest = divmod(count, GROUP * psi.BLOCK)
    return [GROUP * psi.BLOCK] * full + ([rest] if rest else [])


def receive_masked(wire: Wire, side: psi.PsiSide, count: int, length: int, cores: int) -> tuple[psi.Rows, psi.Rows]:
    """The peer's masked ids and their tags, computed as the messages come."""
    points, tags = [], []
    for n in messages(count):
        points.append(psi.parse_points(wire.receive(), n))
        tags.append(side.tags(points[-1], length, cores))
    return np.concatenate(points), np.concatenate(tags)


def openmined_sponsor(wire: Wire, ids: list[str], peers: int, cores: int) -> int:
    """OpenMined's client, revealing the intersection, with its raw (exact) data structure; it uses one core."""
    import private_set_intersection.python as openmined

    client = openmined.client.CreateWithNewKey(True)
    wire.send(client.CreateRequest(ids).SerializeToString())
    setup, response = openmined.ServerSetup(), openmined.Response()
    setup.ParseFromString(wire.receive())
    response.ParseFromString(wire.receive())
    return len(client.GetIntersection(setup, response))


def openmined_assistor(wire: Wire, ids: list[str], peers: int, cores: int) -> int:
    """OpenMined's server; it prepares its own set while the client prepares the request."""
    import private_set_intersection.python as openmined

    server = openmined.server.CreateWithNewKey(True)
    setup = server.CreateSetupMessage(1e-9, peers, ids, openmined.DataStructure.RAW)
    wire.send(setup.SerializeToString())
    request = openmined.Request()
    request.ParseFromString(wire.receive())
    wire.send(server.ProcessRequest(request).SerializeToString())
    return -1


PARTIES: dict[str, Callable[[Wire, list[str], int, int], int]] = {
    "ours sponsor": ours_sponsor,
    "ours assistor": ours_assistor,
    "openmined sponsor": openmined_sponsor,
    "openmined assistor": openmined_assistor,
}


def party(system: str, role: str, sizes: tuple[int, int], address: str, cores: int, results: Any) -> None:
    """One process: make ids, meet, run, report."""
    common, sponsor = min(sizes) // 2, role == "sponsor"
    peers = sizes[sponsor]
    ids = ids_of(role, sizes)
    wire = Wire(address, bind=sponsor)
    wire.meet()
    began, spent = time.monotonic(), cpu_seconds()
    found = PARTIES[f"{system} {role}"](wire, ids, peers, cores)
    took = time.monotonic() - began
    if found not in (common, -1):
        raise RuntimeError(f"{system} {role} found {found} common ids; there are {common}")
    if cores > 1:
        get_reusable_executor().shutdown(wait=True)  # a worker's use of the machine is counted when it ends
    results.put((role, took, wire.sent, cpu_seconds() - spent, peak_bytes(cores)))
    wire.meet()


def ids_of(role: str, sizes: tuple[int, int]) -> list[str]:
    """A party's ids; half of the smaller set is common. Sizes are the sponsor's and the assistor's."""
    common, own = min(sizes) // 2, sizes[role != "sponsor"]
    return [f"common-{i:09d}" for i in range(common)] + [f"{role}-{i:09d}" for i in range(own - common)]


def cpu_seconds() -> float:
    """User and system time of this process and of its workers that have ended."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def peak_bytes(cores: int) -> int:
    """Peak resident memory of this process, ids included, plus `cores` times that of its largest worker.

    VmHWM and not ru_maxrss for this process: a child inherits the latter from the process that started it.
    """
    own = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    workers = cores * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss if cores > 1 else 0
    return 1024 * (int(own.split()[1]) + workers)


def measure(system: str, sizes: tuple[int, int], cores: int) -> dict[str, Any]:
    """Run both parties to their end."""
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
    both = [
        context.Process(target=party, args=(system, role, sizes, address, cores, results))
        for role in ("sponsor", "assistor")
    ]
    for process in both:
        process.start()
    while alive := [process.sentinel for process in both if process.is_alive()]:
        connection.wait(alive)
        if any(process.exitcode for process in both):
            for process in both:
                process.terminate()
            raise SystemExit(f"{system}: a party failed; its traceback is above")
    reports = {role: rest for role, *rest in (results.get(timeout=10) for _ in both)}
    sent = sum(report[1] for report in reports.values())
    return {
        "seconds": round(reports["sponsor"][0], 2),
        "cpu_seconds": round(sum(report[2] for report in reports.values()), 2),
        "bytes": sent,
        "bytes_a_pair": round(sent / max(sizes), 1),
        "peak_megabytes": {role: round(report[3] / 1e6) for role, report in reports.items()},
    }


def primitive_seconds(rounds: int = 5, count: int = 1000) -> tuple[float, float]:
    """CPU seconds of one hash to the curve and of one X25519, the best of `rounds`."""
    suffix = bytes(32) + b"\x20"
    scalar = X25519PrivateKey.generate()
    points = [X25519PrivateKey.generate().public_key().public_bytes_raw() for _ in range(count)]

    def best(work: Callable[[bytes], bytes]) -> float:
        times = []
        for _ in range(rounds):
            began = time.process_time()
            for one in points:
                work(one)
            times.append(time.process_time() - began)
        return min(times) / count

    return (
        best(lambda message: psi._encode(message, suffix)),
        best(lambda u: scalar.exchange(X25519PublicKey.from_public_bytes(u))),
    )


def parse_size(text: str) -> tuple[int, int]:
    """`100k` or `10k:1m`."""
    numbers = [int(part.replace("m", "000k").replace("k", "000")) for part in text.lower().split(":")]
    if len(numbers) > 2 or min(numbers) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}; expected N or SPONSOR:ASSISTOR")
    return numbers[0], numbers[-1]


def main() -> None:
    """Parse arguments, run every size with both systems, print one JSON object a size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="100k,1m,10k:1m", help="comma-separated")
    parser.add_argument(
        "--without-openmined", action="store_true", help="measure only ours: OpenMined takes minutes at 1m"
    )
    parser.add_argument("--out", type=Path, help="write the JSON list here too")
    chosen = parser.parse_args()
    cores = max(1, (os.cpu_count() or 1) // 2)
    rows = []
    for sizes in map(parse_size, chosen.sizes.split(",")):
        hashing, multiplying = primitive_seconds()
        ours = measure("ours", sizes, cores)
        floor = sum(sizes) * (hashing + 2 * multiplying)
        row: dict[str, Any] = {"sponsor_ids": sizes[0], "assistor_ids": sizes[1], "cores_a_party": cores, "ours": ours}
        row |= {"floor_cpu_seconds": round(floor, 2), "over_floor": round(ours["cpu_seconds"] / floor, 2)}
        row["primitives_a_second"] = {"hash_to_curve": round(1 / hashing), "x25519": round(1 / multiplying)}
        if find_spec("private_set_intersection") is None:
            row["openmined"] = "not installed; pip install openmined-psi"
        elif not chosen.without_openmined:
            theirs = row["openmined"] = measure("openmined", sizes, 1)
            row["times_faster"] = {
                "wall": round(theirs["seconds"] / ours["seconds"], 2),
                "cpu": round(theirs["cpu_seconds"] / ours["cpu_seconds"], 2),
            }
        rows.append(row | {"machine": f"{os.cpu_count()} x {platform.machine()}, Python {platform.python_version()}"})
        print(json.dumps(rows[-1], indent=2), flush=True)
    if chosen.out:
        chosen.out.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
