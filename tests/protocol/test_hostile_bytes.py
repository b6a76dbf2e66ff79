"""Bytes that no honest party sends: refused in the peer's name before they are kept, so that the run goes on once it is
mended."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
import numpy as np
import pytest

from crypto.ckks import seal_files
from crypto.ckks.ciphertexts import check_replies, write_reply
from crypto.ckks.fits import DIFFERENCE_BYTES, ROWS, SUM, TRAINING, WEIGHT_BITS, Layout
from crypto.ckks.keys import PublicKeys, check_keys
from crypto.ckks.products import CONSTANT_BYTES, KEPT, PRODUCT_BYTES, Products, read_products
from crypto.ckks.secret_sum import SumContext
from crypto.ckks.sets import PARAMETER_SETS
from crypto.ckks.slots import Packing
from crypto.ckks.sum_calculator import NoDifference, SumCalculator
from crypto.ckks.sum_keys import EncryptionKey, ProductKeys
from crypto.identity import Identity
from crypto.sealed_box import SealingKey, key_statement
from secure_gal import messages
from secure_gal.errors import PeerViolation, blamed
from secure_gal.messages import Message
from secure_gal.messages.certificate import LogHead
from secure_gal.protection.sums.sealing import check_key, session
from secure_gal.protocol import agreement
from tests.conftest import identity
from tests.support import encrypted_in_memory as single
from tests.support import sums_in_memory as sums
from tests.support.ckks_keys import raw_keys, secret
from tests.support.hostile_studies import play
from tests.support.simulation import Network
from tests.support.study_in_memory import final_f, make_network
from transport import wire

PEER = "lab-7"
FAST, STRICT = PARAMETER_SETS["fast"], PARAMETER_SETS["strict"]


def refused(job: Callable[[], object], rule: str, peer: str = PEER) -> None:
    with pytest.raises(PeerViolation, match=rule) as found, blamed(PEER):
        job()
    assert found.value.peer == peer


# --- what every reader of ciphertexts and keys refuses, with SEAL behind it -------------------------------------------


def without_second(row: np.ndarray, polynomial_bytes: int, primes: int = 1, prime: int = 0) -> np.ndarray:
    """A ciphertext (c0, 0): its message in the clear, on one of its primes at least."""
    out, each = row.copy(), polynomial_bytes // primes
    start = polynomial_bytes + prime * each
    out[..., start : start + each] = 0
    return out


@pytest.fixture(scope="module")
def cipher() -> SumContext:
    return SumContext.generate(SUM)


@pytest.mark.parametrize("name", sorted(PARAMETER_SETS))
def test_a_reply_that_hides_nothing(name: str) -> None:
    """Also one whose second polynomial is next to zero: it may become zero on the way."""
    params = PARAMETER_SETS[name]
    row = np.random.default_rng(0).integers(1, 128, (1, params.reply_bytes), dtype=np.uint8)
    check_replies(params, row, 1)
    bare, small = row.copy(), row.copy()
    bare[:, params.reply_kept[0] * params.n :] = 0
    small[:, params.reply_kept[0] * params.n :] = 0
    small[0, -1] = 1
    for bad in (bare, small):
        refused(partial(check_replies, params, bad, 1), "second polynomial is zero or small")
        refused(partial(secret(name).decrypt, bad, params.n, 1, PEER), "second polynomial is zero or small")
    refused(lambda: check_replies(params, np.full_like(row, 255), 1), "not below its modulus")
    refused(lambda: check_replies(params, row, 2), "is due")
    refused(lambda: check_replies(params, row[:, :-1], 1), "is due")
    refused(lambda: check_replies(params, row.astype(np.int8), 1), "is due")


@pytest.mark.parametrize("prime", [0, 1, 2])
def test_evaluation_keys_that_hide_nothing(prime: int) -> None:
    """A public key (p, 0) would make SEAL refuse the first fit as transparent; zero on one prime is enough."""
    raw = np.frombuffer(raw_keys("fast"), np.uint8)
    half = seal_files.packed_bytes(1, FAST.levels + 1, FAST.n)
    bare = without_second(raw, half, FAST.levels + 1, prime).tobytes()
    refused(lambda: PublicKeys.from_bytes(FAST, 1, bare), "public key whose second polynomial is zero")
    refused(lambda: check_keys(FAST, 1, bytes(len(raw))), "public key whose second polynomial is zero")
    refused(lambda: check_keys(FAST, 1, b"\xff" * len(raw)), "not below its prime")
    refused(lambda: check_keys(FAST, 1, raw.tobytes()[:-1]), "evaluation keys of")
    last = raw.copy()
    last[-200:-100] = 255
    refused(lambda: check_keys(FAST, 1, last.tobytes()), "evaluation key with a residue")


def test_keys_of_sums_that_hide_nothing(cipher: SumContext) -> None:
    raw = np.frombuffer(cipher.product_keys(), np.uint8)
    half = seal_files.packed_bytes(1, SUM.levels + 1, SUM.n)
    bare = without_second(raw, half)
    refused(lambda: ProductKeys.from_bytes(bare.tobytes()), "public key whose second polynomial is zero")
    refused(lambda: ProductKeys.from_bytes(raw.tobytes()[:-1]), "product keys of")
    refused(lambda: ProductKeys.from_bytes(b"\xff" * len(raw)), "not below its prime")
    public = bare[: 2 * half].tobytes()
    refused(lambda: EncryptionKey.from_bytes(public), "public key whose second polynomial is zero")
    refused(lambda: EncryptionKey.from_bytes(public[:-1]), "a public key of")


def test_released_numbers_that_hide_nothing(cipher: SumContext) -> None:
    good = np.random.default_rng(0).integers(1, 128, (2, PRODUCT_BYTES), dtype=np.uint8)
    study = Products.of(Packing(TRAINING, 40, 1), True)
    read_products(good, 2)
    bare, beyond, wide = good.copy(), good.copy(), good.copy()
    bare[1, :-CONSTANT_BYTES] = 0
    beyond[0, -CONSTANT_BYTES:] = 255
    wide[1, :KEPT] = 255
    for bad, rule in (
        (bare, "polynomial is zero"),
        (beyond, "not below its modulus"),
        (wide, "not below its modulus"),
        (good[:1], "is due"),
        (good[:, :-1], "is due"),
    ):
        refused(partial(read_products, bad, 2), rule)
        refused(partial(cipher.decrypt_products, bad, 2, study), rule)


def test_fits_and_differences_that_cannot_be_computed_with() -> None:
    layout = Layout(50, 20, 2)
    body = np.random.default_rng(0).integers(1, 8, layout.fit_bytes, dtype=np.uint8)
    layout.check(body.tobytes())
    for start, params in ((0, TRAINING), (TRAINING.reply_bytes, ROWS)):
        bare = body.copy()
        bare[start + params.reply_kept[0] * params.n : start + params.reply_bytes] = 0
        refused(partial(layout.check, bare.tobytes()), "second polynomial is zero")
    refused(lambda: layout.check(b"\xff" * layout.fit_bytes), "not below its modulus")
    refused(lambda: layout.check(body.tobytes()[:-1]), "a fit of")
    difference = np.random.default_rng(0).integers(0, 128, (1, DIFFERENCE_BYTES), dtype=np.uint8)
    layout.check_difference(difference)
    refused(lambda: layout.check_difference(np.full_like(difference, 255)), "not below its prime")
    refused(lambda: layout.check_difference(difference[:0]), "must have the shape")


def test_a_fit_that_is_the_residuals_own_ciphertext(cipher: SumContext) -> None:
    """Every assistor can compute it, and SEAL refuses to compute with the difference, which is zero but for
    rounding."""
    calculator, table = SumCalculator(ProductKeys.from_bytes(cipher.product_keys())), Packing(TRAINING, 40, 1)
    residual = cipher.encrypt(np.linspace(-1, 1, 40)[:, None])
    lifted = calculator._lifted(residual)
    calculator._evaluator.transform_from_ntt_inplace(lifted)
    saved = seal_files.save(lifted)
    residues, _ = seal_files.split_ciphertext(saved, TRAINING.reply_levels, SUM.n, seeded=False)
    copied = write_reply(TRAINING, residues, flooded=False)[None]
    layout = Layout(40, 0, 1)
    layout.check(copied.tobytes())
    honest = np.frombuffer(
        EncryptionKey(cipher.public_key()).encrypt(np.ones((40, 1)), np.zeros((0, 1)), 8.0), np.uint8
    )
    nothing = np.zeros((0, 0), np.uint8)
    with pytest.raises(NoDifference) as found:
        calculator.products([honest[None], copied], residual, nothing, table)
    assert found.value.author == 1


def test_a_weight_of_one_step_is_computed_with(cipher: SumContext) -> None:
    """The least weight that is not 0 does not make a plaintext of zeros, which SEAL would refuse to multiply by."""
    calculator, key = (
        SumCalculator(ProductKeys.from_bytes(cipher.product_keys())),
        EncryptionKey(cipher.public_key()),
    )
    layout = Layout(0, 30, 1)
    fit = layout.split(key.encrypt(np.zeros((0, 1)), np.full((30, 1), 8.0), 8.0))
    total = calculator.weighted_sum([fit, fit], [1, (1 << WEIGHT_BITS) - 1])
    assert np.abs(cipher.decrypt_sum(total, layout, PEER) - 8.0).max() < 1e-2


# --- keys that are points of small order ------------------------------------------------------------------------------


@pytest.mark.parametrize("u", [0, 1, 2**255 - 20, 2**255 - 19])
def test_a_sealing_key_of_small_order_is_its_owners_fault(u: int) -> None:
    owner: Identity = identity("lab")
    study_id, run, public = "ab" * 32, "cd" * 32, u.to_bytes(32, "little")
    signature = owner.sign(key_statement(session(study_id, run), "fitted", public))
    refused(lambda: check_key(owner.card, study_id, run, "fitted", public, signature, PEER), "small order", "lab")
    good = SealingKey()
    signature = good.announce(owner, session(study_id, run), "fitted")
    check_key(owner.card, study_id, run, "fitted", good.public, signature, PEER)


# --- a text that is nested without end, or differs in everything -----------------------------------------------------


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
    ("ckks", "encrypted-residual", ciphertexts(beyond), "not below its prime"),
    ("ckks", "encrypted-residual", ciphertexts(short), "there must be"),
    ("ckks", "encrypted-fitted", ciphertexts(beyond), "not below its modulus"),
    ("ckks", "encrypted-fitted", ciphertexts(bare), "second polynomial is zero"),
    ("ckks", "encrypted-fitted", ciphertexts(short), "is due"),
    ("ckks", "encrypted-finish", ciphertexts(beyond), "not below its prime"),
    ("ckks", "encrypted-finish", ciphertexts(short), "there must be"),
    ("sums", "evaluation-keys", keys, "other keys"),
    ("sums", "product-keys", keys, "other keys"),
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

    def bad(self: sums.Model, round_: int, residual: np.ndarray) -> tuple[bytes, np.ndarray]:
        saved, fit = original(self, round_, residual)
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

    role._fits.aggregator._calculator = Refusing(b"product keys", "hospital")
    refused(made.until_job("lab", "products").job, "residual's own ciphertext", "insurer")


# --- steps out of turn, each of which once ended in an error that was not the peer's, or in none ----------------------


def at(mode: str, name: str, kind: str) -> Any:
    made = play(mode)
    made.until(name, kind)
    return made.roles[name]


@pytest.mark.parametrize(
    ("mode", "message"),
    [
        ("clear", messages.Fitted(np.zeros((120, 1), np.float32), 1)),
        ("noised", messages.NoisedFitted(np.zeros((120, 1), np.float32), 1)),
        ("clear", messages.Fitted(np.zeros((120, 1), np.float32), 0)),
    ],
)
def test_fitted_values_before_the_first_residual(mode: str, message: Message) -> None:
    """Alignment is over, and the sponsor still prepares its own data."""
    made = play(mode)
    while made.disk["hospital"].get("phase") != b"learning":
        made.step()
    refused(lambda: made.roles["hospital"].receive("lab", message), "was not asked for", "lab")


def test_fitted_values_after_the_last_round() -> None:
    made = play("clear")
    made.until_job("hospital", "alone")
    role = made.roles["hospital"]
    assert role.phase == "learning" and role.stage.round == 3
    more = messages.Fitted(np.zeros((120, 1), np.float32), 3)
    refused(lambda: role.receive("lab", more), "was not asked for", "lab")


@pytest.mark.parametrize("mode", ["ckks", "ckks sums"])
def test_an_assistor_that_has_finished_before_it_was_told_the_end(mode: str) -> None:
    made = play(mode)
    while made.disk["hospital"].get("phase") != b"finishing":
        made.step()
    ended = messages.Finished(messages.Ending("finished"))
    refused(lambda: made.roles["hospital"].receive("lab", ended), "before it was told", "lab")


@pytest.mark.parametrize(("mode", "end"), [("clear", "finish"), ("sums", "finish"), ("ckks", "encrypted-finish")])
def test_an_end_inside_a_round(mode: str, end: str) -> None:
    made = play(mode)
    while not any(end == message.KIND for _, _, message in made.sent):
        made.step()
    ending = next(message for _, to, message in made.sent if end == message.KIND and to == "lab")
    role = at(mode, "lab", "encrypted-residual" if mode == "ckks" else "residual")
    inside = play(mode)
    inside.until("lab", "encrypted-residual" if mode == "ckks" else "residual")
    inside.step()
    refused(lambda: inside.roles["lab"].receive("hospital", ending), "cannot end inside a round", "hospital")
    if mode == "ckks":
        refused(lambda: role.receive("hospital", ending), "all are run", "hospital")
    if mode == "sums":
        inside = play(mode)
        inside.until("hospital", "inner-products")
        refused(lambda: inside.roles["lab"].receive("hospital", ending), "before the sum", "hospital")


def test_a_batch_is_asked_for_once_and_batches_go_up() -> None:
    for mode in ("clear", "sums"):
        made = play(mode)
        made.run()
        lab = made.roles["lab"]
        lab.receive("hospital", messages.PredictRequest(messages.Batch(2), ("r1",)))
        for number in (2, 1, 0, -1):
            ask = messages.PredictRequest(messages.Batch(number), ("r2",))
            refused(partial(lab.receive, "hospital", ask), f"batch {number} after batch 2", "hospital")


def test_a_part_of_a_batch_that_was_not_asked_for() -> None:
    made = play("sums")
    made.run()
    part = messages.RelayedPart(messages.Batch(3), messages.Author("insurer"), np.zeros(200, np.uint8))
    refused(lambda: made.roles["lab"].receive("hospital", part), "not asked for", "hospital")


def test_rows_beyond_every_bound_are_the_sponsors_fault() -> None:
    for mode in ("clear", "ckks", "sums"):
        made = play(mode)
        rows: Any = made.until("lab", "rows")
        for outputs in (0, -1, 1025, 10**400):
            bad = dataclasses.replace(rows, shape=messages.Shape(outputs))
            refused(
                lambda bad=bad, made=made: made.roles["lab"].receive("hospital", bad),
                "outputs; the study has 1",
                "hospital",
            )


def test_masked_ids_are_checked_before_they_are_counted() -> None:
    made = play("private ids")
    query: Any = made.until("lab", "masked-query")
    lab = made.roles["lab"]
    lab.state.take_changes()
    repeat, order = query.points.copy(), query.points.copy()
    repeat[0] = repeat[1]
    order[0] = 0
    for points, rule in ((repeat, "more than once"), (order, "small order")):
        refused(partial(lab.receive, "hospital", dataclasses.replace(query, points=points)), rule, "hospital")
        assert lab.state.take_changes() == {}
    masked: Any = play("private ids").until("hospital", "masked-ids")
    made = play("private ids")
    made.until("hospital", "masked-ids")
    points = masked.points.copy()
    points[0] = points[1]
    refused(
        lambda: made.roles["hospital"].receive("lab", dataclasses.replace(masked, points=points)),
        "more than once",
        "lab",
    )
