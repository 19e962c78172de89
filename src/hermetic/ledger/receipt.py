"""Receipts: what a workload signs about one exchange, in the shape of ``aci/1`` (protocols.md §3).

    {"api_version", "receipt_id", "chat_id", "model", "workload_keyset_digest", "endpoint", "method", "served_at",
     "event_log": [{"type", …}, …], "key_id", "signature"}

The signature is hex Ed25519 over the RFC 8785 form without ``signature``.  Unknown names at the top level refuse,
because nobody could say what they promise.  An event of an unknown type is kept, since it is signed like the others,
and :attr:`Receipt.unknown_events` names it, so that a verifier can say what it did not examine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from hermetic.errors import Malformed, NotAuthentic
from hermetic.wire import Digest, canonical, is_digest, parse_json, sha256, unhex

__all__ = [
    "API_VERSION",
    "SALT_SIZE",
    "Event",
    "EventType",
    "Receipt",
    "exchange_events",
    "leaf_commitment",
    "sign_receipt",
    "verify_receipt",
]

API_VERSION = "aci/1"
SALT_SIZE = 32
_LATEST = 253_402_300_799  # the end of the year 9999
_MAX_EVENTS = 256


class EventType(StrEnum):
    """The types of event whose meaning Hermetic knows."""

    REQUEST_RECEIVED = "request.received"
    REQUEST_FORWARDED = "request.forwarded"
    RESPONSE_RETURNED = "response.returned"
    MODEL = "hermetic.model"
    LAUNCH = "hermetic.launch"
    POLICY = "hermetic.policy"
    USAGE = "hermetic.usage"


_DIGEST_FIELD: dict[str, str] = {
    EventType.REQUEST_RECEIVED: "body_hash",
    EventType.REQUEST_FORWARDED: "body_hash",
    EventType.RESPONSE_RETURNED: "body_hash",
    EventType.MODEL: "manifest_digest",
    EventType.LAUNCH: "launch_digest",
    EventType.POLICY: "policy_digest",
}
_USAGE_FIELDS = frozenset({"prompt_tokens", "completion_tokens"})
_NAMES = frozenset(
    {
        "api_version", "receipt_id", "chat_id", "model", "workload_keyset_digest", "endpoint", "method", "served_at",
        "event_log", "key_id", "signature",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened, and what is known of it (``fields``, JSON values, without ``type``)."""

    type: str
    fields: Mapping[str, Any]

    def __post_init__(self) -> None:
        object.__setattr__(self, "type", str(self.type))
        object.__setattr__(self, "fields", MappingProxyType(dict(self.fields)))
        _text(self.type, "event type")
        if "type" in self.fields:
            raise Malformed("receipt: an event has one type")
        if self.type in _DIGEST_FIELD:
            name = _DIGEST_FIELD[self.type]
            if self.fields.keys() != {name} or not is_digest(self.fields[name]):
                raise Malformed(f"receipt: an event {self.type} holds exactly {name}, a digest")
        elif self.type == EventType.USAGE and (
            self.fields.keys() != _USAGE_FIELDS or not all(_is_count(count) for count in self.fields.values())
        ):
            raise Malformed(
                f"receipt: an event {self.type} holds exactly the counts {', '.join(sorted(_USAGE_FIELDS))}"
            )

    @property
    def known(self) -> bool:
        """Whether this version knows what such an event says."""
        return self.type in _DIGEST_FIELD or self.type == EventType.USAGE

    def to_json(self) -> dict[str, Any]:
        return {"type": self.type, **self.fields}


def exchange_events(
    *,
    request: Digest,
    forwarded: Digest,
    response: Digest,
    manifest: Digest,
    launch: Digest,
    policy: Digest | None = None,
    prompt_tokens: int,
    completion_tokens: int,
) -> tuple[Event, ...]:
    """The events of one answered request, in their order.

    ``request``, ``forwarded`` and ``response`` are digests of the exact plaintext bytes: as received, as the engine got
    them, and as returned (for a stream, with its framing).  ``manifest`` names the model's bundle, ``launch`` the
    launch document, ``policy`` the one under which the model's key was released, where the workload knows it.
    """
    return (
        Event(type=EventType.REQUEST_RECEIVED, fields={"body_hash": request}),
        Event(type=EventType.LAUNCH, fields={"launch_digest": launch}),
        *([] if policy is None else [Event(type=EventType.POLICY, fields={"policy_digest": policy})]),
        Event(type=EventType.MODEL, fields={"manifest_digest": manifest}),
        Event(type=EventType.REQUEST_FORWARDED, fields={"body_hash": forwarded}),
        Event(type=EventType.RESPONSE_RETURNED, fields={"body_hash": response}),
        Event(type=EventType.USAGE, fields={"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens}),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """A signed receipt, or one that claims to be: only :func:`verify_receipt` says whose it is.

    ``served_at`` is Unix seconds by the workload's clock, which its host owns.  ``signature`` is 64 bytes.
    """

    receipt_id: str
    chat_id: str | None
    model: str | None
    workload_keyset_digest: Digest
    endpoint: str
    method: str
    served_at: int
    events: tuple[Event, ...]
    key_id: str
    signature: bytes

    def __post_init__(self) -> None:
        for name in ("receipt_id", "endpoint", "method", "key_id"):
            _text(getattr(self, name), name)
        for name in ("chat_id", "model"):
            if getattr(self, name) is not None:
                _text(getattr(self, name), name)
        if not is_digest(self.workload_keyset_digest):
            raise Malformed("receipt: workload_keyset_digest is not a digest")
        if not _is_count(self.served_at) or self.served_at > _LATEST:
            raise Malformed("receipt: served_at is not a time in Unix seconds")
        if not 0 < len(self.events) <= _MAX_EVENTS:
            raise Malformed(f"receipt: expected 1 to {_MAX_EVENTS} events")
        types = [event.type for event in self.events if event.known]
        if len(set(types)) != len(types):
            raise Malformed("receipt: an event happened twice, and nobody could say which one counts")
        if len(self.signature) != 64:
            raise Malformed("receipt: a signature has 64 bytes")

    @property
    def unknown_events(self) -> tuple[str, ...]:
        """The types of event that this version does not know, in order."""
        return tuple(event.type for event in self.events if not event.known)

    def digest(self, event_type: EventType) -> Digest | None:
        """The digest in the event of that type, not for USAGE; None where the receipt has no such event."""
        for event in self.events:
            if event.type == event_type:
                return Digest(event.fields[_DIGEST_FIELD[event_type]])
        return None

    def signed_bytes(self) -> bytes:
        """What the signature covers: the canonical form without it."""
        document = self.to_json()
        del document["signature"]
        return canonical(document)

    def to_bytes(self) -> bytes:
        """The canonical form: the record that the log commits to."""
        return canonical(self.to_json())

    def to_json(self) -> dict[str, Any]:
        return {
            "api_version": API_VERSION,
            "receipt_id": self.receipt_id,
            "chat_id": self.chat_id,
            "model": self.model,
            "workload_keyset_digest": self.workload_keyset_digest,
            "endpoint": self.endpoint,
            "method": self.method,
            "served_at": self.served_at,
            "event_log": [event.to_json() for event in self.events],
            "key_id": self.key_id,
            "signature": self.signature.hex(),
        }

    @classmethod
    def from_bytes(cls, data: bytes | str) -> Receipt:
        return cls.from_json(parse_json(data, what="receipt", limit=1024 * 1024))

    @classmethod
    def from_json(cls, obj: object) -> Receipt:
        """Raises Malformed on anything missing, unknown, repeated or of the wrong form."""
        if not isinstance(obj, dict) or obj.keys() != _NAMES:
            names = sorted(map(str, obj.keys() ^ _NAMES)) if isinstance(obj, dict) else ["an object"]
            raise Malformed(f"receipt: missing or unknown: {', '.join(names)}")
        if obj["api_version"] != API_VERSION:
            raise Malformed(f"receipt: expected api_version {API_VERSION}")
        event_log = obj["event_log"]
        if not isinstance(event_log, list):
            raise Malformed("receipt: event_log is a list")
        receipt = cls(
            events=tuple(_event(event) for event in event_log),
            signature=unhex(obj["signature"], what="receipt signature", length=64),
            **{name: obj[name] for name in _NAMES - {"api_version", "event_log", "signature"}},
        )
        receipt.to_bytes()  # refuses what has no canonical form, before anyone hashes it
        return receipt


def sign_receipt(
    *,
    receipt_id: str,
    chat_id: str | None,
    model: str | None,
    workload_keyset_digest: Digest,
    endpoint: str,
    method: str,
    served_at: int,
    events: Sequence[Event],
    key_id: str,
    private_key: Ed25519PrivateKey,
) -> Receipt:
    """A receipt signed by the receipt signing key ``key_id`` of the keyset with that digest."""
    unsigned = Receipt(
        receipt_id=receipt_id,
        chat_id=chat_id,
        model=model,
        workload_keyset_digest=workload_keyset_digest,
        endpoint=endpoint,
        method=method,
        served_at=served_at,
        events=tuple(events),
        key_id=key_id,
        signature=bytes(64),
    )
    return replace(unsigned, signature=private_key.sign(unsigned.signed_bytes()))


def verify_receipt(receipt: Receipt, *, keys: Mapping[str, bytes]) -> None:
    """The key that ``receipt`` names, out of ``keys`` (key id to Ed25519 public key), signed it.  Raises NotAuthentic.

    Who holds the key is for whoever gives ``keys``: take them from a keyset that evidence has bound.
    """
    public_key = keys.get(receipt.key_id)
    if public_key is None:
        known = ", ".join(sorted(keys)) or "none"
        raise NotAuthentic(f"receipt: expected one of the keys {known}, got {receipt.key_id}", code="receipt.key")
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(receipt.signature, receipt.signed_bytes())
    except (InvalidSignature, ValueError):
        raise NotAuthentic("receipt: the signature does not hold", code="receipt.signature") from None


def leaf_commitment(salt: bytes, record: bytes) -> bytes:
    """The log's entry for ``record`` (a signed record's canonical bytes): SHA-256(salt ‖ record), 32 bytes.

    The salt (32 random bytes, kept beside the record) is why the public log does not answer guesses about records.
    """
    if len(salt) != SALT_SIZE:
        raise Malformed(f"salt: expected {SALT_SIZE} bytes, got {len(salt)}")
    return sha256(salt, record)


def _event(obj: object) -> Event:
    if not isinstance(obj, dict) or not isinstance(obj.get("type"), str):
        raise Malformed("receipt: an event is an object with a type")
    return Event(type=obj["type"], fields={name: value for name, value in obj.items() if name != "type"})


def _text(value: object, what: str) -> None:
    if not isinstance(value, str) or not 0 < len(value) <= 1024 or not value.isprintable():
        raise Malformed(f"receipt: {what} is text of 1 to 1024 printable characters")


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53
