"""A value may keep some of what its row says of itself."""

from __future__ import annotations

import numpy as np
import pytest

from crypto.ckks.encrypted_ridge import EncryptedRidge
from crypto.ckks.leave_one_out import factors, longest_row
from crypto.ckks.sets import PARAMETER_SETS
from crypto.errors import Misuse
from tests.support.ckks_keys import PEER, keys, secret
from tests.support.leave_one_out import basis, bound, left_out, problem

STANDARD = PARAMETER_SETS["standard"]


def test_a_row_may_keep_a_share_of_its_own_residual() -> None:
    phi, r = problem(500, 3, 2)
    u, share = basis(phi, 500), np.random.default_rng(3).uniform(0, 1, 500)
    job = EncryptedRidge.of(keys("standard", 4), u, u, leave_one_out=True, share=share, cores=1)
    found = secret("standard").decrypt(job.fit(secret("standard").encrypt(r), 2), 500, 2, PEER)
    job.close()
    longest = longest_row(STANDARD, 500, 500)
    plain, own = left_out(u, r, longest), factors(u, longest)[1]
    kept = ((1 - share) * own)[:, None] * r
    assert np.abs(found - plain - kept).max() < bound(STANDARD, u, r) < np.abs(kept).max() / 3
    for wrong in (1.5, -0.1, np.full(500, np.nan)):
        with pytest.raises(Misuse, match="a share of 0 to 1"):
            EncryptedRidge.of(keys("standard", 4), u, u, leave_one_out=True, share=wrong, cores=1)
