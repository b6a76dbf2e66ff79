"""Whatever leaves a party, released twice: its masks differ throughout, and its noise has the stated deviation.

Dropping noise makes every test of accuracy better, so these are what holds it. Deviations are tested by a chi-squared
statistic at ALARM, the probability of a false alarm of each; masks agree in a coefficient with probability 2**-60.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import chi2

from crypto.ckks import release, sealapi_files, wide
from crypto.ckks.calculator import Calculator
from crypto.ckks.encrypted_ridge import EncryptedRidge
from crypto.ckks.fits import MAX_VALUE, SUM, TRAINING, Layout
from crypto.ckks.keys import PublicKeys
from crypto.ckks.params import ParameterSet
from crypto.ckks.products import CONSTANT_BYTES, KEPT, PRODUCT_LEVELS, PRODUCT_PRIMES, Products, pairs, read_products
from crypto.ckks.ridge_blocks import Encodings, Split
from crypto.ckks.secret_sum import SumContext
from crypto.ckks.sets import PARAMETER_SETS
from crypto.ckks.sum_calculator import SumCalculator
from crypto.ckks.sum_keys import EncryptionKey, ProductKeys
from crypto.errors import Malformed
from secure_gal import messages
from secure_gal.effects import Send
from tests.support.ckks_keys import PEER, expendable, keys, raw_keys, ridge, secret
from tests.support.exact_ring import plain_residues
from tests.support.hostile_studies import MODES, play
from tests.support.study_in_memory import N

ALARM = 1e-6
STANDARD = PARAMETER_SETS["standard"]
SETS = pytest.mark.parametrize("name", sorted(PARAMETER_SETS))
ROWS = 100


def has_deviation(noise: np.ndarray, sigma: float) -> None:
    """Independent noise of mean zero: its sum of squares lies between the quantiles of chi-squared."""
    values = noise.ravel() / sigma
    low, high = chi2.ppf(ALARM / 2, values.size), chi2.isf(ALARM / 2, values.size)
    assert low < np.sum(values**2) < high


def differ(one: np.ndarray, other: np.ndarray) -> None:
    """Packed residues that have next to no coefficient in common."""
    differ_in_numbers(sealapi_files.unpack(one)[:, None], sealapi_files.unpack(other)[:, None])


def differ_in_numbers(one: np.ndarray, other: np.ndarray) -> None:
    """Numbers, one a row, that are next to never the same."""
    assert one.shape == other.shape and (one != other).any(axis=1).mean() > 0.999


def replies_differ(params: ParameterSet, one: np.ndarray, other: np.ndarray) -> None:
    """Neither polynomial of two replies shows that they are the same."""
    cut = params.reply_kept[0] * params.n
    for part, kept in ((slice(None, cut), params.reply_kept[0]), (slice(cut, None), params.reply_kept[1])):
        a, b = (row[part].reshape(params.n, kept) for row in (one, other))
        assert (a != b).any(axis=1).mean() > 0.999


def has_reply_noise(params: ParameterSet, one: np.ndarray, other: np.ndarray) -> None:
    """The difference of two decrypted replies of one value has the deviation that flooding and decryption give.

    Parts of slots depend on each other a little (padding of a polynomial's halves), so nine deviations are allowed.
    """
    squares = np.mean(((one - other) / release.deviation(params)) ** 2) / 2
    assert abs(squares - 1) < 9 * math.sqrt(2 / one.size)


# --- from an assistor to the sponsor ----------------------------------------------------------------------------------


@SETS
def test_a_reply(name: str) -> None:
    """Of the same U and the same requests: neither polynomial shows that it is the same."""
    params = PARAMETER_SETS[name]
    u, r = ridge(ROWS, 3, 1)
    job, requests = EncryptedRidge.of(keys(name, 4), u, u, cores=1), secret(name).encrypt(r)
    first, second = (job.fit(requests, 1) for _ in range(2))
    job.close()
    replies_differ(params, first[0], second[0])
    has_reply_noise(params, *(secret(name).decrypt(reply, params.n, 1, PEER) for reply in (first, second)))


@pytest.mark.parametrize("first", [True, False])
def test_an_encoding_of_u(first: bool) -> None:
    """Dithered anew whenever it is made again, whichever half of the fit it is for."""
    u, _ = ridge(ROWS, 3, 1)
    calculator = Calculator(keys("standard", 4))
    encodings = Encodings(calculator, u.astype(np.float32), 4, Split.first(4), first, 0)
    one, other = (encodings.giant(0, 0)[0] for _ in range(2))
    assert one is not None and other is not None
    assert (plain_residues(one, STANDARD) != plain_residues(other, STANDARD)).mean() > 0.999


def test_an_encrypted_head() -> None:
    """It stays on its owner's disk, but everything after it is made of it: with the same U it would be the same."""
    u, r = ridge(ROWS, 3, 1)
    job, requests = EncryptedRidge.of(keys("standard", 4), u, u, cores=1, cache_bytes=0), secret("standard").encrypt(r)
    first, second = (np.frombuffer(job.head(requests, 1), np.uint8) for _ in range(2))
    job.close()
    differ(first, second)


def test_noised_fits() -> None:
    """The noise of round 1, whose residual is that of a study without noise: N (0, 0.1^2) on clipped values."""
    sent = {}
    for mode in ("clear", "noised"):
        for made in (play(mode, rows=N), play(mode, rows=N)):
            made.run()
            sent.setdefault(mode, []).append(
                {who: m.values for who, _, m in made.sent if m.KIND.endswith("fitted") and m.round == 1}
            )
    protect = MODES["noised"]
    for who in ("lab", "insurer"):
        clear = np.clip(sent["clear"][0][who].astype(float), -protect.clip, protect.clip)
        one, other = (found[who].astype(float) for found in sent["noised"])
        assert protect.noise is not None and (one != other).all()
        has_deviation(one - clear, protect.noise)
        has_deviation(one - other, protect.noise * math.sqrt(2))


def test_noised_parts() -> None:
    """The noise that sum_t c_t (clipped f_t + noise) would have, on the same clipped part, fresh in every batch."""
    made, protect, replies = play("noised", rows=N), MODES["noised"], []
    made.run()
    lab = made.roles["lab"]
    coefficients = np.array([0.6, -0.3])  # those of a study are 0 for a party whose noise happened not to help
    assert lab.state.array("coefficients").shape == coefficients.shape
    lab.state.put("coefficients", coefficients)
    ids = tuple(f"r{i}" for i in range(ROWS))
    for number in (1, 2):
        (job,) = lab.receive("hospital", messages.PredictRequest(messages.Batch(number), ids))
        known, part = job.job()
        (sent,) = (e.message for e in job.then((known, part.copy())) if isinstance(e, Send))
        replies.append(sent.part.astype(float))
    assert protect.noise is not None and (replies[0] != replies[1]).all()
    largest = protect.clip * np.abs(coefficients).sum()
    for reply in replies:
        has_deviation(reply - np.clip(part, -largest, largest), protect.noise * float(np.linalg.norm(coefficients)))


# --- from an assistor or the aggregator where the sponsor sees sums only ----------------------------------------------


class Sums:
    def __init__(self) -> None:
        self.secret = SumContext.generate(SUM)
        self.calculator = SumCalculator(ProductKeys(self.secret.public_keys(0, combines=True)))
        self.public = EncryptionKey(self.secret.public_keys(0))
        self.layout = Layout(ROWS, 0, 1)
        self.fit = self.public.encrypt(np.full((ROWS, 1), 0.5), np.zeros((0, 1)), MAX_VALUE)

    @property
    def parts(self) -> tuple[np.ndarray, np.ndarray]:
        return self.layout.split(self.fit)


@pytest.fixture(scope="module")
def sums() -> Sums:
    return Sums()


def test_a_fit_under_the_public_key(sums: Sums) -> None:
    again = sums.public.encrypt(np.full((ROWS, 1), 0.5), np.zeros((0, 1)), MAX_VALUE)
    replies_differ(TRAINING, sums.parts[0][0], sums.layout.split(again)[0][0])


def test_a_weighted_sum(sums: Sums) -> None:
    """Of one assistor's fit alone, so that nothing but the fresh encryption of zero can make the difference."""
    first, second = (sums.calculator.weighted_sum([sums.parts], [1 << 20]) for _ in range(2))
    replies_differ(SUM, first[0], second[0])
    block = Layout(SUM.n, 0, 1)  # the same ciphertext read as one full block: padding is flooded too
    has_reply_noise(SUM, *(sums.secret.decrypt_sum(released, block, PEER) for released in (first, second)))


def test_inner_products(sums: Sums) -> None:
    """The product of a difference with itself, released 78 times: a polynomial of its own and fresh noise each."""
    count, study = 12, Products.of(sums.layout.training, False)
    nothing = np.zeros((0, 0), np.uint8)
    fits, training = [sums.parts[0]] * count, sums.layout.training
    released = sums.calculator.products(fits, np.zeros((ROWS, 1)), nothing, training)
    assert len(released) == len(pairs(count, False)) == 78
    polynomials = released[:, :-CONSTANT_BYTES].reshape(78, SUM.n, KEPT)
    for other in polynomials[1:]:
        assert (polynomials[0] != other).any(axis=1).mean() > 0.999
    values = np.array([opened(sums.secret, row, study) for row in released])
    assert np.abs(values / (0.25 * ROWS / SUM.slots) - 1).max() < 0.01  # thirty deviations
    noise = (values - values.mean()) * study.scale / 2.0**study.flooding_bits
    assert chi2.ppf(ALARM / 2, 77) < np.sum(noise**2) < chi2.isf(ALARM / 2, 77)
    # What the sponsor sees of them has its own noise besides, always the same for the same ciphertext.
    seen = [sums.secret.decrypt_products(released, 78, study) for _ in range(2)]
    assert (seen[0] == seen[1]).all()
    has_deviation((seen[0] / SUM.slots - values) * study.scale, 2.0**study.release_bits)


def opened(key: SumContext, row: np.ndarray, study: Products) -> float:
    """A released number without the noise that decryption adds, which is larger than the aggregator's."""
    ((constant, second),) = read_products(row[None], 1)
    residues = np.zeros((2, PRODUCT_LEVELS, SUM.n), dtype=np.uint64)
    residues[0, :, 0] = [constant % prime for prime in PRODUCT_PRIMES]
    residues[1] = wide.residues(second, PRODUCT_PRIMES)
    slots = key._encoder.decode_complex(key._open(residues, study.scale))
    return float(np.mean(np.array(slots).real))


# --- from the sponsor -------------------------------------------------------------------------------------------------


def test_requests_and_differences(sums: Sums) -> None:
    """Seed and first polynomial are fresh, also of one value under one key."""
    values = np.full((ROWS, 1), 0.5)
    for encrypt in (secret("standard").encrypt, sums.secret.encrypt_difference):
        first, second = encrypt(values)[0], encrypt(values)[0]
        assert (first[-sealapi_files.SEED_BYTES :] != second[-sealapi_files.SEED_BYTES :]).mean() > 0.8
        if len(first) == STANDARD.request_bytes:
            differ_in_numbers(*(sent[: -sealapi_files.SEED_BYTES].reshape(STANDARD.n, -1) for sent in (first, second)))
        else:
            differ(first[: -sealapi_files.SEED_BYTES], second[: -sealapi_files.SEED_BYTES])


def test_public_keys() -> None:
    """A process makes keys once; another one, under the same secret key, makes fresh ones."""
    first, second = (
        np.frombuffer(raw, np.uint8) for raw in (raw_keys("standard"), expendable("standard").public_keys(1))
    )
    assert raw_keys("standard") == secret("standard").public_keys(1)
    public = sealapi_files.packed_bytes(1, STANDARD.levels + 1, STANDARD.n)
    differ(first[:public], second[:public])
    assert (first[public:][:64] != second[public:][:64]).mean() > 0.8, "seeds"
    assert isinstance(PublicKeys.from_bytes(STANDARD, 1, second.tobytes()), PublicKeys)


def test_the_key_owners_difference_has_the_shape_of_the_fits(sums: Sums) -> None:
    short = np.zeros((1, 8), np.uint8)
    with pytest.raises(Malformed, match="own difference must have the shape"):
        sums.calculator.products([sums.parts[0]], np.zeros((ROWS, 1)), short, sums.layout.training)
