"""The program digest, and the read-only copy that runs."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import venv
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import Distribution
from pathlib import Path

import pytest

from guest_support import install
from hermetic.errors import Misconfigured, NotAuthentic, Unavailable
from hermetic.guest.contents import distribution_files
from hermetic.guest.installation import Installation
from hermetic.guest.native import loader_of, needed
from hermetic.guest.program import Program, default_store, hold, materialise, measure_program, tidy
from hermetic.guest.requirements import closure
from hermetic.guest.tree import Tree, read_tree

_DIGEST = "from hermetic.guest.program import measure_program; print(measure_program('broker').digest)"


def _run(program: Program, code: str, **environment: str) -> str:
    done = subprocess.run(
        program.command("-c", code), env=environment, cwd="/", capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# ---- what is in the tree


def test_the_tree_is_the_closure_and_no_more(tree: Tree, installation: Installation) -> None:
    paths = {file.path for file in tree.files}
    site = installation.site.as_posix()
    packages = {path.removeprefix(f"{site}/").split("/")[0] for path in paths if path.startswith(f"{site}/")}
    assert {"hermetic", "starlette", "uvicorn", "cryptography"} <= packages
    assert not packages & {"pytest", "mypy", "xllamacpp", "pip", "setuptools", "numpy"}
    assert {
        "bin/python3",
        f"{installation.stdlib}/os.py",
        f"system/{loader_of(installation.interpreter).name}",
    } <= paths
    assert "system/libc.so.6" in paths
    assert not [path for path in paths if path.endswith((".pth", ".pyc", "/RECORD", "/INSTALLER", "/REQUESTED"))]


def test_another_extra_is_another_program(tree: Tree, installation: Installation) -> None:
    assert measure_program("", installation).digest != tree.digest


def test_one_changed_line_of_ours_or_of_a_dependency_is_another_program(
    tree: Tree, installation: Installation, tmp_path: Path
) -> None:
    package = tmp_path / "hermetic"
    shutil.copytree(installation.package, package)
    (package / "errors.py").write_text((package / "errors.py").read_text() + "\n")
    ours = measure_program("broker", dataclasses.replace(installation, package=package))
    h11 = next(found for found in closure("hermetic", "broker", path=installation.path) if found.name == "h11")
    copied = _copy_distribution(h11, tmp_path / "site")
    theirs = measure_program("broker", dataclasses.replace(installation, path=(copied, *installation.path)))
    assert theirs.digest == tree.digest, "the same files in another folder"
    (copied / "h11" / "_version.py").write_text("__version__ = '0'\n")
    theirs = measure_program("broker", dataclasses.replace(installation, path=(copied, *installation.path)))
    assert len({tree.digest, ours.digest, theirs.digest}) == 3


def test_two_virtual_environments_one_of_them_editable_give_one_digest(
    tree: Tree, installation: Installation, tmp_path: Path
) -> None:
    digests = []
    for name, editable in (("one", False), ("another/place", True)):
        home = tmp_path / name
        venv.create(home, symlinks=True, with_pip=False)
        site = home / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
        _install_closure(installation, site, editable=editable)
        done = subprocess.run([home / "bin/python", "-I", "-c", _DIGEST], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        digests.append(done.stdout.strip())
    assert digests == [tree.digest, tree.digest]


def _install_closure(installation: Installation, site: Path, *, editable: bool) -> None:
    for distribution in closure("hermetic", "broker", path=installation.path):
        if distribution.name == "hermetic":
            requires = [line for line in distribution.requires or () if line]
            install(site, "hermetic", requires=requires, extras=distribution.metadata.get_all("Provides-Extra") or ())
        else:
            _copy_distribution(distribution, site)
    if editable:
        (site / "__editable__.hermetic.pth").write_text(f"{installation.package.parent}\n")
    else:
        shutil.copytree(installation.package, site / "hermetic")


def _copy_distribution(distribution: Distribution, site: Path) -> Path:
    """As another installer would put it there: the same files, and records of its own."""
    paths = []
    for path, source in distribution_files(distribution):
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, site / path)
        paths.append(path)
    info = next(site / path for path in paths if path.endswith(".dist-info/METADATA")).parent
    (info / "INSTALLER").write_text("another\n")
    (info / "RECORD").write_text("".join(f"{path},,\n" for path in paths))
    return site


def test_a_distribution_that_lists_a_file_it_lacks_is_refused(installation: Installation, tmp_path: Path) -> None:
    h11 = next(found for found in closure("hermetic", "broker", path=installation.path) if found.name == "h11")
    copied = _copy_distribution(h11, tmp_path)
    (copied / "h11" / "_version.py").unlink()
    with pytest.raises(Misconfigured, match=r"h11/_version\.py is part of the program and cannot be read"):
        measure_program("broker", dataclasses.replace(installation, path=(copied, *installation.path)))


# ---- the copy


def test_the_copy_is_self_contained(program: Program) -> None:
    """Every import of the closure, and all native code that these map, comes from the copy."""
    code = (
        "import sys, json, ssl, sqlite3, ctypes, lzma, bz2, zlib, uvloop, httptools, starlette.applications, uvicorn\n"
        "import cryptography.hazmat.bindings._rust, msgspec, rich.console, httpx2, hermetic.wire\n"
        "maps = [line.split(maxsplit=5) for line in open('/proc/self/maps')]\n"
        "mapped = {m[5].strip() for m in maps if len(m) == 6 and 'x' in m[1] and m[5].startswith('/')}\n"
        "modules = {m.__file__ for m in list(sys.modules.values()) if getattr(m, '__file__', None)}\n"
        "print(json.dumps([sys.path, sys.prefix, sys.base_prefix, sys.executable, *mapped, *modules]))"
    )
    path, *used = json.loads(_run(program, code))
    assert len(used) > 200
    for used_path in [*path, *used]:
        assert Path(used_path).is_relative_to(program.root), used_path


def test_python_variables_and_user_files_are_ignored(program: Program, tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('a planted module ran')")
    (tmp_path / "usercustomize.py").write_text("raise SystemExit('usercustomize ran')")
    (tmp_path / "sitecustomize.py").write_text("raise SystemExit('sitecustomize ran')")
    code = "import json, sys; print(sys.flags.isolated, sys.flags.dont_write_bytecode, json.__file__)"
    environment = {"PYTHONPATH": str(tmp_path), "PYTHONHOME": str(tmp_path), "PYTHONSTARTUP": str(tmp_path / "json.py")}
    answer = _run(program, code, **environment, PYTHONUSERBASE=str(tmp_path), HOME=str(tmp_path))
    assert answer.startswith(f"1 True {program.root}") or answer.startswith(f"1 1 {program.root}")


def test_the_copy_is_read_only_and_made_once(program: Program, tree: Tree, store: Path) -> None:
    made = program.root.stat()
    assert materialise(tree, store) == program
    assert (program.root.stat().st_ino, program.root.stat().st_ctime_ns) == (made.st_ino, made.st_ctime_ns)
    assert program.root.name == tree.digest.removeprefix("sha256:")
    assert not list(store.glob(".*")), "nothing half-built is left behind"
    modes = {path.stat().st_mode & 0o222 for path in program.root.rglob("*")}
    assert modes == {0}


def test_each_kind_of_modification_is_refused(own_copy: Program) -> None:
    victim = next(own_copy.root.rglob("hermetic/errors.py"))
    name = victim.relative_to(own_copy.root).as_posix()
    original = victim.read_bytes()
    own_copy.check()

    _replace(victim, original[:-1] + b"#")
    _refused(own_copy, f"{name} was changed")
    victim.unlink()
    _refused(own_copy, f"{name} is missing")
    victim.symlink_to("/etc/hostname")
    _refused(own_copy, "neither a file nor a folder")
    _replace(victim, original)
    own_copy.check()
    added = victim.with_name("__pycache__") / "errors.cpython-311.pyc"
    added.parent.mkdir()
    added.touch()
    _refused(own_copy, r"errors\.cpython-311\.pyc was added")


def test_a_modified_copy_is_refused_at_the_next_launch(own_copy: Program, tree: Tree, tmp_path: Path) -> None:
    place = tmp_path / "store" / tree.digest.removeprefix("sha256:")
    place.parent.mkdir()
    own_copy.root.rename(place)
    _replace(next(place.rglob("uvicorn/main.py")), b"raise SystemExit")
    with pytest.raises(NotAuthentic, match=r"uvicorn/main\.py was changed.*rm -rf") as refusal:
        materialise(tree, place.parent)
    assert refusal.value.code == "program_modified"


def test_a_file_that_changes_while_it_is_copied_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_bytes(b"hashed")
    tree = read_tree({"bin/python3": Path(sys.executable).resolve(), "a.py": tmp_path / "a.py"})
    (tmp_path / "a.py").write_bytes(b"copied")
    with pytest.raises(NotAuthentic, match=r"a\.py was changed"):
        materialise(tree, tmp_path / "store")
    assert os.listdir(tmp_path / "store") == []


def _without(tree: Tree, installation: Installation, path: str) -> Tree:
    """The tree without ``path``, and without dependencies for speed."""
    site, ours = f"{installation.site}/", f"{installation.site}/hermetic/"
    kept = (file for file in tree.files if file.path.startswith(ours) or not file.path.startswith(site))
    return Tree(files=tuple(file for file in kept if file.path != path))


def test_an_interpreter_that_reaches_outside_is_refused(tree: Tree, installation: Installation, tmp_path: Path) -> None:
    """Without a library of its own it would run on the machine's: noticed before anything else runs from the copy."""
    with pytest.raises(Misconfigured, match=r"still uses .*libm\.so\.6"):
        materialise(_without(tree, installation, "system/libm.so.6"), tmp_path)
    assert os.listdir(tmp_path) == []


def test_an_interpreter_that_does_not_run_is_refused(tree: Tree, installation: Installation, tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"does not run: ModuleNotFoundError.*socket"):
        materialise(_without(tree, installation, f"{installation.stdlib}/socket.py"), tmp_path)
    assert os.listdir(tmp_path) == []


def test_two_launches_at_once_make_one_copy(tree: Tree, installation: Installation, tmp_path: Path) -> None:
    smaller = _without(tree, installation, "")
    with ThreadPoolExecutor(2) as pool:
        one, two = pool.map(lambda _: materialise(smaller, tmp_path), range(2))
    assert one == two
    assert os.listdir(tmp_path) == [one.root.name]


def test_a_store_that_cannot_be_written(tree: Tree, tmp_path: Path) -> None:
    (tmp_path / "store").touch()
    with pytest.raises(Unavailable, match="cannot be written"):
        materialise(tree, tmp_path / "store")


def test_copies_that_nobody_uses_are_tidied_away(program: Program, tmp_path: Path) -> None:
    copies = [tmp_path / f"{number:064x}" for number in range(5)]
    for age, copy in enumerate(copies):
        copy.mkdir()
        os.utime(copy, (1_000_000 - age, 1_000_000 - age))
    building = tmp_path / ".building-elsewhere"
    building.mkdir()
    os.utime(building, (0, 0))
    held = hold(dataclasses.replace(program, root=copies[4]))
    os.utime(copies[4], (0, 0))
    try:
        assert tidy(tmp_path, keep=2) == 2
    finally:
        os.close(held)
    assert [copy.exists() for copy in copies] == [True, True, False, False, True]
    assert building.exists()
    assert tidy(tmp_path, keep=2) == 1


def test_the_default_store_is_in_the_cache_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert default_store() == Path("/somewhere/hermetic/programs")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative/is/invalid")
    assert default_store() == Path.home() / ".cache/hermetic/programs"


def _replace(path: Path, data: bytes) -> None:
    mode = path.stat().st_mode if path.is_file() and not path.is_symlink() else 0o100400
    path.unlink()
    path.write_bytes(data)
    path.chmod(mode)


def _refused(program: Program, reason: str) -> None:
    with pytest.raises(NotAuthentic, match=reason):
        program.check()


# ---- interpreters and native libraries


_SYSTEM_PYTHON = Path("/usr/bin/python3")


def _same_python(interpreter: Path) -> bool:
    code = f"import sys, venv; sys.exit(sys.version_info[:2] != {tuple(sys.version_info[:2])})"
    return interpreter.exists() and subprocess.run([interpreter, "-c", code], check=False).returncode == 0


@pytest.mark.skipif(not _same_python(_SYSTEM_PYTHON), reason="the system's Python is absent or of another version")
def test_the_systems_own_interpreter_can_be_laid_out(installation: Installation, tmp_path: Path) -> None:
    subprocess.run([_SYSTEM_PYTHON, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    (site,) = (tmp_path / "venv/lib").glob("python*/site-packages")
    _install_closure(installation, site, editable=True)
    code = (
        "from pathlib import Path; from hermetic.guest.program import *\n"
        f"program = materialise(measure_program('broker'), Path({str(tmp_path / 'store')!r})); print(program.root)"
    )
    done = subprocess.run([tmp_path / "venv/bin/python", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).parent == tmp_path / "store"


def _executable(path: Path, script: str) -> Path:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_libraries_are_found_by_the_loader_and_our_own_are_left_out(installation: Installation) -> None:
    loader = loader_of(installation.interpreter)
    found = needed(loader, [installation.interpreter], own=())
    assert found["libc.so.6"].is_file()
    assert found[loader.name].samefile(loader)
    assert "libc.so.6" not in needed(loader, [installation.interpreter], own=[found["libc.so.6"].resolve()])


def test_a_library_that_is_missing_is_left_out_and_one_with_two_answers_refused(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).touch()
    listing = 'printf "\\tlibgone.so => not found\\n\\tlinux-vdso.so.1 (0x0)\\n\\tlibx.so.1 => $2 (0x0)\\n"'
    loader = _executable(tmp_path / "loader", listing)
    assert needed(loader, [tmp_path / "one"], own=()) == {"libx.so.1": tmp_path / "one"}
    with pytest.raises(Misconfigured, match=r"libx\.so\.1 is found as both"):
        needed(loader, [tmp_path / "one", tmp_path / "two"], own=())


def test_a_loader_that_does_not_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="did not run"):
        needed(tmp_path / "absent", [tmp_path], own=())


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("exit 1", "does not describe itself"),
        ("echo '?'", "does not describe itself"),
        ('echo \'["/x", "/x/lib", [2, 7], ["/x/lib/site"]]\'', "is Python 2.7"),
        ('echo \'["/x", "/y/lib", VERSION, ["/y/lib/site"]]\'', "does not lie in the interpreter's prefix"),
        ('echo \'["/x", "/x/lib", VERSION, ["/x/site"]]\'', "searches no folder beneath"),
    ],
)
def test_an_interpreter_that_cannot_be_laid_out_is_refused(tmp_path: Path, answer: str, reason: str) -> None:
    interpreter = _executable(tmp_path / "python", answer.replace("VERSION", str(list(sys.version_info[:2]))))
    with pytest.raises(Misconfigured, match=reason):
        Installation.running(interpreter)


def test_only_a_dynamic_elf_has_a_loader(tmp_path: Path) -> None:
    (tmp_path / "script").write_text("#!/bin/sh\n")
    with pytest.raises(Misconfigured, match="not a 64-bit little-endian ELF"):
        loader_of(tmp_path / "script")
    header = bytearray(Path(sys.executable).resolve().read_bytes()[:4096])
    header[56:58] = b"\0\0"  # no program headers
    (tmp_path / "static").write_bytes(header)
    with pytest.raises(Misconfigured, match="statically linked"):
        loader_of(tmp_path / "static")
