"""Files that only their owner reads, written whole or not at all: where simulated vendors keep their secrets."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from hermetic.errors import Misconfigured


def write_once(path: Path, data: bytes) -> None:
    """``data`` at ``path``, whole and readable by its owner only, unless somebody else was there first.

    The folder is made if need be, open to nobody else.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(temporary, path)  # unlike a rename, it never replaces what another creator already handed out
        except FileExistsError:
            return
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        temporary.unlink(missing_ok=True)


def read_private(path: Path) -> bytes:
    """The content.  Raises Misconfigured where others may read it."""
    if path.stat().st_mode & 0o077:
        raise Misconfigured(f"others may read the simulator's keys in {path}", fix=f"chmod 600 {path}")
    return path.read_bytes()


def damaged(path: Path, reason: str) -> Misconfigured:
    """The refusal of a file that cannot be what was written there."""
    return Misconfigured(
        f"{path} is damaged: {reason}", fix="remove it; a new simulated root is made, to be pinned anew"
    )
