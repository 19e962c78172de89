"""The digest of a tree: equal for equal trees, different for any other."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermetic.errors import Malformed, Misconfigured, NotAuthentic
from hermetic.guest.tree import File, Tree, difference, read_copy, read_tree
from hermetic.wire import canonical, sha256_digest

_CONTENT = {"bin/python3": b"\x7fELF interpreter", "lib/a.py": b"a = 1\n", "lib/b/__init__.py": b"", "lib/é.py": b"x"}


def _write(root: Path, content: dict[str, bytes]) -> dict[str, Path]:
    for path, data in content.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    return {path: root / path for path in content}


def test_the_digest_is_over_the_documented_listing(tmp_path: Path) -> None:
    layout = _write(tmp_path, {"b": b"2", "a": b"1"})
    layout["b"].chmod(0o755)
    listing = [
        {"path": "a", "sha256": sha256_digest(b"1").removeprefix("sha256:"), "executable": False},
        {"path": "b", "sha256": sha256_digest(b"2").removeprefix("sha256:"), "executable": True},
    ]
    expected = sha256_digest(canonical({"version": "hermetic.program.v1", "files": listing}))
    assert read_tree(layout).digest == expected


def test_neither_order_nor_place_nor_time_nor_owner_bits_count(tmp_path: Path) -> None:
    one = _write(tmp_path / "one", _CONTENT)
    two = _write(tmp_path / "two", dict(reversed(_CONTENT.items())))
    for path in two.values():
        path.chmod(0o640)
    assert read_tree(one).digest == read_tree(two).digest == read_copy(tmp_path / "two").digest


def test_every_byte_counts(tmp_path: Path) -> None:
    layout = _write(tmp_path, _CONTENT)
    original = read_tree(layout)
    for path, data in _CONTENT.items():
        for index in range(len(data)):
            layout[path].write_bytes(data[:index] + bytes([data[index] ^ 1]) + data[index + 1 :])
            changed = read_tree(layout)
            assert changed.digest != original.digest
            assert difference(original, changed).startswith(f"{path} was changed")
        layout[path].write_bytes(data)
    assert read_tree(layout).digest == original.digest


def test_name_execute_bit_and_presence_count(tmp_path: Path) -> None:
    layout = _write(tmp_path, _CONTENT)
    original = read_tree(layout)
    renamed = {("lib/c.py" if path == "lib/a.py" else path): source for path, source in layout.items()}
    fewer = {path: source for path, source in layout.items() if path != "lib/b/__init__.py"}
    assert len({original.digest, read_tree(renamed).digest, read_tree(fewer).digest}) == 3
    assert difference(original, read_tree(fewer)) == "lib/b/__init__.py is missing"
    assert difference(read_tree(fewer), original) == "lib/b/__init__.py was added"
    layout["lib/a.py"].chmod(0o755)
    assert difference(original, read_tree(layout)) == "lib/a.py was made executable"


_listings = st.dictionaries(
    st.from_regex(r"[a-c]{1,2}(/[a-c]{1,2}){0,2}", fullmatch=True),
    st.tuples(st.sampled_from(["00", "01"]), st.booleans()),
    min_size=1,
    max_size=3,
)


@given(one=_listings, two=_listings)
def test_two_listings_share_a_digest_only_if_they_are_equal(
    one: dict[str, tuple[str, bool]], two: dict[str, tuple[str, bool]]
) -> None:
    def tree(listing: dict[str, tuple[str, bool]]) -> Tree:
        files = (
            File(path=path, sha256=sha256, executable=executable, source=Path(path))
            for path, (sha256, executable) in sorted(listing.items())
        )
        return Tree(files=tuple(files))

    assert (tree(one).digest == tree(two).digest) == (one == two)
    assert tree(one).digest == tree(dict(reversed(one.items()))).digest


def test_an_empty_or_unsorted_tree_is_refused() -> None:
    with pytest.raises(Malformed, match="at least one file"):
        read_tree({})
    files = [File(path=path, sha256="", executable=False, source=Path(path)) for path in ("b", "a")]
    with pytest.raises(Malformed, match="sorted"):
        Tree(files=tuple(files))
    with pytest.raises(Malformed, match="once"):
        Tree(files=(files[0], files[0]))


@pytest.mark.parametrize("path", ["", "/etc/passwd", "a/../b", "../a", "a//b", "a/", "./a"])
def test_a_path_that_leaves_the_tree_is_refused(path: str) -> None:
    with pytest.raises(Malformed, match="relative path"):
        File(path=path, sha256="", executable=False, source=Path("x"))


def test_a_copy_holds_no_links_and_no_special_files(tmp_path: Path) -> None:
    _write(tmp_path, _CONTENT)
    (tmp_path / "lib" / "link.py").symlink_to(tmp_path / "lib" / "a.py")
    with pytest.raises(NotAuthentic, match=r"link\.py is neither"):
        read_copy(tmp_path)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="cannot be read"):
        read_tree({"a": tmp_path / "absent"})
