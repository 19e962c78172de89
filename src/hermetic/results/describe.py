"""What evidence and endorsements say, for looking at: nothing here is verified, and nothing of it is a claim."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

from hermetic.errors import Malformed
from hermetic.evidence import (
    SEV_SNP,
    DstackLog,
    EventLog,
    EvidenceBundle,
    Product,
    Recognised,
    SgxQuote,
    SnpReport,
    parse_evidence,
)
from hermetic.evidence.nvidia import DeviceBundle, NvidiaReport
from hermetic.evidence.parts import (
    AttestationPart,
    CertificatesPart,
    CollateralPart,
    DevicePart,
    DeviceReportPart,
    EventLogPart,
    ForeignPart,
    ManifestPart,
    Part,
    PlatformPart,
    RevocationPart,
)
from hermetic.evidence.pem import certificates_from_pem
from hermetic.evidence.x509 import load_certificate, load_crl, name_in_words
from hermetic.identity import AttestationReport
from hermetic.results._device_claims import nvidia_fields
from hermetic.results._platform_claims import sgx_fields, snp_fields, tdx_fields
from hermetic.verify.intel_collateral import load_qe_identity, load_tcb_info
from hermetic.wire import sha256_digest

__all__ = ["describe"]

Fields = dict[str, Any]
Described = TypeVar("Described")


def describe(found: Recognised) -> Fields:
    """``{"form", "verified": False, "parts": [{"what", "fields", "endorsements"}]}``, of what JSON can hold.

    Raises Malformed where a part has the shape of something that then cannot be read.
    """
    return {"form": found.form, "verified": False, "parts": [one for part in found.parts for one in _describe(part)]}


def _describe(part: Part) -> list[Fields]:
    if isinstance(part, PlatformPart):
        return [_platform(part.bundle)]
    if isinstance(part, DevicePart):
        return [_device(part.bundle, part.nonce)]
    if isinstance(part, DeviceReportPart):
        return [_part("report of an NVIDIA device", _report(part.report))]
    if isinstance(part, CertificatesPart):
        return [_part("certificate", _certificate(der)) for der in part.certificates]
    if isinstance(part, AttestationPart):
        return _attestation(AttestationReport.from_bytes(part.document))
    return [_endorsement(part)]


def _endorsement(part: Part) -> Fields:
    if isinstance(part, RevocationPart):
        return _part("OCSP response" if part.ocsp else "revocation list", {} if part.ocsp else _list(part.der))
    if isinstance(part, ManifestPart):
        fields = {"product": part.product, "version": part.version, "digest": sha256_digest(part.document)}
        return _part("reference integrity manifest", fields)
    if isinstance(part, CollateralPart):
        return _part("Intel's collateral", _intel(part.endorsements))
    if isinstance(part, EventLogPart):
        return _part(f"event log ({part.name})", _log(part.name, part.log))
    assert isinstance(part, ForeignPart)  # noqa: S101 - the last kind there is
    return _part(f"{part.kind}: recognised, not verified by this version", {})


def _attestation(report: AttestationReport) -> list[Fields]:
    binding, launch, keyset = report.binding, report.launch, report.keyset
    fields = {
        "purpose": str(binding.purpose),
        "service": launch.service,
        "nonce": binding.nonce.hex(),
        "report-data it must carry": binding.report_data().hex(),
        "launch-digest": binding.launch_digest,
        "keyset-digest": binding.keyset_digest,
        "context-digest": binding.context_digest,
        "devices-digest": binding.devices_digest,
        "program-digest": launch.program_digest,
        "config-digest": launch.config_digest,
        "argv": list(launch.argv),
        "models": [f"{model.name} {model.manifest_digest}" for model in launch.models],
        "keys": [f"{key.algo} {key.key_id}" for key in (*keyset.receipt_signing_keys, *keyset.e2ee_public_keys)],
        "keys-expire": _when(keyset.expires()),
    }
    devices = [_device(bundle, None) for bundle in report.devices]
    return [_part("attestation report", fields), _platform(report.evidence), *devices]


def _platform(bundle: EvidenceBundle) -> Fields:
    parsed = parse_evidence(bundle)
    if isinstance(parsed, SnpReport):
        fields = snp_fields(parsed) | _tcbs(parsed)
        what = "SEV-SNP attestation report"
    elif isinstance(parsed, SgxQuote):
        fields, what = sgx_fields(parsed), "DCAP quote of an SGX enclave"
    else:
        fields, what = tdx_fields(parsed), "DCAP quote of a TDX trust domain"
    endorsements = _snp_endorsements(bundle) if bundle.tee == SEV_SNP else _intel(bundle.endorsements)
    logs = {f"event log ({name})": _log(name, log) for name, log in bundle.event_logs.items()}
    return _part(what, _plain(fields), endorsements | logs)


def _tcbs(report: SnpReport) -> Fields:
    """By the product that the report's own CPUID names; as bytes where it names none."""
    product = None if report.cpuid is None else Product.from_cpuid(report.cpuid.family, report.cpuid.model)
    named = {name: getattr(report, f"{name}_tcb") for name in ("reported", "committed", "current", "launch")}
    return {
        f"tcb.{name}": tcb.raw.hex() if product is None else str(tcb.decode(product)) for name, tcb in named.items()
    } | {"chip-id": report.chip_id.hex()}


def _snp_endorsements(bundle: EvidenceBundle) -> Fields:
    return {name: _list(der) if name == "crl" else _certificate(der) for name, der in bundle.endorsements.items()}


def _device(bundle: DeviceBundle, stated: bytes | None) -> Fields:
    chain = {f"certificate {number}": _certificate(der) for number, der in enumerate(bundle.certificates)}
    manifests = {f"manifest {name}": sha256_digest(document) for name, document in bundle.rims.items()}
    fields = _report(bundle.evidence)
    if stated is not None:
        fields["nonce that the file says was asked"] = stated.hex()
    counts = {"OCSP responses": len(bundle.ocsp), "revocation lists": len(bundle.crls)}
    return _part("evidence of an NVIDIA device", fields, chain | manifests | counts)


def _report(raw: bytes) -> Fields:
    report = NvidiaReport.from_bytes(raw)
    return {"nonce": report.nonce.hex()} | _plain(nvidia_fields(report))


def _intel(endorsements: Any) -> Fields:
    """Intel's documents by their dates and what they are for; chains and lists likewise."""
    described: Fields = {}
    for name, value in endorsements.items():
        if name == "tcb_info":
            described[name] = _readable(partial(_tcb_info, value))
        elif name == "qe_identity":
            described[name] = _readable(partial(_qe_identity, value))
        elif name.endswith("_chain"):
            described[name] = _readable(partial(_subjects, value))
        else:
            described[name] = _list(value)
    return described


def _subjects(pem: bytes) -> list[str]:
    return [name_in_words(load_certificate(der, "certificate").subject) for der in certificates_from_pem(pem)]


def _tcb_info(value: bytes) -> Fields:
    return _dated(load_tcb_info(value).value, "id", "fmspc", "pce_id")


def _qe_identity(value: bytes) -> Fields:
    return _dated(load_qe_identity(value).value, "id", "mrsigner")


def _dated(document: Any, *names: str) -> Fields:
    return {
        **{name: getattr(document, name) for name in names},
        "evaluation": document.tcb_evaluation_data_number,
        "levels": len(document.tcb_levels),
        "issued": _when(document.issue_date),
        "next-update": _when(document.next_update),
    }


def _readable(read: Callable[[], Described]) -> Described | Fields:
    """An endorsement that this version cannot read is said to be one, and hides nothing else."""
    try:
        return read()
    except Malformed as error:
        return {"cannot be read": error.message}


def _certificate(der: bytes) -> Fields:
    return _readable(partial(_certificate_fields, der))


def _certificate_fields(der: bytes) -> Fields:
    certificate = load_certificate(der, "certificate")
    return {
        "subject": name_in_words(certificate.subject),
        "issuer": name_in_words(certificate.issuer),
        "serial": f"{certificate.serial_number:x}",
        "valid": f"{_when(certificate.not_before)} to {_when(certificate.not_after)}",
        "digest": certificate.digest,
    }


def _list(der: bytes) -> Fields:
    return _readable(partial(_list_fields, der))


def _list_fields(der: bytes) -> Fields:
    crl = load_crl(der)
    until = crl.next_update
    return {
        "issuer": name_in_words(crl.issuer),
        "holds": f"{_when(crl.this_update)} to {'no end stated' if until is None else _when(until)}",
        "revoked": [f"{number:x}" for number in sorted(crl.revoked)],
    }


def _log(name: str, log: bytes) -> Fields:
    if name == "ccel":
        return _readable(lambda: {"events": len(EventLog.from_ccel(log).events)})
    return _readable(
        lambda: {"events": [event.name or f"type 0x{event.type:x}" for event in DstackLog.from_bytes(log).events]}
    )


def _when(time: datetime) -> str:
    return f"{time:%Y-%m-%dT%H:%M:%SZ}"


def _part(what: str, fields: Fields, endorsements: Fields | None = None) -> Fields:
    return {"what": what, "fields": fields, "endorsements": endorsements or {}}


def _plain(fields: dict[str, Any]) -> Fields:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()}
