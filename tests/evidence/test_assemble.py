"""Files that were given together become one thing to verify, or are refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import cache
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

import nvidia_forge
from attested_support import report as attestation_report
from hermetic.errors import Malformed
from hermetic.evidence import EvidenceBundle, Product, Recognised, SigningKey, Tcb, assemble, recognise
from hermetic.evidence.parts import CollateralPart, DevicePart, EventLogPart, PlatformPart, RevocationPart
from hermetic.sources.simulator.snp_platform import SnpPlatform
from intel_support import bundle_of
from nvidia_support import HOPPER, SWITCH, recorded
from snp_support import NOW, amd_chain, amd_crl, endorsed, issue, simulated
from vectors import ROOT, needs_vectors

RECORDED = ROOT / "attestation"
COS = "tdx/v4-00806f050000-go-tdx-guest-00b252"
GENOA = "sev-snp/genoa-v5-vcek-oak-6d1cef"


@cache
def whole() -> EvidenceBundle:
    return issue()


def bare(bundle: EvidenceBundle) -> EvidenceBundle:
    return replace(bundle, endorsements={})


def platform(bundle: EvidenceBundle) -> Recognised:
    return Recognised.of("evidence", PlatformPart(bundle=bundle))


def files(*names: str) -> list[Recognised]:
    return [recognise((RECORDED / name).read_bytes()) for name in names]


def pem(*ders: bytes) -> bytes:
    return b"".join(x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM) for der in ders)


# SEV-SNP


def test_loose_endorsements_find_their_place_in_any_order() -> None:
    bundle = whole()
    loose = [recognise(der) for der in bundle.endorsements.values()]
    assert assemble([*loose, platform(bare(bundle))]).platform == bundle
    assert assemble([platform(bare(bundle)), *reversed(loose)]).platform == bundle
    chain = recognise(pem(*(bundle.endorsements[name] for name in ("leaf", "intermediate", "root"))))
    assert assemble([platform(bare(bundle)), chain, recognise(bundle.endorsements["crl"])]).platform == bundle


@pytest.mark.parametrize("name", ["leaf", "intermediate", "root", "crl"])
def test_one_missing_endorsement_is_filled_in(name: str) -> None:
    bundle = whole()
    assert (
        assemble([platform(endorsed(bundle, **{name: None})), recognise(bundle.endorsements[name])]).platform == bundle
    )


def test_what_came_loose_goes_before_what_the_bundle_had() -> None:
    bundle = whole()
    old = endorsed(bundle, crl=b"an older one")
    assert assemble([platform(old), recognise(bundle.endorsements["crl"])]).platform == bundle
    assert assemble([platform(old)]).platform == old


@needs_vectors
def test_the_leaf_of_this_chip_among_several() -> None:
    found = assemble(
        files(f"{GENOA}/report.bin", f"{GENOA}/vcek.der", "roots/amd/ask_ark_genoa.pem")
        + files("sev-snp/milan-v2-vcek-sev-120d77/vcek.der", "roots/amd/sev_certificates_with_crls.txt")
    )
    assert found.platform is not None
    expected = {"leaf": (RECORDED / GENOA / "vcek.der").read_bytes(), "crl": amd_crl(Product.GENOA)}
    assert found.platform.endorsements == expected | amd_chain(Product.GENOA, SigningKey.VCEK)


@needs_vectors
def test_a_vlek_is_no_leaf_of_a_report_that_a_vcek_signed() -> None:
    vlek = "sev-snp/milan-v3-vlek-trustee-decdab"
    found = assemble(files(f"{GENOA}/report.bin", f"{vlek}/vlek.der"))
    assert found.platform is not None
    assert found.platform.endorsements == {}
    own = assemble(files(f"{vlek}/report.bin", f"{vlek}/vlek.der", "roots/amd/ask_ark_milan_vlek.pem"))
    assert own.platform is not None
    assert own.platform.endorsements.keys() == {"leaf", "intermediate", "root"}


def test_two_that_claim_one_place_are_refused() -> None:
    bundle, older = whole(), issue(platform=SnpPlatform(reported_tcb=Tcb(boot_loader=1, tee=0, snp=1, microcode=1)))
    leaves = [recognise(each.endorsements["leaf"]) for each in (bundle, older)]
    assert leaves[0] != leaves[1]
    with pytest.raises(Malformed, match="leaf certificate"):
        assemble([platform(bare(bundle)), *leaves])
    lists = [recognise(each.endorsements["crl"]) for each in (bundle, issue(now=NOW + timedelta(days=1)))]
    assert lists[0] != lists[1]
    with pytest.raises(Malformed, match="two revocation lists of ARK-Genoa"):
        assemble([platform(bundle), *lists])
    with pytest.raises(Malformed, match="root certificate"):
        assemble([platform(bundle), recognise(bundle.endorsements["root"]), recognise(another_root())])


def test_another_authoritys_list_is_left_aside() -> None:
    milan = issue(simulated(Product.MILAN))
    assert assemble([platform(whole()), recognise(milan.endorsements["crl"])]).platform == whole()


def another_root() -> bytes:
    """A certificate of the root's name and of another key."""
    genuine = x509.load_der_x509_certificate(whole().endorsements["root"])
    key = ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateBuilder(
        issuer_name=genuine.subject,
        subject_name=genuine.subject,
        public_key=key.public_key(),
        serial_number=7,
        not_valid_before=genuine.not_valid_before_utc,
        not_valid_after=genuine.not_valid_after_utc,
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


# Intel


@needs_vectors
def test_collateral_completes_a_quote() -> None:
    name = "collateral-2025-11-04-UpToDate.json"
    assert assemble(files(f"{COS}/quote.bin", f"{COS}/{name}")).platform == bundle_of(COS, name)


@needs_vectors
def test_intels_documents_one_by_one() -> None:
    bundle = bundle_of(COS, "collateral-2025-11-04-UpToDate.json")
    loose = {name: recognise(value) for name, value in bundle.endorsements.items()}
    assert assemble([platform(bare(bundle)), *loose.values()]).platform == bundle
    singles = [recognise(der) for part in (loose["tcb_info_chain"], loose["pck_crl_chain"]) for der in ders(part)]
    kept = [loose[name] for name in ("tcb_info", "qe_identity", "pck_crl", "root_crl")]
    assert assemble([platform(bare(bundle)), *kept, *singles]).platform == bundle
    without_root = [each for each in singles if "CN=Intel SGX Root CA" not in subject(each)]
    some = assemble([platform(bare(bundle)), *kept, *without_root]).platform
    assert some is not None
    assert some.endorsements.keys() == {"tcb_info", "qe_identity", "pck_crl", "root_crl"}


def ders(found: Recognised) -> tuple[bytes, ...]:
    (part,) = found.parts
    certificates: tuple[bytes, ...] = part.certificates  # type: ignore[union-attr]
    return certificates


def subject(found: Recognised) -> str:
    return x509.load_der_x509_certificate(ders(found)[0]).subject.rfc4514_string()


@needs_vectors
def test_two_answers_to_one_question_are_refused() -> None:
    names = ("collateral-2025-11-04-UpToDate.json", "collateral-2026-06-27-OutOfDate.json")
    with pytest.raises(Malformed, match="two different files for"):
        assemble(files(f"{COS}/quote.bin", *(f"{COS}/{name}" for name in names)))
    assert assemble(files(f"{COS}/quote.bin", f"{COS}/{names[0]}", f"{COS}/{names[0]}")).platform
    lists = [bundle_of(COS, name).endorsements["root_crl"] for name in names]
    assert lists[0] != lists[1]
    with pytest.raises(Malformed, match="root_crl"):
        assemble([platform(bare(bundle_of(COS, None))), *(recognise(each) for each in lists)])


# Event logs


@needs_vectors
def test_a_log_goes_to_the_quote_that_has_registers() -> None:
    log = EventLogPart(name="ccel", log=b"a log")
    quote = bundle_of(COS, None)
    found = assemble([platform(quote), Recognised.of("a log", log)])
    assert found.platform == replace(quote, event_logs={"ccel": b"a log"})
    with pytest.raises(Malformed, match="two event logs"):
        assemble([platform(quote), Recognised.of("a log", log), Recognised.of("a log", log)])
    with pytest.raises(Malformed, match="no registers"):
        assemble([platform(whole()), Recognised.of("a log", log)])


# Devices


@needs_vectors
def test_reports_find_their_chains_in_order() -> None:
    gpu, switch = recorded(HOPPER), recorded(SWITCH)
    found = assemble(
        files(f"nvidia/{HOPPER}/report.hex", f"nvidia/{SWITCH}/report.hex")
        + files(f"nvidia/{HOPPER}/chain.pem", f"nvidia/{SWITCH}/chain.pem")
    )
    assert found.devices == (gpu, switch)
    assert found.stated == (None, None)
    beside = assemble([platform(whole()), *files(f"nvidia/{SWITCH}/report.hex", f"nvidia/{SWITCH}/chain.pem")])
    assert (beside.platform, beside.devices) == (whole(), (switch,))


@needs_vectors
@pytest.mark.parametrize(
    "given",
    [
        pytest.param([f"nvidia/{SWITCH}/report.hex"], id="a report alone"),
        pytest.param([f"nvidia/{SWITCH}/chain.pem"], id="a chain alone"),
        pytest.param([f"nvidia/{SWITCH}/report.hex"] * 2 + [f"nvidia/{SWITCH}/chain.pem"], id="one chain for two"),
        pytest.param(
            ["nvidia/NEG-chains/hopper_cert_chain_case2.txt", f"nvidia/{HOPPER}/report.hex"], id="a root alone"
        ),
    ],
)
def test_reports_and_chains_that_do_not_match_in_number(given: list[str]) -> None:
    with pytest.raises(Malformed, match="device chains"):
        assemble(files(*given))


@needs_vectors
def test_answers_about_revocation_go_to_every_device() -> None:
    device = recorded(SWITCH)
    crl = nvidia_forge.revocation_list(nvidia_forge.device_chain()[2])
    parts: list[Any] = [DevicePart(bundle=device, nonce=b"n" * 32), DevicePart(bundle=device)]
    answers = [RevocationPart(der=b"an answer", ocsp=True), RevocationPart(der=b"an answer", ocsp=True)]
    lists = [RevocationPart(der=crl), RevocationPart(der=whole().endorsements["crl"])]
    intel = bundle_of(COS, "collateral-2025-11-04-UpToDate.json").endorsements
    lists += [RevocationPart(der=intel[name]) for name in ("root_crl", "pck_crl")]
    found = assemble([Recognised(form="devices", parts=(*parts, *answers, *lists))])
    assert found.devices == (replace(device, ocsp=(b"an answer",), crls=(crl,)),) * 2
    assert found.stated == (b"n" * 32, None)


@needs_vectors
def test_manifests_are_handed_on() -> None:
    found = assemble(
        files(f"nvidia/{SWITCH}/report.hex", f"nvidia/{SWITCH}/chain.pem", f"nvidia/{SWITCH}/bios_rim.xml")
    )
    assert [part.version for part in found.manifests] == ["96.10.55.00.01"]


# One thing at a time


def test_an_attestation_report_stands_alone_but_for_its_endorsements() -> None:
    report = recognise(attestation_report().to_bytes())
    crl = recognise(whole().endorsements["crl"])
    found = assemble([report, crl])
    assert found.attestation == attestation_report_bytes(report)
    assert found.loose.lists
    for other in (report, platform(whole())):
        with pytest.raises(Malformed, match="by itself"):
            assemble([report, other])


def attestation_report_bytes(found: Recognised) -> bytes:
    (part,) = found.parts
    document: bytes = part.document  # type: ignore[union-attr]
    return document


def test_two_platforms() -> None:
    with pytest.raises(Malformed, match="two platforms"):
        assemble([platform(whole()), platform(whole())])


def test_endorsements_of_nothing() -> None:
    with pytest.raises(Malformed, match="endorsements alone"):
        assemble([recognise(whole().endorsements["leaf"])])
    with pytest.raises(Malformed, match="endorsements alone"):
        assemble([])


def test_what_is_not_verified_is_refused_by_name() -> None:
    with pytest.raises(Malformed, match="an Azure HCL report: recognised, not verified by this version") as refusal:
        assemble([platform(whole()), recognise(b"HCLA" + bytes(40))])
    assert refusal.value.code == "evidence.unverified-kind"


@needs_vectors
def test_a_certificate_of_the_bundle_that_cannot_be_read() -> None:
    broken = EvidenceBundle(tee="sev-snp", evidence=whole().evidence, endorsements={"leaf": b"no certificate"})
    with pytest.raises(Malformed, match="leaf certificate: not a certificate that can be read"):
        assemble([platform(broken), recognise(whole().endorsements["root"])])


def test_collateral_is_for_the_quote_alone() -> None:
    part = CollateralPart(endorsements={"tcb_info": b"{}"})
    found = assemble([platform(whole()), Recognised.of("collateral", part)])
    assert found.platform == whole()
    assert found.loose.intel == {"tcb_info": b"{}"}
