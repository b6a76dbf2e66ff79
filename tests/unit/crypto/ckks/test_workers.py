"""Worker processes end with their owner."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys

import pytest

pytestmark = pytest.mark.processes

OWNERS = {
    "fits": """
import numpy as np
from crypto.ckks import shards
from crypto.ckks.encrypted_ridge import EncryptedRidge
from tests.support.ckks_keys import keys
from tests.unit.crypto.ckks.test_workers import work
u = np.eye(9000, 2) / 2
job = EncryptedRidge.of(keys("standard", 2), u, u, cores=2)
shards.spread(job._basis.job, work)
""",
    "alignment": """
from crypto import psi
from tests.unit.crypto.ckks.test_workers import work
list(psi._run(work, iter([b"a", b"b"]), 10 * psi.BLOCK, 1, 2))
""",
}


def work(*_: object) -> bytes:
    """Say who works, and work for ever."""
    os.write(1, f"{os.getpid()}\n".encode())
    while True:
        sum(range(1000))


@pytest.mark.parametrize("owner", OWNERS)
def test_workers_end_when_their_owner_is_killed(owner: str) -> None:
    process = subprocess.Popen([sys.executable, "-c", OWNERS[owner]], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    workers = [int(process.stdout.readline()) for _ in range(2)]
    ends = [os.pidfd_open(pid) for pid in workers]
    os.kill(process.pid, signal.SIGKILL)
    process.wait(timeout=60)
    try:
        for end in ends:  # readable once the process has ended
            assert select.select([end], [], [], 60.0)[0], "a worker goes on without an owner"
    finally:
        for end in ends:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(end, signal.SIGKILL)
            os.close(end)
