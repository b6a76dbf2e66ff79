"""The files of a hospital and a lab that know each other's cards."""

from __future__ import annotations

from pathlib import Path

from crypto.identity import Identity
from tests.conftest import identity

STUDY = (
    'name="s"\ntask="classification"\nsponsor="hospital"\naddress="tcp://h:7001"\nassistors=["lab"]\n'
    '[protect]\nids="{ids}"\n'
)
PARTY = (
    'study="study.toml"\nparty="{name}"\nhome="keys"\nrun_dir="run"\n{bind}'
    '[data]\npath="{file}"\nid="id"\n{label}[learner]\n{learner}'
)


def settings(folder: Path, name: str, learner: str = 'kind="linear"', ids: str = "clear", file: str = "") -> Path:
    for party in ("hospital", "lab"):
        own: Identity = identity(party)
        if party == name and not (folder / "keys" / f"{party}.key").exists():
            own.save(folder / "keys")
    from parties.run.keys import Pins

    other = "lab" if name == "hospital" else "hospital"
    Pins(folder / "keys").add(identity(other).card)
    (folder / "study.toml").write_text(STUDY.format(ids=ids))
    sponsor = name == "hospital"
    bind, label = ('bind="tcp://*:7001"\n', 'label="y"\n') if sponsor else ("", "")
    text = PARTY.format(name=name, bind=bind, label=label, learner=learner, file=file or f"{name}.csv")
    (folder / f"{name}.toml").write_text(text)
    return folder / f"{name}.toml"
