"""What a process can do so that its memory and its words stay its own.

It narrows what other users of this machine see.  It keeps nothing from root or the host: that is the TEE's part.
"""

from __future__ import annotations

import ctypes
import os
import resource
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from hermetic.errors import Unavailable

__all__ = ["Hardening", "harden", "silence"]

_PR_SET_DUMPABLE = 4
_MCL_CURRENT_FUTURE_ONFAULT = 1 | 2 | 4
_CAP_IPC_LOCK = 1 << 14


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardening:
    """What holds.  ``memory_locked``: mapped pages never reach swap.  ``swap``: this system has some."""

    memory_locked: bool
    swap: bool

    @property
    def summary(self) -> str:
        """One sentence that claims no more than that."""
        if self.memory_locked:
            memory = "mapped memory is locked"
        elif self.swap:
            memory = "memory is NOT locked and this system has swap: keys and prompts may be written there"
        else:
            memory = "memory is not locked, and this system has no swap"
        return f"no core dumps, no debugger of the same user, {memory}"


def harden() -> Hardening:
    """No core dumps, not dumpable, memory locked where this process may.  Raises Unavailable if a system call fails."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    libc = ctypes.CDLL(None, use_errno=True)
    # The limit does not hold where the kernel pipes core dumps to a program; not being dumpable does.
    if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise Unavailable(f"prctl: {os.strerror(ctypes.get_errno())}")
    return Hardening(memory_locked=_lock_memory(libc), swap=_swap())


def silence() -> IO[bytes]:
    """Points the process's standard output and error at nothing, and returns the only way left to say something.

    Native libraries print what they like to descriptors 1 and 2, pieces of a request included, and a crash prints a
    traceback there.  After this they speak to nobody.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    own = os.dup(2)  # not inheritable
    nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    return os.fdopen(own, "wb", buffering=0)


def _lock_memory(libc: ctypes.CDLL) -> bool:
    # Under a limit, a locked process would find its next allocation refused: all or nothing.
    unlimited = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] == resource.RLIM_INFINITY
    if not (unlimited or _may_lock()):
        return False
    return bool(libc.mlockall(_MCL_CURRENT_FUTURE_ONFAULT) == 0)


def _may_lock() -> bool:
    for line in Path("/proc/self/status").read_text("ascii", errors="replace").splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) & _CAP_IPC_LOCK)
    return False


def _swap() -> bool:
    try:
        return len(Path("/proc/swaps").read_text("ascii", errors="replace").splitlines()) > 1
    except OSError:
        return True  # unknown counts as there
