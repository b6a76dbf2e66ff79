"""Whether `[learner] device` may mean a GPU on this machine, told without importing torch, which takes a second."""

from __future__ import annotations

import ctypes
import sys

DRIVER = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
"""NVIDIA's driver library: where it is not, no build of torch finds a GPU."""


def may_be_gpu(device: str) -> bool:
    """False for `cpu`, and for `auto` without NVIDIA's driver; else `devices.choose_device` decides or refuses."""
    if device != "auto":
        return device != "cpu"
    try:
        ctypes.CDLL(DRIVER)
    except OSError:
        return False
    return True
