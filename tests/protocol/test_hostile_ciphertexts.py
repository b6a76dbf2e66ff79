"""Ciphertexts and keys that no honest party sends: every reader refuses them in its name, with SEAL behind it."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from crypto.ckks import sealapi_files
from crypto.ckks.ciphertexts import check_replies, spread, write_reply
from crypto.ckks.fits import DIFFERENCE_BYTES, ROWS, SUM, TRAINING, WEIGHT_BITS, Layout
from crypto.ckks.keys import PublicKeys
from crypto.ckks.products import CONSTANT_BYTES, KEPT, PRODUCT_BYTES, Products, read_products
from crypto.ckks.secret_sum import SumContext
from crypto.ckks.sets import PARAMETER_SETS
from crypto.ckks.slots import Packing
from crypto.ckks.sum_calculator import NoDifference, SumCalculator
from crypto.ckks.sum_keys import EncryptionKey, ProductKeys, evaluation_part
from crypto.identity import Identity
from crypto.sealed_box import SealingKey, key_statement
from secure_gal.protection.sums.sealing import check_key, session
from tests.conftest import identity
from tests.support.ckks_keys import raw_keys, secret
from tests.support.frozen_ckks import held
from tests.support.refusals import PEER, refused

STANDARD, STRICT = PARAMETER_SETS["standard"], PARAMETER_SETS["strict"]


# --- what every reader of ciphertexts and keys refuses, with SEAL behind it -------------------------------------------


@pytest.fixture(scope="module")
def cipher() -> SumContext:
    return SumContext.generate(SUM)


@pytest.mark.parametrize("name", sorted(PARAMETER_SETS))
def test_a_reply_that_hides_nothing(name: str) -> None:
    """Also one whose second polynomial is next to zero: it may become zero on the way."""
    params = PARAMETER_SETS[name]
    row = np.random.default_rng(0).integers(1, 128, (1, params.reply_bytes), dtype=np.uint8)
    check_replies(params, row, 1)
    bare, small = row.copy(), row.copy()
    bare[:, params.reply_kept[0] * params.n :] = 0
    small[:, params.reply_kept[0] * params.n :] = 0
    small[0, -1] = 1
    for bad in (bare, small):
        refused(partial(check_replies, params, bad, 1), "second polynomial is zero or small")
        refused(partial(secret(name).decrypt, bad, params.n, 1, PEER), "second polynomial is zero or small")
    refused(lambda: check_replies(params, np.full_like(row, 255), 1), "not below its modulus")
    refused(lambda: check_replies(params, row, 2), "is due")
    refused(lambda: check_replies(params, row[:, :-1], 1), "is due")
    refused(lambda: check_replies(params, row.astype(np.int8), 1), "is due")


def test_evaluation_keys_that_nothing_can_be_computed_with() -> None:
    """A public key (p, 0) would make SEAL refuse the first fit as transparent; from any seed comes another one."""
    raw = np.frombuffer(raw_keys("standard"), np.uint8)
    polynomials = held(PublicKeys.from_bytes(STANDARD, 1, bytes(len(raw))).public, STANDARD, STANDARD.levels + 1)
    assert not polynomials[0].any() and all(spread(row >> np.uint64(52)) for row in polynomials[1])
    refused(lambda: PublicKeys.from_bytes(STANDARD, 1, b"\xff" * len(raw)), "public key with a residue")
    refused(lambda: PublicKeys.from_bytes(STANDARD, 1, raw.tobytes()[:-1]), "evaluation keys of")
    last = raw.copy()
    last[-200:-100] = 255
    refused(lambda: PublicKeys.from_bytes(STANDARD, 1, last.tobytes()), "evaluation key with a residue")


def test_keys_of_sums_that_nothing_can_be_computed_with(cipher: SumContext) -> None:
    raw = cipher.public_keys(0, combines=True)
    for fits in (True, False):
        refused(lambda fits=fits: evaluation_part(raw[:-1], fits=fits), "combiner's evaluation keys of")
    refused(lambda: evaluation_part(raw + b"0", fits=False), "combiner's evaluation keys of")
    refused(lambda: ProductKeys(raw[:-1]), "combiner's evaluation keys of")
    refused(lambda: ProductKeys(b"\xff" * len(raw)), "public key with a residue")
    for at in (len(cipher.public_keys(0)) + 99, len(raw) - 999):  # conjugation, relinearisation
        bad = raw[:at] + b"\xff" * 99 + raw[at + 99 :]
        refused(lambda bad=bad: ProductKeys(bad), "evaluation key with a residue")
    public = evaluation_part(raw, fits=False)
    assert public == cipher.public_keys(0)
    refused(lambda: EncryptionKey(b"\xff" * len(public)), "public key with a residue")
    refused(lambda: EncryptionKey(public[:-1]), "evaluation keys of")
    refused(lambda: EncryptionKey(raw), "evaluation keys of")


def test_released_numbers_that_hide_nothing(cipher: SumContext) -> None:
    good = np.random.default_rng(0).integers(1, 128, (2, PRODUCT_BYTES), dtype=np.uint8)
    study = Products.of(Packing(TRAINING, 40, 1), True)
    read_products(good, 2)
    bare, beyond, wide = good.copy(), good.copy(), good.copy()
    bare[1, :-CONSTANT_BYTES] = 0
    beyond[0, -CONSTANT_BYTES:] = 255
    wide[1, :KEPT] = 255
    for bad, rule in (
        (bare, "polynomial is zero"),
        (beyond, "not below its modulus"),
        (wide, "not below its modulus"),
        (good[:1], "is due"),
        (good[:, :-1], "is due"),
    ):
        refused(partial(read_products, bad, 2), rule)
        refused(partial(cipher.decrypt_products, bad, 2, study), rule)


def test_fits_and_differences_that_cannot_be_computed_with() -> None:
    layout = Layout(50, 20, 2)
    body = np.random.default_rng(0).integers(1, 8, layout.fit_bytes, dtype=np.uint8)
    layout.check(body.tobytes())
    for start, params in ((0, TRAINING), (TRAINING.reply_bytes, ROWS)):
        bare = body.copy()
        bare[start + params.reply_kept[0] * params.n : start + params.reply_bytes] = 0
        refused(partial(layout.check, bare.tobytes()), "second polynomial is zero")
    refused(lambda: layout.check(b"\xff" * layout.fit_bytes), "not below its modulus")
    refused(lambda: layout.check(body.tobytes()[:-1]), "a fit of")
    difference = np.random.default_rng(0).integers(0, 128, (1, DIFFERENCE_BYTES), dtype=np.uint8)
    layout.check_difference(difference)
    refused(lambda: layout.check_difference(np.full_like(difference, 255)), "not below its prime")
    refused(lambda: layout.check_difference(difference[:0]), "must have the shape")


def test_a_fit_that_is_the_residuals_own_ciphertext(cipher: SumContext) -> None:
    """Every assistor can compute it, and SEAL refuses to compute with the difference, which is zero but for
    rounding."""
    calculator, table = SumCalculator(ProductKeys(cipher.public_keys(0, combines=True))), Packing(TRAINING, 40, 1)
    residual = cipher.encrypt(np.linspace(-1, 1, 40)[:, None])
    lifted = calculator._lifted(residual)
    calculator._evaluator.transform_from_ntt_inplace(lifted)
    saved = sealapi_files.save(lifted)
    residues, _ = sealapi_files.split_ciphertext(saved, TRAINING.reply_levels, SUM.n, seeded=False)
    copied = write_reply(TRAINING, residues, flooded=False)[None]
    layout = Layout(40, 0, 1)
    layout.check(copied.tobytes())
    honest = np.frombuffer(
        EncryptionKey(cipher.public_keys(0)).encrypt(np.ones((40, 1)), np.zeros((0, 1)), 8.0), np.uint8
    )
    nothing = np.zeros((0, 0), np.uint8)
    with pytest.raises(NoDifference) as found:
        calculator.products([honest[None], copied], residual, nothing, table)
    assert found.value.author == 1


def test_a_weight_of_one_step_is_computed_with(cipher: SumContext) -> None:
    """The least weight that is not 0 does not make a plaintext of zeros, which SEAL would refuse to multiply by."""
    calculator, key = (
        SumCalculator(ProductKeys(cipher.public_keys(0, combines=True))),
        EncryptionKey(cipher.public_keys(0)),
    )
    layout = Layout(0, 30, 1)
    fit = layout.split(key.encrypt(np.zeros((0, 1)), np.full((30, 1), 8.0), 8.0))
    total = calculator.weighted_sum([fit, fit], [1, (1 << WEIGHT_BITS) - 1])
    assert np.abs(cipher.decrypt_sum(total, layout, PEER) - 8.0).max() < 1e-2


# --- keys that are points of small order ------------------------------------------------------------------------------


@pytest.mark.parametrize("u", [0, 1, 2**255 - 20, 2**255 - 19])
def test_a_sealing_key_of_small_order_is_its_owners_fault(u: int) -> None:
    owner: Identity = identity("lab")
    study_id, run, public = "ab" * 32, "cd" * 32, u.to_bytes(32, "little")
    signature = owner.sign(key_statement(session(study_id, run), "fitted", public))
    refused(lambda: check_key(owner.card, study_id, run, "fitted", public, signature, PEER), "small order", "lab")
    good = SealingKey()
    signature = good.announce(owner, session(study_id, run), "fitted")
    check_key(owner.card, study_id, run, "fitted", good.public, signature, PEER)
