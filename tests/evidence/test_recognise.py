"""Files are told by their content: every recorded form, every wrapper, and nothing else."""

from __future__ import annotations

import base64
import contextlib
import json
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import cbor2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

import hostile_support as hostile
from attested_support import report as attestation_report
from hermetic.errors import Malformed
from hermetic.evidence import SEV_SNP, SGX, TDX, Composite, EvidenceBundle, Recognised, recognise
from hermetic.evidence._cbor import Pairs, Tagged, decode
from hermetic.evidence.parts import (
    AttestationPart,
    CertificatesPart,
    CollateralPart,
    DevicePart,
    DeviceReportPart,
    EventLogPart,
    ForeignPart,
    ManifestPart,
    PlatformPart,
    RevocationPart,
)
from hermetic.evidence.recognise import MAX_FILE
from hermetic.wire import canonical
from intel_support import bundle_of, endorsements_of
from nvidia_forge import all_good
from nvidia_support import recorded
from snp_support import issue
from vectors import ROOT, needs_vectors

RECORDED = ROOT / "attestation"
COS = "tdx/v4-00806f050000-go-tdx-guest-00b252"
SWITCH = "nvidia/nvswitch-ls10-full"
HOPPER = "nvidia/hopper-545.00-full"

# What every recorded form is, by one file of it: the kinds of its parts.
KNOWN = {
    "sev-snp/genoa-v5-vcek-oak-6d1cef/report.bin": [PlatformPart],
    "sev-snp/milan-v3-vlek-trustee-decdab/report.bin": [PlatformPart],
    "sev-snp/genoa-v5-vcek-oak-6d1cef/vcek.der": [CertificatesPart],
    f"{COS}/quote.bin": [PlatformPart],
    f"{COS}/collateral-2025-11-04-UpToDate.json": [CollateralPart],
    "tdx/v5-90c06f000000-go-tdx-guest-cf77a6/quote.bin": [PlatformPart],
    "tdx/intel-qvl-synthetic/tcbInfo.json": [CollateralPart],
    "tdx/intel-qvl-synthetic/qeIdentity.json": [CollateralPart],
    "tdx/intel-qvl-synthetic/rootCaCrl.der": [RevocationPart],
    "sgx/v3-00606a000000-trustee-77bcbd/quote.bin": [PlatformPart],
    "sgx/intel-qvl-synthetic/rootCaCrl.pem": [RevocationPart],
    f"{HOPPER}/report.hex": [DeviceReportPart],
    f"{HOPPER}/chain.pem": [CertificatesPart],
    f"{HOPPER}/driver_rim.swidtag": [ManifestPart],
    f"{SWITCH}/bios_rim.xml": [ManifestPart],
    "nvidia/json/hopper_evidence.json": [DevicePart],
    "nvidia/json/switch_evidence_ls10.json": [DevicePart],
    "tdx-eventlogs/dstack-quote-report.json": [PlatformPart, EventLogPart],
    "tdx-eventlogs/CCEL_data": [EventLogPart],
    "roots/amd/sev_certificates_with_crls.txt": [CertificatesPart, RevocationPart, RevocationPart],
    "azure/key-bound/insecure-virtual_signing_attestation.json": [PlatformPart, CertificatesPart],
    "azure/az-tdx-vtpm/td-quote.bin": [PlatformPart],
}
FOREIGN = {
    "azure/az-snp-vtpm/hcl-report.bin": "an Azure HCL report",
    "azure/az-snp-vtpm/evidence-v0.json": "Azure vTPM evidence",
    "azure/az-snp-vtpm/evidence-v1.json": "Azure vTPM evidence",
    "azure/az-tdx-vtpm/evidence-v1.json": "Azure vTPM evidence",
    "azure/key-bound/cvm_insecure-virtual_signing_attestation.json": "Azure confidential VM evidence",
    "nitro/doc-20221012-debug-46591b.cose": "an AWS Nitro attestation document",
    "cca/trustee/token.cbor": "an Arm CCA token",
    "psa/tfm-psa2/token.cbor": "a PSA attestation token",
    "psa/tfm-psaiot1/token.cbor": "a PSA attestation token",
    "psa/veraison-good/token.cbor": "a PSA attestation token",
    "tpm/gce-cos-85-nonce9009.pb": "TPM evidence of go-tpm-tools",
    "tpm/dstack_tpm_quote_sample.bin": "a TPM quote",
    "tpm/trustee-tpm_evidence.json": "TPM evidence",
    "tpm/veraison-parsec-tpm-evidence.cbor": "Parsec TPM evidence",
    "tokens/gcp-confidential-space/sample.jwt": "a JSON Web Token (a result, not evidence)",
    "tokens/nras/switch_detached_eat.json": "a result of NVIDIA's attestation service (not evidence)",
}
REFUSED = {
    "sev-snp/unverifiable/v1-confidential-sidecar-containers-13038f.bin": "version 1 is not one of 2 to 5",
    "sgx/intel-qvl-synthetic/quote.dat": "certification data of type 1",
    "azure/azure-cvm-tooling/akpub.pem": "a block of kind PUBLIC KEY",
    "tdx-eventlogs/go-tdx-guest-cos113/nonce.dat": "not a form that this version knows",
    "nvidia/nvswitch-ls10-full/nras_claims_v3.json": "not a form that this version knows",
    "formats/collection-ok.json": "not a form that this version knows",
}


@cache
def simulated() -> EvidenceBundle:
    """One bundle for all tests here: each that is issued has another signature."""
    return issue()


def read(file: str) -> bytes:
    return (RECORDED / file).read_bytes()


def only(found: Recognised) -> Any:
    (part,) = found.parts
    return part


def same(found: Recognised, other: Recognised) -> bool:
    return found.parts == other.parts


@needs_vectors
@pytest.mark.parametrize("file", KNOWN)
def test_every_recorded_form(file: str) -> None:
    found = recognise(read(file))
    assert [type(part) for part in found.parts] == KNOWN[file]
    assert found.unverifiable is None
    assert found.form


@needs_vectors
@pytest.mark.parametrize("file", FOREIGN)
def test_what_is_recognised_and_not_verified(file: str) -> None:
    found = recognise(read(file))
    assert only(found) == ForeignPart(kind=FOREIGN[file])
    assert found.unverifiable == FOREIGN[file]


@needs_vectors
@pytest.mark.parametrize("file", REFUSED)
def test_what_is_refused(file: str) -> None:
    with pytest.raises(Malformed, match=REFUSED[file]):
        recognise(read(file))


# What stands in the parts


@needs_vectors
def test_a_report_and_a_quote_are_kept_byte_for_byte() -> None:
    report = read("sev-snp/genoa-v5-vcek-oak-6d1cef/report.bin")
    assert only(recognise(report)).bundle == EvidenceBundle(tee=SEV_SNP, evidence=report, endorsements={})
    for folder, tee in ((COS, TDX), ("sgx/v3-00606a000000-trustee-77bcbd", SGX)):
        quote = read(f"{folder}/quote.bin")
        assert only(recognise(quote)).bundle == EvidenceBundle(tee=tee, evidence=quote, endorsements={})


@needs_vectors
@pytest.mark.parametrize(
    "folder", [COS, "tdx/v5-90c06f000000-go-tdx-guest-cf77a6", "sgx/v3-00606a000000-trustee-77bcbd"]
)
def test_zeros_behind_a_quote_are_no_part_of_it_and_anything_else_is_refused(folder: str) -> None:
    quote = bundle_of(folder, None).evidence
    found = recognise(quote + bytes(70))
    assert only(found).bundle.evidence == quote
    assert "70 zeros" in found.form
    with pytest.raises(Malformed, match="bytes more than it says"):
        recognise(quote + bytes(69) + b"\1")


@needs_vectors
def test_what_begins_as_something_known_is_refused_as_that() -> None:
    quote = bytearray(bundle_of(COS, None).evidence)
    for length in (28, 47, 48, len(quote) - 1):
        with pytest.raises(Malformed, match="quote"):
            recognise(bytes(quote[:length]))
    quote[4] = 0x55
    with pytest.raises(Malformed, match="TEE type 0x55"):
        recognise(bytes(quote))
    report = bytes.fromhex(read(f"{SWITCH}/report.hex").decode())
    for broken in (report[:-1], report + b"\0"):
        with pytest.raises(Malformed, match="NVIDIA report"):
            recognise(broken)


@needs_vectors
def test_a_dstack_answer() -> None:
    answer = json.loads(read("tdx-eventlogs/dstack-quote-report.json"))
    platform, log = recognise(read("tdx-eventlogs/dstack-quote-report.json")).parts
    assert isinstance(platform, PlatformPart)
    assert platform.bundle.tee == TDX
    assert answer["quote"].startswith(platform.bundle.evidence.hex())
    assert log == EventLogPart(name="dstack", log=answer["event_log"].encode())
    assert same(
        recognise(json.dumps(answer | {"quote": "0x" + answer["quote"]}).encode()),
        recognise(json.dumps(answer).encode()),
    )
    with pytest.raises(Malformed, match="event log"):
        recognise(json.dumps(answer | {"event_log": []}).encode())


@needs_vectors
def test_recorded_collateral_becomes_endorsements() -> None:
    file = f"{COS}/collateral-2025-11-04-UpToDate.json"
    wanted = endorsements_of(json.loads(read(file)))
    assert only(recognise(read(file))).endorsements == wanted
    bare = canonical(json.loads(read(file))["collateral"])
    assert only(recognise(bare)).endorsements == wanted
    for name in ("tcb_info", "qe_identity"):
        assert only(recognise(wanted[name] + b"\n")).endorsements == {name: wanted[name]}


@needs_vectors
def test_a_manifest_says_what_it_is_for() -> None:
    part = only(recognise(read(f"{SWITCH}/bios_rim.xml")))
    assert (part.product, part.version) == ("LS10", "96.10.55.00.01")
    assert part.document == read(f"{SWITCH}/bios_rim.xml")
    with pytest.raises(Malformed):
        recognise(b"<html><body>no manifest</body></html>")


@needs_vectors
def test_nvidias_own_file_states_a_nonce() -> None:
    entry = json.loads(read("nvidia/json/hopper_evidence.json"))[0]
    part = only(recognise(read("nvidia/json/hopper_evidence.json")))
    assert part.nonce == bytes.fromhex(entry["nonce"])
    assert part.bundle.evidence == base64.b64decode(entry["evidence"])


# Ours


def test_our_own_documents() -> None:
    bundle = simulated()
    assert only(recognise(canonical(bundle.to_json()))).bundle == bundle
    document = attestation_report().to_bytes()
    assert only(recognise(document)) == AttestationPart(document=document)
    with pytest.raises(Malformed, match="not a form"):
        recognise(canonical({"version": "hermetic.evidence.v2"}))


@needs_vectors
def test_evidence_of_one_machine() -> None:
    device = recorded("hopper-580.159.03")
    composite = Composite(platform=simulated(), devices=(device, device))
    platform, *devices = recognise(composite.to_bytes()).parts
    assert platform == PlatformPart(bundle=simulated())
    assert devices == [DevicePart(bundle=device)] * 2
    alone = recognise(Composite(platform=None, devices=(device,)).to_bytes())
    assert only(alone) == DevicePart(bundle=device)
    assert only(recognise(canonical(device.to_json()))) == DevicePart(bundle=device)


def test_only_what_has_the_size_and_the_marks_of_a_report_is_refused_as_one() -> None:
    report = simulated().evidence
    for other in (report[:-1], report + b"\0", report[:1] + b"\1" + report[2:], report[:0x34] + b"\2" + report[0x35:]):
        with pytest.raises(Malformed, match="not a form"):
            recognise(other)
    with pytest.raises(Malformed, match="version 9 is not one of"):
        recognise(b"\x09" + report[1:])


# Text around binary


def test_hex_and_base64_of_a_report() -> None:
    report = simulated().evidence
    plain = recognise(report)
    spellings = [
        report.hex().encode(),
        b"0x" + report.hex().upper().encode() + b"\n",
        base64.b64encode(report),
        base64.urlsafe_b64encode(report).rstrip(b"=") + b"\n",
    ]
    for spelling in spellings:
        assert same(recognise(spelling), plain)


def test_pem_keeps_its_order_and_ignores_what_stands_between() -> None:
    endorsements = simulated().endorsements
    order = ("leaf", "intermediate", "root")
    pems = [x509.load_der_x509_certificate(endorsements[name]).public_bytes(Encoding.PEM) for name in order]
    part = only(recognise(b"a comment\n" + b"\nanother\n".join(pems)))
    assert part.certificates == tuple(endorsements[name] for name in order)
    assert only(recognise(endorsements["crl"])) == RevocationPart(der=endorsements["crl"])
    assert only(recognise(endorsements["leaf"])).certificates == (endorsements["leaf"],)


def test_an_answer_about_revocation_and_other_der() -> None:
    answer = all_good()[0]
    assert recognise(answer) == Recognised.of("an OCSP response in DER", RevocationPart(der=answer, ocsp=True))
    for other in (answer[:-1], answer + b"\0", bytes.fromhex("30030a0100ff")):
        with pytest.raises(Malformed, match="not a form"):
            recognise(other)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param(b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "a private key", id="a key"),
        pytest.param(
            b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "not a certificate", id="not one"
        ),
        pytest.param(
            b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n", "not a revocation list", id="not a list"
        ),
        pytest.param(b"-----BEGIN CERTIFICATE-----\nAAAA\n", "no whole block", id="cut short"),
        pytest.param(b"-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----\n", "not base64", id="not base64"),
    ],
)
def test_pem_that_is_refused(text: bytes, says: str) -> None:
    with pytest.raises(Malformed, match=says):
        recognise(text)


NO_CERTIFICATES = {
    "version 5": hostile.certificate(version=4),
    "a version that does not exist": hostile.certificate(version=9),
    "an extension that comes twice": hostile.certificate(*[hostile.extension(hostile.identifier(3))] * 2),
    "a subject of half characters": hostile.certificate(subject=hostile.name(b"\xd8\0\xd8", tag=hostile.BMP)),
    "a subject that is no UTF-8": hostile.certificate(subject=hostile.name(b"\xff\xfe")),
    "a subject of bits": hostile.certificate(subject=hostile.name(b"\0\xfe", tag=hostile.BITS)),
    "a subject that is a number": hostile.certificate(subject=hostile.name(b"\1", tag=hostile.INTEGER)),
    "a subject without a common name": hostile.certificate(subject=hostile.name(kind=bytes.fromhex("550406"))),
    "an identifier without end": hostile.certificate(hostile.extension(hostile.LONG)),
}


@pytest.mark.parametrize("what", NO_CERTIFICATES)
def test_certificates_that_cannot_be_read(what: str) -> None:
    der = NO_CERTIFICATES[what]
    assert recognise(hostile.certificate()), "what is otherwise the same is read"
    with pytest.raises(Malformed, match="not a form"):
        recognise(der)
    body = base64.encodebytes(der)
    with pytest.raises(Malformed, match="not a certificate that can be read"):
        recognise(b"-----BEGIN CERTIFICATE-----\n" + body + b"-----END CERTIFICATE-----\n")


@pytest.mark.parametrize("label", ["CERTIFICATE", "A"])
def test_white_space_without_end_after_a_mark(label: str) -> None:
    """Where a block may end is looked for once, not once for every space."""
    text = f"-----BEGIN {label}-----".encode()
    start = time.process_time()
    for filling in (b"\n" * 2**20, b"\nA\n" * (2**20 // 3), b" \t\r\n" * 2**18):
        with pytest.raises(Malformed, match="no whole block"):
            recognise(text + filling + b"-")
    assert time.process_time() - start < 5, "it was looked for again and again"


def test_pem_of_very_many_blocks() -> None:
    block = x509.load_der_x509_certificate(simulated().endorsements["leaf"]).public_bytes(Encoding.PEM)
    assert len(only(recognise(block * 64)).certificates) == 64
    with pytest.raises(Malformed, match="more than 64"):
        recognise(block * 65)


def test_a_key_is_never_quoted() -> None:
    secret = b"MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp"
    with pytest.raises(Malformed) as refusal:
        recognise(b"-----BEGIN PRIVATE KEY-----\n" + secret + b"\n-----END PRIVATE KEY-----\n")
    assert secret.decode() not in str(refusal.value)


# Confidential Containers


@needs_vectors
def test_evidence_of_confidential_containers() -> None:
    quote = bundle_of(COS, None).evidence
    trustee: dict[str, Any] = {"quote": base64.b64encode(quote).decode(), "cc_eventlog": None}
    assert only(recognise(canonical(trustee))).bundle.evidence == quote
    log = read("tdx-eventlogs/CCEL_data_ovmf")
    with_log = recognise(canonical(trustee | {"cc_eventlog": base64.b64encode(log).decode()}))
    assert with_log.parts[1:] == (EventLogPart(name="ccel", log=log),)
    nvidia = json.loads(read("nvidia/json/hopper_evidence.json"))[0]
    devices = {"device_evidence_list": [{name: nvidia[name] for name in ("arch", "evidence", "certificate")}]}
    both = {"primary_evidence": trustee, "additional_evidence": json.dumps({"nvidia": devices})}
    for document in (both, {"tee-evidence": both}):
        platform, device = recognise(canonical(document)).parts
        assert isinstance(platform, PlatformPart)
        assert isinstance(device, DevicePart)
        assert device.nonce is None
    assert len(recognise(canonical({"primary_evidence": trustee, "additional_evidence": ""})).parts) == 1
    entries = devices["device_evidence_list"]
    assert len(recognise(canonical({"device_evidence_list": entries * 32})).parts) == 32
    with pytest.raises(Malformed, match="a list of 1 to 32"):
        recognise(canonical({"device_evidence_list": entries * 33}))
    with pytest.raises(Malformed, match="additional_evidence: expected an object"):
        recognise(canonical({"primary_evidence": trustee, "additional_evidence": "[]"}))


@needs_vectors
@pytest.mark.parametrize(
    ("document", "says"),
    [
        pytest.param({"device_evidence_list": []}, "list of 1 to 32", id="no device"),
        pytest.param({"device_evidence_list": [7]}, "expected objects", id="no object"),
        pytest.param({"device_evidence_list": [{"certificate": 7}]}, "base64 text", id="no text"),
        pytest.param({"primary_evidence": {"quote": "AA"}}, "not a form", id="no quote"),
        pytest.param({"quote": "*"}, "not base64", id="no base64"),
    ],
)
def test_evidence_of_confidential_containers_that_is_refused(document: dict[str, Any], says: str) -> None:
    with pytest.raises(Malformed, match=says):
        recognise(canonical(document))


def test_other_things_that_hold_a_report() -> None:
    assert recognise(b'{"report": "AAAA"}').unverifiable == "an Azure attestation request"
    with pytest.raises(Malformed, match="not a form"):
        recognise(b'{"report": {}}')


def test_a_report_field_by_field_is_not_the_bytes_that_were_signed() -> None:
    found = recognise(canonical({"attestation_report": {"version": 2}, "cert_chain": []}))
    assert "field by field" in (found.unverifiable or "")
    raw = simulated().evidence
    whole = recognise(canonical({"attestation_report": base64.b64encode(raw).decode(), "cert_chain": []}))
    assert only(whole).bundle.evidence == raw


# Conceptual message wrappers


def b64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


KIND = "application/vnd.example.evidence"


def wrappers(inner: bytes) -> dict[str, bytes]:
    """Each form of wrapper that draft-ietf-rats-msg-wrap has, around the same bytes."""
    record = [KIND, b64url(inner), 4]
    return {
        "JSON record": canonical(record),
        "JSON record without indicator": canonical(record[:2]),
        "JSON collection": canonical({"__cmwc_t": "tag:example.com,2026:one", "cpu": record}),
        "JSON collection of collections": canonical({"machine": {"cpu": record}}),
        "JSON tunnel": canonical(["#cmw-c2j-tunnel", b64url(cbor2.dumps([KIND, inner]))]),
        "CBOR record": cbor2.dumps([KIND, inner]),
        "CBOR record by number": cbor2.dumps([30001, inner, 4]),
        "CBOR tag": cbor2.dumps(cbor2.CBORTag(1668576818, inner)),
        "CBOR collection": cbor2.dumps({"cpu": [KIND, inner], "__cmwc_t": "1.2.3"}),
        "CBOR collection of tags": cbor2.dumps({1: cbor2.CBORTag(1668576818, inner)}),
        "CBOR tunnel": cbor2.dumps(["#cmw-j2c-tunnel", canonical(record)]),
    }


@pytest.mark.parametrize("form", wrappers(b""))
def test_each_form_of_wrapper(form: str) -> None:
    report = simulated().evidence
    found = recognise(wrappers(report)[form])
    assert same(found, recognise(report))
    assert f"CMW {form.split()[1]}" in found.form
    assert "SEV-SNP" in found.form


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda kind, content: ["no media type", content], id="a label of another kind"),
        pytest.param(lambda kind, content: [7, content], id="a number for a label"),
        pytest.param(lambda kind, content: [kind, 7], id="a number for content"),
        pytest.param(lambda kind, content: [kind, content, "4"], id="an indicator in text"),
        pytest.param(lambda kind, content: [kind, content, True], id="an indicator that is true"),
        pytest.param(lambda kind, content: [kind, content, 4, 4], id="four elements"),
        pytest.param(lambda kind, content: [kind], id="one element"),
    ],
)
def test_lists_that_are_no_record(change: Callable[[str, str], list[object]]) -> None:
    content = b64url(simulated().evidence)
    assert recognise(canonical([KIND, content, 4]))
    for document in (change(KIND, content), {"cpu": change(KIND, content)}):
        with pytest.raises(Malformed, match="not a form"):
            recognise(canonical(document))


@pytest.mark.parametrize("form", wrappers(b""))
def test_a_wrapper_around_nothing_known(form: str) -> None:
    with pytest.raises(Malformed):
        recognise(wrappers(b"\xff\xfe nothing known \x00")[form])


def test_several_members_of_a_collection() -> None:
    bundle = simulated()
    members = {"report": [KIND, b64url(bundle.evidence)], "leaf": [KIND, b64url(bundle.endorsements["leaf"])]}
    assert [type(part) for part in recognise(canonical(members)).parts] == [CertificatesPart, PlatformPart]
    in_cbor = {"report": [KIND, bundle.evidence], "leaf": [KIND, bundle.endorsements["leaf"]]}
    assert [type(part) for part in recognise(cbor2.dumps(in_cbor)).parts] == [PlatformPart, CertificatesPart]


def test_wrapped_too_many_times() -> None:
    wrapped = simulated().evidence
    for _ in range(3):
        wrapped = cbor2.dumps([KIND, wrapped])
    assert recognise(wrapped)
    with pytest.raises(Malformed, match="too many times"):
        recognise(cbor2.dumps([KIND, wrapped]))


def test_collections_in_each_other() -> None:
    """As deep as wrappers, and no deeper, however deep the file goes on."""

    def nested(depth: int) -> bytes:
        return b'{"a":' * depth + canonical([KIND, b64url(simulated().evidence)]) + b"}" * depth

    assert same(recognise(nested(3)), recognise(simulated().evidence))
    for depth in (4, 900, 100_000):
        with pytest.raises(Malformed):
            recognise(nested(depth))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(cbor2.dumps([KIND, "text"]), id="a record of text"),
        pytest.param(cbor2.dumps(cbor2.CBORTag(1668576818, 7)), id="a tag on a number"),
        pytest.param(cbor2.dumps({"__cmwc_t": "1.2.3"}), id="an empty collection"),
        pytest.param(cbor2.dumps({1: cbor2.CBORTag(1668576818, 7)}), id="a collection of a number"),
        pytest.param(cbor2.dumps([b"\xff", b"", b""]), id="three byte strings"),
        pytest.param(cbor2.dumps(cbor2.CBORTag(5, simulated().evidence)), id="another tag"),
        pytest.param(cbor2.dumps([KIND, simulated().evidence]) + b"\0", id="more behind it"),
        pytest.param(cbor2.dumps([KIND, simulated().evidence])[:-1], id="cut short"),
        pytest.param(b"\x9f" + cbor2.dumps(KIND) + b"\xff", id="an indefinite length"),
        pytest.param(b"\x9a\xff\xff\xff\xff", id="a list of four billion"),
        pytest.param(b"\xbb" + b"\xff" * 8, id="a map of far more"),
        pytest.param(b"\x81" * 100_000 + b"\x00", id="very deep"),
        pytest.param(b"\x82\x61\xff\x40", id="text that is not UTF-8"),
    ],
)
def test_cbor_that_is_no_wrapper(data: bytes) -> None:
    with pytest.raises(Malformed):
        recognise(data)


@pytest.mark.parametrize(
    ("member", "says"),
    [
        pytest.param(lambda content: cbor2.CBORTag(5, content), "not a form", id="another tag"),
        pytest.param(lambda content: [KIND], "not a form", id="one element"),
        pytest.param(lambda content: [KIND, content, 4, 4], "not a form", id="four elements"),
        pytest.param(lambda content: [KIND, "text"], "not a form", id="text"),
        pytest.param(lambda content: cbor2.CBORTag(1668576818, 7), "expected byte strings", id="a tag on a number"),
    ],
)
def test_maps_that_are_no_collection(member: Callable[[bytes], object], says: str) -> None:
    content = simulated().evidence
    good = cbor2.CBORTag(1668576818, content)
    assert len(recognise(cbor2.dumps({1: good, 2: [KIND, content, 4]})).parts) == 2
    with pytest.raises(Malformed, match=says):
        recognise(cbor2.dumps({1: good, 2: member(content)}))


def test_text_in_cbor_is_utf_8() -> None:
    assert decode(b"\x62\xc3\xa9") == "\u00e9"
    with pytest.raises(Malformed, match="not UTF-8"):
        decode(b"\x62\xc3\x28")


def test_cbor_is_read_to_a_depth_and_a_number_of_items() -> None:
    assert decode(b"\x81" * 8 + b"\x00") == ((((((((0,),),),),),),),)
    with pytest.raises(Malformed, match="too deeply"):
        decode(b"\x81" * 9 + b"\x00")
    assert len(decode(b"\x99\x0f\xff" + bytes(4095))) == 4095  # type: ignore[arg-type]
    for many in (b"\x99\x10\x00" + bytes(4096), b"\x99\x10\x01" + bytes(4097), b"\xb9\x08\x00" + bytes(4096)):
        with pytest.raises(Malformed, match="too many"):
            decode(many)


@pytest.mark.parametrize("head", [0x1C, 0x1F, 0x5F, 0x9F, 0xBF])
def test_lengths_that_are_reserved_or_indefinite(head: int) -> None:
    with pytest.raises(Malformed, match="indefinite"):
        decode(bytes((head,)) + bytes(1 << (head & 0x1F) - 24))


def test_what_cbor_says() -> None:
    said = {"text": b"bytes", 1: -2, "list": [1.5, None, True], "tag": cbor2.CBORTag(5, [1])}
    found = decode(cbor2.dumps(said))
    assert found == Pairs((("text", b"bytes"), (1, -2), ("list", (None, None, None)), ("tag", Tagged(5, (1,)))))
    assert isinstance(found, Pairs)
    assert found.get(1) == -2
    assert found.get(True) is None  # which Python takes for 1


# Shapes that other people's tools share with ours


def test_cose_and_protobuf_by_their_shape_alone() -> None:
    def cose(claims: object) -> bytes:
        return cbor2.dumps(cbor2.CBORTag(18, [b"\xa1\x01\x26", {}, cbor2.dumps(claims), b"signature"]))

    assert recognise(cose({"module_id": "i-1", "pcrs": {0: b"1"}})).unverifiable == "an AWS Nitro attestation document"
    assert recognise(cose({265: "http://arm.com/psa/2.0.0"})).unverifiable == "a PSA attestation token"
    assert recognise(cose({"sub": "somebody"})).unverifiable == "a signed CBOR token (COSE)"
    unsigned = cbor2.dumps([b"", {}, cbor2.dumps({1: 2}), 7])
    for other in (cbor2.dumps([b"", {}, b"\xff", b""]), unsigned, cbor2.dumps({"kat": 1})):
        with pytest.raises(Malformed):
            recognise(other)
    key = bytes.fromhex("0001000b") + bytes(20)
    message = b"\x0a" + bytes((len(key),)) + key + b"\x12\x01\x00"
    assert recognise(message).unverifiable == "TPM evidence of go-tpm-tools"
    assert "SEV-SNP" in (recognise(message + b"\x42\x01\x00").unverifiable or "")
    assert "TDX" in (recognise(message + b"\x4a\x01\x00").unverifiable or "")
    behind = (b"\x52\x01\x00", b"\x12\x81", b"\x12" + b"\xff" * 6, b"\x10\x01", b"\x12\x05\x00")
    for other in (message[:-1], b"\x0a\x02\x00\x02\x12\x01\x00", *(message + more for more in behind)):
        with pytest.raises(Malformed):
            recognise(other)


# Nothing known, and far too much of it


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b" \n", id="white space"),
        pytest.param(b"hello", id="a word"),
        pytest.param(b"{}", id="an empty object"),
        pytest.param(b"[]", id="an empty list"),
        pytest.param(b"7", id="a number"),
        pytest.param(b'{"version": 7}', id="another version"),
        pytest.param(b'{"collateral": {"tcb_info": 7}}', id="half of a collateral"),
        pytest.param(bytes(0x4A0), id="zeros of a report's size"),
    ],
)
def test_nothing_known(data: bytes) -> None:
    with pytest.raises(Malformed) as refusal:
        recognise(data)
    assert refusal.value.code == "evidence.unknown"
    assert "NVAT JSON" in refusal.value.fix


def test_what_is_larger_than_any_evidence_is_not_looked_at() -> None:
    with pytest.raises(Malformed, match="at most"):
        recognise(b" " * (MAX_FILE + 1))


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_whatever_comes_is_recognised_or_refused(data: st.DataObject) -> None:
    """Bytes of any kind, and forms that are known with one thing changed: never another exception."""
    report = simulated().evidence
    seeds = [*wrappers(report).values(), canonical(simulated().to_json()), attestation_report().to_bytes(), report]
    kind = data.draw(st.sampled_from(["any", "changed", "json"]))
    if kind == "any":
        raw = data.draw(st.binary(max_size=400))
    elif kind == "json":
        values = st.recursive(
            st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=9) | st.just(b64url(report)),
            lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=5),
            max_leaves=12,
        )
        raw = canonical(data.draw(values))
    else:
        seed = data.draw(st.sampled_from(seeds))
        at = data.draw(st.integers(0, len(seed) - 1))
        raw = seed[:at] + data.draw(st.binary(max_size=6)) + seed[at + data.draw(st.integers(0, 3)) :]
    with contextlib.suppress(Malformed):
        assert recognise(raw).parts


NAMES = (
    "tee", "evidence", "endorsements", "device", "certificates", "rims", "ocsp", "crls", "quote", "event_log",
    "version", "device_evidence_list", "attestation_report", "cert_chain", "primary_evidence", "additional_evidence",
    "report", "tee-evidence", "hcl_report", "tpm_quote", "collateral", "tcb_info", "tcb_info_signature", "qe_identity",
    "arch", "qe_identity_signature", "pck_crl", "tcbInfo", "enclaveIdentity", "signature", "snpCACI", "attestation",
    "platformCertificates", "certificate", "nonce", "devices", "platform", "__cmwc_t",
)  # fmt: skip


def test_the_vectors_are_where_they_were() -> None:
    assert not ROOT.is_dir() or all((RECORDED / Path(file)).is_file() for file in (*KNOWN, *FOREIGN, *REFUSED))
