"""A bundle's manifest: what is in it, in clear, without telling what the files say.

Its digest names the bundle in launch documents, receipts and resource versions.  It is salted, so that the digest in a
public log does not let anybody test a guess at what was used.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec

from hermetic.errors import Malformed
from hermetic.seal.names import check_name, check_names
from hermetic.wire import Digest, b64decode, b64encode, canonical, is_digest, parse_object, sha256_digest

MAX_MANIFEST = 4 * 1024 * 1024
"""Bytes of JSON."""

MAX_FILES = 10_000
MAX_SIZE = 2**46
"""64 TiB: the plaintext of one file."""

SALT_BYTES = 32
_FORMAT = "hermetic.bundle.v1"


class Kind(StrEnum):
    """What a bundle is for."""

    MODEL = "model"
    DATA = "data"


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestFile:
    """One file: its name, its plaintext's size in bytes and tree digest (:mod:`hermetic.seal.tree`).

    ``chat_template`` is the SHA-256 of a GGUF model's chat template, None where there is none.
    """

    name: str
    size: int
    tree: Digest
    chat_template: Digest | None = None

    @property
    def sealed_name(self) -> str:
        """Where the age file lies in the bundle."""
        return self.name + ".age"

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "size": self.size, "tree": self.tree, "chat_template": self.chat_template}


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A parsed manifest.  Not yet trusted: whoever relies on it compares ``digest`` with one that somebody vouches for.

    ``files`` are sorted by name, ``salt`` is 32 random bytes, ``licence`` an SPDX expression or empty.
    """

    kind: Kind
    name: str
    licence: str
    salt: bytes
    files: tuple[ManifestFile, ...]

    @property
    def digest(self) -> Digest:
        """What launch documents, receipts and resource versions call ``manifest_digest``."""
        return sha256_digest(self.encode())

    @property
    def size(self) -> int:
        """Bytes of plaintext in all files."""
        return sum(file.size for file in self.files)

    def file(self, name: str) -> ManifestFile:
        """The entry of that name.  Raises Malformed."""
        for file in self.files:
            if file.name == name:
                return file
        raise Malformed(f"the bundle holds no file named {name!r}")

    def encode(self) -> bytes:
        """The manifest as canonical JSON: the bytes of ``manifest.json``."""
        return canonical(
            {
                "format": _FORMAT,
                "kind": self.kind.value,
                "name": self.name,
                "licence": self.licence,
                "salt": b64encode(self.salt),
                "files": [file.to_json() for file in self.files],
            }
        )


def make_manifest(
    *, kind: Kind, name: str, licence: str, files: Sequence[ManifestFile], salt: bytes | None = None
) -> Manifest:
    """A manifest with a fresh salt, checked as if it had been read.  Raises Malformed."""
    ordered = tuple(sorted(files, key=lambda file: file.name))
    salt = os.urandom(SALT_BYTES) if salt is None else salt
    return parse_manifest(Manifest(kind=kind, name=name, licence=licence, salt=salt, files=ordered).encode())


def parse_manifest(data: bytes) -> Manifest:
    """The manifest that ``data`` is.  Raises Malformed unless it is exactly its own canonical form, so that one digest
    has one meaning."""
    fields = _convert(parse_object(data, what="manifest", limit=MAX_MANIFEST))
    manifest = Manifest(
        kind=Kind(fields.kind),
        name=_label(fields.name, "name"),
        licence=_label(fields.licence, "licence") if fields.licence else "",
        salt=b64decode(fields.salt, what="manifest salt", length=SALT_BYTES),
        files=tuple(_file(file) for file in fields.files),
    )
    names = [file.name for file in manifest.files]
    if names != sorted(names):
        raise Malformed("manifest: its files are not sorted by name")
    check_names(names)
    if manifest.encode() != data:
        raise Malformed("manifest: not in canonical form")
    return manifest


class _FileFields(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str
    size: int
    tree: str
    chat_template: str | None


class _Fields(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    format: str
    kind: str
    name: str
    licence: str
    salt: str
    files: list[_FileFields]


def _convert(value: Mapping[str, Any]) -> _Fields:
    try:
        fields = msgspec.convert(value, _Fields, strict=True)
    except msgspec.ValidationError as error:
        raise Malformed(f"manifest: {error}") from None
    if fields.format != _FORMAT:
        raise Malformed(f"manifest: expected the format {_FORMAT}")
    if fields.kind not in list(Kind):
        raise Malformed("manifest: expected the kind model or data")
    if not 1 <= len(fields.files) <= MAX_FILES:
        raise Malformed(f"manifest: expected 1 to {MAX_FILES} files, got {len(fields.files)}")
    return fields


def _file(fields: _FileFields) -> ManifestFile:
    if not 0 <= fields.size <= MAX_SIZE:
        raise Malformed(f"manifest: expected a size from 0 to {MAX_SIZE}, got {fields.size}")
    return ManifestFile(
        name=check_name(fields.name),
        size=fields.size,
        tree=_digest(fields.tree),
        chat_template=None if fields.chat_template is None else _digest(fields.chat_template),
    )


def _digest(text: str) -> Digest:
    if not is_digest(text):
        raise Malformed("manifest: expected sha256: and 64 lowercase hex digits")
    return Digest(text)


def _label(text: str, what: str) -> str:
    if not 1 <= len(text) <= 256 or not text.isprintable():
        raise Malformed(f"manifest {what}: expected 1 to 256 printable characters")
    return text
