"""Networks that are trained together, for comparison: late and intermediate fusion, as the paper's code has them.

Late: every party trains its own model of the labels under L_1, and the outputs' mean is the prediction. Intermediate:
one linear layer on the features of all parties' networks, trained end to end. (The paper's code averages the features
before that layer; side by side they may differ in width, and hold everything that their mean does.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import nn

from benchmarks.paper.case import Case
from benchmarks.paper.data.split import Array, Split
from benchmarks.paper.learners import of_shape
from benchmarks.paper.outcome import Outcome, score
from secure_gal import options
from secure_gal.data.log_codec import fit_codec
from secure_gal.learners import cnn, mlp, recurrent
from secure_gal.learners.batch_norm import settle
from secure_gal.learners.kinds import cnn as cnn_kind
from secure_gal.learners.kinds import mlp as mlp_kind
from secure_gal.learners.recurrent_options import RecurrentOptions
from secure_gal.learners.torch_options import TorchOptions
from secure_gal.learners.torch_trainer import Build, batch_of
from secure_gal.settings.party import LearnerSettings
from secure_gal.settings.study import LossName


class Training(NamedTuple):
    """How a network is trained: by Adam, in steps of `batch` rows, or `auto` as `batch_of` has it."""

    epochs: int
    rate: float
    batch: int | str


LINEAR = Training(300, 0.05, 1024)
"""Adam for linear models: enough for the loss of every UCI set to stand still."""
FORWARD_ROWS = 2048
Blocks = Sequence[torch.Tensor]
O = TypeVar("O", bound=TorchOptions)  # noqa: E741


class Interm(nn.Module):
    """Bodies (n, ...) to features, and one head on all of them."""

    def __init__(self, networks: Sequence[nn.Module], outputs: int) -> None:
        super().__init__()
        bodies, widths = zip(*map(_body, networks), strict=True)
        self.bodies = nn.ModuleList(bodies)
        self.head = nn.Linear(sum(widths), outputs)

    def forward(self, blocks: Blocks) -> torch.Tensor:
        """One batch a party to (n, K)."""
        features = [body(block) for body, block in zip(self.bodies, blocks, strict=True)]
        output: torch.Tensor = self.head(torch.cat(features, dim=1))
        return output


class First(nn.Module):
    """A network of a single party's rows, as the training loop calls it."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, blocks: Blocks) -> torch.Tensor:
        """One batch to (n, K)."""
        output: torch.Tensor = self.network(blocks[0])
        return output


def _body(network: nn.Module) -> tuple[nn.Module, int]:
    """What stands before a network's head, and how many features the head reads."""
    body, head = network.children()
    assert isinstance(head, nn.Linear)
    return body, head.in_features


def late(case: Case, split: Split, seed: int) -> Outcome:
    """Mean of the parties' own models."""
    return _play(case, split, seed, lambda networks, _: [First(network) for network in networks], apart=True)


def interm(case: Case, split: Split, seed: int) -> Outcome:
    """One head on all parties' features."""
    return _play(case, split, seed, lambda networks, k: [Interm(networks, k)], apart=False)


def _play(
    case: Case,
    split: Split,
    seed: int,
    make: Callable[[list[nn.Module], int], Sequence[nn.Module]],
    *,
    apart: bool,
) -> Outcome:
    codec = fit_codec(case.source.task, case.loss_name, list(split.y), np.ones(len(split.y), dtype=np.bool_))
    target, blocks = torch.from_numpy(codec.encode(list(split.y))), _tensors(split.blocks)
    torch.manual_seed(seed)
    builds = [_build(case, block) for block in split.blocks]
    networks = [build(block.shape[1:], codec.outputs) for (build, _), block in zip(builds, split.blocks, strict=True)]
    new, outputs = _tensors(split.test_blocks), []
    for m, model in enumerate(make(networks, codec.outputs)):
        mine = slice(m, m + 1) if apart else slice(None)
        _train(model, blocks[mine], target, builds[m][1], case.loss_name)
        outputs.append(_outputs(model, new[mine]))
    return Outcome([score(case.source.metric, codec, np.mean(outputs, axis=0), split.test_y)])


def _build(case: Case, block: Array) -> tuple[Build, Training]:
    """(the party's network, how it is trained): as many epochs as all rounds of GAL have in all."""
    if case.learner in ("sgd", "linear"):
        return lambda inner, k: nn.Sequential(nn.Flatten(), nn.Linear(int(np.prod(inner)), k)), LINEAR
    settings = of_shape(case, block)
    match settings.kind:
        case "cnn":
            images = _options(cnn_kind.Options, settings)
            return cnn.body(images.blocks, images.width), _training(case, images)
        case "lstm":
            series = _options(RecurrentOptions, settings)
            return recurrent.body("lstm", series), _training(case, series)
        case _:
            table = _options(mlp_kind.Options, settings)
            return mlp.body(table.hidden, table.layers, table.dropout), _training(case, table)


def _options(kind: type[O], settings: LearnerSettings) -> O:
    options.check_names(settings.options, settings.kind, kind)
    return options.read(kind, settings.options)


def _training(case: Case, chosen: TorchOptions) -> Training:
    return Training(case.rounds * chosen.epochs, chosen.rate, chosen.batch)


def _train(model: nn.Module, blocks: Blocks, target: torch.Tensor, how: Training, loss: LossName) -> None:
    adam = torch.optim.AdamW(model.parameters(), lr=how.rate, weight_decay=1e-4)
    decline = torch.optim.lr_scheduler.CosineAnnealingLR(adam, how.epochs)
    model.train()
    for _ in range(how.epochs):
        parts = torch.split(torch.randperm(len(target)), batch_of(how.batch, len(target)))
        parts = tuple(rows for rows in parts if len(rows) > 1)  # batch norm needs two rows
        for rows in parts:
            adam.zero_grad(set_to_none=True)
            _loss(loss, model([block[rows] for block in blocks]), target[rows]).backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            adam.step()
        decline.step()
    settle(model, ([block[rows] for block in blocks] for rows in parts))  # type: ignore[misc]
    model.eval()


def _loss(name: LossName, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    match name:
        case "cross_entropy" if output.shape[1] == 1:
            return nn.functional.binary_cross_entropy_with_logits(output[:, 0], target.float())
        case "cross_entropy":
            return nn.functional.cross_entropy(output, target)
        case "l1":
            return (output - target.float()).abs().mean()
        case _:
            return ((output - target.float()) ** 2).mean()


def _tensors(blocks: list[Array]) -> list[torch.Tensor]:
    return [torch.from_numpy(np.array(block, dtype=np.float32)) for block in blocks]


def _outputs(model: nn.Module, blocks: Blocks) -> Array:
    with torch.inference_mode():
        parts = zip(*(torch.split(block, FORWARD_ROWS) for block in blocks), strict=True)
        return torch.cat([model(list(part)) for part in parts]).numpy().astype(np.float64)
