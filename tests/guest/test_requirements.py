"""The closure of an extra over installed metadata."""

from __future__ import annotations

from pathlib import Path

import pytest

from guest_support import install
from hermetic.errors import Misconfigured
from hermetic.guest.requirements import Requirement, closure


def _names(root: str, extra: str, *path: Path) -> list[str]:
    return [distribution.metadata["Name"] for distribution in closure(root, extra, path=path)]


def test_only_what_the_extra_needs(tmp_path: Path) -> None:
    install(tmp_path, "root", requires=["base", 'served; extra == "serve"', 'huge; extra == "train"'])
    for name in ("base", "served", "huge", "unrelated"):
        install(tmp_path, name)
    assert _names("root", "serve", tmp_path) == ["base", "root", "served"]


def test_extras_of_requirements_are_followed_and_cycles_end(tmp_path: Path) -> None:
    install(tmp_path, "root", requires=["lib[fast]", "root[more]", 'late; extra == "more"'], extras=["more"])
    install(tmp_path, "Lib", requires=['speed; extra == "fast"', "root", 'slow; extra == "slow"'])
    install(tmp_path, "speed", requires=["lib"])
    install(tmp_path, "late")
    assert _names("root", "", tmp_path) == ["late", "Lib", "root", "speed"]


def test_markers_of_other_platforms_are_left_out(tmp_path: Path) -> None:
    install(tmp_path, "root", requires=['windows-only; sys_platform == "win32"', 'here; os_name == "posix"'])
    install(tmp_path, "here")
    install(tmp_path, "windows-only")
    assert _names("root", "", tmp_path) == ["here", "root"]


def test_the_first_folder_wins(tmp_path: Path) -> None:
    for version in ("1", "2"):
        install(tmp_path / version, "root", version=version)
    (found,) = closure("root", "", path=[tmp_path / "2", tmp_path / "1"])
    assert found.version == "2"


def test_a_missing_requirement_is_refused(tmp_path: Path) -> None:
    install(tmp_path, "root", requires=["absent"])
    with pytest.raises(Misconfigured, match="absent is needed by root"):
        closure("root", "", path=[tmp_path])


def test_an_unknown_extra_is_refused(tmp_path: Path) -> None:
    install(tmp_path, "root", requires=['x; extra == "serve"'], extras=["serve"])
    with pytest.raises(Misconfigured, match="no extra 'srve'; it has serve"):
        closure("root", "srve", path=[tmp_path])


@pytest.mark.parametrize(
    ("line", "name", "extras", "marker"),
    [
        ("Foo_Bar", "foo-bar", (), ""),
        ("foo>=1,<2", "foo", (), ""),
        ("foo (>=1)", "foo", (), ""),
        ("foo[A_b, c]>=1 ; extra == 'x'", "foo", ("a-b", "c"), "extra == 'x'"),
        ("foo @ https://example.org/foo-1.tar.gz ; os_name == 'posix'", "foo", (), "os_name == 'posix'"),
    ],
)
def test_requirement_lines(line: str, name: str, extras: tuple[str, ...], marker: str) -> None:
    assert Requirement.parse(line) == Requirement(name=name, extras=extras, marker=marker)


def test_a_requirement_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(Misconfigured, match="cannot be read"):
        Requirement.parse("[x]")
