"""Leave-one-out values on ciphertexts against ridge fits that were made anew without each row."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from joblib import parallel_config
from tenseal import sealapi

from crypto.ckks import leave_one_out, release, ridge_blocks, ring
from crypto.ckks.calculator import Calculator
from crypto.ckks.embedding import slot_values
from crypto.ckks.encrypted_ridge import EncryptedRidge, predict
from crypto.ckks.leave_one_out import MAX_LEVERAGE, OwnResiduals, factors, growth, longest_row, shrunk
from crypto.ckks.params import ParameterSet
from crypto.ckks.ridge_blocks import Split
from crypto.ckks.sealapi_files import Bytes
from crypto.ckks.secret import SecretContext
from crypto.ckks.sets import PARAMETER_SETS, SUM_SETS
from crypto.errors import Misuse
from tests.support.ckks_keys import PEER, Array, keys, secret, width
from tests.support.exact_ring import Exact, Undithered, coefficients, phase
from tests.support.leave_one_out import basis, bound, far_out, left_out, problem, refitted

STANDARD, STRICT = PARAMETER_SETS["standard"], PARAMETER_SETS["strict"]
TRAINING = SUM_SETS["sum-training"]
GOLDEN = (1 + math.sqrt(5)) / 2


def fit(name: str, u: Array, r: Array, cores: int = 1, **options: int) -> Array:
    """Encrypt, fit the first len(r) rows with all of u as leave-one-out values, decrypt."""
    job = EncryptedRidge.of(
        keys(name, width(name, u.shape[1])), u[: len(r)], u, leave_one_out=True, cores=cores, **options
    )
    try:
        return secret(name).decrypt(job.fit(secret(name).encrypt(r), r.shape[1]), len(u), r.shape[1], PEER)
    finally:
        job.close()


@pytest.mark.parametrize(
    ("name", "rows", "p", "outputs"),
    [
        ("standard", 60, 1, 1),
        ("standard", 300, 12, 3),
        ("standard", 5000, 130, 1),
        ("standard", 2 * STANDARD.n + 700, 3, 3),
        ("strict", 60, 5, 1),
        ("strict", STRICT.n + 700, 12, 3),
        pytest.param("strict", 3000, 600, 1, marks=pytest.mark.slow),
    ],
)
def test_values_are_those_of_ridges_fitted_without_the_row(name: str, rows: int, p: int, outputs: int) -> None:
    params = PARAMETER_SETS[name]
    phi, r = problem(rows, p, outputs)
    u = basis(phi, rows)
    some = [*range(0, rows, -(-rows // 40)), *far_out(rows), rows - 1]
    found, due = fit(name, u, r)[some], refitted(phi, r, some)
    assert np.abs(found - due).max() < bound(params, u, r) < params.error
    fitted = u @ (u.T @ r)
    assert np.abs(fitted[some] - due).max() > 3 * bound(params, u, r), "fitted values are something else"


def test_other_rows_and_predictions_keep_the_full_fit() -> None:
    phi, r = problem(900, 6, 2)
    u, train = basis(phi, 500), 500
    job = EncryptedRidge.of(keys("standard", 8), u[:train], u, leave_one_out=True, cores=1)
    requests = secret("standard").encrypt(r[:train])
    found = secret("standard").decrypt(job.fit(requests, 2), 900, 2, PEER)
    assert np.abs(found - left_out(u, r[:train], longest_row(STANDARD, train, 900), train)).max() < STANDARD.error
    replies = predict(keys("standard", 8), job.head(requests, 2), 2, u[train:], cores=1)
    job.close()
    full = u[train:] @ (u[:train].T @ r[:train])
    assert np.abs(secret("standard").decrypt(replies, 400, 2, PEER) - full).max() < STANDARD.error
    assert np.abs(found[train:] - full).max() < STANDARD.error


@pytest.mark.parametrize("room", [0, 5 * ridge_blocks.ciphertext_bytes(STANDARD), 2**30])
def test_every_cache_gives_the_same_round_after_round(room: int) -> None:
    phi, r = problem(STANDARD.n + 20, 6, 2)
    u = basis(phi, len(phi))
    job = EncryptedRidge.of(keys("standard", 8), u, u, leave_one_out=True, cores=1, cache_bytes=room)
    for scale in (1.0, -0.5):
        replies = job.fit(secret("standard").encrypt(scale * r), 2)
        found = secret("standard").decrypt(replies, len(u), 2, PEER)
        assert np.abs(found - left_out(u, scale * r, 1.0)).max() < STANDARD.error
    job.close()


@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_worker_processes_share_the_rows(backend: str) -> None:
    phi, r = problem(3 * STANDARD.n, 4, 2)
    u = basis(phi, len(phi))
    with parallel_config(backend=backend):
        assert np.abs(fit("standard", u, r, cores=2) - left_out(u, r, 1.0)).max() < STANDARD.error


def test_a_row_of_much_leverage_is_shrunk_and_says_nothing_of_its_own_residual() -> None:
    """One row far out: its value is its leave-one-out value times D (1 - h), whatever its own residual is."""
    phi, r = problem(STANDARD.n, 2, 1)
    phi[7] = 400.0
    u = basis(phi, len(phi))
    leverage = float(u[7] @ u[7])
    scales, own = factors(u, 1.0)
    assert shrunk(u, 1.0) == 1 and shrunk(np.delete(u, 7, axis=0), 1.0) == 0
    assert leverage > 0.9 and np.linalg.norm(scales[7] * u[7]) == pytest.approx(1.0) and own[7] <= 1.0
    other = r.copy()
    other[7] = -other[7]
    due = (1 - leverage) * scales[7] * refitted(phi, r, [7])[0, 0]
    for residual in (r, other):
        assert abs(fit("standard", u, residual)[7, 0] - due) < STANDARD.error
    clipped = (u[7] @ (u.T @ r) - 0.38 * r[7]) / (1 - 0.38)
    assert abs(clipped - (u[7] @ (u.T @ other) - 0.38 * other[7]) / (1 - 0.38)) > 0.1, "a clipped leverage would tell"


def test_a_leverage_of_one_or_none_has_a_value() -> None:
    u = np.zeros((5, 2))
    u[0, 0] = 1.0
    assert np.array_equal(factors(u, 3.0), [[3, 1, 1, 1, 1], [3, 0, 0, 0, 0]])
    assert np.abs(fit("standard", u, np.full((5, 1), 0.5))).max() < STANDARD.error


@pytest.mark.parametrize("params", [STANDARD, STRICT, TRAINING], ids=lambda params: params.name)
def test_rows_of_a_ciphertext_are_no_longer_than_the_noise_bound_counts(params: ParameterSet) -> None:
    """n squared lengths of one, over all outputs that share it, for any leverages; and values grow by `growth`."""
    for train, rows in [(1, 1), (40, 50), (700, 700), (params.n // 16, params.n // 16), (params.n, params.n + 1)]:
        longest = longest_row(params, train, rows)
        here = min(train, params.n)
        others = min(rows, params.n) - here
        assert params.packed(rows) * (here * longest**2 + others) <= params.n * (1 + 1e-9)
        assert longest >= 1.0
        edge = 1 - 1 / growth(params, train, rows)  # the leverage from which on values are shrunk
        assert edge == pytest.approx(MAX_LEVERAGE) or math.sqrt(edge) / (1 - edge) == pytest.approx(longest)
        assert math.sqrt(edge) / (1 - edge) < longest * (1 + 1e-9)
    assert growth(params, 10**6, 10**6) == pytest.approx(GOLDEN)
    assert growth(params, 1, 1) == pytest.approx(20)


@pytest.mark.parametrize("share", [1.0, 0.2, 0.0])
@pytest.mark.parametrize("far", [0.0, 3.0, 1e4])
def test_values_grow_by_no_more_than_is_stated(far: float, share: float) -> None:
    """The norm of the whole map r -> values, whatever share is left out; `far` moves three rows out."""
    phi, _ = problem(120, 40, 1)
    phi[:3] *= 1 + far
    u = basis(phi, 120)
    for name, params in {**PARAMETER_SETS, "sum": TRAINING}.items():
        norm = np.linalg.norm(left_out(u, np.eye(120), longest_row(params, 120, 120), share=share), 2)
        assert norm < growth(params, 120, 120), name
    assert np.linalg.norm(left_out(u, np.eye(120), 1.0, share=share), 2) < GOLDEN


def test_rows_that_do_not_lie_in_the_same_places_are_refused() -> None:
    u = basis(problem(300, 3, 1)[0], 300)
    for train in (u[::-1], u[5:], u[:0]):
        with pytest.raises(Misuse, match="training rows first"):
            EncryptedRidge.of(keys("standard", 4), train, u, leave_one_out=True, cores=1)


@pytest.mark.parametrize("name", ["standard", "strict"])
def test_the_exact_ring_gives_what_is_subtracted(name: str) -> None:
    """On noise-free phases: -D h r row by row, of halves that differ and of a half that is filled in part."""
    params = PARAMETER_SETS[name]
    rng, rows = np.random.default_rng(0), params.n // 2 + 700
    weights, r = rng.uniform(0, 1, rows), rng.uniform(-1, 1, (rows, 2))
    real = Calculator(keys(name, 1))
    exact, requests = Exact(real, secret(name)), secret(name).encrypt(r)
    own, weights = OwnResiduals(exact, weights, 0), np.pad(weights, (0, params.n - rows))
    for k in (0, 1):
        total = own.subtract(None, requests, 0, [k], 2)
        found, sent = values(real, exact.phase(total)), encrypted(real, secret(name), requests[k])
        assert np.abs(sent[:rows] - r[:, k]).max() < params.error > np.abs(sent[rows:]).max()
        assert np.abs(found + weights * sent).max() < 1e-10


def test_the_exact_ring_gives_the_formula() -> None:
    """On noise-free phases the circuit is the formula, up to the encodings of U."""
    phi, r = problem(STANDARD.n, 3, 1)
    u = basis(phi, len(phi))
    real = Calculator(keys("standard", 4))
    exact = Exact(real, secret("standard"))
    scales, own = factors(u, 1.0)
    rows, splits = u.astype(np.float32), (Split.first(4), Split.second(STANDARD, 4, 1))
    first = Undithered(real, rows, 4, splits[0], True, 0)
    second = Undithered(real, rows, 4, splits[1], False, 0, scales)
    requests = secret("standard").encrypt(r)
    head = ridge_blocks.fold(exact, 4, ridge_blocks.inner_products(exact, first, requests, range(4), 1))
    for wanted, due in (
        ((OwnResiduals(exact, own, 0), requests), left_out(u, r, 1.0)),
        (None, scales[:, None] * (u @ (u.T @ r))),
    ):
        ridge_blocks.fitted(exact, second, [head], range(1), wanted)
        assert np.abs(values(real, exact.results[-1]) - due[:, 0]).max() < 2e-4
    assert np.abs(own * r[:, 0]).max() > 0.02


def test_what_is_subtracted_is_encoded_with_fresh_dither() -> None:
    """Two encodings of the same weights differ by the dither's size, and from the weights by no more."""
    weights = np.random.default_rng(0).uniform(0, 1, STANDARD.n)
    own = OwnResiduals(Calculator(keys("standard", 1)), weights, 0)
    decoder = sealapi.CKKSEncoder(ring.context(STANDARD))
    decoded = [decoder.decode_complex(own._plains(0)[0]) for _ in range(2)]
    real = np.array(decoded).real
    due = -(weights[: STANDARD.slots] + weights[STANDARD.slots :]) / 2
    deviation = math.sqrt(STANDARD.n / 8) * 2.0**-leave_one_out.GRID_BITS  # of a real part; a dither's variance is 1/6
    assert 0.5 * deviation < np.std(real - due) < 2 * deviation
    assert 0.5 * deviation < np.std(real[0] - real[1]) < 3 * deviation


@pytest.mark.parametrize("name", ["standard", "strict"])
def test_a_value_tells_a_leverage_to_nine_digits_without_flooding_and_to_few_with_it(name: str) -> None:
    """The sponsor knows everything else: what its guess would have answered, less what came."""
    params, calculator = PARAMETER_SETS[name], Calculator(keys(name, 1))
    rng, row = np.random.default_rng(0), 77
    r, weights = rng.uniform(-1, 1, (params.n, 1)), rng.uniform(0, 1, params.n)
    requests, bits = secret(name).encrypt(r), ridge_blocks.scale_bits(params, "f")

    def answer() -> Any:
        return OwnResiduals(calculator, weights, 0).subtract(None, requests, 0, [0], 1)

    known = encrypted(calculator, secret(name), requests[0])
    bare = values(calculator, phase(calculator, secret(name), answer()))
    sent = secret(name).decrypt(calculator.sanitise(answer(), bits)[None], params.n, 1, PEER)[:, 0]
    wrong = weights.copy()
    wrong[row] += 1e-9 / r[row, 0]
    right, other = -weights * known, -wrong * known
    assert abs(bare - right)[row] < 1e-10 < abs(bare - other)[row] / 9, "told apart"
    assert release.deviation(params) > 1e3 * abs(right - other)[row], "and drowned"
    assert np.std(sent - right) == pytest.approx(release.deviation(params), rel=9 / math.sqrt(2 * params.n))


def encrypted(calculator: Calculator, owner: SecretContext, request: Bytes) -> Array:
    """What a request holds, with its owner's noise and without the bits that stayed behind, (n,)."""
    found = phase(calculator, owner, calculator.read_request(request))
    return values(calculator, found, calculator.params.request_bits)


def values(calculator: Calculator, found: Any, bits: int | None = None) -> Array:
    """What a phase decodes to, at the scale of f by default; real parts first (n,)."""
    scale = 2.0 ** (ridge_blocks.scale_bits(calculator.params, "f") if bits is None else bits)
    return slot_values(np.array([int(x) for x in coefficients(calculator, found)], dtype=float) / scale)
