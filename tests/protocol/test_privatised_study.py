"""Studies on released labels: nothing that another party sees depends on a label but through its release."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from parties.run.node import Node
from secure_gal import messages
from secure_gal.errors import DataError, PeerViolation, SettingsError
from secure_gal.holdings.sponsor import SponsorData
from secure_gal.manifest import who_learns_what
from secure_gal.protection import sponsor_data
from secure_gal.protocol import roles
from secure_gal.settings.load import load_study
from secure_gal.settings.party import DataSettings, PartySettings
from secure_gal.settings.study import Protect, Study
from secure_gal.state import State
from tests.support.simulation import MemoryStore, Network, Party
from tests.support.study_in_memory import NAMES, Arrays, context, make_node, study
from transport import wire

CLASSES = Protect(ids="clear", residuals="dp", epsilon=1.0, classes=("no", "yes"))
RANGE = Protect(ids="clear", residuals="dp", epsilon=2.0, label_range=(-4.0, 4.0))
INTERVAL = Protect(ids="clear", residuals="ip", label_range=(-4.0, 4.0))


def settings_of(protect: Protect) -> Study:
    task = "classification" if protect.classes else "regression"
    return study(task=task, protect=protect)


def sponsor_model(
    folder: Path, protect: Protect, values: list[object], label: str = "y", labels: int = 1
) -> SponsorData:
    """The sponsor's data: a table with these labels; releases are kept in `folder`."""
    x = Arrays("hospital").x
    table = {"id": [f"r{i}" for i in range(120)]} | {f"c{j}": x[:120, j] for j in range(3)}
    pl.DataFrame(table | {label: values}).write_csv(folder / "hospital.csv")
    data = DataSettings(folder / "hospital.csv", "id", label)
    party = PartySettings(folder / "study.toml", "hospital", folder, folder / "run", data, bind="tcp://*:1")
    return sponsor_data(party, settings_of(protect), folder, lambda _: None, most=labels)


def run(folder: Path, protect: Protect, values: list[object], label: str = "y") -> Network:
    """One study whose sponsor has these labels."""
    settings = settings_of(protect)

    def make_party(name: str) -> Party:
        fixed = context(name, settings)

        def make(store: MemoryStore) -> Node:
            state, nonce = State(store.values), bytes(16)
            if name == "hospital":
                model = sponsor_model(folder, protect, values, label)
                role: object = roles.sponsor(fixed, model, state, nonce)
            else:
                role = roles.assistor(fixed, Arrays(name, 5), state, nonce)
            return make_node(role, store, fixed)

        return Party(name, make)

    network = Network(make_party("hospital"), [make_party(name) for name in NAMES[1:]])
    network.run()
    return network


def payloads(network: Network) -> list[tuple[str, str, int, bytes]]:
    """Every payload that the sponsor sent, but for what carries fresh nonces, signatures or heads."""
    found = []
    for sender, recipient, frames in network.sent:
        header = wire._header(sender, frames)[0]
        if sender == "hospital" and header.kind in ("rows", "privatised-residual", "finish"):
            found.append((recipient, header.kind, header.round, b"".join(frames[3:])))
    return sorted(found)


def truths(protect: Protect) -> tuple[list[object], list[object]]:
    rng = np.random.default_rng(0)
    if protect.classes:
        first = rng.random(120) < 0.4
        return [("no", "yes")[int(v)] for v in first], [("no", "yes")[int(v)] for v in ~first]
    values = rng.standard_normal(120)
    return values.tolist(), (-2 * values).tolist()


@pytest.mark.parametrize("protect", [CLASSES, RANGE, INTERVAL])
def test_equal_releases_give_equal_bytes_whatever_the_labels_are(protect: Protect, tmp_path: Path) -> None:
    one, other = truths(protect)
    first = run(tmp_path, protect, one)
    again = run(tmp_path, protect, other)
    assert payloads(first) == payloads(again) and len(payloads(first)) >= 2 * 3
    (tmp_path / "releases" / "y.json").unlink()
    assert payloads(run(tmp_path, protect, one)) != payloads(first), "a fresh release differs: the test can fail"


def test_a_label_column_under_another_name_draws_no_new_releases(tmp_path: Path) -> None:
    """Before anybody has aligned with the sponsor; with the file of releases renamed as well, the bytes are the
    same."""
    labels = truths(CLASSES)[0]
    first = run(tmp_path, CLASSES, labels)
    before = (tmp_path / "releases" / "y.json").read_bytes()
    with pytest.raises(SettingsError, match=r"120 of its ids .* released before as 'y' "):
        sponsor_model(tmp_path, CLASSES, labels, "outcome")
    assert not (tmp_path / "releases" / "outcome.json").exists()
    assert (tmp_path / "releases" / "y.json").read_bytes() == before
    (tmp_path / "releases" / "y.json").rename(tmp_path / "releases" / "outcome.json")
    assert payloads(run(tmp_path, CLASSES, labels, "outcome")) == payloads(first)
    second = sponsor_model(tmp_path, CLASSES, labels, "second", labels=2)
    second.prepare(np.arange(120), np.ones(120, dtype=np.bool_))
    assert (tmp_path / "releases" / "second.json").exists()


def test_true_labels_are_reported_to_the_sponsor_only(tmp_path: Path) -> None:
    network = run(tmp_path, CLASSES, truths(CLASSES)[0])
    values = network.sponsor.store.values
    found = [float(values[key][0]) for key in values if key.startswith("true-metric/")]
    assert len(found) == 1 + len(network.sponsor.node.role.ensemble.history) and all(0.0 <= v <= 1.0 for v in found)
    assert not any(key.startswith("true-metric/") for party in network.others for key in party.store.values)


def test_a_clear_residual_is_refused_in_a_privatised_study(tmp_path: Path) -> None:
    fixed = context("lab", settings_of(CLASSES))
    role = roles.assistor(fixed, Arrays("lab", 5), State({"phase": b"learning", "train": np.ones(3, np.uint8)}), b"")
    with pytest.raises(PeerViolation, match="legal: finish, privatised-residual"):
        role.receive("hospital", messages.Residual(np.zeros((3, 1), np.float32), 1))


def test_the_manifest_states_the_mechanism() -> None:
    told = {item.message: item for item in who_learns_what(settings_of(CLASSES))}
    assert "residual" not in told
    assert "randomised response, epsilon 1.0" in told["privatised-residual"].protection
    assert "at most what epsilon 1 allows" in told["privatised-residual"].inference
    assert (
        "no epsilon" in {i.message: i for i in who_learns_what(settings_of(INTERVAL))}["privatised-residual"].inference
    )


def test_noised_predictions_in_a_study() -> None:
    protect = Protect(ids="clear", predictions="noise", noise=0.5, clip=1.0)
    settings = study(protect=protect)

    def make_party(name: str) -> Party:
        fixed = context(name, settings)

        def make(store: MemoryStore) -> Node:
            protocol, offset = (roles.sponsor, 0) if name == "hospital" else (roles.assistor, 5)
            state = State(store.values)
            return make_node(protocol(fixed, Arrays(name, offset), state, bytes(16)), store, fixed)  # type: ignore[arg-type]

        return Party(name, make)

    network = Network(make_party("hospital"), [make_party(name) for name in NAMES[1:]])
    network.run()
    kinds = {wire._header(sender, frames)[0].kind for sender, _, frames in network.sent}
    assert "noised-fitted" in kinds and "fitted" not in kinds
    sent = next(f for s, _, f in network.sent if wire._header(s, f)[0].kind == "noised-fitted")
    values = np.frombuffer(b"".join(sent[3:]), dtype="<f4")
    assert values.std() > 0.4, "a clear fit of this study has a deviation well below the noise"


@pytest.mark.parametrize(
    ("protect", "message"),
    [
        ('residuals = "dp"', "protect.epsilon"),
        ('residuals = "dp"\nepsilon = 50.0\nclasses = ["a", "b"]', "0.01 to 20"),
        ('residuals = "dp"\nepsilon = 1.0', "protect.classes"),
        ('residuals = "ip"\nlabel_range = [0.0, 1.0]', "for classification"),
        ("epsilon = 1.0", "protect.epsilon"),
        ('predictions = "noise"', "protect.noise"),
        ('predictions = "noise"\nnoise = -1.0', "above 0"),
        ('predictions = "noise"\nnoise = 1.0\nresiduals = "ckks"', "cannot add noise"),
    ],
)
def test_bad_settings_name_the_field(protect: str, message: str, tmp_path: Path) -> None:
    text = 'name="s"\ntask="classification"\nsponsor="hospital"\naddress="tcp://h:7001"\nassistors=["lab"]\n[protect]\n'
    (tmp_path / "study.toml").write_text(text + protect)
    with pytest.raises(SettingsError, match=message):
        load_study(tmp_path / "study.toml")


def test_a_label_outside_the_public_classes_is_refused_before_the_study_starts(tmp_path: Path) -> None:
    labels = ["no"] * 119 + ["perhaps"]
    with pytest.raises(DataError, match="'perhaps', which is none of the study's classes"):
        run(tmp_path, CLASSES, labels)
    assert not (tmp_path / "releases").exists()
    with pytest.raises(DataError, match="must be a number"):
        run(tmp_path, RANGE, ["1.5"] * 119 + ["high"])
