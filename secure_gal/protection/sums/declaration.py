"""What assistors of sum-only predictions check about each other: declarations, and which rows a fit is about."""

from __future__ import annotations

import hashlib

from crypto.ckks.fits import SUM
from crypto.errors import Malformed
from crypto.identity import verify
from secure_gal.errors import PeerViolation
from secure_gal.holdings.roles import Context
from secure_gal.messages import Declaration
from secure_gal.protection.sums.exposure import statement
from secure_gal.protection.sums.sealing import FITTED, check_key, purpose


def check_declaration(context: Context, run: str, name: str, item: Declaration, peer: str) -> None:
    """Refuse a declaration that its author did not sign, or that is impossible; `peer` is who delivered it.

    Raises:
        PeerViolation: naming the rule.
    """
    card, digest = context.cards[name], context.digest
    if not 1 <= item.width <= SUM.max_features or not 0 <= item.padded <= SUM.max_features:
        raise PeerViolation(peer, f"{name} declares an impossible width")
    try:
        signature, key, over_key = (
            bytes.fromhex(t) for t in (item.signature, item.sealing_key, item.sealing_signature)
        )
    except ValueError:
        raise PeerViolation(peer, f"the declaration of {name} is not hex") from None
    try:
        verify(card, statement(digest, run, name, item.padded, item.width, item.fresh), signature)
    except Malformed:
        raise PeerViolation(peer, f"the declaration of {name} is not signed by it") from None
    if name == context.study.adder:
        check_key(card, digest, run, purpose(FITTED, 0), key, over_key, peer)
    elif key or over_key:
        raise PeerViolation(peer, f"{name} is not the aggregator and has a sealing key")


def digest_rows(ids: tuple[str, ...] | list[str], mask: bytes) -> str:
    """What all assistors must agree on about the rows of a fit or a part: their ids in order, and which train."""
    digest = hashlib.sha256(b"secure-gal/1 rows of a sum\0")
    for entity in ids:
        raw = entity.encode()
        digest.update(len(raw).to_bytes(8, "little") + raw)
    digest.update(mask)
    return digest.hexdigest()
