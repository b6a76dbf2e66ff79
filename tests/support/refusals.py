"""What a refusal in a peer's name looks like."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from secure_gal.errors import PeerViolation, blamed

PEER = "lab-7"


def refused(job: Callable[[], object], rule: str, peer: str = PEER) -> None:
    """The job breaks this rule, and the error names the peer."""
    with pytest.raises(PeerViolation, match=rule) as found, blamed(PEER):
        job()
    assert found.value.peer == peer
