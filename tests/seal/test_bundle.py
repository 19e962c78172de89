"""Bundles from end to end: sealed, read, opened, and everything a stranger could do to one."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hermetic.errors import HermeticError, Malformed, Misconfigured, NotAuthentic
from hermetic.seal import (
    Bundle,
    FileKey,
    Header,
    Kind,
    ManifestFile,
    generate_identity,
    open_bundle,
    open_into_memfd,
    owner_name,
    read_bundle,
    seal_bundle,
    sign_version,
    tree_digest,
    tree_salt,
    unwrap,
)
from hermetic.seal.age import SPAN
from hermetic.seal.manifest import MAX_FILES
from hermetic.wire import canonical
from seal_support import CHUNK, HYBRID, STRANGER, flipped, leaves_nothing, sealed

needs_memfd = pytest.mark.skipif(sys.platform != "linux", reason="sealed memory files need Linux")

FILES = {
    "config.json": b"{}",
    "empty": b"",
    "weights/big.bin": os.urandom(SPAN + CHUNK + 3),
    "weights/small.bin": os.urandom(10),
}
OWNER = Ed25519PrivateKey.generate()


def key_of(header: Header) -> FileKey:
    return unwrap(header, HYBRID)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    for name, data in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


@pytest.fixture
def bundle(source: Path, tmp_path: Path) -> Bundle:
    return seal(source, tmp_path / "bundle")


def seal(source: Path, destination: Path, *, replace: bool = False) -> Bundle:
    return seal_bundle(
        source, destination, [HYBRID.recipient()], kind=Kind.MODEL, name="smol", licence="MIT", replace=replace
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_what_is_sealed_is_what_is_opened(bundle: Bundle, tmp_path: Path) -> None:
    done: list[int] = []
    read = read_bundle(bundle.path)
    assert read == bundle
    open_bundle(read, tmp_path / "out", key_of, progress=done.append)
    assert contents(tmp_path / "out") == FILES
    assert sum(done) == bundle.manifest.size == sum(map(len, FILES.values()))
    assert all(path.stat().st_mode & 0o077 == 0 for path in (tmp_path / "out").rglob("*") if path.is_file())


def test_what_lies_on_disk_is_ciphertext(bundle: Bundle) -> None:
    stored = contents(bundle.path)
    assert sorted(stored) == sorted(["manifest.json", *(f"{name}.age" for name in FILES)])
    for name, data in stored.items():
        assert name == "manifest.json" or data.startswith(b"age-encryption.org/v1\n")
        assert not any(plain[:64] in data for plain in FILES.values() if len(plain) >= 10)


def test_the_manifest_says_what_is_in_it(bundle: Bundle) -> None:
    manifest = bundle.manifest
    assert (manifest.kind, manifest.name, manifest.licence) == (Kind.MODEL, "smol", "MIT")
    assert {file.name: file.size for file in manifest.files} == {name: len(data) for name, data in FILES.items()}
    for file, header in zip(manifest.files, bundle.headers(), strict=True):
        assert file.tree == tree_digest(FILES[file.name], salt=tree_salt(key_of(header)))
    assert len({key_of(header).secret for header in bundle.headers()}) == len(FILES), "one key a file"


def test_a_single_file_becomes_a_bundle_of_one(source: Path, tmp_path: Path) -> None:
    made = seal(source / "config.json", tmp_path / "one")
    assert [file.name for file in made.manifest.files] == ["config.json"]


def test_sealing_twice_gives_unlinkable_manifests(source: Path, tmp_path: Path) -> None:
    first, second = seal(source, tmp_path / "1").manifest, seal(source, tmp_path / "2").manifest
    assert first.digest != second.digest
    assert not {file.tree for file in first.files} & {file.tree for file in second.files}


def test_the_chat_template_of_a_model_is_named(source: Path, tmp_path: Path) -> None:
    import struct
    from hashlib import sha256

    def text(value: bytes) -> bytes:
        return struct.pack("<Q", len(value)) + value

    entry = text(b"tokenizer.chat_template") + struct.pack("<I", 8) + text(b"{{ x }}")
    (source / "m.gguf").write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + entry + bytes(100))
    made = seal(source, tmp_path / "bundle")
    assert made.manifest.file("m.gguf").chat_template == "sha256:" + sha256(b"{{ x }}").hexdigest()
    assert made.manifest.file("config.json").chat_template is None
    (source / "m.gguf").write_bytes(b"GGUF" + bytes(100))
    with leaves_nothing(tmp_path):
        seal(source, tmp_path / "again")


# What cannot be sealed.


def link(source: Path) -> None:
    (source / "link").symlink_to("/etc/hostname")


def linked_folder(source: Path) -> None:
    elsewhere = source.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "private").write_bytes(b"not for sealing")
    (source / "link").symlink_to(elsewhere, target_is_directory=True)


def pipe(source: Path) -> None:
    os.mkfifo(source / "pipe")


def clash(source: Path) -> None:
    (source / "CONFIG.json").write_bytes(b"")


def bad_name(source: Path) -> None:
    (source / "a:b").write_bytes(b"")


def undecodable_name(source: Path) -> None:
    Path(os.fsdecode(os.fsencode(source) + b"/\xff")).write_bytes(b"")


@pytest.mark.parametrize("change", [link, linked_folder, pipe, clash, bad_name, undecodable_name])
def test_a_folder_that_another_machine_could_not_hold_is_refused(
    source: Path, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    change(source)
    with leaves_nothing(tmp_path):
        seal(source, tmp_path / "bundle")


def test_too_many_files_are_refused_before_any_is_sealed(tmp_path: Path) -> None:
    source = tmp_path / "many"
    source.mkdir()
    for number in range(MAX_FILES + 1):
        (source / f"{number}").touch()
    with pytest.raises(Misconfigured, match="tar archive"):
        seal(source, tmp_path / "bundle")


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "nothing" / "sub").mkdir(parents=True)
    with pytest.raises(Misconfigured, match="no files"):
        seal(tmp_path / "nothing", tmp_path / "bundle")


def test_an_existing_bundle_is_replaced_only_on_request(source: Path, bundle: Bundle, tmp_path: Path) -> None:
    with leaves_nothing(tmp_path):
        seal(source, bundle.path)
    assert read_bundle(bundle.path) == bundle
    again = seal(source, bundle.path, replace=True)
    assert read_bundle(bundle.path) == again != bundle


def test_an_interrupted_seal_leaves_nothing(source: Path, tmp_path: Path) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(KeyboardInterrupt):
        seal_bundle(
            source, tmp_path / "b", [HYBRID.recipient()], kind=Kind.DATA, name="x", progress=interrupt, threads=2
        )
    assert sorted(tmp_path.rglob("*")) == before


# What cannot be opened.


def every_age_file(bundle: Bundle) -> list[Path]:
    return [bundle.member(file) for file in bundle.manifest.files]


def change_manifest(bundle: Bundle, change: Callable[[dict[str, object]], object]) -> None:
    path = bundle.path / "manifest.json"
    fields = json.loads(path.read_bytes())
    change(fields)
    path.write_bytes(canonical(fields))


def file_of(fields: dict[str, object], index: int) -> dict[str, object]:
    files = fields["files"]
    assert isinstance(files, list)
    entry = files[index]
    assert isinstance(entry, dict)
    return entry


def flip_payload(bundle: Bundle) -> None:
    path = every_age_file(bundle)[2]
    path.write_bytes(flipped(path.read_bytes(), path.stat().st_size * 8 - 9))


def flip_header(bundle: Bundle) -> None:
    path = every_age_file(bundle)[0]
    path.write_bytes(flipped(path.read_bytes(), 300 * 8))


def cut(bundle: Bundle) -> None:
    path = every_age_file(bundle)[2]
    path.write_bytes(path.read_bytes()[: -(CHUNK + 3 + 16 - CHUNK)])


def missing(bundle: Bundle) -> None:
    every_age_file(bundle)[3].unlink()


def folder_instead(bundle: Bundle) -> None:
    every_age_file(bundle)[3].unlink()
    every_age_file(bundle)[3].mkdir()


def pipe_instead(bundle: Bundle) -> None:
    every_age_file(bundle)[3].unlink()
    os.mkfifo(every_age_file(bundle)[3])


def swap(bundle: Bundle) -> None:
    first, second = every_age_file(bundle)[0], every_age_file(bundle)[3]
    data = first.read_bytes()
    shutil.copy(second, first)
    second.write_bytes(data)


def own_file(bundle: Bundle) -> None:
    """Anybody can seal to a public key: only the manifest tells that it is another file, of the same size."""
    path = every_age_file(bundle)[3]
    path.write_bytes(sealed(os.urandom(10), HYBRID.recipient()))


def same_contents_resealed(bundle: Bundle) -> None:
    path = every_age_file(bundle)[3]
    path.write_bytes(sealed(FILES["weights/small.bin"], HYBRID.recipient()))


def for_somebody_else(bundle: Bundle) -> None:
    every_age_file(bundle)[0].write_bytes(sealed(b"{}", STRANGER.recipient()))


def another_tree(bundle: Bundle) -> None:
    change_manifest(bundle, lambda m: file_of(m, 0).update(tree="sha256:" + "0" * 64))


def another_size(bundle: Bundle) -> None:
    change_manifest(bundle, lambda m: file_of(m, 2).update(size=2**40))


def smaller_size(bundle: Bundle) -> None:
    change_manifest(bundle, lambda m: file_of(m, 2).update(size=1))


def path_out(bundle: Bundle) -> None:
    change_manifest(bundle, lambda m: file_of(m, 0).update(name="../escaped"))


def no_manifest(bundle: Bundle) -> None:
    (bundle.path / "manifest.json").unlink()


def manifest_not_json(bundle: Bundle) -> None:
    (bundle.path / "manifest.json").write_bytes(b"{")


ATTACKS = [
    flip_payload,
    flip_header,
    cut,
    missing,
    folder_instead,
    pipe_instead,
    swap,
    own_file,
    same_contents_resealed,
    for_somebody_else,
    another_tree,
    another_size,
    smaller_size,
    path_out,
    no_manifest,
    manifest_not_json,
]


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_bundle_that_was_touched_opens_to_nothing(
    bundle: Bundle, tmp_path: Path, attack: Callable[[Bundle], None]
) -> None:
    attack(bundle)
    with leaves_nothing(tmp_path):
        open_bundle(read_bundle(bundle.path), tmp_path / "out", key_of)


def open_all_into_memory(bundle: Bundle) -> None:
    for file in bundle.manifest.files:
        os.close(open_into_memfd(bundle.member(file), key_of(bundle.header(file)), file))


@needs_memfd
@pytest.mark.parametrize("attack", [a for a in ATTACKS if a not in (path_out, no_manifest, manifest_not_json)])
def test_nor_does_it_open_into_memory(bundle: Bundle, attack: Callable[[Bundle], None]) -> None:
    attack(bundle)
    touched = read_bundle(bundle.path)
    before = sorted(os.listdir("/proc/self/fd"))
    with pytest.raises(HermeticError):
        open_all_into_memory(touched)
    assert sorted(os.listdir("/proc/self/fd")) == before


@needs_memfd
@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("threads", [1, 2])
def test_a_file_opens_into_sealed_memory(bundle: Bundle, name: str, threads: int) -> None:
    file = bundle.manifest.file(name)
    done: list[int] = []
    fd = open_into_memfd(bundle.member(file), key_of(bundle.header(file)), file, threads=threads, progress=done.append)
    try:
        assert os.read(fd, 2 * SPAN) == FILES[name]
        assert sum(done) == len(FILES[name])
        with pytest.raises(PermissionError):
            os.pwrite(fd, b"x", 0)
    finally:
        os.close(fd)


@needs_memfd
def test_memory_is_not_asked_for_before_the_size_is_known_to_be_true(bundle: Bundle) -> None:
    file = bundle.manifest.file("config.json")
    lie = ManifestFile(name=file.name, size=2**45, tree=file.tree)
    with pytest.raises(NotAuthentic, match="manifest"):
        open_into_memfd(bundle.member(file), key_of(bundle.header(file)), lie)


def test_a_key_that_does_not_fit_opens_nothing(bundle: Bundle, tmp_path: Path) -> None:
    with leaves_nothing(tmp_path):
        open_bundle(bundle, tmp_path / "out", lambda _: FileKey.generate())
    with leaves_nothing(tmp_path):
        open_bundle(bundle, tmp_path / "out", lambda header: unwrap(header, generate_identity()))


def test_an_interrupted_opening_leaves_nothing(bundle: Bundle, tmp_path: Path) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(KeyboardInterrupt):
        open_bundle(bundle, tmp_path / "out", key_of, progress=interrupt, threads=2)
    assert sorted(tmp_path.rglob("*")) == before


def test_what_is_there_is_kept(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_bytes(b"mine")
    with leaves_nothing(tmp_path):
        open_bundle(bundle, tmp_path / "out", key_of)
    open_bundle(bundle, tmp_path / "out", key_of, replace=True)
    assert contents(tmp_path / "out") == FILES


def test_files_that_the_manifest_does_not_name_are_not_opened(bundle: Bundle, tmp_path: Path) -> None:
    (bundle.path / "extra.age").write_bytes(sealed(b"extra", HYBRID.recipient()))
    open_bundle(bundle, tmp_path / "out", key_of)
    assert contents(tmp_path / "out") == FILES


# Versions.


def test_a_bundle_carries_its_owner_s_version(source: Path, tmp_path: Path) -> None:
    made = seal_bundle(
        source,
        tmp_path / "bundle",
        [HYBRID.recipient()],
        kind=Kind.DATA,
        name="records",
        sign=lambda b: sign_version(b.resource_version(resource="broker/acme/records", version="7"), OWNER),
    )
    signed = read_bundle(made.path).signed_version()
    assert signed is not None
    version = signed.verify(owner=owner_name(OWNER))
    made.check_version(version)
    assert version.manifest_digest == made.manifest_digest
    assert set(version.headers) == {header.digest for header in made.headers()}


def test_a_bundle_without_version_says_so(bundle: Bundle) -> None:
    assert bundle.signed_version() is None


def test_a_version_of_another_bundle_is_refused(bundle: Bundle, source: Path, tmp_path: Path) -> None:
    other = seal(source, tmp_path / "other")
    stated = other.resource_version(resource="a/b/c", version="1")
    other.check_version(stated)
    with pytest.raises(NotAuthentic):
        bundle.check_version(stated)
    shutil.copy(other.path / "manifest.json", bundle.path / "manifest.json")
    with pytest.raises(NotAuthentic):
        read_bundle(bundle.path).check_version(stated)


def test_signing_that_fails_leaves_nothing(source: Path, tmp_path: Path) -> None:
    with leaves_nothing(tmp_path):
        seal_bundle(
            source,
            tmp_path / "bundle",
            [HYBRID.recipient()],
            kind=Kind.DATA,
            name="x",
            sign=lambda b: sign_version(b.resource_version(resource="no", version="1"), OWNER),
        )


def test_a_version_beside_the_manifest_is_replaced(bundle: Bundle) -> None:
    for number in ("1", "2"):
        bundle.add_version(sign_version(bundle.resource_version(resource="a/b/c", version=number), OWNER))
    signed = bundle.signed_version()
    assert signed is not None
    assert signed.verify(owner=owner_name(OWNER)).version == "2"


def test_a_damaged_version_is_an_error_and_not_an_absence(bundle: Bundle) -> None:
    for data in (b"", b"{}", b"null", b" " * (5 * 1024 * 1024)):
        (bundle.path / "version.json").write_bytes(data)
        with pytest.raises(Malformed):
            bundle.signed_version()


def test_a_folder_without_manifest_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="not a bundle"):
        read_bundle(tmp_path)
