"""Manifests: one canonical form, strict, and nothing in them leads out of the bundle."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermetic.errors import Malformed
from hermetic.seal import Kind, Manifest, ManifestFile, make_manifest, parse_manifest
from hermetic.seal.manifest import MAX_FILES, MAX_MANIFEST
from hermetic.wire import Digest, canonical, sha256_digest
from seal_support import flipped

TREE = sha256_digest(b"tree")
TEMPLATE = sha256_digest(b"template")


def file(name: str = "model.gguf", **changes: Any) -> ManifestFile:
    return ManifestFile(**{"name": name, "size": 5, "tree": TREE, **changes})


def manifest(*files: ManifestFile, **changes: Any) -> Manifest:
    fields: dict[str, Any] = {"kind": Kind.MODEL, "name": "smol", "licence": "Apache-2.0", "files": files or (file(),)}
    return make_manifest(**{**fields, **changes})


names = st.text("abcdefgh0123-_.", min_size=1, max_size=12).filter(lambda name: name.strip(".") == name)


@given(
    listed=st.dictionaries(names, st.tuples(st.integers(0, 2**46), st.booleans()), min_size=1, max_size=8),
    kind=st.sampled_from(Kind),
    name=st.text(st.characters(codec="utf-8", categories=["L", "N"]), min_size=1, max_size=40),
)
def test_round_trip(listed: dict[str, tuple[int, bool]], kind: Kind, name: str) -> None:
    files = [file(n, size=s, chat_template=TEMPLATE if t else None) for n, (s, t) in listed.items()]
    made = manifest(*files, kind=kind, name=name)
    assert parse_manifest(made.encode()) == made
    assert made.digest == sha256_digest(made.encode())
    assert [entry.name for entry in made.files] == sorted(listed)
    assert made.size == sum(size for size, _ in listed.values())


def test_every_manifest_has_its_own_salt() -> None:
    first, second = manifest(), manifest()
    assert first.salt != second.salt
    assert first.digest != second.digest
    assert manifest(salt=bytes(32)) == manifest(salt=bytes(32))


def test_no_bit_can_be_changed_without_another_digest() -> None:
    made = manifest()
    data = made.encode()
    for bit in range(len(data) * 8):
        try:
            other = parse_manifest(flipped(data, bit))
        except Malformed:
            continue
        assert other.digest != made.digest


def test_files_are_found_by_name() -> None:
    made = manifest(file("b"), file("a"))
    assert made.file("a").sealed_name == "a.age"
    with pytest.raises(Malformed, match="no file"):
        made.file("c")


def changed(change: Callable[[dict[str, Any]], object]) -> bytes:
    fields = json.loads(manifest(file("a"), file("b/c")).encode())
    change(fields)
    return canonical(fields)


BAD: dict[str, Callable[[dict[str, Any]], object]] = {
    "another format": lambda m: m.update(format="hermetic.bundle.v2"),
    "no format": lambda m: m.pop("format"),
    "unknown field": lambda m: m.update(extra=1),
    "unknown field of a file": lambda m: m["files"][0].update(extra=1),
    "no salt": lambda m: m.pop("salt"),
    "short salt": lambda m: m.update(salt="AAAA"),
    "salt not base64": lambda m: m.update(salt="!" * 44),
    "unknown kind": lambda m: m.update(kind="image"),
    "kind in upper case": lambda m: m.update(kind="Model"),
    "no name": lambda m: m.update(name=""),
    "name with a control character": lambda m: m.update(name="a\nb"),
    "name too long": lambda m: m.update(name="a" * 257),
    "licence with a control character": lambda m: m.update(licence="\x1b[2J"),
    "no files": lambda m: m.update(files=[]),
    "files not a list": lambda m: m.update(files={}),
    "no template": lambda m: m["files"][0].pop("chat_template"),
    "template is no digest": lambda m: m["files"][0].update(chat_template="x"),
    "tree is no digest": lambda m: m["files"][0].update(tree="sha256:" + "A" * 64),
    "negative size": lambda m: m["files"][0].update(size=-1),
    "size is a text": lambda m: m["files"][0].update(size="5"),
    "size is true": lambda m: m["files"][0].update(size=True),
    "size is a fraction": lambda m: m["files"][0].update(size=1.5),
    "size beyond all disks": lambda m: m["files"][0].update(size=2**46 + 1),
    "files not sorted": lambda m: m["files"].reverse(),
    "a file twice": lambda m: m["files"].insert(0, m["files"][0]),
    "two files in one place": lambda m: m["files"].insert(0, {**m["files"][0], "name": "A"}),
    "a file that is a folder": lambda m: m["files"].append({**m["files"][0], "name": "b/c/d"}),
    "a file outside": lambda m: m["files"][0].update(name="../a"),
    "an absolute file": lambda m: m["files"][0].update(name="/a"),
    "a name with a backslash": lambda m: m["files"][0].update(name="..\\a"),
}


@pytest.mark.parametrize("change", BAD.values(), ids=BAD)
def test_other_manifests_are_refused(change: Callable[[dict[str, Any]], object]) -> None:
    with pytest.raises(Malformed):
        parse_manifest(changed(change))


def test_another_format_is_named_as_such() -> None:
    with pytest.raises(Malformed, match=r"format hermetic\.bundle\.v1"):
        parse_manifest(changed(BAD["another format"]))


def test_the_good_twin_is_read() -> None:
    assert parse_manifest(changed(lambda _: None)).files[1].name == "b/c"


def test_only_the_canonical_form_is_read() -> None:
    data = manifest().encode()
    for other in (
        data + b"\n",
        b" " + data,
        json.dumps(json.loads(data)).encode(),
        data.replace(b'"size":5', b'"size":5.0'),
    ):
        with pytest.raises(Malformed):
            parse_manifest(other)


def test_a_repeated_name_is_refused() -> None:
    data = manifest().encode()
    with pytest.raises(Malformed):
        parse_manifest(data.replace(b'"size":5', b'"size":5,"size":5'))


def test_sizes_are_bounded() -> None:
    with pytest.raises(Malformed, match="larger"):
        parse_manifest(b" " * (MAX_MANIFEST + 1))
    with pytest.raises(Malformed, match="files"):
        manifest(*(file(f"{n:05}") for n in range(MAX_FILES + 1)))


@pytest.mark.parametrize(
    ("changes", "files"),
    [
        ({"name": ""}, [file()]),
        ({"licence": "a\n"}, [file()]),
        ({"salt": b"short"}, [file()]),
        ({}, [file("../x")]),
        ({}, [file("a"), file("A")]),
        ({}, [file(tree=Digest("sha256:x"))]),
    ],
)
def test_a_manifest_that_could_not_be_read_is_not_made(changes: dict[str, Any], files: list[ManifestFile]) -> None:
    with pytest.raises(Malformed):
        manifest(*files, **changes)
