"""Evaluation keys: few, made once, read once, and not sent to whoever still has them."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest
from tenseal import sealapi

from crypto.ckks import issued as issued_module
from crypto.ckks import keys as keys_module
from crypto.ckks import ring
from crypto.ckks.calculator import Calculator
from crypto.ckks.encrypted_ridge import EncryptedRidge
from crypto.ckks.fits import SUM
from crypto.ckks.issued import MAX_TAGS, TAG_BYTES, Issued
from crypto.ckks.keys import PublicKeys, keys_bytes, keys_digest
from crypto.ckks.params import ParameterSet
from crypto.ckks.ridge_blocks import Split
from crypto.ckks.secret import SecretContext
from crypto.ckks.sets import PARAMETER_SETS, SUM_SETS
from crypto.errors import Refused
from tests.support.ckks_keys import PEER, raw_keys, ridge, secret
from tests.support.frozen_ckks import decrypted

STANDARD = PARAMETER_SETS["standard"]
WIDTHS = [1 << i for i in range(13)]


# --- which keys there are ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("params", [*PARAMETER_SETS.values(), *SUM_SETS.values()], ids=lambda params: params.name)
def test_every_step_of_a_fit_has_a_key(params: ParameterSet) -> None:
    for width in WIDTHS:
        there = ring.steps(params, width)
        for blocks in (1, 2, 5, 31, 200):
            for split in (Split.first(width), Split.second(params, width, blocks)):
                assert split.babies * split.giants == width
                assert split.babies == 1 or 1 in there, "babies go one by one"
                assert split.giants == 1 or split.babies in there
        step = width
        while step < params.slots:
            assert step in there
            step *= ring.FOLD
        assert len(there) == len(set(there)) <= 9 and max(there) < params.slots


def test_keys_of_the_small_ring_stay_below_their_bytes() -> None:
    """One polynomial and a seed for each of at most eight keys and the public one."""
    assert max(keys_bytes(STANDARD, width) for width in WIDTHS) <= 3.5e6
    assert keys_bytes(STANDARD, 16) == 184_384 + 7 * 368_768


@pytest.mark.parametrize("step", [1, 2, 8, 512, 2048])
def test_a_rotation_without_a_key_of_its_own_goes_in_shorter_steps(step: int) -> None:
    public = PublicKeys.from_bytes(STANDARD, 16, raw_keys("standard", 16))
    calculator, slots = Calculator(public), np.exp(2j * np.pi * np.arange(STANDARD.slots) / STANDARD.slots)
    sent, plain = sealapi.Ciphertext(), calculator.encode(slots, 40)
    assert plain is not None
    sealapi.Encryptor(ring.context(STANDARD), public.public).encrypt(plain, sent)
    assert np.abs(decrypted(secret("standard"), calculator.rotate(sent, step)) - np.roll(slots, -step)).max() < 1e-3
    assert np.abs(decrypted(secret("standard"), sent) - slots).max() < 1e-3, "what was rotated is as it was"


# --- made once --------------------------------------------------------------------------------------------------------


def test_all_evaluators_of_a_key_get_the_same_keys() -> None:
    """A part that two widths have in common is made once, too: making one takes as long as sending it."""
    cipher = SecretContext.generate(STANDARD)
    narrow, wide, public = cipher.public_keys(16), cipher.public_keys(128), cipher.public_keys(0)
    assert narrow == cipher.public_keys(16) and len(public) == STANDARD.public_key_bytes
    cut = len(public) + STANDARD.galois_key_bytes
    assert narrow[:cut] == wide[:cut] and narrow[: len(public)] == public, "public key and conjugation"
    assert SecretContext.generate(STANDARD).public_keys(0) != public


# --- not sent twice ---------------------------------------------------------------------------------------------------


def test_keys_that_are_held_are_not_sent_again(tmp_path: Path) -> None:
    SecretContext.generate(STANDARD).save(path := tmp_path / "ckks.key")
    raw = SecretContext.load(path).issue(1, "")
    digest = keys_digest(STANDARD, 1, raw)
    assert len(raw) == keys_bytes(STANDARD, 1)
    assert SecretContext.load(path).issue(1, digest) == b"", "another run"
    assert (tmp_path / "ckks.key.issued").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("held", ["", "0" * 64, "the digest of another width", "the same, for a combiner"])
def test_other_keys_than_those_that_are_due_are_replaced(held: str) -> None:
    cipher = SecretContext.generate(STANDARD)
    narrow = keys_digest(STANDARD, 1, cipher.issue(1, ""))
    if held.startswith("the digest"):
        assert len(cipher.issue(2, narrow)) == keys_bytes(STANDARD, 2)
    elif held.startswith("the same"):
        assert len(cipher.issue(1, narrow, combines=True)) == keys_bytes(STANDARD, 1) + STANDARD.galois_key_bytes
    else:
        assert len(cipher.issue(1, held)) == keys_bytes(STANDARD, 1)


def test_a_digest_says_what_keys_are_for() -> None:
    """Two widths may have equally many keys."""
    raw = bytes(100)
    assert len({keys_digest(p, w, raw) for p in (STANDARD, SUM) for w in (16, 32)}) == 4


@pytest.mark.parametrize("damage", ["gone", "empty", "cut", "flipped", "of another key"])
def test_a_record_that_cannot_be_trusted_costs_bytes_alone(tmp_path: Path, damage: str) -> None:
    """A key that took another one's place must not take its word: what is computed under old keys decrypts to noise."""
    SecretContext.generate(STANDARD).save(path := tmp_path / "ckks.key")
    digest = keys_digest(STANDARD, 1, SecretContext.load(path).issue(1, ""))
    record = tmp_path / "ckks.key.issued"
    body = record.read_bytes()
    if damage == "gone":
        record.unlink()
    elif damage == "of another key":
        path.unlink()
        SecretContext.generate(STANDARD).save(path)
    else:
        record.write_bytes({"empty": b"", "cut": body[:-1], "flipped": bytes([body[0] ^ 1]) + body[1:]}[damage])
    assert len(SecretContext.load(path).issue(1, digest)) == keys_bytes(STANDARD, 1)


def test_a_record_that_cannot_be_written_stops_before_anything_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ckks.key.issued").mkdir()
    record = Issued(bytes(32), tmp_path / "ckks.key")
    with pytest.raises(Refused, match=r"ckks\.key\.issued cannot be read"):
        record.add("said")
    (tmp_path / "ckks.key.issued").rmdir()

    def full(path: Path, body: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(issued_module, "replace", full)
    with pytest.raises(Refused, match=r"ckks\.key\.issued cannot be written: .*No space left"):
        record.add("said")


def test_a_record_is_bounded(tmp_path: Path) -> None:
    record, file = Issued(bytes(32), tmp_path / "ckks.key"), tmp_path / "ckks.key.issued"
    file.write_bytes(bytes(MAX_TAGS * TAG_BYTES))
    for _ in range(2):
        record.add("said")
    assert file.stat().st_size == MAX_TAGS * TAG_BYTES and "said" in record and "unsaid" not in record


# --- read once --------------------------------------------------------------------------------------------------------


def test_a_process_reads_keys_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checking what came, setting up a fit, fitting, and a batch of predictions."""
    read: list[int] = []
    whole = keys_module.switch_members

    def counted(params, body):  # type: ignore[no-untyped-def]
        read.append(len(body))
        return whole(params, body)

    monkeypatch.setattr(keys_module, "switch_members", counted)
    cipher, (u, r) = SecretContext.generate(STANDARD), ridge(60, 3, 1)
    raw = cipher.public_keys(4)
    checked = PublicKeys.from_bytes(STANDARD, 4, raw)
    again = PublicKeys.from_bytes(STANDARD, 4, bytes(bytearray(raw)))
    job = EncryptedRidge.of(again, u, u, cores=1)
    values = cipher.decrypt(job.fit(cipher.encrypt(r), 1), 60, 1, PEER)
    job.close()
    assert np.abs(values - u @ (u.T @ r)).max() < STANDARD.error
    assert (
        read == [STANDARD.galois_key_bytes] * len(ring.galois_elements(STANDARD, 4)) and checked.galois is again.galois
    )
    assert PublicKeys.from_bytes(STANDARD, 4, raw[:-1] + bytes([raw[-1] ^ 1])).galois is not checked.galois
