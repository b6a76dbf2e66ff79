"""The study's CKKS key, in the sponsor's home (`ckks-<study digest>-<number>.key`, 0600), beside what it has decrypted.

One key serves all runs and predictions of one study digest: what protects it is counted over all of them
(`crypto.ckks.releases`). It is no part of a run directory, so that a deleted or restored one does not set the count
back.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from crypto.ckks.params import ParameterSet
from crypto.ckks.sets import named
from parties.run.store import RunStore
from secure_gal.errors import SettingsError, setting

if TYPE_CHECKING:
    from crypto.ckks.secret import SecretContext
    from parties.run.session import Session

USED = "ckks-key"
"""Entry of the run directory: the name of the key that this run began with."""
RETIRED = ".retired"


def open_cipher(session: Session, store: RunStore) -> SecretContext:
    """The key of this run; made before the first assistor gets evaluation keys.

    Raises:
        KeyRetired: it has ended; nothing more can be decrypted in this run.
        SettingsError: it is missing although it was used, can be read by others, or is of another parameter set.
    """
    params = named(session.study.protect.parameter_set)
    kind = _kind(session)
    used = store.meta(USED)
    path = session.party.home / used if used else current_key(session.party.home, session.digest)
    if used and not path.exists() and not path.with_name(path.name + RETIRED).exists():
        raise SettingsError(
            str(path),
            "this run began with this key, and it is gone: restore it, or learn anew with an empty "
            "run_dir at every party",
        )
    with setting():
        if not used and not path.exists():
            kind.generate(params).save(path)
        cipher = kind.load(path)
    if cipher.params != params:
        raise SettingsError(
            str(path), f"is a key of the parameter set {cipher.params.name!r}, the study names {params.name!r}"
        )
    store.set_meta(USED, path.name)
    return cipher


def current_key(home: Path, digest: str) -> Path:
    """The file of the key that a new run of this study uses: the first that has not ended, made or not."""
    number = 1
    while (home / f"{_name(digest, number)}{RETIRED}").exists():
        number += 1
    return home / _name(digest, number)


def released(home: Path, digest: str, params: ParameterSet) -> int:
    """Ciphertexts that the current key has decrypted, 0 where there is none yet."""
    from crypto.ckks.releases import Releases

    path = current_key(home, digest)
    with setting():
        return Releases(params.tau, path).count if path.exists() else 0


def _name(digest: str, number: int) -> str:
    return f"ckks-{digest[:16]}-{number}.key"


def _kind(session: Session) -> type[SecretContext]:
    if session.study.protect.summed:
        from crypto.ckks.secret_sum import SumContext

        return SumContext
    from crypto.ckks.secret import SecretContext

    return SecretContext
