"""What the simulated NVIDIA says of revocation: OCSP answers (RFC 6960), by the issuer itself or by a delegate."""

from __future__ import annotations

from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from hermetic.sources.simulator.nvidia_pki import Issued, NvidiaCertificate


def answer(
    subject: Issued,
    issuer: Issued,
    *,
    first: datetime,
    last: datetime | None,
    status: ocsp.OCSPCertStatus = ocsp.OCSPCertStatus.GOOD,
    responder: Issued | None = None,
    attached: tuple[Issued, ...] | None = None,
    nonce: bytes | None = None,
    naming: hashes.HashAlgorithm | None = None,
    by_name: bool = False,
) -> bytes:
    """What ``issuer``, or a ``responder`` of its, says about ``subject``, in DER.

    The responder's certificate comes along unless others are ``attached``.  ``naming`` is the hash that names subject
    and issuer, ``by_name`` has the signer named by its name instead of its key.
    """
    revoked = status is ocsp.OCSPCertStatus.REVOKED
    speaker = responder or issuer
    encoding = ocsp.OCSPResponderEncoding.NAME if by_name else ocsp.OCSPResponderEncoding.HASH
    builder = (
        ocsp.OCSPResponseBuilder()
        .add_response(
            cert=subject.certificate,
            issuer=issuer.certificate,
            algorithm=naming or hashes.SHA1(),  # noqa: S303 - only names a certificate
            cert_status=status,
            this_update=first,
            next_update=last,
            revocation_time=first if revoked else None,
            revocation_reason=x509.ReasonFlags.certificate_hold if revoked else None,
        )
        .responder_id(encoding, speaker.certificate)
    )
    along = attached if attached is not None else () if responder is None else (responder,)
    if along:
        builder = builder.certificates([entry.certificate for entry in along])
    if nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    return builder.sign(speaker.key, hashes.SHA384()).public_bytes(serialization.Encoding.DER)


def responder_template(issuer: Issued, *, first: datetime, last: datetime) -> NvidiaCertificate:
    """Of a delegate that answers for ``issuer``, and does nothing else."""
    return NvidiaCertificate(
        name=f"{issuer.common_name} OCSP",
        serial=900,
        first=first,
        last=last,
        ca=None,
        usage=("digital_signature",),
        extended=(ExtendedKeyUsageOID.OCSP_SIGNING,),
    )
