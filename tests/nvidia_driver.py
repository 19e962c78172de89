"""NVIDIA's libraries as a driver installs them, compiled here, with recorded devices behind them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from nvidia_support import HOPPER, SWITCH, read
from vectors import needs_vectors

__all__ = ["compile_library", "needs_compiler", "needs_vectors", "record"]

_COMPILER = shutil.which("cc") or shutil.which("gcc")
_SOURCES = Path(__file__).parent / "sources"
_FOLDERS = {"gpu": HOPPER, "switch": SWITCH}

needs_compiler = pytest.mark.skipif(_COMPILER is None, reason="there is no C compiler")


def compile_library(source: str, library: Path) -> Path:
    assert _COMPILER is not None
    options = ("-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", library, _SOURCES / source)
    subprocess.run((_COMPILER, *options), check=True)
    return library


def record(folder: Path, *, gpus: int = 0, switches: int = 0) -> bytes:
    """Lays recorded devices into ``folder`` for the libraries; the nonce that they answer, of the last kind laid."""
    report = b""
    for kind, count, prefix in (("gpu", gpus, ""), ("switch", switches, "switch-")):
        for index in range(count):
            place = Path("nvidia") / _FOLDERS[kind]
            report = bytes.fromhex(read(place / "report.hex").decode().strip())
            (folder / f"{prefix}{index}.report").write_bytes(report)
            (folder / f"{prefix}{index}.chain").write_bytes(read(place / "chain.pem"))
    return report[4:36]
