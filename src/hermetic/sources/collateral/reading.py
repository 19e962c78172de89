"""Certificates, lists and chains as vendors send them: read, named and dated, and nothing more."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from urllib.parse import unquote_to_bytes

from cryptography.x509 import ocsp

from hermetic.errors import Malformed
from hermetic.evidence.pem import REVOCATION_LIST, certificates_from_pem, pem_blocks, pem_from_certificates
from hermetic.evidence.x509 import Certificate, load_certificate, load_crl
from hermetic.sources.collateral.question import Answer, Period

__all__ = [
    "certificate_period",
    "chain_from_header",
    "chain_from_pem",
    "crl_from_any",
    "crl_holds",
    "crl_period",
    "named_chain",
    "ocsp_period",
]

_LIST, _CHAIN = 65536, 8192  # what a bundle takes
_HEX = frozenset(b"0123456789abcdefABCDEF\r\n")


def chain_from_pem(pem: bytes) -> bytes:
    """The same PEM in the one spelling that verifiers take: lines of 64, LF.  Raises Malformed."""
    chain = pem_from_certificates(certificates_from_pem(pem))
    if len(chain) > _CHAIN:
        raise Malformed(f"a chain of more than {_CHAIN} bytes")
    return chain


def chain_from_header(answer: Answer, names: Iterable[str]) -> bytes:
    """The chain in the first of these headers that is there: percent-encoded PEM (Intel PCS, v4).  Raises Malformed."""
    value = next((answer.headers[name] for name in names if name in answer.headers), None)
    if value is None:
        raise Malformed(f"no header {' or '.join(names)}, which carries the signer's chain")
    return chain_from_pem(unquote_to_bytes(value))


def crl_from_any(content: bytes) -> bytes:
    """A revocation list in DER: as it is, from PEM, or from hex, which a PCCS sends.  Raises Malformed elsewhere."""
    der = content
    if content.startswith(b"-----BEGIN"):
        der = _list_from_pem(content)
    elif frozenset(content) <= _HEX:
        try:
            der = bytes.fromhex(content.decode("ascii"))
        except ValueError as error:
            raise Malformed("an odd number of hex digits") from error
    if len(der) > _LIST:
        raise Malformed(f"a revocation list of more than {_LIST} bytes")
    return der


def certificate_period(*certificates: Certificate) -> Period:
    """When all of them are valid.  A certificate is valid in its last second too; a period ends before it."""
    return Period(
        first=max(certificate.not_before for certificate in certificates),
        last=min(certificate.not_after for certificate in certificates),
    )


def crl_period(der: bytes, issuer: str) -> Period:
    """When the list of the issuer with this common name holds.  Raises Malformed on any other list."""
    crl = load_crl(der)
    if crl.issuer_name != issuer:
        raise Malformed(f"expected the list of {issuer}, got that of {crl.issuer_name[:200]}")
    return _stated(crl.this_update, crl.next_update)


def crl_holds(der: bytes, now: datetime) -> bool:
    """Whether it is a list, and the one to go by at ``now``."""
    try:
        crl = load_crl(der)
        return _stated(crl.this_update, crl.next_update).covers(now)
    except Malformed:
        return False


def ocsp_period(der: bytes) -> Period:
    """When an answer about one certificate holds.  Raises Malformed where it does not say until when."""
    try:
        answer = ocsp.load_der_ocsp_response(der)
        return _stated(answer.this_update_utc, answer.next_update_utc)
    except ValueError as error:
        raise Malformed("not an OCSP answer") from error


def named_chain(pem: bytes, *names: str) -> Period:
    """When a chain of certificates with exactly these common names is valid.  Raises Malformed on any other chain."""
    chain = tuple(load_certificate(der, "chain") for der in certificates_from_pem(pem))
    if (got := tuple(certificate.common_name for certificate in chain)) != names:
        raise Malformed(f"expected a chain of {', '.join(names)}, got {', '.join(got)[:200]}")
    return certificate_period(*chain)


def _stated(first: datetime, last: datetime | None) -> Period:
    if last is None:
        raise Malformed("it does not say until when it holds")
    return Period(first=first, last=last)


def _list_from_pem(pem: bytes) -> bytes:
    found = next((der for label, der in pem_blocks(pem) if label == REVOCATION_LIST), None)
    if found is None:
        raise Malformed(f"no {REVOCATION_LIST} in PEM")
    return found
