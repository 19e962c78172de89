"""What Intel's service is asked, and which of its answers cannot be right; then whole quotes, endorsed and verified."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

import intel_forge as forge
from collateral_support import PATIENCE, endorser
from collateral_vendor import Reply, Vendor
from hermetic.errors import Malformed, NotAuthentic
from hermetic.evidence import SGX, TDX, EvidenceBundle
from hermetic.sources.collateral import CollateralUnavailable, Endorser, Origin, Services
from hermetic.verify import INTEL_ROOTS, IntelClaims, TcbStatus, verify
from intel_support import RECORDED, bundle_of, time_of
from vectors import needs_vectors

NOW, FMSPC = forge.NOW, forge.FMSPC.hex()
COS = "tdx/v4-00806f050000-go-tdx-guest-00b252"
NOVEMBER, JUNE = "collateral-2025-11-04-UpToDate.json", "collateral-2026-06-27-OutOfDate.json"


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    with Vendor() as vendor:
        yield vendor


@pytest.fixture(scope="module")
def whole() -> EvidenceBundle:
    return forge.Intel().issue()


def bare(bundle: EvidenceBundle, *kept: str) -> EvidenceBundle:
    return replace(bundle, endorsements={name: bundle.endorsements[name] for name in kept})


def endorsed(vendor: Vendor, bundle: EvidenceBundle, now: datetime = NOW) -> EvidenceBundle:
    with endorser(vendor) as made:
        return made.endorse(bundle, now=now)


@pytest.mark.parametrize("tee", [TDX, SGX])
def test_a_bare_quote_is_endorsed_and_verifies(vendor: Vendor, tee: str) -> None:
    intel = forge.Intel(tee=tee)
    given = intel.issue()
    paths = vendor.publish_intel(given, fmspc=FMSPC)
    found = endorsed(vendor, bare(given))
    assert found == given  # byte for byte: what Intel signed is its exact text
    verify(found, roots=intel.roots, now=NOW, report_data=forge.REPORT_DATA)
    assert vendor.asked == dict.fromkeys(paths.values(), 1)
    assert paths["tcb_info"] == f"/{tee}/certification/v4/tcb?fmspc=90c06f000000"


def test_what_came_along_is_kept_and_only_the_rest_is_fetched(vendor: Vendor, whole: EvidenceBundle) -> None:
    paths = vendor.publish_intel(whole, fmspc=FMSPC)
    present = [name for name in whole.endorsements if not name.startswith("qe_identity")]
    assert endorsed(vendor, bare(whole, *present)) == whole
    assert vendor.asked == {paths["qe_identity"]: 1}


@pytest.mark.parametrize("name", ["tcb_info", "qe_identity", "pck_crl"])
def test_a_document_without_its_signers_chain_is_fetched_with_it(
    vendor: Vendor, whole: EvidenceBundle, name: str
) -> None:
    paths = vendor.publish_intel(whole, fmspc=FMSPC)
    present = [each for each in whole.endorsements if each != f"{name}_chain"]
    assert endorsed(vendor, bare(whole, *present)) == whole
    assert vendor.asked == {paths[name]: 1}


def test_a_forged_answer_does_not_keep_a_quote_from_verifying_for_more_than_a_day(
    vendor: Vendor, tmp_path: Path
) -> None:
    """Plausible and unsigned, with dates of the forger's choice; then the vendor is back."""
    intel = forge.Intel()
    given = intel.issue()
    paths = vendor.publish_intel(given, fmspc=FMSPC)
    genuine = given.endorsements["tcb_info"]
    forged = re.sub(rb'"nextUpdate":"[^"]*"', b'"nextUpdate":"2099-01-01T00:00:00Z"', genuine)
    assert forged != genuine
    vendor.change(paths["tcb_info"], body=forged)

    def claims(now: datetime) -> None:
        with endorser(vendor, tmp_path / "cache") as made:
            verify(made.endorse(bare(given), now=now), roots=intel.roots, now=now, report_data=forge.REPORT_DATA)

    first = NOW - timedelta(hours=23)
    with pytest.raises(NotAuthentic):
        claims(first)
    vendor.change(paths["tcb_info"], body=genuine)
    with pytest.raises(NotAuthentic):
        claims(first + timedelta(days=1))
    claims(first + timedelta(days=1, seconds=1))
    vendor.stop()
    claims(first + timedelta(hours=30))


def test_platforms_of_one_processor_have_a_list_of_their_own(vendor: Vendor) -> None:
    authority = replace(forge.CA, name="Intel SGX PCK Processor CA")
    intel = forge.Intel(
        ca=authority,
        crl_ca=authority,
        pck=replace(forge.PCK, issuer=authority.name),
        pck_crl=replace(forge.PCK_CRL, issuer=authority.name),
    )
    given = intel.issue()
    paths = vendor.publish_intel(given, fmspc=FMSPC, authority="processor")
    assert endorsed(vendor, bare(given)) == given
    assert vendor.asked[paths["pck_crl"]] == 1


def test_early_levels_are_asked_for_by_name(vendor: Vendor, whole: EvidenceBundle) -> None:
    paths = vendor.publish_intel(whole, fmspc=FMSPC)
    early = {paths["tcb_info"]: "&update=early", paths["qe_identity"]: "?update=early"}
    for path, suffix in early.items():
        vendor.published[path + suffix] = vendor.published.pop(path)
    with Endorser(None, services=replace(vendor.services, tcb_update="early"), patience=PATIENCE) as made:
        assert made.endorse(bare(whole), now=NOW) == whole


def test_a_pccs_serves_lists_in_hex(vendor: Vendor, whole: EvidenceBundle) -> None:
    paths = vendor.publish_intel(whole, fmspc=FMSPC)
    vendor.published["/sgx/certification/v4/rootcacrl"] = Reply(body=whole.endorsements["root_crl"].hex().encode())
    vendor.change(paths["pck_crl"], body=whole.endorsements["pck_crl"].hex().upper().encode() + b"\n")
    with Endorser(None, services=Services.with_pccs(vendor.url), patience=PATIENCE) as made:
        assert made.endorse(bare(whole), now=NOW) == whole
    assert not vendor.asked[paths["root_crl"]]


@pytest.mark.parametrize(
    ("name", "older"),
    [("tcb_info", "SGX-TCB-Info-Issuer-Chain"), ("qe_identity", "SGX-QE-Identity-Issuer-Chain")],
)
def test_chains_come_under_their_older_names_too(vendor: Vendor, whole: EvidenceBundle, name: str, older: str) -> None:
    path = vendor.publish_intel(whole, fmspc=FMSPC)[name]
    published = vendor.published[path]
    assert isinstance(published, Reply)
    vendor.change(path, headers={older: next(iter(published.headers.values()))})
    assert endorsed(vendor, bare(whole)) == whole


def test_a_chain_in_another_spelling_of_pem_is_written_in_the_one_that_counts(
    vendor: Vendor, whole: EvidenceBundle
) -> None:
    paths = vendor.publish_intel(whole, fmspc=FMSPC)
    published = vendor.published[paths["tcb_info"]]
    assert isinstance(published, Reply)
    name, value = next(iter(published.headers.items()))
    vendor.change(paths["tcb_info"], headers={name: value.replace("%0A", "%0D%0A")})
    assert endorsed(vendor, bare(whole)) == whole


# Answers that cannot be right


def _changed(member: str, to: object) -> Callable[[dict[str, Any], dict[str, Any]], None]:
    def change(tcb: dict[str, Any], qe: dict[str, Any]) -> None:
        for document in (tcb, qe):
            if member in document:
                document[member] = to

    return change


def _wrong(vendor: Vendor, whole: EvidenceBundle, name: str, reply: dict[str, Any], says: str) -> None:
    path = vendor.publish_intel(whole, fmspc=FMSPC)[name]
    vendor.change(path, **reply)
    with pytest.raises(Malformed, match=says) as error:
        endorsed(vendor, bare(whole))
    assert f"{vendor.url}{path} answered with something else" in error.value.message


def test_tcb_info_for_another_platform_is_refused_early(vendor: Vendor, whole: EvidenceBundle) -> None:
    other = forge.Intel(change=_changed("fmspc", "00806F050000")).issue().endorsements["tcb_info"]
    _wrong(vendor, whole, "tcb_info", {"body": other}, "FMSPC 00806f050000, not for TDX, FMSPC 90c06f000000")


def test_collateral_of_the_other_technology_is_refused_early(vendor: Vendor, whole: EvidenceBundle) -> None:
    other = forge.Intel(tee=SGX).issue().endorsements
    _wrong(vendor, whole, "tcb_info", {"body": other["tcb_info"]}, "TCB info for SGX")
    _wrong(vendor, whole, "qe_identity", {"body": other["qe_identity"]}, "an identity of QE, not of TD_QE")


def test_other_json_is_refused_early(vendor: Vendor, whole: EvidenceBundle) -> None:
    _wrong(vendor, whole, "tcb_info", {"body": whole.endorsements["qe_identity"]}, "as Intel's service answers")
    _wrong(vendor, whole, "qe_identity", {"body": whole.endorsements["tcb_info"]}, "as Intel's service answers")
    spaced = whole.endorsements["tcb_info"].replace(b'":"', b'": "')
    _wrong(vendor, whole, "tcb_info", {"body": spaced}, "as Intel's service answers")


def test_another_authority_s_list_is_refused_early(vendor: Vendor, whole: EvidenceBundle) -> None:
    lists = whole.endorsements
    _wrong(vendor, whole, "pck_crl", {"body": lists["root_crl"]}, "expected the list of Intel SGX PCK Platform CA")
    _wrong(vendor, whole, "root_crl", {"body": lists["pck_crl"]}, "expected the list of Intel SGX Root CA")


@pytest.mark.parametrize("name", ["tcb_info", "qe_identity", "pck_crl"])
def test_a_missing_or_another_chain_is_refused_early(vendor: Vendor, whole: EvidenceBundle, name: str) -> None:
    path = vendor.publish_intel(whole, fmspc=FMSPC)[name]
    published = vendor.published[path]
    other = vendor.published["/sgx/certification/v4/pckcrl?ca=platform&encoding=der"]
    if name == "pck_crl":
        other = vendor.published[f"/tdx/certification/v4/tcb?fmspc={FMSPC}"]
    assert isinstance(published, Reply)
    assert isinstance(other, Reply)
    (header,), (chain,) = published.headers, other.headers.values()
    _wrong(vendor, whole, name, {"headers": {}}, f"no header .*{header.lower()}")
    _wrong(vendor, whole, name, {"headers": {header: chain}}, "expected a chain of Intel SGX")
    _wrong(vendor, whole, name, {"headers": {header: "none"}}, "no CERTIFICATE in PEM")


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"0" * 101, "odd number of hex digits"),
        (b"-----BEGIN X509 CRL-----\nMAA\n-----END X509 CRL-----\n", "not base64"),
        (b"-----BEGIN X509 CRL-----", "no X509 CRL in PEM"),
        (b"00" * 65537, "more than 65536 bytes"),
        (b"\x30\x00", "not a revocation list"),
    ],
    ids=["odd hex", "bad base64", "no end", "too long", "no list"],
)
def test_what_is_no_list_is_refused_early(vendor: Vendor, whole: EvidenceBundle, body: bytes, says: str) -> None:
    _wrong(vendor, whole, "root_crl", {"body": body}, says)


def test_a_list_that_never_ends_is_refused_early(vendor: Vendor, whole: EvidenceBundle) -> None:
    _wrong(vendor, whole, "root_crl", {"body": _without_end(whole.endorsements["root_crl"])}, "until when it holds")


def _without_end(crl: bytes) -> bytes:
    """``crl`` without its nextUpdate; its signature no longer holds, which is not looked at here."""
    end = x509.load_der_x509_crl(crl).next_update_utc
    assert end is not None
    field = b"\x17\x0d" + f"{end:%y%m%d%H%M%SZ}".encode()
    inner = crl.replace(field, b"", 1)
    lengths = ((2, 4), (6, 8)) if crl[1] == 0x82 else ((2, 3), (5, 6))
    shorter = bytearray(inner)
    for start, stop in lengths:
        length = int.from_bytes(shorter[start:stop], "big") - len(field)
        shorter[start:stop] = length.to_bytes(stop - start, "big")
    return bytes(shorter)


def test_a_chain_of_impossible_length_is_refused_early(vendor: Vendor, whole: EvidenceBundle) -> None:
    published = vendor.published
    path = vendor.publish_intel(whole, fmspc=FMSPC)["tcb_info"]
    reply = published[path]
    assert isinstance(reply, Reply)
    ((header, chain),) = reply.headers.items()
    _wrong(vendor, whole, "tcb_info", {"headers": {header: chain * 8}}, "a chain of more than 8192 bytes")
    huge = "-----BEGIN CERTIFICATE-----%0A" + "AAAA" * 2732 + "%0A-----END CERTIFICATE-----"
    _wrong(vendor, whole, "tcb_info", {"headers": {header: huge}}, "a certificate of more than 8192 bytes")


def test_a_quote_without_a_chain_or_from_nobody_is_refused(vendor: Vendor) -> None:
    with pytest.raises(Malformed, match="expected 3 certificates, got 2"):
        endorsed(vendor, bare(forge.Intel(chain=lambda ders: ders[:2]).issue()))
    other = replace(forge.CA, name="Intel SGX Other CA")
    with pytest.raises(Malformed, match="no authority of Intel's platforms"):
        endorsed(vendor, bare(forge.Intel(ca=other).issue()))
    assert not vendor.asked


# Old but genuine


def test_old_documents_are_passed_on_and_verification_refuses_them(vendor: Vendor, whole: EvidenceBundle) -> None:
    vendor.publish_intel(whole, fmspc=FMSPC)
    late = NOW + timedelta(days=2)
    with endorser(vendor) as made:
        found = made.complete(bare(whole), now=late)
    assert len(found.stale) == 4
    with pytest.raises(NotAuthentic, match="2026-02-02 to 2026-02-04"):
        verify(found.bundle, roots=forge.Intel().roots, now=late, report_data=forge.REPORT_DATA)


# What real platforms signed


def published(vendor: Vendor, collateral: str) -> tuple[EvidenceBundle, datetime]:
    """The vendor has what it had at that time."""
    vendor.publish_intel(bundle_of(COS, collateral), fmspc="00806f050000")
    return bundle_of(COS, collateral), time_of(COS, collateral)


def status(bundle: EvidenceBundle, now: datetime) -> tuple[TcbStatus, int]:
    claims = verify(bundle, roots=INTEL_ROOTS, now=now, report_data=None)
    assert isinstance(claims, IntelClaims)
    return claims.tcb.status, len(claims.tcb.advisories)


@needs_vectors
def test_a_recorded_quote_is_endorsed_online_then_from_the_cache_and_not_from_nothing(
    vendor: Vendor, tmp_path: Path
) -> None:
    _, now = published(vendor, NOVEMBER)
    alone = bundle_of(COS, None)
    with Endorser(tmp_path / "cache", services=vendor.services, patience=PATIENCE) as made:
        found = made.complete(alone, now=now)
        assert {document.origin for document in found.obtained} == {Origin.VENDOR}
        assert status(found.bundle, now) == (TcbStatus.UP_TO_DATE, 0)
        vendor.stop()
        again = made.complete(alone, now=now)
        assert {document.origin for document in again.obtained} == {Origin.CACHE}
        assert again.bundle == found.bundle
    with Endorser(tmp_path / "cache", services=vendor.services, offline=True) as made:
        assert status(made.endorse(alone, now=now), now) == (TcbStatus.UP_TO_DATE, 0)
    with Endorser(None, offline=True) as made, pytest.raises(CollateralUnavailable) as error:
        made.endorse(alone, now=now)
    assert [missing.url for missing in error.value.missing] == [
        "https://api.trustedservices.intel.com/tdx/certification/v4/tcb?fmspc=00806f050000",
        "https://api.trustedservices.intel.com/tdx/certification/v4/qe/identity",
        "https://api.trustedservices.intel.com/sgx/certification/v4/pckcrl?ca=platform&encoding=der",
        "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der",
    ]


@needs_vectors
def test_the_same_quote_changes_its_verdict_with_what_the_vendor_says(vendor: Vendor, tmp_path: Path) -> None:
    alone = bundle_of(COS, None)
    with Endorser(tmp_path / "cache", services=vendor.services, patience=PATIENCE) as made:
        _, november = published(vendor, NOVEMBER)
        assert status(made.endorse(alone, now=november), november) == (TcbStatus.UP_TO_DATE, 0)
        _, june = published(vendor, JUNE)
        assert status(made.endorse(alone, now=june), june) == (TcbStatus.OUT_OF_DATE, 13)


@needs_vectors
def test_a_vendor_that_goes_on_serving_november_is_refused_in_june(vendor: Vendor, tmp_path: Path) -> None:
    published(vendor, NOVEMBER)
    with Endorser(tmp_path / "cache", services=vendor.services, patience=PATIENCE) as made:
        june = time_of(COS, JUNE)
        found = made.complete(bundle_of(COS, None), now=june)
        assert len(found.stale) == 4
        with pytest.raises(NotAuthentic, match="2025-10-19 to 2025-11-18"):
            verify(found.bundle, roots=INTEL_ROOTS, now=june, report_data=None)


@needs_vectors
def test_version_2_of_tcb_info_is_refused_early(vendor: Vendor) -> None:
    folder, collateral = "sgx/v3-00606a000000-trustee-77bcbd", "collateral-2025-06-26-LEGACY.json"
    path = vendor.publish_intel(bundle_of(folder, collateral), fmspc="00606a000000")["tcb_info"]
    with pytest.raises(Malformed, match="version 2, expected 3") as error:
        endorsed(vendor, bundle_of(folder, None), time_of(folder, collateral))
    assert f"{vendor.url}{path}" in error.value.message


@needs_vectors
def test_a_folder_of_what_intel_published_over_the_years_endorses_every_year(tmp_path: Path) -> None:
    """Fifty documents of many platforms and dates, and the right ones are found by what is in them."""
    for file in (RECORDED / "intel-collateral").iterdir():
        (tmp_path / f"x{file.stat().st_ino}").write_bytes(file.read_bytes())
    for number, (name, chain) in enumerate(bundle_of(COS, NOVEMBER).endorsements.items()):
        if name.endswith("_chain"):
            (tmp_path / f"chain{number}.txt").write_bytes(chain)
    newer = bundle_of(COS, JUNE).endorsements
    (tmp_path / "root.crl").write_bytes(newer["root_crl"])
    pem = x509.load_der_x509_crl(newer["pck_crl"]).public_bytes(Encoding.PEM)
    (tmp_path / "list.pem").write_bytes(pem)
    with Endorser(None, folder=tmp_path, offline=True) as made:
        for collateral, expected in ((NOVEMBER, (TcbStatus.UP_TO_DATE, 0)), (JUNE, (TcbStatus.OUT_OF_DATE, 13))):
            now = time_of(COS, collateral)
            found = made.complete(bundle_of(COS, None), now=now)
            assert {document.origin for document in found.obtained} == {Origin.FOLDER}
            assert status(found.bundle, now) == expected
