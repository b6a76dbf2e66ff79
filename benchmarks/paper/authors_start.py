"""Starts the authors' training program on one set. Runs in its environment, in an empty folder, and imports nothing of
ours.

    python authors_start.py CLONE/src Wine 0

What is set from outside, nothing of which changes what is computed:
- `split.json` of the folder says which rows are training rows and which columns each organisation has, where the code
  would draw both (the rows once for all seeds);
- `torch.load` trusts the files that the code has written itself, as it did by default before PyTorch 2.6;
- means and deviations of one set only: `make_stats.py` would want all sets, MNIST and CIFAR-10 among them;
- empty modules in place of torchvision, which only sets of images use: its builds fit one build of PyTorch each;
- the CPU.
"""

from __future__ import annotations

import functools
import importlib
import json
import resource
import runpy
import shutil
import sys
import time
import types
from pathlib import Path

import numpy as np
import torch


def main(code: Path, name: str, seed: str) -> None:
    """Writes found.json: test accuracy and eta by round, and the seconds of learning."""
    shutil.copy(code / "config.yml", "config.yml")
    sys.path.insert(0, str(code))
    split = json.loads(Path("split.json").read_text())
    torch.load = functools.partial(torch.load, weights_only=False)
    torch.set_num_threads(1)
    without_torchvision()
    data, utils = map(importlib.import_module, ("data", "utils"))

    np.random.permutation, drawn = (lambda _: np.array(split["rows"])), np.random.permutation
    train = data.fetch_dataset(name, verbose=False)["train"]
    np.random.permutation = drawn
    stats = utils.Stats(dim=1)
    stats.update(torch.tensor(train.data))
    utils.save((stats.mean.tolist(), stats.std.tolist()), f"./res/stats/{name}.pt")
    vars(data)["split_dataset"] = lambda _: [torch.tensor(columns) for columns in split["columns"]]
    for module in ("assist", "logger", "metrics"):  # what the program imports is not to be timed
        importlib.import_module(module)

    sys.argv = ["train_model_assist.py", "--data_name", name, "--model_name", "linear", "--init_seed", seed]
    sys.argv += ["--control_name", "8_stack_100_10_search_0", "--device", "cpu"]
    began, spent = time.monotonic(), cpu_seconds()
    runpy.run_path(str(code / "train_model_assist.py"), run_name="__main__")
    seconds = {"cpu_seconds": cpu_seconds() - spent, "seconds": time.monotonic() - began}
    [checkpoint] = Path("output/model").glob("*_checkpoint.pt")
    state = torch.load(checkpoint)
    trail, eta = state["logger"].history["test/Accuracy"], state["assist"].assist_rates[1:]
    Path("found.json").write_text(json.dumps({"value": trail[-1], "trail": trail, "eta": eta} | seconds))


def without_torchvision() -> None:
    """What the code names of it when it is imported."""
    package, transforms, utils = map(types.ModuleType, ("torchvision", "torchvision.transforms", "torchvision.utils"))
    vars(package).update(transforms=transforms, utils=utils)
    vars(utils)["save_image"] = None
    sys.modules |= {module.__name__: module for module in (package, transforms, utils)}


def cpu_seconds() -> float:
    """Of this process."""
    return sum(resource.getrusage(resource.RUSAGE_SELF)[:2])


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), sys.argv[2], sys.argv[3])
