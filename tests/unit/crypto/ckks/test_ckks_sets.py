"""CKKS parameter sets and the exact sizes that follow from them."""

from __future__ import annotations

import pkgutil
import subprocess
import sys

import numpy as np
import pytest

import crypto.ckks
from crypto.ckks.keys import keys_bytes
from crypto.ckks.params import RANGE
from crypto.ckks.ring import padded
from crypto.ckks.sets import PARAMETER_SETS
from crypto.errors import Misuse
from tests.support.ckks_keys import SETS

STANDARD = PARAMETER_SETS["standard"]


@SETS
def test_a_parameter_set_keeps_what_it_states(name: str) -> None:
    params = PARAMETER_SETS[name]
    bits = sum(prime.bit_length() for prime in params.primes)
    assert bits <= {"strict": 305, "standard": 214}[name]  # ePrint 2024/463: 192 and 128 bits, ternary secret
    assert params.distance(params.tau) <= 2.0**-params.kappa < params.distance(8 * params.tau)
    assert len(params.primes) == len(set(params.primes)) == params.levels + 1
    assert all(prime >> 59 == 1 and prime % (2 * params.n) == 1 for prime in params.primes)
    assert params.capacity > 1.9 * RANGE
    slot_noise = params.sigma * np.sqrt(params.n / 2) / params.reply_scale
    assert 5.5 * slot_noise < params.error
    assert str(params.tau) in params.describe() and "\n" not in params.describe()


def test_bytes_a_value() -> None:
    for name, (out, back, key_bytes) in {"standard": (10.01, 13, 3.5e6), "strict": (14.01, 14, 13e6)}.items():
        params = PARAMETER_SETS[name]
        assert params.request_bytes <= out * params.n and params.reply_bytes <= back * params.n
        assert max(keys_bytes(params, 1 << i) for i in range(13)) <= key_bytes


def test_padded_widths() -> None:
    assert [padded(STANDARD, p) for p in (1, 2, 3, 12, 16, 130, 4096)] == [1, 2, 4, 16, 16, 256, 4096]
    for p in (0, -1, 4097):
        with pytest.raises(Misuse):
            padded(STANDARD, p)
    for width in (-1, 3, 8192):
        with pytest.raises(Misuse):
            keys_bytes(STANDARD, width)


def test_the_public_side_imports_no_secret_side() -> None:
    """Whatever an evaluator loads; and the same question of the secret side, which answers yes."""
    code = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]: importlib.import_module(f'crypto.ckks.{name}')\n"
        "sys.exit(any(name.startswith('crypto.ckks.secret') for name in sys.modules))"
    )
    names = [module.name for module in pkgutil.iter_modules(crypto.ckks.__path__)]
    public = [name for name in names if not name.startswith("secret")]
    assert len(public) > 15 and len(names) - len(public) == 3
    for chosen, loads in ((public, False), (["secret"], True), (["secret_sum"], True), (["secret_keys"], True)):
        assert subprocess.run([sys.executable, "-c", code, *chosen], check=False).returncode == loads
