"""Messages that no honest party sends: refused in the peer's name before anything of them is kept, so that the run goes
on once it is mended.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest

from crypto.ckks.sum_calculator import NoDifference
from secure_gal.errors import PeerViolation
from secure_gal.messages import Message
from secure_gal.messages.certificate import LogHead
from secure_gal.protocol import agreement
from tests.conftest import identity
from tests.support import encrypted_in_memory as single
from tests.support import sums_in_memory as sums
from tests.support.hostile_studies import play
from tests.support.refusals import PEER, refused
from tests.support.simulation import Network
from tests.support.study_in_memory import final_f, make_network
from transport import wire

# --- a text that is nested without end, or differs in everything ------------------------------------------------------


@pytest.mark.parametrize(
    "text", ['{"a":' + "[" * 100_000 + "]" * 100_000 + "}", '{"a":' * 100_000, "", "[1]", "\ud800"]
)
def test_a_study_that_cannot_be_read(text: str) -> None:
    with pytest.raises(PeerViolation, match="unreadable"):
        agreement.read(PEER, text)


def test_what_a_person_is_told_about_a_study_is_bounded() -> None:
    many = msgspec.json.encode({f"field{i}": "x" * 1000 for i in range(1000)})
    assert 1000 < len(agreement.differences(b'{"a":1}', many)) <= agreement.MAX_WORDS


# --- over the wire: nothing of a bad message is kept, and the run goes on ---------------------------------------------


def ciphertexts(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Message], Message]:
    return lambda message: dataclasses.replace(message, ciphertexts=change(message.ciphertexts))


def beyond(array: np.ndarray) -> np.ndarray:
    return np.full_like(array, 255)


def bare(array: np.ndarray) -> np.ndarray:
    return np.zeros_like(array)


def short(array: np.ndarray) -> np.ndarray:
    return array[:-1]


def keys(message: Any) -> Message:
    return dataclasses.replace(message, keys=message.keys[:-1])


def sealed(length: int) -> Callable[[Any], Message]:
    return lambda message: dataclasses.replace(message, sealed=np.resize(message.sealed, len(message.sealed) + length))


def flipped(message: Any) -> Message:
    return dataclasses.replace(message, sealed=message.sealed ^ np.uint8(1))


def head(message: Any) -> Message:
    return dataclasses.replace(message, head=LogHead(0, message.head.root))


def values(change: float) -> Callable[[Any], Message]:
    return lambda message: dataclasses.replace(message, values=np.full_like(message.values, change))


CASES: list[tuple[str, str, Callable[[Any], Message], str]] = [
    ("clear", "fitted", values(np.nan), "finite"),
    ("clear", "fitted", values(2e6), "at most"),
    ("clear", "residual", values(np.inf), "finite"),
    ("clear", "ledger-head", head, "impossible values"),
    ("ckks", "evaluation-keys", keys, "other keys"),
    ("ckks", "encrypted-residual", ciphertexts(beyond), "not below its modulus"),
    ("ckks", "encrypted-residual", ciphertexts(short), "there must be"),
    ("ckks", "encrypted-fitted", ciphertexts(beyond), "not below its modulus"),
    ("ckks", "encrypted-fitted", ciphertexts(bare), "second polynomial is zero"),
    ("ckks", "encrypted-fitted", ciphertexts(short), "is due"),
    ("ckks", "encrypted-finish", ciphertexts(beyond), "not below its modulus"),
    ("ckks", "encrypted-finish", ciphertexts(short), "there must be"),
    ("sums", "evaluation-keys", keys, "other keys"),
    ("sums", "own-difference", ciphertexts(beyond), "not below its prime"),
    ("sums", "inner-products", ciphertexts(beyond), "not below its modulus"),
    ("sums", "inner-products", ciphertexts(np.zeros_like), "polynomial is zero"),
    ("sums", "inner-products", ciphertexts(short), "is due"),
    ("sums", "weighted-sum", ciphertexts(beyond), "not below its modulus"),
    ("sums", "weighted-sum", ciphertexts(bare), "second polynomial is zero"),
    ("sums", "sealed-fitted", sealed(1), "a sealed fit of"),
    ("sums", "sealed-fitted", sealed(-1), "a sealed fit of"),
    ("sums", "relayed-fitted", flipped, "cannot be unsealed"),
]
NETWORKS: dict[str, Callable[[], Network]] = {
    "clear": make_network,
    "ckks": single.make_encrypted,
    "sums": lambda: sums.make(sums.CLEAR),
}


def finished(mode: str, made: dict[str, np.ndarray] = {}) -> np.ndarray:  # noqa: B006  (kept over tests)
    if mode not in made:
        network = NETWORKS[mode]()
        network.run()
        made[mode] = final_f(network)
    return made[mode]


def next_message(network: Network, kind: str) -> tuple[str, str, list[bytes]]:
    """Run until a message of this kind is the next on some wire: sender, recipient, frames."""
    while True:
        for (a, b), line in network.wires.items():
            if line and line[0].kind == "message" and f'"kind":"{kind}"'.encode() in bytes(line[0].frames[0]):
                return a, b, [bytes(frame) for frame in line[0].frames]
        assert network.step(), f"no {kind} was sent"


def forged(frames: list[bytes], sender: str, recipient: str, change: Callable[[Any], Message]) -> list[Any]:
    """The same message with other content, as its sender could have signed it."""
    received = wire.decode(frames, sender=identity(sender).card, recipient=recipient, limits=wire.Limits())
    header = received.header
    return wire.encode(
        change(received.message),
        study=header.study,
        run=header.run,
        sender=sender,
        recipient=recipient,
        seq=header.seq,
        identity=identity(sender),
    )


@pytest.mark.parametrize(("mode", "kind", "change", "rule"), CASES, ids=[f"{c[0]}: {c[1]} {c[3]}" for c in CASES])
def test_a_bad_message_is_refused_and_the_run_goes_on_with_a_good_one(
    mode: str, kind: str, change: Callable[[Any], Message], rule: str
) -> None:
    network = NETWORKS[mode]()
    sender, recipient, frames = next_message(network, kind)
    victim = network.parties[recipient]
    before = (dict(victim.store.values), victim.store.links(), len(victim.store.rows), victim.store.commits)
    refused(lambda: victim.node.message(sender, forged(frames, sender, recipient, change)), rule, sender)
    assert (dict(victim.store.values), victim.store.links(), len(victim.store.rows), victim.store.commits) == before
    network.crash(recipient)  # the process ended with exit code 4; the same command again, and the mended peer resends
    network.run()
    assert np.array_equal(final_f(network), finished(mode))


def test_a_sealed_fit_that_hides_nothing_is_its_authors_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the aggregator can see it, since it is sealed; it does so on receipt."""
    network = sums.make(sums.CLEAR)
    original = sums.Model.fit_round

    def bad(self: sums.Model, round_: int, residual: np.ndarray, withheld: float) -> tuple[bytes, np.ndarray]:
        saved, fit = original(self, round_, residual, withheld)
        return saved, np.zeros_like(fit) if self.name == "insurer" else fit

    monkeypatch.setattr(sums.Model, "fit_round", bad)
    sender, recipient, frames = next_message(network, "relayed-fitted")
    victim = network.parties[recipient]
    before = victim.store.commits
    refused(lambda: victim.node.message(sender, frames), "second polynomial is zero", "insurer")
    assert victim.store.commits == before and victim.node.role.state.take_changes() == {}


def test_a_copied_residual_is_its_authors_fault() -> None:
    made = play("sums")
    role = made.roles["lab"]
    made.until("lab", "own-difference")

    class Refusing(sums.Adder):
        def products(self, *_: object) -> np.ndarray:
            raise NoDifference(1)

    role._fits.aggregator._calculator = Refusing(sums.COMBINERS, "hospital")
    refused(made.until_job("lab", "products").job, "residual's own ciphertext", "insurer")
