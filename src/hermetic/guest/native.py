"""The shared objects that an interpreter and its extension modules take from the system.

The system's own dynamic loader says what it would load (``ld.so --list``, which is what ``ldd`` runs), in an empty
environment, as at launch.  Libraries that are opened by name at run time are not found this way: glibc's NSS and iconv
modules and OpenSSL's providers (see docs/measurement.md).
"""

from __future__ import annotations

import os
import re
import struct
import subprocess
from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hermetic.errors import Misconfigured

__all__ = ["is_elf", "loader_of", "needed"]

_RESOLVED = re.compile(r"\s*(\S+)(?: => (/.*?))? \(0x[0-9a-f]+\)")
_PT_INTERP = 3
_SECONDS = 30


def is_elf(path: Path) -> bool:
    """Whether ``path`` is an ELF object, by its first bytes.  What cannot be read is none; hashing it will refuse."""
    try:
        with path.open("rb") as stream:
            return stream.read(4) == b"\x7fELF"
    except OSError:
        return False


def loader_of(executable: Path) -> Path:
    """The dynamic loader that ``executable`` names (its PT_INTERP).  Raises Misconfigured if it has none."""
    data = executable.read_bytes()
    if len(data) < 64 or data[:6] != b"\x7fELF\x02\x01":
        raise Misconfigured(f"{executable} is not a 64-bit little-endian ELF executable")
    offset, size, count = struct.unpack_from("<Q", data, 32)[0], *struct.unpack_from("<HH", data, 54)
    for header in range(offset, offset + size * count, size):
        kind, _, start, _, _, length = struct.unpack_from("<IIQQQQ", data, header)
        if kind == _PT_INTERP:
            return Path(os.fsdecode(data[start : start + length].rstrip(b"\0")))
    raise Misconfigured(f"{executable} is statically linked: its libraries cannot be told apart")


def needed(loader: Path, objects: Iterable[Path], *, own: Collection[Path]) -> dict[str, Path]:
    """What ``objects`` load from outside ``own``: the name by which they ask for it → the file that answers.

    A library that the loader does not find is left out: importing the module that wants it fails here as it will there.
    Raises Misconfigured if one name has two answers, for a single folder cannot hold both.
    """
    found: dict[str, Path] = {}
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for listing in pool.map(lambda path: _listed(loader, path), objects):
            for name, library in listing:
                if library.resolve() in own:
                    continue
                if not found.setdefault(name, library).samefile(library):
                    raise Misconfigured(f"the library {name} is found as both {found[name]} and {library}")
    return found


def _listed(loader: Path, path: Path) -> list[tuple[str, Path]]:
    try:
        done = subprocess.run(
            [loader, "--list", path],
            env={},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Misconfigured(f"the dynamic loader {loader} did not run: {type(error).__name__}") from None
    lines = (_RESOLVED.fullmatch(line) for line in os.fsdecode(done.stdout).splitlines())
    answers = ((match[1], match[2] or match[1]) for match in lines if match)
    return [(Path(name).name, Path(os.path.normpath(target))) for name, target in answers if target.startswith("/")]
