"""A port that is given a key or a fit of another mode is our own error, and nothing leaves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from crypto.ckks.fits import SUM
from crypto.ckks.secret import SecretContext
from crypto.ckks.secret_sum import SumContext
from crypto.ckks.sets import PARAMETER_SETS
from secure_gal import protection
from secure_gal.errors import StateError
from secure_gal.protection.ciphers import given, of_sums
from secure_gal.protection.ports import as_ciphertexts, as_values
from secure_gal.settings.study import Protect
from tests.support.study_in_memory import study

VALUES, BYTES = np.zeros((2, 1), np.float32), np.zeros(8, np.uint8)
SUMS = Protect(ids="clear", predictions="sum")


def test_a_fit_in_the_clear_does_not_leave_where_ciphertexts_were_agreed_on() -> None:
    assert as_ciphertexts(BYTES) is BYTES and as_values(VALUES) is VALUES
    for check, fit in ((as_ciphertexts, VALUES), (as_values, BYTES)):
        with pytest.raises(StateError, match=r"a fit of \w+ where the study's modes agreed on"):
            check(fit)  # type: ignore[operator]


def test_ports_that_decrypt_need_a_key_that_can() -> None:
    one: Any = SecretContext.generate(PARAMETER_SETS["standard"])
    both: Any = SumContext.generate(SUM)
    assert given(one) is one and of_sums(both) is both
    with pytest.raises(StateError, match="needs its secret key"):
        protection.residual_mode(study(protect=Protect(residuals="ckks"))).port(None)
    for cipher in (None, one):
        with pytest.raises(StateError, match="a secret key that opens them, not"):
            protection.fitted_mode(study(protect=SUMS)).port(study(protect=SUMS), cipher)
