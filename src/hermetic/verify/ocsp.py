"""Stapled answers about revocation: OCSP (RFC 6960), verified offline.

An answer counts if it is about this certificate of this issuer, holds at ``now``, carries the nonce that was asked for
(where one was), is signed by the issuer itself or by a responder that the issuer named for just that, and says *good*.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from hermetic.errors import Malformed, NotAuthentic
from hermetic.evidence._der import read_der
from hermetic.evidence.x509 import Certificate, extended_uses, load_certificate
from hermetic.verify.chain import NVIDIA, require_issued, require_valid

_UNREADABLE = (ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.InvalidVersion)
_REMEMBERED = 64
# SHA-1 only ever names a certificate here; what it names is then compared by serial number and signed by its issuer.
_NAMING_HASHES = (hashes.SHA1, hashes.SHA256, hashes.SHA384, hashes.SHA512)
_SIGNING_HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OcspAnswer:
    """One answer about one certificate; nothing in it is believed.  Compared by identity.

    ``nonce`` is the one it repeats, None where it carries none.  ``responders`` are the certificates that came along.
    ``named`` is the name (in DER) by which it says who signed it, None where it says so by the digest of a key.
    """

    parsed: ocsp.OCSPResponse = field(repr=False)
    nonce: bytes | None
    named: bytes | None = field(repr=False)
    responders: tuple[Certificate, ...] = field(repr=False)


@lru_cache(_REMEMBERED)
def load_ocsp(der: bytes) -> OcspAnswer:
    """Raises Malformed on anything but one successful answer about one certificate."""
    # Everything that is used later is read here: the library reads each part only when it is asked for it.
    try:
        parsed = ocsp.load_der_ocsp_response(der)
        if parsed.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            raise Malformed(f"OCSP: the responder answered {parsed.response_status.name.lower().replace('_', ' ')}")
        extensions = list(parsed.extensions)
        # These are refused where there is not exactly one certificate that is answered about.
        _ = parsed.hash_algorithm, parsed.signature_hash_algorithm, parsed.certificate_status, parsed.serial_number
        name = None if parsed.responder_name is None else parsed.responder_name.public_bytes()
        critical = any(entry.critical for entry in (*extensions, *parsed.single_extensions))
        responders = [responder.public_bytes(serialization.Encoding.DER) for responder in parsed.certificates]
        _require_whole_bits(der, parsed.signature)
    except _UNREADABLE as error:
        raise Malformed("OCSP: not an answer that can be read") from error
    if critical:
        raise Malformed("OCSP: expected an answer without critical extensions")
    nonces = [entry.value.nonce for entry in extensions if isinstance(entry.value, x509.OCSPNonce)]
    return OcspAnswer(
        parsed=parsed,
        nonce=nonces[0] if nonces else None,
        named=name,
        responders=tuple(load_certificate(responder, "OCSP responder") for responder in responders),
    )


def is_about(answer: OcspAnswer, subject: Certificate, issuer: Certificate) -> bool:
    """Whether the answer names ``subject`` and ``issuer``: serial number, issuer's name and issuer's key (4.1.1)."""
    parsed, algorithm = answer.parsed, answer.parsed.hash_algorithm
    if not isinstance(algorithm, _NAMING_HASHES):
        return False
    named = parsed.issuer_name_hash, parsed.issuer_key_hash
    return parsed.serial_number == subject.serial_number and named == issuer_hashes(issuer, algorithm)


def issuer_hashes(issuer: Certificate, algorithm: hashes.HashAlgorithm) -> tuple[bytes, bytes]:
    """How a question and its answer name an issuer: by its name and by its key (4.1.1)."""
    return _hash(algorithm, issuer.subject), _hash(algorithm, _key_bits(issuer))


def require_good(
    answer: OcspAnswer, subject: Certificate, issuer: Certificate, now: datetime, *, nonce: bytes | None
) -> None:
    """The issuer of ``subject`` says, for ``now``, that it is not revoked.  Raises NotAuthentic with the reason."""
    # 1. It is about this certificate.  Nothing else in the answer would say so.
    if not is_about(answer, subject, issuer):
        raise NotAuthentic(f"the answer is not about {subject.common_name}")
    # 2. It answers our question, where we asked one; otherwise 3 alone bounds its age.
    if nonce is not None and not (answer.nonce is not None and hmac.compare_digest(answer.nonce, nonce)):
        raise NotAuthentic(f"the answer about {subject.common_name} repeats another nonce than ours")
    # 3. It holds now.
    first, last = answer.parsed.this_update_utc, answer.parsed.next_update_utc
    if last is None:
        raise NotAuthentic(f"the answer about {subject.common_name} does not say until when it holds")
    if not first <= now < last:
        raise NotAuthentic(
            f"the answer about {subject.common_name} holds from {first:%Y-%m-%d %H:%M} until {last:%Y-%m-%d %H:%M}"
        )
    # 4. The issuer said it, or somebody whom the issuer named for it and who may speak now.
    responder = _responder(answer, issuer)
    if responder is not None:
        require_valid(now, responder)
    _require_signed(answer, issuer, responder)
    # 5. Good is good; revoked, on hold and unknown are not.
    status = answer.parsed.certificate_status
    if status is ocsp.OCSPCertStatus.REVOKED:
        reason = answer.parsed.revocation_reason
        raise NotAuthentic(f"{subject.common_name} is revoked ({reason.value if reason else 'no reason given'})")
    if status is not ocsp.OCSPCertStatus.GOOD:
        raise NotAuthentic(f"its issuer does not know {subject.common_name}")


def _responder(answer: OcspAnswer, issuer: Certificate) -> Certificate | None:
    """The delegate that signed, by the answer's own word; None where that is the issuer itself."""
    key_hash = answer.parsed.responder_key_hash

    def is_named(certificate: Certificate) -> bool:
        if answer.named is not None:
            return certificate.subject == answer.named
        return _hash(hashes.SHA1(), _key_bits(certificate)) == key_hash  # noqa: S303

    if is_named(issuer):
        return None
    named = [entry for entry in answer.responders if is_named(entry)]
    if len(named) != 1:
        raise NotAuthentic("the answer does not come with the certificate of who signed it")
    return named[0]


@lru_cache(_REMEMBERED)
def _require_signed(answer: OcspAnswer, issuer: Certificate, responder: Certificate | None) -> None:
    """Whoever signed was entitled to.  Remembered: none of this changes with time."""
    key = issuer.public_key
    if responder is not None:
        _require_delegate(responder, issuer)
        key = responder.public_key
    algorithm = answer.parsed.signature_hash_algorithm
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(algorithm, _SIGNING_HASHES):
        raise NotAuthentic("the answer is not signed with ECDSA and a hash of at least 256 bits")
    try:
        key.verify(answer.parsed.signature, answer.parsed.tbs_response_bytes, ec.ECDSA(algorithm))
    except InvalidSignature as error:
        raise NotAuthentic("the signature over the answer is wrong") from error


def _require_delegate(responder: Certificate, issuer: Certificate) -> None:
    """``issuer`` itself named ``responder`` for answering about revocation (RFC 6960, 4.2.2.2)."""
    try:
        require_issued(responder, issuer, NVIDIA)
    except NotAuthentic as reason:
        raise NotAuthentic(f"the responder was not named by {issuer.common_name}: {reason.message}") from reason
    if ExtendedKeyUsageOID.OCSP_SIGNING.dotted_string not in extended_uses(responder):
        raise NotAuthentic("the responder is not named for answering about revocation")


def _require_whole_bits(der: bytes, signature: bytes) -> None:
    """The signature is a whole number of bytes, as in :mod:`hermetic.evidence.x509`: no signature covers that count."""
    length = len(signature) + 1
    size = (
        bytes((length,)) if length < 0x80 else bytes((0x81, length)) if length < 0x100 else b"\x82" + length.to_bytes(2)
    )
    if b"\x03" + size + b"\0" + signature not in der:
        raise ValueError("bits to ignore in a signature")


def _key_bits(certificate: Certificate) -> bytes:
    """What the specification calls the key: the content of the BIT STRING, without its header."""
    form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    return read_der(certificate.public_key.public_bytes(*form)).children()[1].whole_bits()


def _hash(algorithm: hashes.HashAlgorithm, data: bytes) -> bytes:
    digest = hashes.Hash(algorithm)
    digest.update(data)
    return digest.finalize()
