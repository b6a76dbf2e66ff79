"""Every bound of a message, at the last size that is accepted and at the first that is not.

The bounds are written here as numbers: a peer of another release counts on them.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from secure_gal import messages
from secure_gal.errors import PeerViolation, StateError
from tests.conftest import identity
from transport import wire

STUDY, RUN = "ab" * 32, "cd" * 32
BYTES, INTS, FLAGS = np.zeros((2, 4), np.uint8), np.zeros(2, np.uint32), np.zeros(2, np.uint8)
VALUES, BATCH, STEP = np.zeros((2, 1), np.float32), messages.Batch(1), messages.Step(0, 1)
ROWS, OUTPUTS, CIPHERTEXTS, CIPHERTEXT = 2**24, 1024, 2**18, 2**20


def framed(message: messages.Message) -> list[bytes]:
    made = wire.encode(
        message, study=STUDY, run=RUN, sender="lab", recipient="hospital", seq=1, identity=identity("lab")
    )
    return [bytes(frame) for frame in made]


def signed(header: dict[str, Any] | bytes, salts: bytes) -> list[bytes]:
    """A head whose author signed it as it is."""
    raw = header if isinstance(header, bytes) else json.dumps(header, separators=(",", ":")).encode()
    return [raw, identity("lab").sign(wire.SIGN_LABEL + raw), salts]


def judged(head: list[bytes], rest: int) -> wire.Header:
    return wire.announced(head, rest, sender=identity("lab").card, recipient="hospital", limits=wire.Limits())


def sized(message: messages.Message, field: int, shape: list[int], nbytes: int) -> wire.Header:
    """The message's header with another size of one field."""
    frames = framed(message)
    header = json.loads(frames[0])
    header["fields"][field] |= {"shape": shape, "nbytes": nbytes}
    return judged(signed(header, frames[2]), sum(info["nbytes"] for info in header["fields"]))


TENSORS = {
    "residuals": (messages.Residual(VALUES, 1), 0, 4, (ROWS, OUTPUTS)),
    "fitted values": (messages.Fitted(VALUES, 1), 0, 4, (ROWS, OUTPUTS)),
    "noised values": (messages.NoisedFitted(VALUES, 1), 0, 4, (ROWS, OUTPUTS)),
    "privatised residuals": (messages.PrivatisedResidual(VALUES, 1), 0, 4, (ROWS, OUTPUTS)),
    "positions": (messages.Rows(INTS, FLAGS, messages.Shape(1)), 0, 4, (ROWS,)),
    "training rows": (messages.Rows(INTS, FLAGS, messages.Shape(1)), 1, 1, (ROWS,)),
    "positions of a batch": (messages.PredictRows(INTS, STEP), 0, 4, (ROWS,)),
    "a part": (messages.PredictReply(BATCH, FLAGS, VALUES), 2, 4, (ROWS, OUTPUTS)),
    "coefficients": (messages.Finish(np.zeros(2), messages.Ending("finished")), 0, 8, (ROWS,)),
    "masked ids": (messages.MaskedIds(BYTES, STEP), 0, 1, (ROWS, 32)),
    "a masked query": (messages.MaskedQuery(BYTES, STEP), 0, 1, (ROWS, 32)),
    "tags": (messages.Tags(BYTES, STEP), 0, 1, (ROWS, 32)),
    "encrypted residuals": (messages.EncryptedResidual(BYTES, 1), 0, 1, (CIPHERTEXTS, CIPHERTEXT)),
    "encrypted fits": (messages.EncryptedFitted(BYTES, 1), 0, 1, (CIPHERTEXTS, CIPHERTEXT)),
    "inner products": (messages.InnerProducts(BYTES, 1), 0, 1, (CIPHERTEXTS, CIPHERTEXT)),
    "a weighted sum": (messages.WeightedSum(BYTES, 1), 0, 1, (CIPHERTEXTS, CIPHERTEXT)),
    "a sealed fit": (messages.SealedFitted(BYTES[0], 1), 0, 1, (2**30,)),
    "a sealed part": (messages.SealedPart(BATCH, BYTES[0]), 1, 1, (2**30,)),
    "keys": (messages.EvaluationKeys(BYTES[0]), 0, 1, (64 * 2**20,)),
}


@pytest.mark.parametrize(("message", "field", "item", "most"), TENSORS.values(), ids=TENSORS)
def test_a_tensor_has_at_most_what_its_kind_may(
    message: messages.Message, field: int, item: int, most: tuple[int, ...]
) -> None:
    """Judged by its header alone: nothing of that size is made here, nor would be by the receiver."""
    for axis, bound in enumerate(most):
        for size, refused in ((0, False), (1, False), (bound, False), (bound + 1, True), (-1, True)):
            shape = [1] * len(most)
            shape[axis] = size
            if refused:
                with pytest.raises(PeerViolation, match=f"may have at most {bound} [a-z ]+, not {size}"):
                    sized(message, field, shape, size * item)
            else:
                assert sized(message, field, shape, size * item).fields[field].shape == tuple(shape)
    with pytest.raises(PeerViolation, match="bytes do not fit the shape"):
        sized(message, field, [1] * len(most), item + 1)


@pytest.mark.parametrize(
    ("message", "most"),
    [
        (messages.Ids(("a",)), 2**30),
        (messages.PredictRequest(BATCH, ("a",)), 2**30),
        (messages.HeadsSignature("00", 1), 4 * 2**20),
    ],
    ids=["ids", "ids of a batch", "any other"],
)
def test_a_structured_field_has_at_most_what_its_kind_may(message: messages.Message, most: int) -> None:
    last = len(message.FIELDS) - 1
    assert sized(message, last, [], most).fields[last].nbytes == most
    for size in (most + 1, -1):
        with pytest.raises(PeerViolation, match=f"may have at most {most} bytes"):
            sized(message, last, [], size)


def test_a_header_has_at_most_16_kib_and_is_not_parsed_beyond_that() -> None:
    """One that is too long is refused for its length, one of the last length for what it says."""
    frames = framed(messages.Residual(VALUES, 1))
    longest = frames[0] + b" " * (16_384 - len(frames[0]))
    with pytest.raises(PeerViolation, match="the header is not canonical"):
        judged(signed(longest, frames[2]), 8)
    with pytest.raises(PeerViolation, match="a header of at most 16384 bytes"):
        judged(signed(longest + b" ", frames[2]), 8)


@pytest.mark.parametrize("salts", [b"", bytes(15), bytes(17), bytes(32)])
def test_each_field_has_a_salt_of_16_bytes_before_its_payload_is_there(salts: bytes) -> None:
    frames = framed(messages.Fitted(VALUES, 1))
    assert len(frames[2]) == 16 and judged(frames[:3], 8).kind == "fitted"
    with pytest.raises(PeerViolation, match="has 1 fields, each with a salt"):
        judged([*frames[:2], salts], 8)


@pytest.mark.parametrize("count", [0, 2])
def test_a_message_has_the_fields_of_its_kind_and_no_other_number(count: int) -> None:
    frames = framed(messages.Fitted(VALUES, 1))
    header = json.loads(frames[0])
    header["fields"] *= count
    with pytest.raises(PeerViolation, match="has 1 fields, each with a salt"):
        judged(signed(header, frames[2]), 8 * count)


@pytest.mark.parametrize(
    ("field", "bad"),
    [
        ("study", ""),
        ("study", "a" * 63),
        ("study", "a" * 65),
        ("study", "A" * 64),
        ("run", "a" * 63),
        ("run", "g" * 64),
    ],
)
def test_study_and_run_are_64_hex_digits(field: str, bad: str) -> None:
    frames = framed(messages.Fitted(VALUES, 1))
    with pytest.raises(PeerViolation, match="study and run must be 64 hex digits"):
        judged(signed(json.loads(frames[0]) | {field: bad}, frames[2]), 8)
    assert judged(signed(json.loads(frames[0]) | {"run": ""}, frames[2]), 8).run == "", "before a run is agreed"


def test_a_payload_is_cut_into_frames_of_8_mib() -> None:
    two = framed(messages.SealedFitted(np.zeros(2**23 + 1, np.uint8), 1))
    assert [len(frame) for frame in two[3:]] == [8_388_608, 1]
    one = framed(messages.SealedFitted(np.zeros(2**23, np.uint8), 1))
    assert [len(frame) for frame in one[3:]] == [8_388_608]


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        (np.zeros((2, 1)), "values must be <f4 with 2 dimensions"),
        (np.zeros(2, np.float32), "values must be <f4 with 2 dimensions"),
        (np.zeros((2, 1, 1), np.float32), "values must be <f4 with 2 dimensions"),
    ],
)
def test_what_is_no_tensor_of_its_field_is_not_sent(values: np.ndarray, rule: str) -> None:
    with pytest.raises(StateError, match=rule):
        framed(messages.Fitted(values, 1))


@pytest.mark.parametrize(
    ("message", "nbytes"),
    [
        (messages.Fitted(VALUES, 1), 8),
        (messages.Ids(("x" * 91, "y")), 99),
        (messages.Rows(INTS, np.zeros(8, np.uint8), messages.Shape(1)), 8),
        (messages.Hello(messages.Greeting("0" * 32, "{}")), 60),
    ],
    ids=["fitted", "ids", "rows", "hello"],
)
def test_what_a_message_weighs_is_told_beforehand(message: messages.Message, nbytes: int) -> None:
    """To the byte where lengths and number have as many digits as are assumed: those of `nbytes`, two of a structured
    field beside tensors, and a sequence number from 10 to 99."""
    run = "" if message.ABOUT.before_run else RUN
    where: dict[str, Any] = {"study": STUDY, "run": run, "sender": "lab", "recipient": "hospital", "seq": 42}
    head = [bytes(frame) for frame in wire.encode(message, **where, identity=identity("lab"))][:3]
    assert wire.around(message.KIND, "lab", "hospital", nbytes) == wire.size(head)
    assert wire.around(message.KIND, "lab", "hospital", nbytes * 10) > wire.size(head)
    assert wire.size([b"ab", np.zeros(3, np.uint32).data]) == 14
