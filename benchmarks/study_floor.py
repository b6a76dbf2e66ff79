"""The primitives of an encrypted study, one after the other in this process: what its seconds are held against.

Keys made, read and checked; U encoded; then in every round residuals encrypted, fits and decryption, of each assistor,
with the rows, widths, outputs and rounds that a finished study had. Left out are processes, sockets, the ledger,
tables, alignment, the parties' fits in the clear and the report: a study that took no longer would do nothing else.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import numpy.typing as npt

from crypto.ckks.encrypted_ridge import EncryptedRidge
from crypto.ckks.keys import PublicKeys
from crypto.ckks.secret import SecretContext
from crypto.ckks.sets import PARAMETER_SETS
from parties.run.store import RunStore
from secure_gal.state import NUMBER, State


def floor(run: Path, parameters: str, rounds: int) -> float:
    """Seconds of the clock, with all cores, for the study whose sponsor's run directory this is."""
    store = RunStore(run)
    state = store.state()
    store.close()
    residual = np.asarray(state["residual/0001"], np.float64)
    rows = len(np.asarray(state["ensemble/F"]))
    widths = [NUMBER.read(State(state), key) for key in state if key.startswith("width/")]
    params, outputs = PARAMETER_SETS[parameters], residual.shape[1]
    u = [_u(rows, width, seed) for seed, width in enumerate(widths)]
    began = time.perf_counter()
    secret = SecretContext.generate(params)
    keys = {width: PublicKeys.from_bytes(params, width, secret.public_keys(width)) for width in dict.fromkeys(widths)}
    train = len(residual)
    jobs = [EncryptedRidge.of(keys[x.shape[1]], x[:train], x, leave_one_out=True, share=0.5) for x in u]
    for _ in range(rounds):
        requests = secret.encrypt(residual)
        for place, job in enumerate(jobs):
            secret.decrypt(job.fit(requests, outputs), rows, outputs, f"assistor {place}")
    took = time.perf_counter() - began
    for job in jobs:
        job.close()
    return took


def _u(rows: int, width: int, seed: int) -> npt.NDArray[np.float64]:
    """(rows, width), orthonormal columns."""
    values = np.random.default_rng(seed).standard_normal((rows, width))
    return np.linalg.qr(values)[0] * 0.999
