"""Several outputs in one ciphertext: placed and found again, fitted and summed as in the clear, within the noise's
bound."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import chi2

from crypto.ckks import release, ridge_blocks
from crypto.ckks.calculator import Calculator
from crypto.ckks.ciphertexts import read_reply
from crypto.ckks.fits import MAX_VALUE, SUM, TRAINING, Layout
from crypto.ckks.keys import PublicKeys
from crypto.ckks.leave_one_out import OwnResiduals, factors, longest_row
from crypto.ckks.products import COST_BITS, PRODUCT_KAPPA, PRODUCT_PRIMES, Products, pairs, products_cost
from crypto.ckks.releases import Releases
from crypto.ckks.ridge_blocks import Encodings, Split
from crypto.ckks.secret_sum import SumContext
from crypto.ckks.sets import PARAMETER_SETS
from crypto.ckks.slots import Packing
from crypto.ckks.sum_calculator import SumCalculator
from crypto.ckks.sum_keys import EncryptionKey, ProductKeys
from crypto.errors import Malformed
from secure_gal.gal.withheld import fixed
from secure_gal.holdings.sums import SumRidge
from secure_gal.learners.ridge import leverage_of
from tests.support.ckks_keys import PEER, ridge
from tests.support.exact_ring import Exact, Unsanitised, coefficients, moduli

N = SUM.n


@pytest.mark.parametrize(
    ("rows", "outputs", "packed", "ciphertexts"),
    [
        (1, 1, 16, 1),
        (N // 16, 16, 16, 1),
        (N // 16, 17, 16, 2),
        (N // 16 + 1, 17, 8, 3),
        (N // 2, 3, 2, 2),
        (N // 2 + 1, 3, 1, 3),
        (N + 5, 3, 1, 6),
        (0, 4, 16, 0),
    ],
)
def test_values_are_found_where_they_were_placed(rows: int, outputs: int, packed: int, ciphertexts: int) -> None:
    table = Packing(SUM, rows, outputs)
    values = np.random.default_rng(0).standard_normal((rows, outputs))
    assert (table.packed, table.ciphertexts) == (packed, ciphertexts)
    found = [table.slots(values, index) for index in range(ciphertexts)]
    assert np.array_equal(table.values(found), values)
    assert sorted(row for index in range(ciphertexts) for row in table.sharing(index)) == list(range(table.requests))
    used = sum(np.count_nonzero(slots.real) + np.count_nonzero(slots.imag) for slots in found)
    assert used == values.size, "two values in one place"


def test_other_parameter_sets_pack_nothing() -> None:
    assert all(Packing(params, 1, 4).ciphertexts == 4 for params in PARAMETER_SETS.values())


class Study:
    """Two assistors with ridges, a sponsor with a fit of its own; rows (train + others, K)."""

    def __init__(self, train: int, others: int, outputs: int, width: int = 3, *, leave_one_out: bool = False) -> None:
        self.layout, self.train = Layout(train, others, outputs), train
        made = [ridge(train + others, width, outputs, seed) for seed in (1, 2)]
        self.u = [u / max(1.0, np.linalg.norm(u[:train], 2)) for u, _ in made]
        self.r = made[0][1][:train]
        self.fits = [u @ (u[:train].T @ self.r) for u in self.u]
        if leave_one_out:
            for u, fit in zip(self.u, self.fits, strict=True):
                scales, own = factors(
                    u[:train], longest_row(TRAINING, train, train), fixed(outputs, leverage_of(u[:train]))
                )
                fit[:train] = scales[:, None] * fit[:train] - own[:, None] * self.r
        self.own = 0.3 * self.r

    def products(self) -> np.ndarray:
        d = [*(fit[: self.train] - self.r for fit in self.fits), self.own - self.r]
        return np.array([np.sum(d[i] * d[j]) for i, j in pairs(2, True)])


class Keys:
    def __init__(self) -> None:
        self.secret = SumContext.generate(SUM)
        self.raw = self.secret.public_keys(1)
        self.calculator = SumCalculator(ProductKeys(self.secret.public_keys(0, combines=True)))
        self.public = EncryptionKey(self.secret.public_keys(0))


@pytest.fixture(scope="module")
def keys() -> Keys:
    return Keys()


def check(keys: Keys, study: Study, fits: list[bytes], residual: np.ndarray) -> None:
    """The aggregator's products and weighted sum of these fits are those of the clear ones."""
    layout, secret = study.layout, keys.secret
    parts = [layout.split(fit) for fit in fits]
    difference = secret.encrypt_difference(study.own - study.r)
    training = [part[0] for part in parts]
    products = keys.calculator.products(training, residual, difference, layout.training)
    due = study.products()
    numbers = Products.of(layout.training, residual.dtype == np.uint8)
    noise = 2.0**numbers.release_bits / numbers.scale * SUM.slots
    found = secret.decrypt_products(products, len(due), numbers)
    assert np.abs(found - due).max() < 7 * noise + 1e-5 * np.abs(due).max()
    assert noise < 0.01 * math.sqrt(study.train * layout.outputs), "far below what another sample of rows would change"
    released = keys.calculator.weighted_sum(parts, [3 << 18, 1 << 18])
    assert len(released) == layout.ciphertexts
    total = 0.75 * study.fits[0] + 0.25 * study.fits[1]
    assert np.abs(secret.decrypt_sum(released, layout, PEER) - total).max() < SUM.error


@pytest.mark.parametrize(
    ("train", "others", "outputs", "leave_one_out"),
    [
        (N // 16, 3, 3, True),
        pytest.param(40, 3, 17, True, marks=pytest.mark.slow),
        pytest.param(N // 8 + 1, 0, 5, True, marks=pytest.mark.slow),
        pytest.param(N // 2, N // 4 + 1, 3, True, marks=pytest.mark.slow),
        (N // 2 + 1, 2, 1, False),
    ],
)
def test_sums_of_encrypted_fits_are_those_of_clear_ones(
    keys: Keys, train: int, others: int, outputs: int, leave_one_out: bool
) -> None:
    """Rows just at n / 2^j and one more; K that fills no ciphertext, one more than fill one, and K = 1."""
    study = Study(train, others, outputs, leave_one_out=leave_one_out)
    requests = keys.secret.encrypt(study.r)
    fits = []
    for u in study.u:
        party = SumRidge(keys.raw, 4, u, train, PEER, leave_one_out=leave_one_out, outputs=outputs)
        fits.append(party.fit(requests, outputs, PEER))
        party.close()
    check(keys, study, fits, requests)


@pytest.mark.slow
def test_features_wider_than_a_segment(keys: Keys) -> None:
    study = Study(N // 16, 0, 2, width=600)
    requests = keys.secret.encrypt(study.r)
    fits = []
    for u in study.u:
        party = SumRidge(keys.raw, 1024, u, N // 16, PEER, leave_one_out=False, outputs=1)
        fits.append(party.fit(requests, 2, PEER))
        party.close()
    check(keys, study, fits, requests)


@pytest.mark.parametrize(("train", "others", "outputs"), [(N // 16 + 1, 5, 9), (300, 0, 1)])
def test_sums_of_fits_that_their_owners_encrypted(keys: Keys, train: int, others: int, outputs: int) -> None:
    study = Study(train, others, outputs)
    fits = [keys.public.encrypt(fit[:train], fit[train:], MAX_VALUE) for fit in study.fits]
    assert all(len(fit) == study.layout.fit_bytes for fit in fits)
    check(keys, study, fits, study.r)


def test_inner_products_are_decrypted_with_their_noise(keys: Keys) -> None:
    """The aggregator's and the sponsor's, in the sizes that are stated; false alarms below 1e-9."""
    study = Study(N // 16, 0, 1)
    layout, secret = study.layout, keys.secret
    fits = [layout.split(keys.public.encrypt(fit, fit[:0], MAX_VALUE))[0] for fit in study.fits]
    difference, numbers, due = (
        secret.encrypt_difference(study.own - study.r),
        Products.of(layout.training, False),
        study.products(),
    )
    errors = []
    for _ in range(8):
        products = keys.calculator.products(fits, study.r, difference, layout.training)
        errors.append(secret.decrypt_products(products, len(due), numbers) - due)
        assert (secret.decrypt_products(products, len(due), numbers) - due == errors[-1]).all(), "never redrawn"
    found = np.ravel(errors) / SUM.slots * numbers.scale
    expected = math.hypot(2.0**numbers.flooding_bits, 2.0**numbers.release_bits)
    low, high = chi2.ppf([5e-10, 1 - 5e-10], found.size) / found.size
    assert low < np.mean((found / expected) ** 2) < high


def test_a_sum_read_by_another_layout_is_not_the_sum(keys: Keys) -> None:
    """The check can fail: one row more, and every output but the first lies elsewhere."""
    study = Study(N // 16, 0, 3)
    fits = [keys.public.encrypt(fit, fit[:0], MAX_VALUE) for fit in study.fits]
    other = Layout(N // 16 + 1, 0, 3)
    parts = [study.layout.split(fit) for fit in fits]
    released = keys.calculator.weighted_sum(parts, [1 << 19, 1 << 19])
    total = sum(study.fits) / 2
    careless = SumContext(SUM, keys.secret._secret, keys.secret._noise_key, Releases(SUM.tau))
    with pytest.raises(Malformed, match="more than noise behind its last row"):
        careless.decrypt_sum(released, other, PEER)
    slots = [keys.secret._decrypt(*read_reply(SUM, row), row.tobytes()) for row in released]
    wrong = Packing(SUM, N // 16 + 1, 3).values(slots)[: N // 16]
    total = sum(study.fits) / 2
    assert np.abs(wrong - total)[:, 1:].max() > 100 * SUM.error


def test_segments_that_nobody_uses_hold_noise_alone(keys: Keys) -> None:
    """13 of 16 segments: what is there has the size of the flooding and of nothing else."""
    study = Study(N // 16, 0, 3)
    party = SumRidge(keys.raw, 4, study.u[0], N // 16, PEER, leave_one_out=False, outputs=1)
    fit = party.fit(keys.secret.encrypt(study.r), 3, PEER)
    party.close()
    released = keys.calculator.weighted_sum([study.layout.split(fit)] * 2, [1 << 19, 1 << 19])
    row = released[0]
    slots = keys.secret._decrypt(*read_reply(SUM, row), row.tobytes()).reshape(16, -1)
    expected = release.deviation(SUM)
    for segment in (*slots[1:14],):  # outputs 0, 1 and 2 lie in segments 0, 15 and 14
        for part in (segment.real, segment.imag):
            assert np.std(part) == pytest.approx(expected, rel=9 / math.sqrt(2 * len(part)))
    assert np.std(slots[14].real) > 100 * expected


def test_the_distances_hold_with_all_outputs_packed() -> None:
    assert SUM.distance(SUM.tau) < 2.0**-SUM.kappa
    assert replace(SUM, second_bits=SUM.second_bits + 5).distance(SUM.tau) > 2.0**-SUM.kappa, "it can be exceeded"
    numbers, layout = len(pairs(3, True)), Layout(8_000, 2_000, 10)
    assert (layout.training.ciphertexts, layout.rest.ciphertexts) == (5, 2)
    for by_ridge in (True, False):
        found = Products.of(layout.training, by_ridge)
        assert 2.0**-52 < found.distance(10, numbers) < 2.0**-48
        assert found.distance(200, len(pairs(32, True))) > 2.0**-PRODUCT_KAPPA, "this limit, too"


def test_the_cost_of_inner_products_counts_every_number_that_the_key_owner_is_given(keys: Keys) -> None:
    """Those with its own fit, too: fewer would let a study pass that gives away more than it pays for."""
    study = Study(60, 20, 1)
    fits = [study.layout.split(keys.public.encrypt(fit[:60], fit[60:], MAX_VALUE))[0] for fit in study.fits]
    difference = keys.secret.encrypt_difference(study.own - study.r)
    given = keys.calculator.products(fits, study.r, difference, study.layout.training)
    distance = Products.of(study.layout.training, False).distance(10, len(given))
    assert products_cost(study.layout, 10, 2, False) == math.ceil(distance * 2.0**COST_BITS)


def test_no_inner_product_of_fits_and_residuals_wraps() -> None:
    """A fit of any learner is at most MAX_VALUE, a residual in units of its largest value at most 1."""
    for rows in (10, 100_000, 10_000_000):
        table = Layout(rows, 0, 1).training
        largest = 2 * (MAX_VALUE + 1) ** 2 * table.ciphertexts
        assert largest * Products.of(table, False).scale < math.prod(PRODUCT_PRIMES) / 2


@pytest.mark.slow
def test_data_dependent_noise_of_packed_fits_is_within_its_bound(keys: Keys) -> None:
    """Sixteen outputs, every fitted row of norm 1, every segment full, leave-one-out values."""
    rng, rows, outputs, width = np.random.default_rng(0), N // 16, 16, 16
    u, _ = ridge(rows, 14, 1)
    new = rng.standard_normal((rows, 14))
    new /= np.linalg.norm(new, axis=1)[:, None]
    requests = keys.secret.encrypt(rng.uniform(-1, 1, (rows, outputs)))
    real = Calculator(PublicKeys(SUM, width, keys.raw))
    own = OwnResiduals(real, rng.uniform(0, 1, rows), 2**30)
    first = Encodings(real, u.astype(np.float32), width, Split.first(width), True, 2**30)
    second = Encodings(real, new.astype(np.float32), width, Split.second(SUM, width, 1), False, 2**30)
    phases = []
    for calculator in (Exact(real, keys.secret), Unsanitised(real, keys.secret)):
        shares = ridge_blocks.inner_products(calculator, first, requests, range(width), outputs)
        heads = [ridge_blocks.fold(calculator, width, [share]) for share in shares]
        own._calculator = calculator
        assert len(ridge_blocks.fitted(calculator, second, heads, range(1), (own, requests))) == 1
        phases.append(calculator.results[0])
    noise = coefficients(real, (phases[1] - phases[0]) % moduli(SUM))
    measured = float(np.linalg.norm(np.array([int(x) for x in noise], dtype=float)))
    assert SUM.switching_noise / 30 < measured < SUM.switching_noise
    assert TRAINING.max_packed == SUM.max_packed
