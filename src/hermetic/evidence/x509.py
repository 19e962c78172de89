"""Certificates and revocation lists (RFC 5280), read strictly, by a reader of our own.

Reading believes nothing: what a vendor's certificate must say, and who signed it, is :mod:`hermetic.verify.chain`'s.

Why of our own: AMD gives every VCEK and VLEK the serial number zero, which RFC 5280 rules out and which general
libraries refuse or are about to.  It is harmless here.  A leaf is told apart by its key and its issuer by a pinned
digest; a revocation list that named number zero would revoke every leaf.  Keys and signatures are left to
:mod:`cryptography`, and the tests compare this reader with its own, certificate for certificate.

Thousands of reports come with the same few endorsements, so what was read is remembered.  It cannot change with time.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from types import MappingProxyType

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

from hermetic.errors import Malformed
from hermetic.evidence._der import OCTETS, SEQUENCE, SET, TIME, UTC_TIME, Node, context, read_der
from hermetic.wire import Digest, sha256_digest

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey

_REMEMBERED, _REMEMBERED_LISTS = 256, 32  # of less than 64 KiB each: no longer DER is read
_COMMON_NAME = "2.5.4.3"
_SHORT = {_COMMON_NAME: "CN", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST", "2.5.4.10": "O", "2.5.4.11": "OU"}
_SPECIAL = re.compile(r'["+,;<>\\]|^[ #]| \Z')
_BASIC_CONSTRAINTS, _KEY_USAGE, EXTENDED_KEY_USAGE = "2.5.29.19", "2.5.29.15", "2.5.29.37"
_CRL_NUMBER, _AUTHORITY_KEY = "2.5.29.20", "2.5.29.35"

# What a certificate or list may mark critical, or have at all: the extensions that are evaluated.
_UNDERSTOOD = frozenset({_BASIC_CONSTRAINTS, _KEY_USAGE, EXTENDED_KEY_USAGE})
_CRL_UNDERSTOOD = frozenset({_CRL_NUMBER, _AUTHORITY_KEY})


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """What a certificate or a list is at the outside: ``data`` under ``signature``, by ``algorithm`` (DER).

    ``stated`` is the algorithm that the signed part names; the outer one no signature covers.
    """

    data: bytes = field(repr=False)
    algorithm: bytes
    stated: bytes
    signature: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraints:
    """Basic constraints: whether it is an authority, and over how many further ones at most (None: any number)."""

    authority: bool
    path_length: int | None
    critical: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Key usage, as far as anything here asks for it."""

    statements: bool
    certificates: bool
    lists: bool


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Certificate:
    """A certificate whose every part could be read; nothing in it is believed.

    ``der`` is the whole of it, as it was received.  ``subject`` and ``issuer`` are names in DER; names are equal if
    their bytes are.  ``constraints`` and ``usage`` are None where it does not say; ``extensions`` are all of them, by
    dotted identifier, in DER.  Compared by identity, which is what makes a remembered signature cheap:
    :func:`load_certificate` gives one object for one DER.
    """

    der: bytes = field(repr=False)
    signed: Signed = field(repr=False)
    subject: bytes = field(repr=False)
    issuer: bytes = field(repr=False)
    serial_number: int
    not_before: datetime
    not_after: datetime
    digest: Digest
    common_name: str
    public_key: PublicKey = field(repr=False)
    constraints: Constraints | None
    usage: Usage | None
    extensions: Mapping[str, bytes] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RevocationList:
    """A revocation list that could be read; nothing in it is believed.  Compared by identity, as certificates are.

    ``der`` is the whole of it.  ``issuer`` is a name in DER, ``issuer_name`` the common name in it.  ``revoked`` are
    serial numbers.
    """

    der: bytes = field(repr=False)
    signed: Signed = field(repr=False)
    issuer: bytes = field(repr=False)
    issuer_name: str
    this_update: datetime
    next_update: datetime | None
    revoked: frozenset[int] = field(repr=False)


@lru_cache(_REMEMBERED)
def load_certificate(der: bytes, what: str) -> Certificate:
    """Raises Malformed on anything but one whole certificate of version 3.  ``what`` names it for the message."""
    try:
        return _certificate(der)
    except Malformed as reason:
        raise Malformed(f"{what}: not a certificate that can be read: {reason.message}") from reason


@lru_cache(_REMEMBERED_LISTS)
def load_crl(der: bytes) -> RevocationList:
    """Raises Malformed on anything but one whole, complete (not delta, not partitioned) list of version 2."""
    try:
        return _crl(der)
    except Malformed as reason:
        raise Malformed(f"CRL: not a revocation list that can be read: {reason.message}") from reason


def name_in_words(name: bytes) -> str:
    """A name in DER as RFC 4514 writes it, the last part first; what is not printable, as the bytes of its UTF-8.

    Raises Malformed.
    """
    groups = (_pairs(group) for group in reversed(read_der(name).children()))
    return ",".join("+".join(f"{_SHORT.get(kind, kind)}={_escaped(text)}" for kind, text in pairs) for pairs in groups)


def extended_uses(certificate: Certificate) -> tuple[str, ...]:
    """What the key is for, by dotted identifier (RFC 5280, 4.2.1.12); none where it does not say.  Raises Malformed."""
    value = certificate.extensions.get(EXTENDED_KEY_USAGE)
    return () if value is None else tuple(node.oid() for node in read_der(value).children())


def _certificate(der: bytes) -> Certificate:
    body, algorithm, signature = _members(read_der(der), 3)
    version, serial, stated, issuer, validity, subject, key, *rest = _members(body, 7, 8)
    _require_version(version.children(context(0)), 2)
    _texts(issuer)
    not_before, not_after = (node.time() for node in _members(validity, 2))
    extensions = _extensions(rest, context(3))
    if unknown := [oid for oid, (critical, _) in extensions.items() if critical and oid not in _UNDERSTOOD]:
        raise Malformed(f"a critical extension is not understood, {unknown[0]}")
    if (serial_number := serial.number()) < 0:
        raise Malformed("a negative serial number, which no list could name")
    return Certificate(
        der=der,
        signed=_signed(body, algorithm, stated, signature),
        subject=subject.encoded,
        issuer=issuer.encoded,
        serial_number=serial_number,
        not_before=not_before,
        not_after=not_after,
        digest=sha256_digest(der),
        common_name=_common_name(subject),
        public_key=_public_key(key),
        constraints=_constraints(extensions.get(_BASIC_CONSTRAINTS)),
        usage=_usage(extensions.get(_KEY_USAGE)),
        extensions=MappingProxyType({oid: value for oid, (_, value) in extensions.items()}),
    )


def _crl(der: bytes) -> RevocationList:
    body, algorithm, signature = _members(read_der(der), 3)
    version, stated, issuer, this_update, *rest = _members(body, 4, 7)
    _require_version((version,), 1)
    next_update = rest.pop(0).time() if rest and rest[0].tag in (UTC_TIME, TIME) else None
    entries = rest.pop(0).children() if rest and rest[0].tag == SEQUENCE else ()
    if not _extensions(rest, context(0)).keys() <= _CRL_UNDERSTOOD:
        raise Malformed("an extension is not understood, so it may not list all that was revoked")
    return RevocationList(
        der=der,
        signed=_signed(body, algorithm, stated, signature),
        issuer=issuer.encoded,
        issuer_name=_common_name(issuer),
        this_update=this_update.time(),
        next_update=next_update,
        revoked=frozenset(map(_revoked, entries)),
    )


def _members(node: Node, least: int, most: int | None = None) -> tuple[Node, ...]:
    """The members of a SEQUENCE that has ``least`` of them, or up to ``most``."""
    members = node.children()
    if not least <= len(members) <= (most or least):
        raise Malformed("another number of members")
    return members


def _signed(body: Node, algorithm: Node, stated: Node, signature: Node) -> Signed:
    return Signed(
        data=body.encoded, algorithm=algorithm.encoded, stated=stated.encoded, signature=signature.whole_bits()
    )


def _require_version(nodes: tuple[Node, ...], number: int) -> None:
    if len(nodes) != 1 or nodes[0].number() != number:
        raise Malformed("another version")


def _extensions(nodes: list[Node], tag: int) -> dict[str, tuple[bool, bytes]]:
    """By identifier: whether it is critical, and its value.  ``nodes`` is what is left: the extensions, or nothing."""
    outer = [inner for node in nodes for inner in node.children(tag)]
    if len(outer) != min(len(nodes), 1):
        raise Malformed("expected one row of extensions, or none")
    found: dict[str, tuple[bool, bytes]] = {}
    for entry in (entry for inner in outer for entry in inner.children()):
        name, *critical, value = _members(entry, 2, 3)
        oid = name.oid()
        # False is what is meant by saying nothing, so it has no other spelling.
        if oid in found or any(not flag.boolean() for flag in critical):
            raise Malformed("an extension comes twice, or says that it is not critical")
        found[oid] = (bool(critical), value.require(OCTETS))
    return found


def _common_name(name: Node) -> str:
    texts = [text for kind, text in _texts(name) if kind == _COMMON_NAME]
    if len(texts) != 1 or not texts[0].isprintable():
        raise Malformed("expected exactly one common name, and a printable one: it is shown to people")
    return texts[0]


def _texts(name: Node) -> list[tuple[str, str]]:
    return [pair for group in name.children() for pair in _pairs(group)]


def _pairs(group: Node) -> list[tuple[str, str]]:
    return [(kind.oid(), value.text()) for kind, value in (_members(pair, 2) for pair in group.children(SET))]


def _escaped(text: str) -> str:
    """RFC 4514, 2.4."""
    quoted = _SPECIAL.sub(r"\\\g<0>", text)
    return "".join(c if c.isprintable() else "".join(f"\\{byte:02x}" for byte in c.encode()) for c in quoted)


def _public_key(node: Node) -> PublicKey:
    try:
        key = load_der_public_key(node.encoded)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise Malformed("a key that cannot be read") from error
    if not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        raise Malformed("expected an RSA or an elliptic-curve key")
    return key


def _constraints(extension: tuple[bool, bytes] | None) -> Constraints | None:
    if extension is None:
        return None
    critical, value = extension
    members = _members(read_der(value), 0, 2)
    # What is no authority says nothing: neither "no" nor how far.
    if members and not members[0].boolean():
        raise Malformed("basic constraints that say no where silence says it")
    length = members[1].number() if len(members) == 2 else None
    if length is not None and length < 0:
        raise Malformed("basic constraints of a negative depth")
    return Constraints(authority=bool(members), path_length=length, critical=critical)


def _usage(extension: tuple[bool, bytes] | None) -> Usage | None:
    if extension is None:
        return None
    bits = read_der(extension[1]).flags()
    return Usage(statements=0 in bits, certificates=5 in bits, lists=6 in bits)


def _revoked(entry: Node) -> int:
    """The serial number.  Whatever else an entry says does not make it revoked less, unless it is critical."""
    serial, _, *rest = _members(entry, 2, 3)
    for extension in rest:
        if any(len(_members(member, 2, 3)) == 3 for member in extension.children()):
            raise Malformed("an entry of the list has a critical extension")
    return serial.number()
