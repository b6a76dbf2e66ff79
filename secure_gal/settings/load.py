"""Settings files: TOML literals in, one validated and frozen object out, or an error that names the field."""

from __future__ import annotations

import tomllib
from pathlib import Path

import msgspec

from secure_gal.errors import SettingsError
from secure_gal.settings.checks import _check_party, check_study
from secure_gal.settings.explanations import explain
from secure_gal.settings.party import PartySettings
from secure_gal.settings.study import MAX_SETTINGS_BYTES, Study, T
from secure_gal.settings.workers import within


def load_study(path: Path) -> Study:
    """Read and validate study.toml.

    Raises:
        SettingsError: unreadable file, unknown or missing field, or a value outside its range.
    """
    study = convert(_read_toml(path), Study, path)
    check_study(study, path)
    return study


def load_party(path: Path) -> tuple[PartySettings, Study]:
    """Read a party file and the study it names; relative paths are relative to the file that names them.

    Raises:
        SettingsError: as `load_study`, or a party file that does not fit its role in the study.
    """
    literal = convert(_read_toml(path), PartySettings, path)
    base = path.resolve().parent
    party = msgspec.structs.replace(
        literal,
        study=base / literal.study,
        home=base / literal.home,
        run_dir=base / literal.run_dir,
        learner=msgspec.structs.replace(literal.learner, tls=within(base, literal.learner.tls)),
        data=msgspec.structs.replace(
            literal.data,
            path=base / literal.data.path,
            schema=base / (literal.data.schema or f"{path.stem}.schema.toml"),
        ),
    )
    study = load_study(party.study)
    _check_party(party, study, path)
    return party, study


def _read_toml(path: Path) -> dict[str, object]:
    try:
        if path.stat().st_size > MAX_SETTINGS_BYTES:
            raise SettingsError(str(path), f"is larger than {MAX_SETTINGS_BYTES} bytes; is it a settings file?")
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(str(path), "no such file; `secure-gal new NAME` writes one to start from") from None
    except OSError as error:
        raise SettingsError(str(path), f"cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(str(path), f"is not valid TOML: {error}") from error


def convert(raw: dict[str, object], kind: type[T], path: Path) -> T:
    """Parse settings strictly; `path` is named in the error.

    Raises:
        SettingsError: an unknown or missing field, or a value of another type; names what is accepted.
    """
    try:
        return msgspec.convert(raw, kind, dec_hook=_path_hook)
    except msgspec.ValidationError as error:
        raise SettingsError(str(path), explain(str(error), raw, kind)) from error


def _path_hook(kind: type, value: object) -> object:
    if kind is Path and isinstance(value, str) and value:
        return Path(value)
    raise ValueError("expected a path as non-empty text")
