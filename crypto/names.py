"""What may be called what: names stand on cards and become file names."""

from __future__ import annotations

import re

NAME_PATTERN = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
"""Use `fullmatch`. Names become file names, so no dots and no slashes."""
NAME_RULE = "lower-case letters, digits, '-' and '_', 1 to 32, starting with a letter or digit"
"""The same in words."""
