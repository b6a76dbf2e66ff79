"""A residual column under Paillier by HEU: encrypted, added up, decrypted. Runs in HEU's environment.

    python heu_column.py ROWS

Prints CPU seconds of each step and bytes as one JSON object: the public key and the column out, the sum back. The key
has 2048 bits, values six decimal places.
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np
from heu import numpy as hnp
from heu import phe


def main(rows: int) -> None:
    """Both sides in one process."""
    residual = np.random.default_rng(0).uniform(-1, 1, (rows, 1))
    kit, encoder = hnp.setup(phe.SchemaType.ZPaillier, 2048), phe.FloatEncoder(phe.SchemaType.ZPaillier, 10**6)
    times = [time.process_time()]
    column = kit.encryptor().encrypt(hnp.array(residual, encoder))
    times.append(time.process_time())
    total = kit.evaluator().sum(column)
    times.append(time.process_time())
    found = encoder.decode(kit.decryptor().decrypt(total))
    times.append(time.process_time())
    sent = len(kit.public_key().serialize()) + len(column.serialize()) + len(total.serialize())
    steps = dict(zip(("encrypt", "work", "decrypt"), np.diff(times).tolist(), strict=True))
    print(json.dumps({"bytes": sent, "steps": steps, "error": abs(float(found) - float(residual.sum()))}))


if __name__ == "__main__":
    main(int(sys.argv[1]))
