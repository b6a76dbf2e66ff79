"""Settings: TOML literals in, one validated and frozen object out, or an error that names the field.

`study.toml` is the same for every party; each party has its own private party file beside it.
"""

from __future__ import annotations

import hashlib
import math
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, assert_never

import msgspec

from crypto.names import NAME_PATTERN, NAME_RULE
from secure_gal import messages, study_digest
from secure_gal.classes import class_of, outputs_of
from secure_gal.errors import SettingsError
from secure_gal.ids import IdForm
from secure_gal.settings_errors import explain

MAX_SETTINGS_BYTES = 1 << 20
"""Bytes of a settings file; a real one has a few hundred."""
MAX_ASSISTORS = 64
MAX_ROUNDS = 1000
T = TypeVar("T")
Task = Literal["classification", "regression"]
LossName = Literal["cross_entropy", "l2", "l1", "huber"]
"""Overarching losses, `auto` resolved."""
LocalLoss = Literal["l1", "l1.5", "l2", "l4"]
"""Of a party's own fits, and of the sponsor's weights."""
Weighting = Literal["fitted", "uniform"]
WhichRows = Literal["common", "sponsor"]


class Protect(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the three private things of a study travel. Only modes that are built can be named."""

    ids: Literal["psi", "clear"] = "psi"
    residuals: Literal["none", "ckks", "dp", "ip"] = "none"
    predictions: Literal["none", "noise", "sum"] = "none"
    parameters: Literal["strict", "fast"] = "strict"
    """The CKKS parameter set (`crypto.ckks.PARAMETER_SETS`); only used where something is encrypted."""

    epsilon: float | None = None
    """`dp`: label differential privacy of every row, for everything that follows."""
    classes: tuple[str | int, ...] | None = None
    """`dp`, classification: all classes; public, since taken from the labels they could depend on one."""
    label_range: tuple[float, float] | None = None
    """`dp` and `ip`, regression: public range of the target in its own unit."""
    noise: float | None = None
    """`noise`: standard deviation, in the unit of the residual (at most about 1 in size)."""
    clip: float = 1.0
    """`noise`: fitted values are clipped to [-clip, clip] first."""

    @property
    def privatised(self) -> bool:
        """Whether everything that others observe is computed from released labels."""
        match self.residuals:
            case "dp" | "ip":
                return True
            case "none" | "ckks":
                return False
            case _:
                assert_never(self.residuals)

    @property
    def encrypted(self) -> bool:
        """Whether residuals travel as ciphertexts."""
        match self.residuals:
            case "ckks":
                return True
            case "none" | "dp" | "ip":
                return False
            case _:
                assert_never(self.residuals)

    @property
    def summed(self) -> bool:
        """Whether the sponsor sees sums over assistors only."""
        match self.predictions:
            case "sum":
                return True
            case "none" | "noise":
                return False
            case _:
                assert_never(self.predictions)

    @property
    def keyed(self) -> bool:
        """Whether the sponsor decrypts anything under a CKKS key."""
        return self.encrypted or self.summed

    @property
    def parameter_set(self) -> str:
        """The CKKS parameter set in use: sums need a ring of their own depth."""
        return "sum" if self.summed else self.parameters


class Study(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The settings that every party must share, with defaults filled in."""

    name: str
    task: Task
    sponsor: str
    address: str
    assistors: tuple[str, ...]
    loss: Literal["auto", "cross_entropy", "l2", "l1", "huber"] = "auto"
    outputs: int | None = None
    """K as the file gives it; `k` is what counts. Which classes there are, and in which order, stays with the
    sponsor."""
    rounds: int = 10
    weights: Weighting = "fitted"
    learning_rate: Literal["search"] | float = "search"
    validation: float = 0.2
    patience: int = 3
    patience_seconds: float = 600.0
    seed: int = 0
    rows: WhichRows = "common"
    id_form: IdForm = "text"
    max_ids: int = 2_000_000
    max_queries: int = 10_000_000
    aggregator: str = ""
    """`predictions = "sum"`: the assistor that adds up; the first one if the file names none."""
    leakage_threshold: float | None = None
    """`secure-gal leakage` fails where an attack gains more than this share (0 to 1) of what was left to learn."""
    protect: Protect = Protect()

    @property
    def parties(self) -> tuple[str, ...]:
        """All party names: the sponsor first, then the assistors as the file lists them."""
        return (self.sponsor, *self.assistors)

    @property
    def adder(self) -> str:
        """The aggregator of a study with `predictions = "sum"`, else empty."""
        return (self.aggregator or self.assistors[0]) if self.protect.summed else ""

    @property
    def form(self) -> IdForm | None:
        """How ids are normalised before they are compared; None keeps them verbatim (`ids = "clear"`)."""
        match self.protect.ids:
            case "psi":
                return self.id_form
            case "clear":
                return None
            case _:
                assert_never(self.protect.ids)

    @property
    def loss_name(self) -> LossName:
        """The overarching loss after `auto` is resolved by the task."""
        if self.loss != "auto":
            return self.loss
        match self.task:
            case "classification":
                return "cross_entropy"
            case "regression":
                return "l2"
            case _:
                assert_never(self.task)

    @property
    def k(self) -> int:
        """K, the number of outputs: the file's, else that of the public classes, else 1."""
        if self.outputs is not None:
            return self.outputs
        return outputs_of(len(self.protect.classes)) if self.protect.classes else 1

    def canonical(self, fingerprints: Mapping[str, str]) -> bytes:
        """The bytes that the study digest covers: everything but the address, and all card fingerprints."""
        body = study_digest.covered(self, study_digest.STUDY_FIELDS)
        del body["address"]
        body |= {"loss": self.loss_name, "outputs": self.k, "aggregator": self.adder, "version": study_digest.VERSION}
        body["protect"] = study_digest.covered(self.protect, study_digest.PROTECT_FIELDS)
        body["fingerprints"] = {name: fingerprints[name] for name in self.parties}
        return msgspec.json.encode(body, order="deterministic")

    def digest(self, fingerprints: Mapping[str, str]) -> str:
        """SHA-256 (64 hex digits) that every party computes offline from study.toml and its pinned cards."""
        return hashlib.sha256(study_digest.LABEL + self.canonical(fingerprints)).hexdigest()


class LearnerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[learner]`: the party's own local model; nobody else sees it."""

    kind: str = "linear"
    loss: LocalLoss | None = None
    device: str = "auto"
    features: str | tuple[str, ...] = ("standardized",)
    """For `linear`: one feature map of `secure_gal.features`, or a union of several."""
    fresh_features: bool = False
    """For `linear` on random maps: every round draws its map anew (`secure_gal.features.fresh`)."""
    options: dict[str, float | int | str | bool] = {}

    @property
    def maps(self) -> tuple[str, ...]:
        """`features` as a tuple, whether the file gives one name or a list."""
        return (self.features,) if isinstance(self.features, str) else tuple(self.features)


class DataSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[data]`: where the party's table lies and which columns are not features."""

    path: Path
    id: str | tuple[str, ...]
    label: str | None = None
    categorical: tuple[str, ...] = ()


class AuditSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[audit]`: `archive` keeps every payload, encrypted at rest under a key of the party's own."""

    archive: bool = False


class PartySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One party's private file; paths are absolute after loading."""

    study: Path
    party: str
    home: Path
    run_dir: Path
    data: DataSettings
    bind: str | None = None
    address: str | None = None
    proxy: str | None = None
    max_rows: int | None = None
    learner: LearnerSettings = LearnerSettings()
    audit: AuditSettings = AuditSettings()


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
        data=msgspec.structs.replace(literal.data, path=base / literal.data.path),
    )
    study = load_study(party.study)
    _check_party(party, study, path)
    return party, study


def _read_toml(path: Path) -> dict[str, Any]:
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


def convert(raw: dict[str, Any], kind: type[T], path: Path) -> T:
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


def _require(ok: bool, path: Path, field: str, value: object, accepted: str) -> None:
    if not ok:
        raise SettingsError(str(path), f"`{field}` is {value!r}; accepted: {accepted}")


def check_study(study: Study, path: Path) -> None:
    """Refuse a value outside its range, or settings that do not go together; `path` is named in the error.

    Raises:
        SettingsError: names the field and what is accepted.
    """
    _require(bool(NAME_PATTERN.fullmatch(study.name)), path, "name", study.name, NAME_RULE)
    for field, names in (("sponsor", (study.sponsor,)), ("assistors", study.assistors)):
        for name in names:
            _require(bool(NAME_PATTERN.fullmatch(name)), path, field, name, NAME_RULE)
    count = len(study.assistors)
    _require(1 <= count <= MAX_ASSISTORS, path, "assistors", study.assistors, f"1 to {MAX_ASSISTORS} names")
    distinct = len(set(study.parties)) == len(study.parties)
    _require(distinct, path, "assistors", study.assistors, "names that differ from each other and the sponsor")
    _require(_is_tcp(study.address), path, "address", study.address, "tcp://HOST:PORT")
    _require(1 <= study.rounds <= MAX_ROUNDS, path, "rounds", study.rounds, f"1 to {MAX_ROUNDS}")
    rate = study.learning_rate
    rate_ok = rate == "search" or (isinstance(rate, float) and math.isfinite(rate) and 0 < rate <= 1000)
    _require(rate_ok, path, "learning_rate", rate, '"search" or a number above 0, at most 1000')
    _require(0 <= study.validation <= 0.5, path, "validation", study.validation, "0 to 0.5 (share of the rows)")
    _require(1 <= study.patience <= MAX_ROUNDS, path, "patience", study.patience, f"1 to {MAX_ROUNDS} rounds")
    seconds = study.patience_seconds
    _require(1 <= seconds <= 7 * 86400, path, "patience_seconds", seconds, "1 to 604800 seconds")
    most = messages.MAX_ROWS
    _require(1 <= study.max_ids <= most, path, "max_ids", study.max_ids, f"1 to {most} ids a party and alignment")
    _require(
        study.max_queries >= 1, path, "max_queries", study.max_queries, "1 or more ids that an assistor is asked about"
    )
    gate = study.leakage_threshold
    _require(gate is None or 0 <= gate <= 1, path, "leakage_threshold", gate, "0 to 1, or nothing")
    _require(0 <= study.seed < 2**32, path, "seed", study.seed, "0 to 4294967295")
    classifies = study.task == "classification"
    fits = study.loss == "auto" or classifies == (study.loss == "cross_entropy")
    _require(
        fits,
        path,
        "loss",
        study.loss,
        f"{'cross_entropy' if classifies else 'l2, l1 or huber'} for task {study.task!r}, or auto",
    )

    _check_outputs(study, path)
    _check_protect(study, path)


def _check_outputs(study: Study, path: Path) -> None:
    most, classes = messages.MAX_OUTPUTS, study.protect.classes
    if study.task == "regression":
        _require(study.k == 1, path, "outputs", study.k, "1 for a regression")
        return
    _require(
        study.k == 1 or 3 <= study.k <= most,
        path,
        "outputs",
        study.k,
        f"1 for two classes, which share one output, else the number of classes, at most {most}",
    )
    distinct = classes is None or len({class_of(label) for label in classes}) == len(classes)
    _require(distinct, path, "protect.classes", classes, 'classes that differ from each other; 1 and "1" are the same')
    named = outputs_of(len(classes)) if classes else study.k
    _require(study.k == named, path, "outputs", study.k, f"{named}, as [protect] classes names them; or leave it out")


def _check_protect(study: Study, path: Path) -> None:
    protect, classifies = study.protect, study.task == "classification"
    epsilon, noise, range_ = protect.epsilon, protect.noise, protect.label_range
    dp, ip = protect.residuals == "dp", protect.residuals == "ip"
    _require(
        dp == (epsilon is not None), path, "protect.epsilon", epsilon, 'a number with residuals = "dp", else nothing'
    )
    _require(epsilon is None or 0.01 <= epsilon <= 20, path, "protect.epsilon", epsilon, "0.01 to 20")
    _require(
        not (ip and classifies),
        path,
        "protect.residuals",
        "ip",
        '"dp" for classification: half of the class labels would be named exactly by an interval',
    )
    needs = dp and classifies
    _require(
        needs == (protect.classes is not None),
        path,
        "protect.classes",
        protect.classes,
        'the list of all classes with residuals = "dp" and task = "classification", else nothing',
    )
    needs = protect.privatised and not classifies
    _require(
        needs == (range_ is not None),
        path,
        "protect.label_range",
        range_,
        '[low, high] with residuals = "dp" or "ip" and task = "regression", else nothing',
    )
    noised = protect.predictions == "noise"
    _require(
        noised == (noise is not None), path, "protect.noise", noise, 'a number with predictions = "noise", else nothing'
    )
    positive = all(v is None or (math.isfinite(v) and v > 0) for v in (noise, protect.clip))
    _require(positive, path, "protect.noise", (noise, protect.clip), "noise and clip above 0")
    _require(
        not (noised and protect.encrypted),
        path,
        "protect.predictions",
        "noise",
        'residuals other than "ckks": an assistor cannot add noise to fitted values that it cannot see',
    )
    _check_sum(study, path)


def _check_sum(study: Study, path: Path) -> None:
    named = study.aggregator
    if not study.protect.summed:
        _require(not named, path, "aggregator", named, 'nothing, unless [protect] predictions = "sum"')
        return
    if len(study.assistors) < 2:
        raise SettingsError(
            str(path),
            f'`protect.predictions` is "sum" with the one assistor {study.assistors[0]}: a sum of one '
            'is the value itself, so it would hide nothing; accepted: two or more assistors, or "none"',
        )
    _require(named in ("", *study.assistors), path, "aggregator", named, f"one of {', '.join(study.assistors)}")
    _require(
        study.rows == "common",
        path,
        "rows",
        study.rows,
        '"common" with predictions = "sum": a row that fewer than two assistors hold would have a sum of one',
    )


def _is_tcp(address: str) -> bool:
    host, _, port = address.removeprefix("tcp://").rpartition(":")
    return address.startswith("tcp://") and bool(host) and port.isdigit() and 1 <= int(port) <= 65535


def _check_party(party: PartySettings, study: Study, path: Path) -> None:
    several = not isinstance(party.data.id, str)
    _require(
        not several or study.protect.ids == "psi",
        path,
        "data.id",
        party.data.id,
        'one column; several make an id together only with ids = "psi"',
    )
    _require(bool(party.data.id), path, "data.id", party.data.id, "a column, or a list of columns")
    _require(party.party in study.parties, path, "party", party.party, f"one of {', '.join(study.parties)}")
    kind, fresh = party.learner.kind, party.learner.fresh_features
    _require(not fresh or kind != "none", path, "learner.fresh_features", fresh, 'false with kind "none"')
    if party.party == study.sponsor:
        bind = party.bind
        _require(bind is not None and _is_tcp(bind), path, "bind", bind, "tcp://*:PORT (the sponsor's one port)")
        label = party.data.label
        _require(label is not None, path, "data.label", label, "the sponsor's label column")
        for field in ("address", "proxy", "max_rows"):
            _require(getattr(party, field) is None, path, field, getattr(party, field), "only for an assistor")
        return
    _require(party.bind is None, path, "bind", party.bind, "only for the sponsor; an assistor opens no port")
    _require(party.data.label is None, path, "data.label", party.data.label, "only for the sponsor")
    _require(kind != "none", path, "learner.kind", kind, "a learner; only a sponsor may go without")
    for field in ("address", "proxy"):
        value = getattr(party, field)
        ok = value is None or _is_tcp(value if field == "address" else f"tcp://{value}")
        _require(ok, path, field, value, "tcp://HOST:PORT" if field == "address" else "HOST:PORT (SOCKS5)")
    cap = party.max_rows
    _require(cap is None or cap >= 1, path, "max_rows", cap, "1 or more rows")
