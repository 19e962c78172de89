"""The endorser and the sources that staple: what is missing, when it is renewed, what is said about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import intel_forge
import nvidia_forge as forge
from collateral_support import PATIENCE, endorser
from collateral_vendor import BUSY, Vendor
from hermetic.errors import Malformed, Misconfigured, NotAuthentic, Unavailable
from hermetic.evidence import SEV_SNP, TDX, DeviceSource, EvidenceBundle, EvidenceSource, SigningKey
from hermetic.evidence.nvidia import DeviceBundle
from hermetic.sources import collateral
from hermetic.sources.collateral import CollateralUnavailable, Endorser, Origin, StapledDevices, StapledSource
from hermetic.sources.collateral.amd import amd_wanted
from hermetic.sources.collateral.intel import intel_wanted
from hermetic.sources.collateral.nvidia import manifests_wanted, statuses_wanted
from hermetic.sources.collateral.question import Answer
from hermetic.sources.collateral.supply import Wanted
from hermetic.sources.simulator.intel import SimulatedIntel
from hermetic.sources.simulator.nvidia import SimulatedNvidia
from hermetic.sources.simulator.snp_platform import SnpPlatform
from hermetic.verify import simulated_root, verify
from hermetic.verify.nvidia import verify_device
from snp_support import CREATED, HOST_DATA, NOW, REPORT_DATA, SEED, issue, roots, simulated

DAY = timedelta(days=1)
INTEL = intel_forge.Intel().issue()


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    with Vendor() as vendor:
        yield vendor


def bare(bundle: EvidenceBundle, *kept: str) -> EvidenceBundle:
    return replace(bundle, endorsements={name: bundle.endorsements[name] for name in kept})


class BareSource:
    """The simulated AMD on a machine whose host offers no certificates."""

    tee = SEV_SNP

    def collect(self, report_data: bytes) -> EvidenceBundle:
        return bare(simulated().issue(report_data, host_data=HOST_DATA, now=NOW))


class BareDevices:
    def collect(self, nonce: bytes) -> tuple[DeviceBundle, ...]:
        assert nonce == forge.NONCE
        return (replace(forge.bundle(), rims={}, ocsp=()),) * 2


def test_everything_public_is_there() -> None:
    assert all(hasattr(collateral, name) for name in collateral.__all__)
    assert sorted(collateral.__all__) == collateral.__all__


# What is missing


def test_what_is_missing_is_named_before_anybody_is_asked(vendor: Vendor) -> None:
    whole = issue()
    paths = vendor.publish_amd(whole)
    with endorser(vendor) as made:
        assert [each.names for each in made.missing(bare(whole), now=NOW)] == [
            ("leaf",),
            ("intermediate", "root"),
            ("crl",),
        ]
        (crl,) = made.missing(bare(whole, "leaf", "intermediate", "root"), now=NOW)
        assert (crl.url, crl.reason) == (vendor.url + paths["crl"], "")
        assert str(crl) == f"the revocation list of ARK-Genoa ({crl.url})"
        assert not vendor.asked
        assert made.missing(whole, now=NOW) == ()
        made.endorse(bare(whole), now=NOW)
        assert made.missing(bare(whole), now=NOW) == ()
        assert [each.names for each in made.missing(bare(whole), now=NOW + 40 * DAY)] == [("crl",)]


def test_who_has_what_no_service_has_is_said() -> None:
    with Endorser(None, offline=True) as made:
        (leaf, *_) = made.missing(bare(issue(platform=SnpPlatform(signing_key=SigningKey.VLEK))), now=NOW)
    assert (leaf.url, leaf.reason) == ("", "only the cloud provider has it: ask the attester for its certificate table")


def test_of_a_device_manifests_are_missing_first_and_their_signers_answers_after() -> None:
    whole = forge.bundle()
    with Endorser(None, offline=True) as made:
        assert len(made.missing(replace(whole, rims={}, ocsp=()), now=forge.NOW)) == 2 + 3
        assert len(made.missing(replace(whole, ocsp=()), now=forge.NOW)) == 6
        assert len(made.missing(replace(whole, ocsp=whole.ocsp[1:]), now=forge.NOW)) == 1
        assert made.missing(whole, now=forge.NOW) == ()
        lists = tuple(forge.revocation_list(entry) for entry in forge.device_chain()[2:])
        assert len(made.missing(replace(whole, ocsp=(), crls=lists), now=forge.NOW)) == 3


# Anything

SERVICES = collateral.Services()
WANTED = (
    *((wanted, issue().endorsements) for wanted in amd_wanted(issue(), SERVICES)),
    *((wanted, INTEL.endorsements) for wanted in intel_wanted(INTEL, SERVICES)),
    *((wanted, forge.bundle().rims) for wanted in manifests_wanted(forge.bundle(), SERVICES)),
    *((wanted, wanted.came[at]) for at, wanted in enumerate(statuses_wanted(forge.bundle(), {}, SERVICES))),
)


@given(st.sampled_from(WANTED), st.data())
@settings(max_examples=400)
def test_nothing_that_anybody_answers_raises_anything_but_a_refusal(
    asked: tuple[Wanted, Mapping[str, bytes]], data: st.DataObject
) -> None:
    """A document with a bit flipped, or cut: it answers, or it does not."""
    question, parts = asked[0].question, {name: asked[1][name] for name in asked[0].question.names}
    name = data.draw(st.sampled_from(sorted(parts)))
    at = data.draw(st.integers(0, 8 * len(parts[name]) - 1))
    flipped = bytearray(parts[name])
    flipped[at // 8] ^= 1 << at % 8
    for mutant in (bytes(flipped), parts[name][: at // 8]):
        question.judge({**parts, name: mutant})
        with suppress(Malformed, Unavailable):
            question.read(Answer(content=mutant))


# Times


@pytest.mark.parametrize("zone", [None, timezone(timedelta(hours=1))], ids=["naive", "elsewhere"])
def test_now_is_aware_and_in_utc(zone: timezone | None) -> None:
    now = datetime(2026, 2, 3, tzinfo=zone)
    with Endorser(None, offline=True) as made:
        for ask in (made.endorse, made.missing):
            with pytest.raises(Misconfigured, match="aware datetime in UTC"):
                ask(issue(), now=now)
        with pytest.raises(Misconfigured, match="aware datetime in UTC"):
            made.endorse_device(forge.bundle(), now=now)


def test_nothing_is_renewed_after_its_end() -> None:
    with pytest.raises(Misconfigured, match="ahead"):
        Endorser(None, ahead=-DAY)


def test_stale_collateral_is_used_only_if_asked_for_and_verification_refuses_it_all_the_same(vendor: Vendor) -> None:
    vendor.publish_amd(issue())
    late = NOW + 40 * DAY
    with endorser(vendor) as made:
        made.endorse(bare(issue()), now=NOW)
        vendor.stop()
        with pytest.raises(CollateralUnavailable, match="what is here holds until"):
            made.endorse(bare(issue()), now=late)
        found = made.complete(bare(issue()), now=late, allow_stale=True)
    assert [document.what for document in found.stale] == ["the revocation list of ARK-Genoa"]
    with pytest.raises(NotAuthentic, match="the list holds from"):
        verify(found.bundle, roots=roots(simulated()), now=late, report_data=REPORT_DATA)


# Stapling


def test_a_stapled_source_needs_no_network_to_be_verified(vendor: Vendor) -> None:
    vendor.publish_amd(issue())
    with endorser(vendor) as made:
        source: EvidenceSource = StapledSource(BareSource(), made, clock=lambda: NOW)
        assert source.tee == SEV_SNP
        for report_data in (REPORT_DATA, bytes(64)):
            verify(source.collect(report_data), roots=roots(simulated()), now=NOW, report_data=report_data)
    assert set(vendor.asked.values()) == {1}


def test_what_is_stapled_is_renewed_before_it_expires(vendor: Vendor) -> None:
    paths = vendor.publish_amd(issue())
    clock = SimpleNamespace(now=NOW)
    with Endorser(None, services=vendor.services, patience=PATIENCE, ahead=2 * DAY) as made:
        source = StapledSource(BareSource(), made, clock=lambda: clock.now)
        source.collect(REPORT_DATA)
        clock.now = NOW + 26 * DAY
        first = source.collect(REPORT_DATA).endorsements["crl"]
        renewed = issue(now=NOW + 27 * DAY).endorsements["crl"]
        vendor.change(paths["crl"], body=renewed)
        assert source.collect(REPORT_DATA).endorsements["crl"] == first
        clock.now = NOW + 27 * DAY
        assert source.collect(REPORT_DATA).endorsements["crl"] == renewed


def test_what_still_holds_is_stapled_while_the_vendor_is_away_and_nothing_after(vendor: Vendor) -> None:
    paths = vendor.publish_amd(issue())
    clock = SimpleNamespace(now=NOW)
    with Endorser(None, services=vendor.services, patience=PATIENCE, ahead=2 * DAY) as made:
        source = StapledSource(BareSource(), made, clock=lambda: clock.now)
        first = source.collect(REPORT_DATA)
        vendor.published[paths["crl"]] = BUSY
        clock.now = NOW + 28 * DAY
        assert source.collect(REPORT_DATA).endorsements == first.endorsements
        clock.now = NOW + 29 * DAY
        with pytest.raises(Unavailable, match="the revocation list of ARK-Genoa"):
            source.collect(REPORT_DATA)


def test_a_source_s_clock_is_the_machine_s_unless_told_otherwise() -> None:
    with Endorser(None, offline=True) as made, pytest.raises(CollateralUnavailable):
        StapledSource(BareSource(), made).collect(REPORT_DATA)


def test_each_device_is_stapled_and_what_they_share_is_fetched_once(vendor: Vendor) -> None:
    vendor.publish_nvidia(forge.bundle())
    vendor.publish_ocsp((forge.device_chain(), forge.signer_chain()))
    with endorser(vendor) as made:
        source: DeviceSource = StapledDevices(BareDevices(), made, clock=lambda: forge.NOW)
        devices = source.collect(forge.NONCE)
    assert len(devices) == 2
    for device in devices:
        verify_device(device, roots=forge.roots(), now=forge.NOW, nonce=forge.NONCE)
    assert vendor.asked["/ocsp"] == 6


# The simulated vendors


def test_a_simulated_intel_is_endorsed_by_what_it_published(vendor: Vendor, tmp_path: Path) -> None:
    intel = SimulatedIntel.create(created=CREATED, seed=SEED)
    whole = intel.issue(REPORT_DATA, tee=TDX, launch_digest=bytes(32), now=NOW)
    fmspc = whole.endorsements["tcb_info"].partition(b'"fmspc":"')[2][:12].decode().lower()
    vendor.publish_intel(whole, fmspc=fmspc)
    with endorser(vendor, tmp_path / "cache") as made:
        found = made.endorse(bare(whole), now=NOW)
    assert found == whole
    verify(found, roots=(simulated_root(intel.root_digest),), now=NOW, report_data=REPORT_DATA)


def test_a_simulated_nvidia_s_manifests_are_fetched_and_its_answers_kept(vendor: Vendor) -> None:
    nvidia = SimulatedNvidia.create(created=CREATED, seed=SEED)
    (device,) = nvidia.issue(bytes(32), now=NOW)
    vendor.publish_nvidia(device)
    with endorser(vendor) as made:
        found = made.complete_device(replace(device, rims={}), now=NOW)
    assert {document.origin for document in found.obtained} == {Origin.VENDOR, Origin.CAME_ALONG}
    verify_device(found.bundle, roots=nvidia.roots, now=NOW, nonce=bytes(32))
