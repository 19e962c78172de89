"""Evidence of one machine: a platform, its devices, or both, in one document.

    {"version": "hermetic.evidence.v1", "platform": {…} or null, "devices": {"evidence": […], "documents": {…}}}

Eight GPUs share two manifests and most of their certificates, so whatever devices may share is written once, under its
digest, and they refer to it.  Nothing in it is believed yet; that platform and devices stand in one document says
nothing about standing in one machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from hermetic.errors import Malformed
from hermetic.evidence._nvidia_bundle import DeviceBundle
from hermetic.evidence.bundle import EvidenceBundle
from hermetic.wire import Digest, b64decode, b64encode, canonical, parse_object, sha256_digest

_VERSION = "hermetic.evidence.v1"
_LIMIT = 8 * 1024 * 1024
MAX_DEVICES = 32
_NONCE = 32
_MEMBERS = {"device", "evidence", "certificates", "rims", "ocsp", "crls"}

NO_DEVICES = sha256_digest(b"hermetic.devices.none")
"""The devices digest of a workload without attested devices."""


class DeviceSource(Protocol):
    """Something that can ask a machine's devices (or the simulator's) for evidence."""

    def collect(self, nonce: bytes) -> tuple[DeviceBundle, ...]:
        """Fresh evidence of every device over ``nonce`` (32 bytes), in an order that stays the same.

        Blocks; raises Unavailable where a device does not answer.
        """


def devices_digest(devices: tuple[DeviceBundle, ...]) -> Digest:
    """What a platform signs to name its devices: the kind and the exact evidence of each, in order.

    Certificates, manifests and answers about revocation are left out: fresher ones can be stapled later.
    """
    if not devices:
        return NO_DEVICES
    named = [{"device": device.device, "evidence_digest": sha256_digest(device.evidence)} for device in devices]
    return sha256_digest(canonical({"version": "hermetic.devices.v1", "devices": named}))


def machine_report_data(nonce: bytes, devices: tuple[DeviceBundle, ...]) -> bytes:
    """The 64 bytes that a bare platform signs to answer a 32-byte nonce together with its devices.

    ``nonce ‖ digest of the devices``.  No statement of a workload can have this form: those are hashes, or end in
    zeros.  Whoever gave the nonce computes it from the evidence, and compares.  Raises Malformed.
    """
    if len(nonce) != _NONCE:
        raise Malformed(f"nonce: expected {_NONCE} bytes, got {len(nonce)}")
    return nonce + bytes.fromhex(devices_digest(devices).removeprefix("sha256:"))


def devices_to_json(devices: tuple[DeviceBundle, ...]) -> dict[str, Any]:
    """``{"evidence": […], "documents": {digest: base64}}``: each entry refers to its documents by digest."""
    documents: dict[str, str] = {}

    def refer(document: bytes) -> str:
        name = sha256_digest(document)
        documents[name] = b64encode(document)
        return name

    evidence = [
        {
            "device": device.device,
            "evidence": b64encode(device.evidence),
            "certificates": [refer(der) for der in device.certificates],
            "rims": {name: refer(document) for name, document in sorted(device.rims.items())},
            "ocsp": [refer(der) for der in device.ocsp],
            "crls": [refer(der) for der in device.crls],
        }
        for device in devices
    ]
    return {"evidence": evidence, "documents": documents}


def devices_from_json(value: object) -> tuple[DeviceBundle, ...]:
    """The inverse of :func:`devices_to_json`, from parsed JSON.

    Raises Malformed on anything unknown or missing, on a document that is not what its digest says, and on one that
    no device refers to.
    """
    if not isinstance(value, dict) or value.keys() != {"evidence", "documents"}:
        raise Malformed("devices: expected an object with exactly the members evidence and documents")
    entries, texts = value["evidence"], value["documents"]
    if not isinstance(entries, list) or len(entries) > MAX_DEVICES:
        raise Malformed(f"devices: expected a list of at most {MAX_DEVICES}")
    if not isinstance(texts, dict):
        raise Malformed("devices: expected an object of documents")
    # Each is decoded once and shared, so that a short document cannot ask for much memory by referring often.
    documents = {name: _document(name, text) for name, text in texts.items()}
    devices = tuple(_device(entry, documents) for entry in entries)
    if documents.keys() != {sha256_digest(document) for device in devices for document in _documents(device)}:
        raise Malformed("devices: a document that no device refers to")
    return devices


def _document(name: str, text: object) -> bytes:
    document = b64decode(text, what="document")
    if sha256_digest(document) != name:
        raise Malformed("devices: a document that is not what its digest says")
    return document


def _documents(device: DeviceBundle) -> tuple[bytes, ...]:
    return (*device.certificates, *device.rims.values(), *device.ocsp, *device.crls)


def _device(entry: object, documents: dict[str, bytes]) -> DeviceBundle:
    if not isinstance(entry, dict) or entry.keys() != _MEMBERS:
        raise Malformed(f"devices: expected objects with exactly the members {', '.join(sorted(_MEMBERS))}")
    device, rims = entry["device"], entry["rims"]
    if not isinstance(device, str) or not isinstance(rims, dict):
        raise Malformed("devices: expected a name for the device and an object of manifests")
    return DeviceBundle(
        device=device,
        evidence=b64decode(entry["evidence"], what="evidence"),
        certificates=_resolve(entry["certificates"], documents),
        rims=dict(zip(rims, _resolve(list(rims.values()), documents), strict=True)),
        ocsp=_resolve(entry["ocsp"], documents),
        crls=_resolve(entry["crls"], documents),
    )


def _resolve(names: object, documents: dict[str, bytes]) -> tuple[bytes, ...]:
    if not isinstance(names, list):
        raise Malformed("devices: expected a list of digests")
    if not all(isinstance(name, str) and name in documents for name in names):
        raise Malformed("devices: a reference to a document that is not there")
    return tuple(documents[name] for name in names)


@dataclass(frozen=True, slots=True, kw_only=True)
class Composite:
    """A platform's evidence, devices' evidence, or both.  Raises Malformed for neither."""

    platform: EvidenceBundle | None
    devices: tuple[DeviceBundle, ...] = ()

    def __post_init__(self) -> None:
        if self.platform is None and not self.devices:
            raise Malformed("evidence: neither a platform's nor a device's")

    def to_json(self) -> dict[str, Any]:
        return {
            "version": _VERSION,
            "platform": None if self.platform is None else self.platform.to_json(),
            "devices": devices_to_json(self.devices),
        }

    def to_bytes(self) -> bytes:
        return canonical(self.to_json())

    @classmethod
    def from_bytes(cls, data: bytes | str) -> Composite:
        return cls.from_json(parse_object(data, what="evidence", limit=_LIMIT))

    @classmethod
    def from_json(cls, value: object) -> Composite:
        """The inverse of :meth:`to_json`, from parsed JSON.  Raises Malformed on an unknown or a missing member."""
        if not isinstance(value, dict) or value.keys() != {"version", "platform", "devices"}:
            raise Malformed("evidence: expected an object with exactly the members version, platform and devices")
        if value["version"] != _VERSION:
            raise Malformed(f"evidence: expected version {_VERSION}")
        platform = value["platform"]
        return cls(
            platform=None if platform is None else EvidenceBundle.from_json(platform),
            devices=devices_from_json(value["devices"]),
        )
