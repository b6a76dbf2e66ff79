"""`new`, `keygen`, `trust` and `check`: what is done before anything is sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from crypto.names import NAME_PATTERN, NAME_RULE
from parties.commands.at_hand import AtHand, at_hand
from parties.run.keys import Pins, make_identity, read_card
from parties.run.session import Session
from secure_gal.errors import SettingsError
from secure_gal.manifest import manifest

if TYPE_CHECKING:
    from secure_gal.data.table import Table
    from secure_gal.holdings.budget import Kind

STUDY = """\
# The same file for every party: copy it, never edit one copy alone. Every field below the line is optional.
name = "{study}"
task = "classification"        # or "regression"
sponsor = "{name}"             # has the labels, opens the one port
address = "tcp://{name}.example.org:7001"   # what the assistors dial
assistors = ["lab", "insurer"]
# ---------------------------------------------------------------- defaults
outputs = 1                    # K; for a classification with more than two classes their number
loss = "auto"                  # cross_entropy, or l2 for regression; or l1, huber, quantile, poisson, gamma
rounds = 10
weights = "fitted"             # gradient assistance weights; or "uniform"; or "paper": on values that fits have seen
learning_rate = "search"       # gradient assisted learning rate; or a number
validation = 0.0               # share of the rows that no fit sees, drawn at random from `seed`; they only report
patience = 3                   # rounds without a better out-of-fold loss of the training rows
patience_seconds = 600.0       # how long to wait for an assistor that is away
seed = 0
rows = "common"                # ids that all parties hold; or "sponsor": all of the sponsor's, parts may be missing
id_form = "text"               # how ids are compared: text, lower (case), digits (only)
max_ids = 2000000              # ids a party may bring to one alignment
max_queries = 10000000         # ids an assistor is ever asked about, over all runs and studies on its data

[protect]                      # what the RECEIVER sees; the channels are always encrypted
ids = "psi"                    # private set intersection; with "clear" the sponsor sees every id
residuals = "ckks"             # ciphertexts; with "none" assistors can read the labels off the residuals
parameters = "standard"        # CKKS parameter set of 128-bit security; or "strict": 192, twice the time and traffic
predictions = "none"           # the sponsor sees every assistor's fitted values; with "sum" only their weighted sum
"""
SPONSOR = """\
# {name}'s own settings; relative paths are relative to this file.
study = "study.toml"
party = "{name}"
home = "keys"                  # {name}.key and the pinned cards
run_dir = "run"                # checkpoints, model, results
bind = "tcp://*:7001"          # the study's one open port

[data]
path = "{name}.csv"            # or .parquet, .xlsx, .npz, .npy; or source = "postgresql://..." and query = "..."
id = "id"                      # or several columns: ["surname", "born"]
label = "label"
# categorical = ["postcode"]   # columns of numbers that are really names
# columns = ["age", "dose"]    # the features that may take part; all others are left out
# missing_values = ["-999"]    # what else stands for a missing value; `secure-gal schema` shows what was found

[learner]
kind = "linear"                # {kinds}, python:module:factory, or none without features

# [report]                     # two classes:
# threshold = "f1"             # where `prediction` is cut; or "cost:FN=5,FP=1", or a number
# groups = ["sex"]             # columns by whose values results are told apart
"""
ASSISTOR = """\
# {name}'s own settings; relative paths are relative to this file.
study = "study.toml"           # the sponsor's file, copied
party = "{name}"
home = "keys"                  # {name}.key and the pinned cards
run_dir = "run"                # checkpoints and models
# address = "tcp://10.0.0.5:7001"   # instead of the study's
# proxy = "socks.example.org:1080"  # SOCKS5
# max_rows = 100000            # the most rows it will ever predict from this data, over all runs and studies
# audit = {{ archive = true }}   # keep every payload, encrypted under this party's own key

[data]
path = "{name}.csv"            # or .parquet, .xlsx; or source = "postgresql://..." and query = "..."
id = "id"                      # or several columns: ["surname", "born"]
# categorical = ["postcode"]   # columns of numbers that are really names
# columns = ["age", "dose"]    # the features that may take part; all others are left out
# missing_values = ["-999"]    # what else stands for a missing value; `secure-gal schema` shows what was found

[learner]
kind = "linear"                # with residuals = "ckks"; else also {clear}, python:module:factory
features = "auto"              # {maps}, python:..., or a list
# fresh_features = true        # a new map every round, for predictions = "sum"; with {random} or both
# device = "auto"              # for {torch}: auto, cpu, cuda, cuda:1
"""


def _known() -> dict[str, str]:
    """Learners and feature maps by name, as the templates list them."""
    from secure_gal.features.declare import KINDS as MAPS
    from secure_gal.learners.declare import KINDS

    kinds, maps = KINDS.every(), MAPS.every()
    lists = {
        "kinds": [kind.name for kind in kinds],
        "clear": [kind.name for kind in kinds if kind.head is None],
        "torch": [kind.name for kind in kinds if kind.torch],
        "maps": [kind.name for kind in maps],
        "random": [kind.name for kind in maps if kind.draw is not None],
    }
    return {what: ", ".join(names) for what, names in lists.items()}


def new_files(name: str, role: str, folder: Path) -> list[Path]:
    """Write templates; never overwrites."""
    if not NAME_PATTERN.fullmatch(name):
        raise SettingsError("name", f"{name!r}; accepted: {NAME_RULE}")
    if role not in ("sponsor", "assistor"):
        raise SettingsError("--role", f"{role!r}; accepted: sponsor, assistor")
    texts = {f"{name}.toml": ASSISTOR.format(name=name, **_known())}
    if role == "sponsor":
        texts = {
            "study.toml": STUDY.format(name=name, study="study"),
            f"{name}.toml": SPONSOR.format(name=name, **_known()),
        }
    for file in texts:
        if (folder / file).exists():
            raise SettingsError(str(folder / file), "is already there and is never overwritten; move it away first")
    for file, text in texts.items():
        (folder / file).write_text(text, encoding="utf-8")
    return [folder / file for file in texts]


def keygen(name: str, home: Path) -> str:
    """Make and save keys; returns what to tell the person."""
    identity = make_identity(name, home)
    return (
        f"fingerprint {identity.card.fingerprint}\n{home / f'{name}.key'}: private, stays on this machine\n"
        f"{home / f'{name}.card'}: give it to every other party, and read them the fingerprint"
    )


def trust_card(path: Path, home: Path, replace: bool, confirm: Callable[[str], bool]) -> str:
    """Pin a card after confirmation; returns what to tell the person."""
    card, pins = read_card(path), Pins(home)
    known = pins.all().get(card.name)
    if known is not None and known != card and not replace:
        pins.add(card)  # raises, with the fix
    text = f"name        {card.name}\nfingerprint {card.fingerprint}"
    if not confirm(f"{text}\nDoes {card.name} read out the same fingerprint?"):
        raise SettingsError(str(path), "not confirmed, not pinned; --yes where the fingerprint was compared already")
    pins.add(card, replace=replace)
    return f"{text}\n{card.name} is trusted"


def describe_pins(home: Path) -> str:
    """One line a pinned card."""
    lines = [f"{card.name:<16} {card.fingerprint}" for card in Pins(home).all().values()]
    return "\n".join(lines) or f"no cards are pinned in {home}"


def budgets(session: Session, table: Table) -> list[str]:
    """What an assistor's data has given away of what it may, a line a budget."""
    from parties.run.budget import FILE, look

    study, party = session.study, session.party
    spent = look(party.home, table)
    most = "; no max_rows is set" if party.max_rows is None else f" of {party.max_rows:,} (max_rows)"
    lines = [
        f"budgets of this data over all keys, runs and studies ({party.home / FILE}; deleting it resets them):",
        f"- ids that were asked about: {spent['queries']:,} of {study.max_queries:,} (max_queries)",
        f"- rows predicted: {spent['rows']:,}{most}",
    ]
    if study.protect.encrypted or study.protect.summed:
        from crypto.ckks.sets import named

        lines.append(f"- reply ciphertexts: {spent['replies']:,} of {named(study.protect.parameter_set).tau:,} (tau)")
    return lines + (_sums(session, table.frame.width, spent) if study.protect.summed else [])


def _sums(session: Session, columns: int, spent: Mapping[Kind, int]) -> list[str]:
    """What is known before the study about T*K against the assistors' features: this party's own share, and the
    past."""
    from crypto.ckks.products import MAX_PRODUCTS_COST
    from secure_gal.protection.sums.exposure import equations
    from secure_gal.settings.limits import LIMIT, OWN_LIMIT

    study, before = session.study, spent["sums"]
    count = equations(study.rounds, study.k) + before
    past = f", {before:,} of them released before" if before else ""
    fresh = (
        ". fresh_features: every round's sums are about a new map, so that there are T times as many unknowns and no "
        "single fit of this party can be solved for; the limits are about columns, which every map shows, and "
        "stay as they are"
    )
    own = count / max(1, columns)
    beyond = "" if own <= OWN_LIMIT else ", which is beyond it"
    share = 100 * spent["products"] / MAX_PRODUCTS_COST
    return [
        f"- sums: T*K = {count:,} equations{past}, against {columns} columns here (or the features made of them, if "
        f"these are fewer), a ratio of {own:.2f}{beyond}, and those of the other {len(study.assistors) - 1} assistors; "
        f"above {OWN_LIMIT:g} for each of those here or {LIMIT:g} for each of all, `assist` takes part only with "
        "--beyond own-sums=NUMBER or sums=NUMBER, because over rounds the sums are linear equations in the "
        f"assistors' features{fresh if session.party.learner.fresh_features else ''}",
        f"- inner products: {share:.2g}% of what hides them",
    ]


def replies_ahead(session: Session, rows: int) -> str:
    """What the rounds take of the budget tau if all rows of this party take part: of its data, or of the sponsor's key.

    Raises:
        SettingsError: more than there is, however few rows take part.
    """
    from crypto.ckks.sets import named
    from parties.run.ckks_key import released
    from secure_gal.gal.split import split_rows
    from secure_gal.protection.reply_counts import budget_problem, learning_decryptions, learning_replies

    study = session.study
    if why := budget_problem(study, 1, 0):
        raise SettingsError("study.toml", why)
    train, params = int(split_rows(rows, study.validation, study.seed).sum()), named(study.protect.parameter_set)
    beyond = budget_problem(study, train, rows - train)
    needed = learning_replies(study, train, rows - train)
    text = (
        f"replies: learning takes {needed:,} of tau = {params.tau:,} reply ciphertexts if all {rows:,} rows here "
        f"take part"
        f"{f', too many: {beyond}' if beyond else ''}"
    )
    if session.party.party != study.sponsor:
        return text
    used, due = released(session.party.home, session.digest, params), learning_decryptions(study, train, rows - train)
    return (
        f"{text}\nkey: {used:,} of {params.tau:,} ciphertexts decrypted so far under this study's key, over all its "
        f"runs; learning decrypts {due:,}"
    )


def _label_warning(session: Session, ids: Sequence[str]) -> list[str]:
    """Why a sponsor's labels would not be released, at most one line: `train` can be told to go on, so it is a
    warning."""
    if not session.study.protect.privatised or session.party.party != session.study.sponsor:
        return []
    from secure_gal.holdings.privatised import check_known_labels

    try:
        check_known_labels(session.party, session.study, ids)
    except SettingsError as error:
        return [f"`secure-gal train` will refuse: {error}"]
    return []


def _columns(session: Session, table: Table) -> str:
    """How every column is read, and notes of this reading; empty for arrays."""
    from parties.commands.schema import shown
    from secure_gal.data.table import look

    if table.schema is None:
        return ""
    now = table.findings
    lines = shown(look(session.party.data), table.schema) if now is None else shown(now, None)
    return "".join(f"{line}\n" for line in [*lines, *(f"note: {text}" for text in table.notes), ""])


def check_party(file: Path, party: AtHand | None = None) -> str:
    """Validate settings, keys, pins, learner and data offline; returns the manifest, the bytes to come, how ids and
    labels look, and warnings. `party` where it was opened already."""
    from parties.commands.ahead import bytes_ahead
    from parties.commands.looks import classes_of, ids_in_words
    from secure_gal.holdings.check import check_data
    from secure_gal.protection import admit

    session, model, _ = party or at_hand(file)
    if session.party.party != session.study.sponsor:
        admit(session.party, session.study)
    columns = _columns(session, model.table)
    found = check_data(model.table, session.party, session.study) + _label_warning(session, model.ids)
    ids, mixed = ids_in_words(model.table, session.study)
    classes = classes_of(model.table, session.party, session.study)
    found += [*mixed, *(classes.warnings() if classes else [])]
    looks = "\n".join([*ids, *(classes.lines() if classes else [])])
    warnings = "".join(f"warning: {text}\n" for text in found)
    data = f"{len(model.ids):,} rows, {model.table.frame.width} feature columns"
    sponsor = session.party.party == session.study.sponsor
    more = [] if sponsor else budgets(session, model.table)
    if session.study.protect.keyed:
        more = [*more, replies_ahead(session, len(model.ids))]
    last = "\n".join([f"this party {session.party.party}: {data}; everything checked", *more])
    head = f"{manifest(session.study, session.fingerprints)}\n\n{bytes_ahead(session, model)}\n\n{columns}"
    return f"{head}{looks}\n\n{warnings}{last}"
