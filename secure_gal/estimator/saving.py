"""An estimator that has learnt, in one file: tensors of safetensors, and JSON that says whose they are.

    0       b"secure-gal estimator 1\n"
    then    SHA-256 of the rest, so that what a disk or a line has changed is refused whole
    then    one safetensors file: tensors `0`, `1` and so on, and `estimator`, canonical JSON (`_File`)

Rows of a party's state that are bytes are tensors of uint8. What is in the file is data: models are read by
`secure_gal.learners.storage`, which runs none of it and refuses classes that it does not know.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from crypto.private_files import write_new
from secure_gal.data.schema import Schema
from secure_gal.errors import SettingsError
from secure_gal.estimator.complete import missing_of
from secure_gal.estimator.fitted import Fitted, PartyFitted
from secure_gal.holdings.budget import Kind
from secure_gal.learners import storage
from secure_gal.settings.checks import check_study
from secure_gal.settings.party import LearnerSettings
from secure_gal.settings.study import Study

if TYPE_CHECKING:
    from secure_gal.estimator.after_fit import AfterFit

E = TypeVar("E", bound="AfterFit")
FORMAT = b"secure-gal estimator 1\n"
HEAD = "estimator"
KEPT = (
    "classes_",
    "_columns_",
    "n_features_in_",
    "feature_names_in_",
    "F_",
    "train_mask_",
    "n_rounds_",
    "evaluation_",
    "calibration_",
    "contributions_",
    "verdict_",
    "findings_",
    "manifest_",
    "transcript_",
    "cost_",
)
"""Attributes that are written beside the parties' states; `history_` follows from these."""
CONTENT = "content"
"""Of a row of `transcript_` with `keep_messages`: never written. It is for attacks in this process: residuals, and so
labels, which whoever has the file need not get once more in the clear."""


class _Party(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    learner: LearnerSettings
    schema: Schema | None
    inner: tuple[int, ...]
    spent: dict[Kind, int]
    arrays: dict[str, int]
    texts: dict[str, int]


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`arrays` and `texts`: by key of a state, the tensor of an array or of bytes; the same of the key's files."""

    version: str
    study: Study
    parties: tuple[_Party, ...]
    key: dict[str, int]
    kept: int


class _Beside(TypedDict):
    parameters: dict[str, object]
    attributes: dict[str, object]


def save(estimator: AfterFit, path: Path) -> None:
    """Write a fitted estimator, mode 0600.

    Raises:
        SettingsError: the file is there already, cannot be written, or a parameter is nothing that `load` would read.
    """
    from safetensors.numpy import save as tensors_of

    from secure_gal import __version__

    arrays: list[npt.NDArray[Any]] = []
    fitted: Fitted = estimator.fitted_
    parameters = {name: value for name, value in estimator.get_params(deep=False).items() if name != "learners"}
    attributes = {name: getattr(estimator, name) for name in KEPT if hasattr(estimator, name)}
    rows = attributes.get("transcript_", [])
    attributes["transcript_"] = [{name: value for name, value in row.items() if name != CONTENT} for row in rows]
    for name in ("classes_", "feature_names_in_"):
        if name in attributes:
            attributes[name] = _listed(attributes[name])
    beside = storage.dump({"parameters": _plain(parameters), "attributes": attributes})
    storage.load(beside)  # what could not be read again is not written
    parties = tuple(_party(part, arrays) for part in fitted.parties)
    key = {name: _number(raw, arrays) for name, raw in fitted.key.items()}
    file = _File(__version__, fitted.study, parties, key, _number(beside, arrays))
    tensors = {str(number): array for number, array in enumerate(arrays)}
    tensors[HEAD] = np.frombuffer(msgspec.json.encode(file, order="deterministic"), dtype=np.uint8)
    try:
        write_new(path, framed(bytes(tensors_of(tensors))), 0o600)
    except FileExistsError:
        raise SettingsError(str(path), "exists; remove it, or name another file") from None
    except OSError as error:
        raise SettingsError(str(path), f"cannot be written: {error.strerror}") from error


def framed(body: bytes) -> bytes:
    """The file whose tensors are these bytes."""
    return FORMAT + hashlib.sha256(body).digest() + body


def _listed(values: npt.NDArray[Any]) -> tuple[str, list[object]]:
    """An array of numbers, texts, days or times as its type and values."""
    numbers = values.view(np.int64) if values.dtype.kind in "mM" else values
    return values.dtype.str, numbers.tolist()


def _array(listed: object) -> npt.NDArray[Any]:
    """What `_listed` made."""
    kind, values = msgspec.convert(listed, tuple[str, list[object]])
    return np.array(values, dtype=kind)


def _plain(value: object) -> object:
    """Parameters as data: numbers and arrays of NumPy become Python's."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if type(value) is tuple:
        return tuple(map(_plain, value))
    return list(map(_plain, value)) if type(value) is list else value


def _number(value: npt.NDArray[Any] | bytes, arrays: list[npt.NDArray[Any]]) -> int:
    array = np.frombuffer(value, dtype=np.uint8) if isinstance(value, bytes) else value
    arrays.append(np.array(array, order="C"))
    return len(arrays) - 1


def _party(part: PartyFitted, arrays: list[npt.NDArray[Any]]) -> _Party:
    numbers = {key: _number(value, arrays) for key, value in part.state.items()}
    texts = {key: number for key, number in numbers.items() if isinstance(part.state[key], bytes)}
    held = {key: number for key, number in numbers.items() if key not in texts}
    spent = dict(part.spent)
    return _Party(part.name, part.learner, part.schema, part.inner, spent, held, texts)


def load(kind: type[E], path: Path, trusted: tuple[str, ...]) -> E:
    """The estimator that `save` wrote, of the class `kind`.

    Args:
        trusted: starts of modules' names whose classes saved models may name.

    Raises:
        SettingsError: not such a file, of another format, damaged, or with a model of a class that is not known.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load as read

    try:
        raw = path.read_bytes()
    except OSError as error:
        raise SettingsError(str(path), f"cannot be read: {error.strerror}") from error
    if not raw.startswith(FORMAT):
        raise SettingsError(str(path), f"is no estimator of the format {FORMAT.decode().strip()!r}")
    body = raw[len(FORMAT) + hashlib.sha256().digest_size :]
    if framed(body) != raw:
        raise SettingsError(str(path), "is damaged: it is not as it was written")
    try:
        tensors = read(body)
        file = msgspec.json.decode(tensors.pop(HEAD).tobytes(), type=_File)
        fitted = Fitted(file.study, tuple(_read(part, tensors) for part in file.parties), _texts(file.key, tensors))
        beside: _Beside = storage.load(tensors[str(file.kept)].tobytes())
        check_study(file.study, path)
        if lost := missing_of(fitted):
            raise SettingsError(str(path), f"has no entry {lost}, which predictions read; is it as it was saved?")
        for part in fitted.parties:
            _try(part, trusted, path)
        return _estimator(kind, fitted, beside, path)
    except (SafetensorError, msgspec.MsgspecError, *storage.WRONG_NODES) as error:
        raise SettingsError(str(path), f"is damaged: {error}") from error


def _texts(numbers: Mapping[str, int], tensors: Mapping[str, npt.NDArray[Any]]) -> dict[str, bytes]:
    return {key: tensors[str(number)].tobytes() for key, number in numbers.items()}


def _read(part: _Party, tensors: Mapping[str, npt.NDArray[Any]]) -> PartyFitted:
    state = {key: tensors[str(number)] for key, number in part.arrays.items()} | _texts(part.texts, tensors)
    return PartyFitted(part.name, part.learner, part.schema, part.inner, state, part.spent)


def _try(part: PartyFitted, trusted: tuple[str, ...], path: Path) -> None:
    """Read every saved model once, so that a class that is not known is refused before anything is used."""
    for key, value in part.state.items():
        if isinstance(value, bytes) and value.startswith(b"secure-gal model"):
            try:
                storage.load(value, trusted)
            except SettingsError as error:
                raise SettingsError(str(path), f"{part.name}, {key}: {error.problem}") from error


def _estimator(kind: type[E], fitted: Fitted, beside: _Beside, path: Path) -> E:
    from secure_gal.estimator.predicting import rounds_of

    attributes = beside["attributes"]
    try:
        learners = {part.name: part.learner for part in fitted.parties if part.learner.kind != "none"}
        made = kind(learners=learners, **beside["parameters"])
    except TypeError as error:
        raise SettingsError(str(path), f"has parameters of another release: {error}") from error
    if stray := attributes.keys() - set(KEPT):
        raise SettingsError(str(path), f"has attributes of another release: {', '.join(sorted(stray))}")
    for name, value in attributes.items():
        setattr(made, name, _array(value) if name in ("classes_", "feature_names_in_") else value)
    made.history_, made.fitted_ = rounds_of(fitted), fitted
    return made
