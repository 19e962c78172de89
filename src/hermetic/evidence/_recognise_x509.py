"""Certificates, revocation lists and OCSP responses: PEM or DER, recognised and not believed."""

from __future__ import annotations

from collections.abc import Callable

from cryptography.x509 import ocsp

from hermetic.errors import Malformed
from hermetic.evidence.parts import CertificatesPart, Part, Recognised, RevocationPart
from hermetic.evidence.pem import CERTIFICATE, REVOCATION_LIST, pem_blocks
from hermetic.evidence.x509 import load_certificate, load_crl

_MOST = 64


def recognise_pem(data: bytes) -> Recognised:
    """The certificates and lists of a PEM file; text around the blocks is ignored, as everywhere.

    Raises Malformed where there is none, on a block of another kind, and on one that cannot be read.
    """
    blocks = pem_blocks(data)
    if not blocks:
        raise Malformed("PEM: no whole block in it")
    if len(blocks) > _MOST:
        raise Malformed(f"PEM: more than {_MOST} blocks")
    certificates: list[bytes] = []
    lists: list[Part] = []
    for label, der in blocks:
        if label == CERTIFICATE:
            load_certificate(der, "PEM")
            certificates.append(der)
        elif label == REVOCATION_LIST:
            lists.append(_list(der))
        elif "PRIVATE KEY" in label:
            raise Malformed("PEM: a private key, which belongs in no evidence")
        else:
            raise Malformed(f"PEM: a block of kind {label}, which is no endorsement")
    parts = [*([CertificatesPart(certificates=tuple(certificates))] if certificates else []), *lists]
    return Recognised(form=_words(len(certificates), len(lists)), parts=tuple(parts))


def recognise_der(data: bytes) -> Recognised | None:
    """What DER holds: a certificate, a revocation list or an OCSP response.  None where it is none of them."""
    for form, part in _DER:
        try:
            return Recognised(form=form, parts=(part(data),))
        except Malformed:
            continue
    return None


def _certificate(der: bytes) -> Part:
    load_certificate(der, "certificate")
    return CertificatesPart(certificates=(der,))


def _list(der: bytes) -> Part:
    load_crl(der)
    return RevocationPart(der=der)


def _ocsp(der: bytes) -> Part:
    try:
        ocsp.load_der_ocsp_response(der)
    except ValueError as error:
        raise Malformed("OCSP: not an answer that can be read") from error
    return RevocationPart(der=der, ocsp=True)


_DER: tuple[tuple[str, Callable[[bytes], Part]], ...] = (
    ("a certificate in DER", _certificate),
    ("a certificate revocation list in DER", _list),
    ("an OCSP response in DER", _ocsp),
)


def _words(certificates: int, lists: int) -> str:
    counted = [
        f"{count} {what}{'s' if count > 1 else ''}"
        for count, what in ((certificates, "certificate"), (lists, "revocation list"))
        if count
    ]
    return f"{' and '.join(counted)} in PEM"
