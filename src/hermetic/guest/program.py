"""The program of a workload: measured as one tree, run from one read-only copy of it.

The tree holds the distributions that an extra of hermetic needs, the interpreter, its standard library, and the shared
objects that these take from the system.  The copy is a self-contained prefix: even the dynamic loader is its own, so no
library of the machine takes part (docs/measurement.md says what remains).
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from hermetic.errors import Misconfigured, NotAuthentic, Unavailable
from hermetic.guest.contents import distribution_files, package_files, stdlib_files
from hermetic.guest.installation import Installation
from hermetic.guest.native import is_elf, loader_of, needed
from hermetic.guest.requirements import closure, normalised
from hermetic.guest.tree import Tree, difference, read_copy, read_tree
from hermetic.wire import Digest

__all__ = ["Program", "default_store", "hold", "materialise", "measure_program", "remove_copies", "tidy"]

_INTERPRETER = "bin/python3"
_SYSTEM = "system"
_COPY = re.compile(r"[0-9a-f]{64}|\.building-\w+")
_SECONDS = 60
_PROOF = """
import sys, socket, hashlib, hermetic
with open("/proc/self/maps") as maps:
    mapped = {line.split(maxsplit=5)[5].strip() for line in maps if " r-xp " in line and "/" in line}
print("\\n".join(sys.path + sorted(mapped)))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A copy on disk that was checked once.  Anyone with this user's rights can change it: :meth:`check` before use."""

    root: Path
    tree: Tree

    @property
    def digest(self) -> Digest:
        return self.tree.digest

    def check(self) -> None:
        """Hashes the copy again.  Raises NotAuthentic, naming the first path that differs."""
        found = read_copy(self.root)
        if found.digest != self.digest:
            raise NotAuthentic(
                f"the program copy {self.root} was modified: {difference(self.tree, found)}",
                code="program_modified",
                fix=f"remove it (rm -rf {self.root}); the next launch lays out a fresh one",
            )

    def command(self, *arguments: str) -> tuple[str, ...]:
        """The command line that runs the copied interpreter on ``arguments``, isolated (``-I``) and unwritten (``-B``).

        The copied loader is named outright, because the kernel would take the one of the machine; ``--library-path``
        goes before any path written into a library, and ``--inhibit-cache`` hides the machine's list of libraries.
        """
        system = self.root / _SYSTEM
        loader = system / loader_of(self.root / _INTERPRETER).name
        python = self.root / _INTERPRETER
        return (str(loader), "--inhibit-cache", "--library-path", str(system), str(python), "-I", "-B", *arguments)


def measure_program(extra: str, installation: Installation | None = None) -> Tree:
    """The tree of ``hermetic[extra]`` as installed.  Nothing is copied.

    Raises Misconfigured where a distribution is missing or does not list its files, or the interpreter is not one that
    can be laid out (glibc, ELF).
    """
    place = installation or Installation.running()
    layout = dict(_layout(place, extra))
    loader = loader_of(place.interpreter)
    objects = [source for source in layout.values() if is_elf(source)]
    own = frozenset(source.resolve() for source in objects)
    libraries = needed(loader, objects, own=own) | {loader.name: loader}
    return read_tree(layout | {f"{_SYSTEM}/{name}": source for name, source in libraries.items()})


def materialise(tree: Tree, store: Path) -> Program:
    """The read-only copy of ``tree`` in ``store``, made if it is not there, checked either way.

    It appears whole or not at all: it is built beside its place and renamed.  Raises NotAuthentic if a copy that is
    there was modified or a file changed while it was copied; Misconfigured if the copied interpreter is not
    self-contained; Unavailable if the store cannot be written.
    """
    program = Program(root=store / tree.digest.removeprefix("sha256:"), tree=tree)
    if program.root.exists():
        program.check()
        return program
    try:
        store.mkdir(mode=0o700, parents=True, exist_ok=True)
        _build(program, store)
    except OSError as error:
        raise Unavailable(f"the program store {store} cannot be written: {error.strerror}") from error
    return program


def default_store() -> Path:
    """``hermetic/programs`` in the user's cache folder (XDG base directories)."""
    configured = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(configured) if configured.startswith("/") else Path.home() / ".cache") / "hermetic" / "programs"


def hold(program: Program) -> int:
    """A descriptor that keeps the copy from being tidied away for as long as it is open."""
    held = os.open(program.root, os.O_RDONLY | os.O_CLOEXEC)
    fcntl.flock(held, fcntl.LOCK_SH)
    os.utime(program.root)
    return held


def tidy(store: Path, *, keep: int = 3) -> int:
    """Removes copies that nobody holds, except the ``keep`` that were used last; how many.

    Every change to the code makes a new copy of 200 MB: without this a developer's cache only grows.
    """
    whole = [copy for copy in _copies(store) if not copy.name.startswith(".")]
    copies = sorted(whole, key=lambda copy: copy.stat().st_mtime, reverse=True)
    removed = 0
    for copy in copies[keep:]:
        descriptor = os.open(copy, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove(copy)
            removed += 1
        except BlockingIOError:
            pass  # a workload runs from it
        finally:
            os.close(descriptor)
    return removed


def remove_copies(store: Path) -> int:
    """Removes every copy in ``store``; how many.  A workload that still runs from one keeps what it has loaded."""
    copies = _copies(store)
    for copy in copies:
        _remove(copy)
    return len(copies)


def _copies(store: Path) -> list[Path]:
    return [path for path in store.glob("*") if path.is_dir() and _COPY.fullmatch(path.name)]


def _layout(place: Installation, extra: str) -> Iterator[tuple[str, Path]]:
    yield _INTERPRETER, place.interpreter
    for path, source in stdlib_files(place.prefix / place.stdlib):
        yield str(PurePosixPath(place.stdlib, path)), source
    for path, source in package_files(place.package):
        yield str(PurePosixPath(place.site, "hermetic", path)), source
    for distribution in closure("hermetic", extra, path=place.path):
        if normalised(distribution.metadata["Name"]) != "hermetic":
            for path, source in distribution_files(distribution):
                yield str(PurePosixPath(place.site, path)), source


def _build(program: Program, store: Path) -> None:
    temporary = Path(tempfile.mkdtemp(prefix=".building-", dir=store))
    try:
        _copy(program.tree, temporary)
        copy = Program(root=temporary, tree=program.tree)
        copy.check()  # also finds a file that changed between hash and copy
        _prove_self_contained(copy)
        # Not synced to the disk: what a crash tears is found by the check before each launch.
        temporary.rename(program.root)
        tidy(store)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise
        program.check()  # another launch was first, and its copy is believed no more than any other
    finally:
        if temporary.exists():
            _remove(temporary)


def _copy(tree: Tree, root: Path) -> None:
    for folder in sorted({(root / file.path).parent for file in tree.files}):
        folder.mkdir(parents=True, exist_ok=True)

    def one(path: str, source: Path, executable: bool) -> None:
        shutil.copyfile(source, root / path)
        os.chmod(root / path, 0o500 if executable else 0o400)

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for done in [pool.submit(one, file.path, file.source, file.executable) for file in tree.files]:
            done.result()
    for place, _, _ in os.walk(root, topdown=False):
        os.chmod(place, 0o500)


def _remove(copy: Path) -> None:
    for folder, _, _ in os.walk(copy):
        os.chmod(folder, 0o700)  # they are read-only
    shutil.rmtree(copy)


def _prove_self_contained(program: Program) -> None:
    """The copied interpreter runs, searches only the copy, and maps only code of the copy."""
    try:
        done = subprocess.run(
            program.command("-c", _PROOF), env={}, cwd=program.root, stdin=subprocess.DEVNULL, capture_output=True,
            timeout=_SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise Misconfigured("the copied interpreter did not finish starting") from None
    if done.returncode != 0:
        reasons = [line for line in os.fsdecode(done.stderr).splitlines() if "rror" in line]
        raise Misconfigured(f"the copied interpreter does not run: {reasons[-1] if reasons else 'it gives no reason'}")
    for used in os.fsdecode(done.stdout).splitlines():
        if not Path(used).is_relative_to(program.root):
            raise Misconfigured(f"the copied interpreter still uses {used}: this build of Python cannot be laid out")
