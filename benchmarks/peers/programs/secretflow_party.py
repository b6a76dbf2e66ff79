"""One party of SecretFlow in production mode: a Ray cluster and a driver of its own. Runs in SecretFlow's environment.

    python secretflow_party.py guest network.json ss-lr TABLES --scores scores.csv

Both parties run the same lines, as production mode wants it. `network.json` says where each is dialled and where it
listens, for the drivers (`fed`) and for the secure processing unit (`spu`). The guest has labels and writes the test
rows' scores. Settings that are not named here are SecretFlow's own defaults.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import secretflow as sf
import spu
from secretflow.data.vertical import read_csv

PARTIES = ("guest", "host")
PATIENCE_MS = 600_000
"""A minute, as by default, is not enough for the start on a machine that does other things too."""


def main() -> None:
    """Join, learn, score the test rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("party", choices=PARTIES)
    parser.add_argument("network", type=Path)
    parser.add_argument("model", choices=sorted(MODELS))
    parser.add_argument("tables", type=Path, help="folder with {guest,host}_{train,test}.csv")
    parser.add_argument("--scores", type=Path, required=True)
    asked = parser.parse_args()
    network = json.loads(asked.network.read_text())
    sf.init(
        address="local",
        num_cpus=8,  # a worker for every actor: Ray counts these, it does not bind them
        log_to_driver=False,
        cross_silo_comm_options={"timeout_in_ms": PATIENCE_MS},
        cluster_config={"parties": network["fed"], "self_party": asked.party},
    )
    guest, host = (sf.PYU(name) for name in PARTIES)
    train, test = (
        read_csv({pyu: str(asked.tables / f"{pyu.party}_{part}.csv") for pyu in (guest, host)})
        for part in ("train", "test")
    )
    left_out = ["guest_id", "host_id", "y"]
    x, y, new = train.drop(columns=left_out), train["y"], test.drop(columns=left_out)
    scores = MODELS[asked.model](network["spu"], (x, y, new))
    sf.wait(guest(write)(scores.partitions[guest], str(asked.scores)))
    sf.shutdown()


def write(scores: Any, path: str) -> None:
    """At the guest: one score a line, in the order of the test rows."""
    import numpy as np

    np.savetxt(path, np.asarray(scores, dtype=float).reshape(-1))


def ss_lr(nodes: list[dict[str, str]], tables: tuple[Any, Any, Any]) -> Any:
    """Logistic regression on secret shares: SEMI2K over 128 bits, the settings of their component `ss_sgd_train`."""
    from secretflow.ml.linear import SSRegression

    x, y, new = tables
    batch = min(
        1024, x.shape[0] // 4
    )  # an epoch takes whole batches only: none of 1,024 in 455 rows, and nothing is learnt
    runtime = {"protocol": spu.spu_pb2.SEMI2K, "field": spu.spu_pb2.FM128}
    link = {"connect_retry_times": 600, "recv_timeout_ms": PATIENCE_MS, "http_timeout_ms": PATIENCE_MS}
    model = SSRegression(sf.SPU({"nodes": nodes, "runtime_config": runtime}, link_desc=link))
    model.fit(x, y, epochs=10, learning_rate=0.1, batch_size=batch, sig_type="t1", reg_type="logistic", eps=0.001)
    return model.predict(new, batch_size=1024, to_pyu=sf.PYU("guest"))


def sgb(_: list[dict[str, str]], tables: tuple[Any, Any, Any]) -> Any:
    """Ten boosted trees of depth five, gradients under Okamoto-Uchiyama (2048 bits), as their tutorial has it."""
    from secretflow.ml.boost.sgb_v import Sgb

    x, y, new = tables
    heu = sf.HEU(
        {
            "sk_keeper": {"party": "guest"},
            "evaluators": [{"party": "host"}],
            "mode": "PHEU",
            "he_parameters": {"schema": "ou", "key_pair": {"generate": {"bit_size": 2048}}},
            "encoding": {"cleartext_type": "DT_I32", "encoder": "IntegerEncoder", "encoder_args": {"scale": 1}},
        },
        spu.spu_pb2.FM128,
    )
    settings = {"num_boost_round": 10, "max_depth": 5, "learning_rate": 0.3, "objective": "logistic", "sketch_eps": 0.1}
    return Sgb(heu).train(settings, x, y).predict(new, to_pyu=sf.PYU("guest"))


MODELS: dict[str, Callable[..., Any]] = {"ss-lr": ss_lr, "sgb": sgb}


if __name__ == "__main__":
    try:
        main()
    except Exception:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)  # threads of Ray and of gRPC would keep a party alive that has failed
