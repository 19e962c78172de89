"""Where a simulator installation keeps its keys, and how it is thrown away.

One folder for each user, open to nobody else.  Whoever can read it can issue any simulated evidence.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from hermetic.errors import Misconfigured, Unavailable
from hermetic.evidence import SEV_SNP
from hermetic.sources.simulator.amd import SimulatedAmd
from hermetic.sources.simulator.intel import SimulatedIntel
from hermetic.sources.simulator.machine import SimulatedMachine
from hermetic.sources.simulator.nvidia import SimulatedNvidia
from hermetic.sources.simulator.nvidia_machine import NvidiaMachine

__all__ = ["default_state", "open_machine", "open_nvidia", "open_vendor", "reset_state"]

T = TypeVar("T")

_FILES = "simulated-*.json"


def default_state() -> Path:
    """``hermetic/simulator`` in the user's data folder (XDG base directories)."""
    configured = os.environ.get("XDG_DATA_HOME", "")
    return (Path(configured) if configured.startswith("/") else Path.home() / ".local/share") / "hermetic" / "simulator"


def open_vendor(folder: Path, *, now: datetime) -> SimulatedAmd:
    """The simulated AMD of ``folder``, made at random the first time (about two seconds).

    Raises Misconfigured where others may enter the folder or its keys are damaged, Unavailable where it cannot be used.
    """
    return _opened(folder, lambda: SimulatedAmd.load_or_create(folder, now=now))


def open_nvidia(folder: Path, *, now: datetime) -> SimulatedNvidia:
    """The simulated NVIDIA of ``folder``, made at random the first time.  Raises as :func:`open_vendor`."""
    return _opened(folder, lambda: SimulatedNvidia.load_or_create(folder, now=now))


def open_machine(
    folder: Path, *, now: datetime, tee: str = SEV_SNP, gpus: int = 0, switches: int = 0
) -> SimulatedMachine:
    """A machine with this TEE and so many devices, of the vendors of ``folder``.  Raises as :func:`open_vendor`.

    Raises Misconfigured for switches without a GPU, too.
    """
    cpu: SimulatedAmd | SimulatedIntel
    if tee == SEV_SNP:
        cpu = open_vendor(folder, now=now)
    else:
        cpu = _opened(folder, lambda: SimulatedIntel.load_or_create(folder, now=now))
    if not gpus and not switches:
        return SimulatedMachine(tee=tee, cpu=cpu)
    devices = NvidiaMachine(gpus=gpus, switches=switches)
    return SimulatedMachine(tee=tee, cpu=cpu, nvidia=open_nvidia(folder, now=now), devices=devices)


def _opened(folder: Path, load: Callable[[], T]) -> T:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.stat().st_mode & 0o077:
            raise Misconfigured(f"others may enter the simulator's folder {folder}", fix=f"chmod 700 {folder}")
        return load()
    except OSError as error:
        raise Unavailable(f"the simulator's folder {folder} cannot be used: {error.strerror}") from error


def reset_state(folder: Path) -> tuple[Path, ...]:
    """Removes the keys; what was removed.  Everything that pins their root refuses whatever is simulated next."""
    removed = tuple(sorted(folder.glob(_FILES)))
    for path in removed:
        path.unlink()
    return removed
