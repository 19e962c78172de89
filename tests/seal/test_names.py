"""Names that a stranger chose and that become paths here."""

from __future__ import annotations

from pathlib import PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermetic.errors import Malformed
from hermetic.seal.names import MAX_NAME, check_name, check_names

GOOD = [
    "a",
    "model.gguf",
    "a/b/c",
    ".hidden",
    "with space.txt",
    "ünï/cödé",
    "日本語",
    "a..b",
    "...a",
    "console",
    "com10",
]
BAD = [
    "",
    "/",
    "/etc/passwd",
    "//server/share",
    "a//b",
    "a/",
    "/a",
    ".",
    "..",
    "../a",
    "a/..",
    "a/../b",
    "a/./b",
    "a\\b",
    "..\\a",
    "C:",
    "C:/a",
    "c:a",
    "a:stream",
    "a\0b",
    "a\nb",
    "a\x7f",
    "a\u200bb",
    "\u202egpj.exe",
    "\ud800",
    "e\u0301",
    "a*",
    "a?",
    'a"',
    "a<b",
    "a|b",
    "a ",
    " a",
    "a /b",
    "a.",
    "a./b",
    "CON",
    "nul",
    "nul.txt",
    "aux.tar.gz",
    "COM1",
    "lpt9.x",
    "COM¹",
    "a/PRN/b",
    "x" * 201,
    "/".join(["a"] * 17),
    "a/" * 300 + "a",
    "/".join(["x" * 200] * 3),
    "y/" + "é" * 101,
]


@pytest.mark.parametrize("name", GOOD)
def test_plain_names_are_kept(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize("name", BAD)
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(Malformed):
        check_name(name)


@given(st.text(max_size=30) | st.text("./\\ aAb:", max_size=12))
def test_an_accepted_name_stays_inside_its_folder_on_every_system(name: str) -> None:
    try:
        check_name(name)
    except Malformed:
        return
    for flavour in (PurePosixPath, PureWindowsPath):
        path = flavour("root") / flavour(name)
        assert path.parts[0] == "root"
        assert ".." not in path.parts
        assert list(path.parts[1:]) == name.split("/")
    assert len(name.encode()) <= MAX_NAME


@pytest.mark.parametrize(
    "names",
    [
        ["a", "A"],
        ["a", "a"],
        ["x/Readme", "x/readme"],
        ["x/a", "X/A"],
        ["straße", "STRASSE"],
        ["a", "a/b"],
        ["A", "a/b"],
        ["a/b", "a/b/c"],
        ["a/b/c", "a"],
    ],
)
def test_names_that_would_meet_on_some_system_are_refused(names: list[str]) -> None:
    with pytest.raises(Malformed):
        check_names(names)


def test_names_that_only_look_alike_are_kept() -> None:
    check_names(["a", "b", "ab/a", "ab/b", "abc", "x/a"])
