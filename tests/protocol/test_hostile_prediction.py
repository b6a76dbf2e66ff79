"""A hostile assistor in a prediction: what the sponsor refuses of a batch, in whose name, and that the batch goes
on."""

from __future__ import annotations

import numpy as np
import pytest

from secure_gal import messages
from secure_gal.errors import PeerViolation
from secure_gal.state import State
from tests.support.hostile import Change, Play, cut, inner, later, nan, put, repeat
from tests.support.hostile_studies import MODES, play, prediction

PREDICTION: list[tuple[str, str, Change, str]] = [
    ("clear", "predict-reply", put(part=nan), "finite rows"),
    ("clear", "predict-reply", put(part=cut), "2 finite rows"),
    ("clear", "predict-reply", put(known=cut), "0 or 1 for each"),
    ("clear", "predict-reply", put(known=lambda k: k * np.uint8(2)), "0 or 1 for each"),
    ("clear", "predict-reply", put(known=np.zeros_like), "0 for unknown"),
    ("clear", "predict-reply", inner("batch", number=later), "not asked for"),
    ("clear", "predict-reply", lambda m: messages.NoisedPredictReply(m.batch, m.known, m.part), "not legal"),
    ("noised", "noised-predict-reply", lambda m: messages.PredictReply(m.batch, m.known, m.part), "not legal"),
    ("ckks", "encrypted-predict-reply", put(known=cut), "0 or 1 for each"),
    ("ckks", "encrypted-predict-reply", put(ciphertexts=cut), "is due"),
    ("ckks", "encrypted-predict-reply", put(ciphertexts=np.zeros_like), "second polynomial is zero"),
    ("ckks", "encrypted-predict-reply", put(ciphertexts=lambda c: np.full_like(c, 255)), "not below its modulus"),
    ("ckks", "encrypted-predict-reply", inner("batch", number=later), "not asked for"),
    ("sums", "known-reply", put(known=cut), "0 or 1 for each"),
    ("sums", "known-reply", put(known=lambda k: k * np.uint8(2)), "0 or 1 for each"),
    ("sums", "known-reply", inner("batch", number=later), "not asked for"),
    ("sums", "known-reply", lambda m: messages.SealedPart(m.batch, np.zeros(9, np.uint8)), "not asked for"),
    ("sums", "part-key", inner("announcement", key="ab" * 32), "did not sign"),
    ("sums", "part-key", inner("announcement", key="zz"), "not hex"),
    ("sums", "sealed-part", put(sealed=cut), "a sealed part of"),
    ("sums", "summed-part", put(ciphertexts=cut), "is due"),
    ("sums", "summed-part", put(ciphertexts=np.zeros_like), "second polynomial is zero"),
    ("sums", "summed-part", lambda m: messages.SealedPart(m.batch, np.zeros(9, np.uint8)), "seals no part"),
    ("private ids", "tags", put(tags=repeat), "more than once"),
    ("private ids", "tags", put(tags=cut), "there must be"),
    ("private ids", "masked-ids", put(points=repeat), "more than once"),
    ("private ids", "predict-reply", put(part=nan), "finite rows"),
]


def predicting(mode: str) -> Play:
    made = play(mode)
    made.run()
    made.add("hospital", prediction(mode, State(dict(made.disk["hospital"]))))
    return made


@pytest.mark.parametrize(
    ("mode", "kind", "change", "rule"), PREDICTION, ids=[f"{c[0]}: {c[1]} {c[3]}" for c in PREDICTION]
)
def test_a_changed_reply_to_a_batch(mode: str, kind: str, change: Change, rule: str) -> None:
    made = predicting(mode)
    honest = made.until("hospital", kind)
    sender, asked = made.sender, made.roles["hospital"]
    with pytest.raises(PeerViolation, match=rule) as found:
        asked.receive(sender, change(honest))
    assert found.value.peer == sender and asked.state.take_changes() == {}
    made.run()
    total, missing = asked.combine(np.zeros(1), np.zeros((2, 1), np.float32))
    assert missing == ["", ""]
    assert total.all() or MODES[mode].noise is not None, "with noise it is chance whether any party helped"


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        ("clear", "predict-reply"),
        ("ckks", "encrypted-predict-reply"),
        ("sums", "known-reply"),
        ("sums", "part-key"),
        ("sums", "sealed-part"),
        ("sums", "summed-part"),
    ],
)
def test_a_reply_that_comes_twice(mode: str, kind: str) -> None:
    made = predicting(mode)
    message, sender = made.until("hospital", kind), made.sender
    made.step()
    with pytest.raises(PeerViolation, match=r"second one|twice|once"):
        made.roles["hospital"].receive(sender, message)
