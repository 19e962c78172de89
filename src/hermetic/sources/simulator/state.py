"""Where a simulator installation keeps its keys, and how it is thrown away.

One folder for each user, open to nobody else.  Whoever can read it can issue any simulated evidence.
"""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

from hermetic.errors import Misconfigured, Unavailable
from hermetic.sources.simulator.amd import SimulatedAmd

__all__ = ["default_state", "open_vendor", "reset_state"]

_FILES = "simulated-*.json"


def default_state() -> Path:
    """``hermetic/simulator`` in the user's data folder (XDG base directories)."""
    configured = os.environ.get("XDG_DATA_HOME", "")
    return (Path(configured) if configured.startswith("/") else Path.home() / ".local/share") / "hermetic" / "simulator"


def open_vendor(folder: Path, *, now: datetime) -> SimulatedAmd:
    """The simulated AMD of ``folder``, made at random the first time (about two seconds).

    Raises Misconfigured where others may enter the folder or its keys are damaged, Unavailable where it cannot be used.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.stat().st_mode & 0o077:
            raise Misconfigured(f"others may enter the simulator's folder {folder}", fix=f"chmod 700 {folder}")
        return SimulatedAmd.load_or_create(folder, now=now)
    except OSError as error:
        raise Unavailable(f"the simulator's folder {folder} cannot be used: {error.strerror}") from error


def reset_state(folder: Path) -> tuple[Path, ...]:
    """Removes the keys; what was removed.  Everything that pins their root refuses whatever is simulated next."""
    removed = tuple(sorted(folder.glob(_FILES)))
    for path in removed:
        path.unlink()
    return removed
