"""The protocol objects of a study: its roles with the ports that its settings name."""

from __future__ import annotations

from secure_gal import protection
from secure_gal.holdings.roles import AssistorHolding, Context, SponsorHolding
from secure_gal.protection.ciphers import Cipher
from secure_gal.protection.modes import MakeCalculator
from secure_gal.protocol.assistor import Assistor
from secure_gal.protocol.prediction import Domain, Prediction
from secure_gal.protocol.sponsor import Sponsor
from secure_gal.state import State


def sponsor(
    context: Context, model: SponsorHolding, state: State, nonce: bytes, cipher: Cipher | None = None
) -> Sponsor:
    """The sponsor of a study; `cipher`: its secret key, where the study has one."""
    study = context.study
    residuals, fitted = protection.residual_mode(study), protection.fitted_mode(study)
    table = protection.table(study, study.sponsor)
    return Sponsor(context, model, state, nonce, residuals.port(cipher), fitted.port(study, cipher), table)


def assistor(
    context: Context, model: AssistorHolding, state: State, nonce: bytes, calculator: MakeCalculator | None = None
) -> Assistor:
    """An assistor of a study; `calculator`: of the aggregator, another than the real one."""
    study, name = context.study, context.identity.card.name
    residuals, fitted = protection.residual_mode(study), protection.fitted_mode(study)
    fits = fitted.side(context, state, calculator)
    return Assistor(context, model, state, nonce, residuals.side(study), fits, protection.table(study, name))


def prediction(
    context: Context,
    state: State,
    ids: tuple[str, ...],
    outputs: int,
    cipher: Cipher | None = None,
    domain: Domain | None = None,
) -> Prediction:
    """The sponsor's side of a batch, n ids with K outputs each."""
    study = context.study
    parts = protection.fitted_mode(study).parts(context, cipher)
    return Prediction(study, state, ids, outputs, parts, protection.table(study, study.sponsor), domain)
