"""The session of a lab over a table of three rows."""

from __future__ import annotations

import json
from pathlib import Path

from parties.commands import setup
from parties.run.session import Session, open_session


def session_of(folder: Path, protect: str = "", learner: str = "", others: tuple[str, ...] = ()) -> Session:
    text = 'name="s"\ntask="classification"\nsponsor="hospital"\naddress="tcp://h:7001"\n'
    text += f"assistors={json.dumps(['lab', *others])}\n"
    (folder / "study.toml").write_text(text + protect)
    (folder / "lab.toml").write_text(
        'study="study.toml"\nparty="lab"\nhome="keys"\nrun_dir="run"\n[data]\npath="lab.csv"\nid="id"\n' + learner
    )
    (folder / "lab.csv").write_text("id,a\n007,1\n8,2\n9,4\n")
    if not (folder / "keys").exists():
        setup.keygen("lab", folder / "keys")
        for name in ("hospital", *others):
            setup.keygen(name, folder / "other")
            setup.trust_card(folder / "other" / f"{name}.card", folder / "keys", False, lambda _: True)
    return open_session(folder / "lab.toml")
