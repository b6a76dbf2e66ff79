"""What an assistor's data may still give away, counted over all keys, runs and studies on the same data.

A protocol object spends before it computes, and what was spent is never given back: after a crash between spending and
answering, the same request is counted twice. What counts as the same data, and where the counts are kept:
`parties.run.budget`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from secure_gal.errors import ConsentError, PeerViolation, SettingsError, StateError
from secure_gal.settings.limits import QUERIES, TAU

if TYPE_CHECKING:
    from secure_gal.holdings.roles import Context

Kind = Literal["rows", "queries", "replies", "sums", "products"]
WORDS: dict[Kind, str] = {
    "rows": "rows to predict",
    "queries": "ids that were asked about",
    "replies": "reply ciphertexts",
    "sums": "released sums",
    "products": "steps of 2^-70 by which released inner products add to what the sponsor sees",
}
MORE: dict[Kind, str] = {
    "rows": "raise max_rows in this party's own file",
    "queries": f"agree on a larger max_queries in study.toml, or go beyond on purpose: --beyond {QUERIES}=NUMBER",
    "replies": f"use fewer rounds or rows, or go beyond on purpose: --beyond {TAU}=NUMBER",
    "sums": "use fewer rounds or more columns",
    "products": 'use weights = "uniform", or fewer rounds',
}
"""What a person can do where a budget is used up."""


class Charge(NamedTuple):
    """Some of one kind, and the most that may be spent of it in all; None: as much as is asked for."""

    kind: Kind
    amount: int
    limit: int | None


class Budget(Protocol):
    """The counts of this party's data."""

    def spend(self, run: str, charges: Sequence[Charge], *, once: bool = False) -> Charge | None:
        """Count all charges, durably and before it returns, or none of them; the one that does not fit.

        Args:
            once: the amounts are what this run spends in all, however often it asks.

        Raises:
            EnvironmentFailure: it cannot be counted, so it must not be computed.
        """
        ...

    def spent(self, kind: Kind, run: str | None = None) -> int:
        """How much was spent of a kind, in all or by one run; EnvironmentFailure."""
        ...


class Account:
    """One run's way to the budget of its party's data.

    Args:
        run: the agreed run.
    """

    def __init__(self, context: Context, run: Callable[[], str]) -> None:
        if context.budget is None:
            raise StateError("an assistor's context needs the budget of its data")
        self._context, self._budget, self._run = context, context.budget, run

    def rows(self, amount: int) -> Charge:
        """Rows of predictions, within this party's own `max_rows`."""
        return Charge("rows", amount, self._context.max_rows)

    def queries(self, amount: int) -> Charge:
        """Ids that are asked about, within the study's `max_queries` or what a person accepted instead."""
        return Charge("queries", amount, int(self._context.beyond.get(QUERIES, self._context.study.max_queries)))

    def replies(self, amount: int, tau: int) -> Charge:
        """Reply ciphertexts, within the tau of their parameter set or what a person accepted instead."""
        return Charge("replies", amount, int(self._context.beyond.get(TAU, tau)))

    def spent(self, kind: Kind) -> int:
        """How much was spent of a kind in all."""
        return self._budget.spent(kind)

    def refusal(self, charges: Sequence[Charge], *, once: bool = False) -> Charge | None:
        """Spend all charges or none; the one that does not fit."""
        return self._budget.spend(self._run(), charges, once=once)

    def require(self, charge: Charge) -> None:
        """Spend, or end the study here: ConsentError."""
        short = self.refusal([charge])
        if short is not None:
            raise ConsentError(self.shortage(short))

    def require_room(self, charge: Charge, what: str) -> None:
        """Spend nothing yet, but end a study that would not come to its end.

        Args:
            what: would be spent on.

        Raises:
            SettingsError: the study alone is above the limit.
            ConsentError: with what the data has given away before.
        """
        if charge.limit is not None and charge.amount > charge.limit:
            raise SettingsError(
                "study.toml",
                f"{what} are {charge.amount} {WORDS[charge.kind]}; the parameter set hides an "
                f"assistor's data for at most {charge.limit}: {MORE[charge.kind]}",
            )
        if charge.limit is not None and self.spent(charge.kind) + charge.amount > charge.limit:
            raise ConsentError(self.shortage(charge))

    def ask(self, amount: int) -> None:
        """Count ids that the sponsor asks about.

        Raises:
            PeerViolation: this run alone asks about more than the study allows.
            ConsentError: other runs on the same data have used up what the study allows.
        """
        charge, sponsor = self.queries(amount), self._context.study.sponsor
        if self.refusal([charge]) is None:
            return
        here = self._budget.spent("queries", self._run()) + amount
        if charge.limit is not None and here > charge.limit:
            raise PeerViolation(sponsor, f"has asked about {here} ids; the study allows {charge.limit} in all")
        raise ConsentError(self.shortage(charge))

    def shortage(self, short: Charge) -> str:
        """Why a charge does not fit, and what to do, for this party's own person: peers need not know of other runs."""
        words, name = WORDS[short.kind], self._context.identity.card.name
        return (
            f"{name} goes no further: {short.amount:,} {words}, after the {self.spent(short.kind):,} of all keys, "
            f"runs and studies on the same data, are more than the limit of {short.limit:,}; {MORE[short.kind]}"
        )
