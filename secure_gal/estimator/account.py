"""What a party's data gives away in this process, counted as its `budget.db` would."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from secure_gal.holdings.budget import Charge, Kind


class MemoryBudget:
    """A `Budget` that ends with the process.

    Args:
        before: what was spent already, by kind.
    """

    def __init__(self, before: Mapping[Kind, int]) -> None:
        self._before = dict(before)
        self._by_run: dict[tuple[Kind, str], int] = {}

    def spend(self, run: str, charges: Sequence[Charge], *, once: bool = False) -> Charge | None:
        """As `Budget.spend`."""
        due: dict[tuple[Kind, str], int] = {}
        for charge in charges:
            amount = charge.amount - (self.spent(charge.kind, run) if once else 0)
            if amount > 0 and charge.limit is not None and self.spent(charge.kind) + amount > charge.limit:
                return charge
            due[charge.kind, run] = due.get((charge.kind, run), 0) + max(0, amount)
        for key, amount in due.items():
            self._by_run[key] = self._by_run.get(key, 0) + amount
        return None

    def spent(self, kind: Kind, run: str | None = None) -> int:
        """As `Budget.spent`."""
        here = sum(n for (k, r), n in self._by_run.items() if k == kind and run in (None, r))
        return here + (self._before.get(kind, 0) if run is None else 0)

    @property
    def totals(self) -> dict[Kind, int]:
        """All that was spent, by kind."""
        kinds = {*self._before, *(kind for kind, _ in self._by_run)}
        return {kind: self.spent(kind) for kind in sorted(kinds)}
