"""Networks of PyTorch as their layers, settings and weights; PyTorch is imported only where there is one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from secure_gal.learners.storage import name_of
from secure_gal.learners.storage_classes import PLACES, Unreadable, class_named

if TYPE_CHECKING:
    import torch
    from torch import nn

    from secure_gal.learners.storage import Node, Reader, Writer

LAYERS = "torch.nn.modules."
OF_CELLS = ("_flat_weights_names", "_all_weights")
"""What a recurrent layer names its weights by, besides its settings."""


def node_of(value: nn.Module | torch.Tensor, writer: Writer) -> dict[str, Node]:
    """The node of a network, a layer or a tensor; Unstorable."""
    import torch

    return write_tensor(value, writer) if isinstance(value, torch.Tensor) else {"module": write(value, writer)}


def write(module: nn.Module, writer: Writer) -> dict[str, Node]:
    """Class, settings, weights and layers in their order, as nodes; Unstorable for a setting that is no data."""
    held = vars(module)
    settings = {name: value for name, value in held.items() if not name.startswith("_") or name in OF_CELLS}
    parts = {"weights": "_parameters", "buffers": "_buffers"}
    arrays = {
        part: [[name, None if value is None else write_tensor(value, writer)] for name, value in held[kept].items()]
        for part, kept in parts.items()
    }
    layers = [[name, None if layer is None else write(layer, writer)] for name, layer in held["_modules"].items()]
    return {"of": name_of(type(module)), "settings": writer.write(settings), **arrays, "layers": layers}


def read(node: dict[str, Node], reader: Reader) -> nn.Module:
    """The network, for predictions; Unreadable."""
    import torch

    kind = class_named(node["of"], (LAYERS, *PLACES, *reader.trusted))
    if not issubclass(kind, torch.nn.Module):
        raise Unreadable(f"{kind.__name__} is no network")
    made = kind.__new__(kind)
    torch.nn.Module.__init__(made)
    settings = reader.read(node["settings"])
    for name, value in settings.items():
        object.__setattr__(made, name, value)
    for name, weight in node["weights"]:
        values = None if weight is None else torch.nn.Parameter(reader.read(weight), requires_grad=False)
        made.register_parameter(name, values)
    for name, buffer in node["buffers"]:
        made.register_buffer(name, None if buffer is None else reader.read(buffer))
    for name, layer in node["layers"]:
        made.add_module(name, None if layer is None else read(layer, reader))
    if isinstance(made, torch.nn.RNNBase):
        made._init_flat_weights()
    return made


def write_tensor(value: torch.Tensor, writer: Writer) -> dict[str, Node]:
    """Its numbers, and how they lie in memory, by which layers choose how to compute: the last bits follow from it."""
    return {"tensor": writer.number(value.detach().cpu().numpy()), "strides": list(value.stride())}


def tensor(array: npt.NDArray[Any], strides: list[Node]) -> torch.Tensor:
    """A tensor of these numbers; Unreadable where they cannot lie so."""
    import torch

    room = 1
    for step, length in zip(strides, array.shape, strict=False):
        room += step * (length - 1) if isinstance(step, int) and step >= 0 else array.size
    if len(strides) != array.ndim or room > max(1, array.size):
        raise Unreadable(f"a tensor of shape {array.shape} does not lie in steps of {strides}")
    source = torch.from_numpy(np.array(array))
    return torch.empty_strided(source.shape, strides, dtype=source.dtype).copy_(source)
