"""What a person sees: what learners log, plain or as JSON, and nothing twice in a row."""

from __future__ import annotations

import io
import json
import logging

from parties.progress import Progress


def test_epochs_of_a_long_fit_are_shown() -> None:
    shown = io.StringIO()
    Progress(stream=shown).follow_logging()
    logging.getLogger("secure_gal.learners.torch_trainer").info("epoch %d of %d", 3, 50)
    assert shown.getvalue() == "epoch 3 of 50\n"
    as_json = io.StringIO()
    Progress(True, as_json).follow_logging()
    logging.getLogger("secure_gal.learners.torch_trainer").info("epoch 4")
    assert json.loads(as_json.getvalue()) == {"event": "transport", "text": "epoch 4"}
    assert "epoch 4" not in shown.getvalue(), "the last one follows alone"
    logging.getLogger("secure_gal").handlers = []
