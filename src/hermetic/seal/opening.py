"""Opening what lies in a bundle: into memory, or into a folder.  Everything is compared with the manifest."""

from __future__ import annotations

import os
from pathlib import Path

from hermetic.errors import NotAuthentic
from hermetic.seal.age import SPAN, BlockFile, FileKey, PayloadReader, open_payload
from hermetic.seal.bundle import Bundle, header_of, regular_file
from hermetic.seal.hooks import Progress, Unwrap
from hermetic.seal.manifest import ManifestFile
from hermetic.seal.memory import Place, sealed_memfd
from hermetic.seal.place import new_folder, sync_folder
from hermetic.seal.tree import TreeHasher, tree_salt


def open_into_memfd(
    sealed: Path,
    file_key: FileKey,
    expected: ManifestFile,
    *,
    threads: int | None = None,
    progress: Progress | None = None,
) -> int:
    """The plaintext of the age file ``sealed`` in a sealed memfd, never on disk.  The caller closes the descriptor.

    Raises NotAuthentic when the file was changed, is sealed under another key, or is not what ``expected`` says;
    Malformed when it is not an age file; Unavailable where there are no sealed memory files (not Linux).
    """
    with regular_file(sealed) as fd:
        member = _Member(fd, file_key, expected, progress)

        def fill(place: Place) -> None:
            def on_span(number: int, data: memoryview) -> None:
                member.on_span(number, data)
                place(number * SPAN, data)

            member.reader.each_span(on_span, threads=threads)
            member.check()

        if expected.size == 0:
            member.check()
        return sealed_memfd(expected.size, fill, name=f"hermetic:{expected.tree[-12:]}")


def open_bundle(
    bundle: Bundle,
    destination: Path,
    unwrap: Unwrap,
    *,
    replace: bool = False,
    threads: int | None = None,
    progress: Progress | None = None,
) -> None:
    """Opens every file of ``bundle`` into a new folder.  It appears only once all of them have been checked.

    Raises NotAuthentic, Malformed, what ``unwrap`` raises, and Misconfigured when ``destination`` exists.
    """
    with new_folder(destination, replace=replace) as folder:
        for file in bundle.manifest.files:
            plain = folder.joinpath(*file.name.split("/"))
            plain.parent.mkdir(parents=True, exist_ok=True)
            with regular_file(bundle.member(file)) as fd:
                member = _Member(fd, unwrap(header_of(fd)), file, progress)
                _write_member(member, plain, threads)
        for parent in {folder.joinpath(*file.name.split("/")).parent for file in bundle.manifest.files}:
            sync_folder(parent)


def _write_member(member: _Member, plain: Path, threads: int | None) -> None:
    with open(plain, "xb", opener=lambda path, flags: os.open(path, flags, 0o600)) as stream:
        sink = BlockFile(stream.fileno())

        def on_span(number: int, data: memoryview) -> None:
            member.on_span(number, data)
            sink.write(number * SPAN, data)

        member.reader.each_span(on_span, threads=threads)
        member.check()
        os.fsync(stream.fileno())


class _Member:
    """One age file that is being opened, and what it has to turn out to be."""

    def __init__(self, fd: int, file_key: FileKey, expected: ManifestFile, progress: Progress | None) -> None:
        self.reader: PayloadReader = open_payload(file_key, header_of(fd), BlockFile(fd))
        self._expected = expected
        self._progress = progress
        # The size is authentic by now; it is compared before any memory is asked for.
        if self.reader.size != expected.size:
            raise _not_as_stated(expected)
        self._tree = TreeHasher(salt=tree_salt(file_key), size=expected.size)

    def on_span(self, number: int, data: memoryview) -> None:
        self._tree.leaf(number, data)
        if self._progress is not None:
            self._progress(len(data))

    def check(self) -> None:
        """Once every span has come.  Raises NotAuthentic."""
        if self._tree.digest() != self._expected.tree:
            raise _not_as_stated(self._expected)


def _not_as_stated(expected: ManifestFile) -> NotAuthentic:
    return NotAuthentic(f"{expected.name}: its contents are not what the manifest states", code="manifest_mismatch")
