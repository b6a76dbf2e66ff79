"""The algorithm and the protocol of Gradient Assisted Learning, without sockets or clocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from secure_gal.shadowed import refuse_shadows

if TYPE_CHECKING:
    from secure_gal.estimator import GAL as GAL

__version__ = "0.3.0"
refuse_shadows()


def __getattr__(name: str) -> object:
    """`GAL`, imported with scikit-learn when it is first asked for: a party's process needs neither."""
    if name != "GAL":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from secure_gal.estimator import GAL

    return GAL


def __dir__() -> list[str]:
    return ["GAL", "__version__"]
