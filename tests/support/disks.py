"""What lies on a party's disk."""

from __future__ import annotations

from pathlib import Path


def on_disk(folder: Path) -> bytes:
    """All bytes of all files of a run directory."""
    return b"".join(file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file())
