"""File systems in FUSE that behave as a kernel's."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

__all__ = ["mounted", "needs_fuse"]

_FUSE = os.access("/dev/fuse", os.R_OK | os.W_OK) and shutil.which("fusermount3") and find_spec("mfusepy")

needs_fuse = pytest.mark.skipif(not _FUSE, reason="FUSE is not available")


@contextmanager
def mounted(program: Path, folder: Path) -> Iterator[Path]:
    """``folder`` while ``program`` (a file system in FUSE) answers for it."""
    folder.mkdir(exist_ok=True)
    server = subprocess.Popen([sys.executable, program, folder])
    deadline = time.monotonic() + 30
    while not os.path.ismount(folder):
        assert server.poll() is None, "the folder could not be mounted"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    try:
        yield folder
    finally:
        subprocess.run(["fusermount3", "-u", "-z", folder], check=True)
        server.wait(30)
