"""The decoder against whole, truncated, extended and altered input."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from secure_gal import messages
from secure_gal.errors import DataError, PeerViolation
from secure_gal.messages.certificate import Certificate, LogHead
from tests.conftest import identity
from transport import wire

STUDY, RUN = "ab" * 32, "cd" * 32
INTS, FLAGS = np.array([3, 1], np.uint32), np.array([1, 0], np.uint8)
F32, BYTES = np.ones((2, 1), np.float32), np.arange(64, dtype=np.uint8).reshape(2, 32)
STEP = messages.Step(0, 1)
SAMPLES = [
    messages.HeadRequest(1),
    messages.LedgerHead(LogHead(1, "0" * 64), 1),
    messages.LedgerHeads({"lab": LogHead(1, "0" * 64)}, 1),
    messages.HeadsSignature("00", 1),
    messages.LedgerCertificate(Certificate("a", "b", 1, {"lab": LogHead(1, "0" * 64)}, {"lab": "00"}), 1),
    messages.Declared(messages.Declaration(4, 3, "00")),
    messages.Declarations({"lab": messages.Declaration(4, 3, "00", "11")}),
    messages.SealedFitted(BYTES[0], 1),
    messages.RelayedFitted(messages.Author("lab"), BYTES[0], 1),
    messages.OwnDifference(BYTES, 1),
    messages.InnerProducts(BYTES, 1),
    messages.Weights(np.ones(2), 1),
    messages.WeightedSum(BYTES, 1),
    messages.KnownRequest(messages.Batch(1), ("a",)),
    messages.KnownReply(messages.Batch(1), FLAGS),
    messages.PartKey(messages.Batch(1), messages.Announcement("00", "11")),
    messages.SealedPart(messages.Batch(1), BYTES[0]),
    messages.RelayedPart(messages.Batch(1), messages.Author("lab"), BYTES[0]),
    messages.SummedPart(messages.Batch(1), BYTES),
    messages.Realign(STEP),
    messages.MaskedIds(BYTES, STEP),
    messages.MaskedQuery(BYTES, STEP),
    messages.Tags(BYTES, STEP),
    messages.PredictRows(np.array([3, 1], np.uint32), STEP),
    messages.PaddedWidth(messages.Width(4)),
    messages.EvaluationKeys(BYTES[0]),
    messages.EncryptedResidual(BYTES, 1),
    messages.EncryptedFitted(BYTES, 1),
    messages.EncryptedFinish(BYTES, messages.Ending("finished")),
    messages.EncryptedPredictReply(messages.Batch(1), FLAGS, BYTES),
    messages.Hello(messages.Greeting("0" * 32, "{}")),
    messages.RunOffer(messages.Nonces({"lab": "0" * 32}, "{}")),
    messages.RunSignature(messages.Signatures({"lab": "00"})),
    messages.RunAgreement(messages.Signatures({"lab": "00"})),
    messages.Ids(("a", "007", "é")),
    messages.Rows(INTS, FLAGS, messages.Shape(1)),
    messages.NoRows(),
    messages.Residual(F32, 1),
    messages.Fitted(F32, 1),
    messages.PrivatisedResidual(F32, 1),
    messages.NoisedFitted(F32, 1),
    messages.NoisedPredictReply(messages.Batch(1), FLAGS, F32),
    messages.Finish(np.zeros(0), messages.Ending("finished")),
    messages.Finished(messages.Ending("finished")),
    messages.PredictRequest(messages.Batch(1), ("a",)),
    messages.PredictReply(messages.Batch(1), FLAGS, F32),
]


def encoded(message: object | None = None, **changes: object) -> list[bytes]:
    message = message or messages.Fitted(np.arange(6, dtype=np.float32).reshape(3, 2), 2)
    settings = {"study": STUDY, "run": RUN, "sender": "lab", "recipient": "hospital", "seq": 1, **changes}
    return [bytes(f) for f in wire.encode(message, identity=identity("lab"), **settings)]  # type: ignore[arg-type]


def decoded(frames: list[bytes], **limits: int) -> wire.Received:
    return wire.decode(frames, sender=identity("lab").card, recipient="hospital", limits=wire.Limits(**limits))


def test_round_trip_of_every_kind() -> None:
    assert {type(s) for s in SAMPLES} == set(messages.MESSAGES.values())
    for message in SAMPLES:
        back = decoded(encoded(message)).message
        for spec in message.FIELDS:
            assert np.array_equal(getattr(back, spec.name), getattr(message, spec.name)), spec.name


def test_a_large_tensor_travels_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "CHUNK", 1000)
    values = np.random.default_rng(0).standard_normal((700, 1)).astype(np.float32)
    frames = encoded(messages.Fitted(values, 1))
    assert [len(f) for f in frames[3:]] == [1000, 1000, 800]
    assert np.array_equal(decoded(frames).message.values, values)  # type: ignore[union-attr]
    for broken in (frames[:-1], [*frames, b"x"], [*frames[:3], frames[4], frames[3], frames[5]]):
        with pytest.raises(PeerViolation):
            decoded(broken)


def test_truncated_or_extended_anywhere() -> None:
    frames = encoded()
    for i, frame in enumerate(frames):
        for cut in range(len(frame)):
            with pytest.raises(PeerViolation):
                decoded([*frames[:i], frame[:cut], *frames[i + 1 :]])
        with pytest.raises(PeerViolation):
            decoded([*frames[:i], frame + b"\0", *frames[i + 1 :]])
    for count in range(len(frames)):
        with pytest.raises(PeerViolation):
            decoded(frames[:count])


def test_any_flipped_bit() -> None:
    frames = encoded()
    for i, frame in enumerate(frames):
        for byte in range(0, len(frame), 3):
            flipped = bytearray(frame)
            flipped[byte] ^= 1 << (byte % 8)
            with pytest.raises(PeerViolation):
                decoded([*frames[:i], bytes(flipped), *frames[i + 1 :]])


def resigned(old: bytes, new: bytes) -> list[bytes]:
    """Frames whose header was altered by its own author, so that only the check behind the signature can object."""
    frames = encoded()
    assert old in frames[0]
    raw = frames[0].replace(old, new)
    return [raw, identity("lab").sign(wire.SIGN_LABEL + raw), *frames[2:]]


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        (b'"sender":"lab"', b'"sender":"insurer"', "on this channel"),
        (b'"recipient":"hospital"', b'"recipient":"insurer"', "on this channel"),
        (b'"kind":"fitted"', b'"kind":"fitte2"', "unknown message kind"),
        (b'"dtype":"<f4"', b'"dtype":"<f8"', "must be <f4"),
        (b'"protection":"clear"', b'"protection":"none"', "must be clear"),
        (b'"shape":[3,2]', b'"shape":[2,2]', "do not fit"),
        (b'"shape":[3,2]', b'"shape":[-3,-2]', "at most"),
        (b'"shape":[3,2]', b'"shape":[6]', "dimensions"),
        (b'"version":1', b'"version":2', "version 2"),
        (b'"version":1', b'"version": 1', "not canonical"),
        (b'"version":1', b'"extra":0,"version":1', "unreadable"),
        (b'"seq":1', b'"seq":0', "start at 1"),
        (b'"round":2', b'"round":-2', "rounds at 0"),
        (b'"study":"ab', b'"study":"ax', "hex"),
    ],
)
def test_rules_behind_a_valid_signature(old: bytes, new: bytes, rule: str) -> None:
    with pytest.raises(PeerViolation, match=rule):
        decoded(resigned(old, new))


@pytest.mark.parametrize(
    ("payload", "rule"), [(b"[1]", "unreadable"), (b'["a" ]', "not canonical"), (b"", "unreadable")]
)
def test_a_structured_field_that_its_author_signed_is_read_strictly(payload: bytes, rule: str) -> None:
    frames = encoded(messages.Ids(("a",)))
    old, new = (
        f'"nbytes":{len(x)},"digest":"{wire.payload_digest(frames[2], [x])}"'.encode() for x in (b'["a"]', payload)
    )
    assert old in frames[0]
    raw = frames[0].replace(old, new)
    signature = identity("lab").sign(wire.SIGN_LABEL + raw)
    with pytest.raises(PeerViolation, match=rule):
        decoded([raw, signature, frames[2], *([payload] if payload else [])])


def test_the_receivers_limits_apply() -> None:
    with pytest.raises(PeerViolation, match="at most 2 rows"):
        decoded(encoded(), rows=2)
    with pytest.raises(PeerViolation, match="at most 10 bytes"):
        decoded(encoded(messages.Ids(("aaaaaaaaaaaa",))), json_bytes=10)


def test_a_header_is_judged_before_its_payload_is_there() -> None:
    head, rest = encoded()[:3], 24

    def announced(head: list[bytes], rest: int, **limits: int) -> wire.Header:
        card = identity("lab").card
        return wire.announced(head, rest, sender=card, recipient="hospital", limits=wire.Limits(**limits))

    assert announced(head, rest).kind == "fitted"
    for bad, limits in ((rest + 1, {}), (rest - 1, {}), (0, {}), (rest, {"rows": 2})):
        with pytest.raises(PeerViolation, match=r"bytes follow|at most 2 rows"):
            announced(head, bad, **limits)
    with pytest.raises(PeerViolation, match="signature"):
        announced([head[0], identity("insurer").sign(wire.SIGN_LABEL + head[0]), head[2]], rest)
    with pytest.raises(PeerViolation, match="do not fit"):
        announced(resigned(b'"shape":[3,2]', b'"shape":[2,2]')[:3], rest)


@pytest.mark.parametrize(
    ("kind", "most"), [(messages.SealedFitted, 1 << 30), (messages.EvaluationKeys, 64 << 20)], ids=["sealed", "keys"]
)
def test_the_most_bytes_that_a_peer_may_announce(kind: type[messages.Message], most: int) -> None:
    """What a receiver would hold in memory for it; judged before any of them came."""
    array = np.zeros(4, dtype=np.uint8)
    made = kind(array, 1) if kind is messages.SealedFitted else kind(array)  # type: ignore[call-arg]

    def announce(count: int) -> wire.Header:
        head = encoded(made)[:3]
        raw = head[0].replace(b'"shape":[4],"nbytes":4', b'"shape":[%d],"nbytes":%d' % (count, count))
        head = [raw, identity("lab").sign(wire.SIGN_LABEL + raw), head[2]]
        return wire.announced(head, count, sender=identity("lab").card, recipient="hospital", limits=wire.Limits())

    assert announce(most).fields[0].nbytes == most
    with pytest.raises(PeerViolation, match=f"at most {most} "):
        announce(most + 1)


def test_another_partys_signature() -> None:
    frames = encoded()
    frames[1] = identity("insurer").sign(wire.SIGN_LABEL + frames[0])
    with pytest.raises(PeerViolation, match="signature"):
        decoded(frames)


def test_only_lists_of_ids_may_be_large() -> None:
    large = "x" * (messages.MAX_SMALL_JSON_BYTES + 1)
    assert decoded(encoded(messages.Ids((large,)))).message.ids == (large,)  # type: ignore[union-attr]
    for message in (
        messages.Hello(messages.Greeting("0" * 32, large)),
        messages.RunAgreement(messages.Signatures({"lab": large})),
        messages.HeadsSignature(large, 1),
    ):
        with pytest.raises(PeerViolation, match=f"at most {messages.MAX_SMALL_JSON_BYTES} bytes"):
            decoded(encoded(message))
    with pytest.raises(PeerViolation, match="at most 10 bytes"):
        decoded(encoded(messages.HeadsSignature("0" * 20, 1)), small_json_bytes=10)


def test_messages_do_not_show_ids() -> None:
    assert "007" not in repr(messages.Ids(("007",)))
    assert "007" not in repr(messages.PredictRequest(messages.Batch(1), ("007",)))
    assert "007" not in repr(messages.KnownRequest(messages.Batch(1), ("007",)))


@pytest.mark.parametrize("error", [PeerViolation("lab", "a rule"), DataError("lab.csv", "a problem")])
def test_errors_cross_processes(error: Exception) -> None:
    back = pickle.loads(pickle.dumps(error))  # noqa: S301  (our own, as joblib does between our own processes)
    assert type(back) is type(error) and str(back) == str(error)
