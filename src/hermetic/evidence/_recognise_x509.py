"""Certificates, revocation lists and OCSP responses: PEM or DER, recognised and not believed."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509 import ocsp

from hermetic.errors import Malformed
from hermetic.evidence.parts import CertificatesPart, Part, Recognised, RevocationPart
from hermetic.wire import b64decode

_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----\s+([A-Za-z0-9+/=\s]*?)\s*-----END \1-----")
_MOST = 64


def recognise_pem(data: bytes) -> Recognised:
    """The certificates and lists of a PEM file; text around the blocks is ignored, as everywhere.

    Raises Malformed where there is none, on a block of another kind, and on one that cannot be read.
    """
    blocks = _BLOCK.findall(data)
    if not blocks:
        raise Malformed("PEM: no whole block in it")
    if len(blocks) > _MOST:
        raise Malformed(f"PEM: more than {_MOST} blocks")
    certificates: list[bytes] = []
    lists: list[Part] = []
    for label, body in blocks:
        der = b64decode(b"".join(body.split()).decode("ascii"), what="PEM")
        if label == b"CERTIFICATE":
            certificates.append(_read(der, x509.load_der_x509_certificate, "certificate"))
        elif label == b"X509 CRL":
            lists.append(RevocationPart(der=_read(der, x509.load_der_x509_crl, "revocation list")))
        elif b"PRIVATE KEY" in label:
            raise Malformed("PEM: a private key, which belongs in no evidence")
        else:
            raise Malformed(f"PEM: a block of kind {label.decode('ascii')}, which is no endorsement")
    parts = [*([CertificatesPart(certificates=tuple(certificates), pem=data)] if certificates else []), *lists]
    return Recognised(form=_words(len(certificates), len(lists)), parts=tuple(parts))


def recognise_der(data: bytes) -> Recognised | None:
    """What DER holds: a certificate, a revocation list or an OCSP response.  None where it is none of them."""
    for form, part in _DER:
        try:
            return Recognised(form=form, parts=(part(data),))
        except ValueError:
            continue
    return None


def _certificate(der: bytes) -> Part:
    certificate = x509.load_der_x509_certificate(der)
    return CertificatesPart(certificates=(certificate.public_bytes(serialization.Encoding.DER),))


def _list(der: bytes) -> Part:
    return RevocationPart(der=x509.load_der_x509_crl(der).public_bytes(serialization.Encoding.DER))


def _ocsp(der: bytes) -> Part:
    ocsp.load_der_ocsp_response(der)
    return RevocationPart(der=der, ocsp=True)


_DER: tuple[tuple[str, Callable[[bytes], Part]], ...] = (
    ("a certificate in DER", _certificate),
    ("a certificate revocation list in DER", _list),
    ("an OCSP response in DER", _ocsp),
)


def _read(der: bytes, load: Callable[[bytes], Any], what: str) -> bytes:
    try:
        load(der)
    except ValueError as error:
        raise Malformed(f"PEM: a {what} that cannot be read") from error
    return der


def _words(certificates: int, lists: int) -> str:
    counted = [
        f"{count} {what}{'s' if count > 1 else ''}"
        for count, what in ((certificates, "certificate"), (lists, "revocation list"))
        if count
    ]
    return f"{' and '.join(counted)} in PEM"
