"""The files of one party with its keys and a table, and a fixture that keeps it off the network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from parties.commands import setup
from transport import assistor_socket, sponsor_socket

ROWS = 60
STUDY = 'name="s"\ntask="{task}"\nsponsor="hospital"\naddress="tcp://h:7001"\nassistors=["lab"]\n'


class Online(Exception):
    """Raised where a party would have opened its port, or dialled."""


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Raises `Online` instead of opening a port or dialling."""

    def online(*_: object, **__: object) -> None:
        raise Online

    monkeypatch.setattr(sponsor_socket, "SponsorSocket", online)
    monkeypatch.setattr(assistor_socket, "AssistorSocket", online)


def table(**changes: Any) -> dict[str, Any]:
    """Columns of a table, with these changed (None: left out)."""
    rng = np.random.default_rng(0)
    columns = {"id": [f"P{i:03}" for i in range(ROWS)], "c0": rng.normal(size=ROWS), "label": rng.normal(50, 5, ROWS)}
    return {name: column for name, column in {**columns, **changes}.items() if column is not None}


def party(
    folder: Path,
    name: str = "hospital",
    task: str = "regression",
    study: str = "",
    data: str = "",
    learner: str = "",
    **changes: Any,
) -> Path:
    """The files of one party, its keys, and a table with these columns changed (None: left out)."""
    (folder / "study.toml").write_text(STUDY.format(task=task) + study)
    own = 'label="label"\n' if name == "hospital" else ""
    port = 'bind="tcp://127.0.0.1:7001"\n' if name == "hospital" else ""
    (folder / f"{name}.toml").write_text(
        f'study="study.toml"\nparty="{name}"\nhome="keys"\nrun_dir="run"\n{port}'
        f'[data]\npath="{name}.csv"\nid="id"\n{own}{data}[learner]\n{learner}'
    )
    pl.DataFrame(table(**changes)).write_csv(folder / f"{name}.csv")
    other = {"hospital": "lab", "lab": "hospital"}[name]
    setup.keygen(name, folder / "keys")
    setup.keygen(other, folder / "other")
    setup.trust_card(folder / "other" / f"{other}.card", folder / "keys", False, lambda _: True)
    return folder / f"{name}.toml"
