"""The most that a study may have, whatever its file says: what the wire carries is bounded by it."""

MAX_ROWS = 16_777_216
"""Rows a study may align (2^24): bounds every tensor before it is allocated."""
MAX_OUTPUTS = 1024
"""Outputs K a study may have: bounds the width of residuals and fitted values."""
MAX_FOLDS = 20
"""Models a round that a party may fit: each more costs a fit, and changes little beyond ten."""
