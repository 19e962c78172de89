"""Reference values that somebody signed: which programs, images and measurements a release consists of.

    {"document": {"type": "hermetic.reference-values.v1", "name": …, "version": …, "issued": …, "not_after": …,
                  "workload": {…}, "snp": {…}, "tdx": {…}, "sgx": {…}},
     "signatures": {"ed25519:…": "<128 hex digits>"}}

Each signature is Ed25519 over a transcript of the type and the document's canonical form, so that no document can pass
for one of another type.  A policy names the file, whose release it wants, and who must have signed it:

    [release]
    file = "release.json"
    name = "clinic-chat"
    signers = ["ed25519:…", "ed25519:…"]
    threshold = 2                                 # all of them, unless stated
    version_min = "1.4"                           # an older one is a roll-back

What it lists joins what the policy pins itself; a table that the policy does not have gains nothing from it.  Its
expiry is judged when claims are, for the time that they were verified for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Annotated, Any, ClassVar

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from hermetic.errors import Malformed, Misconfigured, NotAcceptable, NotAuthentic, Refused
from hermetic.identity import format_ed25519, parse_ed25519
from hermetic.policy._intel import Hex32, Hex48
from hermetic.policy._snp_table import FileName
from hermetic.wire import canonical, parse_object, transcript, unhex

__all__ = ["ReferenceValues", "ReleasePolicy", "SignedReferenceValues", "merge"]

Name = Annotated[str, msgspec.Meta(pattern=r"\A[\x21-\x7e]{1,100}\Z")]
Version = Annotated[str, msgspec.Meta(pattern=r"\A[0-9]{1,9}(\.[0-9]{1,9}){0,3}\Z")]
DigestText = Annotated[str, msgspec.Meta(pattern=r"\Asha256:[0-9a-f]{64}\Z")]
KeyText = Annotated[str, msgspec.Meta(pattern=r"\Aed25519:[A-Za-z0-9+/]{43}=\Z")]
Instant = Annotated[datetime, msgspec.Meta(tz=True)]

_LIMIT = 1024 * 1024


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Values for one table of a policy, under the names of its fields."""


class ReleasedWorkload(_Table, frozen=True, kw_only=True):
    programs: tuple[DigestText, ...] = ()
    configs: tuple[DigestText, ...] = ()
    models: tuple[DigestText, ...] = ()


class ReleasedSnp(_Table, frozen=True, kw_only=True):
    measurements: tuple[Hex48, ...] = ()


class ReleasedTdx(_Table, frozen=True, kw_only=True):
    mr_tds: tuple[Hex48, ...] = ()
    rtmr0s: tuple[Hex48, ...] = ()
    rtmr1s: tuple[Hex48, ...] = ()
    rtmr2s: tuple[Hex48, ...] = ()
    rtmr3s: tuple[Hex48, ...] = ()


class ReleasedSgx(_Table, frozen=True, kw_only=True):
    mr_enclaves: tuple[Hex32, ...] = ()


class ReferenceValues(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a release consists of.  ``issued`` and ``not_after`` are aware times; nobody has looked at a signature."""

    TYPE: ClassVar[str] = "hermetic.reference-values.v1"

    name: Name
    version: Version
    issued: Instant
    not_after: Instant
    workload: ReleasedWorkload = ReleasedWorkload()
    snp: ReleasedSnp = ReleasedSnp()
    tdx: ReleasedTdx = ReleasedTdx()
    sgx: ReleasedSgx = ReleasedSgx()

    @classmethod
    def convert(cls, value: object, *, what: str) -> ReferenceValues:
        """From parsed TOML or JSON.  Raises Malformed naming the field, for no values at all, and for a life that ends
        before it begins."""
        try:
            values = msgspec.convert(value, cls)
        except msgspec.ValidationError as error:
            raise Malformed(f"{what}: {error}") from None
        if values.issued >= values.not_after:
            raise Malformed(f"{what}: not_after is not after issued")
        if not any(any(msgspec.to_builtins(table).values()) for table in values.tables().values()):
            raise Malformed(f"{what}: it states no value")
        return values

    def tables(self) -> dict[str, _Table]:
        """The tables by their names in a policy."""
        return {"workload": self.workload, "snp": self.snp, "tdx": self.tdx, "sgx": self.sgx}

    def numbers(self) -> tuple[int, ...]:
        """The version, as it compares."""
        return _numbers(self.version)

    def to_json(self) -> dict[str, Any]:
        """The JSON object, its type first."""
        fields: dict[str, Any] = msgspec.to_builtins(self)
        return {"type": self.TYPE, **fields}


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedReferenceValues:
    """A release with signatures that nobody has checked: ``fields`` as they came, signatures by key."""

    fields: Mapping[str, Any]
    signatures: Mapping[str, bytes]

    @classmethod
    def sign(cls, values: ReferenceValues, *keys: Ed25519PrivateKey) -> SignedReferenceValues:
        """Raises Misconfigured without a key."""
        if not keys:
            raise Misconfigured("a release that nobody signs is worth nothing")
        signed = cls(fields=values.to_json(), signatures={})
        for key in keys:
            signed = signed.with_signature(key)
        return signed

    @classmethod
    def from_bytes(cls, data: bytes) -> SignedReferenceValues:
        """Raises Malformed."""
        value = parse_object(data, what="release", limit=_LIMIT)
        if value.keys() != {"document", "signatures"}:
            raise Malformed("release: expected exactly a document and signatures")
        fields, signatures = value["document"], value["signatures"]
        if not isinstance(fields, dict) or fields.get("type") != ReferenceValues.TYPE:
            raise Malformed(f"release: expected the type {ReferenceValues.TYPE}")
        if not isinstance(signatures, dict) or not 1 <= len(signatures) <= 32:
            raise Malformed("release: expected 1 to 32 signatures")
        read = {key: unhex(text, what="signature", length=64) for key, text in signatures.items()}
        for key in read:
            parse_ed25519(key, what="signatures")
        return cls(fields=MappingProxyType(fields), signatures=MappingProxyType(read))

    def to_json(self) -> dict[str, Any]:
        signatures = {key: signature.hex() for key, signature in sorted(self.signatures.items())}
        return {"document": dict(self.fields), "signatures": signatures}

    def with_signature(self, key: Ed25519PrivateKey) -> SignedReferenceValues:
        """The same release, signed by ``key`` too."""
        name = format_ed25519(key.public_key().public_bytes_raw())
        signatures = {**self.signatures, name: key.sign(self._signed_bytes())}
        return replace(self, signatures=MappingProxyType(signatures))

    def stated(self) -> ReferenceValues:
        """What it says, whoever says it: for showing and for signing.  Raises Malformed."""
        fields = {name: value for name, value in self.fields.items() if name != "type"}
        return ReferenceValues.convert(fields, what="release")

    def signers(self) -> tuple[str, ...]:
        """The keys whose signatures hold, whoever they are."""
        return tuple(key for key, signature in self.signatures.items() if self._holds(key, signature))

    def verify(self, *, signers: tuple[str, ...], threshold: int) -> ReferenceValues:
        """What it says, once ``threshold`` of ``signers`` have signed it.  Raises NotAuthentic or Malformed."""
        signed = {key for key in signers if self._holds(key, self.signatures.get(key, b""))}
        if len(signed) < threshold:
            raise NotAuthentic(
                f"signed by {len(signed)} of the {len(signers)} that the policy names, and it takes {threshold}",
                code="signature",
            )
        return self.stated()

    def _holds(self, key: str, signature: bytes) -> bool:
        try:
            public = Ed25519PublicKey.from_public_bytes(parse_ed25519(key, what="signers"))
            public.verify(signature, self._signed_bytes())
        except InvalidSignature:
            return False
        return True

    def _signed_bytes(self) -> bytes:
        return transcript(ReferenceValues.TYPE, canonical(dict(self.fields)))


class ReleasePolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The ``[release]`` table: which release, signed by whom.  ``threshold`` None asks for all ``signers``."""

    file: FileName
    name: Name
    signers: Annotated[tuple[KeyText, ...], msgspec.Meta(min_length=1, max_length=32)]
    threshold: Annotated[int, msgspec.Meta(ge=1)] | None = None
    version_min: Version | None = None

    def open(self, data: bytes) -> ReferenceValues:
        """The release in ``data``, if it is the one that is wanted.  Raises Misconfigured saying what is wrong."""
        if len(set(self.signers)) != len(self.signers) or (self.threshold or 1) > len(self.signers):
            raise Misconfigured(
                "release.signers names somebody twice, or fewer than release.threshold", code="release_signers"
            )
        threshold = len(self.signers) if self.threshold is None else self.threshold
        try:
            values = SignedReferenceValues.from_bytes(data).verify(signers=self.signers, threshold=threshold)
            self._require_wanted(values)
        except Refused as error:
            raise Misconfigured(
                f"{self.file}: {error.message}",
                code=f"release_{error.code}",
                fix="get the release from whoever signs it; hermetic policy release show FILE says what it states",
            ) from error
        return values

    def _require_wanted(self, values: ReferenceValues) -> None:
        if values.name != self.name:
            raise NotAcceptable(f"a release of {values.name}, not of {self.name}", code="name")
        if self.version_min is not None and values.numbers() < _numbers(self.version_min):
            raise NotAcceptable(f"version {values.version}, which is older than {self.version_min}", code="rolled_back")


def merge(tables: Mapping[str, Any], values: ReferenceValues) -> dict[str, Any]:
    """The policy's tables, with the released values in their lists.  A table that is None stays so."""
    merged = dict(tables)
    for name, released in values.tables().items():
        policy = tables.get(name)
        stated = {field: listed for field in released.__struct_fields__ if (listed := getattr(released, field))}
        if policy is None:
            continue
        joined = {
            field: tuple(dict.fromkeys([*(getattr(policy, field) or ()), *listed])) for field, listed in stated.items()
        }
        merged[name] = msgspec.structs.replace(policy, **joined)
    return merged


def current(values: ReferenceValues, at: datetime) -> bool:
    """Whether the release speaks for ``at``: it was issued by then, and has not expired."""
    return values.issued.astimezone(UTC) <= at < values.not_after.astimezone(UTC)


def _numbers(version: str) -> tuple[int, ...]:
    """A version of up to four parts, as it compares: what is not stated is 0."""
    parts = [int(part) for part in version.split(".")]
    return (*parts, *[0] * (4 - len(parts)))
