"""The aggregator of a sum, message by message: what it takes in which turn, and what it computes and sends."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from crypto.ckks.fits import DIFFERENCE_BYTES
from secure_gal import events, messages
from secure_gal.effects import Compute, Send
from secure_gal.errors import PeerViolation, SettingsError
from secure_gal.messages import Author, Batch
from secure_gal.protection.sums import aggregator as module
from secure_gal.protection.sums.aggregator import SumAggregator
from secure_gal.protection.sums.sealing import SealingKeys
from secure_gal.settings.study import Protect
from secure_gal.state import State
from tests.support.study_in_memory import context, study
from tests.support.sums_in_memory import COMBINERS, fit_bytes

SUMMED = study(protect=Protect(ids="clear", predictions="sum"))
UNIFORM = msgspec.structs.replace(SUMMED, weights="uniform")
TRAIN = np.array([True, True, False])
FIT = fit_bytes(np.ones((2, 1)), np.ones((1, 1)))
PART = fit_bytes(np.zeros((0, 1)), np.ones((2, 1)))
RESIDUAL = np.array([[4.0], [-2.0]])


class Adding:
    """Computes nothing, and keeps what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def products(self, fits: Any, residual: Any, difference: Any, table: Any) -> Any:
        self.asked.append(("products", len(fits), np.asarray(residual).ravel().tolist(), len(difference), table.rows))
        return np.zeros((3, 4), np.uint8)

    def weighted_sum(self, fits: Any, weights: Any) -> Any:
        self.asked.append(("sum", [tuple(map(len, fit)) for fit in fits], list(weights)))
        return np.ones((2, 5), np.uint8)


class Bench:
    """The lab aggregates; what the insurer sealed is opened as it is."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, settings: Any = SUMMED, state: Any = None) -> None:
        self.opened: list[Any] = []

        def unseal(keys: Any, what: str, number: int, author: str, about: str, sealed: Any) -> bytes:
            self.opened.append((what, number, author, about))
            return bytes(sealed)

        monkeypatch.setattr(SealingKeys, "unseal", unseal)
        self.adding = Adding()
        kept = {"train": TRAIN.astype(np.uint8), "sum/rows": b"rows", "keys": COMBINERS, "run": b"cd" * 32}
        self.state = State(kept | (state or {}))
        self.adder = SumAggregator(context("lab", settings), self.state, lambda raw, peer: self.adding)  # type: ignore[arg-type,return-value]

    def refused(self, *turns: messages.Message) -> None:
        """Each is out of turn or wrong, and changes nothing."""
        self.state.take_changes()
        for message in turns:
            with pytest.raises(PeerViolation):
                self.adder.receive(message)
        assert self.state.take_changes() == {}


def fitted(author: str = "insurer", round_: int = 1, sealed: Any = FIT) -> messages.RelayedFitted:
    return messages.RelayedFitted(Author(author), sealed, round_)


def difference(count: int = 1, round_: int = 1) -> messages.OwnDifference:
    return messages.OwnDifference(np.zeros((count, DIFFERENCE_BYTES), np.uint8), round_)


def weights(*values: float, round_: int = 1) -> messages.Weights:
    return messages.Weights(np.array(values), round_)


def test_a_round_goes_through_its_steps_in_one_order(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch)
    adder = bench.adder
    assert (adder.round, adder.in_round) == (1, False)
    bench.refused(fitted("lab"), fitted("hospital"), fitted(round_=2), fitted(sealed=FIT[1:]), weights(0.5, 0.5))
    assert adder.receive(fitted()) == [] and bench.opened[-1] == ("fitted", 1, "insurer", "rows")
    bench.refused(fitted(), difference(2), difference(round_=2), difference(round_=0), messages.Fitted(RESIDUAL, 1))
    assert adder.receive(difference()) == []
    bench.refused(difference())
    (job,) = adder.own_fit(FIT.tobytes(), RESIDUAL)
    assert adder.in_round and isinstance(job, Compute) and (job.work, job.round) == ("products", 1)
    again = Bench(monkeypatch, state=bench.state.rows)
    load, resumed = again.adder.resume()
    assert (
        isinstance(load, Compute) and isinstance(resumed, Compute) and (load.work, resumed.work) == ("keys", "products")
    )
    (sent,) = job.then(job.job())
    assert bench.adding.asked == [("products", 2, [1.0, -0.5], 1, 2)], "the residual in units of its largest"
    assert isinstance(sent, Send) and sent.peer == "hospital" and isinstance(sent.message, messages.InnerProducts)
    assert sent.message.round == 1 and sent.message.ciphertexts.shape == (3, 4)
    bench.refused(difference(), weights(0.5), weights(0.5, 0.5, 0.0), weights(0.5, 0.75), weights(0.5, 0.5, round_=2))
    (job,) = adder.receive(weights(0.25, 0.75))
    bench.refused(weights(0.25, 0.75))
    assert isinstance(job, Compute) and (job.work, job.round) == ("sum", 1)
    told, sent = job.then(job.job())
    kind, shapes, steps = bench.adding.asked[-1]
    assert (kind, shapes, steps) == ("sum", [(1, 1)] * 2, [1 << 18, 3 << 18]) and told == events.Summed(1)
    assert isinstance(sent, Send) and isinstance(sent.message, messages.WeightedSum) and sent.message.round == 1
    assert (adder.round, adder.in_round) == (2, False) and not bench.state.keys("sum/fit/")
    bench.refused(fitted(), difference())
    assert adder.receive(fitted(round_=2)) == []


def test_uniform_weights_need_no_products(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, UNIFORM)
    bench.refused(difference(), weights(0.25, 0.75))
    assert bench.adder.receive(weights(0.5, 0.5)) == [] and bench.adder.own_fit(FIT.tobytes(), RESIDUAL) == []
    (job,) = bench.adder.receive(fitted())
    assert isinstance(job, Compute) and job.work == "sum"


def test_a_sponsor_without_features_has_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch)
    bench.adder.receive(fitted())
    assert bench.adder.receive(messages.OwnDifference(np.zeros((0, 0), np.uint8), 1)) == []
    (job,) = bench.adder.own_fit(FIT.tobytes(), np.ones(3, np.uint8))
    job.job()  # type: ignore[union-attr]
    assert bench.adding.asked == [("products", 2, [1, 1, 1], 0, 2)], "ciphertexts are not scaled"


@pytest.mark.parametrize("uniform", [False, True])
def test_a_study_whose_products_would_wrap_is_refused_where_it_needs_them(
    uniform: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(monkeypatch, UNIFORM if uniform else SUMMED)
    asked: list[Any] = []

    def problem(*given: Any) -> str:
        asked.append(given)
        return "too many rows" if given[1] > 2 else ""

    monkeypatch.setattr(module, "products_problem", problem)
    bench.adder.check_budget("layout", 2)  # type: ignore[arg-type]
    if uniform:
        bench.adder.check_budget("layout", 3)  # type: ignore[arg-type]
    else:
        with pytest.raises(SettingsError, match='too many rows: use weights = "uniform", or fewer rounds'):
            bench.adder.check_budget("layout", 3)  # type: ignore[arg-type]
    assert asked[0] == ("layout", 2, 2, False)


def relayed(number: int = 3, author: str = "insurer", sealed: Any = PART, refused: str = "") -> messages.RelayedPart:
    return messages.RelayedPart(Batch(number, refused), Author(author), sealed)


def test_parts_of_a_batch_are_added_once_all_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch)
    adder = bench.adder
    bench.refused(relayed())
    assert adder.own_part(3, PART.tobytes()) == [] and not bench.state.keys("sum/own/"), "the sponsor gave it up"
    key = adder.announce_parts(3, "about", 2)
    assert key.batch == Batch(3) and len(key.announcement.key) == 64 and len(key.announcement.signature) == 128
    bench.refused(relayed(4), relayed(author="lab"), relayed(author="hospital"), relayed(refused="why"))
    bench.refused(relayed(sealed=PART[1:]))
    assert adder.own_part(3, PART.tobytes()) == []
    (job,) = adder.receive(relayed())
    assert bench.opened[-1] == ("part", 3, "insurer", "about")
    bench.refused(relayed())
    again = Bench(monkeypatch, state=bench.state.rows)
    assert [effect.work for effect in again.adder.resume() if isinstance(effect, Compute)] == ["keys", "sum"]
    assert isinstance(job, Compute) and job.work == "sum"
    (sent,) = job.then(job.job())
    assert bench.adding.asked == [("sum", [(0, 1)] * 2, [1 << 20] * 2)]
    assert isinstance(sent, Send) and sent.peer == "hospital" and isinstance(sent.message, messages.SummedPart)
    assert sent.message.batch == Batch(3) and not bench.state.keys("sum/own/") and not bench.state.keys("secret/")
    bench.refused(relayed(), relayed(2))


def test_a_later_batch_ends_the_earlier_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch)
    bench.adder.announce_parts(3, "about", 2)
    bench.adder.receive(relayed(3))
    bench.adder.announce_parts(12, "other", 2)
    bench.adder.own_part(12, PART.tobytes())
    assert bench.state.keys("sum/part/") == [] and bench.state.keys("sum/about/") == ["sum/about/12"]
    assert bench.state.keys("secret/") == ["secret/part/12"]
    bench.refused(relayed(3))
    assert len(bench.adder.receive(relayed(12))) == 1


def test_the_end_of_learning_erases_fits_and_their_key(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch)
    bench.adder.announce_fitted()
    bench.adder.receive(fitted())
    bench.adder.end_learning()
    assert not bench.state.keys("secret/") and not bench.state.keys("sum/fit/")
    bench = Bench(monkeypatch)
    bench.state.drop("keys")
    assert bench.adder.resume() == [], "there are no keys to load yet"
