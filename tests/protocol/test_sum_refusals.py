"""What would single out one assistor of a sum is refused: weights, sealed fits, declarations and whole studies."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from crypto.ckks.fits import DIFFERENCE_BYTES
from crypto.sealed_box import OVERHEAD_BYTES
from secure_gal import messages
from secure_gal.effects import Compute
from secure_gal.errors import ConsentError, PeerViolation, SettingsError
from secure_gal.protection.sums.sponsor import SumRecords
from secure_gal.protection.sums.weights import W_MIN
from secure_gal.protocol.assistor import Assistor
from secure_gal.settings.limits import Beyond
from tests.support.simulation import Network
from tests.support.study_in_memory import NAMES, party_in, study
from tests.support.sums_in_memory import CLEAR, TRAIN, make, make_party


def round_open(name: str = "lab", **more: object) -> tuple[Network, Assistor]:
    """The aggregator with everyone's fit and the products sent, before the weights."""
    network = make(CLEAR, **more)
    role = party_in(b"learning", network, name)
    while "sum/products" not in role.state:
        assert network.step()
    return network, role


@pytest.mark.parametrize(
    ("weights", "rule"),
    [
        ([0.5, 0.0], "at least two assistors"),
        ([1.0, 0.0], "at least two assistors"),
        ([0.5, 0.03125], "at least two assistors"),
        ([0.75, 0.5], "more than 1"),
        ([0.5, -0.25], "at least 0"),
        ([0.5, 0.1], "multiples"),
        ([0.25, float("nan")], "multiples"),
        ([0.5, 0.25, 0.25], "one weight for each"),
    ],
)
def test_weights_that_would_single_out_an_assistor_are_refused(weights: list[float], rule: str) -> None:
    _, lab = round_open()
    lab.state.drop("sum/weights")
    with pytest.raises(PeerViolation, match=rule):
        lab.receive("hospital", messages.Weights(np.array(weights), lab._fits.aggregator.round))


def test_a_round_has_one_sum() -> None:
    _, lab = round_open()
    lab.state.drop("sum/weights")
    good = messages.Weights(np.array([0.5, 0.25]), lab._fits.aggregator.round)
    (job,) = lab.receive("hospital", good)
    with pytest.raises(PeerViolation, match="twice"):
        lab.receive("hospital", good)
    assert isinstance(job, Compute)
    job.then(job.job())
    with pytest.raises(PeerViolation, match="in round"):
        lab.receive("hospital", good)


def test_the_next_round_waits_for_this_ones_sum() -> None:
    """Else the aggregator would add fits of two different rounds."""
    _, lab = round_open()
    following = messages.Residual(np.zeros((TRAIN, 1), np.float32), lab._fits.aggregator.round + 1)
    with pytest.raises(PeerViolation, match="before the sum"):
        lab.receive("hospital", following)


def test_weights_before_products_and_products_in_a_uniform_study_are_refused() -> None:
    network = make(CLEAR)
    lab = party_in(b"learning", network, "lab")
    with pytest.raises(PeerViolation, match="before the inner products"):
        lab.receive("hospital", messages.Weights(np.array([0.5, 0.25]), 1))
    uniform = party_in(b"learning", make(CLEAR, weights="uniform"), "lab")
    with pytest.raises(PeerViolation, match="needs none"):
        uniform.receive("hospital", messages.OwnDifference(np.zeros((1, DIFFERENCE_BYTES), np.uint8), 1))


def test_only_the_aggregator_takes_sealed_fits_and_each_once_from_its_author() -> None:
    network = make(CLEAR)
    insurer = party_in(b"learning", network, "insurer")
    sealed = np.zeros(OVERHEAD_BYTES, np.uint8)
    with pytest.raises(PeerViolation, match="not legal"):
        insurer.receive("hospital", messages.RelayedFitted(messages.Author("lab"), sealed, 1))
    lab = party_in(b"learning", network, "lab")
    for author in ("hospital", "lab", "nobody"):
        with pytest.raises(PeerViolation, match="no other assistor"):
            lab.receive("hospital", messages.RelayedFitted(messages.Author(author), sealed, 1))
    lab.state.drop("sum/fit/insurer")
    with pytest.raises(PeerViolation, match="cannot be unsealed"):
        lab.receive("hospital", messages.RelayedFitted(messages.Author("insurer"), sealed, 1))


def test_a_fit_about_other_rows_cannot_be_unsealed() -> None:
    network = make(CLEAR)
    insurer, lab = party_in(b"declaring", network, "insurer"), network.parties["lab"].node.role
    while "sum/rows" not in insurer.state:
        assert network.step()
    insurer.state.put("sum/rows", b"0" * 64)
    with pytest.raises(PeerViolation, match="about these rows cannot be unsealed"):
        network.run()
    assert lab._fits.aggregator.round == 1


@pytest.mark.parametrize(
    ("field", "value"), [("width", 999), ("sealing_key", "00" * 32), ("signature", "zz"), ("fresh", True)]
)
def test_a_sponsor_cannot_change_what_an_assistor_declared(field: str, value: object) -> None:
    network = make(CLEAR)
    insurer = party_in(b"declaring", network, "insurer")
    hospital = network.sponsor.node.role
    while hospital.phase == "declaring" or hospital.phase == "aligning" or "declared/lab" not in hospital.state:
        assert network.step()
    found = {p: SumRecords(hospital.state).declared[p] for p in NAMES[1:]}
    found["lab"] = msgspec.structs.replace(found["lab"], **{field: value})
    insurer.state.drop("sum/widths")
    with pytest.raises(PeerViolation):
        insurer.receive("hospital", messages.Declarations(found))


@pytest.mark.parametrize(
    ("beyond", "flags"),
    [
        ({}, "--beyond sums=0.5 --beyond own-sums=1"),
        ({"sums": 0.5}, "--beyond own-sums=1"),
        ({"own-sums": 1.0}, "--beyond sums=0.5"),
        ({"sums": 0.49, "own-sums": 0.99}, "--beyond sums=0.5 --beyond own-sums=1"),
    ],
)
def test_sums_beyond_a_limit_need_that_limits_name_and_a_number(beyond: Beyond, flags: str) -> None:
    """Three rounds of two times three features: half a sum for each of all, one for each of one's own."""
    settings = study(protect=CLEAR, loss="l2")
    enough = {"sums": 0.5, "own-sums": 1.0}
    others = [make_party(n, settings, beyond=enough if n == "lab" else beyond) for n in NAMES[1:]]
    with pytest.raises(ConsentError, match=f"insurer takes no part: .*{flags}"):
        Network(make_party("hospital", settings), others).run()
    network = Network(make_party("hospital", settings), [make_party(n, settings, beyond=enough) for n in NAMES[1:]])
    network.run()
    assert network.sponsor.store.values["phase"] == b"finished"


def test_studies_that_cannot_be_summed_are_refused(tmp_path) -> None:  # type: ignore[no-untyped-def]
    from secure_gal.settings.load import load_study

    def text(assistors: str, more: str) -> str:
        return (
            f'name = "s"\ntask = "regression"\nsponsor = "a"\naddress = "tcp://h:1"\nassistors = {assistors}\n{more}\n'
            '[protect]\npredictions = "sum"\n'
        )

    for assistors, more, rule in (
        ('["b"]', "", "a sum of one is the value itself"),
        ('["b", "c"]', 'rows = "sponsor"', "fewer than two assistors"),
        ('["b", "c"]', 'aggregator = "a"', "aggregator"),
    ):
        (tmp_path / "study.toml").write_text(text(assistors, more))
        with pytest.raises(SettingsError, match=rule):
            load_study(tmp_path / "study.toml")
    (tmp_path / "study.toml").write_text(text('["b", "c"]', 'aggregator = "c"'))
    assert load_study(tmp_path / "study.toml").adder == "c" and W_MIN == 0.05
