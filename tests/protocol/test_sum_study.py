"""Sum-only studies with real ciphertexts: the clear answer, and what a curious sponsor or aggregator can make of all it
got.

An attack regresses what it is after on every number that the transcript has for a row (decrypted where the attacker
holds the key, else the words of ciphertexts and sealed bytes), on half of the rows, and is scored on the other half.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from crypto.ckks import sealapi_files, wide
from crypto.ckks.fits import ROWS, SUM, TRAINING, Layout
from crypto.ckks.products import PRODUCT_BYTES, PRODUCT_LEVELS, PRODUCT_PRIMES, read_products
from crypto.ckks.releases import Releases
from crypto.ckks.secret_sum import SumContext
from crypto.sealed_box import SealingKey
from secure_gal import messages
from secure_gal.gal.split import to_unit
from secure_gal.protection.sums.sealing import bind
from secure_gal.protection.sums.weights import commit_in_the_clear
from secure_gal.settings.study import Protect
from tests.support.real_sums_in_memory import CKKS, CLEAR, SEALING, N, Rows, payloads, run
from tests.support.simulation import Network
from tests.support.study_in_memory import NAMES, context, final_f, study


@pytest.fixture(scope="module")
def encrypted() -> tuple[Network, Any]:
    return run(CKKS)


@pytest.fixture(scope="module")
def public() -> tuple[Network, Any]:
    return run(CLEAR)


@pytest.fixture(scope="module")
def individual() -> tuple[Network, Any]:
    return run(Protect(ids="clear", residuals="ckks", parameters="standard"))


class Truth:
    """What happened in round 1: training rows only."""

    def __init__(self, network: Network) -> None:
        self.train = network.sponsor.store.values["train"].astype(bool)
        models = {name: Rows(name) for name in NAMES}
        for model in models.values():
            model.cross_fitted = network.sponsor.node.role.ensemble.cross_fitted
            model.prepare(np.arange(N), self.train)
        self.ensemble = models["hospital"].ensemble(NAMES)
        self.residual = self.ensemble.residual()
        self.unit = to_unit(self.residual)[1]
        self.fitted = {n: m.fit_round(1, self.residual)[1] for n, m in models.items()}
        self.f = {n: v[self.train][:, 0].astype(np.float64) for n, v in self.fitted.items()}
        self.r = self.residual[:, 0].astype(np.float64)
        self._models = models

    def final_f(self) -> np.ndarray:
        while not self.ensemble.finished:
            residual = self.ensemble.residual()
            fitted = {n: m.fit_round(1, residual)[1] for n, m in self._models.items()}
            commit_in_the_clear(self.ensemble, fitted, self.train, NAMES[1:])
        return self.ensemble.F


@pytest.mark.parametrize("which", ["encrypted", pytest.param("left_out", marks=pytest.mark.slow), "public"])
def test_f_is_that_of_clear_gal_under_the_same_weights(which: str, request: pytest.FixtureRequest) -> None:
    network, _ = request.getfixturevalue(which)
    due = Truth(network).final_f()
    assert np.abs(final_f(network) - due).max() <= 1e-3 * np.abs(due).max()


# --- attacks ----------------------------------------------------------------------------------------------------------


def words(packed: np.ndarray, rows: int) -> list[np.ndarray]:
    """Residues of a packed ciphertext at the places of the rows, one column for each polynomial and prime."""
    residues = sealapi_files.unpack(packed[: len(packed) // 15 * 15]).astype(np.float64)
    return [residues[at : at + rows] for at in range(0, len(residues) - rows, SUM.n)]


def leading_words(reply: np.ndarray, rows: int) -> list[np.ndarray]:
    """The upper eight bytes of a fit's coefficients at the places of the rows, one column for each polynomial."""
    cut = TRAINING.reply_kept[0] * SUM.n
    tops = [np.ascontiguousarray(part.reshape(SUM.n, -1)[:, -8:]).view("<u8") for part in (reply[:cut], reply[cut:])]
    return [top[:rows, 0].astype(np.float64) for top in tops]


def score(target: np.ndarray, columns: list[np.ndarray]) -> float:
    """R2 on the second half of the rows of a regression that saw the first half, at least 0."""
    x = np.column_stack([np.ones(len(target)), *(c / (np.abs(c).max() or 1.0) for c in columns)])
    half = len(target) // 2
    coefficients = np.linalg.lstsq(x[:half], target[:half], rcond=None)[0]
    left = target[half:] - x[half:] @ coefficients
    return max(0.0, 1.0 - float(left @ left) / float(np.sum((target[half:] - target[half:].mean()) ** 2)))


def decrypted_products(cipher: SumContext, rows: np.ndarray, n: int) -> list[np.ndarray]:
    """What decryption makes of the released numbers, as if all coefficients were there."""
    found = []
    for row in rows:
        ((constant, second),) = read_products(row[None], 1)
        residues = np.zeros((2, PRODUCT_LEVELS, SUM.n), dtype=np.uint64)
        residues[0, :, 0] = [constant % prime for prime in PRODUCT_PRIMES]
        residues[1] = wide.residues(second, PRODUCT_PRIMES)
        slots = np.array(cipher._encoder.decode_complex(cipher._open(residues, 2.0**114)))
        found.append(np.concatenate([slots.real, slots.imag])[:n])
    return found


@pytest.mark.parametrize("which", ["encrypted", "public"])
def test_a_curious_sponsor_learns_the_sum_and_no_more(which: str, request: pytest.FixtureRequest) -> None:
    """The baseline has what the study grants: residual, own fit and columns, the weighted sum."""
    network, cipher = request.getfixturevalue(which)
    truth = Truth(network)
    n = len(truth.r)
    layout = Layout(n, N - n, 1)
    (answer,) = payloads(network, "hospital", "weighted-sum")
    total = cipher.decrypt_sum(answer["ciphertexts"], layout, "lab")[:n, 0]
    own = [truth.r, truth.f["hospital"], *Rows("hospital").x[truth.train].T]
    (numbers,) = payloads(network, "hospital", "inner-products")
    assert numbers["ciphertexts"].shape == (5, PRODUCT_BYTES)
    beyond = decrypted_products(cipher, numbers["ciphertexts"], n)
    for sealed in payloads(network, "hospital", "sealed-fitted"):
        beyond += words(sealed["sealed"][96:-16], n)
    weights = network.sponsor.node.role.ensemble.history[0].weights
    due = sum(weights[p] * truth.f[p] for p in NAMES[1:]) / truth.unit
    assert np.abs(total - due).max() < SUM.error, "the sponsor gets the sum"
    for name in NAMES[1:]:
        granted = score(truth.f[name], [*own, total])
        assert score(truth.f[name], [*own, total, *beyond]) <= granted + 0.05, name
        blind = score(truth.f[name], own)
        print(f"{name}: R2 {blind:.3f} from what the sponsor has, {granted:.3f} with the sum of two assistors")


def test_the_same_attack_reads_individual_predictions(individual: tuple[Network, Any]) -> None:
    network, cipher = individual
    truth = Truth(network)
    for name in NAMES[1:]:
        (reply,) = payloads(network, "hospital", "encrypted-fitted", sender=name)
        fitted = cipher.decrypt(reply["ciphertexts"], N, 1, name)[: len(truth.r), 0]
        assert score(truth.f[name], [fitted]) >= 0.95


@pytest.mark.parametrize("which", ["encrypted", "public"])
def test_a_curious_aggregator_learns_no_fit_and_no_residual(which: str, request: pytest.FixtureRequest) -> None:
    network, _ = request.getfixturevalue(which)
    truth = Truth(network)
    n = len(truth.r)
    lab = network.parties["lab"]
    seen = [*Rows("lab").x[truth.train].T]
    for requests in payloads(network, "lab", "encrypted-residual"):
        seen += words(requests["ciphertexts"][0][: -sealapi_files.SEED_BYTES], n)
    for difference in payloads(network, "lab", "own-difference"):
        seen += words(difference["ciphertexts"][0][: -sealapi_files.SEED_BYTES], n)
    rows = lab.store.values["sum/rows"].decode()
    protect = CKKS if which == "encrypted" else CLEAR
    binding = bind(context("lab", study(protect=protect)), lab.node.role.run, "fitted", 1, "insurer", rows)
    for relayed in payloads(network, "lab", "relayed-fitted"):
        card = context("lab", study(protect=protect)).cards["insurer"]
        key = SealingKey(SEALING[protect, "paper"])
        fit = key.unseal(relayed["sealed"].tobytes(), card, binding.to_bytes())
        training, rows = Layout(n, N - n, 1).split(fit)
        assert training.shape == (1, TRAINING.reply_bytes) and rows.shape == (1, ROWS.reply_bytes)
        seen += leading_words(training[0], n)
    given = [truth.r] if which == "public" else []  # there every assistor is sent the residual
    for name, target in (("insurer", truth.f["insurer"]), ("hospital", truth.f["hospital"]), ("residual", truth.r)):
        if name == "residual" and given:
            continue
        base = score(target, [*given, *Rows("lab").x[truth.train].T])
        assert score(target, [*given, *seen]) <= base + 0.05, name


def test_the_same_attack_reads_a_clear_residual(public: tuple[Network, Any]) -> None:
    network, _ = public
    truth = Truth(network)
    (sent,) = payloads(network, "lab", "residual")
    assert score(truth.r, [sent["values"][:, 0].astype(np.float64)]) >= 0.95


def test_no_individual_fit_is_among_what_the_sponsor_can_open(encrypted: tuple[Network, Any]) -> None:
    """The sealed bytes are no ciphertexts under the sponsor's key: decrypting them gives nothing of the fit."""
    network, cipher = encrypted
    truth = Truth(network)
    n = len(truth.r)
    (sealed,) = payloads(network, "hospital", "sealed-fitted")
    body = sealed["sealed"][96 : 96 + TRAINING.reply_bytes]
    packed = np.where(body == 255, 254, body)[: SUM.reply_bytes].astype(np.uint8)  # below the modulus
    try:
        expendable = SumContext(SUM, cipher._secret, cipher._noise_key, Releases(SUM.tau))
        values = expendable.decrypt(packed[None], n, 1, "insurer")[:, 0]
    except messages_violation():
        return
    assert score(truth.f["insurer"], [values]) <= 0.05


def messages_violation() -> type[Exception]:
    from crypto.errors import Malformed

    assert messages.SealedFitted.FIELDS[0].protection == "sealed"
    return Malformed
