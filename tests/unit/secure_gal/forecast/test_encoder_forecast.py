"""What an encoder takes to train: the arithmetic with a made-up clock, and what a rehearsal leaves of its settings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from secure_gal.features.encoder_options import BATCH, MOST_EPOCHS, STEPS, epochs_for
from secure_gal.forecast import encoders
from secure_gal.forecast.timings import Sample, Timings, Training
from secure_gal.settings.party import LearnerSettings


class Machine:
    """An encoder whose fit takes `fixed` seconds and `epoch` an epoch."""

    def __init__(self, fixed: float, epoch: float) -> None:
        self.fixed, self.epoch, self.now, self.longest = fixed, epoch, 0.0, 0

    def __call__(self, epochs: int) -> Callable[[int], None]:
        def fit(round_: int) -> None:
            self.longest = max(self.longest, epochs)
            self.now += self.fixed + epochs * self.epoch

        return fit

    def clock(self, work: Callable[[], Any]) -> float:
        began = self.now
        work()
        return self.now - began


@pytest.mark.parametrize(
    ("fixed", "epoch", "longest"), [(0.5, 0.02, 2), (0.0, 0.05, 9), (0.0, 0.001, 1 + encoders.MOST_EPOCHS), (0.0, 5, 2)]
)
def test_an_epoch_is_told_apart_from_the_rest_of_a_fit(fixed: float, epoch: float, longest: int) -> None:
    machine = Machine(fixed, epoch)
    assert encoders.epoch(machine, machine.clock) == pytest.approx(epoch)
    assert machine.longest == longest


@pytest.mark.parametrize(
    ("asked", "rows", "epochs"),
    [(7, 10**6, 7), (0, 10, MOST_EPOCHS), (0, 51_200, STEPS * BATCH // 51_200), (0, 10**7, 1)],
)
def test_epochs_follow_the_training_rows_unless_a_number_is_asked_for(asked: int, rows: int, epochs: int) -> None:
    assert epochs_for(asked, rows) == epochs
    timings = Timings(
        (Sample(100, first=1.0),), 100, 0.0, once=0.5, training=Training(epoch=0.25, rows=200, share=0.5, asked=asked)
    )
    rest = (epochs - 1) * 0.25 * rows / 200
    assert timings.pace(2 * rows).first == pytest.approx(0.5 + 2 * rows / 100 * 1.0 + rest), (
        "half of all are learnt from"
    )


def test_networks_are_trained_and_nothing_else(tmp_path: Path) -> None:
    def trains(dimensions: int, **options: str) -> bool:
        return encoders.trains(LearnerSettings(features="encoder", options=dict(options)), dimensions, tmp_path)

    assert trains(2) and trains(3) and trains(4, encoder="vicreg")
    assert not trains(4) and not trains(4, encoder="kmeans"), "patches have no epochs"
    assert not encoders.trains(LearnerSettings(), 2, tmp_path) and not encoders.trains(
        LearnerSettings("gb"), 2, tmp_path
    )
    assert trains(2, encoder_file="here.npz")
    (tmp_path / "here.npz").touch()
    assert not trains(2, encoder_file="here.npz"), "it is read"


def test_a_rehearsal_trains_briefly_and_keeps_nothing(tmp_path: Path) -> None:
    asked = LearnerSettings(features="encoder", options={"encoder_epochs": 50, "encoder_file": "e.npz", "ridge": 0.5})
    assert encoders.brief(asked, tmp_path).options == {"encoder_epochs": 1, "ridge": 0.5}
    assert encoders.brief(asked, tmp_path, 3).options["encoder_epochs"] == 3
    assert encoders.brief(LearnerSettings("mlp"), tmp_path) == LearnerSettings("mlp")
    (tmp_path / "e.npz").touch()
    assert encoders.brief(asked, tmp_path) == asked, "what was trained before is read"
