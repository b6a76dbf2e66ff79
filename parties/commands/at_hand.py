"""What `check` and `forecast` look at: a party's session and its data, opened once."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from parties.run.cores import share_cores
from parties.run.session import Session, open_session

if TYPE_CHECKING:
    from secure_gal.holdings.party import PartyHolding


class AtHand(NamedTuple):
    """A party's session and data, and the CPU seconds of this process until they were there."""

    session: Session
    model: PartyHolding
    start: float


def at_hand(file: Path) -> AtHand:
    """Open a party; a table that is read for the first time gets its schema.

    Raises:
        SettingsError: as `open_session`.
        DataError: as `secure_gal.data.table.read_table`.
    """
    session = open_session(file)
    share_cores(session.study)  # what is timed is timed as the study will compute
    from secure_gal.holdings.party import PartyHolding

    model = PartyHolding(session.party, session.study, session.folder, lambda text: None)
    return AtHand(session, model, time.process_time())  # imports and the table: a party's own start takes as much
