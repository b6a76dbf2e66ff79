"""Every byte of a learning stage by kind and pair of parties: payloads, and what goes around them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator

from secure_gal.forecast.small import Sent, every_round, once, payload_bytes
from secure_gal.messages import MESSAGES
from secure_gal.settings.study import Study
from secure_gal.volume import Flow, Volume

Framing = Callable[[str, str, str, int], int]
"""Kind, sender, receiver and payload bytes of a message -> bytes of its other frames (`transport.wire.around`)."""
STRUCTURE_BYTES = 22
"""Of a structured field that stands beside a tensor, such as {"reason":"finished"}, about."""


def foretold(volume: Volume, reading: str, framing: Framing, *, certified: bool = True) -> list[Flow]:
    """What a study of this volume moves if every round is run.

    Args:
        reading: the study as `hello` carries it.
        certified: every round, as between machines.
    """
    study = volume.study
    found = [_whole(study, flow, framing) for flow in volume.learning()]
    found += _as_flows(once(study, reading), 1, framing)
    return found + list(_as_flows(every_round(study, study.rounds, certified=certified), study.rounds, framing))


def _whole(study: Study, flow: Flow, framing: Framing) -> Flow:
    """A flow of tensors with the structured fields beside them, headers, signatures and salts."""
    count = messages_of(study, flow)
    beside = sum(
        STRUCTURE_BYTES for spec in MESSAGES[flow.message].FIELDS if spec.dtype == "json" and not spec.many_ids
    )
    around = framing(flow.message, flow.sender, flow.receiver, flow.nbytes // count)
    return dataclasses.replace(flow, nbytes=flow.nbytes + count * (beside + around))


def messages_of(study: Study, flow: Flow) -> int:
    """How many messages a flow is: one a round where its kind belongs to a round, and one an author where that is
    relayed."""
    found = MESSAGES[flow.message]
    rounds = {field.name: field.default for field in dataclasses.fields(found)}["round"]  # type: ignore[arg-type]
    authors = len(study.assistors) - 1 if "sponsor" in found.ABOUT.route[1:-1] else 1
    return authors * (study.rounds if rounds is dataclasses.MISSING else 1)


def _as_flows(sent: Iterable[Sent], times: int, framing: Framing) -> Iterator[Flow]:
    for sender, receiver, message in sent:
        inside = payload_bytes(message)
        nbytes = times * (inside + framing(message.KIND, sender, receiver, inside))
        yield Flow(message.KIND, sender, receiver, nbytes, "agreement and evidence")
