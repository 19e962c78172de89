"""What an item says, read by other means than the verifiers': to judge mutants that they accepted."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from lxml import etree

from hermetic.errors import HermeticError
from hermetic.evidence import DstackLog, EventLog

_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\n]+)-----END CERTIFICATE-----(?:\n|\Z|(?=\0))")
_DS = "{http://www.w3.org/2000/09/xmldsig#}"


def about(data: bytes) -> object:
    """What or whom an endorsement is about, so that two of the same can stand for one another; None for the rest."""
    if data[:1] == b"{":
        document = json.loads(data)
        inner = document.get("tcbInfo") or document.get("enclaveIdentity")
        return None if inner is None else (inner["id"], inner.get("fmspc"), inner.get("pceId"))
    if data.startswith(b"-----BEGIN CERTIFICATE"):
        return [_certificate(der) for der in pem(data) or ()]
    if data[:1] == b"<":
        root = etree.fromstring(data)
        versions = [
            value for element in root.iter() for name, value in element.attrib.items() if "Version" in str(name)
        ]
        return (root.get("name"), versions)
    readers: tuple[Callable[[bytes], object], ...] = (_certificate, _issuer_of_list)
    for read in readers:
        try:
            return read(data)
        except ValueError:
            continue
    return None


def _issuer_of_list(der: bytes) -> object:
    return x509.load_der_x509_crl(der).issuer


def _certificate(der: bytes) -> tuple[object, bytes]:
    certificate = x509.load_der_x509_certificate(der)
    key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return certificate.subject, key


def pem(data: bytes) -> tuple[bytes, ...] | None:
    """What stands before a chain, and the certificates of the chain; None where what is between or behind is not
    at most one line break and one NUL, or where lines are of other lengths than 64 and 76."""
    start = data.find(b"-----BEGIN CERTIFICATE-----")
    if start < 0:
        return None
    text, found = data[start:], []
    while block := _PEM.match(text):
        *lines, last, _ = block[1].removeprefix(b"\n").split(b"\n")
        if {len(line) for line in lines} not in ({64}, {76}) or len(last) > 76:
            return None
        found.append(base64.b64decode(block[1]))
        text = text[block.end() :]
    head = (_before_chain(data, start),) if start else ()
    return (*head, *found) if text in (b"", b"\0") else None


def _before_chain(quote: bytes, start: int) -> bytes:
    """What a quote says before its chain, but for the three lengths that depend on it (Quote Format, A.3 and A.4)."""
    version = quote[0]
    body = 384 if version == 3 else 584 if version == 4 else 6 + int.from_bytes(quote[50:54], "little")
    signature = 48 + body + 4
    nested = signature + 128 + (0 if version == 3 else 6)
    return quote[: signature - 4] + quote[signature : signature + 128] + quote[nested : start - 4]


def xml(data: bytes) -> object:
    """The canonical document without its signature, the canonical signed part of that, signature and certificates."""
    try:
        root = etree.fromstring(data)
    except (etree.XMLSyntaxError, ValueError):
        return None
    signatures = list(root.iter(f"{_DS}Signature"))
    if len(signatures) != 1:
        return None
    (signature,) = signatures
    values = [_decoded(signature, name) for name in ("SignatureValue", "X509Certificate")]
    info = etree.tostring(signature.find(f"{_DS}SignedInfo"), method="c14n")
    root.remove(signature)
    return (etree.tostring(root, method="c14n"), info, values)


def xml_once(data: bytes) -> object:
    """The same, with certificates that come twice taken once."""
    found = xml(data)
    if not isinstance(found, tuple):
        return None
    document, info, (signature, certificates) = found
    return (document, info, [signature, list(dict.fromkeys(certificates))])


def _decoded(signature: Any, name: str) -> list[bytes]:
    return [base64.b64decode(element.text) for element in signature.iter(f"{_DS}{name}")]


def registers(data: bytes) -> object:
    """What an event log extends its registers to."""
    try:
        if data[:1] == b"[":
            return DstackLog.from_bytes(data).registers()
        log = EventLog.from_ccel(data)
        algorithms = () if log.spec is None else log.spec.algorithms
        return [sorted(log.registers(algorithm).items()) for algorithm in algorithms]
    except HermeticError:
        return None


def json_value(data: bytes) -> object:
    """The value, where no object has a member twice."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({name for name, _ in pairs}) != len(pairs):
            raise ValueError
        return dict(pairs)

    try:
        return json.loads(data, object_pairs_hook=once)
    except ValueError:
        return None
