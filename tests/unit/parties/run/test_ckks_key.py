"""The study's CKKS key in the sponsor's home: one for all runs of a digest, with an account that no run directory
resets."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from crypto.ckks.releases import Releases
from crypto.ckks.sets import PARAMETER_SETS
from parties.run.ckks_key import current_key, open_cipher, released
from parties.run.store import RunStore
from secure_gal.errors import KeyRetired, SettingsError
from secure_gal.manifest import manifest
from secure_gal.settings.study import Protect
from tests.support.study_in_memory import NAMES, study

DIGEST = "ab" * 32
STANDARD = PARAMETER_SETS["standard"]


@pytest.fixture
def session(tmp_path: Path) -> Any:
    (tmp_path / "keys").mkdir()
    protect = Protect(residuals="ckks", parameters="standard")
    return SimpleNamespace(party=SimpleNamespace(home=tmp_path / "keys"), digest=DIGEST, study=study(protect=protect))


def store(tmp_path: Path, name: str) -> RunStore:
    return RunStore(tmp_path / name)


def test_a_deleted_run_directory_resets_nothing(session: Any, tmp_path: Path) -> None:
    first = store(tmp_path, "run")
    cipher = open_cipher(session, first)
    cipher.releases.admit([b"one", b"two"])
    first.close()
    again = store(tmp_path, "another-run")
    assert open_cipher(session, again).releases.count == 2
    assert released(session.party.home, DIGEST, STANDARD) == 2
    assert released(session.party.home, "cd" * 32, STANDARD) == 0, "another study has another key"
    again.close()


def test_a_run_whose_key_has_ended_says_so_and_a_new_run_gets_another(session: Any, tmp_path: Path) -> None:
    run = store(tmp_path, "run")
    open_cipher(session, run).releases.retire("a reply of lab was refused")
    with pytest.raises(KeyRetired, match=r"a reply of lab was refused.*learn anew"):
        open_cipher(session, run)
    run.close()
    fresh = store(tmp_path, "fresh")
    assert open_cipher(session, fresh).releases.count == 0
    assert current_key(session.party.home, DIGEST).name == f"ckks-{DIGEST[:16]}-2.key"
    fresh.close()
    run = store(tmp_path, "run")
    with pytest.raises(KeyRetired):
        open_cipher(session, run)
    run.close()


def test_a_key_that_is_gone_is_not_replaced(session: Any, tmp_path: Path) -> None:
    run = store(tmp_path, "run")
    open_cipher(session, run)
    current_key(session.party.home, DIGEST).unlink()
    with pytest.raises(SettingsError, match="began with this key, and it is gone"):
        open_cipher(session, run)
    run.close()


def test_the_account_is_read_without_the_key(tmp_path: Path) -> None:
    path = current_key(tmp_path, DIGEST)
    path.write_bytes(b"anything")
    Releases(10, path).admit([b"one"])
    assert released(tmp_path, DIGEST, STANDARD) == 1


@pytest.mark.parametrize(
    ("protect", "said"),
    [
        (Protect(residuals="ckks"), "8,192 values"),
        (Protect(residuals="ckks", parameters="strict"), "16,384 values"),
        (Protect(predictions="sum"), "16,384 values"),
        (Protect(), ""),
    ],
)
def test_the_manifest_says_who_must_not_see_predictions(protect: Protect, said: str) -> None:
    text = manifest(study(protect=protect), dict.fromkeys(NAMES, "fingerprint"))
    assert ("predictions must not be shown to whoever computed them" in text) == bool(said)
    assert said in text


def test_looking_at_a_key_that_was_not_made_makes_nothing(session: Any) -> None:
    home = session.party.home
    assert released(home, DIGEST, STANDARD) == 0 and list(home.iterdir()) == []
