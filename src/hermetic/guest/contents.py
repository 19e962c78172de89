"""Which files of the standard library and of the installed distributions belong to a program, and which never do.

Left out: what Python would run by itself (``.pth``, ``sitecustomize``, ``usercustomize``), compiled caches, what varies
with the manner of installation (RECORD, INSTALLER, REQUESTED, direct_url.json, scripts that name a path), and of
the standard library its tests, its graphical tools and what only builds or installs packages.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from importlib.metadata import Distribution
from pathlib import Path

from hermetic.errors import Misconfigured
from hermetic.wire import parse_object

__all__ = ["distribution_files", "package_files", "stdlib_files"]

_SELF_STARTING = ("sitecustomize", "usercustomize")
_INSTALL_RECORDS = frozenset({"RECORD", "INSTALLER", "REQUESTED", "direct_url.json"})
_STDLIB_WITHOUT = frozenset(
    {"test", "tests", "idlelib", "tkinter", "turtledemo", "ensurepip", "lib2to3", "site-packages", "dist-packages"}
)


def stdlib_files(stdlib: Path) -> Iterator[tuple[str, Path]]:
    """The files of the standard library: (path beneath it, file).  Links to files are read through."""
    for path, source in _files(stdlib, _unwanted_stdlib_folder):
        if not source.name.startswith("_tkinter."):
            yield path, source


def package_files(package: Path) -> Iterator[tuple[str, Path]]:
    """The files of a package's folder, whatever its installation says of them: an editable install lists none."""
    yield from _files(package, lambda name: False)


def distribution_files(distribution: Distribution) -> Iterator[tuple[str, Path]]:
    """The files that a distribution lists in its RECORD: (path in site-packages, file).

    Raises Misconfigured if it lists none, lists one that is missing, or is an editable install, whose code lies where
    no record says.
    """
    name = distribution.metadata["Name"]
    origin = distribution.read_text("direct_url.json")
    if origin and parse_object(origin, what=f"direct_url.json of {name}").get("dir_info", {}).get("editable"):
        raise Misconfigured(f"{name} is an editable install, so its files are not recorded", fix=f"pip install {name}")
    if distribution.files is None:
        raise Misconfigured(f"{name} does not record its files", fix=f"pip install --force-reinstall {name}")
    for listed in distribution.files:
        path = os.path.normpath(listed)
        if path.startswith(("..", "/")) or not _wanted(path):
            continue  # outside site-packages lie only scripts, manual pages and the like
        yield path, Path(os.path.normpath(str(listed.locate())))


def _files(root: Path, skip: Callable[[str], bool]) -> Iterator[tuple[str, Path]]:
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not skip(name) and name[:1] != "."]
        for name in names:
            path = Path(folder, name).relative_to(root).as_posix()
            if _wanted(path) and name[:1] != ".":
                yield path, Path(folder, name)


def _unwanted_stdlib_folder(name: str) -> bool:
    return name in _STDLIB_WITHOUT or name.startswith("config-")


def _wanted(path: str) -> bool:
    *folders, name = path.split("/")
    if "__pycache__" in folders or name.endswith((".pyc", ".pyo", ".pth")):
        return False
    if path.partition("/")[0].partition(".")[0] in _SELF_STARTING:
        return False
    return not (name in _INSTALL_RECORDS and folders and folders[-1].endswith(".dist-info"))
