"""Documents that a broker signs with its identity key: ``{"document": {"type": …, …}, "signature": "<hex>"}``.

The signature is Ed25519 over a transcript of the document's type and its canonical form, so that no document can pass
for one of another type.  Until :func:`open_signed` has returned, a document is only what somebody wrote.
"""

from __future__ import annotations

from typing import Any, ClassVar, TypeVar

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from hermetic.errors import Malformed, NotAuthentic
from hermetic.identity import parse_ed25519
from hermetic.wire import canonical, transcript, unhex

__all__ = ["Document", "convert", "open_signed", "sign"]


class Document(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A document with a ``type``.  Reading one checks every field's form and refuses unknown ones."""

    TYPE: ClassVar[str]

    def to_json(self) -> dict[str, Any]:
        """The JSON object, its type first."""
        fields: dict[str, Any] = msgspec.to_builtins(self)
        return {"type": self.TYPE, **fields}


AnyDocument = TypeVar("AnyDocument", bound=Document)
AnyStruct = TypeVar("AnyStruct")


def convert(value: object, kind: type[AnyStruct], *, what: str) -> AnyStruct:
    """Parsed JSON as a ``kind``.  Raises Malformed naming the field, never quoting a value."""
    try:
        return msgspec.convert(value, kind, strict=True)
    except msgspec.ValidationError as error:
        raise Malformed(f"{what}: {error}") from None


def sign(document: Document, key: Ed25519PrivateKey) -> dict[str, Any]:
    """The signed form, as JSON."""
    fields = document.to_json()
    return {"document": fields, "signature": key.sign(_signed_bytes(fields)).hex()}


def open_signed(value: object, kind: type[AnyDocument], *, broker_key: str) -> AnyDocument:
    """The document, once ``broker_key`` (``ed25519:…``) is known to have signed it as a ``kind``.

    Raises Malformed, or NotAuthentic when another key signed it, or it was changed.
    """
    if not isinstance(value, dict) or value.keys() != {"document", "signature"}:
        raise Malformed("signed document: expected exactly a document and a signature")
    fields = value["document"]
    if not isinstance(fields, dict) or fields.get("type") != kind.TYPE:
        raise Malformed(f"signed document: expected the type {kind.TYPE}")
    public = Ed25519PublicKey.from_public_bytes(parse_ed25519(broker_key, what="broker_key"))
    try:
        public.verify(unhex(value["signature"], what="signature", length=64), _signed_bytes(fields))
    except InvalidSignature:
        raise NotAuthentic(
            "this answer was not signed by the broker we pinned",
            code="broker_signature",
            fix="compare broker_key with what `hermetic broker init` printed: this may be another broker",
        ) from None
    return convert({name: fields[name] for name in fields if name != "type"}, kind, what=kind.TYPE)


def _signed_bytes(fields: dict[str, Any]) -> bytes:
    return transcript(fields["type"], canonical(fields))
