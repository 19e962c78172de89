"""A bundle as it lies on disk: a folder with a manifest and one age file for each file of a model or a data set.

    bundle/
      manifest.json          names, sizes, tree digests, kind, licence: in clear
      version.json           the owner's signed resource version, if there is one
      weights.gguf.age       one age file each, with a file key of its own

Reading a bundle believes nothing in it.  What its manifest must be is for the caller to know: from a launch document,
or from a version that the owner signed.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hermetic.errors import Misconfigured, NotAuthentic
from hermetic.seal.age import Header, read_header
from hermetic.seal.manifest import MAX_MANIFEST, Manifest, ManifestFile, parse_manifest
from hermetic.seal.place import new_file
from hermetic.seal.version import MAX_VERSION, ResourceVersion, SignedVersion
from hermetic.wire import Digest

MANIFEST_NAME = "manifest.json"
VERSION_NAME = "version.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A bundle's folder and its parsed manifest."""

    path: Path
    manifest: Manifest

    @property
    def manifest_digest(self) -> Digest:
        """How launch documents, receipts and resource versions name this bundle."""
        return self.manifest.digest

    def member(self, file: ManifestFile) -> Path:
        """Where the age file of ``file`` lies."""
        return self.path.joinpath(*file.sealed_name.split("/"))

    def header(self, file: ManifestFile) -> Header:
        """The age header of ``file``.  Raises Malformed, and Misconfigured when the file is missing."""
        with regular_file(self.member(file)) as fd:
            return header_of(fd)

    def headers(self) -> tuple[Header, ...]:
        """The age headers of all files, in the manifest's order: what a workload sends to the broker."""
        return tuple(self.header(file) for file in self.manifest.files)

    def resource_version(self, *, resource: str, version: str) -> ResourceVersion:
        """This bundle as a version of ``resource``, for its owner to sign.  Raises Malformed for a misspelt name."""
        return ResourceVersion(
            resource=resource,
            version=version,
            manifest_digest=self.manifest_digest,
            headers=tuple(sorted(header.digest for header in self.headers())),
        )

    def signed_version(self) -> SignedVersion | None:
        """The resource version beside the manifest, unverified; None when there is none.  Raises Malformed."""
        path = self.path / VERSION_NAME
        return SignedVersion.parse(_read(path, MAX_VERSION)) if path.exists() else None

    def add_version(self, signed: SignedVersion) -> None:
        """Puts a signed version beside the manifest, in place of the one there."""
        write_small(self.path / VERSION_NAME, signed.encode(), replace=True)

    def check_version(self, stated: ResourceVersion) -> None:
        """Checks that ``stated``, which its owner signed, is about exactly this bundle.  Raises NotAuthentic."""
        if stated != self.resource_version(resource=stated.resource, version=stated.version):
            raise NotAuthentic(
                f"version {stated.version} of {stated.resource} is not this bundle: its manifest or its files differ",
                code="version_mismatch",
            )


def read_bundle(path: Path) -> Bundle:
    """The bundle in the folder ``path``.  Raises Malformed, and Misconfigured when there is none."""
    if not (path / MANIFEST_NAME).is_file():
        raise Misconfigured(f"{path} is not a bundle", fix=f"a bundle is a folder that holds {MANIFEST_NAME}")
    return Bundle(path=path, manifest=parse_manifest(_read(path / MANIFEST_NAME, MAX_MANIFEST)))


@contextmanager
def regular_file(path: Path, *, follow: bool = True) -> Iterator[int]:
    """A descriptor to read a regular file with; anything else (a folder, a pipe, a device) is refused.

    Raises Misconfigured.  With ``follow`` false a symbolic link is refused too.
    """
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        fd = os.open(path, flags if follow else flags | getattr(os, "O_NOFOLLOW", 0))
    except OSError as error:
        raise Misconfigured(f"cannot read {path}: {error.strerror}") from None
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise Misconfigured(f"cannot read {path}: not a regular file")
        yield fd
    finally:
        os.close(fd)


def header_of(fd: int) -> Header:
    """The age header at the start of an open file.  Raises Malformed."""
    os.lseek(fd, 0, os.SEEK_SET)
    with open(fd, "rb", closefd=False) as stream:
        return read_header(stream)[0]


def write_small(path: Path, data: bytes, *, replace: bool = False) -> None:
    """``data`` at ``path``, whole or not at all."""
    with new_file(path, replace=replace, mode=0o644) as fd, open(fd, "wb", closefd=False) as stream:
        stream.write(data)


def _read(path: Path, limit: int) -> bytes:
    """At most one byte more than ``limit``: its parser refuses what is longer."""
    with regular_file(path) as fd, open(fd, "rb", closefd=False) as stream:
        return stream.read(limit + 1)
