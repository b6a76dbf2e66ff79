"""Vectors of sum-only predictions: fits, their sums and inner products, and the aggregator's keys."""

from __future__ import annotations

import math

import numpy as np

from crypto.ckks import products
from crypto.ckks.add import added
from crypto.ckks.ciphertexts import write_reply
from crypto.ckks.fits import DIFFERENCE_BYTES, ROWS, SUM, TRAINING, Layout
from crypto.ckks.secret_sum import SumContext
from crypto.ckks.sets import SUM_SETS
from crypto.ckks.sum_calculator import SumCalculator
from crypto.ckks.sum_keys import PRODUCT_KEYS_BYTES, PUBLIC_BYTES, EncryptionKey, ProductKeys, evaluation_part
from tests.support.frozen import Vector, sha256, stream
from tests.support.frozen_ckks import as_residues, held, held_keys, middle, numbers, packed, residues


def test_sum_of_replies() -> None:
    vector, params = Vector("ckks-sum-of-replies"), SUM_SETS["sum-rows"]
    two = [[numbers(f"c{p} of reply {i}", params) for p in range(2)] for i in range(2)]
    rows = [write_reply(params, as_residues(params, both), flooded=False)[None] for both in two]
    product = math.prod(params.reply_primes)
    due = [
        [(middle(params, x, kept) + middle(params, y, kept)) % product for x, y in zip(a, b, strict=True)]
        for kept, a, b in zip(params.reply_kept, *two, strict=True)
    ]
    made = added(params, rows)
    vector.same(shape=list(made.shape), rows_differ=bool((made != rows[0]).any()))
    assert (made[0] == write_reply(params, as_residues(params, due), flooded=False)).all(), f"layer {vector.layer!r}"


def test_inner_product() -> None:
    """Leading bytes of every coefficient of c1, then one whole number."""
    vector, primes = Vector("ckks-inner-product"), products.PRODUCT_PRIMES
    params = SUM_SETS["sum"]
    second, constant = numbers("c1 of an inner product", params), 2**100 + 5
    total, kept = products.CONSTANT_BYTES, vector.given["kept"]
    raw = b"".join(x.to_bytes(total, "little")[total - kept :] for x in second) + constant.to_bytes(total, "little")
    with vector.read():
        ((found, limbs),) = products.read_products(np.frombuffer(raw, np.uint8)[None], 1)
        assert found == constant
        due = [(x >> 8 * (total - kept) << 8 * (total - kept)) + (1 << 8 * (total - kept) >> 1) for x in second]
        assert [int(a) + (int(b) << 64) for a, b in zip(*limbs, strict=True)] == due
    pairs = [products.pairs(3, sponsor) for sponsor in (False, True)]
    vector.same(bytes=products.PRODUCT_BYTES, primes=[str(q) for q in primes], row=sha256(raw), pairs=pairs)


def test_product_keys() -> None:
    """Public key, conjugation key, relinearisation key: c0 by primes, and a seed; switching keys of one a digit."""
    vector, top = Vector("ckks-product-keys"), SUM.levels + 1
    public, seed = residues("public key", SUM, 1, top), stream("seed of the public key", 64)
    parts = {
        (key, digit): (residues(f"{key} {digit}", SUM, 1, top), stream(f"seed of {key} {digit}", 64))
        for key in vector.given["order"]
        for digit in range(SUM.levels)
    }
    raw = packed(public) + seed + b"".join(packed(first) + seed for first, seed in parts.values())
    with vector.read():
        keys = ProductKeys(raw)
        found = {
            "relinearisation": held_keys(keys.relin, SUM)[0],
            "conjugation": held_keys(keys.galois, SUM)[SUM.n - 1],
        }
        assert (held(keys.public, SUM, top)[0] == public[0]).all()
        for (key, digit), (first, _) in parts.items():
            assert (found[key][digit][0] == first[0]).all(), (key, digit)
        assert evaluation_part(raw, fits=False) == packed(public) + seed
    seconds = held(keys.public, SUM, top)[1].tobytes()
    seconds += b"".join(found[key][digit][1].tobytes() for key, digit in parts)
    vector.same(
        bytes=PRODUCT_KEYS_BYTES,
        public_bytes=PUBLIC_BYTES,
        difference_bytes=DIFFERENCE_BYTES,
        second_polynomials=sha256(seconds),
    )


def test_fits_of_a_sum() -> None:
    """Training rows' ciphertexts, then the others', in one string of bytes."""
    vector, found = Vector("ckks-fit-of-a-sum"), {}
    for train, others, outputs in ((100, 20, 1), (100, 20, 17), (20_000, 5_000, 2)):
        layout = Layout(train, others, outputs)
        counts = [layout.training.ciphertexts, layout.rest.ciphertexts]
        raw = np.repeat(np.array([1, 2], np.uint8), [counts[0] * TRAINING.reply_bytes, counts[1] * ROWS.reply_bytes])
        with vector.read():
            first, rest = layout.split(raw.tobytes())
            assert (first == 1).all() and (rest == 2).all()
        found[f"{train} {others} {outputs}"] = {"ciphertexts": counts, "bytes": layout.fit_bytes}
    vector.same(**found)


def test_sums_are_written_as_they_are_read() -> None:
    """Fresh product keys, fits and inner products: what the vectors above hold is the reading side."""
    secret, f = SumContext.generate(SUM), np.linspace(-0.5, 0.5, 10)[:, None]
    layout, residual, none = Layout(10, 2, 1), f * 0.5, np.zeros((0, DIFFERENCE_BYTES), dtype=np.uint8)
    study = products.Products.of(layout.training, ridge=False)
    with Vector("ckks-inner-product").read():
        key = EncryptionKey(secret.public_keys(0))
        fits = [layout.split(key.encrypt(values, values[:2], 1.0)) for values in (f, -f)]
        calculator = SumCalculator(ProductKeys(secret.public_keys(0, combines=True)))
        made = calculator.products([training for training, _ in fits], residual, none, layout.training)
        found = secret.decrypt_products(made, 3, study)
    differences = [f - residual, -f - residual]
    due = [float(np.sum(differences[i] * differences[j])) for i, j in ((0, 0), (0, 1), (1, 1))]
    most = 7 * (2.0**study.flooding_bits + 2.0**study.release_bits) * SUM.slots / study.scale  # noise has 6 at most
    assert np.abs(found - due).max() < most < 0.1, (
        f"layer 'released inner product, product keys or fit of a sum': {found} {due}"
    )
