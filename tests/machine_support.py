"""A machine of our own making: a process whose ``/dev``, ``/run`` and parts of ``/sys`` and ``/proc`` are what we say.

In a private mount namespace empty file systems are laid over them, and files, sockets and folders from elsewhere are
bound into those.  What runs in there finds its platform where it would on hardware, and nothing outside sees a change.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest

__all__ = ["in_machine", "needs_namespaces"]

_COVERED = ("/sys/kernel", "/sys/firmware", "/proc/driver", "/run", "/dev")
_DEVICES = ("null", "zero", "random", "urandom")

# "$0" is a scratch folder; then pairs of target and source, "--", and the command.
_SCRIPT = """
set -e
mkdir "$0/dev"
mount -t tmpfs tmpfs "$0/dev"
for device in DEVICES; do touch "$0/dev/$device"; mount --bind "/dev/$device" "$0/dev/$device"; done
for folder in COVERED; do [ ! -d "$folder" ] || mount -t tmpfs tmpfs "$folder"; done
mount --rbind "$0/dev" /dev
while [ "$1" != -- ]; do
    mkdir -p "$(dirname "$1")"
    if [ -d "$2" ]; then mkdir "$1"; else touch "$1"; fi
    mount --bind "$2" "$1"
    shift 2
done
shift
exec "$@"
"""


@cache
def _unshare() -> tuple[str, ...] | None:
    """How a private mount namespace is made here, if it can be."""
    rights = () if os.geteuid() == 0 else ("--map-root-user",)
    command = ("unshare", *rights, "--mount", "--propagation", "private")
    if shutil.which("unshare") is None:
        return None
    tried = subprocess.run((*command, "mount", "-t", "tmpfs", "tmpfs", "/sys/kernel"), capture_output=True, check=False)
    return command if tried.returncode == 0 else None


needs_namespaces = pytest.mark.skipif(_unshare() is None, reason="private mount namespaces are not available")


def in_machine(
    scratch: Path, binds: Mapping[str, Path], *arguments: str | Path, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs ``hermetic`` with these arguments where each path of ``binds`` is that file, socket or folder."""
    unshare = _unshare()
    assert unshare is not None
    script = _SCRIPT.replace("DEVICES", " ".join(_DEVICES)).replace("COVERED", " ".join(_COVERED[:-1]))
    pairs = [str(part) for target, source in binds.items() for part in (target, source)]
    command = [*unshare, "sh", "-c", script, str(scratch), *pairs, "--", sys.executable, "-m", "hermetic", *arguments]
    home = {"HOME": str(scratch), "XDG_STATE_HOME": str(scratch), "XDG_CACHE_HOME": str(scratch)}
    return subprocess.run(
        command, env={**os.environ, **home, **(environment or {})}, capture_output=True, text=True, check=False
    )
