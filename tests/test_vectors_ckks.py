"""Vectors of CKKS: parameter sets, packing, and where residues, seeds and leading bytes lie in what travels.

Ciphertexts are random, and large. So bytes are put together here by the layout that a vector states, and held against
what the code reads; what the code writes is held against what it reads.
"""

from __future__ import annotations

import dataclasses
import math
import struct
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from tenseal import sealapi

from crypto import ckks, ckks_add, ckks_products, release, seal_files
from crypto.ckks import PARAMETER_SETS, SUM_SETS, ParameterSet, PublicKeys
from crypto.ckks_fits import (
    DIFFERENCE_BYTES,
    PRODUCT_KEYS_BYTES,
    PUBLIC_BYTES,
    ROWS,
    SUM,
    TRAINING,
    Layout,
    ProductKeys,
)
from crypto.ckks_public import Calculator
from crypto.ckks_secret import SecretContext
from crypto.ckks_slots import Table
from crypto.releases import Releases
from tests import ckks_keys
from tests.frozen import Vector, sha256, stream

FAST = PARAMETER_SETS["fast"]
SETS = PARAMETER_SETS | SUM_SETS
PEER = "lab"


def residues(what: str, params: ParameterSet, polynomials: int, levels: int) -> seal_files.Residues:
    """Residues (polynomials, levels, n) that look random, each below its prime."""
    words = np.frombuffer(stream(what, 8 * polynomials * levels * params.n), dtype="<u8")
    primes = np.array(ckks.primes(params)[:levels], dtype=np.uint64)[:, None]
    return np.asarray((words >> np.uint64(4)).reshape(polynomials, levels, params.n) % primes)


def packed(values: seal_files.Residues) -> bytes:
    """As the layer `packing of residues` has it."""
    return seal_files.pack(values).tobytes()


def numbers(what: str, params: ParameterSet) -> list[int]:
    """n numbers below the product of a reply's primes."""
    product, size = math.prod(params.reply_primes), 40
    raw = stream(what, size * params.n)
    return [int.from_bytes(raw[i : i + size], "little") % product for i in range(0, len(raw), size)]


def held(thing: Any, params: ParameterSet, levels: int) -> seal_files.Residues:
    """Both polynomials of a SEAL ciphertext or public key."""
    return seal_files.split_ciphertext(seal_files.save(thing), levels, params.n, seeded=False)[0]


def held_keys(thing: Any, params: ParameterSet) -> dict[int, list[seal_files.Residues]]:
    """Both polynomials of every digit of SEAL's Galois or relinearisation keys, by SEAL's index."""
    members, at, found = seal_files.save(thing), 40, {}
    each = 16 + seal_files.ciphertext_bytes(params.levels + 1, params.n, seeded=False)
    for index in range(struct.unpack_from("<Q", members, 32)[0]):
        (count,) = struct.unpack_from("<Q", members, at)
        parts = [members[at + 8 + i * each :][16:each] for i in range(count)]
        at += 8 + count * each
        if count:
            found[index] = [seal_files.split_ciphertext(p, params.levels + 1, params.n, seeded=False)[0] for p in parts]
    return found


def decrypted(secret: SecretContext, ciphertext: sealapi.Ciphertext) -> Any:
    plain = sealapi.Plaintext()
    secret._decryptor.decrypt(ciphertext, plain)
    return np.array(secret._encoder.decode_complex(plain))


def test_parameter_sets() -> None:
    """Both sides rebuild them from a name: every number of them is a format."""
    found = {}
    for name, params in SETS.items():
        facts = dataclasses.asdict(params) | {
            "primes": [str(prime) for prime in ckks.primes(params)],
            "request_bytes": params.request_bytes,
            "reply_bytes": params.reply_bytes,
            "encrypted_head_bytes": params.sum_bytes,
            "public_key_bytes": params._public_key_bytes,
            "evaluation_key_bytes": params.keys_bytes(64),
            "reply_scale": params.reply_scale.hex(),
        }
        facts.pop("security")
        if params.release_bits:
            facts["digits"] = release.on_grid(params, np.array([1 / 3])).tolist()[0].hex()
        found[name] = facts
    Vector("ckks-parameters").same(**found)


def test_packing_of_residues() -> None:
    vector = Vector("ckks-packing")
    values = np.array([1, 2**59 + 2, 2**60 - 1, 0x123456789ABCDEF], dtype=np.uint64)
    vector.same(packed=seal_files.pack(values).tobytes().hex())
    bits = np.unpackbits(values.astype("<u8").view(np.uint8).reshape(-1, 8), axis=1, bitorder="little")[:, :60]
    sound = np.packbits(bits.reshape(-1), bitorder="little").tobytes()  # 60 bits a residue, the lowest first
    assert sound == vector.bytes("packed"), "the vector itself is sound"
    with vector.read():
        assert (seal_files.unpack(np.frombuffer(vector.bytes("packed"), np.uint8)) == values).all()


def test_request() -> None:
    """c0 by primes, then the seed from which SEAL expands c1."""
    vector, seed = Vector("ckks-request"), stream("seed of a request", 64)
    first = residues("c0 of a request", FAST, 1, FAST.levels)
    raw = packed(first) + seed
    calculator = Calculator(ckks_keys.keys("fast", 1))
    with vector.read():
        read = held(calculator.read_request(np.frombuffer(raw, np.uint8), PEER), FAST, FAST.levels)
        assert (read[0] == first[0]).all()
    vector.same(bytes=len(raw), seed_at=len(raw) - 64, second_polynomial=sha256(read[1].tobytes()))
    secret, values = ckks_keys.secret("fast"), np.linspace(-1, 1, 10)[:, None]
    fresh = secret.encrypt(values)
    assert fresh.shape == (1, len(raw))
    found = decrypted(secret, calculator.read_request(fresh[0], PEER))
    assert np.abs(found[:10].real - values[:, 0]).max() < 1e-6


def test_evaluation_keys() -> None:
    """Public key (c0, c1 by primes), then for each Galois element, for each digit: c0 by primes, and a seed."""
    vector, top = Vector("ckks-evaluation-keys"), FAST.levels + 1
    elements, n = vector.given["elements"], FAST.n
    public = residues("public key", FAST, 2, top)
    parts = {
        (element, digit): (residues(f"key {element} {digit}", FAST, 1, top), stream(f"seed {element} {digit}", 64))
        for element in elements
        for digit in range(FAST.levels)
    }
    raw = packed(public) + b"".join(packed(first) + seed for first, seed in parts.values())
    with vector.read():
        keys = PublicKeys.from_bytes(FAST, 64, raw, PEER)
        assert (held(keys.public, FAST, top) == public).all(), "public key"
        found = held_keys(keys.galois, FAST)
        assert found.keys() == {(element - 1) // 2 for element in elements}
        for (element, digit), (first, _) in parts.items():
            assert (found[(element - 1) // 2][digit][0] == first[0]).all(), (element, digit)
    seconds = b"".join(found[(element - 1) // 2][digit][1].tobytes() for element, digit in parts)
    each = (len(raw) - len(packed(public))) // len(parts)
    vector.same(
        bytes=len(raw), public_bytes=len(packed(public)), bytes_a_digit=each, second_polynomials=sha256(seconds)
    )
    secret, fresh = ckks_keys.secret("fast"), Calculator(ckks_keys.keys("fast", 1))
    sent = fresh.read_request(secret.encrypt(np.arange(n)[:, None] / n)[0], PEER)
    slots = decrypted(secret, sent)
    for step in (1, 2, n // 4):
        assert np.abs(decrypted(secret, fresh.rotate(sent, step)) - np.roll(slots, -step)).max() < 1e-4, step
    assert np.abs(decrypted(secret, fresh.conjugate(sent)) - slots.conj()).max() < 1e-4
    assert len(ckks_keys.raw_keys("fast")) == len(raw)


def by_hand(params: ParameterSet, polynomials: list[list[int]]) -> bytes:
    """Leading bytes of each coefficient of c0, then of c1; each little-endian."""
    total = (math.prod(params.reply_primes).bit_length() + 7) // 8
    return b"".join(
        number.to_bytes(total, "little")[total - kept :]
        for kept, polynomial in zip(params.reply_kept, polynomials, strict=True)
        for number in polynomial
    )


def middle(params: ParameterSet, number: int, kept: int) -> int:
    """A number after its lower bytes were left out."""
    dropped = 8 * ((math.prod(params.reply_primes).bit_length() + 7) // 8 - kept)
    return (number >> dropped << dropped) + (1 << dropped >> 1)


def as_residues(params: ParameterSet, polynomials: list[list[int]]) -> seal_files.Residues:
    return np.array(
        [[[x % q for x in numbers] for q in params.reply_primes] for numbers in polynomials], dtype=np.uint64
    )


def test_reply() -> None:
    vector, found = Vector("ckks-reply"), {}
    for name in ("fast", "sum-training"):
        params = SETS[name]
        both = [numbers(f"c0 of a reply {name}", params), numbers(f"c1 of a reply {name}", params)]
        raw, cut = by_hand(params, both), params.reply_kept[0] * params.n
        found[name] = {"bytes": len(raw), "second_at": cut, "kept": params.reply_kept, "reply": sha256(raw)}
        made = ckks.write_reply(params, as_residues(params, both), flooded=False).tobytes()
        assert made == raw, f"layer {vector.layer!r}, {name}"
        noisy = ckks.write_reply(params, as_residues(params, both)).tobytes()
        assert noisy[cut:] == raw[cut:] and (noisy == raw) == (not params.flooding_bits), f"layer {vector.layer!r}"
        with vector.read():
            read = ckks.reply_residues(params, np.frombuffer(raw, np.uint8), PEER)
        due = [[middle(params, x, kept) for x in p] for p, kept in zip(both, params.reply_kept, strict=True)]
        assert (read == as_residues(params, due)).all(), f"layer {vector.layer!r}, {name}: read otherwise than written"
    vector.same(**found)


def test_sum_of_replies() -> None:
    vector, params = Vector("ckks-sum-of-replies"), SUM_SETS["sum-rows"]
    two = [[numbers(f"c{p} of reply {i}", params) for p in range(2)] for i in range(2)]
    rows = [ckks.write_reply(params, as_residues(params, both), flooded=False)[None] for both in two]
    product = math.prod(params.reply_primes)
    due = [
        [(middle(params, x, kept) + middle(params, y, kept)) % product for x, y in zip(a, b, strict=True)]
        for kept, a, b in zip(params.reply_kept, *two, strict=True)
    ]
    made = ckks_add.added(params, rows, PEER)
    vector.same(shape=list(made.shape), rows_differ=bool((made != rows[0]).any()))
    assert (made[0] == ckks.write_reply(params, as_residues(params, due), flooded=False)).all(), (
        f"layer {vector.layer!r}"
    )


def test_encrypted_head() -> None:
    """What an assistor keeps on its own disk: both polynomials by primes, packed; one output behind the other."""
    vector, both = Vector("ckks-encrypted-head"), residues("an encrypted head", FAST, 2, FAST.levels)
    calculator = Calculator(ckks_keys.keys("fast", 1))
    raw = packed(both)
    with vector.read():
        kept = calculator.read_sum(raw, FAST.request_bits)
        assert (held(kept, FAST, FAST.levels) == both).all()
    assert calculator.write_sum(kept) == raw, f"layer {vector.layer!r}"
    vector.same(bytes=len(raw), kept_as="packed residues of both polynomials, by primes")


def test_inner_product() -> None:
    """Leading bytes of every coefficient of c1, then one whole number."""
    vector, primes = Vector("ckks-inner-product"), ckks_products.PRODUCT_PRIMES
    params = SUM_SETS["sum"]
    second, constant = numbers("c1 of an inner product", params), 2**100 + 5
    total, kept = ckks_products.CONSTANT_BYTES, vector.given["kept"]
    raw = b"".join(x.to_bytes(total, "little")[total - kept :] for x in second) + constant.to_bytes(total, "little")
    with vector.read():
        ((found, limbs),) = ckks_products.read_products(np.frombuffer(raw, np.uint8)[None], 1, PEER)
        assert found == constant
        due = [(x >> 8 * (total - kept) << 8 * (total - kept)) + (1 << 8 * (total - kept) >> 1) for x in second]
        assert [int(a) + (int(b) << 64) for a, b in zip(*limbs, strict=True)] == due
    pairs = [ckks_products.pairs(3, sponsor) for sponsor in (False, True)]
    vector.same(bytes=ckks_products.PRODUCT_BYTES, primes=[str(q) for q in primes], row=sha256(raw), pairs=pairs)


def test_product_keys() -> None:
    """Public key, relinearisation key, conjugation key; each switching key by digits: c0 by primes, and a seed."""
    vector, top = Vector("ckks-product-keys"), SUM.levels + 1
    public = residues("public key", SUM, 2, top)
    parts = {
        (key, digit): (residues(f"{key} {digit}", SUM, 1, top), stream(f"seed of {key} {digit}", 64))
        for key in vector.given["order"]
        for digit in range(SUM.levels)
    }
    raw = packed(public) + b"".join(packed(first) + seed for first, seed in parts.values())
    with vector.read():
        keys = ProductKeys.from_bytes(raw, PEER)
        found = {
            "relinearisation": held_keys(keys.relin, SUM)[0],
            "conjugation": held_keys(keys.galois, SUM)[SUM.n - 1],
        }
        assert (held(keys.public, SUM, top) == public).all()
        for (key, digit), (first, _) in parts.items():
            assert (found[key][digit][0] == first[0]).all(), (key, digit)
    seconds = b"".join(found[key][digit][1].tobytes() for key, digit in parts)
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
            first, rest = layout.split(raw.tobytes(), PEER)
            assert (first == 1).all() and (rest == 2).all()
        found[f"{train} {others} {outputs}"] = {"ciphertexts": counts, "bytes": layout.fit_bytes}
    vector.same(**found)


def test_slots() -> None:
    """Where a value lies: the first half of a block in real parts, the second in imaginary ones."""
    found = {}
    for name, rows, outputs in (("fast", 10_000, 2), ("sum", 10, 3), ("sum", 1000, 17)):
        table = Table(SETS[name], rows, outputs)
        values = np.arange(rows * outputs, dtype=np.float64).reshape(rows, outputs) + 1
        places: dict[str, Any] = {"packed": table.packed, "requests": table.requests, "ciphertexts": table.ciphertexts}
        for where, count, slots in (
            ("requests", table.requests, table.request),
            ("replies", table.ciphertexts, table.slots),
        ):
            every = np.stack([slots(values, index) for index in range(count)])
            both = {"real": every.real, "imaginary": every.imag}
            for row, k in ((0, 0), (7, outputs - 1), (rows - 1, 1)):
                hits = [[part, *map(int, hit)] for part, x in both.items() for hit in np.argwhere(x == values[row, k])]
                places[f"{where}: row {row}, output {k}"] = hits
        found[f"{name} {rows} {outputs}"] = places
    Vector("ckks-slots").same(**found)


def test_key_file(tmp_path: Path) -> None:
    vector, path = Vector("ckks-key-file"), tmp_path / "own.key"
    secret = ckks_keys.secret("fast")
    secret.save(path)
    fields = msgspec.msgpack.decode(path.read_bytes())
    facts = {name: len(value) if isinstance(value, bytes) else value for name, value in fields.items()}
    parms = struct.pack("<4Q", *ckks.context(FAST).key_parms_id())
    vector.same(
        fields=[[name, fact] for name, fact in facts.items()], parms_of_the_key_level=fields["secret"].startswith(parms)
    )
    again = SecretContext.load(path)
    values = np.linspace(-1, 1, 10)[:, None]
    sent = Calculator(ckks_keys.keys("fast", 1)).read_request(secret.encrypt(values)[0], PEER)
    assert np.abs(decrypted(again, sent)[:10].real - values[:, 0]).max() < 1e-6
    assert again._noise_key == fields["noise"]


def test_account_of_releases(tmp_path: Path) -> None:
    vector, key = Vector("ckks-releases"), tmp_path / "ckks.key"
    key.write_bytes(b"a key")
    account = Releases(10, key)
    account.admit([b"one", b"two", b"one"])
    account.add_squares("lab", 4, 2.5)
    files = {name: key.with_name(f"ckks.key.{name}") for name in ("releases", "squares", "retired")}
    texts = {"releases": files["releases"].read_bytes().hex(), "squares": files["squares"].read_text()}
    account.retire("a reason")
    vector.same(**texts, retired=files["retired"].read_text())
    key.write_bytes(b"a key")
    files["releases"].write_bytes(vector.bytes("releases"))
    files["squares"].write_text(vector.frozen["squares"])
    files["retired"].unlink()
    with vector.read():
        again = Releases(10, key)
        assert again.count == 2 and not again.admit([b"two"]) and again.add_squares("lab", 1, 1.0) == (5, 3.5)
