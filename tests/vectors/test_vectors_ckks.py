"""Vectors of CKKS: parameter sets, packing, and where residues, seeds and leading bytes lie in what travels.

Ciphertexts are random, and large. So bytes are put together here by the layout that a vector states, and held against
what the code reads; what the code writes is held against what it reads.
"""

from __future__ import annotations

import dataclasses
import struct
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from tenseal import sealapi

from crypto.ckks import known_answer, release, ring, sealapi_files
from crypto.ckks.calculator import Calculator
from crypto.ckks.ciphertexts import reply_residues, write_reply
from crypto.ckks.issued import Issued
from crypto.ckks.keys import PublicKeys, keys_bytes, keys_digest
from crypto.ckks.releases import Releases
from crypto.ckks.secret import SecretContext
from crypto.ckks.sets import PARAMETER_SETS, SUM_SETS
from crypto.ckks.slots import Packing
from tests.support import ckks_keys
from tests.support.frozen import Vector, sha256, stream
from tests.support.frozen_ckks import (
    as_residues,
    by_hand,
    decrypted,
    held,
    held_keys,
    middle,
    numbers,
    packed,
    residues,
)

STANDARD = PARAMETER_SETS["standard"]
SETS = PARAMETER_SETS | SUM_SETS


def test_parameter_sets() -> None:
    """Both sides rebuild them from a name: every number of them is a format."""
    found = {}
    for name, params in SETS.items():
        facts = dataclasses.asdict(params) | {
            "primes": [str(prime) for prime in params.primes],
            "request_bytes": params.request_bytes,
            "reply_bytes": params.reply_bytes,
            "encrypted_head_bytes": params.sum_bytes,
            "public_key_bytes": params.public_key_bytes,
            "evaluation_key_bytes": keys_bytes(params, 64),
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
    vector.same(packed=sealapi_files.pack(values).tobytes().hex())
    bits = np.unpackbits(values.astype("<u8").view(np.uint8).reshape(-1, 8), axis=1, bitorder="little")[:, :60]
    sound = np.packbits(bits.reshape(-1), bitorder="little").tobytes()  # 60 bits a residue, the lowest first
    assert sound == vector.bytes("packed"), "the vector itself is sound"
    with vector.read():
        assert (sealapi_files.unpack(np.frombuffer(vector.bytes("packed"), np.uint8)) == values).all()


def test_request() -> None:
    """Leading bytes of each coefficient of c0, then the seed from which SEAL expands c1."""
    vector, seed, primes = Vector("ckks-request"), stream("seed of a request", 64), STANDARD.request_primes
    first = numbers("c0 of a request", STANDARD.n, primes)
    raw = by_hand(primes, [first], [STANDARD.request_kept]) + seed
    due = as_residues(primes, [[middle(primes, x, STANDARD.request_kept) for x in first]])
    calculator = Calculator(ckks_keys.keys("standard", 1))
    with vector.read():
        loaded = calculator.read_request(np.frombuffer(raw, np.uint8))
        read = held(loaded, STANDARD, STANDARD.levels)
        calculator._evaluator.transform_from_ntt_inplace(loaded)
        assert (held(loaded, STANDARD, STANDARD.levels)[0] == due[0]).all()
    second = sha256(read[1].tobytes())
    vector.same(bytes=len(raw), seed_at=len(raw) - 64, kept=STANDARD.request_kept, second_polynomial=second)
    secret, values = ckks_keys.secret("standard"), np.linspace(-1, 1, 10)[:, None]
    fresh, slots = secret.encrypt(values), Packing(STANDARD, 10, 1).request(values, 0)
    with vector.read():
        assert fresh.shape == (1, len(raw))
        assert np.abs(decrypted(secret, calculator.read_request(fresh[0])) - slots).max() < 2e-4


def test_evaluation_keys() -> None:
    """Public key (c0 by primes, and a seed), then the same for each Galois element, for each digit."""
    vector, top = Vector("ckks-evaluation-keys"), STANDARD.levels + 1
    elements, n = vector.given["elements"], STANDARD.n
    public, seed = residues("public key", STANDARD, 1, top), stream("seed of the public key", 64)
    parts = {
        (element, digit): (residues(f"key {element} {digit}", STANDARD, 1, top), stream(f"seed {element} {digit}", 64))
        for element in elements
        for digit in range(STANDARD.levels)
    }
    raw = packed(public) + seed + b"".join(packed(first) + seed for first, seed in parts.values())
    with vector.read():
        keys = PublicKeys.from_bytes(STANDARD, 64, raw)
        assert (held(keys.public, STANDARD, top)[0] == public[0]).all(), "public key"
        found = held_keys(keys.galois, STANDARD)
        assert found.keys() == {(element - 1) // 2 for element in elements}
        for (element, digit), (first, _) in parts.items():
            assert (found[(element - 1) // 2][digit][0] == first[0]).all(), (element, digit)
    seconds = held(keys.public, STANDARD, top)[1].tobytes()
    seconds += b"".join(found[(element - 1) // 2][digit][1].tobytes() for element, digit in parts)
    vector.same(
        bytes=len(raw),
        bytes_a_polynomial=len(raw) // (1 + len(parts)),
        second_polynomials=sha256(seconds),
        digest=keys_digest(STANDARD, 64, raw),
    )
    secret, keys = ckks_keys.secret("standard"), ckks_keys.keys("standard", 64)
    fresh, slots = Calculator(keys), np.exp(2j * np.pi * np.arange(n // 2) / n)
    sent, plain = sealapi.Ciphertext(), fresh.encode(slots, 40)
    assert plain is not None
    sealapi.Encryptor(ring.context(STANDARD), keys.public).encrypt(plain, sent)
    with vector.read():
        assert len(ckks_keys.raw_keys("standard", 64)) == len(raw)
        for step in (1, 8, n // 8):
            assert np.abs(decrypted(secret, fresh.rotate(sent, step)) - np.roll(slots, -step)).max() < 1e-3, step
        assert np.abs(decrypted(secret, fresh.conjugate(sent)) - slots.conj()).max() < 1e-3


def test_reply() -> None:
    vector, found = Vector("ckks-reply"), {}
    for name in ("standard", "sum-training"):
        params = SETS[name]
        primes, places = params.reply_primes, (f"{c} of a reply {name}" for c in ("c0", "c1"))
        both = [numbers(place, params.n, primes) for place in places]
        raw, cut = by_hand(primes, both, params.reply_kept), params.reply_kept[0] * params.n
        found[name] = {"bytes": len(raw), "second_at": cut, "kept": params.reply_kept, "reply": sha256(raw)}
        made = write_reply(params, as_residues(primes, both), flooded=False).tobytes()
        assert made == raw, f"layer {vector.layer!r}, {name}"
        noisy = write_reply(params, as_residues(primes, both)).tobytes()
        assert noisy[cut:] == raw[cut:] and (noisy == raw) == (not params.flooding_bits), f"layer {vector.layer!r}"
        with vector.read():
            read = reply_residues(params, np.frombuffer(raw, np.uint8))
        due = [[middle(primes, x, kept) for x in p] for p, kept in zip(both, params.reply_kept, strict=True)]
        assert (read == as_residues(primes, due)).all(), f"layer {vector.layer!r}, {name}: read otherwise than written"
    vector.same(**found)


def test_encrypted_head() -> None:
    """What an assistor keeps on its own disk: both polynomials by primes, packed; one output behind the other."""
    vector, both = Vector("ckks-encrypted-head"), residues("an encrypted head", STANDARD, 2, STANDARD.levels)
    calculator = Calculator(ckks_keys.keys("standard", 1))
    raw = packed(both)
    with vector.read():
        kept = calculator.read_sum(raw, STANDARD.request_bits)
        assert (held(kept, STANDARD, STANDARD.levels) == both).all()
    assert calculator.write_sum(kept) == raw, f"layer {vector.layer!r}"
    vector.same(bytes=len(raw), kept_as="packed residues of both polynomials, by primes")


def test_slots() -> None:
    """Where a value lies: the first half of a block in real parts, the second in imaginary ones."""
    found = {}
    for name, rows, outputs in (("standard", 10_000, 2), ("sum", 10, 3), ("sum", 1000, 17)):
        table = Packing(SETS[name], rows, outputs)
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
    secret = ckks_keys.secret("standard")
    with vector.read():
        secret.save(path)
        fields = msgspec.msgpack.decode(path.read_bytes())
    facts = [[name, len(value) if isinstance(value, bytes) else value] for name, value in fields.items()]
    vector.same(fields=facts)
    with vector.read():
        assert fields["secret"].startswith(struct.pack("<4Q", *ring.context(STANDARD).key_parms_id()))
        again = SecretContext.load(path)
        assert sealapi_files.save(again._secret) == sealapi_files.save(secret._secret) == fields["secret"]
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


def test_record_of_issued_keys(tmp_path: Path) -> None:
    """A tag of each: HMAC-SHA-256 under the secret of the key's file, cut to 16 bytes."""
    vector, key = Vector("ckks-issued-keys"), tmp_path / "ckks.key"
    secret, said, file = bytes.fromhex(vector.given["secret"]), vector.given["said"], tmp_path / "ckks.key.issued"
    Issued(secret, key).add(said)
    vector.same(record=file.read_bytes().hex())
    file.write_bytes(vector.bytes("record"))
    with vector.read():
        assert said in Issued(secret, key) and said not in Issued(bytes(32), key)


def test_known_answer() -> None:
    """By which another build of SEAL is held against the wheel's: this runs on whichever is in use."""
    vector = Vector("ckks-known-answer")
    settings = (known_answer.DEGREE, known_answer.PRIMES, known_answer.SCALE, known_answer.ELEMENT)
    assert settings == tuple(vector.given[name] for name in ("degree", "primes", "scale", "element")), vector.layer
    steps = known_answer.steps(sys.modules["_sealapi_cpp"])
    vector.same(steps=steps, answer=known_answer.digest(steps), constant=known_answer.ANSWER)
