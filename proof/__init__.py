"""The machinery that shows that Hermetic's refusals hold, and that its tests would notice if one were gone.

    python -m proof mutants      changes genuine evidence in more than a hundred thousand ways; none may be accepted
    python -m proof checks       deletes each check of the source in turn; a test has to fail
    python -m proof fuzz         feeds noise to every parser; only typed refusals, in bounded time and memory
    python -m proof coverage     writes docs/coverage.md: TEE × check × vector × test × mutants, with the Gaps

Nothing here is part of the installed package.  It uses the tests' own support modules and the recorded vectors.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
"""The repository."""

STATE = ROOT / ".proof"
"""What a run leaves for the next: line coverage, finished deletions, inputs that crashed.  Ignored by git."""

if str(ROOT / "tests") not in sys.path:
    sys.path.insert(0, str(ROOT / "tests"))  # vectors, snp_support and their like
