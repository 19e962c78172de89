"""The workload keyset: one document that lists a workload's public keys by role (protocols.md §3).

Its digest is what the evidence binds, so whoever has verified evidence knows every key in it was made by the workload.
On its own a keyset proves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from hermetic.errors import Malformed, NotAcceptable
from hermetic.identity._fields import digest, exactly, integer, items, text
from hermetic.wire import Digest, b64decode, b64encode, canonical, sha256_digest

__all__ = ["ED25519", "EHBP", "RELEASE", "STRICT", "Keyset", "PublicKey", "TlsKey", "format_ed25519", "parse_ed25519"]

ED25519 = "ed25519"
EHBP = "ehbp.x25519"
STRICT = "hermetic.strict.x-wing"
RELEASE = "hermetic.release.x-wing"

_SIZES = {ED25519: 32, EHBP: 32, STRICT: 1216, RELEASE: 1216}
_E2EE = frozenset({EHBP, STRICT, RELEASE})


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKey:
    """One public key and what it is for.  ``algo`` tells the role; roles never share a key."""

    key_id: str
    algo: str
    public_key: bytes = field(repr=False)

    def to_json(self) -> dict[str, Any]:
        return {"key_id": self.key_id, "algo": self.algo, "public_key": b64encode(self.public_key)}

    @classmethod
    def from_json(cls, obj: object) -> PublicKey:
        """Raises Malformed on an unknown algorithm or a key of the wrong size."""
        fields = exactly(obj, frozenset({"key_id", "algo", "public_key"}), what="public key")
        algo = fields["algo"]
        if not isinstance(algo, str) or algo not in _SIZES:
            raise Malformed(f"public key: unknown algorithm; expected one of {', '.join(_SIZES)}")
        return cls(
            key_id=text(fields["key_id"], what="key_id", limit=128),
            algo=algo,
            public_key=b64decode(fields["public_key"], what="public_key", length=_SIZES[algo]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsKey:
    """A TLS key the workload ends itself: SHA-256 of its SubjectPublicKeyInfo and the domain it serves."""

    spki_sha256: Digest
    domain: str

    def to_json(self) -> dict[str, Any]:
        return {"spki_sha256": self.spki_sha256, "domain": self.domain}

    @classmethod
    def from_json(cls, obj: object) -> TlsKey:
        fields = exactly(obj, frozenset({"spki_sha256", "domain"}), what="tls key")
        return cls(
            spki_sha256=digest(fields["spki_sha256"], what="spki_sha256"),
            domain=text(fields["domain"], what="domain", limit=253),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyset:
    """A workload's public keys.  ``not_after`` is Unix seconds, UTC."""

    subject: str
    not_after: int
    receipt_signing_keys: tuple[PublicKey, ...]
    e2ee_public_keys: tuple[PublicKey, ...]
    tls_public_keys: tuple[TlsKey, ...] = ()

    def __post_init__(self) -> None:
        if any(key.algo != ED25519 for key in self.receipt_signing_keys):
            raise Malformed("keyset: a receipt signing key is not ed25519")
        if any(key.algo not in _E2EE for key in self.e2ee_public_keys):
            raise Malformed("keyset: an end-to-end key has no known role")
        keys = self.receipt_signing_keys + self.e2ee_public_keys
        if not keys:
            raise Malformed("keyset: names no key")
        if len({key.key_id for key in keys}) != len(keys):
            raise Malformed("keyset: two keys share an id")
        if len({key.public_key for key in keys}) != len(keys):
            raise Malformed("keyset: two roles share a key")

    @property
    def digest(self) -> Digest:
        """``sha256:`` over the canonical document: what evidence and receipts name."""
        return sha256_digest(canonical(self.to_json()))

    def key(self, algo: str) -> PublicKey:
        """The one key of that role.  Raises NotAcceptable if there is none, or more than one."""
        found = [key for key in self.receipt_signing_keys + self.e2ee_public_keys if key.algo == algo]
        if len(found) != 1:
            raise NotAcceptable(f"the keyset holds {len(found)} keys for {algo}; expected 1", code="keyset_role")
        return found[0]

    def expires(self) -> datetime:
        return datetime.fromtimestamp(self.not_after, UTC)

    def to_json(self) -> dict[str, Any]:
        return {
            "subject": self.subject,
            "not_after": self.not_after,
            "receipt_signing_keys": [key.to_json() for key in self.receipt_signing_keys],
            "e2ee_public_keys": [key.to_json() for key in self.e2ee_public_keys],
            "tls_public_keys": [key.to_json() for key in self.tls_public_keys],
        }

    @classmethod
    def from_json(cls, obj: object) -> Keyset:
        """Raises Malformed on anything unknown, missing, repeated or of the wrong size."""
        names = frozenset({"subject", "not_after", "receipt_signing_keys", "e2ee_public_keys", "tls_public_keys"})
        fields = exactly(obj, names, what="keyset")
        return cls(
            subject=text(fields["subject"], what="subject"),
            not_after=integer(fields["not_after"], what="not_after", low=0, high=253_402_300_799),
            receipt_signing_keys=items(
                fields["receipt_signing_keys"], PublicKey.from_json, what="receipt_signing_keys"
            ),
            e2ee_public_keys=items(fields["e2ee_public_keys"], PublicKey.from_json, what="e2ee_public_keys"),
            tls_public_keys=items(fields["tls_public_keys"], TlsKey.from_json, what="tls_public_keys"),
        )


def format_ed25519(public_key: bytes) -> str:
    """``ed25519:<base64>``, how documents and configurations name a signing identity."""
    return f"{ED25519}:{b64encode(public_key)}"


def parse_ed25519(value: object, *, what: str = "key") -> bytes:
    """The 32 bytes of ``ed25519:<base64>``.  Raises Malformed."""
    if not isinstance(value, str) or not value.startswith("ed25519:"):
        raise Malformed(f"{what}: expected ed25519:<base64 of 32 bytes>")
    return b64decode(value.removeprefix("ed25519:"), what=what, length=32)
