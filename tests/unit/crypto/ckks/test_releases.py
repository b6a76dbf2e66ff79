"""The account of a key: what it has decrypted, over crashes and processes, and how it ends."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from crypto.ckks import dithering, release
from crypto.ckks.calculator import Calculator
from crypto.ckks.keys import PublicKeys
from crypto.ckks.releases import TAG_BYTES, Releases
from crypto.ckks.secret import SecretContext
from crypto.ckks.sets import PARAMETER_SETS
from crypto.errors import KeyRetired, Malformed, Refused
from tests.support.ckks_keys import PEER, keys, reply

STANDARD = PARAMETER_SETS["standard"]


def test_the_same_ciphertext_is_one_release_and_gives_the_same_values(tmp_path: Path) -> None:
    """Noise that were drawn again could be averaged away."""
    path = tmp_path / "ckks.key"
    SecretContext.generate(STANDARD).save(path)
    first = SecretContext.load(path)
    keyed = PublicKeys.from_bytes(STANDARD, 1, first.public_keys(1))
    calculator = Calculator(keyed)
    replies = np.stack([calculator.sanitise(None, 111) for _ in range(3)])
    values = [first.decrypt(row[None], 100, 1, PEER) for row in replies]
    assert first.releases.count == 3
    noise = first.releases.add_squares(PEER, 0, 0.0)
    assert noise[0] == 3 * (STANDARD.n - 100)
    again = SecretContext.load(path)  # another process, or the same after a crash
    for row, before in zip(replies, values, strict=True):
        assert (again.decrypt(row[None], 100, 1, PEER) == before).all()
    assert again.releases.count == 3
    assert again.releases.add_squares(PEER, 0, 0.0) == noise, "the same noise twice says nothing more of its variance"
    assert (values[0] != values[1]).mean() > 0.5  # both lie on the grid of what means something, where some agree


def test_the_account_outlives_crashes_and_counts_what_was_torn(tmp_path: Path) -> None:
    path = tmp_path / "ckks.key"
    Releases(10, path).admit([b"one", b"two"])
    file = path.with_name("ckks.key.releases")
    assert file.stat().st_size == 2 * TAG_BYTES and file.stat().st_mode & 0o777 == 0o600
    file.write_bytes(file.read_bytes() + b"torn")
    account = Releases(10, path)
    assert account.count == 3
    account.admit([b"two", b"three"])
    assert Releases(10, path).count == 4 and file.stat().st_size == 4 * TAG_BYTES


def test_two_processes_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "ckks.key"
    accounts = [Releases(1000, path) for _ in range(4)]

    def work(index: int) -> None:
        for i in range(25):
            accounts[index].admit([f"{index} {i}".encode()])

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Releases(1000, path).count == 100


def test_a_spent_budget_ends_the_key(tmp_path: Path) -> None:
    path = tmp_path / "ckks.key"
    path.write_bytes(b"the secret")
    account = Releases(3, path)
    account.admit([b"one", b"two"])
    account.admit([b"two"])
    with pytest.raises(KeyRetired, match=r"has decrypted 2 ciphertexts.*Nothing more can be decrypted"):
        account.admit([b"three", b"four"])
    assert not path.exists(), "the secret is erased"
    for retired in (account, Releases(3, path)):
        with pytest.raises(KeyRetired, match="its noise covers 3"):
            retired.admit([b"one"])
    with pytest.raises(KeyRetired):
        SecretContext.load(path)


def test_a_budget_is_spent_to_its_last_ciphertext(tmp_path: Path) -> None:
    (tmp_path / "ckks.key").write_bytes(b"the secret")
    account = Releases(3, tmp_path / "ckks.key")
    assert account.admit([b"one", b"two"]) and account.admit([b"three", b"two"])
    assert account.count == 3 and not account.admit([b"one", b"two", b"three"]), "what was admitted stays so"
    with pytest.raises(KeyRetired, match="has decrypted 3 ciphertexts"):
        account.admit([b"four"])


def test_without_room_on_the_disk_nothing_is_decrypted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    account = Releases(3, tmp_path / "ckks.key")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(Refused, match="No space left"):
        account.admit([b"one"])


# --- answers that are refused after decryption ------------------------------------------------------------------------


def test_a_reply_refused_after_decryption_ends_the_key(tmp_path: Path) -> None:
    """It told one bit about the key; a second one would tell another."""
    path = tmp_path / "ckks.key"
    SecretContext.generate(STANDARD).save(path)
    cipher = SecretContext.load(path)
    row = np.random.default_rng(0).integers(0, 255, (1, STANDARD.reply_bytes), dtype=np.uint8)
    with pytest.raises(Malformed, match="within 32"):
        cipher.decrypt(row, 9, 1, PEER)
    good = Calculator(PublicKeys.from_bytes(STANDARD, 1, cipher.public_keys(1))).sanitise(None, 111)
    with pytest.raises(KeyRetired, match="a reply of hospital was refused after it was decrypted"):
        cipher.decrypt(good[None], 9, 1, PEER)
    assert not path.exists()


def test_a_reply_refused_before_decryption_ends_nothing() -> None:
    cipher = SecretContext.generate(STANDARD)
    good = Calculator(PublicKeys.from_bytes(STANDARD, 1, cipher.public_keys(1))).sanitise(None, 111)[None]
    transparent, beyond = good.copy(), good.copy()
    transparent[0, STANDARD.reply_kept[0] * STANDARD.n :] = 0
    beyond[0, STANDARD.reply_kept[0] * STANDARD.n :] = 255
    for bad, rule in (
        (transparent, "second polynomial is zero"),
        (beyond, "below its modulus"),
        (good[:, 1:], "shape"),
    ):
        with pytest.raises(Malformed, match=rule):
            cipher.decrypt(bad, 9, 1, PEER)
    assert cipher.releases.count == 0
    cipher.decrypt(good, 9, 1, PEER)


def test_values_behind_the_last_row_are_noticed() -> None:
    """What is forged without care fills the padding, too."""
    cipher = SecretContext.generate(STANDARD)
    values = np.zeros(STANDARD.n)
    values[20:] = 20 * STANDARD.error
    forged = reply("standard", values)
    with pytest.raises(Malformed, match="more than noise behind its last row"):
        SecretContext(STANDARD, _secret_of_tests(), bytes(32), Releases(STANDARD.tau)).decrypt(forged, 20, 1, PEER)
    assert cipher.releases.count == 0


def test_a_little_too_much_noise_is_noticed_over_many_replies() -> None:
    """A variance that no single reply shows: it is added up for each peer, over runs."""
    account = Releases(STANDARD.tau)
    rng = np.random.default_rng(0)
    honest, forged = (rng.standard_normal((40, 8000)) * size for size in (1.0, 1.06))
    for peer, replies, expected in (("lab", honest, False), ("mallory", forged, True)):
        flagged = False
        for noise in replies:
            count, squares = account.add_squares(peer, len(noise), float(noise @ noise))
            flagged |= squares / count > release.spread_limit(count)
        assert flagged == expected, peer


def test_what_adds_up_for_a_peer_is_kept_beside_the_key(tmp_path: Path) -> None:
    path = tmp_path / "ckks.key"
    Releases(10, path).add_squares("lab", 100, 90.0)
    assert Releases(10, path).add_squares("lab", 10, 20.0) == (110, 110.0)
    assert Releases(10, path).add_squares("other", 1, 2.0) == (1, 2.0)


def _secret_of_tests() -> object:
    from tests.support.ckks_keys import secret

    return secret("standard")._secret


def test_honest_replies_pass_the_checks_on_padding() -> None:
    cipher = SecretContext.generate(STANDARD)
    calculator = Calculator(PublicKeys.from_bytes(STANDARD, 1, cipher.public_keys(1)))
    for rows in (1, 100, STANDARD.n):
        cipher.decrypt(calculator.sanitise(None, 111)[None], rows, 1, PEER)
    assert keys("standard", 1).params is STANDARD


def test_padding_is_held_against_the_noise_and_what_encoding_u_may_leave() -> None:
    """An encoded U has variance 7/12 a coefficient with its dither (decision 3), over n slots and 2^25 rows."""
    strict = PARAMETER_SETS["strict"]
    left = (strict.n * 2.0**25 * dithering.variance(dithering.SINGLE)) ** 0.5 / 2.0**strict.second_bits
    assert release.padding_deviation(strict) == pytest.approx((release.deviation(strict) ** 2 + left**2) ** 0.5)
    assert pytest.approx(1 / 12 + 6 / 12) == dithering.variance(dithering.SINGLE), "rounding, and six uniform numbers"
