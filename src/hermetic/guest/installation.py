"""Where the interpreter, its standard library and the installed distributions lie on this machine.

A base interpreter is asked about itself, so that pyenv's, a distribution's own and the one beneath a virtual
environment are all described the same way.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import hermetic
from hermetic.errors import Misconfigured

__all__ = ["Installation"]

_DESCRIBE = """
import json, site, sys, sysconfig
prefix = sys.base_prefix
print(json.dumps([prefix, sysconfig.get_path("stdlib"), sys.version_info[:2], site.getsitepackages([prefix])]))
"""
_SECONDS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """A place to measure.  ``stdlib`` and ``site`` are relative to any prefix that this interpreter is laid out in.

    ``site`` is the folder beneath ``stdlib`` that the interpreter itself searches for distributions: ``site-packages``,
    or ``dist-packages`` on Debian.  ``path`` holds the folders in which distributions are installed, first match first.
    ``package`` is the folder of hermetic's own code, which an editable install keeps elsewhere.
    """

    interpreter: Path
    prefix: Path
    stdlib: Path
    site: Path
    path: tuple[Path, ...]
    package: Path

    @classmethod
    def running(cls, interpreter: Path | None = None) -> Installation:
        """The one that this process runs in, on its base interpreter unless told otherwise.

        Raises Misconfigured where the interpreter cannot be laid out elsewhere.
        """
        base = interpreter or Path(getattr(sys, "_base_executable", None) or sys.executable)
        interpreter = base.resolve()
        prefix, stdlib, site = _describe(interpreter)
        return cls(
            interpreter=interpreter,
            prefix=prefix,
            stdlib=stdlib,
            site=site,
            path=tuple(Path(folder) for folder in sys.path if os.path.isdir(folder)),
            package=Path(hermetic.__path__[0]).resolve(),
        )


def _describe(interpreter: Path) -> tuple[Path, Path, Path]:
    try:
        done = subprocess.run(
            [interpreter, "-I", "-S", "-B", "-c", _DESCRIBE], env={}, capture_output=True, timeout=_SECONDS, check=True
        )
        prefix, stdlib, version, sites = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise Misconfigured(f"the interpreter {interpreter} does not describe itself: {type(error).__name__}") from None
    if tuple(version) != sys.version_info[:2]:
        raise Misconfigured(f"{interpreter} is Python {version[0]}.{version[1]}, not the version that is running")
    if not Path(stdlib).is_relative_to(prefix):
        raise Misconfigured(f"the standard library {stdlib} does not lie in the interpreter's prefix {prefix}")
    site = next((folder for folder in sites if Path(folder).parent == Path(stdlib)), None)
    if site is None:
        raise Misconfigured(f"{interpreter} searches no folder beneath {stdlib} for distributions")
    return Path(prefix), Path(stdlib).relative_to(prefix), Path(site).relative_to(prefix)
