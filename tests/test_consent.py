"""Consent to what a study reveals: asked once a digest, refused at once where nobody can be asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from parties import consent, setup
from parties.consent import require_consent
from parties.session import Session, open_session, open_store
from secure_gal.errors import ConsentError, SettingsError
from secure_gal.manifest import in_the_clear, who_learns_what
from secure_gal.study import Protect
from tests.study_in_memory import study


def session_of(folder: Path, protect: str = "", learner: str = "") -> Session:
    text = 'name="s"\ntask="classification"\nsponsor="hospital"\naddress="tcp://h:7001"\nassistors=["lab"]\n'
    (folder / "study.toml").write_text(text + protect)
    (folder / "lab.toml").write_text(
        'study="study.toml"\nparty="lab"\nhome="keys"\nrun_dir="run"\n[data]\npath="lab.csv"\nid="id"\n' + learner
    )
    (folder / "lab.csv").write_text("id,a\n007,1\n8,2\n9,4\n")
    if not (folder / "keys").exists():
        setup.keygen("lab", folder / "keys")
        setup.keygen("hospital", folder / "other")
        setup.trust_card(folder / "other" / "hospital.card", folder / "keys", False, lambda _: True)
    return open_session(folder / "lab.toml")


def test_without_a_person_or_the_flag_nothing_is_sent(tmp_path: Path) -> None:
    session = session_of(tmp_path)
    store = open_store(session)
    with pytest.raises(ConsentError, match="the labels of all training rows") as refused:
        require_consent(session, store, False, None)
    assert refused.value.exit_code == 3 and session.digest in str(refused.value)
    with pytest.raises(ConsentError):
        require_consent(session, store, False, lambda _: False)
    assert store.meta(consent.KEY) == ""
    store.close()


def test_consent_is_kept_for_that_digest_only(tmp_path: Path) -> None:
    session = session_of(tmp_path)
    store = open_store(session)
    require_consent(session, store, False, lambda text: session.digest in text)
    require_consent(session, store, False, None)
    store.close()
    other = session_of(tmp_path, "rounds = 3\n")
    store = open_store(other)
    with pytest.raises(ConsentError):
        require_consent(other, store, False, None)
    require_consent(other, store, True, None)
    store.close()


def test_encryption_of_residuals_still_reveals_fitted_values() -> None:
    encrypted = study(protect=Protect(residuals="ckks"))
    found = {item.message for item in who_learns_what(encrypted) if in_the_clear(item)}
    assert "encrypted-residual" not in found and {"encrypted-fitted", "encrypted-predict-reply"} <= found


@pytest.mark.parametrize("kind", ["gb", "svm", "mlp"])
def test_a_learner_that_cannot_be_fitted_on_ciphertexts_is_refused_by_check(kind: str, tmp_path: Path) -> None:
    encrypted = '[protect]\nresiduals = "ckks"\n'
    session_of(tmp_path, encrypted, f'[learner]\nkind = "{kind}"\n')
    with pytest.raises(SettingsError, match=r"must see the residual.*Choose one of"):
        setup.check_party(tmp_path / "lab.toml")
    session_of(tmp_path, encrypted, '[learner]\nkind = "linear"\nfeatures = "auto"\n')
    assert "strict: ring degree 16384" in setup.check_party(tmp_path / "lab.toml")
