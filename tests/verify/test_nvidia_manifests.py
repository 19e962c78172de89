"""Loose manifests find the device that runs what they are for; which it is, the report says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hermetic.errors import Malformed
from hermetic.evidence import recognise
from hermetic.evidence.parts import ManifestPart
from hermetic.verify.nvidia_manifests import fit_manifests
from nvidia_support import HOPPER, HOPPER_RIMS, SWITCH, SWITCH_RIMS, read, recorded
from vectors import needs_vectors

pytestmark = needs_vectors


def manifest(file: str) -> ManifestPart:
    (part,) = recognise(read(file)).parts
    assert isinstance(part, ManifestPart)
    return part


def test_driver_and_firmware_by_their_versions() -> None:
    files = [manifest(file) for file in (*HOPPER_RIMS.values(), *SWITCH_RIMS.values())]
    assert fit_manifests(recorded(HOPPER), files) == recorded(HOPPER, HOPPER_RIMS)
    assert fit_manifests(recorded(SWITCH), files) == recorded(SWITCH, SWITCH_RIMS)


def test_a_manifest_for_another_version_is_left_aside() -> None:
    assert fit_manifests(recorded(SWITCH), [manifest("nvidia/rims/NV_GPU_DRIVER_GH100_550.144.03.xml")]) == recorded(
        SWITCH
    )


def test_two_for_one_name() -> None:
    right, wrong = (manifest(f"nvidia/{HOPPER}/{name}.swidtag") for name in ("vbios_rim", "vbios_rim_wrong_PROD"))
    assert fit_manifests(recorded(HOPPER), [right, right]).rims
    with pytest.raises(Malformed, match="two manifests"):
        fit_manifests(recorded(HOPPER), [right, wrong])


def test_what_came_along_is_kept_and_what_came_loose_goes_before_it() -> None:
    (name,) = SWITCH_RIMS
    device = replace(recorded(SWITCH), rims={name: b"an older one", "NV_OTHER": b"another"})
    fitted = fit_manifests(device, [manifest(SWITCH_RIMS[name])])
    assert fitted.rims == {**recorded(SWITCH, SWITCH_RIMS).rims, "NV_OTHER": b"another"}


def test_a_device_that_cannot_be_read_is_left_to_the_verifier() -> None:
    whole = [manifest(file) for file in SWITCH_RIMS.values()]
    for device in (
        replace(recorded(SWITCH), evidence=b"no report"),
        replace(recorded(SWITCH), certificates=(b"no certificate",) * 5),
        replace(recorded(SWITCH), certificates=recorded(SWITCH).certificates[:4]),
        replace(recorded(SWITCH), certificates=tuple(reversed(recorded(SWITCH).certificates))),
    ):
        assert fit_manifests(device, whole) == device
