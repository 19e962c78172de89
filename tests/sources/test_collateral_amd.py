"""What AMD's service is asked, and which of its answers cannot be right; then whole reports, endorsed and verified."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from collateral_support import PATIENCE, endorser
from collateral_vendor import Reply, Vendor, pem
from hermetic.errors import Malformed, Misconfigured, NotAuthentic
from hermetic.evidence import EvidenceBundle, Product, SigningKey, Tcb
from hermetic.sources.collateral import CollateralUnavailable, Endorser, Origin, vcek_url
from hermetic.sources.simulator.snp_platform import SnpPlatform
from hermetic.verify import AMD_ROOTS, verify
from snp_support import NOW, REPORT_DATA, amd_chain, amd_crl, issue, recorded, roots, simulated
from vectors import ROOT, needs_vectors

PRODUCTS = pytest.mark.parametrize("product", list(Product))
VLEK = SnpPlatform(signing_key=SigningKey.VLEK)


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    with Vendor() as vendor:
        yield vendor


def bare(bundle: EvidenceBundle, *kept: str) -> EvidenceBundle:
    """The evidence with some endorsements only."""
    return replace(bundle, endorsements={name: bundle.endorsements[name] for name in kept})


def endorsed(vendor: Vendor, bundle: EvidenceBundle, now: datetime = NOW) -> EvidenceBundle:
    with endorser(vendor) as made:
        return made.endorse(bundle, now=now)


# Addresses, as AMD's document has them


def test_the_address_of_a_certificate_names_chip_and_levels() -> None:
    tcb = Tcb(boot_loader=4, tee=0, snp=22, microcode=213)
    assert vcek_url("https://kdsintf.amd.com", Product.MILAN, bytes(range(64)), tcb) == (
        f"https://kdsintf.amd.com/vcek/v1/Milan/{bytes(range(64)).hex()}?blSPL=04&teeSPL=00&snpSPL=22&ucodeSPL=213"
    )


def test_on_turin_a_chip_has_eight_bytes_and_a_firmware_more() -> None:
    tcb = Tcb(fmc=1, boot_loader=1, tee=1, snp=4, microcode=82)
    assert vcek_url("https://kdsintf.amd.com", Product.TURIN, bytes(range(8)), tcb) == (
        "https://kdsintf.amd.com/vcek/v1/Turin/0001020304050607?fmcSPL=01&blSPL=01&teeSPL=01&snpSPL=04&ucodeSPL=82"
    )


# A simulated AMD, of each product


@PRODUCTS
def test_a_bare_report_is_endorsed_and_verifies(vendor: Vendor, product: Product) -> None:
    amd = simulated(product)
    whole = issue(amd)
    vendor.publish_amd(whole)
    found = endorsed(vendor, bare(whole))
    assert found == whole
    verify(found, roots=roots(amd), now=NOW, report_data=REPORT_DATA)


def test_what_came_along_is_kept_and_only_the_rest_is_fetched(vendor: Vendor) -> None:
    whole = issue()
    paths = vendor.publish_amd(whole)
    assert endorsed(vendor, bare(whole, "leaf", "intermediate", "root")) == whole
    assert vendor.asked == {paths["crl"]: 1}


def test_half_a_chain_is_no_chain(vendor: Vendor) -> None:
    whole = issue()
    paths = vendor.publish_amd(whole)
    assert endorsed(vendor, bare(whole, "leaf", "intermediate", "crl")) == whole
    assert vendor.asked == {paths["chain"]: 1}


def test_a_vlek_needs_its_chain_from_elsewhere_and_its_certificate_from_the_attester(vendor: Vendor) -> None:
    whole = issue(platform=VLEK)
    paths = vendor.publish_amd(whole)
    assert paths["chain"].startswith("/vlek/")
    assert endorsed(vendor, bare(whole, "leaf")) == whole
    with pytest.raises(CollateralUnavailable, match="only the cloud provider has it") as error:
        endorsed(vendor, bare(whole))
    assert [missing.names for missing in error.value.missing] == [("leaf",)]


def test_a_masked_chip_has_no_address(vendor: Vendor) -> None:
    whole = issue(platform=SnpPlatform(mask_chip_id=True))
    with pytest.raises(CollateralUnavailable, match="does not name its chip"):
        endorsed(vendor, bare(whole, "intermediate", "root", "crl"))
    assert endorsed(vendor, whole) == whole
    assert not vendor.asked


def test_before_version_3_a_report_does_not_say_its_product(vendor: Vendor) -> None:
    whole = issue(simulated(Product.MILAN), platform=SnpPlatform(version=2))
    vendor.publish_amd(whole)
    with pytest.raises(Misconfigured, match="version 2 does not say which product"):
        endorsed(vendor, bare(whole))
    assert endorsed(vendor, bare(whole, "leaf")) == whole
    assert endorsed(vendor, bare(whole, "root")) == whole
    assert not vendor.asked["/vcek/v1/Genoa/crl"]


def test_a_root_of_nobodys_names_no_product(vendor: Vendor) -> None:
    whole = issue(simulated(Product.MILAN), platform=SnpPlatform(version=2))
    odd = replace(whole, endorsements={"root": whole.endorsements["intermediate"]})
    with pytest.raises(Misconfigured, match="version 2 does not say which product"):
        endorsed(vendor, odd)


# Answers that cannot be right


def _wrong(vendor: Vendor, path: str, reply: dict[str, Any], says: str) -> None:
    whole = issue()
    address = vendor.publish_amd(whole)[path]
    vendor.change(address, **reply)
    with pytest.raises(Malformed, match=says) as error:
        endorsed(vendor, bare(whole))
    assert f"{vendor.url}{address} answered with something else" in error.value.message


def test_a_certificate_for_another_product_is_refused_early(vendor: Vendor) -> None:
    _wrong(vendor, "leaf", {"body": issue(simulated(Product.MILAN)).endorsements["leaf"]}, "a certificate for Milan")


def test_a_provider_s_certificate_is_not_a_chip_s(vendor: Vendor) -> None:
    _wrong(vendor, "leaf", {"body": issue(platform=VLEK).endorsements["leaf"]}, "for Genoa, VLEK")
    chip = issue().endorsements["leaf"]
    came_wrong = replace(issue(platform=VLEK), endorsements={**issue(platform=VLEK).endorsements, "leaf": chip})
    with pytest.raises(CollateralUnavailable, match="only the cloud provider has it"):
        endorsed(vendor, came_wrong)


def test_a_certificate_at_another_tcb_is_refused_early(vendor: Vendor) -> None:
    amd = simulated()
    older = replace(amd.leaf_identity(SnpPlatform()), tcb=Tcb(boot_loader=1, tee=0, snp=1, microcode=1))
    template = replace(amd.leaf_template(SnpPlatform(), now=NOW), extensions=older.to_extensions())
    _wrong(vendor, "leaf", {"body": issue(leaf=template).endorsements["leaf"]}, "a certificate for boot_loader=1")


def test_a_certificate_of_another_chip_is_refused_early(vendor: Vendor) -> None:
    amd = simulated()
    other = replace(amd.leaf_identity(SnpPlatform()), hwid=bytes(64))
    template = replace(amd.leaf_template(SnpPlatform(), now=NOW), extensions=other.to_extensions())
    _wrong(vendor, "leaf", {"body": issue(leaf=template).endorsements["leaf"]}, "another chip")


def test_a_chain_of_another_product_is_refused_early(vendor: Vendor) -> None:
    given = issue(simulated(Product.MILAN)).endorsements
    ours = issue().endorsements
    for chain, says in (
        (pem(given["intermediate"], ours["root"]), "expected SEV-Genoa, got SEV-Milan"),
        (pem(ours["intermediate"], given["root"]), "expected ARK-Genoa, got ARK-Milan"),
    ):
        _wrong(vendor, "chain", {"body": chain}, says)


def test_a_vleks_chain_is_not_a_vceks(vendor: Vendor) -> None:
    given = issue(platform=VLEK).endorsements
    _wrong(vendor, "chain", {"body": pem(given["intermediate"], given["root"])}, "got SEV-VLEK-Genoa")


def test_a_chain_is_two_certificates(vendor: Vendor) -> None:
    given = issue().endorsements
    three = pem(given["leaf"], given["intermediate"], given["root"])
    _wrong(vendor, "chain", {"body": three}, "3 certificates, not an intermediate and a root")
    _wrong(vendor, "chain", {"body": given["root"]}, "no CERTIFICATE in PEM")


def test_another_product_s_list_is_refused_early(vendor: Vendor) -> None:
    body = issue(simulated(Product.MILAN)).endorsements["crl"]
    _wrong(vendor, "crl", {"body": body}, "expected the list of ARK-Genoa, got that of ARK-Milan")


@pytest.mark.parametrize(("path", "says"), [("leaf", "leaf certificate"), ("chain", "no CERT"), ("crl", "not a rev")])
def test_what_is_no_document_at_all_is_refused_early(vendor: Vendor, path: str, says: str) -> None:
    _wrong(vendor, path, {"body": b"{}"}, says)


# Old but genuine


def test_an_old_list_is_passed_on_and_verification_refuses_it(vendor: Vendor) -> None:
    whole = issue()
    vendor.publish_amd(whole)
    late = NOW + timedelta(days=60)
    with endorser(vendor) as made:
        found = made.complete(bare(whole), now=late)
    assert [document.what for document in found.stale] == ["the revocation list of ARK-Genoa"]
    with pytest.raises(NotAuthentic, match="the list holds from"):
        verify(found.bundle, roots=roots(simulated()), now=late, report_data=REPORT_DATA)


def test_an_outdated_list_that_came_along_is_replaced(vendor: Vendor) -> None:
    late = NOW + timedelta(days=60)
    old, new = issue(), issue(now=late)
    vendor.publish_amd(new)
    found = endorsed(vendor, old, late)
    assert found.endorsements["crl"] == new.endorsements["crl"]
    verify(found, roots=roots(simulated()), now=late, report_data=REPORT_DATA)


def test_a_storm_of_429_costs_one_certificate_only(vendor: Vendor) -> None:
    """The list and the chain are there already when the certificate is asked for again."""
    whole = issue()
    paths = vendor.publish_amd(whole)
    with endorser(vendor) as made:
        published = vendor.published.pop(paths["leaf"])
        vendor.published[paths["leaf"]] = Reply(status=429, headers={"Retry-After": "0"})
        with pytest.raises(CollateralUnavailable, match="answers 429") as error:
            made.endorse(bare(whole), now=NOW)
        assert [missing.names for missing in error.value.missing] == [("leaf",)]
        vendor.published[paths["leaf"]] = published
        assert made.endorse(bare(whole), now=NOW) == whole
    assert (vendor.asked[paths["chain"]], vendor.asked[paths["crl"]]) == (1, 1)


# What real chips signed


@needs_vectors
@pytest.mark.parametrize(
    ("folder", "product", "at", "kept"),
    [
        ("milan-v3-vcek-trustee-05b743", Product.MILAN, datetime(2025, 6, 1, tzinfo=UTC), ()),
        ("genoa-v5-vcek-oak-6d1cef", Product.GENOA, datetime(2025, 9, 1, tzinfo=UTC), ()),
        ("milan-v2-vcek-sev-120d77", Product.MILAN, datetime(2025, 6, 1, tzinfo=UTC), ("root",)),
    ],
    ids=["Milan", "Genoa", "Milan, version 2"],
)
def test_a_recorded_report_is_endorsed_online_then_from_the_cache_and_not_from_nothing(
    vendor: Vendor, tmp_path: Path, folder: str, product: Product, at: datetime, kept: tuple[str, ...]
) -> None:
    report, leaf = ((ROOT / "attestation/sev-snp" / folder / name).read_bytes() for name in ("report.bin", "vcek.der"))
    whole = recorded(report, leaf, product, SigningKey.VCEK)
    vendor.publish_amd(whole)
    alone = bare(whole, *kept)
    with Endorser(tmp_path / "cache", services=vendor.services, patience=PATIENCE) as made:
        found = made.complete(alone, now=at)
        assert {document.origin for document in found.obtained} == {Origin.VENDOR}
        verify(found.bundle, roots=AMD_ROOTS, now=at, report_data=None)
        vendor.stop()
        assert made.endorse(alone, now=at) == found.bundle
    with Endorser(tmp_path / "cache", services=vendor.services, offline=True) as made:
        assert made.endorse(alone, now=at) == found.bundle
    with Endorser(None, offline=True) as made, pytest.raises(CollateralUnavailable) as error:
        made.endorse(alone, now=at)
    assert {missing.url.partition("?")[0] for missing in error.value.missing} == {
        f"https://kdsintf.amd.com/vcek/v1/{product}/{report[0x1A0:0x1E0].hex()}",
        f"https://kdsintf.amd.com/vcek/v1/{product}/cert_chain",
        f"https://kdsintf.amd.com/vcek/v1/{product}/crl",
    }


@needs_vectors
def test_a_recorded_turin_is_asked_about_by_eight_bytes(vendor: Vendor) -> None:
    folder = ROOT / "attestation/sev-snp/turin-v5-vcek-oak-3f44a0"
    whole = recorded(
        (folder / "report.bin").read_bytes(), (folder / "vcek.der").read_bytes(), Product.TURIN, SigningKey.VCEK
    )
    assert amd_crl(Product.TURIN) is None
    assert whole.endorsements == {"leaf": whole.endorsements["leaf"], **amd_chain(Product.TURIN, SigningKey.VCEK)}
    paths = vendor.publish_amd(replace(whole, endorsements={**whole.endorsements, "crl": b""}))
    with pytest.raises(Malformed, match="answers with nothing"):
        endorsed(vendor, bare(whole))
    assert vendor.asked[paths["leaf"]] == 1
    assert paths["leaf"].endswith("?fmcSPL=00&blSPL=01&teeSPL=00&snpSPL=02&ucodeSPL=71")
