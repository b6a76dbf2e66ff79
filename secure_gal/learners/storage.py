"""A party's own models as bytes in its own run directory (0700).

joblib is pickle underneath: it is used only for what this party wrote itself and never for anything that arrived.
"""

from __future__ import annotations

import io
from typing import Any

from secure_gal.errors import SettingsError

FORMAT = b"secure-gal model 3\n"


def dump(value: object) -> bytes:
    """A model, encoder or label coding as bytes, with the format version in front."""
    import joblib

    buffer = io.BytesIO()
    joblib.dump(value, buffer)
    return FORMAT + buffer.getvalue()


def load(raw: bytes) -> Any:
    """What `dump` wrote; SettingsError for another format version."""
    import joblib

    if not raw.startswith(FORMAT):
        raise SettingsError(
            "run_dir",
            f"a saved model has another format (expected {FORMAT.decode().strip()!r}); use "
            "the version that wrote it, or train anew in an empty run_dir",
        )
    return joblib.load(io.BytesIO(raw[len(FORMAT) :]))
