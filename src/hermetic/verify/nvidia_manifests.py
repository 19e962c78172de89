"""Which loose manifest is for which device: by what the device's own report and chain say, and nothing is believed yet.

A manifest file states a product and a version; NVIDIA's name for it, under which a bundle holds it, follows from the
report.  :func:`hermetic.verify.nvidia.verify_device` then asks for exactly that name, and checks who signed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from hermetic.errors import Malformed, NotAuthentic
from hermetic.evidence.nvidia import DeviceBundle, NvidiaReport
from hermetic.evidence.parts import ManifestPart
from hermetic.evidence.x509 import load_certificate
from hermetic.verify._nvidia_model import model_of, rim_names

__all__ = ["fit_manifests"]

_CHAIN = 5


def fit_manifests(bundle: DeviceBundle, manifests: Iterable[ManifestPart]) -> DeviceBundle:
    """``bundle`` with the manifests whose version is that of its driver or its firmware.

    A device that cannot be read is left as it is, for the verifier to refuse.  Raises Malformed where two manifests are
    for one name.
    """
    try:
        report = NvidiaReport.from_bytes(bundle.evidence)
        chain = tuple(load_certificate(der, "device certificate") for der in bundle.certificates)
        if len(chain) != _CHAIN:
            return bundle
        names = rim_names(model_of(chain), report)
    except (Malformed, NotAuthentic):
        return bundle
    versions = {report.opaque.firmware_version: names.firmware}
    if names.driver is not None and report.opaque.driver_version is not None:
        versions[report.opaque.driver_version] = names.driver
    found: dict[str, bytes] = {}
    for manifest in manifests:
        name = versions.get(manifest.version)
        if name is not None and found.setdefault(name, manifest.document) != manifest.document:
            raise Malformed(f"evidence: two manifests that could be {name}", fix="give the one that belongs")
    return replace(bundle, rims={**bundle.rims, **found})
