"""Evidence and endorsements in JSON: ours, and the shapes that other people's tools write.

A shape is told by the names of its members.  What others state beside the evidence (nonces, times, verdicts) is
theirs to state: nothing of it is taken over but a device's nonce, which is marked as stated.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hermetic.errors import Malformed
from hermetic.evidence._nvidia_bundle import DeviceBundle, nvat_evidence
from hermetic.evidence._recognise_wrapped import Inner, bytes_of, collection, is_collection, is_record, record
from hermetic.evidence.bundle import EvidenceBundle
from hermetic.evidence.composite import MAX_DEVICES, Composite
from hermetic.evidence.parts import (
    AttestationPart,
    CollateralPart,
    DevicePart,
    EventLogPart,
    Part,
    PlatformPart,
    Recognised,
)
from hermetic.evidence.pem import certificates_from_pem
from hermetic.wire import parse_json, unhex

_COLLATERAL = ("tcb_info", "tcb_info_signature", "qe_identity", "qe_identity_signature")


def recognise_json(data: bytes, inner: Inner, *, limit: int) -> Recognised | None:
    """What one JSON value is; None where it is nothing known.  Raises Malformed where it is not JSON.

    ``inner`` recognises what is wrapped in it.
    """
    value = parse_json(data, what="evidence", limit=limit)
    if isinstance(value, list):
        return _recognise_list(value, inner)
    if isinstance(value, dict):
        if is_collection(value):  # first, for its labels are of its maker's choosing
            return collection(value, inner)
        for names, read in _SHAPES:
            if names <= value.keys():
                return read(value, data, inner)
    return None


def _recognise_list(value: list[Any], inner: Inner) -> Recognised | None:
    if is_record(value):
        return record(value, inner)
    if value and isinstance(value[0], list) and value[0][:1] == ["JWT"]:
        return Recognised.foreign("a result of NVIDIA's attestation service (not evidence)")
    if value and all(isinstance(entry, dict) and "arch" in entry for entry in value):
        parts = (DevicePart(bundle=entry.bundle, nonce=entry.nonce) for entry in nvat_evidence(value))
        return Recognised(form="NVIDIA evidence as its tools write it (NVAT)", parts=tuple(parts))
    return None


def _bundle(value: dict[str, Any], *_: object) -> Recognised:
    bundle = EvidenceBundle.from_json(value)
    return Recognised.of(f"an evidence bundle ({bundle.tee})", PlatformPart(bundle=bundle))


def _device(value: dict[str, Any], *_: object) -> Recognised:
    return Recognised.of("a device's evidence bundle", DevicePart(bundle=DeviceBundle.from_json(value)))


def _versioned(value: dict[str, Any], data: bytes, _: Inner) -> Recognised | None:
    if value["version"] == "hermetic.attestation.v1":
        return Recognised.of("an attestation report", AttestationPart(document=data))
    if value["version"] != "hermetic.evidence.v1":
        return None
    composite = Composite.from_json(value)
    platform = () if composite.platform is None else (PlatformPart(bundle=composite.platform),)
    devices = tuple(DevicePart(bundle=bundle) for bundle in composite.devices)
    return Recognised(form="evidence of one machine", parts=(*platform, *devices))


def _dstack(value: dict[str, Any], _: bytes, inner: Inner) -> Recognised:
    """The quote in hex, the log as JSON in a string (or as it is)."""
    found = inner(unhex(str(value["quote"]).removeprefix("0x"), what="quote"))
    log = value["event_log"]
    if not isinstance(log, str):
        raise Malformed("dstack evidence: expected the event log as JSON in a string")
    return Recognised(
        form="a quote and its event log as dstack writes them",
        parts=(*found.parts, EventLogPart(name="dstack", log=log.encode("utf-8"))),
    )


def _trustee_quote(value: dict[str, Any], _: bytes, inner: Inner) -> Recognised:
    found = inner(bytes_of(value["quote"], what="quote"))
    logs: list[Part] = []
    if isinstance(log := value.get("cc_eventlog"), str) and log:
        logs.append(EventLogPart(name="ccel", log=bytes_of(log, what="cc_eventlog")))
    return Recognised(form="a quote as Confidential Containers write it", parts=(*found.parts, *logs))


def _trustee_snp(value: dict[str, Any], _: bytes, inner: Inner) -> Recognised:
    """Its report is field by field, and its fields have changed with versions: not the bytes that were signed."""
    if isinstance(report := value["attestation_report"], str):
        return inner(bytes_of(report, what="attestation_report"))
    return Recognised.foreign("a SEV-SNP report field by field, as Confidential Containers write it")


def _trustee_devices(value: dict[str, Any], *_: object) -> Recognised:
    entries = value["device_evidence_list"]
    if not isinstance(entries, list) or not 1 <= len(entries) <= MAX_DEVICES:
        raise Malformed(f"device evidence: expected a list of 1 to {MAX_DEVICES}")
    return Recognised(
        form="NVIDIA evidence as Confidential Containers write it",
        parts=tuple(_trustee_device(entry) for entry in entries),
    )


def _trustee_device(entry: object) -> Part:
    if not isinstance(entry, dict):
        raise Malformed("device evidence: expected objects")
    chain = certificates_from_pem(bytes_of(entry.get("certificate"), what="certificate"))
    return DevicePart(
        bundle=DeviceBundle(evidence=bytes_of(entry.get("evidence"), what="evidence"), certificates=chain)
    )


def _trustee_composite(value: dict[str, Any], _: bytes, inner: Inner) -> Recognised:
    """``primary_evidence`` of the platform; ``additional_evidence``: JSON in a string, an entry a kind of device."""
    from hermetic.wire import canonical

    found = [inner(canonical(value["primary_evidence"]))]
    additional = value.get("additional_evidence") or "{}"
    entries = parse_json(additional, what="additional_evidence") if isinstance(additional, str) else additional
    if not isinstance(entries, dict):
        raise Malformed("additional_evidence: expected an object")
    found += [inner(canonical(entry)) for entry in entries.values()]
    return Recognised(
        form="evidence of several attesters as Confidential Containers write it",
        parts=tuple(part for each in found for part in each.parts),
    )


def _trustee_request(value: dict[str, Any], _: bytes, inner: Inner) -> Recognised:
    from hermetic.wire import canonical

    return inner(canonical(value["tee-evidence"]))


def _azure_container(value: dict[str, Any], _: bytes, inner: Inner) -> Recognised | None:
    report = value["report"]
    if not isinstance(report, dict):
        return Recognised.foreign("an Azure attestation request")
    if not isinstance(container := report.get("snpCACI"), dict):
        return Recognised.foreign("Azure confidential VM evidence") if "snpCvm" in report else None
    found = inner(bytes_of(container.get("attestation"), what="attestation"))
    chain = inner(bytes_of(container.get("platformCertificates"), what="platformCertificates"))
    return Recognised(form="evidence of an Azure confidential container", parts=(*found.parts, *chain.parts))


def _collateral(value: dict[str, Any], *_: object) -> Recognised | None:
    given = value.get("collateral", value)
    if not isinstance(given, dict) or not all(isinstance(given.get(name), str) for name in _COLLATERAL):
        return None
    answer = '{{"{}":{},"signature":"{}"}}'
    endorsements = {
        "tcb_info": answer.format("tcbInfo", given["tcb_info"], given["tcb_info_signature"]).encode(),
        "qe_identity": answer.format("enclaveIdentity", given["qe_identity"], given["qe_identity_signature"]).encode(),
    }
    for name, theirs in (("root_crl", "root_ca_crl"), ("pck_crl", "pck_crl")):
        if theirs in given:
            endorsements[name] = unhex(given[theirs], what=theirs)
    for name in ("tcb_info", "qe_identity", "pck_crl"):
        if isinstance(chain := given.get(f"{name}_issuer_chain"), str):
            endorsements[f"{name}_chain"] = chain.encode()
    return Recognised.of("Intel's collateral as dcap-qvl writes it", CollateralPart(endorsements=endorsements))


def _answer(name: str, what: str) -> Callable[..., Recognised]:
    """One whole answer of Intel's service: the exact bytes are kept, for they are what was signed."""

    def read(_: dict[str, Any], data: bytes, __: Inner) -> Recognised:
        return Recognised.of(what, CollateralPart(endorsements={name: data.strip()}))

    return read


def _foreign(kind: str) -> Callable[..., Recognised]:
    return lambda *_: Recognised.foreign(kind)


# The first whose members are all there decides.
_SHAPES: tuple[tuple[frozenset[str], Callable[..., Recognised | None]], ...] = tuple(
    (frozenset(names.split()), read)
    for names, read in (
        ("tee evidence endorsements", _bundle),
        ("device evidence certificates", _device),
        ("quote event_log", _dstack),
        ("device_evidence_list", _trustee_devices),
        ("attestation_report", _trustee_snp),
        ("primary_evidence", _trustee_composite),
        ("tee-evidence", _trustee_request),
        ("hcl_report", _foreign("Azure vTPM evidence")),
        ("report quote", _foreign("Azure vTPM evidence")),
        ("report", _azure_container),
        ("tpm_quote", _foreign("TPM evidence")),
        ("quote", _trustee_quote),
        ("collateral", _collateral),
        (" ".join(_COLLATERAL), _collateral),
        ("tcbInfo signature", _answer("tcb_info", "TCB info of Intel's")),
        ("enclaveIdentity signature", _answer("qe_identity", "a QE identity of Intel's")),
        ("version", _versioned),
    )
)
