"""Keeps the keys of this process out of core dumps and away from other processes of the same user.

It keeps nothing from root, nor from the operator: that is a TEE's part.
"""

from __future__ import annotations

import ctypes
import os
import resource

from hermetic.errors import Unavailable

__all__ = ["harden"]

_PR_SET_DUMPABLE = 4


def harden() -> None:
    """No core dumps, and no debugger of the same user.  Raises Unavailable where the system does not allow it."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # The limit does not hold where the kernel pipes core dumps to a program; not being dumpable does.
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise Unavailable(f"prctl: {os.strerror(ctypes.get_errno())}", code="hardening")
