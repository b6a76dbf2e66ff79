"""`residuals = "rounded"`: assistors see residuals on the public grid and take no others; it promises nothing more."""

from __future__ import annotations

import numpy as np
import pytest

from secure_gal import messages
from secure_gal.errors import PeerViolation
from secure_gal.manifest import who_learns_what
from secure_gal.messages import Residual
from secure_gal.protection.rounded import GRID, rounded
from secure_gal.protocol import roles
from secure_gal.settings.study import Protect
from secure_gal.state import State
from tests.support.simulation import Network
from tests.support.study_in_memory import NAMES, Arrays, context, final_f, make_network, make_party, study
from transport import wire

ROUNDED = Protect(ids="clear", residuals="rounded")


def network() -> Network:
    settings = study(protect=ROUNDED)
    made = Network(make_party("hospital", settings), [make_party(name, settings) for name in NAMES[1:]])
    made.run()
    return made


def residuals(made: Network) -> list[np.ndarray]:
    limits = wire.Limits()
    sent = [
        wire.decode(frames, sender=context(sender, study()).cards[sender], recipient=to, limits=limits).message
        for sender, to, frames in made.sent
    ]
    return [message.values for message in sent if isinstance(message, Residual)]


def test_every_residual_that_leaves_is_on_the_grid_and_no_coarser() -> None:
    sent = residuals(network())
    assert len(sent) == 2 * study().rounds and all(np.array_equal(values, rounded(values)) for values in sent)
    assert len(np.unique(sent[0])) > 10, "a residual of a regression takes many values of the grid"
    clear = make_network()
    clear.run()
    assert not any(np.array_equal(values, rounded(values)) for values in residuals(clear)), "clear ones are off it"
    assert max(np.abs(a - b).max() for a, b in zip(sent[:2], residuals(clear)[:2], strict=True)) <= GRID / 2


def test_learning_goes_on_and_the_sponsor_weighs_with_what_it_knows() -> None:
    made, clear = network(), make_network()
    clear.run()
    losses = [record.train_loss for record in made.sponsor.node.role.ensemble.history]
    assert losses == sorted(losses, reverse=True), "the line search uses the residual as it is"
    assert 0 < np.abs(final_f(made) - final_f(clear)).max() < 1.0


def test_halves_go_to_the_even_multiple_and_the_grid_is_exact() -> None:
    values = np.array([[0.0625, -0.0625, 0.1875, 0.3, -1.0]], dtype=np.float32)
    assert rounded(values).tolist() == [[0.0, -0.0, 0.25, 0.25, -1.0]] and rounded(values).dtype == np.float32


def test_an_assistor_takes_no_residual_off_the_grid() -> None:
    state = State({"phase": b"learning", "train": np.ones(3, np.uint8), "round": b"0"})
    role = roles.assistor(context("lab", study(protect=ROUNDED)), Arrays("lab", 5), state, b"")
    off = np.array([[0.1], [0.0], [0.125]], dtype=np.float32)
    with pytest.raises(PeerViolation, match="not on the agreed grid of multiples of"):
        role.receive("hospital", messages.Residual(off, 1))
    role.receive("hospital", messages.Residual(rounded(off), 1))


def test_the_manifest_says_what_it_is_worth() -> None:
    told = {item.message: item for item in who_learns_what(study(protect=ROUNDED))}
    assert told["residual"].protection == "clear" and "rounded to multiples of 0.125" in told["residual"].content
    assert "classes are not hidden; no epsilon is claimed" in told["residual"].inference
