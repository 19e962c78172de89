"""What NVIDIA's services are asked, and which of their answers cannot be right; then whole devices, verified."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

import nvidia_forge as forge
from collateral_support import PATIENCE, endorser
from collateral_vendor import Reply, Vendor
from hermetic.errors import Malformed, NotAuthentic
from hermetic.evidence.nvidia import DeviceBundle
from hermetic.sources.collateral import CollateralUnavailable, Endorser, Origin
from hermetic.verify.nvidia import verify_device
from nvidia_support import HOPPER, HOPPER_RIMS, IN_2024, IN_2026, SWITCH, SWITCH_RIMS, recorded
from vectors import needs_vectors

NOW, DRIVER, FIRMWARE = forge.NOW, *forge.RIM_NAMES
CHAINS = (forge.device_chain(), forge.signer_chain())
NONCE = b"a nonce of our own, 32 bytes...."
LATE = NOW + timedelta(days=2)


@pytest.fixture(scope="module")
def whole() -> DeviceBundle:
    return forge.bundle()


@pytest.fixture
def vendor(whole: DeviceBundle) -> Iterator[Vendor]:
    with Vendor() as vendor:
        vendor.publish_nvidia(whole)
        vendor.publish_ocsp(CHAINS)
        yield vendor


def bare(bundle: DeviceBundle, **kept: Any) -> DeviceBundle:
    return replace(bundle, **({"rims": {}, "ocsp": ()} | kept))


def endorsed(vendor: Vendor, bundle: DeviceBundle, **asked: Any) -> DeviceBundle:
    with endorser(vendor) as made:
        return made.endorse_device(bundle, **({"now": NOW} | asked))


def verified(bundle: DeviceBundle, **asked: Any) -> None:
    verify_device(bundle, roots=forge.roots(), nonce=forge.NONCE, **({"now": NOW} | asked))


def test_a_bare_device_is_endorsed_and_verifies(vendor: Vendor, whole: DeviceBundle) -> None:
    found = endorsed(vendor, bare(whole))
    assert found.rims == whole.rims
    verified(found)
    # Three of the device, three signers of manifests, who are the same for both.
    assert vendor.asked == {f"/v1/rim/{DRIVER}": 1, f"/v1/rim/{FIRMWARE}": 1, "/ocsp": 6}


def test_what_came_along_is_kept_and_only_the_rest_is_fetched(vendor: Vendor, whole: DeviceBundle) -> None:
    assert endorsed(vendor, whole) == whole
    assert not vendor.asked
    found = endorsed(vendor, replace(whole, rims={DRIVER: whole.rims[DRIVER]}, ocsp=whole.ocsp[1:]))
    verified(found)
    assert set(whole.ocsp[1:]) < set(found.ocsp)
    assert vendor.asked == {f"/v1/rim/{FIRMWARE}": 1, "/ocsp": 1}


def test_other_manifests_that_came_along_are_left_out(vendor: Vendor, whole: DeviceBundle) -> None:
    other = replace(whole, rims={**whole.rims, "NV_GPU_DRIVER_GH100_1.0": b"another"})
    assert endorsed(vendor, other) == whole


def test_answers_with_a_nonce_are_asked_for_anew_and_never_kept(
    vendor: Vendor, whole: DeviceBundle, tmp_path: Path
) -> None:
    with endorser(vendor, tmp_path / "cache") as made:
        for times in (1, 2):
            found = made.endorse_device(whole, now=NOW, ocsp_nonce=NONCE)
            verified(found, ocsp_nonce=NONCE)
            assert vendor.asked["/ocsp"] == 6 * times
    assert not list((tmp_path / "cache").glob("*.collateral"))


def test_an_answer_that_repeats_another_nonce_is_refused_early(vendor: Vendor, whole: DeviceBundle) -> None:
    for nonce in (None, b"another"):
        vendor.publish_ocsp(CHAINS, nonce=nonce)
        with pytest.raises(Malformed, match=f"{vendor.url}/ocsp answered .* repeats another nonce"):
            endorsed(vendor, whole, ocsp_nonce=NONCE)


def test_without_a_nonce_of_ours_another_does_no_harm(vendor: Vendor, whole: DeviceBundle) -> None:
    vendor.publish_ocsp(CHAINS, nonce=b"somebody else's")
    verified(endorsed(vendor, bare(whole)))


def test_outdated_answers_and_lists_that_came_along_are_replaced(vendor: Vendor, whole: DeviceBundle) -> None:
    """A verifier refuses an outdated one even beside a good one."""
    last = LATE + timedelta(days=1)
    vendor.publish_ocsp(CHAINS, last=last)
    lists = tuple(forge.revocation_list(entry, last=NOW + timedelta(days=1)) for entry in forge.device_chain()[2:])
    old = replace(whole, crls=(*lists, b"no list at all"), ocsp=(*whole.ocsp, b"no answer at all"))
    found = endorsed(vendor, old, now=LATE)
    assert not found.crls
    assert not set(found.ocsp) & set(old.ocsp)
    verified(found, now=LATE)


def test_what_a_list_speaks_of_needs_no_answer(vendor: Vendor, whole: DeviceBundle) -> None:
    lists = tuple(forge.revocation_list(entry) for chain in CHAINS for entry in chain[1:])
    listed = bare(whole, crls=lists)
    found = endorsed(vendor, listed)
    assert (found.crls, found.ocsp) == (lists, ())
    assert not vendor.asked["/ocsp"]
    verified(found)
    assert len(endorsed(vendor, listed, ocsp_nonce=NONCE).ocsp) == 6


def test_that_somebody_is_revoked_is_an_answer_too(vendor: Vendor, whole: DeviceBundle) -> None:
    vendor.publish_ocsp(CHAINS, status=ocsp.OCSPCertStatus.REVOKED)
    with pytest.raises(NotAuthentic, match="is revoked"):
        verified(endorsed(vendor, bare(whole)))


@needs_vectors
def test_a_switch_has_one_manifest() -> None:
    with Endorser(None, offline=True) as made:
        missing = made.missing(recorded(SWITCH), now=IN_2024)
        assert [each.names for each in missing if "rim" in each.url] == [tuple(SWITCH_RIMS)]
        assert not [each for each in made.missing(recorded(SWITCH, SWITCH_RIMS), now=IN_2026) if "rim" in each.url]


def test_a_device_that_nobody_knows_is_asked_nothing_about(vendor: Vendor) -> None:
    with pytest.raises(NotAuthentic, match="which this version does not know"):
        endorsed(vendor, replace(forge.bundle(), certificates=tuple(entry.der for entry in forge.chain(_renamed()))))
    assert not vendor.asked


def _renamed() -> tuple[forge.Template, ...]:
    return forge.device_templates(("XX100 LF", "XX100 BROM", *forge.DEVICE[2:]))


def test_a_device_without_its_whole_chain_is_refused(vendor: Vendor, whole: DeviceBundle) -> None:
    with pytest.raises(Malformed, match="has 5 certificates, not 4"):
        endorsed(vendor, replace(whole, certificates=whole.certificates[1:]))


# Answers that cannot be right


def _rim(**changes: Any) -> Reply:
    document = changes.pop("document", forge.bundle().rims[DRIVER])
    stated = {"id": DRIVER, "rim": base64.b64encode(document).decode(), "sha256": _sha256(document)} | changes
    return Reply(body=json.dumps(stated).encode())


def _sha256(document: bytes) -> str:
    digest = hashes.Hash(hashes.SHA256())
    digest.update(document)
    return digest.finalize().hex()


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (_rim(id=FIRMWARE), "it is called otherwise"),
        (_rim(sha256="00" * 32), "not the document that its digest names"),
        (_rim(sha256=None), "not the document that its digest names"),
        (_rim(rim="%"), "not base64"),
        (_rim(rim=None), "expected base64 text"),
        (_rim(document=b"<SoftwareIdentity/>"), "manifest: "),
        (_rim(document=forge.sign_rim(replace(forge.DRIVER, product="GB100"))), "it is for GB100 550.144.03, not"),
        (_rim(document=forge.sign_rim(replace(forge.DRIVER, version="1.0"))), "it is for GH100 1.0, not"),
        (_rim(document=b"<" * 262145), "more than 262144 bytes"),
        (Reply(body=b"[]"), "expected an object"),
        (Reply(body=b"nothing"), "not JSON"),
    ],
    ids=[
        "another name",
        "another digest",
        "no digest",
        "no base64",
        "no document",
        "no manifest",
        "another product",
        "another version",
        "too long",
        "a list",
        "no JSON",
    ],
)
def test_a_manifest_that_cannot_be_right_is_refused_early(
    vendor: Vendor, whole: DeviceBundle, reply: Reply, says: str
) -> None:
    vendor.published[f"/v1/rim/{DRIVER}"] = _rim()
    endorsed(vendor, bare(whole))
    vendor.published[f"/v1/rim/{DRIVER}"] = reply
    with pytest.raises(Malformed, match=says) as error:
        endorsed(vendor, bare(whole))
    assert f"{vendor.url}/v1/rim/{DRIVER} answered with something else" in error.value.message


def test_an_answer_about_somebody_else_is_refused_early(vendor: Vendor, whole: DeviceBundle) -> None:
    vendor.published["/ocsp"] = Reply(body=whole.ocsp[0])
    with pytest.raises(Malformed, match=f"{vendor.url}/ocsp answered .* not about"):
        endorsed(vendor, bare(whole))


def test_an_answer_without_an_end_is_refused_early(vendor: Vendor, whole: DeviceBundle) -> None:
    vendor.publish_ocsp(CHAINS, last=None)
    with pytest.raises(Malformed, match="does not say until when it holds"):
        endorsed(vendor, bare(whole))


def test_what_is_no_answer_is_refused_early(vendor: Vendor, whole: DeviceBundle) -> None:
    vendor.published["/ocsp"] = Reply(body=b"nothing")
    with pytest.raises(Malformed, match="not an OCSP answer"):
        endorsed(vendor, bare(whole))


def test_a_responder_that_has_no_time_is_unavailable(vendor: Vendor, whole: DeviceBundle) -> None:
    busy = ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER)
    vendor.published["/ocsp"] = Reply(body=busy.public_bytes(Encoding.DER))
    with pytest.raises(CollateralUnavailable, match="the OCSP responder answers try later") as error:
        endorsed(vendor, bare(whole))
    assert len(error.value.missing) == 6


def test_a_request_names_the_certificate_with_sha384(vendor: Vendor, whole: DeviceBundle) -> None:
    seen: list[ocsp.OCSPRequest] = []
    honest = vendor.published["/ocsp"]
    assert callable(honest)

    def listen(body: bytes) -> Reply:
        seen.append(ocsp.load_der_ocsp_request(body))
        reply: Reply = honest(body)
        return reply

    vendor.published["/ocsp"] = listen
    endorsed(vendor, bare(whole))
    assert {request.hash_algorithm.name for request in seen} == {"sha384"}
    assert not any(list(request.extensions) for request in seen)
    endorsed(vendor, bare(whole), ocsp_nonce=NONCE)
    nonces = [entry.value for request in seen[6:] for entry in request.extensions]
    assert nonces == [x509.OCSPNonce(NONCE)] * 6


# Old but genuine, offline, recorded


def test_old_answers_are_passed_on_and_verification_refuses_them(vendor: Vendor, whole: DeviceBundle) -> None:
    with endorser(vendor) as made:
        found = made.complete_device(bare(whole), now=LATE)
    assert len(found.stale) == 6
    with pytest.raises(NotAuthentic, match="holds from"):
        verified(found.bundle, now=LATE)


def test_an_expired_manifest_is_fetched_again_and_said_to_be_outdated(vendor: Vendor, whole: DeviceBundle) -> None:
    late = NOW + timedelta(days=400)
    with endorser(vendor) as made:
        found = made.complete_device(whole, now=late)
    assert {document.what for document in found.stale} >= {f"NVIDIA's manifest {DRIVER}"}
    assert vendor.asked[f"/v1/rim/{DRIVER}"] == 1


def test_once_fetched_a_device_is_endorsed_from_the_cache_and_offline(
    vendor: Vendor, whole: DeviceBundle, tmp_path: Path
) -> None:
    with Endorser(tmp_path / "cache", services=vendor.services, patience=PATIENCE) as made:
        found = made.endorse_device(bare(whole), now=NOW)
        vendor.stop()
        again = made.complete_device(bare(whole), now=NOW)
        assert {document.origin for document in again.obtained} == {Origin.CACHE}
        assert again.bundle == found
    with Endorser(tmp_path / "cache", services=vendor.services, offline=True) as made:
        assert made.endorse_device(bare(whole), now=NOW) == found


def test_offline_the_manifests_are_named_first_and_then_the_answers(whole: DeviceBundle) -> None:
    with Endorser(None, offline=True) as made:
        with pytest.raises(CollateralUnavailable) as error:
            made.endorse_device(bare(whole), now=NOW)
        assert [missing.url for missing in error.value.missing] == [
            f"https://rim.attestation.nvidia.com/v1/rim/{name}" for name in forge.RIM_NAMES
        ]
        with pytest.raises(CollateralUnavailable) as error:
            made.endorse_device(bare(whole, rims=whole.rims), now=NOW)
        assert {missing.url for missing in error.value.missing} == {"https://ocsp.ndis.nvidia.com"}
        assert len(error.value.missing) == 6


@needs_vectors
def test_the_manifests_of_a_recorded_device_are_found_by_what_its_report_names() -> None:
    device, full = recorded(HOPPER), recorded(HOPPER, HOPPER_RIMS)
    with Vendor() as vendor, endorser(vendor) as made:
        vendor.publish_nvidia(full)
        with pytest.raises(CollateralUnavailable) as error:  # nobody kept an answer about revocation
            made.endorse_device(device, now=IN_2024)
        assert all(missing.url == f"{vendor.url}/ocsp" for missing in error.value.missing)
        assert {path: count for path, count in vendor.asked.items() if path != "/ocsp"} == {
            f"/v1/rim/{name}": 1 for name in HOPPER_RIMS
        }
        assert {missing.what for missing in made.missing(device, now=IN_2024)} == {
            missing.what for missing in error.value.missing
        }
