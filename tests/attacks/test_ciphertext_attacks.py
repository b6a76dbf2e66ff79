"""Attacks on ciphertexts read what was not masked or not sanitised, and nothing of what was."""

from __future__ import annotations

import numpy as np
import pytest
from tenseal import sealapi

from crypto.ckks import embedding, ring, sealapi_files, wide
from crypto.ckks.sets import PARAMETER_SETS
from secure_gal.attacks import ciphertexts, labels
from secure_gal.attacks.requests import readable
from tests.support.attacked import REPEATS, Array, nothing


def test_the_embedding_is_the_one_of_the_encoder() -> None:
    values = np.random.default_rng(0).standard_normal((2, 64))
    assert np.allclose(embedding.slot_values(embedding.coefficients(values)), values)
    one = np.zeros(64)
    one[0] = 3.0  # a constant polynomial: the same number in every slot
    assert np.allclose(embedding.slot_values(one), np.repeat([3.0, 0.0], 32))


def test_a_row_is_read_where_seal_puts_it() -> None:
    """A message that SEAL encoded and nobody masked is read back; n values a block, the second half imaginary."""
    params, rng = PARAMETER_SETS["standard"], np.random.default_rng(0)
    context, scale = ring.context(params), 2.0**56
    parms, values = tuple(context.first_parms_id()), rng.uniform(-1, 1, params.n)
    plain, carrier = sealapi.Plaintext(), sealapi.Ciphertext()
    half = params.n // 2
    sealapi.CKKSEncoder(context).encode((values[:half] + 1j * values[half:]).tolist(), parms, scale, plain)
    residues = np.zeros((2, params.levels, params.n), dtype=np.uint64)
    residues[1] = 1  # SEAL refuses a ciphertext that is nothing but a message
    sealapi_files.load(carrier, context, sealapi_files.ciphertext_members(parms, params.n, scale, residues))
    sealapi.Evaluator(context).add_plain_inplace(carrier, plain)
    sealapi.Evaluator(context).transform_from_ntt_inplace(carrier)
    first = sealapi_files.split_ciphertext(sealapi_files.save(carrier), params.levels, params.n, seeded=False)[0][0]
    kept = wide.leading(wide.compose(first, params.request_primes), params.request_primes, params.request_kept)
    request = np.concatenate([kept, np.zeros(sealapi_files.SEED_BYTES, dtype=np.uint8)])
    features = readable(request[None], params, params.n, 1)
    assert np.allclose(features[:, params.levels] * params.primes[0] / scale, values, atol=2e-3)


@pytest.mark.parametrize("masked", [False, True])
def test_a_forgotten_mask_gives_the_labels_and_a_mask_gives_none(wine: tuple[Array, ...], masked: bool) -> None:
    x, y, residuals, _ = wine
    prime, n, rng = (1 << 60) - 93, 256, np.random.default_rng(0)
    padded = np.zeros((3, n))
    padded[:, : len(y)] = residuals[0].T
    message = np.round(embedding.coefficients(padded) * 2**40).astype(np.int64)
    mask = rng.integers(0, prime, message.shape) if masked else 0
    polynomial = ((message + mask) % prime).astype(np.uint64)[:, None, :]
    features = ciphertexts.row_features(polynomial, polynomial, [prime], len(y), 3)
    assert features.shape == (len(y), 6)
    finding = labels.with_known_labels(y, features, x[:, 12:], seed=0, repeats=REPEATS)
    if masked:
        nothing(finding)
    else:
        assert finding.score.value > 0.95 and finding.gain.low > 0


@pytest.mark.parametrize("sanitised", [False, True])
def test_replies_that_were_not_sanitised_are_the_assistors_data(sanitised: bool) -> None:
    rng, prime, n = np.random.default_rng(0), (1 << 60) - 93, 32
    data = rng.integers(0, 1000, (2, n)).astype(object)
    requests = rng.integers(1, prime, (3, 2, n)).astype(object)
    requests[0, 0, :4] = 0  # a pivot that must be looked for further down
    replies = (requests * data).sum(axis=1) % prime
    if sanitised:
        replies = (replies + rng.integers(0, prime, replies.shape)) % prime
    found = ciphertexts.unsanitised_plaintexts(requests, replies, prime)
    assert bool((found == data).all()) is not sanitised
    assert not sanitised or (found == data).mean() < 0.1
    with pytest.raises(ValueError, match="need as many"):
        ciphertexts.unsanitised_plaintexts(requests[:1], replies[:1], prime)
