"""A program as a tree of files with one digest: what is hashed is what will be laid out, and nothing else.

The digest is ``sha256:`` over the canonical JSON of ``{"version": "hermetic.program.v1", "files": [{"path", "sha256",
"executable"}]}``, sorted by path.  Owners, times, other permission bits and where a file came from are no part of it.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path, PurePosixPath

from hermetic.errors import Malformed, Misconfigured, NotAuthentic
from hermetic.wire import Digest, canonical, sha256_digest

__all__ = ["File", "Tree", "difference", "read_copy", "read_tree"]

_VERSION = "hermetic.program.v1"
_THREADS = min(8, os.cpu_count() or 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One regular file: where it lies in the tree (a relative POSIX path), its bytes' SHA-256 in hex, its exec bit."""

    path: str
    sha256: str
    executable: bool
    source: Path = field(compare=False, repr=False)
    """Where the bytes were read.  Not part of the digest."""

    def __post_init__(self) -> None:
        if (
            PurePosixPath(self.path).as_posix() != self.path
            or self.path[:1] in ("", "/")
            or ".." in self.path.split("/")
        ):
            raise Malformed(f"not a normalised relative path: {self.path!r}")


@dataclass(frozen=True, kw_only=True)
class Tree:
    """The files of a program, sorted by path, each path once.  An empty tree is refused: it measures nothing."""

    files: tuple[File, ...]

    def __post_init__(self) -> None:
        paths = [file.path for file in self.files]
        if not paths or any(a >= b for a, b in pairwise(paths)):
            raise Malformed("a program tree holds at least one file, sorted by path, each once")

    @cached_property
    def digest(self) -> Digest:
        listing = [{"path": f.path, "sha256": f.sha256, "executable": f.executable} for f in self.files]
        return sha256_digest(canonical({"version": _VERSION, "files": listing}))


def read_tree(layout: Mapping[str, Path]) -> Tree:
    """Hashes every file of ``layout`` (path in the tree → where it lies now), on all cores.

    Links are read through.  Raises Misconfigured where a file cannot be read.
    """
    with ThreadPoolExecutor(_THREADS) as pool:
        files = pool.map(_read_file, *zip(*sorted(layout.items()), strict=True)) if layout else ()
        return Tree(files=tuple(files))


def read_copy(root: Path) -> Tree:
    """Hashes everything beneath ``root``.

    Raises NotAuthentic on a symbolic link or a special file: a copy that we laid out has none, and what a link points
    at could change after it was hashed.
    """
    return read_tree({path.relative_to(root).as_posix(): path for path in _regular_files(root)})


def difference(expected: Tree, found: Tree) -> str:
    """In words, the first path at which two trees differ."""
    wanted, have = ({file.path: file for file in tree.files} for tree in (expected, found))
    for path in sorted(wanted.keys() | have.keys()):
        if path not in have:
            return f"{path} is missing"
        if path not in wanted:
            return f"{path} was added"
        if wanted[path].sha256 != have[path].sha256:
            return f"{path} was changed: expected sha256:{wanted[path].sha256}, got sha256:{have[path].sha256}"
        if wanted[path] != have[path]:
            return f"{path} was made {'executable' if have[path].executable else 'not executable'}"
    raise ValueError("the trees are equal")


def _read_file(path: str, source: Path) -> File:
    try:
        with source.open("rb", buffering=0) as stream:
            mode = os.fstat(stream.fileno()).st_mode
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise Misconfigured(f"{source} is part of the program and cannot be read: {error.strerror}") from None
    return File(path=path, sha256=digest, executable=bool(mode & stat.S_IXUSR), source=source)


def _regular_files(root: Path) -> Iterable[Path]:
    folders = [root]
    while folders:
        for entry in os.scandir(folders.pop()):
            if entry.is_dir(follow_symlinks=False):
                folders.append(Path(entry.path))
            elif entry.is_file(follow_symlinks=False):
                yield Path(entry.path)
            else:
                raise NotAuthentic(f"{entry.path} is neither a file nor a folder")
