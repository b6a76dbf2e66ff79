"""A primitive's neutral error becomes one that says whose fault it is, with the primitive's own as its cause."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from crypto.errors import CryptoError, KeyRetired, Malformed, Misuse, Refused, Unsuitable
from parties.run.ending import explained, known_as
from secure_gal import errors
from secure_gal.errors import DataError, EnvironmentFailure, PeerViolation, SettingsError, StateError, blamed, setting
from secure_gal.labels.schemes import ClassResponse, RangeInterval, RangeResponse

ALL = [
    Malformed("a tag stands more than once"),
    Unsuitable("clip", "0.0; accepted: a number above 0"),
    Misuse("this scalar was erased"),
    Refused("no room for work files"),
    KeyRetired("hospital.ckks", "it has decrypted 2 ciphertexts"),
]


@pytest.mark.parametrize("error", ALL)
def test_an_error_passes_between_processes_unchanged(error: CryptoError) -> None:
    again = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert type(again) is type(error) and str(again) == str(error) and vars(again) == vars(error)


def test_what_is_malformed_is_the_fault_of_whoever_sent_it() -> None:
    rule = r"^lab broke a rule of the protocol: a fit: too short$"
    with pytest.raises(PeerViolation, match=rule) as caught, blamed("lab", "a fit: "):
        raise Malformed("too short")
    assert caught.value.peer == "lab" and isinstance(caught.value.__cause__, Malformed)


def test_what_does_not_suit_is_the_fault_of_a_field() -> None:
    text = r"^\[protect\] clip: 0.0; accepted: a number above 0$"
    with pytest.raises(SettingsError, match=text) as caught, setting("[protect] clip"):
        raise ALL[1]
    assert caught.value.__cause__ is ALL[1]
    with pytest.raises(DataError, match=r"^ids: one is empty$"), setting(kind=DataError):
        raise Unsuitable("ids", "one is empty")
    with pytest.raises(SettingsError, match=r"^lab\.card: is not canonical$"), setting("lab.card"):
        raise Malformed("is not canonical")


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (lambda: ClassResponse(0.0, ("no", "yes")), r"^\[protect\] epsilon: 0\.0; accepted: 0\.01 to 20\.0$"),
        (lambda: RangeResponse(1.0, 2.0, 2.0), r"^\[protect\] label_range: \[2\.0, 2\.0\]; accepted: two finite"),
        (lambda: RangeInterval(2.0, 1.0), r"^\[protect\] label_range: \[2\.0, 1\.0\]; accepted: two finite"),
    ],
)
def test_a_primitives_parameter_is_named_as_the_field_that_it_comes_from(made: Callable[[], object], text: str) -> None:
    with pytest.raises(SettingsError, match=text):
        made()


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (ALL[2], StateError, "this scalar was erased"),
        (ALL[3], EnvironmentFailure, "no room for work files"),
        (ALL[4], errors.KeyRetired, r"^hospital\.ckks: this key has ended: it has decrypted 2 .*; learn anew"),
    ],
)
def test_what_is_nobodys_fault_outside_is_told_wherever_it_happens(
    error: CryptoError, kind: type[Exception], text: str
) -> None:
    for place in (blamed("lab"), setting("x")):
        with pytest.raises(kind, match=text) as caught, place:
            raise error
        assert caught.value.__cause__ is error and not isinstance(caught.value, PeerViolation)
    known = known_as(error)
    assert type(known) is kind


def test_an_error_of_ours_passes_as_it_is() -> None:
    for place in (blamed("lab"), setting("x")):
        with pytest.raises(PeerViolation, match=r"^insurer"), place:
            raise PeerViolation("insurer", "another one's fault")


def test_a_misuse_of_a_primitive_is_a_bug_whose_log_says_what_it_was(tmp_path: Path) -> None:
    known = explained(Misuse("this scalar was erased"), tmp_path)
    assert isinstance(known, StateError) and str(known).startswith("a bug of secure-gal: this scalar was erased; ")
    assert "crypto.errors.Misuse: this scalar was erased" in (tmp_path / "error.log").read_text()
