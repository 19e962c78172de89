"""A folder of one user's: what is found in it was put there by that user, or by root."""

from __future__ import annotations

import os
from pathlib import Path

from hermetic.errors import Misconfigured

__all__ = ["own_folder"]

_OTHERS_WRITE = 0o022


def own_folder(folder: Path, *, what: str) -> Path:
    """``folder``, made (0700) if need be.

    Raises Misconfigured where that fails, where it is somebody else's, who can change its content and its permissions
    at any time, and where others may write to it.  A system without owners (Windows) is asked for neither.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.stat()
    except OSError as error:
        raise Misconfigured(f"{what} {folder} cannot be used: {error.strerror}") from error
    if not hasattr(os, "geteuid"):
        return folder
    if status.st_uid != os.geteuid():
        raise Misconfigured(
            f"{what} {folder} belongs to user {status.st_uid}, and this program runs as {os.geteuid()}",
            fix="name a folder of your own, or run as its owner",
        )
    if status.st_mode & _OTHERS_WRITE:
        raise Misconfigured(f"others may write to {what} {folder}", fix=f"chmod 700 {folder}")
    return folder
