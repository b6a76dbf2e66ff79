"""Parties on one machine share its cores, as no process of theirs knows of the others.

BLAS and OpenMP start as many threads as there are cores, which wait for each other in a loop. Two parties that fit at
once on two cores then spend most of their time so: see docs/MEASURED.md.
"""

from __future__ import annotations

import os

from secure_gal.settings.address import one_machine
from secure_gal.settings.study import Study

CHOSEN = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""Environment variables by which a person chooses threads: then nothing is changed."""


def cores() -> int:
    """Of this machine, those that this process may use, where the system tells them apart."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def share_cores(study: Study) -> None:
    """Bound this process's threads of NumPy, SciPy, scikit-learn and PyTorch to its share, where all parties of the
    study are on this machine."""
    if not one_machine(study.address) or any(name in os.environ for name in CHOSEN):
        return
    from threadpoolctl import threadpool_limits

    share = max(1, cores() // len(study.parties))
    os.environ["OMP_NUM_THREADS"] = str(share)  # of what is loaded later
    threadpool_limits(share)
