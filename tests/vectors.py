"""Where the shared test vectors lie.  They are not in this repository; without them tests skip, loudly."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(os.environ.get("HERMETIC_VECTORS", Path(__file__).resolve().parents[2] / "shared" / "vectors"))

needs_vectors = pytest.mark.skipif(not ROOT.is_dir(), reason="shared vectors are absent (set HERMETIC_VECTORS)")
