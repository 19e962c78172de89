"""What is this file?  Told by its content alone, and believed in nothing.

    recognise(bytes) → Recognised (a form in words, and parts) → assemble → what a verifier takes

A file may hold evidence, endorsements, or both; it may wrap another.  Whatever the shape, only the verifiers decide
whether it is authentic.  The name of a file and the media type on a wrapper are never looked at: nobody signed them.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from hermetic.errors import Malformed
from hermetic.evidence._dcap_enclave import ENCLAVE_REPORT_LENGTH
from hermetic.evidence._dcap_header import HEADER_LENGTH, INTEL_QE, SGX_TEE, TDX_TEE
from hermetic.evidence._dcap_td import TD10_LENGTH
from hermetic.evidence._nvidia_report import NvidiaReport
from hermetic.evidence._protobuf import recognise_protobuf
from hermetic.evidence._recognise_cbor import recognise_cbor
from hermetic.evidence._recognise_json import recognise_json
from hermetic.evidence._recognise_wrapped import bytes_of
from hermetic.evidence._recognise_x509 import recognise_der, recognise_pem
from hermetic.evidence.bundle import SEV_SNP, SGX, TDX, EvidenceBundle
from hermetic.evidence.parts import (
    DeviceReportPart,
    EventLogPart,
    ManifestPart,
    PlatformPart,
    Recognised,
)
from hermetic.evidence.sgx import SgxQuote
from hermetic.evidence.snp import REPORT_LENGTH, SnpReport
from hermetic.evidence.tdx import TdxQuote

__all__ = ["FORMS", "MAX_FILE", "recognise"]

MAX_FILE = 8 * 1024 * 1024
"""Bytes.  An attestation of a machine with eight GPUs and all its manifests takes about one."""

FORMS = (
    "SEV-SNP reports (raw)",
    "TDX and SGX quotes (raw)",
    "NVIDIA reports (raw or hex) with their chains and manifests",
    "evidence bundles and attestation reports of Hermetic",
    "NVAT JSON",
    "dstack JSON",
    "evidence of Confidential Containers",
    "CMW in JSON and CBOR",
    "certificates, revocation lists and OCSP responses",
    "Intel collateral",
    "CCEL event logs",
)
"""What is recognised and of use, in words."""

_DEPTH = 4
_QUOTES: dict[int, tuple[str, Callable[[bytes], object]]] = {
    TDX_TEE: (TDX, TdxQuote.from_bytes),
    SGX_TEE: (SGX, SgxQuote.from_bytes),
}
_BODY_LENGTH = {TDX_TEE: TD10_LENGTH, SGX_TEE: ENCLAVE_REPORT_LENGTH}
_SPDM_REQUEST = bytes((0x11, 0xE0, 0x01, 0xFF))
_CCEL = b"Spec ID Event03\0"
_HEX = re.compile(rb"\s*(?:0x)?((?:[0-9a-fA-F]{2})+)\s*")
_BASE64 = re.compile(rb"\s*[A-Za-z0-9+/_-]{64,}={0,2}\s*")
_JWT = re.compile(rb"\s*eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*\s*")
_MANIFEST = re.compile(
    rb'<(?:\w+:)?Meta\b(?=[^<>]*?\sproduct="([A-Za-z0-9_.-]{1,40})")(?=[^<>]*?\scolloquialVersion="([A-Za-z0-9.]{1,40})")'
)


def recognise(data: bytes) -> Recognised:
    """What ``data`` is, by content.

    Raises Malformed where it is nothing known (the message lists what is), where it is larger than MAX_FILE, and where
    it has the beginning of something known and cannot be read as that.
    """
    return _recognise(data, _DEPTH)


def _recognise(data: bytes, depth: int) -> Recognised:
    if len(data) > MAX_FILE:
        raise Malformed(f"evidence: a file of {len(data)} bytes; at most {MAX_FILE} are read")
    if depth == 0:
        raise Malformed("evidence: wrapped too many times")

    def inner(wrapped: bytes) -> Recognised:
        return _recognise(wrapped, depth - 1)

    for looks_like, read in _BINARY:
        if looks_like(data):
            return read(data)
    found = _recognise_text(data, inner) if _is_text(data) else _recognise_binary(data, inner)
    if found is None:
        raise Malformed(
            "evidence: not a form that this version knows",
            code="evidence.unknown",
            fix=f"it knows {', '.join(FORMS)}",
        )
    return found


def _recognise_text(data: bytes, inner: Callable[[bytes], Recognised]) -> Recognised | None:
    stripped = data.strip()
    if stripped[:1] in (b"{", b"["):
        return recognise_json(stripped, inner, limit=MAX_FILE)
    if b"-----BEGIN " in data:
        return recognise_pem(data)
    if stripped[:1] == b"<":
        return _manifest(data)
    return _recognise_encoded(data, inner)


def _recognise_encoded(data: bytes, inner: Callable[[bytes], Recognised]) -> Recognised | None:
    """Binary forms in hex or base64."""
    if digits := _HEX.fullmatch(data):
        return inner(bytes.fromhex(digits[1].decode("ascii")))
    if _JWT.fullmatch(data):
        return Recognised.foreign("a JSON Web Token (a result, not evidence)")
    if _BASE64.fullmatch(data):
        return inner(bytes_of(data.strip().decode("ascii"), what="evidence"))
    return None


def _recognise_binary(data: bytes, inner: Callable[[bytes], Recognised]) -> Recognised | None:
    if data[:1] == b"\x30":
        return recognise_der(data)
    if (found := recognise_protobuf(data)) is not None:
        return found
    try:
        return recognise_cbor(data, inner)
    except Malformed as error:
        if error.message.startswith("CBOR:"):
            return None  # bytes that merely could have begun an item
        raise


def _is_text(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return b"\0" not in data


def _manifest(data: bytes) -> Recognised | None:
    """By the attributes of its head, for finding the device that it is for: verification reads it properly."""
    if b"SoftwareIdentity" not in data[:4096] or (meta := _MANIFEST.search(data[:65536])) is None:
        return None
    product, version = meta[1].decode("ascii"), meta[2].decode("ascii")
    return Recognised.of(
        f"a reference integrity manifest for {product} {version}",
        ManifestPart(document=data, product=product, version=version),
    )


def _snp(data: bytes) -> Recognised:
    SnpReport.from_bytes(data)
    bundle = EvidenceBundle(tee=SEV_SNP, evidence=data, endorsements={})
    return Recognised.of("a SEV-SNP attestation report", PlatformPart(bundle=bundle))


def _looks_like_snp(data: bytes) -> bool:
    """The size of one, with a small version and ECDSA P-384 where they stand."""
    return len(data) == REPORT_LENGTH and data[1:4] == bytes(3) and data[0x34:0x38] == b"\1\0\0\0"


def _quote(data: bytes) -> Recognised:
    tee_type = int.from_bytes(data[4:8], "little")
    if tee_type not in _QUOTES:
        raise Malformed(f"quote: TEE type 0x{tee_type:x} is neither SGX nor TDX")
    tee, parse = _QUOTES[tee_type]
    exact = _without_padding(data, tee_type)
    parse(exact)
    bundle = EvidenceBundle(tee=tee, evidence=exact, endorsements={})
    padding = f", without the {len(data) - len(exact)} zeros behind it" if len(exact) != len(data) else ""
    return Recognised.of(f"a DCAP quote of {tee.upper()}{padding}", PlatformPart(bundle=bundle))


def _without_padding(data: bytes, tee_type: int) -> bytes:
    """The quote as long as it says it is, where nothing but zeros follows: some hosts pad quotes to a fixed size.

    The verifiers take no byte more; anything but zeros is left for them to refuse.
    """
    version = int.from_bytes(data[:2], "little")
    body = int.from_bytes(data[50:54], "little") + 6 if version == 5 else _BODY_LENGTH[tee_type]
    at = HEADER_LENGTH + body
    end = at + 4 + int.from_bytes(data[at : at + 4], "little")
    return data if any(data[end:]) else data[:end]


def _looks_like_quote(data: bytes) -> bool:
    return data[12:28] == INTEL_QE


def _nvidia(data: bytes) -> Recognised:
    NvidiaReport.from_bytes(data)
    return Recognised.of("a report of an NVIDIA device, without its chain", DeviceReportPart(report=data))


def _ccel(data: bytes) -> Recognised:
    return Recognised.of("an event log as firmware keeps it (TCG; CCEL on TDX)", EventLogPart(name="ccel", log=data))


# By what stands at fixed places; the first that fits decides, and what then cannot be read is refused as that.
_BINARY: tuple[tuple[Callable[[bytes], bool], Callable[[bytes], Recognised]], ...] = (
    (_looks_like_snp, _snp),
    (_looks_like_quote, _quote),
    (lambda data: data.startswith(_SPDM_REQUEST), _nvidia),
    (lambda data: data[32:48] == _CCEL, _ccel),
    (lambda data: data.startswith(b"HCLA"), lambda _: Recognised.foreign("an Azure HCL report")),
    (lambda data: data.startswith(b"\xffTCG"), lambda _: Recognised.foreign("a TPM quote")),
)
