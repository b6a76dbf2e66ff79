"""What whoever sees decrypted values beside the ciphertexts can find of the secret key (Li and Micciancio 2021)."""

from __future__ import annotations

import numpy as np
import pytest
from tenseal import sealapi

from crypto import ckks, embedding, seal_files
from crypto.ckks import PARAMETER_SETS
from crypto.encrypted_ridge import EncryptedRidge
from tests.ckks_keys import PEER, keys, ridge, secret
from tests.exact_ring import secret_residues

STRICT = PARAMETER_SETS["strict"]


@pytest.mark.xfail(strict=True, reason="values are decrypted without noise of their own")
def test_predictions_shown_to_an_assistor_do_not_give_the_key() -> None:
    """One reply of a full block and what it decrypts to: s = (m - c0) / c1."""
    u, r = ridge(STRICT.n, 3, 1)
    job = EncryptedRidge(keys("strict", 4), u, u, cores=1)
    reply = job.fit(secret("strict").encrypt(0.01 * r), 1, PEER)[0]
    job.close()
    shown = secret("strict").decrypt(reply[None], STRICT.n, 1, PEER)[:, 0]
    prime = ckks.primes(STRICT)[0]
    phase = np.rint(embedding.coefficients(shown) * STRICT.reply_scale).astype(np.int64) % prime
    c0, c1 = seal_files.unpack(reply).reshape(2, STRICT.n)
    carrier = np.stack([(phase.astype(np.uint64) + prime - c0) % np.uint64(prime), c1])[:, None]
    ciphertext = sealapi.Ciphertext()
    members = seal_files.ciphertext_members(ckks.level(STRICT, 1), STRICT.n, 1.0, carrier, ntt=False)
    seal_files.load(ciphertext, ckks.context(STRICT), members)
    sealapi.Evaluator(ckks.context(STRICT)).transform_to_ntt_inplace(ciphertext)
    top, below = seal_files.split_ciphertext(seal_files.save(ciphertext), 1, STRICT.n, seeded=False)[0][:, 0]
    found = np.array([int(a) * pow(int(b), -1, prime) % prime for a, b in zip(top, below, strict=True)])
    assert (found == secret_residues(secret("strict"))[0]).mean() < 0.01
