"""What the machine must allow a party before it goes online: libzmq ends a process that runs out of file
descriptors."""

from __future__ import annotations

import os
import resource

from secure_gal.errors import EnvironmentFailure
from secure_gal.settings.study import Study

BASE_FILES = 64
"""Descriptors of one party with one peer: 31 were open at most, and a peer may connect again before it is found
lost."""
PARTY_FILES = 4
"""For every other party."""
CORE_FILES = 4
"""For every worker process."""


def require_open_files(study: Study) -> str:
    """Raise the soft limit of open files as far as this study needs; returns what was found, in words.

    Raises:
        EnvironmentFailure: the hard limit is too low; says by how much.
    """
    shared = study.protect.encrypted or study.protect.ids == "psi" or study.cross_fitted
    workers = os.cpu_count() or 1 if shared else 0
    need = BASE_FILES + PARTY_FILES * len(study.parties) + CORE_FILES * workers
    soft, hard = (
        2**63 if limit == resource.RLIM_INFINITY else limit for limit in resource.getrlimit(resource.RLIMIT_NOFILE)
    )
    if hard < need:
        raise EnvironmentFailure(
            f"this process may have {hard} files open, and this study of {len(study.parties)} parties needs "
            f"{need}: start it with `ulimit -n {need}` or more (LimitNOFILE= of a systemd unit)"
        )
    if soft < need:
        resource.setrlimit(resource.RLIMIT_NOFILE, (need, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    return f"{max(soft, need)} allowed, {need} needed" if soft < 2**63 else f"any number allowed, {need} needed"
