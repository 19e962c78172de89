"""A platform and its devices in one document: what they share is written once, and nothing in it is loose."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermetic.errors import Malformed
from hermetic.evidence import (
    NO_DEVICES,
    SEV_SNP,
    Composite,
    EvidenceBundle,
    devices_digest,
    devices_from_json,
    devices_to_json,
    machine_report_data,
)
from hermetic.evidence.nvidia import DeviceBundle
from hermetic.wire import b64encode, sha256_digest

PLATFORM = EvidenceBundle(tee=SEV_SNP, evidence=b"report", endorsements={"leaf": b"leaf"})
GPU = DeviceBundle(
    evidence=b"a",
    certificates=(b"leaf a", b"root"),
    rims={"NV_GPU_DRIVER_GH100_1": b"driver", "NV_GPU_VBIOS_1": b"vbios"},
    ocsp=(b"good",),
    crls=(b"list",),
)
OTHER = replace(GPU, evidence=b"b", certificates=(b"leaf b", b"root"))

blobs = st.binary(max_size=8)
bundles = st.builds(
    DeviceBundle,
    evidence=blobs,
    certificates=st.lists(blobs, max_size=3).map(tuple),
    rims=st.dictionaries(st.sampled_from(["NV_A", "NV_B", "NV_C"]), blobs),
    ocsp=st.lists(blobs, max_size=3).map(tuple),
    crls=st.lists(blobs, max_size=3).map(tuple),
)


def document() -> dict[str, Any]:
    return copy.deepcopy(devices_to_json((GPU, OTHER)))


@given(st.lists(bundles, max_size=4).map(tuple))
def test_devices_survive_the_document(devices: tuple[DeviceBundle, ...]) -> None:
    assert devices_from_json(devices_to_json(devices)) == devices


def test_what_devices_share_is_written_once() -> None:
    distinct = {b"leaf a", b"leaf b", b"root", b"driver", b"vbios", b"good", b"list"}
    assert document()["documents"] == {sha256_digest(value): b64encode(value) for value in distinct}


@pytest.mark.parametrize("platform", [PLATFORM, None], ids=["with a platform", "devices alone"])
def test_a_composite_survives_being_saved(platform: EvidenceBundle | None) -> None:
    composite = Composite(platform=platform, devices=(GPU, OTHER))
    assert Composite.from_bytes(composite.to_bytes()) == composite


def test_evidence_of_nothing_refuses() -> None:
    with pytest.raises(Malformed, match="neither"):
        Composite(platform=None)
    with pytest.raises(Malformed, match="neither"):
        Composite.from_json(Composite(platform=PLATFORM).to_json() | {"platform": None})


def test_the_digest_names_the_evidence_and_its_order_and_nothing_that_may_be_stapled() -> None:
    digest = devices_digest((GPU, OTHER))
    assert digest == devices_digest((replace(GPU, rims={}, ocsp=(), crls=(), certificates=()), OTHER))
    others = [(), (GPU,), (OTHER, GPU), (GPU, GPU), (GPU, replace(OTHER, evidence=b"c")), (GPU, OTHER, OTHER)]
    digests = {devices_digest(devices) for devices in others}
    assert len(digests) == len(others)
    assert digest not in digests
    assert devices_digest(()) == NO_DEVICES


def test_a_bare_platform_answers_a_nonce_of_32_bytes() -> None:
    nonce = bytes(range(32))
    assert machine_report_data(nonce, (GPU,)) == nonce + bytes.fromhex(devices_digest((GPU,))[7:])
    for other in (nonce[:-1], nonce + b"\0"):
        with pytest.raises(Malformed, match="nonce: expected 32 bytes"):
            machine_report_data(other, (GPU,))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda value: value | {"more": 1}, "exactly the members"),
        (lambda value: {"evidence": value["evidence"]}, "exactly the members"),
        (lambda value: [value], "expected an object"),
        (lambda value: value | {"evidence": {}}, "a list of at most 32"),
        (lambda value: value | {"evidence": value["evidence"] * 17}, "a list of at most 32"),
        (lambda value: value | {"documents": []}, "an object of documents"),
        (lambda value: value | {"documents": value["documents"] | {sha256_digest(b"x"): "eA=="}}, "no device refers"),
        (lambda value: value | {"documents": dict.fromkeys(value["documents"], "eA==")}, "what its digest says"),
        (lambda value: value | {"documents": {}}, "is not there"),
        (lambda value: value | {"evidence": [1]}, "objects with exactly"),
        (lambda value: value | {"evidence": [value["evidence"][0] | {"more": 1}]}, "objects with exactly"),
        (lambda value: value | {"evidence": [value["evidence"][0] | {"device": 1}]}, "a name for the device"),
        (lambda value: value | {"evidence": [value["evidence"][0] | {"rims": []}]}, "an object of manifests"),
        (lambda value: value | {"evidence": [value["evidence"][0] | {"ocsp": "good"}]}, "a list of digests"),
        (lambda value: value | {"evidence": [value["evidence"][0] | {"crls": [[]]}]}, "is not there"),
    ],
    ids=[
        "unknown member", "missing member", "a list of it", "no list", "too many", "documents no object",
        "loose document", "another document", "dangling", "no object", "unknown field", "device no name",
        "rims no object", "no names", "names no text",
    ],
)  # fmt: skip
def test_a_loose_end_refuses(change: Any, reason: str) -> None:
    assert devices_from_json(document()) == (GPU, OTHER)
    with pytest.raises(Malformed, match=reason):
        devices_from_json(change(document()))


@pytest.mark.parametrize("change", [{"version": "hermetic.evidence.v2"}, {"more": 1}], ids=["version", "member"])
def test_another_format_refuses(change: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        Composite.from_json(Composite(platform=PLATFORM).to_json() | change)
    with pytest.raises(Malformed):
        Composite.from_json([])
