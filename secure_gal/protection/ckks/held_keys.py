"""Evaluation keys of an earlier run of the same study, at an assistor: used again if the sponsor made them.

An assistor says which keys it has by their digest (step 6a). A sponsor whose secret key made keys of this digest, for
this width, answers with no bytes (6b); any other sends keys, which replace what was there. What is offered lies in the
state of the run from then on, so that the answer finds it, whatever becomes of the party's home.
"""

from __future__ import annotations

from crypto.ckks.keys import keys_digest
from crypto.ckks.params import ParameterSet
from secure_gal import events
from secure_gal.errors import PeerViolation
from secure_gal.messages import EvaluationKeys, Held
from secure_gal.protection.stages import AssistorStage
from secure_gal.state import RAW, Entry


def offer_keys(stage: AssistorStage, parameters: ParameterSet) -> Held:
    """Which keys this party has of an earlier run; it keeps them at hand for the answer."""
    raw = stage.context.kept_keys.get()
    if not raw:
        return Held()
    _offered(stage).set(raw)
    return Held(keys_digest(parameters, stage.model.keyed.padded, raw))


def keys_of(stage: AssistorStage, message: EvaluationKeys) -> bytes:
    """The keys of step 6b: those that came, or where none came those that were offered; PeerViolation."""
    raw, offered = message.keys.tobytes(), _offered(stage)
    if not raw and not offered.there:
        raise PeerViolation(stage.sponsor, "no keys came, and this party has none of an earlier run")
    if raw and offered.there and raw == offered.get():
        raise PeerViolation(stage.sponsor, "the very keys came that this party had said it has")
    return raw or offered.get()


def keep_keys(stage: AssistorStage, message: EvaluationKeys, raw: bytes) -> events.GotKeys:
    """Keep keys that were checked for later runs of this study."""
    _offered(stage).drop()
    if len(message.keys):
        stage.context.kept_keys.put(raw)
    return events.GotKeys(len(message.keys), len(raw))


def _offered(stage: AssistorStage) -> Entry[bytes]:
    return Entry(stage.state, "offered-keys", RAW)
