"""Vectors of what follows from a parameter set: noise, its bounds, digits, and the scale of inner products.

Both ends reckon with these numbers, and a person consents to what they say: one that drifts makes releases that do not
go together, or a promise that is not kept. Nine digits are held, which no library's rounding reaches.
"""

from __future__ import annotations

import numpy as np

from crypto.ckks import dithering, flooding, release
from crypto.ckks.fits import ROWS, SUM, TRAINING, Layout
from crypto.ckks.leave_one_out import growth
from crypto.ckks.params import ParameterSet
from crypto.ckks.products import Products, pairs, products_cost, products_problem
from crypto.ckks.sets import PARAMETER_SETS, SUM_SETS
from crypto.ckks.slots import Packing
from tests.support.frozen import Vector

SIZES = (1, 511, 512, 513, 1024, 1025, 8192, 16384, 16385)


def written(value: float) -> str:
    return f"{value:.9g}"


def noise(params: ParameterSet) -> dict[str, object]:
    """Of a reply, of what is decrypted, and what is promised of both."""
    found = {
        "values": params.n,
        "slots": params.slots,
        "packed": [params.packed(rows) for rows in SIZES],
        "capacity": written(params.capacity),
        "switching_noise": written(params.switching_noise),
        "data_noise": written(params.data_noise),
        "deviation": written(release.deviation(params)),
        "padding_deviation": written(release.padding_deviation(params)),
        "rounding_unit": written(release.rounding_unit(params)),
        "key_noise": written(release.key_noise(params)),
        "primes": [len(params.request_primes), len(params.reply_primes)],
        "galois_key_bytes": params.galois_key_bytes,
    }
    if params.flooding_bits:
        found |= {
            "sigma": str(params.sigma),
            "distance": [written(params.distance(replies)) for replies in (1, 4, params.tau)],
            "secrecy": written(release.secrecy(params)),
        }
    return found


def test_what_follows_from_a_parameter_set() -> None:
    vector = Vector("ckks-noise")
    vector.same(
        **{name: noise(params) for name, params in (PARAMETER_SETS | SUM_SETS).items()},
        bits=[written(release.bits(2.0**10, 2.0**40, number)) for number in (1, 2, 2**16)],
        spread_limits=[written(release.spread_limit(count)) for count in (2, 200, 20_000)],
        dither=[written(dithering.variance(terms)) for terms in (0, dithering.SUMMED, dithering.SINGLE)],
        flooding=[str(flooding.centre(bits)) for bits in (1, 32, 94)],
    )
    for params in PARAMETER_SETS.values():
        assert params.distance(params.tau) <= 2.0**-params.kappa, f"layer {vector.layer!r}: kappa"
        assert release.secrecy(params) >= params.secrecy, f"layer {vector.layer!r}: secrecy"


def test_digits_of_what_is_released() -> None:
    for params in (*PARAMETER_SETS.values(), SUM):
        step = 2.0 ** np.floor(np.log2(release.deviation(params))) / 8
        values = np.array([0.0, 0.49, 0.51, -0.51, 1.0, 7.5]) * step
        assert (release.on_grid(params, values) / step).tolist() == [0.0, 0.0, 1.0, -1.0, 1.0, 8.0]


TABLES = {
    "few rows": Packing(TRAINING, 100, 1),
    "a block": Packing(TRAINING, 16_384, 3),
    "many": Packing(TRAINING, 50_000, 1),
}


def of_products(table: Packing, ridge: bool) -> dict[str, object]:
    found = Products.of(table, ridge)
    return {
        "values": found.values,
        "ciphertexts": found.ciphertexts,
        "longest": written(found.longest),
        "bits": found.bits,
        "lift": found.lift,
        "scale": written(found.scale),
        "rounding": written(found.rounding),
        "flooding_bits": found.flooding_bits,
        "key_noise": written(found.key_noise),
        "release_bits": found.release_bits,
        "distance": [written(found.distance(rounds, numbers)) for rounds, numbers in ((1, 1), (2, 1), (10, 3))],
    }


def test_what_follows_from_the_rows_of_a_sum() -> None:
    vector = Vector("ckks-products")
    layouts = {"small": Layout(100, 20, 1), "outputs": Layout(800, 200, 3), "large": Layout(50_000, 9_000, 2)}
    vector.same(
        products={
            f"{name}, {kind}": of_products(t, kind == "ridge")
            for name, t in TABLES.items()
            for kind in ("ridge", "any")
        },
        growth=[written(growth(SUM, train, rows)) for train, rows in ((100, 100), (100, 1000), (50_000, 50_000))],
        layouts={name: [at.ciphertexts, at.fit_bytes, at.training.requests] for name, at in layouts.items()},
        costs={name: [str(products_cost(at, 10, 3, ridge)) for ridge in (True, False)] for name, at in layouts.items()},
        pairs=[len(pairs(fits, own)) for fits in (1, 2, 5) for own in (True, False)],
        packed=[TRAINING.packed(800), ROWS.packed(800), SUM.packed(1)],
    )
    for rounds, why in ((1, ""), (10**7, f"{10**7} rounds of 9 inner products are more than the parameter set hides")):
        found = products_problem(layouts["small"], rounds, 3, False)
        assert found == why if not why else found.startswith(why), f"layer {vector.layer!r}: the most rounds"
    most = Layout(4096 * 16_384, 0, 1)
    assert not products_problem(most, 1, 3, True), f"layer {vector.layer!r}: 4,096 ciphertexts"
    assert "too many for inner products" in products_problem(Layout(4096 * 16_384 + 1, 0, 1), 1, 3, True)
