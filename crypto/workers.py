"""Worker processes that end with the process whose work they do, however that one ends, and not before.

joblib's wait five minutes for more work, also after their owner was killed: with a gigabyte of encodings, or a scalar.
And where psutil is installed, one that has grown by 300 MB is ended after its call, as if it leaked: what grows here is
encodings that the next round needs.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")
WATCH_SECONDS = 0.5
"""How long a worker may outlive its owner."""

_watches = threading.Lock()


def owned(owner: int, work: Callable[..., Result], *arguments: object) -> Result:
    """Do this in a worker process, or in the owner's own; `owner` is the process id of whoever asks for it."""
    if os.getpid() != owner and _watches.acquire(blocking=False):  # once a process, and never released
        threading.Thread(target=_watch, args=(owner,), daemon=True, name="owner").start()
        _may_grow()
    return work(*arguments)


def _may_grow() -> None:
    """joblib has no setting for it."""
    loky = sys.modules.get("joblib.externals.loky.process_executor")
    if hasattr(loky, "_MAX_MEMORY_LEAK_SIZE"):
        vars(loky)["_MAX_MEMORY_LEAK_SIZE"] = sys.maxsize


def _watch(owner: int) -> None:
    while os.getppid() == owner:
        time.sleep(WATCH_SECONDS)
    os._exit(1)


def end_all() -> None:
    """End this process's workers now, whatever they do.

    joblib's own `terminate` also forgets their temporary folder, under a lock: the thread that waits for them does so
    too as they die, and forgetting it twice would print a traceback beside the last words of this process.
    """
    loky = sys.modules.get("joblib.externals.loky.reusable_executor")
    executor = getattr(loky, "_executor", None)  # `get_reusable_executor` would make one
    if executor is not None:
        executor.terminate(kill_workers=True)
