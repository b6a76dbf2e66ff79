"""A residual column under our ciphertexts: encrypted, a ridge fit on it, decrypted. Runs in our own environment.

    python -m benchmarks.peers.programs.ckks_column ROWS

More than `heu_column.py` does: COLUMNS weighted sums, and fitted values of every row from them. Prints the same JSON:
the public keys and the column out, the fitted values back.
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np

from crypto.ckks.encrypted_ridge import EncryptedRidge
from crypto.ckks.keys import PublicKeys
from crypto.ckks.ring import padded
from crypto.ckks.secret import SecretContext
from crypto.ckks.sets import PARAMETER_SETS

COLUMNS = 10
"""As the host of default_credit has."""


def main(rows: int) -> None:
    """Both sides in one process."""
    rng, params = np.random.default_rng(0), PARAMETER_SETS["standard"]
    residual = rng.uniform(-1, 1, (rows, 1))
    u = np.linalg.qr(rng.standard_normal((rows, COLUMNS)))[0]
    times = [time.process_time()]
    secret, width = SecretContext.generate(params), padded(params, COLUMNS)
    raw = secret.public_keys(width)
    requests = secret.encrypt(residual)
    times.append(time.process_time())
    ridge = EncryptedRidge.of(PublicKeys.from_bytes(params, width, raw), u, u, cores=1)
    replies = ridge.fit(requests, 1)
    ridge.close()
    times.append(time.process_time())
    fitted = secret.decrypt(replies, rows, 1, "host")
    times.append(time.process_time())
    steps = dict(zip(("encrypt", "work", "decrypt"), np.diff(times).tolist(), strict=True))
    error = float(np.abs(fitted - u @ (u.T @ residual)).max())
    print(json.dumps({"bytes": len(raw) + requests.nbytes + replies.nbytes, "steps": steps, "error": error}))


if __name__ == "__main__":
    main(int(sys.argv[1]))
