"""Predictions of a finished study in this process: one batch of rows through the roles of every party."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import msgspec
import numpy as np
import numpy.typing as npt

from secure_gal.data.encode import LabelCodec
from secure_gal.errors import SettingsError
from secure_gal.estimator.account import MemoryBudget
from secure_gal.estimator.blocks import Block
from secure_gal.estimator.errors import ParameterError
from secure_gal.estimator.exchange import Exchange, Role
from secure_gal.estimator.fitted import Fitted
from secure_gal.estimator.holding import Warn, ids_of
from secure_gal.estimator.house import Cast, Listener, assistor_to_predict, sponsor_to_predict
from secure_gal.estimator.key import Key, temporary_home
from secure_gal.estimator.params import beyond_of
from secure_gal.events import RoundRecord
from secure_gal.gal.doubt import LIKELY, UNUSUAL, credible
from secure_gal.gal.ensemble import PARTS
from secure_gal.holdings.assistor import AssistorData
from secure_gal.holdings.party import RowEncoder
from secure_gal.holdings.sponsor import SponsorData
from secure_gal.learners import storage
from secure_gal.protocol import roles
from secure_gal.protocol.agreement import NONCE_BYTES, psi_domain
from secure_gal.protocol.own_part import own_part
from secure_gal.protocol.prediction import Domain
from secure_gal.protocol.sponsor_records import SponsorRecords
from secure_gal.state import NoEntry, State

Array = npt.NDArray[np.float64]


def encoder_and_codec(fitted: Fitted) -> tuple[RowEncoder | None, LabelCodec]:
    """What the sponsor's rows and labels were encoded by."""
    found: tuple[RowEncoder | None, LabelCodec] = storage.load(State(fitted.sponsor.state).raw("encoder"))
    return found


@contextmanager
def whole_state() -> Iterator[None]:
    """Whatever a mode reads that `complete` does not list is named all the same.

    Raises:
        SettingsError: an entry of a party's state is missing: the file that it was loaded from is not as it was saved.
    """
    try:
        yield
    except NoEntry as error:
        raise SettingsError("fitted_", f"has no entry {error}; take the file as it was saved") from error


def outputs(fitted: Fitted, blocks: Sequence[Block], beyond: Mapping[str, float] | None, listener: Listener) -> Array:
    """F (n, K) of new rows; nothing in `fitted` changes.

    Raises:
        SecureGalError: as the roles raise it.
    """
    encoder, codec = encoder_and_codec(fitted)
    n = blocks[0].count
    if not n:
        return np.zeros((0, codec.outputs))
    state, (model, assistors) = State(fitted.sponsor.state), _models(fitted, blocks, listener.warn)
    own, initial = own_part(state, model, model.table, encoder, codec.outputs)
    if len(fitted.parties) == 1:
        return initial + own.astype(np.float64)
    study = fitted.study
    run = Cast.of(study, {part.name: MemoryBudget(part.spent) for part in fitted.parties})
    with temporary_home() as folder:
        key = Key.restore(study, fitted.key, folder)
        context = run.context(study.sponsor, {})
        role = roles.prediction(
            context, state, ids_of(n), codec.outputs, key.cipher, _domain(fitted, context.digest, state)
        )
        parts: dict[str, Role] = {study.sponsor: role}
        for part, theirs in zip(fitted.parties[1:], assistors, strict=True):
            context = run.context(part.name, beyond_of(beyond, study, part.name))
            parts[part.name] = roles.assistor(context, theirs, State(part.state), secrets.token_bytes(NONCE_BYTES))
        Exchange(parts, listener.event).run()
    if far := sum(map(bool, role.unusual())):
        listener.warn(f"{far} of {n} rows have {UNUSUAL}: {LIKELY}")
    return role.combine(initial, own)[0]


def _domain(fitted: Fitted, digest: str, state: State) -> Domain | None:
    study = fitted.study
    if study.protect.ids != "psi":
        return None

    def domain(peer: str, batch: int, attempt: int) -> bytes:
        return psi_domain(digest, state.text("run"), study.sponsor, peer, batch, attempt)

    return domain


def staged(fitted: Fitted, blocks: Sequence[Block], warn: Warn) -> Iterator[Array]:
    """F (n, K) of new rows after 0, 1, ... kept rounds: from everybody's own models, which no message asks for.

    Assistors' parts are pulled back as in a prediction, by the range of their parts in all kept rounds.

    Raises:
        ParameterError: a study in which nobody has a model of each round, or whose fits are noised.
    """
    protect = fitted.study.protect
    if protect.encrypted or protect.predictions != "none":
        raise ParameterError(
            "staged_predict",
            f"residuals={protect.residuals!r}, predictions={protect.predictions!r}; "
            "accepted: a study in which parties keep their models and answer with them as they are",
        )
    state = State(fitted.sponsor.state)
    history, kept = rounds_of(fitted), len(SponsorRecords(state).own_coefficients.get())
    _, codec = encoder_and_codec(fitted)
    learnt = SponsorRecords(state).ensemble
    total = np.tile(learnt["F0"], (blocks[0].count, 1))
    sponsor, assistors = _models(fitted, blocks, warn)
    yield total
    for t in range(1, kept + 1):
        stage = total
        for part, model in zip(fitted.parties, (sponsor, *assistors), strict=True):
            if not model.fits:
                continue
            own = State(part.state)
            encoder = storage.load(own.raw("encoder"))
            saved = [own.raw(f"model/{number:04d}") for number in range(1, t + 1)]
            coefficients = np.array([record.eta * record.weights[part.name] for record in history[:t]])
            ids = tuple(model.table.ids)
            encoder = encoder[0] if part is fitted.sponsor else encoder
            values = model.part(model.table, ids, encoder, saved, coefficients, codec.outputs)[1].astype(np.float64)
            stage = stage + (values if part is fitted.sponsor else credible(learnt[PARTS[1] + part.name], values))
        yield stage


def _models(
    fitted: Fitted, blocks: Sequence[Block], warn: Callable[[str], None]
) -> tuple[SponsorData, list[AssistorData]]:
    """Every party's holding of new rows."""
    first, *others = blocks
    sponsor = sponsor_to_predict(fitted, first, warn)
    pairs = zip(fitted.parties[1:], others, strict=True)
    return sponsor, [assistor_to_predict(fitted, part, block, warn) for part, block in pairs]


def rounds_of(fitted: Fitted) -> list[RoundRecord]:
    """Every round that was run."""
    packed = SponsorRecords(State(fitted.sponsor.state)).ensemble["history"]
    return msgspec.msgpack.decode(packed.tobytes(), type=list[RoundRecord])
