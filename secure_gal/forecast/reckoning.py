"""From a party's pace to the seconds of a whole study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from secure_gal.forecast.ciphertexts import Ciphers
from secure_gal.forecast.sums import Sums
from secure_gal.forecast.timings import Pace
from secure_gal.gal.split import split_rows
from secure_gal.settings.study import Study
from secure_gal.volume import Flow

MESSAGE_SECONDS = 1.5e-3
"""CPU seconds of a message on either side: signature, ledger, commit; measured on one x86-64 core, only a guide."""
MESSAGES_A_ROUND = 7
"""Residual, fit and the five of a certificate, with each assistor."""
BYTE_SECONDS = 1e-8
"""CPU seconds of a byte of a message on either side: checks, ledger, disk, encryption of the line; on the same core."""
ROUND_SECONDS = 1e-2
"""CPU seconds of a sponsor's files a round; on the same core."""


class Costs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Bytes both ways, CPU seconds of this party, seconds from the last greeting to the results."""

    bytes: int
    cpu: float | None = None
    elapsed: float | None = None


class Forecast(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a study will take, if so many rows take part and every round is run.

    Attributes:
        digest: of the study.
        party: whose forecast it is.
        rows: common to all parties.
        padded: P of the assistors' encrypted heads; 0 where nothing is encrypted.
        rounds: T.
        sent, received: bytes of the learning stage, by peer.
        seconds: CPU seconds of this party by phase.
        elapsed: seconds from the last greeting to the results, on machines like this one, without the line's.
        untold: why there are no seconds; empty where there are.
        epochs: that every fit of this party's network is reckoned with; 0 where it has none.
        a_round: what one round more would cost.
    """

    digest: str
    party: str
    rows: int
    padded: int
    rounds: int
    sent: dict[str, int]
    received: dict[str, int]
    seconds: dict[str, float] = {}
    elapsed: float | None = None
    untold: str = ""
    epochs: int = 0
    a_round: Costs = Costs(0)

    @property
    def costs(self) -> Costs:
        """Of all rounds."""
        moved = sum(self.sent.values()) + sum(self.received.values())
        return Costs(moved, sum(self.seconds.values()) if self.seconds else None, self.elapsed)

    def after(self, rounds: int) -> Costs:
        """Of a study that ends after so many rounds."""
        whole, each, fewer = self.costs, self.a_round, self.rounds - rounds
        cpu, elapsed = (
            None if all_ is None or one is None else all_ - fewer * one
            for all_, one in ((whole.cpu, each.cpu), (whole.elapsed, each.elapsed))
        )
        return Costs(whole.bytes - fewer * each.bytes, cpu, elapsed)


def ways(flows: Sequence[Flow], me: str) -> tuple[dict[str, int], dict[str, int]]:
    """Bytes sent and received by peer."""
    sent: dict[str, int] = {}
    received: dict[str, int] = {}
    for flow in flows:
        if flow.sender == me:
            sent[flow.receiver] = sent.get(flow.receiver, 0) + flow.nbytes
        elif flow.receiver == me:
            received[flow.sender] = received.get(flow.sender, 0) + flow.nbytes
    return sent, received


class Others(NamedTuple):
    """Seconds that a sponsor waits for an assistor that is like it, as far as it does nothing itself meanwhile.

    Attributes:
        before, after: the rounds.
        first, later: in round 1, and in a later one.
    """

    before: float
    first: float
    later: float
    after: float


def of_sponsor(
    study: Study, pace: Pace, ciphers: Ciphers | None, sums: Sums | None, rows: int, moved: int = 0
) -> tuple[dict[str, float], float]:
    """(CPU seconds by phase, seconds elapsed) of a sponsor; moved: bytes that it sends and receives."""
    rounds, assistors = study.rounds, len(study.assistors)
    fits = pace.first + (rounds - 1) * pace.later
    told = rounds * (ROUND_SECONDS + assistors * MESSAGES_A_ROUND * MESSAGE_SECONDS) + moved * BYTE_SECONDS
    seconds = {"imports": pace.imports, "prepare": pace.prepare, "fits": fits, "rounds": rounds * pace.commit + told}
    if ciphers is not None:
        requests, replies = blocks_of(study, ciphers, rows)
        seconds["keys"] = ciphers.keys  # one set for all assistors of a width
        seconds["encryption"] = (rounds + assistors) * requests * study.k * ciphers.encrypt
        seconds["decryption"] = rounds * assistors * replies * study.k * ciphers.decrypt
    if sums is not None:
        seconds |= sums.sponsor(study, rows)
    if pace.own:
        seconds["own model"] = pace.own
    seconds["results"] = pace.results
    others = _others(study, pace, ciphers, sums, rows)
    waits = others.before + others.first + (rounds - 1) * others.later + others.after
    first = pace.first + pace.imports  # by the thread that fits, as soon as it has
    at_once = min(first, others.first) + (rounds - 1) * min(pace.later, others.later)
    learning = pace.imports + fits + others.first + (rounds - 1) * others.later - at_once
    at_once += min(pace.own, learning)  # it is fitted beside the rounds, on cores of its own
    theirs = rounds * MESSAGES_A_ROUND * MESSAGE_SECONDS + moved / assistors * BYTE_SECONDS
    return seconds, sum(seconds.values()) + waits - at_once + theirs


def on_one_machine(
    elapsed: float, seconds: Mapping[str, float], each_assistor: float, assistors: int, cores: int
) -> float:
    """Seconds elapsed where all parties share so many cores, from those on machines of their own and from CPU seconds.

    What takes `path` on any number of cores and `work` CPU seconds takes at least max(path, work / cores) and, as long
    as no core idles that has work, at most work / cores + (1 - 1 / cores) path (Graham, SIAM J. Appl. Math. 17, 1969).
    The middle is taken.

    Args:
        seconds: of the sponsor, by phase. Its results come when all others are done, and on one core.
        each_assistor: of all phases.
    """
    last = seconds["results"]
    path, work = elapsed - last, sum(seconds.values()) - last + assistors * each_assistor
    least, most = max(path, work / cores), work / cores + (1 - 1 / cores) * path
    return (least + most) / 2 + last


def _others(study: Study, pace: Pace, ciphers: Ciphers | None, sums: Sums | None, rows: int) -> Others:
    """An assistor makes the features of encrypted fits before it tells their width, and others with its first fit."""
    if study.protect.encrypted:
        before, first, later = pace.prepare + pace.first, 0.0, 0.0
    else:
        before, first, later = 0.0, pace.prepare + pace.first, pace.later
    after = 0.0
    if ciphers is not None:
        requests, replies = blocks_of(study, ciphers, rows)
        shares = ciphers.shares(requests, replies, study.k)
        later = ciphers.fit(replies, study.k) / shares
        encoding = ciphers.encoding(replies) / shares
        if shares == 1:  # it is made while keys are
            encoding = max(0.0, encoding - ciphers.keys)
        before, first = before + ciphers.load, encoding + later
        after = ciphers.head(replies, study.k) / shares
    if sums is not None:
        each = (sums.assistor(study, rows) + sums.aggregator(study, rows)) / study.rounds
        first, later = first + each, later + each
    return Others(before, first, later, after)


def of_assistor(
    study: Study, pace: Pace, ciphers: Ciphers | None, sums: Sums | None, rows: int, *, aggregates: bool
) -> dict[str, float]:
    """CPU seconds by phase of an assistor, or of the aggregator of a study with sums."""
    seconds = {"prepare": pace.prepare, "messages": study.rounds * MESSAGES_A_ROUND * MESSAGE_SECONDS}
    if study.protect.encrypted:
        seconds["features"] = pace.first
    else:
        seconds["fits"] = pace.first + (study.rounds - 1) * pace.later
    if ciphers is not None:
        _, replies = blocks_of(study, ciphers, rows)
        seconds |= {"keys": ciphers.load, "fits": ciphers.fits(study.rounds, replies, study.k)}
    if sums is not None:
        seconds["ciphertexts"] = sums.assistor(study, rows)
        if aggregates:
            seconds["sums"] = sums.aggregator(study, rows)
    return seconds


def blocks_of(study: Study, ciphers: Ciphers, rows: int) -> tuple[int, int]:
    """Blocks of the training rows, and of all rows."""
    train = int(split_rows(rows, study.validation, study.seed).sum())
    n = ciphers.params.n
    return -(-train // n), -(-rows // n)
