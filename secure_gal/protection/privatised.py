"""`residuals = "dp"` and `"ip"`: labels are released once, and everything that others observe comes from the releases.

A residual of released labels travels as `privatised-residual`, so that a true one is refused where the study agreed on
this. The release itself is made by the sponsor's holding (`secure_gal.holdings.privatised`).
"""

from __future__ import annotations

from secure_gal.messages import PrivatisedResidual
from secure_gal.protection.clear import residuals_of

RESIDUALS = residuals_of(PrivatisedResidual)
