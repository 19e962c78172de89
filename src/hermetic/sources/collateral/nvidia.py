"""What NVIDIA's services are asked for a device: its manifests, and who of the signers was revoked.

    GET  {rim}/v1/rim/{name}   a manifest in JSON: its name, base64 of the document, SHA-256 of that
    POST {ocsp}                an OCSP request (RFC 6960) about one certificate, with or without a nonce (RFC 9654)

Which manifests is what the device's report says, in the part that it signs; whether it did is checked later, by
:mod:`hermetic.verify.nvidia`.  Until then a name is a word of letters, digits and dots, and no more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from itertools import pairwise

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from hermetic.errors import Malformed, Unavailable
from hermetic.evidence.nvidia import DeviceBundle, NvidiaReport
from hermetic.evidence.x509 import Certificate, load_certificate, load_crl
from hermetic.sources.collateral.question import Answer, Kind, Parts, Period, Question, Request
from hermetic.sources.collateral.reading import certificate_period, crl_holds, ocsp_period
from hermetic.sources.collateral.services import Services
from hermetic.sources.collateral.supply import Wanted
from hermetic.verify.nvidia import model_of, rim_names
from hermetic.verify.ocsp import is_about, issuer_hashes, load_ocsp
from hermetic.verify.rim import read_rim
from hermetic.wire import b64decode, parse_object, sha256

__all__ = ["manifests_wanted", "statuses_wanted", "without_outdated"]

_RIM, _RIM_JSON, _STATUS = 262144, 400000, 65536
_CHAIN = 5


def manifests_wanted(bundle: DeviceBundle, services: Services) -> tuple[Wanted, ...]:
    """The manifests that the report names.  Raises Malformed, and NotAuthentic for a device that is not known."""
    report = NvidiaReport.from_bytes(bundle.evidence)
    model = model_of(_device_chain(bundle))
    names = rim_names(model, report)
    versions = {names.firmware: report.opaque.firmware_version}
    if names.driver is not None:
        versions[names.driver] = report.opaque.driver_version or ""
    return tuple(
        Wanted.among(_manifest(name, model.product, version, services), bundle.rims)
        for name, version in sorted(versions.items())
    )


def without_outdated(bundle: DeviceBundle, now: datetime, *, nonce: bytes | None) -> DeviceBundle:
    """``bundle`` without what would be refused at ``now``, even beside something better: lists and answers.

    With a ``nonce``, answers to nobody's question are left out too.
    """
    return replace(
        bundle,
        crls=tuple(crl for crl in bundle.crls if crl_holds(crl, now)),
        ocsp=() if nonce is not None else tuple(der for der in bundle.ocsp if _answer_holds(der, now)),
    )


def statuses_wanted(
    bundle: DeviceBundle,
    rims: Mapping[str, bytes],
    services: Services,
    *,
    lists: tuple[bytes, ...] = (),
    nonce: bytes | None = None,
) -> tuple[Wanted, ...]:
    """An answer about each certificate that could be revoked: the device's three, and the signers' of ``rims``.

    What one of ``lists`` speaks of is known already, unless there is a ``nonce``: then only answers that repeat it
    count, and none is kept.
    """
    pairs = set(pairwise(bundle.certificates[1:]))
    for document in rims.values():
        pairs |= set(pairwise(read_rim(document)[1]))
    listed = {load_crl(crl).issuer for crl in lists} if nonce is None else set()
    came = tuple({"ocsp": der} for der in bundle.ocsp)
    return tuple(
        Wanted(question=_status(subject, issuer, services, nonce), came=came)
        for subject, issuer in sorted(pairs)
        if load_certificate(issuer, "certificate").subject not in listed
    )


def _device_chain(bundle: DeviceBundle) -> tuple[Certificate, ...]:
    if len(bundle.certificates) != _CHAIN:
        raise Malformed(f"a device's chain has {_CHAIN} certificates, not {len(bundle.certificates)}")
    return tuple(load_certificate(der, "device certificate") for der in bundle.certificates)


def _manifest(name: str, product: str, version: str, services: Services) -> Question:
    return Question(
        what=f"NVIDIA's manifest {name}",
        names={name: Kind.RIM},
        request=Request(url=f"{services.rim}/v1/rim/{name}", largest=_RIM_JSON),
        parts=partial(_manifest_parts, name=name),
        periods={name: partial(_manifest_period, product=product, version=version)},
    )


def _manifest_parts(answer: Answer, *, name: str) -> Parts:
    stated = parse_object(answer.content, what="manifest", limit=_RIM_JSON)
    if stated.get("id") != name:
        raise Malformed("it is called otherwise")
    document = b64decode(stated.get("rim"), what="manifest")
    if stated.get("sha256") != sha256(document).hex():
        raise Malformed("it is not the document that its digest names")
    if len(document) > _RIM:
        raise Malformed(f"a manifest of more than {_RIM} bytes")
    return {name: document}


def _manifest_period(document: bytes, *, product: str, version: str) -> Period:
    """When its signer and the authorities are valid.  NVIDIA serves some manifests under another generation's name."""
    manifest, chain = read_rim(document)
    if (manifest.product, manifest.version) != (product, version):
        raise Malformed(f"it is for {manifest.product} {manifest.version}, not for {product} {version}")
    return certificate_period(*(load_certificate(der, "manifest signer") for der in chain))


def _status(subject: bytes, issuer: bytes, services: Services, nonce: bytes | None) -> Question:
    pair = load_certificate(subject, "certificate"), load_certificate(issuer, "certificate")
    return Question(
        what=f"an OCSP answer about {pair[0].common_name}, {pair[0].digest[:19]}…",
        names={"ocsp": Kind.OCSP},
        request=Request(
            url=services.ocsp,
            largest=_STATUS,
            body=_ocsp_request(*pair, nonce),
            media_type="application/ocsp-request",
        ),
        parts=_status_parts,
        periods={"ocsp": partial(_status_period, subject=pair[0], issuer=pair[1], nonce=nonce)},
        kept=nonce is None,
    )


def _ocsp_request(subject: Certificate, issuer: Certificate, nonce: bytes | None) -> bytes:
    algorithm = hashes.SHA384()
    builder = ocsp.OCSPRequestBuilder().add_certificate_by_hash(
        *issuer_hashes(issuer, algorithm), subject.serial_number, algorithm
    )
    if nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    return builder.build().public_bytes(Encoding.DER)


def _status_parts(answer: Answer) -> Parts:
    try:
        status = ocsp.load_der_ocsp_response(answer.content).response_status
    except ValueError as error:
        raise Malformed("not an OCSP answer") from error
    if status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
        raise Unavailable(f"the OCSP responder answers {status.name.lower().replace('_', ' ')}")
    return {"ocsp": answer.content}


def _answer_holds(der: bytes, now: datetime) -> bool:
    try:
        return ocsp_period(der).covers(now)
    except Malformed:
        return False


def _status_period(der: bytes, *, subject: Certificate, issuer: Certificate, nonce: bytes | None) -> Period:
    """When it holds, whatever it says: that somebody *is* revoked is an answer too, and verification will hear it."""
    answer = load_ocsp(der)
    if not is_about(answer, subject, issuer):
        raise Malformed(f"an answer that is not about {subject.common_name}")
    if nonce is not None and answer.nonce != nonce:
        raise Malformed("an answer to another question: it repeats another nonce")
    return ocsp_period(der)
