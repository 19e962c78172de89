"""Certificates, lists and chains as vendors send them: read, named and dated, and nothing more."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import unquote_to_bytes

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from hermetic.errors import Malformed
from hermetic.sources.collateral.question import Answer, Period
from hermetic.verify.x509 import Certificate, load_certificate, load_crl

__all__ = [
    "certificate_period",
    "certificates_from_pem",
    "chain_from_header",
    "chain_from_pem",
    "crl_from_any",
    "crl_period",
    "named_chain",
    "overlap",
]

_CERTIFICATE, _LIST, _CHAIN = 8192, 65536, 8192  # what a bundle takes
_HEX = frozenset(b"0123456789abcdefABCDEF\r\n")


def certificates_from_pem(pem: bytes) -> tuple[bytes, ...]:
    """The certificates of a PEM text in their order, as DER.  Raises Malformed."""
    try:
        found = x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise Malformed("not certificates in PEM") from error
    ders = tuple(certificate.public_bytes(Encoding.DER) for certificate in found)
    if any(len(der) > _CERTIFICATE for der in ders):
        raise Malformed(f"a certificate of more than {_CERTIFICATE} bytes")
    return ders


def chain_from_pem(pem: bytes) -> bytes:
    """The same PEM in the one spelling that verifiers take: lines of 64, LF.  Raises Malformed."""
    try:
        found = x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise Malformed("not a chain in PEM") from error
    chain = b"".join(certificate.public_bytes(Encoding.PEM) for certificate in found)
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
    try:
        if content.startswith(b"-----BEGIN"):
            der = x509.load_pem_x509_crl(content).public_bytes(Encoding.DER)
        elif frozenset(content) <= _HEX:
            der = bytes.fromhex(content.decode("ascii"))
    except ValueError as error:
        raise Malformed("not a revocation list in PEM or in hex") from error
    if len(der) > _LIST:
        raise Malformed(f"a revocation list of more than {_LIST} bytes")
    return der


def certificate_period(*certificates: Certificate) -> Period:
    """When all of them are valid.  A certificate is valid in its last second too; a period ends before it."""
    return Period(
        first=max(certificate.parsed.not_valid_before_utc for certificate in certificates),
        last=min(certificate.parsed.not_valid_after_utc for certificate in certificates),
    )


def crl_period(der: bytes, issuer: str) -> Period:
    """When the list of the issuer with this common name holds.  Raises Malformed on any other list."""
    crl = load_crl(der)
    got = [str(name.value) for name in crl.issuer.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if got != [issuer]:
        raise Malformed(f"expected the list of {issuer}, got that of {', '.join(got) or 'nobody'}")
    last = crl.parsed.next_update_utc
    if last is None:
        raise Malformed("a list that does not say until when it holds")
    return Period(first=crl.parsed.last_update_utc, last=last)


def named_chain(pem: bytes, *names: str) -> Period:
    """When a chain of certificates with exactly these common names is valid.  Raises Malformed on any other chain."""
    chain = tuple(load_certificate(der, "chain") for der in certificates_from_pem(pem))
    if tuple(certificate.common_name for certificate in chain) != names:
        raise Malformed(
            f"expected a chain of {', '.join(names)}, got {', '.join(each.common_name for each in chain)[:200]}"
        )
    return certificate_period(*chain)


def overlap(*periods: Period) -> Period:
    """When all of them hold."""
    return Period(first=max(each.first for each in periods), last=min(each.last for each in periods))
