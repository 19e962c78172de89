"""Files that a command was told to read or to write: what the system says about them becomes a sentence."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from hermetic.errors import Misconfigured

__all__ = ["make_folder", "read_file", "read_secret", "save_file"]


def read_file(path: Path) -> bytes:
    """Raises Misconfigured where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise Misconfigured(f"cannot read {path}: {error.strerror}") from error


def read_secret(path: Path) -> str:
    """A key that stands alone in a file, without the white space around it.  Raises Misconfigured."""
    try:
        secret = read_file(path).decode("ascii").strip()
    except UnicodeDecodeError:
        secret = ""
    if not secret:
        raise Misconfigured(f"{path} holds no key")
    return secret


def make_folder(path: Path) -> None:
    """A folder for its owner alone, unless it is there already.  Raises Misconfigured."""
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise Misconfigured(f"cannot make {path}: {error.strerror}") from error


def save_file(path: Path, data: bytes) -> None:
    """The whole of it or nothing, in place of a file that was there, for its owner alone.  Raises Misconfigured.

    What was there and is no plain file (a pipe, a device, a link) is refused: replacing it is never what was meant.
    """
    from hermetic.seal.place import new_file

    try:
        if os.path.lexists(path) and not stat.S_ISREG(path.lstat().st_mode):
            raise Misconfigured(f"{path} is not a regular file: it is not replaced", fix="choose another name")
        with new_file(path, replace=True) as descriptor, os.fdopen(descriptor, "wb", closefd=False) as file:
            file.write(data)
    except OSError as error:
        raise Misconfigured(f"cannot write {path}: {error.strerror}") from error
