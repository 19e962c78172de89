"""Sealing a file or a folder as a bundle."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

from hermetic.errors import Misconfigured
from hermetic.seal.age import BlockFile, FileKey, Recipient, seal_file
from hermetic.seal.bundle import MANIFEST_NAME, Bundle, regular_file, write_small
from hermetic.seal.gguf import chat_template_digest
from hermetic.seal.hooks import Progress, Sign
from hermetic.seal.manifest import MAX_FILES, Kind, ManifestFile, make_manifest
from hermetic.seal.names import check_name, check_names
from hermetic.seal.place import new_folder, sync_folder
from hermetic.seal.tree import TreeHasher, tree_salt
from hermetic.wire import Digest


def seal_bundle(
    source: Path,
    destination: Path,
    recipients: Sequence[Recipient],
    *,
    kind: Kind,
    name: str,
    licence: str = "",
    sign: Sign | None = None,
    replace: bool = False,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Bundle:
    """Seals ``source``, a file or a folder, into a new bundle folder.  Only contents and names are kept: no empty
    folders, no times, no permissions.  ``sign`` is asked last, so that bundle and version appear together.

    Raises Misconfigured when ``destination`` exists, or ``source`` holds symbolic links or nothing at all; Malformed
    for a name that another system could not store, or a model whose GGUF metadata is damaged.
    """
    plain = files_to_seal(source)
    with new_folder(destination, replace=replace, mode=0o755) as folder:
        entries = []
        for entry_name, path in plain.items():
            sealed = folder.joinpath(*f"{entry_name}.age".split("/"))
            sealed.parent.mkdir(parents=True, exist_ok=True)
            template = _template(path) if kind is Kind.MODEL else None
            tree = _seal_member(path, sealed, recipients, threads=threads, progress=progress)
            entries.append(ManifestFile(name=entry_name, size=tree.size, tree=tree.digest(), chat_template=template))
        manifest = make_manifest(kind=kind, name=name, licence=licence, files=entries)
        write_small(folder / MANIFEST_NAME, manifest.encode())
        for parent in {folder.joinpath(*entry.split("/")).parent for entry in plain}:
            sync_folder(parent)
        if sign is not None:
            partial = Bundle(path=folder, manifest=manifest)
            partial.add_version(sign(partial))
    return Bundle(path=destination, manifest=manifest)


def files_to_seal(source: Path) -> dict[str, Path]:
    """Every regular file in ``source``, by the name it will have in the bundle.  Raises Misconfigured or Malformed."""
    if not source.is_dir():
        return {check_name(unicodedata.normalize("NFC", source.name)): source}
    found: dict[str, Path] = {}
    for path in _walk(source):
        name = unicodedata.normalize("NFC", path.relative_to(source).as_posix())
        found[check_name(name)] = path
        if len(found) > MAX_FILES:
            raise Misconfigured(f"more than {MAX_FILES} files", fix="pack small files into one, such as a tar archive")
    if not found:
        raise Misconfigured(f"{source} holds no files")
    check_names(found)
    return found


def _walk(folder: Path) -> Iterator[Path]:
    with os.scandir(folder) as entries:
        ordered = sorted(entries, key=lambda entry: entry.name)
    for entry in ordered:
        # A link in somebody's data set could pull in a private file from elsewhere.
        if entry.is_symlink():
            raise Misconfigured(f"{entry.path} is a symbolic link", fix="copy what it points to: cp -rL SOURCE COPY")
        if entry.is_dir():
            yield from _walk(Path(entry.path))
        elif entry.is_file():
            yield Path(entry.path)
        else:
            raise Misconfigured(f"{entry.path} is neither a file nor a folder")


def _template(path: Path) -> Digest | None:
    with regular_file(path, follow=False) as fd, open(fd, "rb", closefd=False) as stream:
        return chat_template_digest(stream)


def _seal_member(
    path: Path, sealed: Path, recipients: Sequence[Recipient], *, threads: int | None, progress: Progress | None
) -> TreeHasher:
    """Seals one file under a key of its own and gives the tree of exactly the bytes that were sealed."""
    with regular_file(path, follow=False) as source_fd, open(sealed, "xb") as sink:
        source = BlockFile(source_fd)
        file_key = FileKey.generate()
        tree = TreeHasher(salt=tree_salt(file_key), size=source.size)

        def on_span(number: int, data: memoryview) -> None:
            tree.leaf(number, data)
            if progress is not None:
                progress(len(data))

        seal_file(source, BlockFile(sink.fileno()), recipients, file_key=file_key, threads=threads, on_span=on_span)
        os.fsync(sink.fileno())
    return tree
