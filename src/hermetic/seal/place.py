"""Outputs that appear whole or not at all.

They are written beside their destination under another name, synced, and moved into place.  Whatever goes wrong on the
way, an interrupt included, the part that was written is removed.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hermetic.errors import Misconfigured

_BINARY = getattr(os, "O_BINARY", 0)


@contextmanager
def new_file(destination: Path, *, replace: bool = False, mode: int = 0o600) -> Iterator[int]:
    """Yields a descriptor to write to; when the block ends without an exception, the file is at ``destination``.

    Raises Misconfigured when something is there already and ``replace`` is not given.
    """
    check_free(destination, replace=replace)
    partial = _partial_name(destination)
    fd = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL | _BINARY, mode)
    try:
        try:
            yield fd
            os.fsync(fd)
        finally:
            os.close(fd)
        if replace:
            os.replace(partial, destination)
        else:
            _move_file(partial, destination)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    sync_folder(destination.parent)


@contextmanager
def new_folder(destination: Path, *, replace: bool = False, mode: int = 0o700) -> Iterator[Path]:
    """Yields an empty folder to fill; when the block ends without an exception, it is at ``destination``.

    Raises Misconfigured when something is there already and ``replace`` is not given.
    """
    check_free(destination, replace=replace)
    partial = _partial_name(destination)
    partial.mkdir(mode=mode)
    try:
        yield partial
        sync_folder(partial)
        check_free(destination, replace=replace)
        with _set_aside(destination):
            partial.rename(destination)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    sync_folder(destination.parent)


def check_free(destination: Path, *, replace: bool) -> None:
    """Raises Misconfigured when ``destination`` cannot be made, before any work is done for it."""
    if not destination.parent.is_dir():
        raise Misconfigured(f"there is no folder {destination.parent}", fix="make it first, or choose another --output")
    if not replace and os.path.lexists(destination):
        raise Misconfigured(f"{destination} is there already", fix="choose another --output, or give --force")


def sync_folder(folder: Path) -> None:
    """Makes a folder's entries durable, where the system can."""
    try:
        fd = os.open(folder, os.O_RDONLY)
    except OSError:  # a system whose folders cannot be opened (Windows): its rename is durable enough
        return
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _partial_name(destination: Path) -> Path:
    return destination.with_name(f".{destination.name[:100]}.{secrets.token_hex(8)}.partial")


def _move_file(partial: Path, destination: Path) -> None:
    """Renames without replacing: a link refuses atomically what a rename would silently overwrite."""
    try:
        os.link(partial, destination)
    except FileExistsError:
        check_free(destination, replace=False)
        raise
    except OSError:  # a file system without hard links
        check_free(destination, replace=False)
        partial.rename(destination)
    else:
        partial.unlink()


@contextmanager
def _set_aside(destination: Path) -> Iterator[None]:
    """Moves what is at ``destination`` out of the way for the block; back if it fails, away for good if not."""
    if not os.path.lexists(destination):
        yield
        return
    aside = _partial_name(destination)
    destination.rename(aside)
    try:
        yield
    except BaseException:
        aside.rename(destination)
        raise
    if aside.is_dir() and not aside.is_symlink():
        shutil.rmtree(aside, ignore_errors=True)
    else:
        aside.unlink()
