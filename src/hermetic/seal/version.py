"""A resource version: which manifest and which sealed files belong together, said by the resource's owner.

    {"document": {"type": "hermetic.resource-version.v1", "resource", "version", "manifest_digest", "headers", "owner"},
     "signature": "<hex>"}

``headers`` are the digests of the age headers, sorted.  The broker unwraps a header only if a version that its owner
signed lists it: anything else would be a decryption oracle (protocols.md §4).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from hermetic.errors import Malformed, NotAuthentic
from hermetic.identity import format_ed25519, parse_ed25519
from hermetic.wire import Digest, canonical, is_digest, parse_object, sha256_digest, transcript, unhex

_TYPE = "hermetic.resource-version.v1"
_PART = r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?"
_RESOURCE = re.compile(rf"{_PART}/{_PART}/{_PART}")
_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z._+-]{0,63}")
MAX_VERSION = 4 * 1024 * 1024
"""Bytes of JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceVersion:
    """What an owner says: version ``version`` of ``resource`` is this manifest and these sealed files.

    ``resource`` is ``broker/tenant/name`` in lower case; ``headers`` are sorted, each once.
    """

    resource: str
    version: str
    manifest_digest: Digest
    headers: tuple[Digest, ...]

    def __post_init__(self) -> None:
        check_resource(self.resource, self.version)
        if not all(map(is_digest, (self.manifest_digest, *self.headers))):
            raise Malformed("resource version: expected sha256: and 64 lowercase hex digits")
        if not self.headers or list(self.headers) != sorted(set(self.headers)):
            raise Malformed("resource version: its headers are not sorted, each once, at least one")


def check_resource(resource: str, version: str) -> None:
    """Checks how a resource and its version are spelt.  Raises Malformed."""
    if _RESOURCE.fullmatch(resource) is None:
        raise Malformed("resource: expected broker/tenant/name in lower-case letters, digits, dots, dashes")
    if _VERSION.fullmatch(version) is None:
        raise Malformed("version: expected 1 to 64 letters, digits, dots, dashes or plus signs")


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedVersion:
    """A resource version with its signature.  Not yet trusted: :meth:`verify` gives what it says."""

    document: Mapping[str, Any]
    signature: bytes

    @property
    def digest(self) -> Digest:
        """SHA-256 over the canonical document, without the signature."""
        return sha256_digest(canonical(self.document))

    def to_json(self) -> dict[str, Any]:
        return {"document": dict(self.document), "signature": self.signature.hex()}

    def encode(self) -> bytes:
        """The bytes of ``version.json``."""
        return canonical(self.to_json())

    @classmethod
    def from_json(cls, value: object) -> SignedVersion:
        """Raises Malformed."""
        if not isinstance(value, dict) or value.keys() != {"document", "signature"}:
            raise Malformed("resource version: expected exactly a document and a signature")
        if not isinstance(value["document"], dict):
            raise Malformed("resource version: its document is not an object")
        signature = unhex(value["signature"], what="signature", length=64)
        return cls(document=value["document"], signature=signature)

    @classmethod
    def parse(cls, data: bytes) -> SignedVersion:
        """From JSON.  Raises Malformed."""
        return cls.from_json(parse_object(data, what="resource version", limit=MAX_VERSION))

    def verify(self, *, owner: str) -> ResourceVersion:
        """The version, once ``owner`` (``ed25519:…``, from where the caller trusts it) is known to have signed it.

        Raises Malformed, or NotAuthentic when another key signed it or it was changed.
        """
        public = Ed25519PublicKey.from_public_bytes(parse_ed25519(owner, what="owner"))
        # 1. The owner signed these fields.
        try:
            public.verify(self.signature, _signed_bytes(self.document))
        except InvalidSignature:
            raise _not_theirs() from None
        # 2. They are a resource version, in that owner's own name.
        fields = _convert(self.document)
        if fields.type != _TYPE:
            raise Malformed(f"resource version: expected the type {_TYPE}")
        if fields.owner != owner:
            raise _not_theirs()
        return ResourceVersion(
            resource=fields.resource,
            version=fields.version,
            manifest_digest=Digest(fields.manifest_digest),
            headers=tuple(map(Digest, fields.headers)),
        )


def sign_version(version: ResourceVersion, owner: Ed25519PrivateKey) -> SignedVersion:
    """``version``, signed in the name of ``owner``."""
    document = {
        "type": _TYPE,
        "resource": version.resource,
        "version": version.version,
        "manifest_digest": version.manifest_digest,
        "headers": list(version.headers),
        "owner": format_ed25519(owner.public_key().public_bytes_raw()),
    }
    return SignedVersion(document=document, signature=owner.sign(_signed_bytes(document)))


class _Fields(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    type: str
    resource: str
    version: str
    manifest_digest: str
    headers: list[str]
    owner: str


def _convert(document: Mapping[str, Any]) -> _Fields:
    try:
        return msgspec.convert(document, _Fields, strict=True)
    except msgspec.ValidationError as error:
        raise Malformed(f"resource version: {error}") from None


def _signed_bytes(document: Mapping[str, Any]) -> bytes:
    # The type stands in front, so that nothing else that this key signs can pass for a resource version.
    return transcript(_TYPE, canonical(document))


def _not_theirs() -> NotAuthentic:
    return NotAuthentic(
        "the resource version was not signed by this resource's owner, or was changed", code="owner_signature"
    )
