"""Where the set-up finds the project and keeps what outlives a checkout."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def cache_directory() -> Path:
    """Return the folder of downloads, logs and finished wheels, outside every checkout."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "gateway"
