"""`secure-gal leakage`: what this party gave away, scored against its own truth from its own checkpoints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from crypto.gaussian_noise import clipped_with_noise
from parties.report.results import SUMMARY, write_final_report
from parties.run.ckks_key import open_cipher
from parties.run.session import Session, open_session, open_store
from parties.run.store import RunStore
from secure_gal.attacks.meter import Leakage, byte_leakage, column_leakage, label_leakage
from secure_gal.data.encode_table import TableEncoder
from secure_gal.errors import SettingsError
from secure_gal.features.encoded import RidgeFeatures
from secure_gal.holdings.assistor import AssistorData
from secure_gal.holdings.sponsor import SponsorData
from secure_gal.learners import storage
from secure_gal.learners.base import EncodedRows, as_table
from secure_gal.learners.shared import linked
from secure_gal.state import State

MAX_ROWS = 20_000
"""Rows that are scored; a fixed random sample of more, since intervals hardly narrow after that."""


def measure(file: Path) -> Leakage:
    """All attacks that need only this party's own data; the gate is the study's `leakage_threshold`.

    At the sponsor the run's report is written again, with the findings in it.

    Raises:
        SettingsError: this run directory holds no round that could be scored.
    """
    session = open_session(file)
    store = open_store(session)
    try:
        state = State(store.state())
        if session.party.party != session.study.sponsor:
            return _columns(session, state)
        found = _labels(session, store, state)
        store.set_meta("leakage", json.dumps(found.rows()))
        if (store.path / SUMMARY).exists():
            write_final_report(session, store)
        return found
    finally:
        store.close()


def _labels(session: Session, store: RunStore, state: State) -> Leakage:
    rounds = state.keys("residual/")
    if not rounds:
        raise SettingsError("run_dir", f"{session.party.run_dir} holds no residual that was sent; train first")
    train = state.array("train").astype(np.bool_)
    model = SponsorData(session.party, session.study, session.folder, lambda text: None)
    model.prepare(state.array("rows"), train)
    truth = np.asarray(model.y)[train]
    residuals = np.stack([state.array(key) for key in rounds])
    chosen = _sample(len(truth))
    threshold = session.study.leakage_threshold
    if not session.study.protect.encrypted:
        return label_leakage(truth[chosen], residuals[:, chosen], threshold=threshold)
    return byte_leakage(truth[chosen], _ciphertext_numbers(session, store, residuals)[:, chosen], threshold=threshold)


def _ciphertext_numbers(session: Session, store: RunStore, residuals: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Numbers by round and row of fresh encryptions of what was sent: distributed as the ciphertexts that were."""
    from secure_gal.attacks.requests import readable
    from secure_gal.gal.split import to_unit

    cipher = open_cipher(session, store)
    rows, outputs = residuals.shape[1:]
    sent = [cipher.encrypt(to_unit(residual)[0]) for residual in residuals]
    return np.stack([readable(requests, cipher.params, rows, outputs) for requests in sent])


def _columns(session: Session, state: State) -> Leakage:
    if not state.keys("positions"):
        raise SettingsError("run_dir", f"{session.party.run_dir} holds no aligned rows; run `secure-gal assist` first")
    model = AssistorData(session.party, session.study, session.folder, lambda text: None)
    train = state.array("train").astype(np.bool_)
    encoder, x = model.encoded(state.array("positions"), train)
    if not isinstance(encoder, TableEncoder):
        raise SettingsError(str(session.party.data.path), "holds arrays; column leakage is scored for tables only")
    rounds, protect = int(state.text("round", "0")), session.study.protect
    if not rounds:
        raise SettingsError("run_dir", f"{session.party.run_dir} holds no fitted round")
    if protect.summed:
        raise SettingsError(
            "[protect] predictions",
            'with "sum" nobody reads what one party fitted; what the sums give away '
            "takes every party's data to score: python -m benchmarks.privacy",
        )
    if protect.encrypted:
        _, features = storage.load(state.raw("encoder"), model.trusted)
        sent = _stand_ins(features, x, train, (rounds, session.study.k))
    else:
        models = linked([state.raw(f"model/{t:04d}") for t in range(1, rounds + 1)], model.trusted)
        sent = np.stack([fitted.predict(x).astype(np.float32) for fitted in models])
    if protect.noise is not None:  # fresh noise, distributed as what was sent
        sent = clipped_with_noise(sent, protect.clip, protect.noise)
    chosen = _sample(len(x))
    threshold = session.study.leakage_threshold
    return column_leakage(as_table(x)[chosen], sent[:, chosen], encoder.names, threshold=threshold)


def _stand_ins(
    features: RidgeFeatures, x: EncodedRows, train: npt.NDArray[np.bool_], shape: tuple[int, int]
) -> npt.NDArray[Any]:
    """Fitted values U (U' r) for random r of (T, K): this party cannot read what the sponsor decrypts, but the space is
    the same."""
    u = features.transform(x)
    r = np.random.default_rng(0).standard_normal((shape[0], int(train.sum()), shape[1]))
    sent = np.einsum("np,tpk->tnk", u, np.einsum("np,tnk->tpk", u[train], r))
    return np.asarray(sent, dtype=np.float32)


def _sample(rows: int) -> npt.NDArray[np.int64]:
    chosen = np.random.default_rng(0).permutation(rows)[:MAX_ROWS]
    return np.sort(chosen)


def as_text(leakage: Leakage) -> str:
    """A table, worst leak first."""
    lines = [f"{'attack':<34} {'target':<22} {'round':<6} {'measure':<20} {'score':<24} {'without':<24} leak"]
    for finding in sorted(leakage.findings, key=lambda f: -f.leak.value):
        mark = "  EXCEEDS" if finding in leakage.exceeded else ""
        lines.append(
            f"{finding.attack:<34} {finding.target[:22]:<22} {finding.rounds:<6} {finding.measure:<20} "
            f"{finding.score!s:<24} {finding.baseline!s:<24} {finding.leak}{mark}"
        )
    if leakage.threshold is not None:
        lines.append(f"threshold {leakage.threshold:g}: {'kept' if leakage.ok else 'EXCEEDED'}")
    return "\n".join(lines)
